# SPDX-License-Identifier: GPL-2.0
"""A log of replicas that is too small: what does not fit goes to a file, and comes back
from there when the host has to serve."""

import json
import os

import pytest

from rig import REPO, RXE_LINK_CUT, Cluster, on_debug_kernel

PATTERN = os.path.join(REPO, "build/programs/pattern")
SLOW = 12 if on_debug_kernel() else 1
DIRECTORY = "/run/store"
LOG_MB = 4


@pytest.fixture(scope="module", name="cluster")
def two_memory_hosts_with_a_store():
    with Cluster(memory_hosts=2, memory_mb=64, excache_mb=16, guest_ram_mb=512, modules=False,
                 lite_rpc_params={"dead_ms": 8000 * SLOW},
                 mmon_params={"log_mb": LOG_MB, "log_dir": DIRECTORY},
                 pmon_params={"failover_ms": 2000 * SLOW}) as cluster:
        for host in cluster.memory_hosts:
            host.run(f"mkdir {DIRECTORY} && mount -t tmpfs store {DIRECTORY}")
        for regex, reason in RXE_LINK_CUT:
            cluster.allow_log(regex, reason)
        cluster.join()
        yield cluster


def mmon(host):
    """Counters of mmon at HOST."""
    return json.loads(host.run(["vnode", "status", "--json"]).stdout)["modules"]["mmon"]


def file_blocks(host):
    """KiB of the store's file system that are in use: the file has no name."""
    return int(host.run(f"df -k {DIRECTORY} | tail -1").stdout.split()[2])


def test_pages_come_back_from_the_store(cluster):
    """Content is right; the memory of the log is bounded; nothing stays in the file."""
    process = cluster.processors[0].spawn(
        ["vnode", "run", "--excache", "1M", "--replicas", "1", "--", PATTERN,
         "--mb", "12", "--seconds", str(40 * SLOW)])
    cluster.wait_for("segments in the store", lambda: process.poll() is not None or any(
        mmon(host)["log_segments_stored"] > 6 for host in cluster.memory_hosts))
    assert process.poll() is None, process.output("err")
    secondary, primary = sorted(cluster.memory_hosts, key=lambda host: mmon(host)["frames_free"],
                                reverse=True)
    figures = mmon(secondary)
    assert figures["log_segments_total"] == LOG_MB * 2      # of 128 pages
    assert file_blocks(secondary) > 6 * 512
    primary.power_cut()
    assert process.wait(200).status == 0, process.output() + process.output("err")
    assert mmon(secondary)["log_loads"] > 100
    print({name: value for name, value in mmon(secondary).items() if name.startswith("log_")})
    cluster.wait_for("clean-up", lambda: mmon(secondary)["frames_free"] == figures["frames_total"] and
             not mmon(secondary)["log_records"] and not mmon(secondary)["log_segments_stored"])
    cluster.wait_for("holes", lambda: file_blocks(secondary) == 0, 10)
