# SPDX-License-Identifier: GPL-2.0
"""Random processes against a shadow of their memory (programs/shadow.c)."""

import json
import os
import time

import pytest

from rig import REPO, Cluster

SHADOW = os.path.join(REPO, "build/programs/shadow")
LONG = bool(os.environ.get("SK_LONG"))
# The second kernel is not where the two differ most.
SEEDS = range(1, 21 if LONG else 2 if os.environ.get("SK_KERNEL") else 3)
KINDS = {
    "alone": ["--ops", 3000, "--forks", 0],
    "forking": ["--ops", 1500, "--forks", 8],
    "trails": ["--ops", 60, "--forks", 0, "--trails", 400],
    "threads": ["--ops", 4000, "--forks", 3, "--threads", 3],
}


@pytest.fixture(scope="module", name="host")
def one_host():
    # Small vRegions: forks, moves and windows across them are what is random here.
    with Cluster(all_in_one=True, smp=2, excache_mb=16, memory_mb=64,
                 pmon_params={"region_mb": 2}) as cluster:
        yield cluster.processors[0]


def counters(host):
    """Of all modules."""
    return json.loads(host.run(["vnode", "status", "--json"]).stdout)["modules"]


def came_in(pmon):
    """Pages that a fault or a stream has fetched: which of the two, is the streams' success."""
    return pmon["misses"] + pmon["prefetch_issued"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_as_its_shadow(host, kind, seed):
    """And nothing that the home is sent is anything it did not expect."""
    before = counters(host)
    result = host.run(["vnode", "run", "--excache", "1M", "--", SHADOW, "--seed", str(seed),
                       *map(str, KINDS[kind])], timeout=900, check=False)
    print(result.stdout)
    assert result.status == 0, result.stdout + result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["bad"] == 0
    after = counters(host)
    assert after["mmon"]["refused"] == before["mmon"]["refused"]
    assert came_in(after["pmon"]) > came_in(before["pmon"]) + 1000
    end = time.monotonic() + host.cluster.patience(30)
    while time.monotonic() < end and after["pmon"]["lines_free"] < after["pmon"]["lines_total"]:
        time.sleep(0.2)
        after = counters(host)
    assert after["pmon"]["lines_free"] == after["pmon"]["lines_total"]
