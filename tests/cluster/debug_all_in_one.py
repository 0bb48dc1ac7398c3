# SPDX-License-Identifier: GPL-2.0
"""All modules in one debug kernel, lite_rpc connected to itself, two CPUs.

Small sizes and no figures: what these tests want is that every path runs while
KASAN, lockdep and the rest look. What programs print is checked all the same.
Its name keeps this file out of `make test`; tests/debug/run names it.
"""

import hashlib
import json
import os
import subprocess
import time

import pytest

from rig import REPO, Cluster

PROGRAMS = os.path.join(REPO, "build/programs")
BENCH = os.path.join(REPO, "tests/modules/lite_bench.ko")
MEMORY_MB, EXCACHE_MB = 96, 12
# Its handler ran; or its handler's own memory was lost as well, or the stack that
# the handler was to run on.
SIGBUS = (42, 128 + 7, 128 + 11)


@pytest.fixture(scope="module", name="cluster")
def one_host():
    with Cluster(all_in_one=True, smp=2, memory_mb=MEMORY_MB,
                 excache_mb=EXCACHE_MB) as cluster:
        yield cluster


def test_the_kernel_checks_itself(cluster, host):
    """What tests/debug/kernel.config asks for is in the kernel that runs."""
    assert cluster.kernel.debug, "SK_KERNEL names no debug kernel: use tests/debug/run"
    symbols = set(host.run("cut -d' ' -f3 /proc/kallsyms").stdout.split())
    assert {"kasan_report", "lockdep_rcu_suspicious", "__might_resched",
            "debug_object_activate", "kmemleak_scan"} <= symbols


@pytest.fixture(name="host")
def its_host(cluster):
    return cluster.hosts[0]


def modules(host):
    """Counters by module."""
    return json.loads(host.run(["vnode", "status", "--json"]).stdout)["modules"]


def fetched(host):
    """Pages that came from the memory host and were wanted."""
    pmon = modules(host)["pmon"]
    return pmon["misses"] + pmon["prefetch_used"]


def used(host):
    """(lines, frames, address spaces) in use."""
    pmon, mmon = (modules(host)[name] for name in ("pmon", "mmon"))
    return (pmon["lines_total"] - pmon["lines_free"],
            mmon["frames_total"] - mmon["frames_free"], mmon["spaces"])


@pytest.fixture(autouse=True)
def everything_given_back(cluster, host):
    """After every test, all lines, frames and address spaces are back."""
    yield
    end = time.monotonic() + cluster.patience(20)
    while used(host) != (0, 0, 0) and time.monotonic() < end:
        time.sleep(0.5)
    assert used(host) == (0, 0, 0)


def tagged(excache, *argv):
    """ARGV under vnode run."""
    return ["vnode", "run", "--excache", excache, "--", *map(str, argv)]


def summary(result):
    """The last line of a test program."""
    assert result.status == 0, result.stderr + result.stdout
    return json.loads(result.stdout.splitlines()[-1])


def as_here(command):
    """What COMMAND prints on this machine, whose files the guest's are, too."""
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True,
                          check=True, cwd="/tmp",
                          env={**os.environ, "LANG": "C.UTF-8", "LC_ALL": ""}).stdout


def policies():
    """Those that vnode knows."""
    text = subprocess.run([os.path.join(REPO, "userland/vnode"), "--help"],
                          capture_output=True, text=True, check=False).stdout
    line = next(line for line in text.splitlines() if "set policy" in line)
    return line.split("set policy", 1)[1].split()[0].split("|")


@pytest.mark.parametrize("policy", policies())
def test_pattern(host, policy):
    """Four threads in three times the ExCache; pages dropped in between."""
    host.run(["vnode", "set", "policy", policy])
    before = fetched(host)
    out = summary(host.run(tagged("1M", f"{PROGRAMS}/pattern", "--mb", 3, "--ops", 3000,
                                  "--dontneed", 3), timeout=120))
    assert out["bad"] == 0
    assert fetched(host) > before + 300


def test_mapped_around(host):
    """Two threads read in sequence: a fault maps pages that follow, too."""
    before = modules(host)["pmon"]["mapped_around"]
    out = summary(host.run(tagged("2M", f"{PROGRAMS}/scan", "--mb", 4, "--push-mb", 4,
                                  "--threads", 2, "--order", "forward"), timeout=300))
    assert out["bad"] == 0
    assert modules(host)["pmon"]["mapped_around"] > before + 100


def test_threads_share_pages(host):
    out = summary(host.run(tagged("512K", f"{PROGRAMS}/pattern", "--shared", "--mb", 1,
                                  "--threads", 8, "--ops", 1500), timeout=120))
    assert out["bad"] == 0


def test_fork_snapshots(host):
    out = summary(host.run(tagged("512K", f"{PROGRAMS}/forksnap", "--writers", 4,
                                  "--pages", 24, "--forks", 5), timeout=120))
    assert out["bad"] == 0 and out["forks"] == 5


def test_shadow(host):
    """Whatever threads and forks do to their memory, at random."""
    out = summary(host.run(tagged("1M", f"{PROGRAMS}/shadow", "--threads", 3, "--ops", 900,
                                  "--forks", 5), timeout=600))
    assert out["bad"] == 0


def test_semantics(host):
    result = host.run(tagged("1M", f"{PROGRAMS}/semantics", "--tagged", "--cycle-mb", 2),
                      timeout=300)
    assert result.status == 0


def test_bash_pipelines(host):
    script = ("for i in 1 2; do ls -R /usr/share/doc/lib* | head -200 | sort | "
              "awk '{ n[substr($0, 1, 1)]++ } END { for (c in n) print c, n[c] }' | "
              "sort | tail -5; (cd /; echo $(pwd)); done; printf '%s\\n' $(seq 30) | "
              "while read a; do echo $((a * a)); done | sha1sum")
    assert host.run(tagged("1M", "bash", "-c", script), timeout=120).stdout == as_here(script)


PYTHON = """
import hashlib, multiprocessing, subprocess, threading
data = [bytearray(range(256)) * 512 for _ in range(8)]
def work(i):
    for _ in range(2):
        data[i][i::4096] = bytes(len(data[i][i::4096]))
threads = [threading.Thread(target=work, args=(i,)) for i in range(len(data))]
[t.start() for t in threads]; [t.join() for t in threads]
def digest(i):
    data[i][7] = i
    return hashlib.sha256(data[i]).hexdigest()
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(digest, range(len(data))))
print(subprocess.run(['sort', '-r'], input='a\\nc\\nb\\n', text=True,
                     capture_output=True).stdout)
print(hashlib.sha256(b''.join(data)).hexdigest())
"""


def test_python(host, tmp_path):
    (tmp_path / "job.py").write_text(PYTHON)
    host.write_file("/root/job.py", PYTHON)
    ours = host.run(tagged("6M", "/usr/bin/python3", "/root/job.py"), timeout=200)
    assert ours.stdout == as_here(f"/usr/bin/python3 {tmp_path}/job.py")


def test_gcc(host):
    source = os.path.join(REPO, "tests/cluster/programs/faultcost.c")
    command = f"gcc -O0 -std=gnu11 -pthread -S -o - {source}"
    ours = host.run(tagged("4M", "/bin/sh", "-c", f"{command} | sha1sum"), timeout=300)
    assert ours.stdout.split()[0] == hashlib.sha1(as_here(command).encode()).hexdigest()


def test_killed_in_the_middle(host):
    """Several at once, SIGKILL while they miss, fork and exit."""
    argv = [tagged("512K", f"{PROGRAMS}/pattern", "--mb", 2, "--seconds", 600),
            tagged("256K", f"{PROGRAMS}/forksnap", "--pages", 24, "--forks", 100000),
            tagged("1M", f"{PROGRAMS}/pattern", "--mb", 2, "--seconds", 600)]
    for _ in range(2):
        processes = [host.spawn(each) for each in argv]
        start = modules(host)["pmon"]["misses"]
        while modules(host)["pmon"]["misses"] < start + 300:
            assert all(each.poll() is None for each in processes)
            time.sleep(0.5)
        assert all([each.kill(wait=20) for each in processes])


def test_memory_host_leaves(host):
    """rmmod under a program: SIGBUS, words, and the next one runs."""
    process = host.spawn(tagged("512K", f"{PROGRAMS}/pattern", "--mb", 2, "--seconds", 600,
                                "--expect-sigbus"))
    start = modules(host)["pmon"]["misses"]
    while modules(host)["pmon"]["misses"] < start + 100:
        assert process.poll() is None, process.output("err")
        time.sleep(0.5)
    host.unload("mmon")
    assert process.wait(60).status in SIGBUS, process.output("err")
    host.load("mmon", memory_mb=MEMORY_MB)
    host.run(["vnode", "wait", "--memory-hosts", "1", "--timeout", "600"], timeout=60)
    out = summary(host.run(tagged("512K", f"{PROGRAMS}/pattern", "--mb", 1, "--ops", 300)))
    assert out["bad"] == 0


def test_load_and_unload(cluster, host):
    """All modules go and come again, twice, with a program in between."""
    for _ in range(2):
        cluster.leave()
        assert not {"pmon", "mmon", "gmm", "lite_rpc"} & host.loaded()
        cluster.join()
        host.run(tagged("512K", f"{PROGRAMS}/pattern", "--mb", 1, "--ops", 300))


def test_transport(host):
    """Calls of all kinds by the benchmark's module, which then goes."""
    host.load(BENCH, role="both")
    host.write_file("/sys/kernel/debug/lite_bench/run", "bench 20\n")
    rows = host.read_file("/sys/kernel/debug/lite_bench/result").splitlines()
    host.unload("lite_bench")
    assert rows and all("error" not in json.loads(row) for row in rows)
