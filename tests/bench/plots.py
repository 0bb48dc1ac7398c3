# SPDX-License-Identifier: GPL-2.0
"""Plots: slowdown against memory share, one curve a system, one file a workload."""

import os
import sys

import systems
from results import BASE, key
from tables import medians, ordered


def curves(rows):
    """{title: [(share, slowdown)]} of one workload's ROWS, shares downwards."""
    found = {}
    for row in medians(rows):
        if row["system"] != BASE and None not in (row["slowdown"], row["memory_share"]):
            found.setdefault(systems.title(row["system"]), {})[row["memory_share"]] \
                = row["slowdown"]
    return {name: sorted(points.items(), reverse=True) for name, points in found.items()}


def draw(document, directory):
    """Writes NAME-THREADS.svg into DIRECTORY; how many. 0 without matplotlib."""
    try:
        import matplotlib       # pylint: disable=import-outside-toplevel
    except ImportError:
        print("no plots: python3-matplotlib is not installed, tests/setup --bench",
              file=sys.stderr)
        return 0
    matplotlib.use("svg")
    drawn = 0
    for name, threads in ordered(key(row) for row in document["runs"]):
        lines = curves([row for row in document["runs"] if key(row) == (name, threads)])
        if lines:
            path = os.path.join(directory, f"{name}-{threads}.svg")
            _draw_one(f"{name}, {threads} thr", lines, document["header"], path)
            drawn += 1
    return drawn


def _draw_one(title, lines, header, path):
    from matplotlib import pyplot       # pylint: disable=import-outside-toplevel
    figure, axes = pyplot.subplots(figsize=(8, 5))
    marks = "osv^D<>ph*Xd"
    for index, (name, points) in enumerate(lines.items()):
        axes.plot([f"{share:g} %" for share, _ in points], [slow for _, slow in points],
                  marker=marks[index % len(marks)], label=name)
    axes.set(title=title, xlabel="memory, share of peak RSS", ylabel="slowdown",
             yscale="log")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend(fontsize=7)
    figure.text(0.01, 0.01, f"RDMA READ 4 KiB p50 {header['read_4k_p50_us']} us, 64 KiB "
                f"{header['read_bandwidth_mb_s']} MB/s; {header['kernel']}", fontsize=7)
    figure.savefig(path)
    pyplot.close(figure)
