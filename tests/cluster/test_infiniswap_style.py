# SPDX-License-Identifier: GPL-2.0
"""The block device of tests/bench/infiniswap_style keeps what is written to it.

Some of its slabs are at two servers, for the others they have no room. What is
read must be what was written last: from the servers, from the disk, and from the
disk after the servers took their memory back without a word.
"""

import os
import time

import pytest

from rig import REPO, Cluster

MODULES = os.path.join(REPO, "tests/bench/infiniswap_style")
DEVICE_MB, SERVER_MB, SLAB_MB = 12, 4, 2
COUNTERS = "/sys/kernel/debug/slab_disk/counters"
DROP = "/sys/module/slab_server/parameters/drop"
LENT = "/sys/module/slab_server/parameters/lent"


@pytest.fixture(scope="module", name="cluster")
def three_hosts():
    with Cluster(memory_hosts=2, memory_mb=16, excache_mb=2) as cluster:
        yield cluster


@pytest.fixture(name="host")
def processor_with_device(cluster):
    """The processor host, with the device; at the end all is given back."""
    host = cluster.processors[0]
    for server in cluster.memory_hosts:
        server.load(f"{MODULES}/slab_server.ko", memory_mb=SERVER_MB)
    host.load("brd", rd_nr=1, rd_size=DEVICE_MB << 10)
    host.load(f"{MODULES}/slab_disk.ko", size_mb=DEVICE_MB, disk="/dev/ram0",
              servers=",".join(each.address for each in cluster.memory_hosts))
    yield host
    host.unload("slab_disk")
    assert lent(cluster) == [0, 0]
    host.unload("brd")
    for server in cluster.memory_hosts:
        server.unload("slab_server")


def lent(cluster):
    """Slabs that each server has lent."""
    return [int(server.read_file(LENT)) for server in cluster.memory_hosts]


def counters(host):
    """The device's counters."""
    return {name: int(value) for name, value in
            (line.split() for line in host.read_file(COUNTERS).splitlines())}


def write(host, name, block="64k"):
    """Writes new random data to the whole device; FILE has it, too."""
    host.run(f"dd if=/dev/urandom of=/tmp/{name} bs=1M count={DEVICE_MB} status=none && "
             f"dd if=/tmp/{name} of=/dev/slabdisk0 bs={block} oflag=direct status=none",
             timeout=100)


def same(host, name, block="64k"):
    """Whether the device has what FILE has."""
    return host.run(f"dd if=/dev/slabdisk0 bs={block} iflag=direct status=none | "
                    f"cmp - /tmp/{name}", timeout=100, check=False).status == 0


def test_data(cluster, host):
    write(host, "first")
    end = time.monotonic() + 60
    while lent(cluster) != [SERVER_MB // SLAB_MB] * 2:
        assert time.monotonic() < end, f"lent: {lent(cluster)}, {counters(host)}"
        time.sleep(0.5)
        # The power of two choices fills both alike; a slab is asked for by a write.
        write(host, "first")
    # What was written before its slab had a place is on disk still.
    write(host, "second", "4k")
    before = counters(host)
    assert before["mappings"] == 2 * SERVER_MB // SLAB_MB
    assert before["remote_writes"] > 0 and before["remote_errors"] == 0
    assert same(host, "second") and same(host, "second", "12k")
    after = counters(host)
    assert after["remote_reads"] > before["remote_reads"]
    assert after["disk_reads"] > before["disk_reads"], "two of six slabs are on disk"

    # The copies of the third are on their way to the disk when the servers drop it.
    write(host, "third")
    for server in cluster.memory_hosts:
        server.write_file(DROP, "1\n")
    assert same(host, "third"), "lost with the servers"
    assert counters(host)["remote_errors"] > 0
    # Those that are found lost go to the disk. Which are, depends on which transfer
    # was refused: one beside it fails with the connection and tells nothing.
    write(host, "fourth")
    before = counters(host)
    assert same(host, "fourth")
    assert counters(host)["disk_reads"] > before["disk_reads"]
