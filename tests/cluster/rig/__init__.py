# SPDX-License-Identifier: GPL-2.0
"""The rig: clusters of VMs with Soft-RoCE on the stock Debian kernel.

    from rig import Cluster

    with Cluster(processors=1, memory_hosts=2) as c:
        c.processors[0].run("uname -r").stdout
        c.memory_hosts[1].power_cut()

See Cluster and Host. A guest's root is the host's file system, read-only below
a layer in memory: what a guest writes is seen by nobody and is gone at its end.
"""

from .cluster import LIVE, Cluster
from .errors import (CommandFailed, CommandTimeout, HostDown, HostStuck, LogFailure,
                     RigError)
from .host import Host
from .klog import RXE_LINK_CUT
from .kernel import default_version, installed, on_debug_kernel
from .paths import REPO
from .process import Process, Result
from .vm import have_kvm

__all__ = ["LIVE", "REPO", "RXE_LINK_CUT", "Cluster", "CommandFailed",
           "CommandTimeout", "Host", "HostDown", "HostStuck", "LogFailure", "Process",
           "Result", "RigError", "default_version", "have_kvm", "installed", "on_debug_kernel"]
