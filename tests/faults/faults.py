# SPDX-License-Identifier: GPL-2.0
"""Faults of a host or its link, each as long as its context lasts.

Each is made with all it needs and has WORDS, by which a report calls it. One that
had no effect raises Bad when it ends: it would have tested nothing.
"""

import contextlib
import functools

from workload import Bad


def fault(function):
    """A context manager with words: the function's name and arguments."""
    @functools.wraps(function)
    def made(*arguments):
        context = contextlib.contextmanager(function)(*arguments)
        context.words = " ".join([function.__name__.replace("_", " "),
                                  *(str(getattr(each, "name", each)) for each in arguments)])
        return context
    return made


def _frames_lost(host):
    stats = host.link_stats()
    return stats["tx_lost"] + stats["rx_lost"]


@contextlib.contextmanager
def _loses_frames(host):
    before = _frames_lost(host)
    yield
    if _frames_lost(host) == before:
        raise Bad(f"no frame of {host.name} was lost")


@fault
def frozen(host):
    """HOST stops as it is and then goes on, none the wiser."""
    host.freeze()
    try:
        yield
    finally:
        host.thaw()


@fault
def cut(host, direction="both"):
    """Nothing HOST sends ("tx"), is sent ("rx"), or neither, arrives."""
    with _loses_frames(host):
        host.cut(direction)
        try:
            yield
        finally:
            host.restore()


@fault
def lossy(host, percent, seed):
    """PERCENT of what HOST sends and is sent does not arrive."""
    with _loses_frames(host):
        host.loss(percent, seed=seed)
        try:
            yield
        finally:
            host.loss(0)


@fault
def slow(host, ms):
    """All that HOST sends comes MS late."""
    host.delay(ms)
    try:
        yield
    finally:
        host.delay(0)


@fault
def no_manager(host):
    """The manager's module on HOST is gone; the next one begins with an empty table."""
    host.unload("gmm")
    try:
        yield
    finally:
        host.load("gmm", **host.cluster.module_params["gmm"])
