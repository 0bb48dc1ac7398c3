# SPDX-License-Identifier: GPL-2.0
"""Does a tagged process's memory behave as Linux says it does?"""

import json
import os
import time

import pytest

from rig import REPO, RXE_LINK_CUT, Cluster

PROGRAMS = os.path.join(REPO, "build/programs")
IMAGE_MB = 48


@pytest.fixture(scope="module", name="host")
def processor():
    with Cluster(memory_mb=384, excache_mb=16, guest_ram_mb=768) as cluster:
        host = cluster.processors[0]
        # A real file system: tmpfs knows no direct I/O.
        host.run(f"modprobe loop && modprobe ext4 && mkdir -p /tmp/ext4 && "
                 f"truncate -s {IMAGE_MB}M /tmp/image && mkfs.ext4 -q /tmp/image && "
                 "mount -o loop /tmp/image /tmp/ext4", timeout=300)
        yield host


def pmon(host):
    """pmon's part of the status document."""
    return json.loads(host.run(["vnode", "status", "--json"]).stdout)["modules"]["pmon"]


def tagged(*argv):
    """ARGV under vnode run with 1 MiB."""
    return ["vnode", "run", "--excache", "1M", "--", *map(str, argv)]


def results(output):
    """{check: "ok", "skip", "differs" or "FAIL"} of a suite's run."""
    lines = [line.split() for line in output.splitlines() if ": " in line]
    return {words[0].rstrip(":"): words[1] for words in lines if not words[0].startswith("{")}


def test_suite(host):
    """One check a row of docs/semantics.md, untagged and tagged."""
    suite = [f"{PROGRAMS}/semantics", "--dir", "/tmp/ext4"]
    plain = host.run(suite, timeout=900, check=False)
    ours = host.run(tagged(*suite, "--tagged", "--cycle-mb", 2), timeout=1800, check=False)
    one, two = results(plain.stdout), results(ours.stdout)
    assert plain.status == ours.status == 0, plain.stdout + ours.stdout
    assert one.keys() == two.keys() and len(one) > 100
    differs = {name for name, result in two.items() if result == "differs"}
    assert not {name: (one[name], two[name]) for name in one
                if name not in differs and one[name] != two[name]}
    # What differs when tagged works without.
    assert {one[name] for name in differs} == {"ok"}, plain.stdout
    print(f"{len(one)} checks, {len(differs)} declared differences")


def test_failed_memory_leaves_the_pool(host):
    """Each poisoned page is a line less, for good, and nothing else."""
    before = pmon(host)
    result = host.run(tagged(f"{PROGRAMS}/semantics", "--tagged", "--only", "hwpoison",
                             "--cycle-mb", 2), timeout=300, check=False)
    assert result.status == 0, result.stdout
    after = pmon(host)
    lost = before["lines_total"] - after["lines_total"]
    assert lost == after["poisoned"] - before["poisoned"] == 1
    assert after["lines_free"] == after["lines_total"]


def wait_for(process, text):
    """Until the process has printed TEXT."""
    end = time.monotonic() + 120
    while text not in process.output():
        assert process.poll() is None and time.monotonic() < end, process.output("err")
        time.sleep(0.1)


@pytest.mark.parametrize("killed", [True, False])
def test_miss_without_its_home_blocks_nobody(host, killed):
    """A fetch holds no mmap_lock while it waits, and its wait is killable."""
    cluster = host.cluster
    for regex, reason in RXE_LINK_CUT:
        cluster.allow_log(regex, reason)
    flag = f"/tmp/cut.{killed}"
    process = host.spawn(["vnode", "run", "--excache", "2M", "--",
                          f"{PROGRAMS}/stall", "--flag", flag])
    wait_for(process, "ready")
    cluster.memory_hosts[0].cut()
    try:
        host.write_file(flag, "x")
        wait_for(process, "stuck")
        assert json.loads(process.output().splitlines()[-1])["stuck"]
        if killed:
            host.run(["pkill", "-KILL", "-x", "stall"])
            assert process.wait(20).status != 0
    finally:
        cluster.memory_hosts[0].restore()
    if not killed:
        assert process.wait(120).status == 0
