# SPDX-License-Identifier: GPL-2.0
"""All runs of one make bench: which, in which order, for how long."""

import os
import subprocess
import time

from rig import (CommandFailed, CommandTimeout, HostDown, HostStuck, RigError,
                 have_kvm)

import results
import runner
import systems
import tables
from testbed import Testbed


def say(text):
    """To the person who waits."""
    print(text, flush=True)


class Bench:
    """All runs of one make bench."""

    def __init__(self, args, size, chosen):
        self.args, self.size, self.workloads = args, size, chosen
        self.systems = systems.chosen(args.systems)
        self.shares = args.shares or size.shares
        self.end = time.monotonic() + 60 * (args.minutes or size.minutes)
        self.path = os.path.join(args.output, "results.json")
        self.document = {"header": {}, "runs": []}
        self.boots = 0
        self.peaks, self.checksums, self.wrong = {}, {}, []

    def run(self):
        """Everything; what is not done in time is recorded as such."""
        with Testbed(self.size, self.args.cpus) as bed:
            self.document["header"] = self._header(bed)
            for number in range(self.args.rounds):
                self._each_system(bed, number)
            self.boots = bed.boots
        self._save()

    def _header(self, bed):
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=systems.REPO,
                                text=True, capture_output=True, check=False).stdout.strip()
        say(f"READ of 4 KiB: p50 {bed.read_us} us; of 64 KiB: {bed.bandwidth} MB/s; "
            f"disk: {bed.throttle}")
        return {"kernel": bed.cluster.kernel.version, "commit": commit or "unknown",
                "date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
                "read_4k_p50_us": bed.read_us, "read_bandwidth_mb_s": bed.bandwidth,
                "links": {},
                "parameters": {
                    "size": self.args.size, "shares": list(self.shares),
                    "rounds": self.args.rounds,
                    "emulation": not have_kvm(), "cpus": bed.cpus,
                    "excache_mb": self.size.excache_mb,
                    "swap_mb": self.size.swap_mb, "guest_ram_mb": self.size.guest_ram_mb,
                    "disk": bed.throttle, "thp": "never", "zswap": "off",
                    "workloads": {f"{each.name} {each.threads}": " ".join(
                        os.path.basename(word) for word in each.command)
                        for each in self.workloads}}}

    def _each_system(self, bed, number):
        """In turn, so that the machine's drift is nobody's; what all are compared with, once."""
        for system in self.systems:
            if number and system.name == results.BASE:
                continue
            say(f"==== {system.title}")
            try:
                self._link_before(bed, system)
                system.start(bed)
                self._runs_of(bed, system)
                system.stop(bed)
            except (RigError, runner.Broken, CommandFailed, CommandTimeout) as error:
                self._add([self._lost(system, f"{type(error).__name__}: {error}")])
                bed.restart()

    def _link_before(self, bed, system):
        """The machine is shared: what the link gave just before a system's runs."""
        latency, bandwidth = bed.measure_link()
        say(f"     READ of 4 KiB: p50 {latency} us; of 64 KiB: {bandwidth} MB/s")
        self.document["header"]["links"].setdefault(system.name, []).append({
            "read_4k_p50_us": latency, "read_bandwidth_mb_s": bandwidth})

    def _runs_of(self, bed, system):
        for page_cluster in self._page_clusters(system):
            for workload in self.workloads:
                for share in (None,) if system.name == results.BASE else self.shares:
                    run = runner.Run(bed, system, page_cluster, workload, share,
                                     self._limit(workload, share))
                    self._one(bed, system, run)

    def _page_clusters(self, system):
        """The ones asked for; of a system that has none, none."""
        return [each for each in system.page_clusters
                if each is None or each in self.args.page_clusters]

    def _limit(self, workload, share):
        """Bytes: SHARE percent of what the program had without limit, whole pages."""
        if share is None:
            return None
        peak = self.peaks.get((workload.name, workload.threads))
        return peak and int(peak * 1024 * share / 100) // 4096 * 4096

    def _one(self, bed, system, run):
        workload = run.workload
        if run.share is not None and run.limit is None:
            self._add([run.failed("not run: its run without limit failed")])
            return
        if not os.path.exists(workload.needs):
            self._add([run.failed(f"not run: {workload.needs} is missing, tests/setup --bench")])
            return
        if time.monotonic() > self.end:
            self._add([run.failed("not run: the time given is over")])
            return
        try:
            rows = run.records()
        except (HostDown, HostStuck, runner.Broken) as error:
            rows = [run.failed(f"hang: {runner.first_line(str(error))}")]
        complaint = bed.complaint()
        if complaint and rows:
            rows[-1]["note"] += f"; the kernel complained: {runner.first_line(complaint)}"
        self._compare(run, rows)
        self._keep_consoles(bed, rows)
        if run.peak_kib and run.share is None:
            self.peaks[workload.name, workload.threads] = run.peak_kib
        self._add(rows)
        if not runner.usable(bed):
            say("     the hosts are unusable after it: booting again")
            bed.restart()
            system.start(bed)

    def _keep_consoles(self, bed, rows):
        """Of a run that failed: the hosts may be booted again before anybody looks."""
        failed = [row for row in rows if row["seconds"] is None]
        if not failed:
            return
        number = len(self.document["runs"])
        for host in (bed.processor, bed.memory):
            path = os.path.join(self.args.output, f"failed-{number}-{host.name}.log")
            with open(path, "wb") as log:
                log.write(host.vm.console_bytes())
        failed[-1]["note"] += f"; consoles in failed-{number}-*.log"

    def _compare(self, run, rows):
        """A result that differs from the one without limit is none."""
        for row in rows:
            found = run.checksums.get(row["workload"])
            expected = self.checksums.setdefault(results.key(row), found)
            if found and found != expected:
                results.spoil(row, f"{found}, not {expected}")
            if results.is_wrong(row):
                self.wrong.append(row)

    def _lost(self, system, note):
        return results.record(system=system.name, workload="set-up", threads=0,
                              note=runner.first_line(note))

    def _add(self, rows):
        self.document["runs"] += rows
        results.fill_slowdowns(self.document["runs"])
        for row in rows:
            say(tables.line(row))
        self._save()

    def _save(self):
        if self.document["header"]:
            results.save(self.path, self.document)
