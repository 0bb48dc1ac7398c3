# SPDX-License-Identifier: GPL-2.0
"""Builds the small initramfs that mounts the host's root in a guest."""

import hashlib
import lzma
import os
import stat

from .errors import RigError
from .kernel import module_name
from .paths import BUILD, GUEST

BUSYBOX = "/bin/busybox"

# What it takes to reach the host's files and the guest agent; anything else
# is loaded from the host's file system later.
MODULES = ["virtio_pci", "virtio_net", "virtio_console", "9pnet_virtio", "9p",
           "overlay"]

DIRECTORIES = ["bin", "dev", "lower", "modules", "root", "rw"]


def build(kernel):
    """Path of the initramfs for KERNEL, built unless one like it exists."""
    files = _files(kernel)
    digest = hashlib.sha256()
    for name, mode, data in files:
        digest.update(f"{name} {mode} {len(data)}\n".encode() + data)
    path = os.path.join(BUILD,
                        f"initramfs-{kernel.version}-{digest.hexdigest()[:12]}.cpio")
    if not os.path.exists(path):
        os.makedirs(BUILD, exist_ok=True)
        # Several rigs may build the same one: each writes its own, then renames.
        with open(f"{path}.{os.getpid()}", "wb") as output:
            output.write(_archive(files))
        os.rename(f"{path}.{os.getpid()}", path)
    return path


def _files(kernel):
    """[(name, mode, content)] of the regular files of the initramfs."""
    paths = kernel.load_order(MODULES)
    names = [module_name(path) + ".ko" for path in paths]
    files = [("init", 0o755, _read(os.path.join(GUEST, "init"))),
             ("bin/busybox", 0o755, _static_busybox()),
             ("modules/order", 0o644, "".join(f"{n}\n" for n in names).encode())]
    files += [(f"modules/{name}", 0o644, _module(path))
              for name, path in zip(names, paths)]
    return files


def _static_busybox():
    try:
        busybox = _read(BUSYBOX)
    except OSError:
        raise RigError("no /bin/busybox: run tests/setup") from None
    if b"/ld-linux" in busybox:
        raise RigError("/bin/busybox is not static (want busybox-static): "
                       "run tests/setup")
    return busybox


def _module(path):
    # Busybox does not unpack xz; newer Debian kernels ship .ko.xz.
    data = _read(path)
    return lzma.decompress(data) if path.endswith(".xz") else data


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def _entry(name, mode, data=b"", device=(0, 0)):
    """One cpio entry in the "newc" format."""
    path = name.encode() + b"\0"
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _pad(header + path) + _pad(data)


def _pad(data):
    return data + b"\0" * (-len(data) % 4)


def _archive(files):
    parts = [_entry(name, stat.S_IFDIR | 0o755) for name in DIRECTORIES]
    # The kernel opens it for process 1 before anything is mounted.
    parts.append(_entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    parts += [_entry(name, stat.S_IFREG | mode, data) for name, mode, data in files]
    parts.append(_entry("TRAILER!!!", 0))
    return b"".join(parts)
