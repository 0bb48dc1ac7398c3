# SPDX-License-Identifier: GPL-2.0
"""The programs that run while something fails, and what is asked of them at the end."""

import json
import os
import re
import time

from rig import REPO

VERSIONS = os.path.join(REPO, "build/programs/versions")
# Its handler told, or what its handler needs was lost as well.
SIGBUS = (42, 128 + 7)
LONGEST = 600           # seconds a program runs if nobody ends it
READY = 120             # seconds it has to write all its pages
PROGRESS = re.compile(r"^second \d+:([ \d]+)$", re.MULTILINE)


class Bad(AssertionError):
    """A judgement: what went wrong, in words."""


class Workload:
    """programs/versions on the first processor host. Use it as a context manager.

    What it does is drawn from CHANCE; MORE are options of it that are not, as
    mb=4. EXCACHE None: not tagged. REPLICAS are asked for if it is not 0.
    """

    def __init__(self, cluster, chance, excache="drawn", replicas=0, ready=READY, **more):
        self.cluster, self._ready = cluster, ready
        if excache == "drawn":
            excache = chance.choice(["512K", "1M"])
        options = {"threads": chance.choice([2, 3, 4]), "mb": chance.choice([2, 3, 4]),
                   "writes": chance.choice([20, 40, 70]), "seed": chance.randrange(1 << 32),
                   "seconds": LONGEST, **more}
        self.argv = [VERSIONS, *(word for name, value in options.items()
                                 for word in (f"--{name}", str(value)))]
        if excache:
            copies = ["--replicas", str(replicas)] if replicas else []
            self.argv = ["vnode", "run", "--excache", excache, *copies, "--", *self.argv]
        self.process = None

    def start(self):
        """Starts it, without waiting until it has written all its pages."""
        self.process = self.cluster.processors[0].spawn(self.argv)
        return self

    def __enter__(self):
        self.start()
        self._wait(lambda: "ready\n" in self.process.output(), self._ready, "it is not ready")
        return self

    def __exit__(self, *error):
        if self.cluster.processors[0].alive():
            self.process.kill()

    def tenths(self):
        """The operations of each tenth of a second so far: those of whole seconds."""
        return [int(word) for line in PROGRESS.findall(self.process.output())
                for word in line.split()]

    def operations(self):
        """How many were told so far."""
        return sum(self.tenths())

    def reach(self, more, timeout=120):
        """Waits until MORE operations have ended."""
        goal = self.operations() + more
        self._wait(lambda: self.operations() >= goal, timeout, f"no {more} operations")

    def go_on(self, timeout=120):
        """Waits until operations have ended in a second that began after this call."""
        # One second may have begun, and the line of another be on its way.
        first = len(self.tenths()) + 20
        self._wait(lambda: any(self.tenths()[first:]), timeout, "it does not go on")

    def _wait(self, condition, timeout, words):
        end = time.monotonic() + self.cluster.patience(timeout)
        while not condition():
            if self.process.poll() is not None:
                raise Bad(f"versions ended: {self._told()}")
            if time.monotonic() > end:
                raise Bad(f"versions: {words} within {timeout} s: {self._told()}")
            time.sleep(0.1)

    def _told(self):
        result = self.process.result()
        return f"status {result.status}\n{result.stderr}{result.stdout[-2000:]}"

    def _summary(self):
        """Its last line, if it came to write one."""
        try:
            return json.loads(self.process.output().splitlines()[-1])
        except (ValueError, IndexError):
            return {}

    def finish(self, timeout=180):
        """Ends it, if it has not ended; its summary. Bad if a page was."""
        self.process.kill("TERM", wait=0)
        status = self.process.wait(timeout).status
        summary = self._summary()
        if status or not summary or summary["bad"] or \
                summary["hash"] != summary["expected_hash"]:
            raise Bad(f"versions: {self._told()}")
        return summary

    def lost(self, timeout=120):
        """Waits until it has ended by SIGBUS; its summary, if it wrote one."""
        status = self.process.wait(timeout).status
        summary = self._summary()
        if status not in SIGBUS or summary.get("bad"):
            raise Bad(f"versions did not just end by SIGBUS: {self._told()}")
        return summary
