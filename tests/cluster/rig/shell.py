# SPDX-License-Identifier: GPL-2.0
"""An interactive shell in a guest, on its virtio console, with a real tty."""

import os
import selectors
import signal
import socket
import sys
import termios
import tty

TERMINAL = "/dev/hvc0"

# Opening the terminal makes it the controlling one: the shell leads a session.
START = (f"exec < {TERMINAL} > {TERMINAL} 2>&1; stty sane rows %d cols %d; "
         "exec bash --norc -i")


def interactive(host, cwd):
    """Gives the person a shell on HOST; returns its exit status."""
    rows, columns = _size()
    end = _connect(host.vm)
    shell = host.spawn(START % (rows, columns), cwd=cwd,
                       env={"TERM": os.environ.get("TERM", "dumb"),
                            "PS1": r"\h:\w\$ "})
    with end, _RawTerminal(), _Resized(host):
        _relay(end, shell)
    return shell.poll()


def _connect(vm):
    # By way of the directory's descriptor: the path may be too long.
    directory = os.open(vm.dir, os.O_PATH)
    try:
        end = socket.socket(socket.AF_UNIX)
        end.connect(f"/proc/self/fd/{directory}/tty.sock")
        return end
    finally:
        os.close(directory)


def _size():
    try:
        columns, rows = os.get_terminal_size(sys.stdin.fileno())
    except OSError:
        columns, rows = 0, 0
    return rows or 24, columns or 80


def _relay(end, shell):
    """Copies both ways until SHELL has ended and its output is drained."""
    selector = selectors.DefaultSelector()
    selector.register(end, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    ended = False
    while True:
        ready = selector.select(0.2)
        if not ready and shell.poll() is not None:
            return
        if not ready and ended:
            # Our input ended: so does the shell's. It may be busy and then
            # discard this, so say it until it has heard.
            end.sendall(b"\x04")
        for key, _ in ready:
            data = os.read(key.fd, 65536)
            if key.fileobj is sys.stdin and data:
                end.sendall(data)
            elif key.fileobj is sys.stdin:
                selector.unregister(sys.stdin)
                ended = True
            elif data:
                sys.stdout.buffer.write(data)
                sys.stdout.flush()
            else:
                return


class _RawTerminal:
    """Passes every key on as it is, Ctrl-C too, for the time of the shell."""

    def __enter__(self):
        self._saved = None
        if sys.stdin.isatty():
            self._saved = termios.tcgetattr(sys.stdin)
            tty.setraw(sys.stdin)

    def __exit__(self, *error):
        if self._saved:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._saved)


class _Resized:
    """Tells the guest when the person's window changes its size."""

    def __init__(self, host):
        self._host = host

    def __enter__(self):
        self._saved = signal.signal(signal.SIGWINCH, self._tell)

    def _tell(self, *_):
        rows, columns = _size()
        # Not run(): a signal handler must not wait for the guest.
        self._host.spawn(["stty", "-F", TERMINAL, "rows", str(rows),
                          "cols", str(columns)])

    def __exit__(self, *error):
        signal.signal(signal.SIGWINCH, self._saved)
