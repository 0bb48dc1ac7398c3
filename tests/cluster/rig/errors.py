# SPDX-License-Identifier: GPL-2.0
"""What can go wrong, by who is at fault."""


class RigError(Exception):
    """The rig could not do what was asked. The message is one line for a person."""


class HostDown(RigError):
    """The VM is off: its power was cut, it panicked, or QEMU ended."""


class HostStuck(RigError):
    """The VM runs but its guest agent does not answer."""


class CommandFailed(Exception):
    """A command in a guest ended with a status other than 0."""

    def __init__(self, host, command, result):
        self.result = result
        text = f"{host}: status {result.status}: {command}"
        for name in ("stdout", "stderr"):
            tail = getattr(result, name)[-2000:].strip()
            if tail:
                text += f"\n--- {name}\n{tail}"
        super().__init__(text)


class CommandTimeout(Exception):
    """A command in a guest was killed because it took too long."""

    def __init__(self, host, command, timeout, result):
        self.result = result
        text = f"{host}: no end within {timeout} s, killed: {command}"
        for name in ("stdout", "stderr"):
            tail = getattr(result, name)[-2000:].strip()
            if tail:
                text += f"\n--- {name}\n{tail}"
        super().__init__(text)


class LogFailure(AssertionError):
    """A guest's kernel complained. The message holds the lines."""
