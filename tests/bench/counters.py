# SPDX-License-Identifier: GPL-2.0
"""What is counted during a run. docs/bench.md says what each figure means."""

import json
from typing import NamedTuple

from systems import GROUP

PAGE = 4096
TICKS = 100                 # USER_HZ
# Of the line "cpu" of /proc/stat: all but idle and iowait.
BUSY = (0, 1, 2, 5, 6)
MANAGED = ("reads", "waits_for_line", "soft_faults", "rescues", "fetch_retries", "checksum_errors")
LINK = "/sys/class/net/eth0/statistics"


class Counted(NamedTuple):
    """Counters at one point in time, or what was counted between two."""

    major_faults: int
    bytes_in: int
    bytes_out: int
    cpu_processor: float
    cpu_memory: float
    link_in: int
    link_out: int
    # Of splitkernel, otherwise 0.
    reads: int = 0
    waits_for_line: int = 0
    soft_faults: int = 0
    rescues: int = 0
    fetch_retries: int = 0
    checksum_errors: int = 0

    def since(self, before):
        """What was counted from BEFORE to this."""
        return Counted(*(round(now - then, 2) for now, then in zip(self, before)))


def named(host, path):
    """{name: number} of a file with a name and a number in each line."""
    pairs = (line.split() for line in host.read_file(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def busy(host):
    """Seconds that the CPUs of HOST were not idle."""
    words = host.read_file("/proc/stat").splitlines()[0].split()[1:]
    return sum(int(words[index]) for index in BUSY) / TICKS


def pmon(host):
    """pmon's counters."""
    return json.loads(host.run(["vnode", "status", "--json"]).stdout)["modules"]["pmon"]


def now(bed, managed):
    """All counters of BED; MANAGED: the program's memory is splitkernel's."""
    processor, more = bed.processor, []
    if managed:
        ours = pmon(processor)
        pages = (ours["misses"], ours["misses"] + ours["prefetch_issued"],
                 ours["flushed_pages"])
        more = [ours[name] for name in MANAGED]
    else:
        swap = named(processor, "/proc/vmstat")
        pages = (named(processor, f"{GROUP}/memory.stat")["pgmajfault"],
                 swap["pswpin"], swap["pswpout"])
    link = [int(processor.read_file(f"{LINK}/{way}_bytes")) for way in ("rx", "tx")]
    return Counted(pages[0], pages[1] * PAGE, pages[2] * PAGE, busy(processor),
                   busy(bed.memory), *link, *more)
