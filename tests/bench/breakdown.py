# SPDX-License-Identifier: GPL-2.0
"""Where the instructions of an operation are executed: the plugin's counts, in parts.

The plugin (tests/bench/executed) counts by address, the guest's symbols make functions of that,
and functions belong to a part by their module or, in the core, by their name. What a function
executes counts for it, not for who called it: the xarray is a part of its own, whosever tree it
is. Our own modules are told by file, one for each noun.
"""

import bisect
import collections
import glob
import os
import re
import subprocess

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PLUGIN = os.path.join(REPO, "build/executed.so")
OWN = {"pmon": "pmon", "lite_rpc": "lite-rpc", "mmon": "mmon", "gmm": "gmm"}

# Of modules. The first that matches; none: the module is a part.
MODULES = (
    ("RDMA: rxe, its checksums", r"rdma_rxe|ib_core|crc32.?pclmul|crc32_generic"),
    ("checksum of the page", r"crc32c_intel|libcrc32c|xxhash.*"),
    ("RDMA: the network below", r"virtio_net|virtio_ring|virtio_pci|ip6?_udp_tunnel|udp_tunnel"),
)

# Of the core's functions.
CORE = (
    ("RDMA: copies", r"mem(cpy|set|move)(_orig|_erms)?|copy_(to|from)_iter|skb_copy_.*"),
    ("checksum of the page", r"xxh64.*|xxh32.*|crc32c.*"),
    ("RDMA: rxe, its checksums", r"crc32_(le|body).*|crypto_.*"),
    ("xarray", r"_*xa[s_].*|radix_tree.*|idr_.*"),
    ("RDMA: the network below",
     r".*(skb|udp|netif|napi|inet|ipv4|fib_|dst_|neigh|loopback|siphash|qdisc|netdev|gro_|sock"
     r"|nf_hook|eth_).*|_*dev_.*|_*ip_.*|net_rx.*|_*build_skb.*|sk_.*|pfifo.*|raw_local.*"),
    ("locks, RCU, softirqs",
     r".*(_lock|_unlock|trylock|rcu|local_bh|mutex|rwsem|softirq|preempt|refcount|percpu_ref"
     r"|spin|tasklet).*|down_.*|up_.*|_raw_.*"),
    ("lists, checked", r"__list_(add|del)_.*"),
    ("swap, reclaim, block layer",
     r".*(swap_|_swap|swp_|blk_|bio_|_bio|sbitmap|shrink_|reclaim|isolate|pageout|workingset"
     r"|plug_|elv_|writeback).*"),
    ("page allocator, slab",
     r".*(kmem_cache|kmalloc|kfree|slab|alloc_page|free_unref|free_pcp|rmqueue|get_page_from"
     r"|cache_from_obj|page_frag).*|kzalloc.*|___?cache_free|clear_page.*|prep_new_page.*"),
    ("scheduler, timers, interrupts",
     r".*(sched|timer|clock|ktime|tick|wake|wait|psi_|cfs|load_avg|enqueue|dequeue|switch|idle"
     r"|runtime|timekeep|jiffies|irq|apic|update_curr|pick_next|rt_|dl_|rq_|cpuacct|cputime"
     r"|task_|workqueue|process_one_work|queue_work|vtime|hrtick|calc_|cgroup_rstat).*"),
    ("page fault, page tables, rmap",
     r".*(fault|pte|pmd|pud|pgd|p4d|vma|unmap|rmap|folio|lruvec|lru_|memcg|mm_|tlb|zap|mas_|mt_"
     r"|page|vm_|node_state|zone_state|mod_).*|asm_exc.*|error_(entry|return).*|native_.*cr2.*"
     r"|fpregs.*|exit_to_user.*|irqentry.*|sync_regs"),
)


def arguments(peer=""):
    """More of QEMU's arguments, for a Cluster's devices; PEER: the name of a host with counts()."""
    return ["-plugin", f"{PLUGIN},out={{name}}/executed"
            + (f",peer={peer}/executed.counts" if peer else "")]


def counts():
    """The same for a host whose work for another one is counted, between that one's marks."""
    return ["-plugin", f"{PLUGIN},counts={{name}}/executed.counts"]


def available():
    """Whether this QEMU has plugins and ours is built."""
    known = subprocess.run(["qemu-system-x86_64", "-help"], capture_output=True, text=True,
                           check=False).stdout
    return "-plugin " in known and os.path.exists(PLUGIN)


class Counts(collections.Counter):
    """{(function, module): instructions}, and in calls how often each was entered."""

    def __init__(self):
        super().__init__()
        self.calls = collections.Counter()


class Executed:
    """What was counted in one host; in the PEER of one, between that one's marks."""

    def __init__(self, host, peer_of=None):
        self._prefix = os.path.join((peer_of or host).vm.dir, "executed")
        self._suffix = ".peer" if peer_of else ""
        self._number = 0
        self._host, self._starts, self._names = host, [], []

    def taken(self):
        """Counts for each measurement that has ended since the last call."""
        self._read_symbols()
        found = []
        while os.path.exists(
                path := f"{self._prefix}.{self._number}{self._suffix}"):
            found.append(self._functions(path))
            os.unlink(path)
            self._number += 1
        return found

    def _read_symbols(self):
        """Anew each time: a module may have been loaded."""
        symbols = []
        for line in self._host.run("cat /proc/kallsyms").stdout.splitlines():
            address, kind, name, *module = line.split()
            if kind in "tTwW":
                symbols.append((int(address, 16), name, module[0][1:-1] if module else ""))
        symbols.sort()
        self._starts = [each[0] for each in symbols]
        self._names = [each[1:] for each in symbols]

    def _functions(self, path):
        found = Counts()
        with open(path, encoding="ascii") as file:
            for line in file:
                address, executed, times = line.split()
                name, entry = self._name(int(address, 16))
                found[name] += int(executed)
                found.calls[name] += int(times) if entry else 0
        return found

    def _name(self, address):
        """(function, module), and whether ADDRESS is where it begins."""
        if not address:
            return ("program", ""), False
        index = bisect.bisect(self._starts, address) - 1
        return self._names[index], self._starts[index] == address


def files():
    """{(function, module): file} of our modules, from their objects."""
    found = {}
    for module, directory in OWN.items():
        for path in glob.glob(os.path.join(REPO, directory, "*.o")):
            stem = os.path.basename(path)[:-2]
            if stem == module or stem.endswith(".mod"):
                continue
            for line in subprocess.run(["nm", "--defined-only", path], capture_output=True,
                                       text=True, check=True).stdout.splitlines():
                _, kind, name = line.split()
                if kind in "tT":
                    found[name, module] = stem
    return found


def part_of(function, module, sources):
    """The part that FUNCTION of MODULE belongs to."""
    if function == "program":
        return function
    if module in OWN:
        noun = sources.get((function, module))
        return f"{module}: {noun}" if module == "pmon" and noun else module
    for part, pattern in MODULES if module else CORE:
        if re.fullmatch(pattern, module or re.sub(r"\.(isra|part|constprop|cold).*", "",
                                                  function)):
            return part
    return module or "rest of the core"


def parts(functions, pages, sources):
    """{part: instructions a page}."""
    found = collections.Counter()
    for (function, module), executed in functions.items():
        found[part_of(function, module, sources)] += executed
    return {part: executed / pages for part, executed in found.items()}


def table(columns, shown=5):
    """Lines: parts by COLUMNS, {operation: {part: instructions}}; the small ones together."""
    names = sorted({part for column in columns.values() for part in column},
                   key=lambda part: -max(column.get(part, 0) for column in columns.values()))
    large = [name for name in names
             if max(column.get(name, 0) for column in columns.values()) >= shown]
    rows = [(name, [column.get(name, 0) for column in columns.values()]) for name in large]
    rows.append(("all others", [sum(value for part, value in column.items() if part not in large)
                                for column in columns.values()]))
    rows.append(("together", [sum(column.values()) for column in columns.values()]))
    out = [f"{'executed, a page':<32}" + "".join(f"{name:>12}" for name in columns)]
    return out + [f"{name:<32}" + "".join(f"{value:>12,.0f}" for value in values)
                  for name, values in rows]
