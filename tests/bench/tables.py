# SPDX-License-Identifier: GPL-2.0
"""Tables in Markdown, made of the document in results.json and nothing else."""

import os

import systems
from results import BASE, key


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
    """The run of SYSTEM at SHARE; the last one if there are several."""
    found = [row for row in rows if (row["system"], row["memory_share"]) == (system, share)]
    return found[-1] if found else None


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


def introduction(header):
    """What all runs have in common."""
    link = (f"RDMA READ in the same run: 4 KiB p50 {header['read_4k_p50_us']} us, "
            f"64 KiB {header['read_bandwidth_mb_s']} MB/s.")
    shown = {name: value for name, value in header["parameters"].items()
             if name != "workloads"}
    return [f"Kernel {header['kernel']}, commit {header['commit']}"
            + (f", {header['date']}" if "date" in header else "") + ".", "", link, "",
            "Parameters: " + ", ".join(f"{name} {value}" for name, value in shown.items()) + "."]


def text(document):
    """All tables of DOCUMENT."""
    out = ["# Benchmark", "", *introduction(document["header"]), ""]
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
