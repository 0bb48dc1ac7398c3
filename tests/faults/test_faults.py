# SPDX-License-Identifier: GPL-2.0
"""The fault-injection suite, short: most scenarios, each by one of five seeds.

All of them by all five in the long run; by hand tests/faults/run.
"""

import json
import os
import subprocess
import sys
import time

import pytest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../cluster")]

from scenarios import SCENARIOS, SHAPES  # noqa: E402
from suite import Suite, repeat  # noqa: E402
from workload import VERSIONS  # noqa: E402

SEEDS = range(1, 6)
LONG = bool(os.environ.get("SK_LONG"))
# Shape by shape: each is booted once.
NAMES = sorted((name for name, scenario in SCENARIOS.items() if LONG or scenario.short),
               key=lambda name: list(SHAPES).index(SCENARIOS[name].shape))
PLAN = [(name, seed) for at, name in enumerate(NAMES)
        for seed in (SEEDS if LONG else [SEEDS[at % len(SEEDS)]])]


@pytest.fixture(scope="module", name="suite")
def one_suite():
    with Suite() as suite:
        yield suite


@pytest.mark.parametrize("name, seed", PLAN)
def test_scenario(suite, name, seed):
    """Programs, contents, kernel logs and what is given back, by suite.py."""
    if time.time() > float(os.environ.get("SK_DEADLINE", "inf")):
        pytest.skip("the time given is over")
    print(f"again: {repeat(name, seed)}")
    seconds, figures = suite.run(name, seed)
    print(f"{seconds:.1f} s: {figures}")


@pytest.mark.parametrize("kind", ["stale", "lost", "torn", "foreign"])
def test_what_is_planted_is_found(kind):
    """The judge of all scenarios, here and untagged."""
    result = subprocess.run([VERSIONS, "--mb", "1", "--ops", "2000", "--plant", kind],
                            text=True, capture_output=True, check=False)
    summary = json.loads(result.stdout.splitlines()[-1])
    assert result.returncode == 1 and summary["bad"] == summary[kind] == 1
    assert summary["hash"] != summary["expected_hash"]
    assert f"bad: {kind}: page 0 " in result.stderr
