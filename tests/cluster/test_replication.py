# SPDX-License-Identifier: GPL-2.0
"""Regions with secondaries: hosts die, come back, and are drained under running programs."""

import json
import os
import time

import pytest

from rig import REPO, RXE_LINK_CUT, Cluster, on_debug_kernel

PATTERN = os.path.join(REPO, "build/programs/pattern")
SHADOW = os.path.join(REPO, "build/programs/shadow")
SLOW = 12 if on_debug_kernel() else 1
FAILOVER_MS = 2000 * SLOW
DEAD_MS = 8000 * SLOW
# tests/faults does the like in make test.
LONG_ONLY = pytest.mark.skipif(not os.environ.get("SK_LONG"), reason="make test-long")


@pytest.fixture(scope="module", name="cluster")
def four_hosts():
    with Cluster(memory_hosts=3, memory_mb=64, excache_mb=16, guest_ram_mb=512,
                 lite_rpc_params={"dead_ms": DEAD_MS}, mmon_params={"log_mb": 24},
                 pmon_params={"failover_ms": FAILOVER_MS},
                 # Who is killed must not have lost its regions to another just before.
                 gmm_params={"rebalance": 0}) as cluster:
        for regex, reason in RXE_LINK_CUT:
            cluster.allow_log(regex, reason)
        yield cluster


def modules(host):
    """Counters of HOST by module."""
    return json.loads(host.run(["vnode", "status", "--json"]).stdout)["modules"]


def wait_for(what, condition, timeout=90):
    """Until CONDITION() is true; returns its value."""
    end = time.monotonic() + timeout * SLOW
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not within {timeout} s"
        time.sleep(0.2)


def start(cluster, replicas, *argv):
    """A tagged pattern with REPLICAS on 1 MiB, when it has missed a while."""
    processor = cluster.processors[0]
    before = modules(processor)["pmon"]["misses"]
    process = processor.spawn(["vnode", "run", "--excache", "1M", "--replicas", str(replicas),
                               "--", PATTERN, *map(str, argv)])

    def missed():
        assert process.poll() is None, process.output("err")
        return modules(processor)["pmon"]["misses"] > before + 300
    wait_for("misses", missed)
    return process


def homes(cluster):
    """{host: frames in use}, of those that run."""
    frames = {}
    for host in cluster.memory_hosts:
        if host.alive():
            mmon = modules(host)["mmon"]
            frames[host] = mmon["frames_total"] - mmon["frames_free"]
    return frames


def nothing_left(cluster):
    """Frames, spaces and replicas of all hosts are back to none."""
    def left():
        return [(host.name, mmon["spaces"], mmon["replicas"], mmon["log_records"])
                for host in cluster.memory_hosts if host.alive()
                for mmon in [modules(host)["mmon"]]
                if mmon["spaces"] or mmon["replicas"] or mmon["log_records"] or
                mmon["frames_free"] != mmon["frames_total"]]
    try:
        wait_for("clean-up", lambda: not left(), 60)
    except AssertionError:
        raise AssertionError(f"left behind: {left()}") from None
    pmon = modules(cluster.processors[0])["pmon"]
    assert pmon["lines_free"] == pmon["lines_total"] and pmon["regions"] == 0


def test_what_is_stored_is_stored_twice(cluster):
    """Each page that is flushed goes to the secondary as well; nothing stays behind."""
    before = modules(cluster.processors[0])["pmon"]
    process = start(cluster, 1, "--mb", 4, "--seconds", 20 * SLOW)
    assert modules(cluster.processors[0])["pmon"]["degraded"] == 0
    assert sum(modules(host)["mmon"]["log_records"] for host in cluster.memory_hosts) > 300
    assert process.wait(120).status == 0, process.output("err")
    after = modules(cluster.processors[0])["pmon"]
    flushed = after["flushed_pages"] - before["flushed_pages"]
    assert 0 < flushed <= after["replica_pages"] - before["replica_pages"] < flushed * 1.1 + 50
    nothing_left(cluster)


def events_of(listener):
    """{region: its events, in order} that LISTENER, vnode events --json, has shown."""
    regions = {}
    for line in listener.output().splitlines():
        event = json.loads(line)
        assert event["comm"] == "pattern", event
        regions.setdefault(event["region"], []).append(event)
    return regions


def told(listener, victim):
    """LISTENER hears of VICTIM's death: each region was degraded by it, then repaired."""
    def all_repaired():
        return all(events[-1]["event"] == "repaired" for events in events_of(listener).values())
    wait_for("events", all_repaired, 10)
    regions = events_of(listener)
    assert regions
    for events in regions.values():
        kinds = [event["event"] for event in events]
        assert kinds in (["failover", "degraded", "repaired"], ["degraded", "repaired"]), events
        # A region that began after the death may have been given too few hosts.
        assert (events[-2].get("host") == victim.address or
                len(events) == 2 and "host" not in events[0]), events
        assert victim.address not in (events[0]["host"] if kinds[0] == "failover" else "",
                                      events[-1]["host"])
    assert any(len(events) == 3 for events in regions.values())


def test_primary_is_killed(cluster):
    """The program goes on, the region gets a new secondary, and who listens is told."""
    processor = cluster.processors[0]
    before = modules(processor)["pmon"]
    listener = processor.spawn(["vnode", "events", "--json"])
    first = processor.spawn(["vnode", "events", "--count", "1"])
    process = start(cluster, 1, "--mb", 4, "--seconds", 40 * SLOW)
    victim = max(homes(cluster).items(), key=lambda item: item[1])[0]
    victim.power_cut()
    wait_for("failover", lambda: modules(processor)["pmon"]["failovers"] >
             before["failovers"], 60)
    wait_for("repair", lambda: modules(processor)["pmon"]["degraded"] == 0, 60)
    told(listener, victim)
    assert first.wait(10).status == 0 and len(first.output().splitlines()) == 1
    assert listener.kill("INT")
    result = process.wait(200)
    assert result.status == 0, process.output("err") + process.output()
    victim.restart(join=True)
    nothing_left(cluster)


@LONG_ONLY
def test_secondary_is_killed(cluster):
    """Nobody notices but who looks; the region gets another one."""
    processor = cluster.processors[0]
    before = modules(processor)["pmon"]
    process = start(cluster, 1, "--mb", 4, "--seconds", 30 * SLOW)
    victim = max(cluster.memory_hosts, key=lambda host: modules(host)["mmon"]["replicas"])
    victim.power_cut()
    wait_for("repair", lambda: modules(processor)["pmon"]["repairs"] > before["repairs"] and
             modules(processor)["pmon"]["degraded"] == 0, 90)
    assert process.wait(200).status == 0, process.output("err") + process.output()
    assert modules(processor)["pmon"]["failovers"] == before["failovers"]
    victim.restart(join=True)
    nothing_left(cluster)


@pytest.mark.parametrize("replicas", [pytest.param(0, marks=LONG_ONLY), 1])
def test_drain(cluster, replicas):
    """All that a host holds leaves it under load; then its module unloads."""
    processor = cluster.processors[0]
    process = start(cluster, replicas, "--mb", 8, "--seconds", 40 * SLOW)
    host = max(homes(cluster).items(), key=lambda item: item[1])[0]
    listener = processor.spawn(["vnode", "events"])
    processor.run(["vnode", "host", "drain", host.address, "--wait"], timeout=120)
    assert homes(cluster)[host] == 0
    wait_for("event", lambda: f"drained  host {host.address}" in listener.output(), 10)
    assert listener.kill("INT")
    host.unload("mmon")
    assert process.wait(200).status == 0, process.output("err") + process.output()
    host.load("mmon", memory_mb=64, log_mb=24)
    nothing_left(cluster)


@pytest.fixture(name="small_regions")
def regions_of_2_mib(cluster):
    """So that a process has many, on all hosts."""
    processor = cluster.processors[0]
    processor.unload("pmon")
    processor.load("pmon", excache_mb=16, failover_ms=FAILOVER_MS, region_mb=2)
    yield
    processor.unload("pmon")
    processor.load("pmon", excache_mb=16, failover_ms=FAILOVER_MS)


def test_regions_are_spread(cluster, small_regions):
    """A process uses the memory of all hosts, evenly."""
    process = start(cluster, 0, "--mb", 36, "--seconds", 25 * SLOW)
    assert modules(cluster.processors[0])["pmon"]["regions"] >= 18
    assert process.wait(120).status == 0, process.output("err")
    served = [modules(host)["mmon"]["frames_peak_used"] for host in cluster.memory_hosts]
    print(f"frames at most: {served}")
    nothing_left(cluster)


@pytest.mark.parametrize("seed", [11])
def test_forking_process_survives(cluster, small_regions, seed):
    """Forks, moves, discards across regions on all hosts, while one of them dies."""
    processor = cluster.processors[0]
    before = modules(processor)["pmon"]
    process = processor.spawn(["vnode", "run", "--excache", "1M", "--replicas", "1", "--", SHADOW,
                               "--seed", str(seed), "--ops", "1500", "--forks", "6"])
    wait_for("flushes", lambda: modules(processor)["pmon"]["flushed_pages"] >
             before["flushed_pages"] + 1500)
    victim = max(homes(cluster).items(), key=lambda item: item[1])[0]
    victim.power_cut()
    result = process.wait(400)
    assert result.status == 0, process.output() + process.output("err")
    assert json.loads(process.output().splitlines()[-1])["bad"] == 0
    victim.restart(join=True)
    nothing_left(cluster)


@LONG_ONLY
def test_both_are_killed(cluster):
    """SIGBUS with words; an unmanaged program goes on, and nothing stays behind."""
    processor = cluster.processors[0]
    process = start(cluster, 1, "--mb", 4, "--seconds", 300 * SLOW, "--expect-sigbus")
    primary = max(homes(cluster).items(), key=lambda item: item[1])[0]
    secondary = max(cluster.memory_hosts, key=lambda host: modules(host)["mmon"]["replicas"])
    assert primary is not secondary
    for host in (primary, secondary):
        host.power_cut()
    assert process.wait(120).status in (42, 128 + 7), process.output("err")
    assert "SIGBUS at " in processor.klog()
    for host in (primary, secondary):
        host.restart(join=True)
    nothing_left(cluster)
