# SPDX-License-Identifier: GPL-2.0
"""Real programs, tagged: the output is that of the untagged run.

Each job runs untagged first. Its output is what the tagged run must print, and
a quarter of the peak RSS of its largest process is the ExCache that the tagged
run gets: text and page cache count in the RSS and are not managed, but a quarter
is little for any of these. A job must miss, or it shows nothing.

Emulated, gcc is given another try for objects that differ, if they are few: QEMU
restarts an instruction wrongly that cc1 has, see programs/restart.c.

CI runs the light ones, small; SK_LONG (make test-long, make test-programs) all
of them. What was seen is appended to build/programs.json.
"""

import json
import os
import shutil
import time
from typing import NamedTuple

import pytest

from rig import REPO, Cluster

LONG = bool(os.environ.get("SK_LONG"))
PROGRAMS = os.path.join(REPO, "build/programs")
JOBS = os.path.join(REPO, "tests/cluster/jobs")
RESULTS = os.path.join(REPO, "build/programs.json")
SHARE = 4           # the ExCache is one part in so many of the peak RSS
SMALLEST_MB = 1
TIMEOUT = 5000 if LONG else 1200

# The same sums in the same order, the same hashes, no other threads than asked.
ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1",
               "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
               "MKL_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}


class Job(NamedTuple):
    """A program at work. SIZE: for CI (0: too heavy for it), in the long run."""

    name: str
    needs: str          # the program without which it cannot run
    command: str        # {} is the size, {jobs} the directory of this file's jobs
    size: tuple
    prepare: str = ""
    misses: int = 200   # at least


ALL = [
    Job("perl", "perl", "perl {jobs}/words.pl {}", (6_000, 25_000)),
    Job("sqlite3", "sqlite3",
        "(echo 'CREATE TABLE size(max); INSERT INTO size VALUES ({});'; "
        "cat {jobs}/sort.sql) | sqlite3 :memory:", (4_000, 20_000)),
    Job("numpy", "/usr/bin/python3", "/usr/bin/python3 {jobs}/arrays.py {}", (2, 16)),
    Job("redis", "redis-server", "{jobs}/redis.sh {}", (1_000, 20_000)),
    Job("gcc", "gcc", "{jobs}/build.sh", (0, 60),
        prepare="rm -rf /tmp/project; {jobs}/make-project /tmp/project {}"),
    Job("node", "/usr/bin/node", "/usr/bin/node {jobs}/objects.js {}", (0, 60_000)),
    Job("java", "java", "java -Xmx48m -Xshare:auto -cp /tmp/java Churn {}", (0, 4_000),
        prepare="javac -J-Xmx256m -d /tmp/java {jobs}/Churn.java"),
    Job("pytorch", "/usr/bin/python3", "/usr/bin/python3 {jobs}/train.py {}", (0, 4)),
]
CHOSEN = [job for job in ALL if job.size[LONG]]


@pytest.fixture(scope="module", name="cluster")
def two_hosts():
    with Cluster(memory_mb=1024, excache_mb=192, guest_ram_mb=1536) as cluster:
        yield cluster


def counters(host, module):
    """Counters of MODULE on HOST."""
    return json.loads(host.run(["vnode", "status", "--json"]).stdout)["modules"][module]


def filled(job, text):
    """TEXT with the job's size and directory."""
    return text.replace("{jobs}", JOBS).replace("{}", str(job.size[LONG]))


def record(**what):
    """Appends to the list of what was seen."""
    print(what)
    rows = []
    if os.path.exists(RESULTS):
        with open(RESULTS, encoding="utf-8") as file:
            rows = json.load(file)
    with open(RESULTS, "w", encoding="utf-8") as file:
        json.dump([*rows, what], file, indent=1)


def machine_errs(host):
    """Is what an interrupted instruction stores wrong, without our doing?"""
    result = host.run([f"{PROGRAMS}/restart"], check=False)
    assert result.status in (0, 1), result
    return result.status == 1


def differing(plain, ours):
    """Objects that are not the same in the two; None if that is not all, or too many."""
    plain, ours = plain.splitlines(), ours.splitlines()
    pairs = [(a, b) for a, b in zip(plain, ours) if a != b]
    names = [a.split()[0] for a, b in pairs if a.split()[0] == b.split()[0]]
    objects = [name for name in names if name.endswith(".o")]
    few = len(objects) <= max(1, len(plain) // 10)
    known = len(objects) + ("program" in names) == len(pairs)
    return objects if few and known and len(plain) == len(ours) else None


def test_what_is_built_again():
    """A few objects that differ, and the program of them; nothing else is forgiven."""
    plain = "sum 1\n" + "".join(f"m{n}.o hash{n}  -\n" for n in range(30)) + "program p\n"
    other = plain.replace("hash3 ", "another ")
    assert differing(plain, plain) == []
    assert differing(plain, other) == differing(plain, other.replace("p\n", "q\n")) == ["m3.o"]
    assert differing(plain, plain.replace("sum 1", "sum 2")) is None
    assert differing(plain, plain.replace("hash", "x")) is None
    assert differing(plain, other + "more\n") is None


def compiled_again(host, plain, ours, tagged):
    """OURS, after a new build of what differs; and how many objects that were."""
    built = 0
    for _ in range(3):
        objects = differing(plain.stdout, ours.stdout)
        if ours.status or not objects or not machine_errs(host):
            break
        built += len(objects)
        ours = tagged(["/bin/bash", f"{JOBS}/build.sh", *objects])
    return ours, built


@pytest.mark.parametrize("job", CHOSEN, ids=lambda job: job.name)
def test_program(cluster, job):
    if not shutil.which(job.needs):
        pytest.fail(f"{job.needs} is not installed: tests/setup"
                    + (" --programs" if not job.size[0] else ""))
    host = cluster.processors[0]
    if job.prepare:
        host.run(filled(job, job.prepare), timeout=TIMEOUT, env=ENVIRONMENT)
    command = ["/bin/bash", "-c", filled(job, job.command)]
    plain = host.run([f"{PROGRAMS}/peakrss", "/tmp/peak", *command], timeout=TIMEOUT,
                     env=ENVIRONMENT)
    assert len(plain.stdout) > 20
    peak = int(host.read_file("/tmp/peak"))
    excache = max(peak // SHARE, SMALLEST_MB << 10)
    if job.name == "sqlite3":
        assert int(plain.stdout.split()[0]) > excache << 10, "the table is too small"

    def tagged(command):
        return host.run(["vnode", "run", "--excache", f"{excache}K", "--", *command],
                        timeout=TIMEOUT, check=False, env=ENVIRONMENT)

    before = counters(host, "pmon")
    start = time.monotonic()
    ours, again = tagged(command), 0
    seconds = time.monotonic() - start
    after = counters(host, "pmon")
    if job.name == "gcc":
        ours, again = compiled_again(host, plain, ours, tagged)
    misses = after["misses"] - before["misses"]
    equal = (ours.status, ours.stdout) == (plain.status, plain.stdout)
    record(program=job.name, size=job.size[LONG], kernel=cluster.kernel.version,
           peak_rss_kib=peak, excache_kib=excache, misses=misses,
           evictions=after["evictions"] - before["evictions"],
           forks=after["forks"] - before["forks"], seconds=round(seconds), equal=equal,
           again=again)
    assert (ours.status, ours.stdout) == (plain.status, plain.stdout), ours.stderr
    assert misses >= job.misses
    end = time.monotonic() + 30
    while counters(host, "pmon")["lines_free"] != after["lines_total"]:
        assert time.monotonic() < end, "lines were not given back"
        time.sleep(0.2)
