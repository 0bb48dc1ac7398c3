# SPDX-License-Identifier: GPL-2.0
"""What fails, when, and what then must hold.

A scenario is a function of a booted cluster and a random.Random; it returns figures
to show, or raises. Its figures are those of its programs. What must hold after each
of them is in judge.py.
"""

import contextlib
import time
from typing import Callable, NamedTuple

import faults
from judge import Words
from rig import RXE_LINK_CUT
from workload import Workload

# Clusters. A host that is only slow must not be taken for dead where nobody has a
# copy: there faults end before SHORT, which with an attempt to connect that has to
# time out first and the second lite_rpc waits between two is less than dead_ms.
SHAPES = {
    "pair": {"memory_hosts": 1, "memory_mb": 16, "excache_mb": 16,
             "lite_rpc_params": {"dead_ms": 10000, "connect_ms": 2000}},
}
SHORT = 5

SCENARIOS = {}


class Scenario(NamedTuple):
    """FUNCTION, the SHAPE it needs, log lines that it may cause."""

    name: str
    function: Callable
    shape: str
    allow: list

    @property
    def words(self):
        """What it is about."""
        return self.function.__doc__.splitlines()[0]


def scenario(shape="pair", cuts=True):
    """Enters a function. CUTS: a connection may break, about which rxe may warn."""
    def enter(function):
        name = function.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(name, function, shape, RXE_LINK_CUT if cuts else [])
        return function
    return enter


def under(cluster, chance, *contexts, seconds):
    """A program, which goes on after all of CONTEXTS have come and gone."""
    with Workload(cluster, chance) as work:
        work.reach(chance.randrange(200, 3000))
        with contextlib.ExitStack() as stack:
            for each in contexts:
                stack.enter_context(each)
                time.sleep(seconds / len(contexts))
        work.reach(500)
        return work.finish()


@scenario()
def freeze(cluster, chance):
    """The memory host stops and goes on."""
    return under(cluster, chance, faults.frozen(cluster.memory_hosts[0]),
                 seconds=chance.uniform(0.2, SHORT))


@scenario()
def cut(cluster, chance):
    """The link of a host is cut, both ways."""
    return under(cluster, chance, faults.cut(chance.choice(cluster.hosts)),
                 seconds=chance.uniform(0.2, SHORT))


@scenario()
def one_way_cut(cluster, chance):
    """A host hears but is not heard, or the reverse."""
    host, direction = chance.choice(cluster.hosts), chance.choice(["tx", "rx"])
    return under(cluster, chance, faults.cut(host, direction),
                 seconds=chance.uniform(0.2, SHORT))
