# SPDX-License-Identifier: GPL-2.0
"""The two hosts that all systems are measured on."""

import contextlib
import json
import os
import sys

from rig import REPO, Cluster, LogFailure, RigError

import disk
from systems import CGROUPS, GROUP

BENCH = os.path.join(REPO, "tests/modules/lite_bench.ko")
LITE = "/sys/kernel/debug/lite_bench"


class Testbed:
    """A processor and a memory host, as a context manager: booted once for all runs.

    DEVICES: more of QEMU's arguments, {role: [words]}. After a hang it is booted
    again by restart(); what was measured of the link and how slow the disk is
    stays as it was.
    """

    def __init__(self, size, cpus=1, devices=None):
        self.size, self.cpus, self.devices = size, cpus, devices or {}
        self.cluster = self.processor = self.memory = self.disk = None
        self.read_us = self.bandwidth = self.throttle = None
        self.boots = 0

    def __enter__(self):
        self._boot()
        try:
            self.read_us, self.bandwidth = self.measure_link()
            self.throttle = self.disk.throttle(self.read_us)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *error):
        # A kernel that complains is a result of the run that it complained in.
        self.cluster.gate = False
        self.cluster.__exit__(*error)

    def restart(self):
        """Boots both hosts anew."""
        self.__exit__(None, None, None)
        self._boot()
        self.disk.throttle(self.read_us)

    def complaint(self):
        """What a kernel complained about since the last call: one line, or none."""
        try:
            self.cluster.check_logs()
        except LogFailure as failure:
            return str(failure).splitlines()[1]
        return ""

    def _boot(self):
        size = self.size
        self.cluster = Cluster(
            memory_mb=size.memory_mb, excache_mb=size.excache_mb,
            guest_ram_mb=size.guest_ram_mb, smp=self.cpus,
            devices={**self.devices, "processor": disk.devices(size.swap_mb)
                     + self.devices.get("processor", [])})
        # pylint: disable=unnecessary-dunder-call # as long as this object lives
        self.cluster.__enter__()
        self.boots += 1
        self.processor = self.cluster.processors[0]
        self.memory = self.cluster.memory_hosts[0]
        self.disk = disk.Disk(self.processor)
        self.processor.run(f"""set -e
            echo never > /sys/kernel/mm/transparent_hugepage/enabled
            echo N > /sys/module/zswap/parameters/enabled
            echo '+memory +cpu' > {CGROUPS}/cgroup.subtree_control
            mkdir {GROUP}""")

    def measure_link(self):
        """Latency of a READ of a page in the kernel (us), bandwidth of large ones (MB/s).

        As they are now: other users of the machine make both drift.
        """
        with self.lite_bench():
            row = self.transfer("read_4k", 1000)
        return round(row["p50_ns"] / 1000, 1), self._bandwidth()

    @contextlib.contextmanager
    def lite_bench(self):
        """While transfer() can be called."""
        self.memory.load(BENCH, role="server")
        self.processor.load(BENCH, role="client", peer=self.memory.address)
        yield
        self.processor.unload("lite_bench")
        self.memory.unload("lite_bench")

    def transfer(self, name, count):
        """lite_bench's row of the operation NAME, COUNT times."""
        self.processor.write_file(f"{LITE}/run", f"one {name} {count}\n")
        row = json.loads(self.processor.read_file(f"{LITE}/result").splitlines()[-1])
        if "p50_ns" not in row:
            raise RigError(f"lite_bench: {row}")
        return row

    def _bandwidth(self):
        """MB/s of READs of 64 KiB from user space, as perftest measures it."""
        words = ["ib_read_bw", "-d", "rxe0", "-s", "65536", "-n", "300", "-F", "--report_gbits"]
        server = self.memory.spawn(words)
        try:
            # It says nothing when it listens.
            answer = self.processor.run(
                f"for i in $(seq 20); do {' '.join(words)} {self.memory.address} && exit; "
                "sleep 0.5; done; exit 1", timeout=180).stdout
        finally:
            server.kill()
        rows = [line.split() for line in answer.splitlines() if line.split()[:1] == ["65536"]]
        if not rows:
            raise RigError(f"ib_read_bw says no bandwidth:\n{answer}")
        return round(float(rows[-1][3]) * 1000 / 8, 1)
