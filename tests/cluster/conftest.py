# SPDX-License-Identifier: GPL-2.0
"""Glue between pytest and the rig.

Every test is followed by a look at the kernel logs of the clusters that run: a
test during which a kernel complains fails, whatever it asserts. A test that
expects a complaint says so, with the reason:

    @pytest.mark.allow_log(r"WARNING: .*rxe_comp.c:756", "link outage, see ...")
"""

import functools
import os
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from rig import LIVE  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "allow_log(regex, reason): kernel log lines "
                            "that this test may cause")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    if time.time() > float(os.environ.get("SK_DEADLINE", "inf")):
        pytest.skip("the time given is over")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    # Wraps the test itself: from a fixture's end the failure would be an error
    # of the teardown, beside a test that passed.
    if hasattr(item, "obj"):
        item.obj = _with_log_gate(item, item.obj)


_looked = {}    # how far into the logs of a cluster the last check has looked


def _with_log_gate(item, test):
    allow = [mark.args for mark in item.iter_markers("allow_log")]

    @functools.wraps(test)
    def gated(*args, **kwargs):
        # Where the last check ended there is a mark; after a failure there was none.
        marks = {cluster: _looked.pop(cluster, None) or cluster.mark_logs(item.name)
                 for cluster in LIVE}
        test(*args, **kwargs)
        for cluster in list(LIVE):
            _looked[cluster] = cluster.check_logs(since=marks.get(cluster), allow=allow,
                                                  name=f"after {item.name}")

    return gated


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        for cluster in LIVE:
            cluster.keep = True     # its logs are wanted
