# SPDX-License-Identifier: GPL-2.0
"""What fails, when, and what then must hold.

A scenario is a function of a booted cluster and a random.Random; it returns figures
to show, or raises. All of them leave the cluster as they found it, with every host
up and joined. What must hold after each is in judge.py.

A name here is what --scenario takes, with "-" for "_".
"""

import contextlib
import os
import time
from typing import Callable, NamedTuple

import faults
from judge import Words, counters, frames_used, wait_joined, wait_until
from rig import REPO
from workload import Bad, Workload

# Clusters. Where nobody has a copy, a host that is only slow must not be taken for a
# dead one: faults that are to be survived end before SHORT. That and an attempt to
# connect, which has to time out first, and what lite_rpc waits between two of them,
# are less than dead_ms.
SHAPES = {
    "pair": {"memory_hosts": 1, "memory_mb": 8, "excache_mb": 16,
             "lite_rpc_params": {"dead_ms": 10000, "connect_ms": 2000}},
    "replicated": {"memory_hosts": 2, "memory_mb": 48, "excache_mb": 16,
                   "lite_rpc_params": {"dead_ms": 3000, "connect_ms": 1000,
                                       "heartbeat_ms": 500},
                   "pmon_params": {"failover_ms": 1000}},
}
SHORT = 5
# Without frames the hog ends by itself; it wants more than there are.
HOG_MB = 9
# So that one placement more makes the other host the primary, which is killed.
SHAPES["series"] = SHAPES["replicated"] | {"gmm_params": {"placement": "round-robin"}}
PROBE = os.path.join(REPO, "tests/modules/sk_probe.ko")
# The longest time in which a program may not get on while a host is drained.
DRAIN_GAP_MS = 1000
# Seconds of a series' workload within which the primary dies.
KILL_WITHIN = 4

SCENARIOS = {}


class Scenario(NamedTuple):
    """FUNCTION and the SHAPE of its cluster.

    SHORT: it is one of those that CI runs, which have four minutes.
    """

    name: str
    function: Callable
    shape: str
    short: bool

    @property
    def words(self):
        """What it is about."""
        return self.function.__doc__.splitlines()[0]


def scenario(shape="pair", short=True):
    """Enters a function."""
    def enter(function):
        name = function.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(name, function, shape, short)
        return function
    return enter


def under(cluster, chance, *contexts, seconds, meanwhile=0):
    """A program that goes on after all of CONTEXTS have come and gone; its figures.

    They last SECONDS, and until so many operations were done MEANWHILE.
    """
    first = chance.randrange(100, 1000)
    with Workload(cluster, chance) as work:
        work.reach(first)
        with contextlib.ExitStack() as stack:
            for each in contexts:
                stack.enter_context(each)
                time.sleep(seconds / len(contexts))
            if meanwhile:
                work.reach(meanwhile)
        work.reach(300)
        return told(work.finish(), first, *(each.words for each in contexts),
                    f"{seconds:.1f} s")


def told(figures, *what):
    """FIGURES with WHAT was drawn, for the report."""
    return figures | {"what": ", ".join(map(str, what))}


def come_back(cluster, *hosts):
    """Boots HOSTS, whose power was cut, and waits until they have joined."""
    for host in hosts:
        host.restart(join=True)
    wait_joined(cluster)


# ---- nobody has a copy: what is short is survived


@scenario()
def freeze(cluster, chance):
    """A host stops and goes on."""
    return under(cluster, chance, faults.frozen(chance.choice(cluster.hosts)),
                 seconds=chance.uniform(0.2, SHORT))


@scenario(short=False)
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


@scenario()
def loss(cluster, chance):
    """5 % of a host's frames are lost, both ways."""
    host, seed = chance.choice(cluster.hosts), chance.randrange(1, 1 << 31)
    return under(cluster, chance, faults.lossy(host, 5, seed),
                 seconds=chance.uniform(1, 8), meanwhile=10)


@scenario(short=False)
def slow_host(cluster, chance):
    """All that a host sends comes late, by more than lost packets are waited for or less."""
    host, ms = chance.choice(cluster.hosts), chance.choice([10, 40, 100, 200])
    return under(cluster, chance, faults.slow(host, ms),
                 seconds=chance.uniform(1, 5), meanwhile=10)


@scenario(short=False)
def manager_restart(cluster, chance):
    """The manager's table is lost. Nobody who has memory notices."""
    figures = under(cluster, chance, faults.no_manager(cluster.manager),
                    seconds=chance.uniform(0.1, 8), meanwhile=50)
    wait_joined(cluster)
    return figures


@scenario()
def two_at_once(cluster, chance):
    """Two different faults overlap."""
    host = chance.choice(cluster.hosts)
    possible = {
        "slow": faults.slow(host, chance.choice([10, 40])),
        "loss": faults.lossy(cluster.memory_hosts[0], 5, chance.randrange(1, 1 << 31)),
        "manager": faults.no_manager(cluster.manager),
        "cut": faults.cut(host, chance.choice(["both", "tx", "rx"])),
        # The last to come and the first to go: a frozen host obeys nobody.
        "freeze": faults.frozen(cluster.memory_hosts[0]),
    }
    names = sorted(chance.sample(list(possible), 2), key=list(possible).index)
    figures = under(cluster, chance, *(possible[name] for name in names),
                    seconds=chance.uniform(0.5, SHORT))
    wait_joined(cluster)
    return figures


@scenario()
def exhaustion(cluster, chance):
    """One program wants all frames there are; another has what it has, and keeps it."""
    first = chance.randrange(500, 1500)
    # It drops no pages: it would not get the frames again.
    with Workload(cluster, chance, dontneed=0, mb=2) as work:
        work.reach(first)
        words = Words(cluster.processors[0])
        hog = Workload(cluster, chance, excache="256K", mb=HOG_MB).start()
        hog.lost()
        words.require("SIGBUS at ", "no memory host takes dirty pages")
        work.reach(300)
        return told(work.finish(), first)


@scenario(short=False)
def kill(cluster, chance):
    """A memory host's power is cut: SIGBUS with words, and nobody else is harmed."""
    memory = cluster.memory_hosts[0]
    return all_killed(cluster, chance, f"memory host {memory.address} is lost")


@scenario(short=False)
def given_up(cluster, chance):
    """A memory host is cut off for longer than dead_ms: as if it had died; then it is back."""
    first = chance.randrange(100, 1000)
    memory = cluster.memory_hosts[0]
    context = faults.cut(memory, chance.choice(["both", "tx", "rx"]))
    with Workload(cluster, chance) as work, bystander(cluster, chance) as other:
        work.reach(first)
        words = Words(cluster.processors[0])
        with context:
            figures = work.lost()
        words.require("SIGBUS at ", f"memory host {memory.address} is lost")
        other.reach(100)
        other.finish()
    return told(figures, first, context.words)


def all_killed(cluster, chance, *wanted, **options):
    """A program, by OPTIONS, whose pages are lost with all memory hosts; its figures.

    WANTED are words in its host's kernel log, beside those about the signal.
    """
    first = chance.randrange(100, 1000)
    hosts = chance.sample(cluster.memory_hosts, len(cluster.memory_hosts))
    with Workload(cluster, chance, **options) as work, bystander(cluster, chance) as other:
        work.reach(first)
        words = Words(cluster.processors[0])
        for host in hosts:
            host.power_cut()
        began = time.monotonic()
        figures = work.lost()
        took = time.monotonic() - began
        words.require("SIGBUS at ", *wanted)
        other.reach(100)
        other.finish()
    come_back(cluster, *hosts)
    return told(figures, first, f"SIGBUS after {took:.1f} s")


def bystander(cluster, chance):
    """A program that is not tagged, and leaves most of the CPU to others."""
    return Workload(cluster, chance, excache=None, threads=1, mb=1, pause=5000)


# ---- somebody has a copy


REPLICAS = {"shape": "replicated"}


def primary(cluster):
    """The memory host that has most of the pages; copies are not in frames."""
    return max(cluster.memory_hosts, key=frames_used)


def secondary(cluster):
    """The other one."""
    return min(cluster.memory_hosts, key=frames_used)


def degraded(cluster):
    """Regions that lack a copy."""
    return counters(cluster.processors[0], "pmon")["degraded"]


def wait_redundant(cluster):
    """Waits until nothing is without its copy."""
    wait_until(cluster, lambda: not degraded(cluster),
               "regions are without a copy")


def survived(cluster, chance, victims):
    """A program with a copy, while the power of each of VICTIMS is cut; its figures.

    A victim is a function of the cluster, asked when its turn has come.
    """
    what = []
    with Workload(cluster, chance, replicas=1) as work:
        for victim in victims:
            more = chance.randrange(100, 1000)
            work.reach(more)
            host = victim(cluster)
            what += [more, f"{victim.__name__} {host.name} killed"]
            host.power_cut()
            work.reach(300)
            come_back(cluster, host)
            wait_redundant(cluster)
        work.reach(100)
        return told(work.finish(), *what)


@scenario(**REPLICAS, short=False)
def primary_killed(cluster, chance):
    """The host that serves dies: the copy serves."""
    return survived(cluster, chance, [primary])


def skip_turn(processor):
    """A placement that nobody uses: the next program's goes to another host."""
    processor.load(PROBE)
    processor.write_file("/sys/kernel/debug/sk_probe/place", "1\n")
    processor.unload("sk_probe")


@scenario(shape="series", short=False)
def primary_killed_series(cluster, chance):
    """The same in a third of the time, for many seeds: the host comes back after the end.

    It dies at a moment drawn from the seed, within the first seconds of the workload
    that writes; nothing looks at a host between that moment and the program's end.
    """
    processor = cluster.processors[0]
    if chance.choice([False, True]):
        skip_turn(processor)
    before = counters(processor, "pmon")["failovers"]
    delay, threads = chance.uniform(0, KILL_WITHIN), chance.choice([2, 3, 4])
    with Workload(cluster, chance, "512K", replicas=1, mb=2, threads=threads,
                  writes=70) as work:
        host = primary(cluster)
        time.sleep(delay)
        host.power_cut()
        done = work.operations()
        work.go_on()
        figures = work.finish()
    failovers = counters(processor, "pmon")["failovers"] - before
    come_back(cluster, host)
    if not failovers:
        raise Bad(f"{host.name} was killed and no region failed over")
    return told(figures, f"{host.name} killed {delay:.2f} s after the look", f"{done} ops",
                f"{failovers} failovers")


@scenario(**REPLICAS)
def secondary_killed(cluster, chance):
    """The host with the copy dies: there will be another."""
    return survived(cluster, chance, [secondary])


@scenario(**REPLICAS, short=False)
def both_in_sequence(cluster, chance):
    """Both hosts die, the second one after there is a copy again."""
    return survived(cluster, chance, chance.sample([primary, secondary], 2))


@scenario(**REPLICAS)
def both_at_once(cluster, chance):
    """Both hosts die: SIGBUS with words, and nobody else is harmed."""
    return all_killed(cluster, chance, replicas=1)


@scenario(**REPLICAS, short=False)
def primary_frozen(cluster, chance):
    """The host that serves stops, shorter or longer than it takes to be given up."""
    return apart(cluster, chance, faults.frozen, chance.uniform(0.2, 8))


@scenario(**REPLICAS)
def partition(cluster, chance):
    """The host that serves is cut off until it is given up, and comes back with old pages."""
    direction = chance.choice(["both", "both", "tx", "rx"])
    return apart(cluster, chance, lambda host: faults.cut(host, direction),
                 chance.uniform(4, 10))


def apart(cluster, chance, fault, seconds):
    """A program with a copy, whose primary suffers FAULT; its figures."""
    first = chance.randrange(100, 1000)
    with Workload(cluster, chance, replicas=1) as work:
        work.reach(first)
        context = fault(primary(cluster))
        with context:
            time.sleep(seconds)
            if seconds * 1000 > 2 * cluster.module_params["lite_rpc"]["dead_ms"]:
                work.reach(200)
        work.reach(300)
        wait_redundant(cluster)
        return told(work.finish(), first, context.words, f"{seconds:.1f} s")


@scenario(**REPLICAS)
def drain(cluster, chance):
    """A host is emptied while a program writes to it, its module goes and comes back."""
    processor = cluster.processors[0]
    with Workload(cluster, chance) as work:
        work.reach(chance.randrange(100, 1000))
        host = primary(cluster)
        processor.run(["vnode", "host", "drain", host.address])
        wait_until(cluster, lambda: not counters(host, "mmon")["spaces"],
                   f"{host.name} is not drained", 120)
        work.reach(200)
        host.unload("mmon")
        work.reach(200)
        figures = work.finish()
    host.load("mmon", memory_mb=cluster.memory_mb, **cluster.module_params["mmon"])
    wait_joined(cluster)
    if figures["longest_gap_ms"] > DRAIN_GAP_MS:
        raise Bad(f"no operation for {figures['longest_gap_ms']} ms during the drain")
    return figures
