# SPDX-License-Identifier: GPL-2.0
"""Commands in a guest: started by the guest agent, output through the share."""

import os
import shlex
import shutil
import sys
import time
from typing import NamedTuple

from .errors import CommandTimeout, RigError
from .paths import GUEST_PATH

# Bytes of the stacks that are shown of a command that does not die.
STACKS_MAX = 16 << 10
# Looking whether a command has ended costs the guest some time, so look often
# only while it is young.
POLL_FIRST, POLL_FACTOR, POLL_LAST = 0.005, 1.3, 0.05

# A session of its own, so that a timeout can end all that it started. The
# agent's child leads no process group, hence setsid does not fork: the pid
# that the agent reports is the command's and the group's.
WRAPPER = ('exec < /dev/null >> "$1" 2>> "$2" || exit 126; '
           'cd "$3" || exit 126; shift 3; exec /bin/busybox setsid "$@"')


class Result(NamedTuple):
    """How a command ended. A signal N that ended it is status 128 + N."""

    status: int
    stdout: str
    stderr: str


def argv_of(command):
    """A string is for the shell, a list is run as it is."""
    if isinstance(command, str):
        return ["/bin/sh", "-c", command]
    return [os.fspath(word) for word in command]


def _found(argv):
    """ARGV with a full path: Busybox runs its own tc, ip, ... for a bare name."""
    if "/" in argv[0]:
        return argv
    path = shutil.which(argv[0], path=GUEST_PATH)
    return [path, *argv[1:]] if path else ["/usr/bin/env", *argv]


def text_of(command):
    """COMMAND for a message."""
    return command if isinstance(command, str) else shlex.join(map(str, command))


class Process:
    """A command that runs in a guest. Made by Host.spawn()."""

    def __init__(self, vm, number, command, cwd, env):
        self.command = text_of(command)
        self._vm = vm
        self._name = f"command-{number}"
        self._status = None
        self._shown = {"out": 0, "err": 0}
        variables = [f"{name}={value}" for name, value in (env or {}).items()]
        argv = _found((["/usr/bin/env", *variables] if variables else [])
                      + argv_of(command))
        for kind in self._shown:
            open(self._host_path(kind), "wb").close()
        self.pid = vm.agent.call(
            "guest-exec", path="/bin/busybox",
            arg=["sh", "-c", WRAPPER, "rig", *map(self._guest_path, self._shown),
                 cwd, *argv])["pid"]

    def _guest_path(self, kind):
        return f"/run/rig/{self._name}.{kind}"

    def _host_path(self, kind):
        return os.path.join(self._vm.share, f"{self._name}.{kind}")

    def poll(self):
        """The exit status, or None while the command runs."""
        if self._status is None:
            state = self._vm.agent.call("guest-exec-status", pid=self.pid)
            if state["exited"]:
                signal = state.get("signal")
                self._status = 128 + signal if signal else state.get("exitcode", 0)
        return self._status

    def wait(self, timeout=60, stream=False):
        """Waits for the end and returns a Result.

        After TIMEOUT seconds kills the command and raises CommandTimeout. On a
        debug kernel a second is DEBUG_PATIENCE seconds (vm.py).
        With STREAM copies the output to ours as it comes.
        """
        end = None if timeout is None else time.monotonic() + timeout * self._vm.patience
        pause = POLL_FIRST
        while self.poll() is None:
            if stream:
                self._pump()
            if end is not None and time.monotonic() > end:
                self._stop_late()
                raise CommandTimeout(self._vm.name, self.command, timeout,
                                     self.result())
            time.sleep(pause)
            pause = min(pause * POLL_FACTOR, POLL_LAST)
        if stream:
            self._pump()
        return self.result()

    def result(self):
        """What is known now; status None while the command runs."""
        return Result(self._status, self.output(), self.output("err"))

    def output(self, kind="out"):
        """What the command wrote so far to stdout ("out") or stderr ("err")."""
        with open(self._host_path(kind), "rb") as file:
            return file.read().decode(errors="replace")

    def _pump(self):
        for kind, stream in (("out", sys.stdout), ("err", sys.stderr)):
            with open(self._host_path(kind), "rb") as file:
                file.seek(self._shown[kind])
                data = file.read()
            if data:
                self._shown[kind] += len(data)
                stream.flush()
                stream.buffer.write(data)
                stream.flush()

    def kill(self, signal="KILL", wait=5):
        """Signals the command and its children; True if it ended within WAIT s."""
        if self.poll() is not None:
            return True
        self._vm.agent.call("guest-exec", path="/bin/busybox",
                            arg=["kill", f"-{signal}", "--", f"-{self.pid}"])
        end = time.monotonic() + wait * self._vm.patience
        while self.poll() is None and time.monotonic() < end:
            time.sleep(POLL_FIRST)
        return self._status is not None

    def _stop_late(self):
        """Kills a command that took too long; says why if it can not die."""
        if self.kill():
            return
        # Blocked in the kernel: where are all such tasks?
        start = len(self._vm.console_bytes())
        try:
            self._vm.agent.write_file("/proc/sysrq-trigger", b"w")
            time.sleep(0.5)
        except RigError:
            pass
        with open(self._host_path("err"), "ab") as file:
            file.write(b"\nrig: it does not die; blocked tasks:\n")
            file.write(self._vm.console_bytes(start)[:STACKS_MAX])
