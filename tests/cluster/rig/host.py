# SPDX-License-Identifier: GPL-2.0
"""One host of a cluster, as tests see it."""

import os
import shlex
import shutil
import time

from . import monitors
from .errors import CommandFailed, RigError
from .process import Process, text_of

DIRECTIONS = ("both", "tx", "rx")


class Host:
    """A host: run commands on it, load modules, cut its power or its link.

    name     "proc1", "mem2", ... (also its host name, known to all guests)
    address  its address on the cluster's network, for example "10.77.0.1"
    roles    a set of "host", "manager", "memory", "processor"
    """

    def __init__(self, cluster, vm, address, roles):
        self.cluster, self.vm, self.address, self.roles = cluster, vm, address, roles
        self.name = vm.name
        self._commands = 0

    def __repr__(self):
        return f"<{self.name} {self.address}>"

    # ---- commands and files

    def run(self, command, timeout=60, check=True, cwd="/tmp", env=None, stream=False):
        """Runs COMMAND to its end and returns Result(status, stdout, stderr).

        COMMAND is a string for /bin/sh or a list of words. With CHECK a status
        other than 0 raises CommandFailed. After TIMEOUT seconds (None: never)
        the command and its children are killed and CommandTimeout is raised.
        STREAM copies the output to ours as it comes. ENV adds variables.
        """
        result = self.spawn(command, cwd=cwd, env=env).wait(timeout, stream)
        if check and result.status:
            raise CommandFailed(self.name, text_of(command), result)
        return result

    def spawn(self, command, cwd="/tmp", env=None):
        """Starts COMMAND and returns a Process: poll(), wait(), output(), kill()."""
        self.vm.require_alive()
        self._commands += 1
        return Process(self.vm, self._commands, command, cwd, env)

    def write_file(self, path, text):
        """Writes TEXT (str or bytes) to the guest's file PATH, also in /sys etc."""
        self.vm.require_alive()
        data = text.encode() if isinstance(text, str) else text
        self.vm.agent.write_file(path, data)

    def read_file(self, path):
        """Text of the guest's file PATH."""
        self.vm.require_alive()
        return self.vm.agent.read_file(path).decode(errors="replace")

    # ---- modules

    def load(self, module, **params):
        """Inserts MODULE: a monitor's name, a .ko file, or a kernel module's name.

        A .ko file of this repository means the one built for the VM's kernel.
        """
        words = [f"{name}={value}" for name, value in params.items()]
        monitor = monitors.find(module)
        path = monitor.path if monitor else module
        if not path.endswith((".ko", ".ko.xz")):
            self._insert("modprobe", module, *words)
            return
        path = self.cluster.kernel.ours(path)
        prepare = monitors.prerequisites(path, self.cluster.kernel)
        if prepare:
            self.run(["modprobe", "-a", *prepare])
        self._insert("insmod", self._snapshot(path), *words)

    def _snapshot(self, path):
        """Copies a .ko to the share: the guest caches files, makers replace them."""
        directory = os.path.join(self.vm.share, "modules")
        os.makedirs(directory, exist_ok=True)
        shutil.copy(path, directory)
        return f"/run/rig/modules/{os.path.basename(path)}"

    def _insert(self, *argv):
        result = self.run(list(argv), check=False)
        if result.status:
            log = self.vm.console().splitlines()[-5:]
            raise RigError(f"{self.name}: {shlex.join(argv)}: {result.stderr.strip()}\n"
                           + "\n".join(log))

    def unload(self, module):
        """Removes MODULE (rmmod)."""
        self.run(["rmmod", module])

    def loaded(self):
        """Names of all loaded modules."""
        return {line.split()[0] for line in self.read_file("/proc/modules").splitlines()}

    # ---- power

    def alive(self):
        """Whether the VM runs."""
        return self.vm.alive()

    def power_cut(self):
        """Cuts the power: nothing is flushed, nobody is told."""
        self.vm.kill()

    def freeze(self):
        """Stops the host, silently; its clock goes on. Commands to it then wait."""
        self.vm.freeze()

    def thaw(self):
        """Ends freeze()."""
        self.vm.thaw()

    def restart(self, join=None):
        """Boots the host again (after a power cut if it runs), same address.

        Then loads its monitors again, if the cluster was started with modules;
        JOIN overrides that.
        """
        self.cluster.boot(self)
        if self.cluster.modules if join is None else join:
            monitors.join(self.cluster, [self])

    # ---- link

    def cut(self, direction="both"):
        """Drops all frames that this host sends ("tx"), is sent ("rx"), or both."""
        self._switch("cut", _known(direction))

    def restore(self):
        """Ends cut()."""
        self._switch("restore")

    def loss(self, percent, direction="both", seed=1):
        """Drops PERCENT of the frames at random; 0 ends it. SEED repeats a run."""
        self._switch("loss", _known(direction), percent, seed)

    def delay(self, ms):
        """Delays every frame that this host sends by MS; 0 ends it."""
        # A queue for one second of small frames at any plausible rate.
        netem = f"replace dev eth0 root netem limit 100000 delay {ms}ms"
        self.run(["tc", "qdisc", *(netem.split() if ms else
                                   ["delete", "dev", "eth0", "root"])])

    def link_stats(self):
        """The switch's counters of this host: tx, rx, tx_lost, rx_lost, ..."""
        return self.cluster.switch.stats(self.vm.index + 1)

    def _switch(self, verb, *words):
        self.cluster.switch.command(verb, self.vm.index + 1, *words)

    # ---- kernel log

    def klog(self):
        """The kernel log. All of it from a host that runs; else its console's."""
        if self.alive():
            return self.run("dmesg").stdout
        return self.vm.console()

    def log(self, text):
        """Writes a line to the guest's kernel log."""
        self.vm.require_alive()
        self.vm.agent.log(text)

    def wait_log(self, text, timeout=10):
        """Waits until the console log has TEXT; returns whether it came."""
        end = time.monotonic() + timeout * self.vm.patience
        while text not in self.vm.console():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True


def _known(direction):
    if direction not in DIRECTIONS:
        raise ValueError(f"direction is one of {DIRECTIONS}, not {direction!r}")
    return direction
