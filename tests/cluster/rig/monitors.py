# SPDX-License-Identifier: GPL-2.0
"""The monitors: which module goes on which host, in which order, with what.

MONITORS is the only place that knows. Modules are loaded in its order, one
module on all its hosts before the next, and removed in the reverse order.
"""

import json
import os
import time
from typing import Callable, NamedTuple

from .errors import RigError
from .kernel import built_for, module_name
from .paths import REPO, USERLAND

KEY_FILE = "/run/splitkernel/cluster.key"
VNODE = os.path.join(USERLAND, "vnode")


class Monitor(NamedTuple):
    """A module: FILE below the repository, for hosts with ROLE."""

    name: str
    file: str
    role: str
    params: Callable    # (cluster, host) -> {name: value}

    @property
    def path(self):
        """Where `make` builds it."""
        return os.path.join(REPO, self.file)


MONITORS = [
    Monitor("lite_rpc", "lite-rpc/lite_rpc.ko", "host",
            lambda cluster, host: {"addr": host.address,
                                   "manager": cluster.manager.address,
                                   "key_file": KEY_FILE}),
    Monitor("gmm", "gmm/gmm.ko", "manager", lambda cluster, host: {}),
    Monitor("mmon", "mmon/mmon.ko", "memory",
            lambda cluster, host: {"memory_mb": cluster.memory_mb}),
    Monitor("pmon", "pmon/pmon.ko", "processor",
            lambda cluster, host: {"excache_mb": cluster.excache_mb}),
]

# Looked up by the crypto code by alias when it is there; load it for certain,
# so that a checksum costs the same in every run.
OPTIONAL = ["crc32c_intel"]


def find(name):
    """The monitor NAME, or None."""
    return next((each for each in MONITORS if each.name == name), None)


def prerequisites(path, kernel):
    """Stock modules that the module file PATH needs; checks that it fits KERNEL.

    PATH is where the file is, which Kernel.ours() tells.
    """
    shown = os.path.relpath(path, REPO)
    if not os.path.exists(path):
        raise RigError(f"{shown} is not built: run make")
    version, needs = built_for(path)
    if version != kernel.version:
        raise RigError(f"{shown} is built for kernel {version}, not {kernel.version}: "
                       f"run make KRELEASE={kernel.version}")
    ours = {monitor.name for monitor in MONITORS} | {module_name(path)}
    return [name for name in needs if name not in ours]


def check_built(cluster):
    """Raises RigError unless all modules that CLUSTER needs are built for it."""
    roles = set().union(*(host.roles for host in cluster.hosts))
    for monitor in MONITORS:
        if monitor.role in roles:
            prerequisites(cluster.kernel.ours(monitor.path), cluster.kernel)


def join(cluster, hosts=None, timeout=60):
    """Loads the monitors on HOSTS (default: all) and waits until they know."""
    hosts = cluster.hosts if hosts is None else hosts
    for host in hosts:
        host.run(["modprobe", "-a", "-q", *OPTIONAL], check=False)
    for monitor in MONITORS:
        for host in hosts:
            if monitor.role in host.roles:
                params = monitor.params(cluster, host)
                params.update(cluster.module_params.get(monitor.name, {}))
                host.load(monitor.name, **params)
    wait_joined(cluster, timeout)


def leave(cluster, hosts=None):
    """Removes the monitors from HOSTS (default: all that run)."""
    if hosts is None:
        hosts = [host for host in cluster.hosts if host.alive()]
    loaded = {host: host.loaded() for host in hosts}
    for monitor in reversed(MONITORS):
        for host in reversed(hosts):
            if monitor.name in loaded[host]:
                host.unload(monitor.name)


def wait_joined(cluster, timeout=60):
    """Waits until processor host 1 sees every memory host that runs.

    Until userland/vnode is built, that the modules loaded has to do.
    """
    if not os.access(VNODE, os.X_OK) or not cluster.processors[0].alive():
        return
    wanted = {host.address for host in cluster.memory_hosts if host.alive()}
    end = time.monotonic() + cluster.patience(timeout)
    while True:
        answer = cluster.processors[0].run([VNODE, "status", "--json"], check=False)
        missing = wanted - _memory_hosts(answer.stdout)
        if not missing:
            return
        if time.monotonic() > end:
            raise RigError(f"memory hosts did not join within {timeout} s: "
                           f"{' '.join(sorted(missing))} {answer.stderr.strip()}")
        time.sleep(0.1)


def _memory_hosts(status):
    """Addresses of the usable memory hosts in what "vnode status --json" wrote."""
    try:
        hosts = json.loads(status)["hosts"]
    except (ValueError, KeyError):
        return set()
    return {host["address"] for host in hosts
            if host["usable"] and "mmon" in host["services"]}
