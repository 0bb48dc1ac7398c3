# SPDX-License-Identifier: GPL-2.0
"""A virtio disk of the processor host, as slow against the link as an SSD would be."""

import json
import os
import socket

from rig import REPO, RigError

IMAGE = os.path.join(REPO, "build/bench/disk.raw")

# The Leap paper (ATC'20, figure 1) has 20 us for the SSD and 4.3 us for the RDMA
# transfer of a page.
FACTOR = 20 / 4.3
SOURCE = "Leap, ATC'20, figure 1: SSD 20 us, RDMA 4.3 us"

# What QEMU's command wants besides.
UNLIMITED = {"bps": 0, "bps_rd": 0, "bps_wr": 0, "iops_rd": 0, "iops_wr": 0}


def devices(size_mb):
    """QEMU's arguments for a host with the disk, of SIZE_MB MiB; makes its image."""
    os.makedirs(os.path.dirname(IMAGE), exist_ok=True)
    with open(IMAGE, "wb") as image:
        os.posix_fallocate(image.fileno(), 0, size_mb << 20)
    return ["-drive", f"if=none,id=disk,file={IMAGE},format=raw,cache=none",
            "-device", "virtio-blk-pci,drive=disk",
            "-qmp", "unix:{name}/qmp.sock,server=on,wait=off"]


class Disk:
    """The disk of HOST."""

    device = "/dev/vda"

    def __init__(self, host):
        self._host = host
        host.load("virtio_blk")

    def throttle(self, read_us):
        """Lets it do as many requests a second as fit at the latency of an SSD.

        QEMU limits requests a second. One request after the other takes an SSD's
        time then; several at once do not overlap, as they would on an SSD.
        Returns what the header says about it.
        """
        iops = max(1, round(1e6 / (read_us * FACTOR)))
        self._command("block_set_io_throttle", device="disk", iops=iops, **UNLIMITED)
        return {"requests_a_second": iops, "factor_over_read_4k": round(FACTOR, 2),
                "source": SOURCE}

    def unthrottle(self):
        """As quick as it is: for who does not measure time."""
        self._command("block_set_io_throttle", device="disk", iops=0, **UNLIMITED)

    def _command(self, name, **arguments):
        path = os.path.join(self._host.vm.dir, "qmp.sock")
        # By way of the directory's descriptor: PATH may be too long.
        directory = os.open(os.path.dirname(path), os.O_PATH)
        try:
            with socket.socket(socket.AF_UNIX) as end:
                end.settimeout(30)
                end.connect(f"/proc/self/fd/{directory}/qmp.sock")
                lines = end.makefile("rw", encoding="utf-8")
                lines.readline()        # greeting
                for request in ({"execute": "qmp_capabilities"},
                                {"execute": name, "arguments": arguments}):
                    lines.write(json.dumps(request) + "\n")
                    lines.flush()
                    answer = json.loads(lines.readline())
                    while "event" in answer:
                        answer = json.loads(lines.readline())
                    if "error" in answer:
                        raise RigError(f"QEMU: {name}: {answer['error']['desc']}")
        finally:
            os.close(directory)
