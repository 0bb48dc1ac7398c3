# SPDX-License-Identifier: GPL-2.0
"""Runs one workload on one system, with a watchdog, and makes records of it."""

import json
import os
import time

from rig import CommandTimeout, HostDown, HostStuck, RigError

import counters
import workloads
from results import record, spoil
from systems import GROUP

GATE = "/run/rig/gate"
RSS_PROGRAM = os.path.join(workloads.REPO, "build/programs/peakrss")


class Broken(Exception):
    """The hosts cannot be used any more; what happened is the text."""


class Run:
    """WORKLOAD on SYSTEM with LIMIT bytes, which is SHARE percent of its peak."""

    def __init__(self, bed, system, page_cluster, workload, share=None, limit=None):
        self.bed, self.system, self.page_cluster = bed, system, page_cluster
        self.workload, self.share, self.limit = workload, share, limit
        self.checksums, self.peak_kib = {}, None
        self._managed = system.managed
        self._gate = os.path.join(bed.processor.vm.share, "gate")
        self._lines = []

    def records(self):
        """Runs it. Returns the records; raises Broken after those of a hang."""
        self._prepare()
        command = [RSS_PROGRAM, "/tmp/peak", *self.workload.command]
        if self.workload.phases:
            command += ["--gate", GATE]
        end = time.monotonic() + self.workload.timeout
        before = self._count()
        # peakrss outside: it is small, and not what is to be limited.
        process = self.bed.processor.spawn(
            command[:2] + self.system.limited(command[2:], self.limit),
            env=workloads.ENVIRONMENT)
        rows = []
        try:
            for name in self.workload.phases or (None,):
                line = self._phase(process, name, end)
                after = self._count()
                rows.append(self._record(line, after.since(before)))
                before = after
            status = self._wait(process, end).status
        except CommandTimeout:
            return reported(rows) + [self.failed(self._hang(process))]
        if status == workloads.EXIT_WRONG:
            return self._spoilt(rows, first_line(process.output("err")))
        if status:
            return [self.failed(self._why(status, process))]
        self.peak_kib = int(self.bed.processor.read_file("/tmp/peak"))
        return reported(rows)

    def _prepare(self):
        """An empty cgroup, no page cache: text is charged to who runs it now."""
        if os.path.isdir(self._gate):
            for name in os.listdir(self._gate):
                os.unlink(os.path.join(self._gate, name))
        os.makedirs(self._gate, exist_ok=True)
        self.system.settle(self.bed, self.page_cluster)
        self.bed.processor.run(f"rmdir {GROUP} && mkdir {GROUP} && sync && "
                               "echo 3 > /proc/sys/vm/drop_caches", timeout=120)

    def _count(self):
        return counters.now(self.bed, self._managed)

    def _phase(self, process, name, end):
        """Lets the next phase begin and returns its line."""
        if name:
            number = self.workload.phases.index(name)
            self._open_gate(number)
        number = len(self._lines)
        while len(lines := process.output().splitlines(keepends=True)) <= number \
                or not lines[number].endswith("\n"):
            if process.poll() is not None:
                raise_if_broken(self.bed)
                break
            if time.monotonic() > end:
                self._kill(process)
            time.sleep(0.05)
        lines = process.output().splitlines()
        if len(lines) <= number:
            return None
        self._lines.append(json.loads(lines[number]))
        return self._lines[-1]

    def _open_gate(self, number):
        """The program waits for a file before each phase, and before its end."""
        with open(os.path.join(self._gate, str(number)), "wb"):
            pass

    def _wait(self, process, end):
        if self.workload.phases:
            self._open_gate(len(self.workload.phases))
        return process.wait(max(10, end - time.monotonic()))

    def _kill(self, process):
        process.wait(0)         # kills, then raises CommandTimeout
        raise CommandTimeout(self.bed.processor.name, process.command, self.workload.timeout,
                             process.result())

    def _hang(self, process):
        stuck = ", and cannot be killed" if process.poll() is None else ""
        return f"hang: no end in {self.workload.timeout} s{stuck}"

    def _why(self, status, process):
        events = counters.named(self.bed.processor, f"{GROUP}/memory.events")
        if events["oom_kill"]:
            return "out of memory: killed within its limit, swap was not quick enough"
        return f"failed with status {status}: {first_line(process.output('err'))}"

    def _spoilt(self, rows, why):
        """ROWS, none of which can be believed."""
        rows = reported(rows) or [self.failed("it ended at once")]
        for row in rows:
            spoil(row, why)
        return rows

    def _named(self, phase):
        return phase if self.workload.phases else self.workload.name

    def _record(self, line, counted):
        if line is None:
            return self.failed("it ended before it said anything")
        phase = self._named(line["phase"])
        self.checksums[phase] = line["checksum"]
        notes = [line["note"]] if line["note"] else []
        if self.system.remote:
            notes.append(f"link in {counted.link_in >> 10} KiB, out {counted.link_out >> 10} KiB")
        if self._managed:
            used = int(self.bed.processor.read_file(f"{GROUP}/memory.peak"))
            notes += [f"{name} {getattr(counted, name)}" for name in counters.MANAGED]
            notes.append(f"beside the ExCache {used >> 10} KiB")
        return self._made(phase, seconds=round(line["seconds"], 6),
                          major_faults=counted.major_faults, bytes_in=counted.bytes_in,
                          bytes_out=counted.bytes_out, cpu_processor=counted.cpu_processor,
                          cpu_memory=counted.cpu_memory, note="; ".join(notes))

    def failed(self, note):
        """A record of a run without time."""
        return self._made(self.workload.name, note=note)

    def _made(self, name, **values):
        return record(system=self.system.label(self.page_cluster), workload=name,
                      memory_share=self.share, threads=self.workload.threads, **values)


def reported(rows):
    """Those of ROWS that are results."""
    return [row for row in rows if row["workload"] not in workloads.UNREPORTED]


def raise_if_broken(bed):
    """Raises Broken if one of the hosts is gone."""
    for host in (bed.processor, bed.memory):
        if not host.alive():
            raise Broken(f"{host.name} is down")


def usable(bed):
    """Whether both hosts still answer and nothing of the program is left."""
    try:
        for host in (bed.processor, bed.memory):
            host.run(["true"], timeout=30)
        return not bed.processor.read_file(f"{GROUP}/cgroup.procs").split()
    except (HostDown, HostStuck, RigError):
        return False


def first_line(text):
    """The first line of TEXT, not too much of it."""
    return (text.strip().splitlines() or [""])[0][:200]
