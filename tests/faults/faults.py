# SPDX-License-Identifier: GPL-2.0
"""Faults of a host or its link, each as long as its context lasts."""

import contextlib


@contextlib.contextmanager
def frozen(host):
    """HOST stops as it is and then goes on, none the wiser."""
    host.freeze()
    try:
        yield
    finally:
        host.thaw()


@contextlib.contextmanager
def cut(host, direction="both"):
    """Nothing HOST sends ("tx"), is sent ("rx"), or neither, arrives."""
    host.cut(direction)
    try:
        yield
    finally:
        host.restore()


@contextlib.contextmanager
def lossy(host, percent, seed):
    """PERCENT of what HOST sends and is sent does not arrive."""
    host.loss(percent, seed=seed)
    try:
        yield
    finally:
        host.loss(0)


@contextlib.contextmanager
def slow(host, ms):
    """All that HOST sends comes MS late."""
    host.delay(ms)
    try:
        yield
    finally:
        host.delay(0)


@contextlib.contextmanager
def no_manager(cluster):
    """The manager's module is gone; another one begins with an empty table."""
    cluster.manager.unload("gmm")
    try:
        yield
    finally:
        cluster.manager.load("gmm", **cluster.module_params["gmm"])
