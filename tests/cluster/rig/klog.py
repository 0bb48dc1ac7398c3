# SPDX-License-Identifier: GPL-2.0
"""The kernel log gate: what in a guest's kernel log fails a test.

The console log decides, because it survives a guest whose power is cut. Every
line that matches PATTERNS is a hit. Lines that follow it are shown with it, but
each hit is judged by itself: an expected warning hides nothing that comes after.
"""

import re
from typing import NamedTuple

PATTERNS = re.compile("|".join([
    # anything that dies or warns
    r"\bWARNING:", r"\bBUG:", r"kernel BUG at", r"\bOops\b", r"Kernel panic",
    r": [0-9a-f]{4} \[#\d+\]", r"general protection fault",
    r"[Uu]nable to handle (kernel|page fault)", r"double fault", r"stack guard page",
    r"\brig: ",        # the guest's set-up failed
    # stuck
    r"blocked for more than \d+ seconds", r"soft lockup", r"hard LOCKUP",
    r"detected (expedited )?stalls?", r"self-detected stall", r"kthread starved",
    r"workqueue lockup", r"task hung",
    # locking
    r"suspicious RCU usage", r"possible circular locking", r"possible recursive locking",
    r"possible irq lock inversion", r"inconsistent lock state", r"bad unlock balance",
    r"Invalid wait context", r"lock held when returning", r"held lock freed",
    r"still has locks held", r"locks? held by .* exit", r"nested lock was not taken",
    r"scheduling while atomic", r"sleeping function called", r"bad contention detected",
    r"DEBUG_LOCKS_WARN_ON",
    # memory
    r"BUG [^:]*: ", r"Objects remaining", r"[Bb]ad page", r"Bad rss-counter",
    r"Bad swap", r"UBSAN:", r"KASAN:", r"KFENCE:", r"KCSAN:", r"KMSAN:",
    r"kmemleak: \d+ new", r"refcount_t:", r"list_(add|del) corruption",
    r"ODEBUG:", r"percpu ref .* <= 0", r"page allocation failure",
    r"Out of memory: ", r"invoked oom-killer", r"non-zero pgtables_bytes",
    r"VFS: (Busy|Close)", r"unregister_netdevice: waiting",
]))

# Lines that match PATTERNS and mean nothing. Each says why.
HARMLESS = [
    (r"rig: mark ", "the rig's own marks"),
]

# Warnings of the stock kernel's rdma_rxe (6.1) when a peer or a link goes away.
# A test that cuts something may allow them; no other.
RXE_LINK_CUT = [
    (r"WARNING: .* at drivers/infiniband/sw/rxe/rxe_comp\.c:\d+ ",
     "rxe posts a work completion without a status after a link interruption"),
    (r"WARNING: .* at drivers/infiniband/sw/rxe/rxe_pool\.c:\d+ ",
     "rxe waits for the work of a queue pair whose peer is dead"),
]

# How many of the lines after a hit are worth showing.
CONTEXT = 40
_END = re.compile(r"---\[ end trace|---\[ end Kernel panic")


class Hit(NamedTuple):
    """One line that matched, at byte OFFSET of HOST's log, and what follows it."""

    host: str
    offset: int
    line: str
    context: tuple

    def __str__(self):
        return "\n".join([f"{self.host}: {self.line}",
                          *(f"    {line}" for line in self.context)])


def scan(host, data, start=0):
    """All hits in DATA, the bytes of HOST's console log from offset START on."""
    # One character per byte, so that offsets are offsets in the file.
    lines = data.decode("latin-1").split("\n")
    offset, hits = start, []
    for number, line in enumerate(lines):
        if PATTERNS.search(line) and not allowed(line, HARMLESS):
            hits.append(Hit(host, offset, line.strip(), _context(lines, number)))
        offset += len(line) + 1
    return hits


def _context(lines, number):
    context = []
    for line in lines[number + 1:number + 1 + CONTEXT]:
        if PATTERNS.search(line):
            break
        context.append(line.rstrip())
        if _END.search(line):
            break
    return tuple(context)


def allowed(line, allow):
    """The reason why LINE is allowed, or None. ALLOW is [(regex, reason)]."""
    for regex, reason in allow:
        if re.search(regex, line):
            return reason
    return None


def check_allow(allow):
    """ALLOW itself; complains about an entry without regex or written reason."""
    for entry in allow:
        regex, reason = entry
        re.compile(regex)
        if not reason.strip() or not regex.strip():
            raise ValueError(f"an allowed log line needs a regex and a reason: {entry}")
    return list(allow)
