# SPDX-License-Identifier: GPL-2.0
"""A memory host dies under a running program; modules come and go."""

import json
import os
import time

import pytest

from rig import REPO, RXE_LINK_CUT, Cluster, on_debug_kernel

PROGRAMS = os.path.join(REPO, "build/programs")
SLOW = 12 if on_debug_kernel() else 1
# Slow: a host that computes for long is not to be taken for a dead one.
DEAD_MS = 5000 * SLOW
# A dead verdict, and what is left of a loaded machine's patience.
PATIENCE_MS = 4 * DEAD_MS
# Its handler ran, or its handler's own memory was lost as well.
SIGBUS = (42, 128 + 7)


@pytest.fixture(scope="module", name="cluster")
def two_hosts():
    with Cluster(memory_mb=128, excache_mb=16, guest_ram_mb=700,
                 lite_rpc_params={"dead_ms": DEAD_MS}) as cluster:
        yield cluster


def modules(host):
    """Counters of HOST by module."""
    return json.loads(host.run(["vnode", "status", "--json"]).stdout)["modules"]


def lines_used(host):
    """ExCache lines in use."""
    pmon = modules(host)["pmon"]
    return pmon["lines_total"] - pmon["lines_free"]


@pytest.mark.parametrize("policy", ["fifo", "lru"])
def test_load_and_unload(cluster, policy):
    """All modules, both hosts, with programs in between."""
    processor, memory = cluster.processors[0], cluster.memory_hosts[0]
    processor.run(["vnode", "set", "policy", policy])
    processor.run(["vnode", "run", "--excache", "1M", "--", f"{PROGRAMS}/pattern",
                   "--mb", "3", "--ops", "3000"], timeout=120)
    cluster.leave()
    assert not {"pmon", "mmon", "gmm", "lite_rpc"} & set(processor.loaded())
    assert not {"mmon", "lite_rpc"} & set(memory.loaded())
    cluster.join()


def test_memory_host_leaves_and_comes_back(cluster):
    """rmmod of a memory host in use: pages are lost in words, the rest goes on."""
    processor, memory = cluster.processors[0], cluster.memory_hosts[0]
    process = processor.spawn(["vnode", "run", "--excache", "1M", "--",
                               f"{PROGRAMS}/pattern", "--mb", "4", "--seconds", str(120 * SLOW),
                               "--expect-sigbus"])
    start = modules(processor)["pmon"]["misses"]
    while modules(processor)["pmon"]["misses"] < start + 200:
        assert process.poll() is None, process.output("err")
        time.sleep(0.2)
    memory.unload("mmon")
    assert process.wait(120).status in SIGBUS, process.output("err")
    memory.load("mmon", memory_mb=128)
    processor.run(["vnode", "wait", "--memory-hosts", "1", "--timeout", str(60 * SLOW)],
                  timeout=70)
    processor.run(["vnode", "run", "--excache", "1M", "--", f"{PROGRAMS}/pattern",
                   "--mb", "3", "--ops", "2000"], timeout=120)
    assert lines_used(processor) == 0


def test_memory_host_is_seen_at_once(cluster):
    """Who has just loaded mmon need not wait until the list that a processor has is new."""
    processor, memory = cluster.processors[0], cluster.memory_hosts[0]
    for _ in range(3):
        memory.unload("mmon")
        gone = processor.run(["vnode", "wait", "--memory-hosts", "1", "--timeout", "0"],
                             check=False)
        while gone.status == 0:
            gone = processor.run(["vnode", "wait", "--memory-hosts", "1", "--timeout", "0"],
                                 check=False)
        refused = processor.run(["vnode", "run", "--", "/bin/true"], check=False)
        assert refused.status == 125 and "no memory host has joined" in refused.stderr, refused
        memory.load("mmon", memory_mb=128)
        processor.run(["vnode", "run", "--excache", "1M", "--", f"{PROGRAMS}/pattern",
                       "--mb", "3", "--ops", "500"], timeout=120)


def test_power_cut_of_the_memory_host(cluster):
    """SIGBUS within the dead time, words in the log, everything else goes on."""
    for regex, reason in RXE_LINK_CUT:
        cluster.allow_log(regex, reason)
    processor, memory = cluster.processors[0], cluster.memory_hosts[0]
    tagged = processor.spawn(["vnode", "run", "--excache", "1M", "--",
                              f"{PROGRAMS}/pattern", "--mb", "4", "--seconds", str(300 * SLOW),
                              "--expect-sigbus"])
    plain = processor.spawn([f"{PROGRAMS}/pattern", "--mb", "4", "--threads", "1",
                             "--seconds", "25"])
    start = modules(processor)["pmon"]["misses"]
    while modules(processor)["pmon"]["misses"] < start + 200:
        assert tagged.poll() is None, tagged.output("err")
        time.sleep(0.2)
    cut_at = time.monotonic()
    memory.power_cut()
    assert tagged.wait(120).status in SIGBUS, tagged.output("err")
    took_ms = (time.monotonic() - cut_at) * 1000
    print(f"SIGBUS {took_ms:.0f} ms after the power cut, dead_ms={DEAD_MS}")
    assert took_ms < PATIENCE_MS
    log = processor.klog()
    assert f"memory host {memory.address} is lost" in log
    assert "SIGBUS at " in log
    assert plain.wait(60).status == 0, plain.output("err")
    refused = processor.run(["vnode", "run", "--", "/bin/true"], check=False)
    assert refused.status in (0, 125)

    memory.restart(join=True)
    processor.run(["vnode", "wait", "--memory-hosts", "1", "--timeout", str(90 * SLOW)],
                  timeout=100)
    processor.run(["vnode", "run", "--excache", "1M", "--", f"{PROGRAMS}/pattern",
                   "--mb", "3", "--ops", "2000"], timeout=120)
    assert lines_used(processor) == 0
    cluster.leave()
    cluster.join()
