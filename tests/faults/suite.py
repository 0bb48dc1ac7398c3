# SPDX-License-Identifier: GPL-2.0
"""Runs scenarios on clusters that are booted when needed and used again."""

import random
import time

from judge import wait_clean
from rig import Cluster
from scenarios import SCENARIOS, SHAPES


class Suite:
    """One cluster at a time. Use it as a context manager."""

    def __init__(self, kernel=None, progress=None):
        self._kernel, self._progress = kernel, progress
        self._cluster, self._shape = None, None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.drop(error)

    def drop(self, error=None):
        """Ends the cluster, with its logs kept because of ERROR."""
        cluster, self._cluster, self._shape = self._cluster, None, None
        if cluster:
            cluster.__exit__(type(error) if error else None, error, None)

    def _booted(self, shape):
        if self._shape != shape:
            self.drop()
            cluster = Cluster(kernel=self._kernel, progress=self._progress, **SHAPES[shape])
            self._cluster = cluster.__enter__()
            self._shape = shape
        return self._cluster

    def run(self, name, seed):
        """Scenario NAME by SEED; (seconds, its figures). Raises what went wrong."""
        scenario = SCENARIOS[name]
        cluster = self._booted(scenario.shape)
        try:
            mark = cluster.mark_logs(f"{name} {seed}")
            started = time.monotonic()
            # Not the seed alone: scenarios are not to draw the same.
            figures = scenario.function(cluster, random.Random(f"{name} {seed}"))
            wait_clean(cluster)
            cluster.check_logs(since=mark, allow=scenario.allow)
            return time.monotonic() - started, figures or {}
        except Exception as error:
            self.drop(error)    # nobody knows what state it is in
            raise


def repeat(name, seed, kernel=None):
    """The command that runs this one again."""
    return (f"tests/faults/run --scenario {name} --seed {seed}"
            + (f" --kernel {kernel}" if kernel else ""))
