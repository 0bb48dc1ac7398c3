# SPDX-License-Identifier: GPL-2.0
"""A run of make bench that hangs is a result, and the runs after it go on."""

import argparse
import os
import sys

import pytest

from rig import REPO

sys.path.insert(0, os.path.join(REPO, "tests/bench"))

import counters  # noqa: E402
import results  # noqa: E402
import systems  # noqa: E402
import workloads  # noqa: E402
from bench import Bench  # noqa: E402

SIZE = workloads.SIZES["tiny"]
TOUCHING = workloads.micro(SIZE, 1, 90)
SLEEPING = workloads.Workload("sleep", 1, ("/bin/sleep", "1000"), timeout=3)


class LinkThatDies(systems.NvmeOverFabrics):
    """Swap over a link that is cut after the first phase: what reads then cannot be killed."""

    page_clusters = (0,)
    left = 0        # so many times counters are read until the cut

    def settle(self, bed, page_cluster):
        super().settle(bed, page_cluster)
        self.left = 2

    def counted(self, bed):
        """The counters were read."""
        self.left -= 1
        if self.left == 0:
            bed.memory.cut()


# Two and a half minutes, in which nearly all waits.
@pytest.mark.skipif(not os.environ.get("SK_LONG"), reason="make test-long")
def test_hang(tmp_path, monkeypatch):
    doomed, count = LinkThatDies(), counters.now

    def now(bed, managed):
        seen = count(bed, managed)
        doomed.counted(bed)
        return seen

    monkeypatch.setattr(counters, "now", now)
    args = argparse.Namespace(size="tiny", systems=[], shares=(50,), minutes=20, cpus=1,
                              rounds=1, page_clusters=(0, 3), output=str(tmp_path))
    bench = Bench(args, SIZE, [SLEEPING, TOUCHING])
    bench.systems = [systems.NoLimit(), doomed, systems.Zram()]
    bench.run()
    rows = results.load(bench.path)["runs"]
    found = {(row["system"], row["workload"]): row for row in rows}

    late = found["no limit", "sleep"]
    assert late["seconds"] is None and late["note"].startswith("hang: no end in 3 s")
    assert found["no limit", "seq_read"]["seconds"] > 0
    # Without a run to its end there is no share of its memory either.
    assert found["zram, page-cluster 0", "sleep"]["note"].startswith("not run")

    dead = found["nvme-of, page-cluster 0", "micro"]
    assert dead["seconds"] is None and dead["note"].startswith("hang"), dead
    assert found["nvme-of, page-cluster 0", "first_touch"]["seconds"] > 0
    assert bench.boots == 2, "the hosts were booted again after it, and once only"
    for page_cluster in (0, 3):
        after = found[f"zram, page-cluster {page_cluster}", "seq_read"]
        assert after["seconds"] > 0 and after["bytes_in"] > 0 and "WRONG" not in after["note"]
