# SPDX-License-Identifier: GPL-2.0
"""The main job on two hosts: right contents, exact budgets, also on a bad link."""

import json
import os
import threading
import time

import pytest

from rig import REPO, RXE_LINK_CUT, Cluster, on_debug_kernel

LONG = bool(os.environ.get("SK_LONG"))
PROGRAMS = os.path.join(REPO, "build/programs")
DEBUG = on_debug_kernel()
EXCACHE_MB = 2 if DEBUG else 8
SET_MB = 4 * EXCACHE_MB         # working set of the pattern test
MISSES = 200_000 if LONG else 2_000 if DEBUG else 20_000
FORKS = 100 if LONG else 4 if DEBUG else 20
LINK_CUT = [pytest.mark.allow_log(*allowed) for allowed in RXE_LINK_CUT]


@pytest.fixture(scope="module", name="cluster")
def two_hosts():
    with Cluster(memory_mb=512, excache_mb=112, guest_ram_mb=960) as cluster:
        yield cluster


def status(host):
    """The status document of HOST."""
    return json.loads(host.run(["vnode", "status", "--json"]).stdout)


def used(cluster):
    """(lines, frames) in use."""
    pmon = status(cluster.processors[0])["modules"]["pmon"]
    mmon = status(cluster.memory_hosts[0])["modules"]["mmon"]
    return (pmon["lines_total"] - pmon["lines_free"],
            mmon["frames_total"] - mmon["frames_free"])


def misses(cluster):
    """Pages fetched so far, ahead of their use or not, and used."""
    pmon = status(cluster.processors[0])["modules"]["pmon"]
    return pmon["misses"] + pmon["prefetch_used"]


@pytest.fixture(autouse=True)
def everything_given_back(cluster):
    """After every test, all lines and frames are back."""
    yield
    end = time.monotonic() + cluster.patience(30)
    while used(cluster) != (0, 0) and time.monotonic() < end:
        time.sleep(0.2)
    assert used(cluster) == (0, 0)


class Sampler(threading.Thread):
    """Watches budgets while something runs."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.host, self.over, self.samples, self.most = host, [], 0, 0
        self._end = threading.Event()

    def run(self):
        while not self._end.wait(0.3):
            document = status(self.host)
            spaces = [each for each in document["spaces"] if each["module"] == "pmon"]
            lines = sum(each["lines"] for each in spaces)
            self.samples += 1
            self.most = max(self.most, lines)
            self.over += [each for each in spaces if each["lines"] > each["limit"]]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self.join(30)


def tagged(excache, *argv):
    """ARGV under vnode run; EXCACHE in MB, or as vnode takes it."""
    size = excache if isinstance(excache, str) else f"{excache}M"
    return ["vnode", "run", "--excache", size, "--", *map(str, argv)]


def pattern(*more):
    """The pattern test, tagged: four threads in four times the ExCache."""
    return tagged(EXCACHE_MB, f"{PROGRAMS}/pattern", "--threads", 4, "--mb", SET_MB, *more)


def for_a_while(ops):
    """So many operations, or ten minutes in the long run."""
    return ("--seconds", 600) if LONG else ("--ops", ops // 4 if DEBUG else ops)


def finished(process, timeout):
    """Waits; the program's summary after it succeeded."""
    code = process.wait(timeout).status
    assert code == 0, process.output("err") + process.output()
    return json.loads(process.output().splitlines()[-1])


def test_pattern(cluster):
    before = misses(cluster)
    host = cluster.processors[0]
    with Sampler(host) as sampler:
        summary = finished(host.spawn(pattern("--ops", MISSES * 5 // 4,
                                              "--dontneed", 2)),
                           4000 if LONG else 600)
    assert summary["bad"] == 0
    assert misses(cluster) - before >= MISSES
    assert sampler.samples > 5 and not sampler.over
    limit = EXCACHE_MB << 8
    assert limit // 2 < sampler.most <= limit
    print(f"{misses(cluster) - before} misses, {sampler.samples} samples, "
          f"at most {sampler.most} of {limit} lines")


def test_pattern_with_one_percent_loss(cluster):
    before = misses(cluster)
    host = cluster.processors[0]
    cluster.memory_hosts[0].loss(1, seed=7)
    try:
        summary = finished(host.spawn(pattern(*for_a_while(5_000))), 1500)
    finally:
        cluster.memory_hosts[0].loss(0)
    assert summary["bad"] == 0
    assert cluster.memory_hosts[0].link_stats()["tx_lost"] > 0
    print(f"{misses(cluster) - before} misses")


@pytest.mark.parametrize("seconds", [1, 20])
def test_pattern_over_a_link_cut(cluster, seconds):
    """Cut in mid-run: nothing is wrong and the process goes on."""
    for regex, reason in RXE_LINK_CUT:
        cluster.allow_log(regex, reason)
    host = cluster.processors[0]
    connects = status(host)["modules"]["lite_rpc"]["connects"]
    process = host.spawn(pattern(*for_a_while(8_000)))
    start = misses(cluster)
    while misses(cluster) < start + (200 if DEBUG else 1000):
        assert process.poll() is None, process.output("err")
        time.sleep(0.2)
    cluster.memory_hosts[0].cut()
    time.sleep(seconds)
    cluster.memory_hosts[0].restore()
    summary = finished(process, 1500)
    assert summary["bad"] == 0
    lite = status(host)["modules"]["lite_rpc"]
    print(f"connections made: {lite['connects'] - connects}, "
          f"calls sent again: {lite['calls_resent']}, "
          f"checksum errors: {status(host)['modules']['pmon']['checksum_errors']}")


def scan_seconds(host, threads):
    """Guest's seconds in which THREADS read 1 MiB from the home, a miss a page."""
    argv = tagged(1, f"{PROGRAMS}/scan", "--mb", 1, "--push-mb", 2, "--order", "touch",
                  "--threads", threads)
    return json.loads(host.run(argv, timeout=600).stdout)["ns"] / 1e9


def test_misses_of_threads_overlap(cluster):
    """Over a link that takes 50 ms, 8 threads need a fraction of what 1 does."""
    host = cluster.processors[0]
    host.run(["vnode", "set", "prefetch", "off"])
    host.run(["vnode", "set", "policy", "fifo"])
    cluster.memory_hosts[0].delay(50)
    try:
        alone, together = scan_seconds(host, 1), scan_seconds(host, 8)
    finally:
        cluster.memory_hosts[0].delay(0)
        host.run(["vnode", "set", "prefetch", "on"])
        host.run(["vnode", "set", "policy", "lru"])
    print(f"1 thread: {alone:.1f} s, 8 threads: {together:.1f} s")
    assert alone > 256 * 0.05
    assert together < alone / 3


def test_fork_snapshots(cluster):
    """Writers, children and the evictor fight for 128 lines."""
    host = cluster.processors[0]
    summary = finished(host.spawn(tagged(
        "512K", f"{PROGRAMS}/forksnap", "--writers", 4, "--pages", 24, "--forks", FORKS)),
        3000 if LONG else 900)
    assert summary["bad"] == 0 and summary["forks"] == FORKS


def test_forks_of_pages_that_are_held(cluster):
    """Parent and child at once: each has to send what somebody may write to behind its back."""
    host = cluster.processors[0]
    before = status(host)["modules"]["pmon"]["fork_bounces"]
    cluster.memory_hosts[0].delay(20)       # so that the one meets the other
    try:
        summary = finished(host.spawn(tagged("1536K", f"{PROGRAMS}/forkpins", "--rounds", 5)), 120)
    finally:
        cluster.memory_hosts[0].delay(0)
    assert summary["bad"] == 0 and summary["rounds"] == 5
    assert status(host)["modules"]["pmon"]["fork_bounces"] >= before + 3 * 5


# Each takes a minute or two: shortened, one on either kernel.
@pytest.mark.parametrize("excache", ["512K", "4M"] if LONG else
                         ["4M"] if os.environ.get("SK_KERNEL") else ["512K"])
def test_fork_trees(cluster, excache):
    """Forks of forks, parents that end first, exec: with and without eviction."""
    host = cluster.processors[0]
    summary = finished(host.spawn(tagged(
        excache, f"{PROGRAMS}/forktree", "--pages", 256,
        "--processes", 3 * FORKS, "--live", 6)), 1500)
    assert summary["bad"] == 0 and summary["processes"] >= 3 * FORKS


def both_ways(cluster, excache_mb, command, timeout=600):
    """Output of COMMAND, equal tagged and untagged."""
    host = cluster.processors[0]
    plain = host.run(command, timeout=timeout, check=False)
    ours = host.run(tagged(excache_mb, "/bin/sh", "-c", command), timeout=timeout,
                    check=False)
    assert (ours.status, ours.stdout) == (plain.status, plain.stdout), ours.stderr
    assert ours.status == 0, ours.stderr
    return ours.stdout


def test_python_with_much_memory(cluster):
    """Half the size and half of that local here; make demo and the long run: a quarter."""
    before = misses(cluster)
    size = 16 if DEBUG else 200 if LONG else 100
    assert len(both_ways(cluster, size // (4 if LONG else 2),
                         f"/usr/bin/python3 {PROGRAMS}/pyjob.py {size}", 1500).strip()) == 64
    assert misses(cluster) - before > (100 if DEBUG else 5_000 if LONG else 2_500)


PYTHON = """
import subprocess, threading, hashlib
data = [bytearray(range(256)) * 4096 for _ in range(12)]
def work(i):
    for _ in range(2):
        data[i][i::4096] = bytes(len(data[i][i::4096]))
threads = [threading.Thread(target=work, args=(i,)) for i in range(len(data))]
[t.start() for t in threads]; [t.join() for t in threads]
print(subprocess.run(['sort', '-r'], input='a\\nc\\nb\\n', text=True,
                     capture_output=True).stdout)
print(subprocess.check_output('echo $((6*7)) | tr 2 3', shell=True, text=True))
print(hashlib.sha256(b''.join(data)).hexdigest())
"""


def test_python_threads_and_subprocesses(cluster):
    cluster.processors[0].write_file("/tmp/job.py", PYTHON)
    assert "43" in both_ways(cluster, 4, "/usr/bin/python3 /tmp/job.py")


def test_bash_pipelines(cluster):
    script = ("for i in 1 2 3; do ls -R /usr/share/doc | head -2000 | sort | "
              "awk '{ n[substr($0, 1, 1)]++ } END { for (c in n) print c, n[c] }' | "
              "sort | tail -5; (cd /; echo $(pwd)); done; printf '%s\\n' {1..300} | "
              "while read a; do echo $((a * a)); done | sha1sum")
    cluster.processors[0].write_file("/tmp/pipes", script)
    assert both_ways(cluster, 1, "bash /tmp/pipes").count("\n") > 10


def test_gcc(cluster):
    """gcc builds one of our own programs, not optimized (docs/testing.md: where the emulator errs)."""
    source = os.path.join(REPO, "tests/cluster/programs/pattern.c")
    text = both_ways(cluster, 4, f"gcc -O0 -std=gnu11 -pthread -S -o - {source} | sha1sum")
    assert len(text.split()[0]) == 40
