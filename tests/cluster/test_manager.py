# SPDX-License-Identifier: GPL-2.0
"""The manager goes, comes back, moves to another host and is switched about, while a
program runs on remote memory."""

import json
import os
import time

import pytest

from rig import REPO, RXE_LINK_CUT, Cluster, on_debug_kernel

PROGRAMS = os.path.join(REPO, "build/programs")
PROBE = os.path.join(REPO, "tests/modules/sk_probe.ko")
PLACE = "/sys/kernel/debug/sk_probe/place"
SLOW = 12 if on_debug_kernel() else 1
DEAD_MS = 5000 * SLOW
EHOSTDOWN, ETIMEDOUT = 112, 110


@pytest.fixture(scope="module", name="cluster")
def one_processor_and_two_memory_hosts():
    with Cluster(memory_hosts=2, memory_mb=64, excache_mb=16, guest_ram_mb=600,
                 lite_rpc_params={"dead_ms": DEAD_MS},
                 gmm_params={"rebalance": 0}) as cluster:   # what is looked at stays there
        cluster.processors[0].load(PROBE)
        yield cluster


@pytest.fixture(scope="module", name="program")
def running_program(cluster):
    """A tagged program through all tests, longer than they take; it checks its pages."""
    process = cluster.processors[0].spawn(
        ["vnode", "run", "--excache", "1M", "--", f"{PROGRAMS}/pattern", "--mb", "3",
         "--seconds", str(400 * SLOW)])
    makes_progress(cluster, process)
    yield process
    process.kill()


def status(host):
    """vnode status of HOST."""
    return json.loads(host.run(["vnode", "status", "--json"]).stdout)


def listed(host):
    """The memory hosts as HOST sees them, by address."""
    hosts = json.loads(host.run(["vnode", "host", "list", "--json"]).stdout)["hosts"]
    return {each["address"]: each for each in hosts}


def wait_for(what, seconds=20):
    """Calls WHAT until it is true."""
    end = time.monotonic() + seconds * SLOW
    while not what():
        assert time.monotonic() < end
        time.sleep(0.2)


def makes_progress(cluster, process, misses=100):
    """PROCESS goes on missing its cache."""
    pmon = lambda: status(cluster.processors[0])["modules"]["pmon"]["misses"]
    start = pmon()
    wait_for(lambda: process.poll() is not None or pmon() >= start + misses)
    assert process.poll() is None, process.output("err")


def knows_all(manager):
    """MANAGER's gmm has heard of every host."""
    wait_for(lambda: status(manager)["modules"]["gmm"]["hosts"] == 3)


def place(host, *words):
    """lite_place() on HOST: (error, addresses)."""
    host.write_file(PLACE, " ".join(words) + "\n")
    error, *addresses = host.read_file(PLACE).split()
    return -int(error), addresses


def test_placement_is_switchable(cluster, program):
    """By vnode; in force at once; shown; what makes no sense is refused in words."""
    processor, memory = cluster.processors[0], cluster.memory_hosts
    assert status(processor)["placement"] == "most-free"
    assert status(processor)["manager"] == processor.address
    processor.run(["vnode", "set", "placement", "round-robin"])
    assert status(processor)["placement"] == "round-robin"
    found = [place(processor, "1") for _ in range(6)]
    assert all(error == 0 and len(where) == 1 for error, where in found), found
    assert {where[0] for _, where in found} == {host.address for host in memory}
    # Somebody else may have asked in between, once.
    assert sum(one == next_ for one, next_ in zip(found, found[1:])) <= 1, found
    refused = memory[0].run(["vnode", "set", "placement", "most-free"], check=False)
    assert refused.status == 1 and "set it on the manager" in refused.stderr
    makes_progress(cluster, program)


def test_drain_outlives_the_manager(cluster, program):
    """gmm is gone and comes back: it learns from the hosts who drains; nobody noticed."""
    processor, (first, second) = cluster.processors[0], cluster.memory_hosts
    second.run(["vnode", "host", "drain", first.address])
    wait_for(lambda: listed(processor)[first.address]["draining"])
    wait_for(lambda: "this host is being drained" in first.klog())
    assert f"{first.address} is to be drained" in processor.klog()
    assert not listed(processor)[second.address]["draining"]
    _, where = place(processor, "1")
    assert where == [second.address]
    assert place(processor, "1", second.address)[0] == EHOSTDOWN

    processor.unload("gmm")
    makes_progress(cluster, program)
    assert len(listed(processor)) == 2
    refused = second.run(["vnode", "host", "drain", second.address], check=False)
    assert refused.status == 1 and "the manager cannot be reached" in refused.stderr
    started = time.monotonic()
    assert place(processor, "1")[0] == EHOSTDOWN
    assert time.monotonic() - started < 3 * SLOW
    processor.load("gmm", placement="round-robin")
    # Waits until the manager has heard of all.
    _, where = place(processor, "1")
    assert where == [second.address]
    knows_all(processor)
    assert "is to be drained as before" in processor.klog()
    assert listed(processor)[first.address]["draining"]
    makes_progress(cluster, program)


def test_manager_moves(cluster, program):
    """To a memory host, which then loses power, and back: vnode set manager everywhere."""
    processor, (first, second) = cluster.processors[0], cluster.memory_hosts
    home = {space["home"] for space in status(processor)["spaces"]
            if space["module"] == "pmon"}
    # The one that the program does not need, and which dies for that.
    target = second if first.address in home else first
    target.load("gmm")
    for host in (*cluster.memory_hosts, processor):
        host.run(["vnode", "set", "manager", target.address])
        assert status(host)["manager"] == target.address
    knows_all(target)
    processor.unload("gmm")
    assert set(listed(processor)) == {first.address, second.address}
    assert listed(second)[first.address]["draining"]
    makes_progress(cluster, program)
    error, where = place(processor, "1")
    assert not error and where == [second.address]

    for regex, reason in RXE_LINK_CUT:
        cluster.allow_log(regex, reason)
    target.power_cut()
    started = time.monotonic()
    assert place(processor, "1")[0] in (EHOSTDOWN, ETIMEDOUT)
    assert time.monotonic() - started < 4 * SLOW
    makes_progress(cluster, program)
    processor.load("gmm")
    for host in cluster.hosts:
        if host.alive():
            host.run(["vnode", "set", "manager", processor.address])
    wait_for(lambda: status(processor)["modules"]["gmm"]["hosts"] == 2)
    makes_progress(cluster, program)


def test_drain_with_wait(cluster, program):
    """It shows what is in use, ends when nothing is, and the host can be used again."""
    processor = cluster.processors[0]
    host = next(host for host in cluster.memory_hosts if host.alive())
    waiting = processor.spawn(["vnode", "host", "drain", host.address, "--wait"])
    wait_for(lambda: "regions" in waiting.output("out"))
    makes_progress(cluster, program)
    assert waiting.poll() is None
    program.kill()
    assert waiting.wait(60).status == 0, waiting.output("err")
    assert "frames in use 0 (0), regions 0, replicas 0" in waiting.output("out")
    processor.run(["vnode", "host", "drain", "--off", host.address])
    wait_for(lambda: not listed(processor)[host.address]["draining"])
    assert "is no longer to be drained" in processor.klog()
    assert not place(processor, "1")[0]
    processor.unload("sk_probe")
