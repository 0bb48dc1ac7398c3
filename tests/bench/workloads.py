# SPDX-License-Identifier: GPL-2.0
"""What is run: programs of tests/bench/workloads, and at which size."""

import os
from typing import NamedTuple

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PROGRAMS = os.path.join(REPO, "build/programs/bench")
SOURCES = os.path.join(REPO, "tests/bench/workloads")
TENSORFLOW = "/var/cache/splitkernel/tensorflow/bin/python3"

# The same bits in each run.
ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8",
               "OMP_NUM_THREADS": "1"}


class Workload(NamedTuple):
    """A program with its arguments."""

    name: str
    threads: int
    command: tuple
    phases: tuple = ()      # of a program that waits at gates; else it has one
    timeout: int = 300      # seconds until the watchdog ends it

    @property
    def needs(self):
        """The file without which it cannot run."""
        return self.command[0]


MICRO_PHASES = ("first_touch", "settle", "seq_read", "random_read", "stride_read",
                "zipf_read", "seq_write", "random_write", "stride_write", "zipf_write",
                "verify")
# No results: what comes after the one would be dirty, else; the other is a check.
UNREPORTED = ("settle", "verify")
# The exit status of a workload that read what it had not written (workload.h).
EXIT_WRONG = 3


class Size(NamedTuple):
    """How large a run of make bench is."""

    shares: tuple
    micro_mb: int
    micro_ops: int
    minutes: int            # then what is left is not run any more
    guest_ram_mb: int
    memory_mb: int          # pool of mmon
    excache_mb: int         # pool of pmon: the largest program at its largest share
    swap_mb: int            # of each swap device


SIZES = {
    "tiny": Size((50,), 4, 200, 10, 768, 128, 16, 64),
    "quick": Size((50, 25), 24, 1000, 17, 1024, 192, 32, 128),
    "programs": Size((50, 25), 0, 0, 60, 3072, 768, 256, 512),
    "full": Size((100, 50, 25, 12.5), 64, 4000, 24 * 60, 4096, 1536, 1024, 1024),
}


def micro(size, threads, timeout):
    """The ways through memory."""
    return Workload("micro", threads, (f"{PROGRAMS}/micro", "--mb", str(size.micro_mb),
                                       "--ops", str(size.micro_ops),
                                       "--threads", str(threads)), MICRO_PHASES, timeout)


def program(name, threads, *arguments, timeout=300):
    """One of our own."""
    return Workload(name, threads, (f"{PROGRAMS}/{name}", *map(str, arguments)),
                    timeout=timeout)


def redis(keys, ops, timeout):
    """A server and its client."""
    return Workload("redis", 1, (f"{PROGRAMS}/kvload", "--keys", str(keys), "--ops", str(ops)),
                    timeout=timeout)


def tensorflow(timeout, *arguments):
    """Training."""
    return Workload("tensorflow", 1, (TENSORFLOW, f"{SOURCES}/train.py", *map(str, arguments)),
                    timeout=timeout)


def chosen(name):
    """(Size, [Workload]) of the bench NAME."""
    size = SIZES[name]
    if name == "programs":
        return size, [redis(8000, 2000, 600),
                      tensorflow(900, "--steps", 1, "--batch", 8, "--images", 16)]
    if name == "tiny":
        return size, [micro(size, 1, 300), program("wordcount", 1, "--mb", 2)]
    if name == "quick":
        return size, [micro(size, 1, 150), micro(size, 4, 150),
                      program("wordcount", 4, "--mb", 8, "--threads", 4, timeout=150)]
    return size, [
        micro(size, 1, 3600), micro(size, 4, 3600),
        program("quicksort", 1, "--mb", 64, timeout=3600),
        program("kmeans", 4, "--mb", 64, "--threads", 4, timeout=3600),
        program("wordcount", 4, "--mb", 64, "--threads", 4, timeout=3600),
        redis(40000, 20000, 3600), tensorflow(4 * 3600, "--steps", 3),
    ]
