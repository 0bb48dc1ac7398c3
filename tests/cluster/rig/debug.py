# SPDX-License-Identifier: GPL-2.0
"""What a debug kernel (tests/debug) is asked when a cluster ends.

KASAN, lockdep and the rest complain in the kernel log, which klog.py judges.
Asked for here: whether anything leaked, and whether the checkers still look.
"""

from .errors import LogFailure, RigError
from .monitors import leave

KMEMLEAK = "/sys/kernel/debug/kmemleak"

# kmemleak believes in a leak only when the object is 5 s old, and reports what
# two scans in a row find.
SCAN = f"echo scan > {KMEMLEAK}; sleep 6; echo scan > {KMEMLEAK}; cat {KMEMLEAK}"

# Test modules, which use our modules and hence go first.
TEST_MODULES = ("sk_probe", "lite_bench")


def last_look(cluster):
    """Removes all our modules from all hosts and raises LogFailure for what remains."""
    hosts = [host for host in cluster.hosts if host.alive()]
    for host in hosts:
        for name in TEST_MODULES:
            if name in host.loaded():
                host.unload(name)
    leave(cluster, hosts)
    found = [text for host in hosts for text in (_watching(host), leaks(host)) if text]
    if found:
        raise LogFailure("\n".join(found))


def leaks(host):
    """What kmemleak has to say about HOST, or an empty string."""
    report = host.run(SCAN, timeout=120).stdout.strip()
    return f"{host.name}: kmemleak:\n{report}" if report else ""


def _watching(host):
    """Why lockdep does not look any more, or an empty string."""
    stats = host.read_file("/proc/lockdep_stats")
    lines = [line.split() for line in stats.splitlines() if "debug_locks:" in line]
    if not lines:
        raise RigError(f"{host.name}: /proc/lockdep_stats says nothing of debug_locks")
    return "" if lines[0][-1] == "1" else f"{host.name}: lockdep has switched itself off"
