# SPDX-License-Identifier: GPL-2.0
"""Unpacks a kernel image, so that no VM has to do it at each boot.

Under emulation a bzImage spends 6 s on unpacking itself. QEMU also starts the
plain ELF file that is inside (by PVH), which is the same kernel without KASLR.
"""

import hashlib
import lzma
import os
import shutil
import struct
import subprocess

from .paths import BUILD

# Fields of the boot protocol's header (Documentation/x86/boot.rst).
SETUP_SECTORS, MAGIC, PAYLOAD = 0x1f1, 0x202, 0x248
SECTOR = 512


def unpack(image):
    """Path of the ELF kernel inside IMAGE; IMAGE itself if we can not unpack it."""
    state = os.stat(image)
    digest = hashlib.sha256(f"{image} {state.st_size} {state.st_mtime_ns}".encode())
    path = os.path.join(BUILD, f"vmlinux-{digest.hexdigest()[:12]}")
    if os.path.exists(path):
        return path
    elf = _decompress(_payload(image))
    if not elf.startswith(b"\x7fELF"):
        return image
    os.makedirs(BUILD, exist_ok=True)
    with open(f"{path}.{os.getpid()}", "wb") as output:
        output.write(elf)
    os.rename(f"{path}.{os.getpid()}", path)
    return path


def _payload(image):
    with open(image, "rb") as file:
        data = file.read()
    if data[MAGIC:MAGIC + 4] != b"HdrS":
        return b""
    start = (data[SETUP_SECTORS] + 1) * SECTOR
    offset, length = struct.unpack_from("<II", data, PAYLOAD)
    return data[start + offset:start + offset + length]


def _decompress(payload):
    if payload.startswith(b"\xfd7zXZ"):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b"\x28\xb5\x2f\xfd") and shutil.which("zstd"):
        # The last four bytes are the unpacked size, for the kernel's own use.
        return subprocess.run(["zstd", "-dcq"], input=payload[:-4], check=False,
                              capture_output=True).stdout
    return b""
