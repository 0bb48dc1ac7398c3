# SPDX-License-Identifier: GPL-2.0
"""Tables in Markdown, made of the document in results.json and nothing else."""

import math
import os
import statistics

import systems
from results import BASE, is_wrong, key

OURS = "splitkernel"


def line(row):
    """ROW in one line, for whoever waits."""
    share = "" if row["memory_share"] is None else f"{row['memory_share']:g} %"
    time = "-" if row["seconds"] is None else f"{row['seconds']:.3f} s"
    slower = "" if row["slowdown"] is None else f"{row['slowdown']:.2f}x"
    return (f"{row['system']:<32} {row['workload']:<14} {row['threads']:>2} thr {share:>6} "
            f"{time:>12} {slower:>10}  {row['note']}")


def ordered(values):
    """VALUES without repetition, in the order in which they come first."""
    return list(dict.fromkeys(values))


def rows_of(head, body):
    """A Markdown table; the first column is text, the others are numbers."""
    out = ["| " + " | ".join(head) + " |",
           "| --- |" + " ---: |" * (len(head) - 1)]
    return out + ["| " + " | ".join(cells) + " |" for cells in body]


def percent(share):
    """A memory share as a column's head."""
    return f"{share:g} %"


def cell(row):
    """Slowdown and time of one run, or that there is none."""
    if row is None:
        return "-"
    if row["seconds"] is None:
        return row["note"].split(":")[0]
    slower = "" if row["slowdown"] is None else f"{row['slowdown']:.2f}x "
    return f"{slower}({row['seconds']:.3f} s)"


def pick(rows, system, share):
    """The run of SYSTEM at SHARE; of several the one of median time, none being the longest.

    If one of them had a wrong result, that one.
    """
    found = [row for row in rows if (row["system"], row["memory_share"]) == (system, share)]
    found = [row for row in found if is_wrong(row)] or found
    found.sort(key=lambda row: math.inf if row["seconds"] is None else row["seconds"])
    return found[(len(found) - 1) // 2] if found else None


def medians(rows):
    """One run of each workload, system and share."""
    out = []
    for group in ordered((*key(row), row["system"], row["memory_share"]) for row in rows):
        out.append(pick([row for row in rows if key(row) == group[:2]], *group[2:]))
    return out


def slowdowns(rows):
    """One workload: systems by shares."""
    shares = sorted({row["memory_share"] for row in rows if row["memory_share"] is not None},
                    reverse=True)
    names = [name for name in ordered(row["system"] for row in rows) if name != BASE]
    base = pick(rows, BASE, None)
    out = [f"Without limit: {cell(base)}.", ""] if base else []
    return out + rows_of(["system", *map(percent, shares)],
                         [[systems.title(name), *(cell(pick(rows, name, share))
                                                  for share in shares)] for name in names])


def amount(value, unit=1):
    """A counter for a table."""
    return "-" if value is None else f"{value / unit:,.1f}" if unit != 1 else f"{value:,}"


def details(rows):
    """One workload: what was counted, of every run."""
    return rows_of(["system", "memory", "seconds", "major faults", "MiB in", "MiB out",
                    "CPU processor s", "CPU memory s", "note"],
                   [[systems.title(row["system"]),
                     "all" if row["memory_share"] is None else percent(row["memory_share"]),
                     "-" if row["seconds"] is None else f"{row['seconds']:.3f}",
                     amount(row["major_faults"]), amount(row["bytes_in"], 1 << 20),
                     amount(row["bytes_out"], 1 << 20), amount(row["cpu_processor"]),
                     amount(row["cpu_memory"]), row["note"]] for row in rows])


def best(rows, name, share):
    """The time of system NAME at SHARE with its better page-cluster; None if it has none."""
    settings = {row["system"] for row in rows if row["system"].partition(", ")[0] == name}
    runs = [pick(rows, setting, share) for setting in settings]
    return min((row["seconds"] for row in runs if row and row["seconds"]), default=None)


def ratios(document):
    """How many times longer than splitkernel the others take, each at its best page-cluster."""
    others = [name for name in ordered(row["system"].partition(", ")[0]
                                       for row in document["runs"])
              if name not in (BASE, OURS)]
    body = []
    for group in ordered((*key(row), row["memory_share"]) for row in document["runs"]):
        rows = [row for row in document["runs"] if key(row) == group[:2]]
        ours = best(rows, OURS, group[2])
        if group[2] is None or ours is None:
            continue
        times = [best(rows, name, group[2]) for name in others]
        body.append([f"{group[0]}, {group[1]} thr, {percent(group[2])}",
                     *("-" if time is None else f"{time / ours:.2f}" for time in times),
                     speed(rows, group[2], bandwidth_of(document["header"], OURS))])
    return rows_of(["time over splitkernel's", *map(systems.title, others),
                    "splitkernel's bytes in over the link's READ bandwidth"], body)


def bandwidth_of(header, system):
    """The median of the link's READ bandwidth before SYSTEM's runs, or else at the beginning."""
    measured = header.get("links", {}).get(system) or [header]
    return statistics.median(link["read_bandwidth_mb_s"] for link in measured)


def links(header):
    """What the link gave before each system's runs: how much the machine drifted."""
    return rows_of(["just before the runs of", "READ of 4 KiB, p50 us", "READ of 64 KiB, MB/s"],
                   [[systems.title(name),
                     *(", ".join(f"{link[value]:g}" for link in measured)
                       for value in ("read_4k_p50_us", "read_bandwidth_mb_s"))]
                    for name, measured in header.get("links", {}).items()])


def speed(rows, share, bandwidth):
    """What splitkernel got over the link in a second, as a part of BANDWIDTH."""
    row = pick(rows, OURS, share)
    if not row["bytes_in"]:
        return "-"
    return f"{100 * row['bytes_in'] / 1e6 / row['seconds'] / bandwidth:.0f} %"


def places(document, label=lambda name: name):
    """{(workload, threads, share): [systems, the fastest first]}.

    LABEL gives several settings of a system one name: then the fastest of them counts.
    """
    found = {}
    for row in medians(document["runs"]):
        if row["seconds"] is None or row["system"] == BASE:
            continue
        times = found.setdefault((*key(row), row["memory_share"]), {})
        name = label(row["system"])
        times[name] = min(times.get(name, math.inf), row["seconds"])
    return {group: sorted(times, key=times.get) for group, times in found.items()}


def agreement(one, other):
    """Lines that say in how far two documents have systems in the same order."""
    return [line
            for what, label in (("systems, each at its better page-cluster",
                                 lambda name: name.partition(", ")[0]),
                                ("systems with a page-cluster", lambda name: name))
            for line in compared(what, places(one, label), places(other, label))]


def compared(what, first, second):
    """How many pairs of WHAT have the same places in both, and the others."""
    pairs = same = 0
    out = []
    for group in first.keys() & second.keys():
        both = [name for name in first[group] if name in second[group]]
        swapped = [(a, b) for index, a in enumerate(both) for b in both[index + 1:]
                   if second[group].index(a) > second[group].index(b)]
        total = len(both) * (len(both) - 1) // 2
        pairs, same = pairs + total, same + total - len(swapped)
        out += [f"{group[0]}, {group[1]} thr, {percent(group[2])}: {a} is faster than {b} in "
                "the first only" for a, b in swapped]
    return [f"{same} of {pairs} pairs of {what} are in the same order", *sorted(out)]


def introduction(header):
    """What all runs have in common."""
    link = (f"RDMA READ at the beginning: 4 KiB p50 {header['read_4k_p50_us']} us, "
            f"64 KiB {header['read_bandwidth_mb_s']} MB/s.")
    shown = {name: value for name, value in header["parameters"].items()
             if name != "workloads"}
    return [f"Kernel {header['kernel']}, commit {header['commit']}"
            + (f", {header['date']}" if "date" in header else "") + ".", "", link, "",
            "Parameters: " + ", ".join(f"{name} {value}" for name, value in shown.items()) + ".",
            "", *links(header)]


def text(document):
    """All tables of DOCUMENT."""
    out = ["# Benchmark", "", *introduction(document["header"]), ""]
    out += ["## Against splitkernel", "", *ratios(document), ""]
    groups = ordered(key(row) for row in document["runs"])
    for name, threads in groups:
        rows = [row for row in document["runs"] if key(row) == (name, threads)]
        out += [f"## {name}, {threads} thread{'' if threads == 1 else 's'}", "",
                *slowdowns(rows), "", *details(rows), ""]
    return "\n".join(out)


def write(document, path):
    """Writes all tables to file PATH."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text(document))
