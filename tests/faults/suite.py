# SPDX-License-Identifier: GPL-2.0
"""Runs scenarios on clusters that are booted when needed and used again."""

import random
import time

from judge import wait_clean, wait_joined
from rig import RXE_LINK_CUT, Cluster
from scenarios import SCENARIOS, SHAPES


class Suite:
    """One cluster at a time. Use it as a context manager."""

    def __init__(self, kernel=None, progress=None, lite_rpc_params=None):
        self._kernel, self._progress = kernel, progress
        self._params = lite_rpc_params or {}
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
            options = dict(SHAPES[shape])
            options["lite_rpc_params"] = options["lite_rpc_params"] | self._params
            cluster = Cluster(kernel=self._kernel, progress=self._progress, **options)
            self._cluster = cluster.__enter__()
            self._shape = shape
            # Of all scenarios: rxe may warn long after its connection broke.
            for regex, reason in RXE_LINK_CUT:
                cluster.allow_log(regex, reason)
        return self._cluster

    def run(self, name, seed):
        """Scenario NAME by SEED; (seconds, its figures). Raises what went wrong."""
        scenario = SCENARIOS[name]
        cluster = self._booted(scenario.shape)
        try:
            # On a busy machine a host may miss its lease, or a connection its time.
            wait_joined(cluster)
            mark = cluster.mark_logs(f"{name} {seed}")
            started = time.monotonic()
            # Not the seed alone: scenarios are not to draw the same.
            figures = scenario.function(cluster, random.Random(f"{name} {seed}"))
            wait_clean(cluster)
            cluster.check_logs(since=mark)
            return time.monotonic() - started, figures or {}
        except Exception as error:
            self.drop(error)    # nobody knows what state it is in
            raise


def repeat(name, seed, kernel=None, dead_ms=None):
    """The command that runs this one again."""
    return (f"tests/faults/run --scenario {name} --seed {seed}"
            + (f" --kernel {kernel}" if kernel else "")
            + (f" --dead-ms {dead_ms}" if dead_ms else ""))
