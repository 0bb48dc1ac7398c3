# SPDX-License-Identifier: GPL-2.0
"""The switch between the VMs (switch.c): building, starting, commanding it."""

import hashlib
import os
import socket
import subprocess
import threading

from .errors import RigError
from .paths import BUILD, CLUSTER

SOURCE = os.path.join(CLUSTER, "switch.c")
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra"]


def build_switch():
    """Path of the switch program, compiled unless it already is."""
    with open(SOURCE, "rb") as source:
        digest = hashlib.sha256(source.read()).hexdigest()[:12]
    path = os.path.join(BUILD, f"switch-{digest}")
    if os.path.exists(path):
        return path
    os.makedirs(BUILD, exist_ok=True)
    mine = f"{path}.{os.getpid()}"
    try:
        subprocess.run(["cc", *FLAGS, "-o", mine, SOURCE], check=True,
                       capture_output=True, text=True)
    except FileNotFoundError:
        raise RigError("no C compiler (cc): run tests/setup") from None
    except subprocess.CalledProcessError as error:
        raise RigError(f"switch.c does not compile:\n{error.stderr}") from None
    os.rename(mine, path)
    return path


class Switch:
    """A running switch. Its sockets are in DIRECTORY: portN.sock, hostN.sock."""

    def __init__(self, directory, ports):
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX,
                                                  socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [build_switch(), str(ports)], cwd=directory, stdin=theirs,
                stdout=subprocess.DEVNULL, start_new_session=True)
        self._control.settimeout(10)
        if self._control.recv(256) != b"ok":
            raise RigError("the switch did not start")

    def command(self, *words):
        """Sends one command (see switch.c) and returns the words of the answer."""
        with self._lock:
            self._control.send(" ".join(str(word) for word in words).encode())
            answer = self._control.recv(256).decode().split()
        if answer[:1] != ["ok"]:
            raise RigError(f"switch: {' '.join(map(str, words))}: {' '.join(answer)}")
        return answer[1:]

    def stats(self, port):
        """Counters of PORT as {name: number}."""
        words = self.command("stats", port)
        return {name: int(value)
                for name, value in (word.split("=") for word in words)}

    def stop(self):
        """Ends the switch. May be called twice."""
        self._control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
