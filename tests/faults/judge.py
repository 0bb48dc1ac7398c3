# SPDX-License-Identifier: GPL-2.0
"""What must hold after each scenario, whatever failed in it."""

import json
import time

from workload import Bad

# Must be back to zero on every host that has them, by module.
GAUGES = {
    "pmon": ["degraded", "regions"],
    "mmon": ["spaces", "replicas", "chunks_granted", "log_records"],
}
# A total and the part of it that must be free again.
POOLS = {
    "pmon": [("lines_total", "lines_free")],
    "mmon": [("frames_total", "frames_free")],
}
CLEAN_SECONDS = 30


def status(host):
    """The status document of HOST."""
    return json.loads(host.run(["vnode", "status", "--json"]).stdout)


def counters(host, module):
    """Counters of MODULE on HOST; none if it is not loaded."""
    return status(host)["modules"].get(module, {})


def frames_used(host):
    """Frames of memory host HOST that are in use."""
    mmon = counters(host, "mmon")
    return mmon["frames_total"] - mmon["frames_free"]


def wait_until(cluster, condition, words, timeout=60):
    """Waits for CONDITION; Bad with WORDS if it does not come to hold."""
    end = time.monotonic() + cluster.patience(timeout)
    while not condition():
        if time.monotonic() > end:
            raise Bad(f"{words}, after {timeout} s")
        time.sleep(0.2)


def wait_joined(cluster):
    """Waits until the first processor host can use all memory hosts."""
    cluster.processors[0].run(["vnode", "wait", "--memory-hosts",
                               str(len(cluster.memory_hosts)), "--timeout", "90"], timeout=100)


def left_over(cluster):
    """{"host module.counter": number} of what has not been given back."""
    left = {}
    for host in cluster.hosts:
        document = status(host)
        for module, values in document["modules"].items():
            found = {name: values[name] for name in GAUGES.get(module, [])}
            found |= {total: values[total] - values[free]
                      for total, free in POOLS.get(module, []) if total in values}
            left |= {f"{host.name} {module}.{name}": value for name, value in found.items()}
        left[f"{host.name} address spaces"] = len(document["spaces"])
    return {name: value for name, value in left.items() if value}


def wait_clean(cluster):
    """Waits until nothing is left on any host; Bad if something stays."""
    end = time.monotonic() + cluster.patience(CLEAN_SECONDS)
    while left_over(cluster):
        if time.monotonic() > end:
            raise Bad(f"not given back within {CLEAN_SECONDS} s: {left_over(cluster)}")
        time.sleep(0.2)


class Words:
    """Errors and warnings in a host's kernel log that come from here on.

    From its console: asking the host costs it seconds while a program runs there.
    """

    def __init__(self, host):
        self._host = host
        self._before = len(host.vm.console_bytes())

    def _new(self):
        return self._host.vm.console_bytes(self._before).decode(errors="replace")

    def require(self, *wanted):
        """Waits for each of WANTED; Bad if one does not come."""
        for text in wanted:
            wait_until(self._host.cluster, lambda text=text: text in self._new(),
                       f"{self._host.name}: no {text!r} in the kernel log:\n"
                       f"{self._new()[-3000:]}", 10)
