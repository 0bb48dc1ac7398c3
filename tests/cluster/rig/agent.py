# SPDX-License-Identifier: GPL-2.0
"""Client of the QEMU guest agent: one JSON request and reply per line."""

import base64
import itertools
import json
import os
import socket
import threading
import time

from .errors import HostDown, HostStuck, RigError

CHUNK = 1 << 20


class Agent:
    """Connection to one guest. Any thread may call; calls take turns."""

    _sync_ids = itertools.count(1)

    def __init__(self, name, why_down, patience=1):
        self._name, self._why_down, self._patience = name, why_down, patience
        self._lock = threading.RLock()
        self._socket = None
        self._received = b""
        self._in_step = False
        self._log_handle = None

    def connect(self, path, end):
        """Connects to QEMU's socket PATH and waits until the agent answers."""
        with self._lock:
            self.close()
            # By way of the directory's descriptor: PATH may be too long.
            directory = os.open(os.path.dirname(path), os.O_PATH)
            try:
                self._socket = socket.socket(socket.AF_UNIX)
                self._socket.connect(
                    f"/proc/self/fd/{directory}/{os.path.basename(path)}")
            finally:
                os.close(directory)
            self._sync(end)

    def close(self):
        """Ends the connection. May be called twice."""
        # Not under the lock: a call that waits for an answer holds it, and
        # shutdown is what ends that wait.
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._socket.close()
        self._log_handle = None
        self._in_step = False

    def call(self, command, timeout=30, **arguments):
        """Result of one agent command. RigError if the agent refuses it."""
        request = {"execute": command}
        if arguments:
            request["arguments"] = {name.replace("_", "-"): value
                                    for name, value in arguments.items()}
        end = time.monotonic() + timeout * self._patience
        with self._lock:
            if not self._in_step:
                self._sync(end)
            self._send(json.dumps(request).encode() + b"\n")
            reply = json.loads(self._line(end))
        if "error" in reply:
            raise RigError(f"{self._name}: {command}: {reply['error'].get('desc')}")
        return reply.get("return")

    def _sync(self, end):
        """Gets back in step: drops what earlier, abandoned calls left behind."""
        number = next(self._sync_ids)
        request = {"execute": "guest-sync-delimited", "arguments": {"id": number}}
        # The 0xff makes the agent drop half a request it may have seen.
        self._send(b"\xff" + json.dumps(request).encode() + b"\n")
        while True:
            line = self._line(end).rpartition(b"\xff")[2]
            try:
                if json.loads(line).get("return") == number:
                    break
            except ValueError:
                continue
        self._in_step = True

    def _send(self, data):
        try:
            self._socket.sendall(data)
        except (OSError, AttributeError):
            raise self._down() from None

    def _line(self, end):
        while b"\n" not in self._received:
            left = end - time.monotonic()
            if left <= 0:
                self._in_step = False
                raise HostStuck(f"{self._name}: the guest agent does not answer")
            try:
                self._socket.settimeout(left)
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                data = b""
            if not data:
                raise self._down()
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _down(self):
        self._in_step = False
        # QEMU closes its sockets a moment before it is gone.
        for _ in range(50):
            why = self._why_down()
            if why:
                return HostDown(f"{self._name}: {why}")
            time.sleep(0.02)
        return HostStuck(f"{self._name}: the guest agent's connection is lost")

    def write_file(self, path, data, mode="wb"):
        """Writes bytes DATA to the guest's file PATH."""
        handle = self.call("guest-file-open", path=path, mode=mode)
        try:
            for start in range(0, len(data), CHUNK):
                self._write(handle, data[start:start + CHUNK])
            # fclose() hides a write error, fflush() does not.
            self.call("guest-file-flush", handle=handle)
        finally:
            self.call("guest-file-close", handle=handle)

    def _write(self, handle, data):
        while data:
            done = self.call("guest-file-write", handle=handle,
                             buf_b64=base64.b64encode(data).decode())
            data = data[done["count"]:]

    def read_file(self, path):
        """Content of the guest's file PATH, as bytes."""
        handle = self.call("guest-file-open", path=path, mode="rb")
        parts = []
        try:
            while True:
                part = self.call("guest-file-read", handle=handle, count=CHUNK)
                parts.append(base64.b64decode(part["buf-b64"]))
                if part["eof"]:
                    return b"".join(parts)
        finally:
            self.call("guest-file-close", handle=handle)

    def log(self, text):
        """Writes one line to the guest's kernel log."""
        with self._lock:
            if self._log_handle is None:
                self._log_handle = self.call("guest-file-open", path="/dev/kmsg",
                                             mode="ab")
            self._write(self._log_handle, (text + "\n").encode())
            self.call("guest-file-flush", handle=self._log_handle)
