# SPDX-License-Identifier: GPL-2.0
"""Regions move to a memory host that joins, while a program checks every page that it
reads; nothing moves when rebalancing is off or hosts are even."""

import json
import os
import time

import pytest

from rig import REPO, Cluster, on_debug_kernel

VERSIONS = os.path.join(REPO, "build/programs/versions")
SLOW = 12 if on_debug_kernel() else 1
REGION = 512    # frames
MMON = {"memory_mb": 64, "log_mb": 24}


@pytest.fixture(scope="module", name="cluster")
def one_processor_and_three_memory_hosts():
    with Cluster(memory_hosts=3, memory_mb=MMON["memory_mb"], excache_mb=16, guest_ram_mb=512,
                 mmon_params={"log_mb": MMON["log_mb"]},
                 pmon_params={"region_mb": 2}) as cluster:
        yield cluster


def status(host):
    """vnode status of HOST."""
    return json.loads(host.run(["vnode", "status", "--json"]).stdout)


def pmon(cluster):
    """Counters of the processor host."""
    return status(cluster.processors[0])["modules"]["pmon"]


def used(cluster):
    """Frames in use at each memory host."""
    figures = [status(host)["modules"]["mmon"] for host in cluster.memory_hosts]
    return [mmon["frames_total"] - mmon["frames_free"] for mmon in figures]


def even(frames):
    """Whether no host is further from the mean than gmm lets it be, but for one region."""
    mean = sum(frames) / len(frames)
    return all(abs(each - mean) <= mean / 4 + REGION for each in frames)


def nothing_left(cluster):
    """All is given back everywhere."""
    def clean():
        figures = [status(host)["modules"]["mmon"] for host in cluster.memory_hosts]
        return not any(mmon["spaces"] or mmon["replicas"] or mmon["log_records"] or
                       mmon["frames_free"] != mmon["frames_total"] for mmon in figures)
    cluster.wait_for("clean-up", clean, 30)
    counters = pmon(cluster)
    assert counters["lines_free"] == counters["lines_total"] and counters["regions"] == 0


@pytest.mark.parametrize("replicas", [0, 1])
def test_regions_move_to_a_host_that_joins(cluster, replicas):
    """Not while it is switched off; then until the hosts are even, and no further."""
    processor, joins = cluster.processors[0], cluster.memory_hosts[2]
    joins.unload("mmon")
    processor.run(["vnode", "set", "rebalance", "off"])
    assert status(processor)["rebalance"] == "off"
    before = pmon(cluster)["rebalanced"]
    process = processor.spawn(
        ["vnode", "run", "--excache", "2M", "--replicas", str(replicas), "--", VERSIONS,
         "--mb", "16", "--threads", "2", "--seed", "5", "--seconds", str(300 * SLOW)])
    hosts = cluster.memory_hosts[:2]
    cluster.wait_for("memory in use", lambda: process.poll() is not None or sum(
        mmon["frames_total"] - mmon["frames_free"] for mmon in (
            status(host)["modules"]["mmon"] for host in hosts)) > 6 * REGION)
    assert process.poll() is None, process.output("err")
    joins.load("mmon", **MMON)
    cluster.wait_for("join", lambda: len(json.loads(processor.run(
        ["vnode", "host", "list", "--json"]).stdout)["hosts"]) == 3)
    time.sleep(3 * SLOW)
    assert pmon(cluster)["rebalanced"] == before and not even(used(cluster))

    listener = processor.spawn(["vnode", "events", "--json"])
    processor.run(["vnode", "set", "rebalance", "on"])
    started = time.monotonic()
    cluster.wait_for("even hosts", lambda: process.poll() is not None or
             pmon(cluster)["rebalanced"] >= before + 2 and even(used(cluster)))
    print(f"even after {time.monotonic() - started:.1f} s: {used(cluster)}")
    assert process.poll() is None, process.output("err")
    moved = pmon(cluster)["rebalanced"] - before
    # It may go on for a little, and then rests.
    time.sleep(5 * SLOW)
    at_rest = pmon(cluster)["rebalanced"] - before
    print(f"moved {moved}, then {at_rest}: {used(cluster)}")
    assert at_rest <= moved + 2 and even(used(cluster))
    assert pmon(cluster)["degraded"] == 0
    assert listener.kill("INT")
    events = [json.loads(line) for line in listener.output().splitlines()]
    assert at_rest <= len(events) <= at_rest + 1
    assert {each["event"] for each in events} == {"rebalanced"}
    # Of the other two the emptier one may get a region as well.
    assert joins.address in {each["host"] for each in events}

    process.kill("TERM", wait=0)
    result = process.wait(60)
    assert result.status == 0, process.output() + process.output("err")
    summary = json.loads(process.output().splitlines()[-1])
    assert summary["bad"] == 0 and summary["hash"] == summary["expected_hash"]
    nothing_left(cluster)
