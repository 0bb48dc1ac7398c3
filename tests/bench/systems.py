# SPDX-License-Identifier: GPL-2.0
"""The systems that are compared: how each is set up, and how it limits a program."""

import os
import shlex

from rig import REPO

CGROUPS = "/sys/fs/cgroup"
GROUP = f"{CGROUPS}/bench"
DEVICE = os.path.join(REPO, "tests/bench/infiniswap_style")
NQN = "splitkernel-bench"
TARGET = "/sys/kernel/config/nvmet"

# What Linux has when nobody says anything, and what suits random access.
PAGE_CLUSTERS = (0, 3)


class System:
    """A place for memory that does not fit. Its subclasses say how it is made."""

    name = title = ""
    managed = False             # whether the program's memory is splitkernel's
    page_clusters = (None,)     # values of vm.page-cluster; (None,): it has no say
    remote = False              # whether pages go over the link
    unasked = True              # whether it is run when nobody says which are to be

    def start(self, bed):
        """Makes it ready on BED (testbed.py)."""

    def stop(self, bed):
        """Takes it away again."""

    def settle(self, bed, page_cluster):
        """What has to be said before each run."""
        if page_cluster is not None:
            bed.processor.write_file("/proc/sys/vm/page-cluster", str(page_cluster))

    def limited(self, command, limit):
        """COMMAND as it runs with LIMIT bytes (None: with all there are)."""
        maximum = "max" if limit is None else str(limit)
        return grouped(command, maximum)

    def label(self, page_cluster):
        """Its name in records."""
        return self.name if page_cluster is None else f"{self.name}, page-cluster {page_cluster}"


def grouped(command, maximum):
    """COMMAND as the only one in our cgroup, with a memory.max of MAXIMUM."""
    return ["/bin/sh", "-c", f"echo {maximum} > {GROUP}/memory.max && "
            f"echo $$ > {GROUP}/cgroup.procs && exec {shlex.join(command)}"]


class NoLimit(System):
    """All the memory that it wants."""

    name = title = "no limit"


class Splitkernel(System):
    """An ExCache of the size of the limit, memory hosts behind it."""

    name = title = "splitkernel"
    managed = remote = True

    def limited(self, command, limit):
        # In the cgroup, too, without a limit there: it counts what is not managed.
        return grouped(["vnode", "run", "--excache", f"{limit >> 10}K", "--", *command], "max")


class SplitkernelWhole(Splitkernel):
    """The limit is for all that memory.max counts, as it is for swap.

    One half is the ExCache, the other memory.max for what is not managed: text, page
    cache, page tables. For programs of which those are a large part.
    """

    name, title = "splitkernel-whole", "splitkernel, text within the limit"
    unasked = False

    def limited(self, command, limit):
        excache = limit // 2
        return grouped(["vnode", "run", "--excache", f"{excache >> 10}K", "--", *command],
                       str(limit - excache))


class Swap(System):
    """Swap on a block device; the program is limited by cgroup v2."""

    page_clusters = PAGE_CLUSTERS
    device = None

    def make(self, bed):
        """Makes the block device, returns its path."""
        raise NotImplementedError

    def unmake(self, bed):
        """Takes the block device away."""

    def start(self, bed):
        self.device = self.make(bed)
        bed.processor.run(["mkswap", self.device], timeout=120)
        bed.processor.run(["swapon", self.device], timeout=120)

    def stop(self, bed):
        bed.processor.run(["swapoff", self.device], timeout=60)
        self.unmake(bed)


class Zram(Swap):
    """Compressed, in the processor host's own memory."""

    name, title = "zram", "swap on zram"

    def make(self, bed):
        bed.processor.load("zram", num_devices=1)
        bed.processor.write_file("/sys/block/zram0/disksize", f"{bed.size.swap_mb}M")
        return "/dev/zram0"

    def unmake(self, bed):
        bed.processor.unload("zram")


class Ramdisk(Swap):
    """Not compressed, in the processor host's own memory."""

    name, title = "brd", "swap on a ramdisk (brd)"

    def make(self, bed):
        bed.processor.load("brd", rd_nr=1, rd_size=bed.size.swap_mb << 10)
        return "/dev/ram0"

    def unmake(self, bed):
        bed.processor.unload("brd")


class Disk(Swap):
    """A virtio disk that is as slow against the link as an NVMe SSD is."""

    name, title = "disk", "swap on a disk (virtio-blk, throttled to NVMe)"

    def make(self, bed):
        # virtio says that it rotates; then Linux would allot swap as for a hard disk and
        # read ahead by place on the device, for every other device as well.
        bed.processor.write_file(f"/sys/block/{os.path.basename(bed.disk.device)}"
                                 "/queue/rotational", "0")
        return bed.disk.device


class NvmeOverFabrics(Swap):
    """NVMe over RDMA, a ramdisk of the memory host as namespace."""

    name, title = "nvme-of", "swap on NVMe-oF/RDMA"
    remote = True

    def make(self, bed):
        self._make_target(bed)
        bed.processor.load("nvme-rdma")
        connect = (f"transport=rdma,traddr={bed.memory.address},trsvcid=4420,nqn={NQN},"
                   f"nr_io_queues={bed.cpus}")
        bed.processor.run(f"echo {connect} > /dev/nvme-fabrics", timeout=120)
        return bed.processor.run(
            "for i in $(seq 300); do for d in /dev/nvme*n1; do [ -b $d ] && echo $d && exit; "
            "done; sleep 0.1; done; exit 1", timeout=60).stdout.strip()

    @staticmethod
    def _make_target(bed):
        bed.memory.load("brd", rd_nr=1, rd_size=bed.size.swap_mb << 10)
        bed.memory.load("nvmet-rdma")
        bed.memory.run(f"""set -e
            mountpoint -q /sys/kernel/config || mount -t configfs config /sys/kernel/config
            mkdir {TARGET}/subsystems/{NQN}
            echo 1 > {TARGET}/subsystems/{NQN}/attr_allow_any_host
            mkdir {TARGET}/subsystems/{NQN}/namespaces/1
            echo /dev/ram0 > {TARGET}/subsystems/{NQN}/namespaces/1/device_path
            echo 1 > {TARGET}/subsystems/{NQN}/namespaces/1/enable
            mkdir {TARGET}/ports/1
            echo rdma > {TARGET}/ports/1/addr_trtype
            echo ipv4 > {TARGET}/ports/1/addr_adrfam
            echo {bed.memory.address} > {TARGET}/ports/1/addr_traddr
            echo 4420 > {TARGET}/ports/1/addr_trsvcid
            ln -s {TARGET}/subsystems/{NQN} {TARGET}/ports/1/subsystems/{NQN}""", timeout=120)

    def unmake(self, bed):
        bed.processor.run("for c in /sys/class/nvme/nvme*/delete_controller; do "
                          "echo 1 > $c; done", timeout=180)
        bed.processor.unload("nvme-rdma")
        bed.memory.run(f"""set -e
            rm {TARGET}/ports/1/subsystems/{NQN}
            rmdir {TARGET}/ports/1
            echo 0 > {TARGET}/subsystems/{NQN}/namespaces/1/enable
            rmdir {TARGET}/subsystems/{NQN}/namespaces/1 {TARGET}/subsystems/{NQN}""",
                       timeout=180)
        bed.memory.unload("nvmet-rdma")
        bed.memory.unload("brd")


class InfiniswapStyle(Swap):
    """Our own block device of InfiniSwap's design, over lite_rpc."""

    name = "infiniswap-style"
    title = "InfiniSwap-style (our re-implementation)"
    remote = True

    def make(self, bed):
        bed.memory.load(f"{DEVICE}/slab_server.ko", memory_mb=bed.size.swap_mb)
        bed.processor.load(f"{DEVICE}/slab_disk.ko", size_mb=bed.size.swap_mb,
                           servers=bed.memory.address, disk=bed.disk.device)
        self._map_slabs(bed)
        return "/dev/slabdisk0"

    @staticmethod
    def _map_slabs(bed):
        """Has every slab mapped: what is written before that is on disk only."""
        slabs = bed.size.swap_mb // 2
        bed.processor.run(f"""for slab in $(seq 0 {slabs - 1}); do
            dd if=/dev/zero of=/dev/slabdisk0 bs=4k count=1 seek=$((slab * 512)) oflag=direct \
                status=none || exit; done
            for i in $(seq 600); do
                grep -qx 'mappings {slabs}' /sys/kernel/debug/slab_disk/counters && exit
                sleep 0.1; done; exit 1""", timeout=900)

    def unmake(self, bed):
        bed.processor.unload("slab_disk")
        bed.memory.unload("slab_server")


# In the order in which they are run: if the time is over, the last are not.
ALL = [NoLimit(), Splitkernel(), SplitkernelWhole(), InfiniswapStyle(), NvmeOverFabrics(), Zram(),
       Disk(), Ramdisk()]


def chosen(names):
    """Those of NAMES, or those that are run unasked, and what all are compared with."""
    return [each for each in ALL if isinstance(each, NoLimit)
            or (each.name in names if names else each.unasked)]


def title(label):
    """What tables call the system of a record."""
    name, _, rest = label.partition(", ")
    known = next((system.title for system in ALL if system.name == name), name)
    return f"{known}, {rest}" if rest else known
