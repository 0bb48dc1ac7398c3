# SPDX-License-Identifier: GPL-2.0
"""The parts of make bench that need no VM: records, tables, the workloads' results."""

import argparse
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../cluster")]

import counters  # noqa: E402
import plots  # noqa: E402
import results  # noqa: E402
import runner  # noqa: E402
import systems  # noqa: E402
import tables  # noqa: E402
import workloads  # noqa: E402

HEADER = {"kernel": "6.1.0-56-amd64", "commit": "abc", "parameters": {"size": "tiny"},
          "read_4k_p50_us": 250.5, "read_bandwidth_mb_s": 20.1}


def run(system, share, seconds, **more):
    """A record of the workload "sort"."""
    return results.record(system=system, workload="sort", threads=1, memory_share=share,
                          seconds=seconds, **more)


@pytest.fixture(name="document")
def small_document():
    rows = [run("no limit", None, 2.0),
            run("splitkernel", 50, 3.0, major_faults=1234, bytes_in=5 << 20),
            run("splitkernel", 25, 5.0),
            run("infiniswap-style, page-cluster 0", 50, 9.0),
            run("infiniswap-style, page-cluster 0", 25, None, note="hang: no end in 9 s")]
    results.fill_slowdowns(rows)
    return {"header": HEADER, "runs": rows}


def test_fields_are_those_of_the_issue(document):
    wanted = ("system workload memory_share threads seconds slowdown major_faults bytes_in "
              "bytes_out cpu_processor cpu_memory note").split()
    assert all(list(row) == wanted for row in document["runs"])


def test_slowdown(document):
    assert [row["slowdown"] for row in document["runs"]] == [1.0, 1.5, 2.5, 4.5, None]


@pytest.mark.parametrize("change", [
    {"seconds": "1"}, {"seconds": -1}, {"threads": None}, {"bytes_in": 1.5},
    {"system": None}, {"seconds": None, "note": ""}, {"threads": True}])
def test_a_bad_record_is_refused(change):
    with pytest.raises(results.BadResults):
        results.check_record({**run("zram", 50, 1.0), **change})


def test_a_record_has_all_fields_and_no_other():
    row = run("zram", 50, 1.0)
    with pytest.raises(results.BadResults):
        results.check_record({**row, "speed": 1})
    del row["note"]
    with pytest.raises(results.BadResults):
        results.check_record(row)


def test_file(document, tmp_path):
    path = str(tmp_path / "deep/results.json")
    results.save(path, document)
    assert results.load(path) == document
    with open(path, "w", encoding="ascii") as file:
        json.dump({"header": {}, "runs": []}, file)
    with pytest.raises(results.BadResults, match="kernel"):
        results.load(path)


def test_tables_say_what_was_measured(document):
    text = tables.text(document)
    lines = text.splitlines()
    assert "| splitkernel | 1.50x (3.000 s) | 2.50x (5.000 s) |" in lines
    assert ("| InfiniSwap-style (our re-implementation), page-cluster 0 | 4.50x (9.000 s) "
            "| hang |") in lines
    assert "4 KiB p50 250.5 us, 64 KiB 20.1 MB/s" in text
    assert "1,234" in text and "5.0" in text and "no end in 9 s" in text


def test_the_link_of_a_system_is_that_before_its_runs(document):
    document["header"] = {**HEADER, "links": {
        "splitkernel": [{"read_4k_p50_us": 300.0, "read_bandwidth_mb_s": 10.0}]}}
    assert "| splitkernel | 300 | 10 |" in tables.text(document).splitlines()
    # 5 MiB in 3 s of 10 MB/s.
    assert any(line.endswith("| 17 % |") for line in tables.ratios(document))


def test_every_mention_of_infiniswap_is_labelled(document):
    """Nobody may take it for the original."""
    shown = [line for line in tables.text(document).splitlines()
             if "infiniswap" in line.lower()]
    assert shown and all("our re-implementation" in line for line in shown)
    assert all("our re-implementation" in name for name in plots.curves(document["runs"])
               if "infiniswap" in name.lower())


def test_tables_need_nothing_but_the_file(document, tmp_path):
    path = str(tmp_path / "results.json")
    results.save(path, document)
    answer = subprocess.run([os.path.join(HERE, "tables"), path, "--output", str(tmp_path)],
                            capture_output=True, text=True, check=True, cwd="/")
    assert answer.stdout == tables.text(document)
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == answer.stdout


def test_ratios(document):
    lines = tables.ratios(document)
    # 5 MiB in 3 s of 20.1 MB/s; the other has no time at 25 %.
    assert lines[2:] == ["| sort, 1 thr, 50 % | 3.00 | 9 % |", "| sort, 1 thr, 25 % | - | - |"]


def test_rounds_are_told_by_their_median(document):
    """A run without a time is the longest there can be."""
    document["runs"] += [run("splitkernel", 50, 30.0, bytes_in=5 << 20),
                         run("splitkernel", 50, None, note="hang: no end in 90 s"),
                         run("splitkernel", 25, None, note="hang: no end in 90 s"),
                         run("splitkernel", 25, None, note="hang: no end in 90 s")]
    results.fill_slowdowns(document["runs"])
    document["header"] = {**HEADER, "links": {"splitkernel": [
        {"read_4k_p50_us": 300.0, "read_bandwidth_mb_s": speed} for speed in (1.0, 10.0, 99.0)]}}
    lines = tables.text(document).splitlines()
    assert "| splitkernel | 15.00x (30.000 s) | hang |" in lines
    assert "| splitkernel | 300, 300, 300 | 1, 10, 99 |" in lines
    assert "| sort, 1 thr, 50 % | 0.30 | 2 % |" in lines
    assert plots.curves(document["runs"])["splitkernel"] == [(50, 15.0)]
    assert tables.places(document)["sort", 1, 50][-1] == "splitkernel"


def test_a_wrong_result_has_no_time(document):
    """Nor is it passed over when others of its rounds were right."""
    good, bad = run("splitkernel", 50, 3.0), run("splitkernel", 50, 2.0)
    document["runs"] += [good, bad]
    results.spoil(bad, "2 words were wrong")
    results.fill_slowdowns(document["runs"])
    assert results.is_wrong(bad) and not results.is_wrong(good)
    lines = tables.text(document).splitlines()
    assert "| splitkernel | WRONG RESULT | 2.50x (5.000 s) |" in lines
    assert not [line for line in lines if line.startswith("| sort, 1 thr, 50 %")]
    assert ("sort", 1, 50) in tables.places(document)
    assert "splitkernel" not in tables.places(document)["sort", 1, 50]


class Ended:
    """A process that has ended."""

    status = workloads.EXIT_WRONG

    def __init__(self, lines):
        self.lines = lines

    def output(self, which="out"):
        return "3 words were wrong\n" if which == "err" else "".join(self.lines)

    def poll(self):
        return self.status

    def wait(self, _):
        return self


@pytest.mark.parametrize("said", [0, 1])
def test_a_workload_that_finds_wrong_data_spoils_its_run(monkeypatch, tmp_path, said):
    """Whether it has said a result before, or not."""
    line = '{"phase": "quicksort", "seconds": 1.0, "checksum": "12", "note": ""}\n'
    host = argparse.Namespace(vm=argparse.Namespace(share=str(tmp_path)), alive=lambda: True,
                              spawn=lambda *_, **__: Ended([line] * said),
                              run=lambda *_, **__: None)
    bed = argparse.Namespace(processor=host, memory=host)
    zero = counters.Counted(0, 0, 0, 0.0, 0.0, 0, 0)
    monkeypatch.setattr(counters, "now", lambda *_: argparse.Namespace(since=lambda _: zero))
    rows = runner.Run(bed, systems.Zram(), None,
                      workloads.program("quicksort", 1)).records()
    assert [row["seconds"] for row in rows] == [None] and results.is_wrong(rows[0])
    assert "3 words were wrong" in rows[0]["note"]


@pytest.mark.parametrize("given", [["--workloads", "seq_read"], ["--systems", "ramdisk"],
                                   ["--page-clusters", "2"]])
def test_what_is_unknown_is_refused_before_results_are_lost(given, tmp_path):
    answer = subprocess.run([os.path.join(HERE, "run"), *given, "--output", str(tmp_path)],
                            capture_output=True, text=True, check=False)
    assert answer.returncode == 2 and given[1] in answer.stderr
    assert not os.listdir(tmp_path)


def test_agreement(document):
    other = json.loads(json.dumps(document))
    both = ("systems, each at its better page-cluster", "systems with a page-cluster")
    assert tables.agreement(document, other) == [
        f"1 of 1 pairs of {what} are in the same order" for what in both]
    other["runs"][1]["seconds"] = 10.0
    lines = tables.agreement(document, other)
    assert lines[0].startswith("0 of 1") and "splitkernel is faster than infini" in lines[1]
    # Two settings of one system change places: the system does not.
    for each, times in ((document, (9.0, 8.0)), (other, (8.0, 9.0))):
        each["runs"] = [run("splitkernel", 50, 3.0)] + [
            run(f"zram, page-cluster {number}", 50, time) for number, time in enumerate(times)]
    lines = tables.agreement(document, other)
    assert lines[0].startswith("1 of 1 pairs of systems, each")
    assert lines[1].startswith("2 of 3 pairs of systems with")


def test_curves(document):
    assert plots.curves(document["runs"]) == {
        "splitkernel": [(50, 1.5), (25, 2.5)],
        "InfiniSwap-style (our re-implementation), page-cluster 0": [(50, 4.5)]}


class FakeHost:
    """A host of which only counters are known; each reading finds them N times larger."""

    def __init__(self, factor):
        self.factor = factor

    def read_file(self, path):
        n = self.factor
        return {"/proc/stat": f"cpu {100 * n} 0 {200 * n} 7777 88 0 {300 * n} 0 0 0\n",
                "/proc/vmstat": f"pgfault 5\npswpin {10 * n}\npswpout {20 * n}\n",
                f"{systems.GROUP}/memory.stat": f"anon 1\npgmajfault {3 * n}\n",
                f"{counters.LINK}/rx_bytes": f"{1000 * n}\n",
                f"{counters.LINK}/tx_bytes": f"{2000 * n}\n"}[path]

    def run(self, _):
        n = self.factor
        pmon = {"misses": 4 * n, "prefetch_issued": 5 * n, "flushed_pages": 6 * n,
                **{name: (7 + i) * n for i, name in enumerate(counters.MANAGED)}}
        return argparse.Namespace(stdout=json.dumps({"modules": {"pmon": pmon}}))


def count(managed):
    """What was counted between two readings."""
    one, two = (argparse.Namespace(processor=FakeHost(n), memory=FakeHost(n)) for n in (1, 3))
    return counters.now(two, managed).since(counters.now(one, managed))


def test_counters():
    swap, ours = count(False), count(True)
    assert (swap.major_faults, swap.bytes_in, swap.bytes_out) == (6, 20 * 4096, 40 * 4096)
    assert (ours.major_faults, ours.bytes_in, ours.bytes_out) == (8, 18 * 4096, 12 * 4096)
    for seen in (swap, ours):
        assert (seen.link_in, seen.link_out) == (2000, 4000)
        # Idle and iowait do not count.
        assert seen.cpu_processor == seen.cpu_memory == 12.0
    assert [getattr(ours, name) for name in counters.MANAGED] == [14, 16, 18, 20, 22, 24]
    assert not any(getattr(swap, name) for name in counters.MANAGED)


@pytest.mark.parametrize("size", sorted(workloads.SIZES))
def test_names_are_unambiguous(size):
    _, chosen = workloads.chosen(size)
    names = [(phase, each.threads) for each in chosen
             for phase in each.phases or (each.name,)]
    assert len(set(names)) == len(names)
    assert len({system.name for system in systems.ALL}) == len(systems.ALL)


def test_which_systems_are_run():
    """What has to be asked for is, and the base of all slowdowns always."""
    assert [each.name for each in systems.chosen([])] == [
        each.name for each in systems.ALL if each.name != "splitkernel-whole"]
    assert [each.name for each in systems.chosen(["splitkernel-whole"])] == [
        results.BASE, "splitkernel-whole"]


def test_programs_give_the_same_result_twice():
    """The checksums by which systems are compared do not depend on luck or threads."""
    subprocess.run(["make", "-s", "-C", os.path.join(HERE, "workloads")], check=True)

    def lines(*command):
        answer = subprocess.run([f"{workloads.PROGRAMS}/{command[0]}", *command[1:]],
                                capture_output=True, text=True, check=True)
        return [json.loads(line) for line in answer.stdout.splitlines()]

    for command in (("wordcount", "--mb", "1"), ("kmeans", "--mb", "1")):
        one, four = lines(*command), lines(*command, "--threads", "4")
        assert [row["checksum"] for row in one] == [row["checksum"] for row in four]
    micro = ("micro", "--mb", "2", "--threads", "4", "--ops", "100")
    first, second = lines(*micro), lines(*micro)
    assert [row["phase"] for row in first] == list(workloads.MICRO_PHASES)
    assert [row["checksum"] for row in first] == [row["checksum"] for row in second]


def script(name):
    """A program of this directory, as a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"),
                                                  os.path.join(HERE, name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def test_what_bench_cluster_computes():
    cluster = script("bench-cluster")
    assert cluster.off_even([10, 10, 10]) == [0, 0]
    assert cluster.off_even([8, 10, 12]) == [-20, 20]
    assert cluster.longest_gap([]) == (0, 0)
    assert cluster.longest_gap([0, 0, 1, 0, 0, 0, 2, 0, 0, 0]) == (300, 0.6)
    assert cluster.rate([1, 0, 3, 0]) == 10
    before, after = ({"messages": at, "reports": at, "placements": 0} for at in (10, 30))
    assert cluster.messages(before, after, 4)["messages_per_gib"] == 5


def test_cpu_of_copies_is_that_above_idle():
    def host(seconds, records=0, sent=0):
        return {"guest": seconds, "emulator": 2 * seconds, "records": records, "sent": sent}

    replication = script("bench-replication")
    idle = [host(0.2)] * 3
    grown = [host(1.1, 500), host(2.1, sent=9000), host(0.1)]
    assert {name: round(value) for name, value in
            replication.cpu(grown, idle, 0.5, 500).items()} == {
                "primary guest": 4000, "primary emulator": 8000,
                "secondary guest": 2000, "secondary emulator": 4000}
    # Without copies nobody is a secondary.
    assert replication.cpu([host(0.1), host(2.1, sent=9)], idle, 0.5,
                           500)["secondary guest"] == 0
