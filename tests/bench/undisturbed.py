# SPDX-License-Identifier: GPL-2.0
"""Programs whose instructions are counted by the clock of their guest."""

import os
import shlex
import time

from rig import RigError


def run(host, argv, timeout=1200):
    """What ARGV prints. Its end is seen from outside: asking the guest would count as its work."""
    mark = os.path.join(host.vm.share, "ended")
    words = shlex.join(map(str, argv))
    process = host.spawn(f"{words}; status=$?; : > /run/rig/ended; exit $status")
    until = time.monotonic() + timeout
    while not os.path.exists(mark) and host.alive() and time.monotonic() < until:
        time.sleep(0.01)
    result = process.wait(timeout=60)
    if result.status:
        raise RigError(f"{words}: status {result.status}\n{result.stderr}")
    os.unlink(mark)
    return result.stdout
