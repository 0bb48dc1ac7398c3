# SPDX-License-Identifier: GPL-2.0
"""Static gates, unit tests and fuzzers: what needs no VM."""

import os
import subprocess

import pytest

TESTS = os.path.dirname(os.path.realpath(__file__))
FUZZ_SECONDS = 40       # all targets together


def run(*command, timeout=900):
    """Runs COMMAND in tests/; its output is shown when it fails."""
    return subprocess.run(command, cwd=TESTS, text=True, timeout=timeout, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.parametrize("gate", ["build61", "build612", "style", "rules", "shell", "hooks"])
def test_gate(gate):
    result = run("./check", gate)
    if result.returncode == 77:
        pytest.skip(result.stdout.strip().splitlines()[-1])
    assert result.returncode == 0, result.stdout


def test_semantics_table():
    """docs/semantics.md says what the suite checks."""
    result = run("./semantics-table", "--check")
    assert result.returncode == 0, result.stdout


def test_units():
    result = run("make", "-s", "-C", "unit", "run")
    assert result.returncode == 0, result.stdout[-8000:]
    print(result.stdout[-2000:])


def test_fuzz():
    targets = int(run("make", "-s", "-C", "fuzz", "count").stdout or 1)
    each = max(5, FUZZ_SECONDS // targets)
    result = run("make", "-s", "-C", "fuzz", "run", f"SECONDS_EACH={each}")
    assert result.returncode == 0, result.stdout[-8000:]
    print(result.stdout[-2000:])
