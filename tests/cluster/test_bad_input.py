# SPDX-License-Identifier: GPL-2.0
"""Senseless input, each refused with its errno and in words, and nothing is lost."""

import json
import os
import struct
import time
from collections import deque

import pytest

from rig import REPO, Cluster, on_debug_kernel
from rig.monitors import KEY_FILE, MONITORS, prerequisites

PROGRAMS = os.path.join(REPO, "build/programs")
BENCH = os.path.join(REPO, "tests/modules/lite_bench.ko")
PROBE = os.path.join(REPO, "tests/modules/sk_probe.ko")
NAMES = [each.name for each in MONITORS]
MEMORY_MB, EXCACHE_MB = 8, 8
PATIENCE = 15 if on_debug_kernel() else 1

# errno as the protocol carries it
EPERM, ENOENT, EACCES, EFAULT, EINVAL, ENOSPC = 1, 2, 13, 14, 22, 28
EPROTO, EBADMSG, EILSEQ, EPROTONOSUPPORT, EOPNOTSUPP, EREMOTEIO = 71, 74, 84, 93, 95, 121


# ---- the cluster and its three levels -----------------------------------------------------

class Bench:
    """Two hosts, brought to the level that a test needs: nothing loaded ("bare"),
    lite_rpc on both ("transport"), or everything ("joined")."""

    def __init__(self, cluster):
        self.cluster, self.level = cluster, "bare"
        self.proc, self.mem = cluster.processors[0], cluster.memory_hosts[0]
        self._refusals = deque([0.0] * 10, maxlen=10)
        self._tests, self._prepared = set(), set()

    def at(self, level):
        """Loads and unloads what it takes."""
        if level == self.level:
            return self
        self.drop_tests(self.cluster.hosts)
        if not (self.level == "bare" and level == "joined"):
            self.cluster.leave()
        if level == "transport":
            for host in self.cluster.hosts:
                self.load_lite(host)
        elif level == "joined":
            self.cluster.join()
        self.level = level
        return self

    def load_lite(self, host, **params):
        """lite_rpc on HOST with other parameters than the rig's."""
        given = {"addr": host.address, "manager": self.proc.address, "key_file": KEY_FILE}
        host.load("lite_rpc", **{**given, **params})

    def insmod(self, host, module, *params):
        """What insmod says, and the kernel: (status, text, log)."""
        path = next(self.cluster.kernel.ours(each.path) for each in MONITORS
                    if each.name == module)
        if (host, module) not in self._prepared:
            host.run(["modprobe", "-aq", "crc32c",
                      *prerequisites(path, self.cluster.kernel)])
            self._prepared.add((host, module))
        log = Log(host)
        # pylint: disable=protected-access
        result = host.run(["insmod", host._snapshot(path), *params], check=False)
        if not result.status:
            host.unload(module)     # that fails one test, not all that follow
        return result.status, result.stderr, log

    def probe(self, host, target, *requests):
        """[status] of REQUESTS (service, op, payload, direct, body), sent by HOST."""
        self.ensure(host, "sk_probe", PROBE)
        # A module words at most ten refusals in five seconds.
        time.sleep(max(0.0, self._refusals[0] + 5.5 - time.monotonic()))
        host.write_file("/tmp/requests", "".join(
            f"{target.address} {service} {op} {payload} {direct} {body.hex() or '-'}\n"
            for service, op, payload, direct, body in requests))
        out = host.run(["python3", "-ISc", SEND_PROBES]).stdout
        self._refusals.append(time.monotonic())
        return [int(line.split()[0]) for line in out.splitlines()]

    def ensure(self, host, module, path, **params):
        """Loads a test module on HOST unless it is there."""
        if (host, module) not in self._tests:
            host.load(path, **params)
            self._tests.add((host, module))

    def drop_tests(self, hosts):
        """Unloads the test modules from HOSTS."""
        for host, module in [each for each in self._tests if each[0] in hosts]:
            host.unload(module)
            self._tests.remove((host, module))

    def counters(self, host, module):
        """Counters of MODULE on HOST."""
        return json.loads(host.run(["vnode", "status", "--json"]).stdout)["modules"][module]

    def used(self):
        """(lines, frames, address spaces) in use."""
        pmon, mmon = self.counters(self.proc, "pmon"), self.counters(self.mem, "mmon")
        return (pmon["lines_total"] - pmon["lines_free"],
                mmon["frames_total"] - mmon["frames_free"], mmon["spaces"])

    def works(self):
        """A program runs on remote memory, and leaves nothing behind."""
        self.proc.run(["vnode", "wait", "--memory-hosts", "1", "--timeout", str(30 * PATIENCE)])
        self.proc.run(["vnode", "run", "--excache", "512K", "--", f"{PROGRAMS}/pattern",
                       "--mb", "1", "--threads", "1", "--ops", "600"])
        end = time.monotonic() + PATIENCE * 20
        while self.used() != (0, 0, 0) and time.monotonic() < end:
            time.sleep(0.1)
        assert self.used() == (0, 0, 0)


# One write a request: the module parses what comes in one piece.
SEND_PROBES = """
import os
call = os.open("/sys/kernel/debug/sk_probe/call", os.O_RDWR)
for line in open("/tmp/requests"):
    os.write(call, line.encode())
    print(os.pread(call, 64, 0).decode(), end="")
"""


class Log:
    """What the kernel of HOST logs from now on."""

    def __init__(self, host):
        self.host, self.start = host, len(host.vm.console())

    def has(self, words, timeout=5):
        """Whether WORDS are logged, soon."""
        end = time.monotonic() + PATIENCE * timeout
        while words not in self.host.vm.console()[self.start:]:
            if time.monotonic() > end:
                print(self.host.vm.console()[self.start:])
                return False
            time.sleep(0.02)
        return True


@pytest.fixture(scope="module", name="rig_of_two")
def two_hosts():
    with Cluster(memory_mb=MEMORY_MB, excache_mb=EXCACHE_MB, guest_ram_mb=512,
                 modules=False) as cluster:
        yield Bench(cluster)


@pytest.fixture(name="bare")
def nothing_loaded(rig_of_two):
    return rig_of_two.at("bare")


@pytest.fixture(name="transport")
def only_lite_rpc(rig_of_two):
    return rig_of_two.at("transport")


@pytest.fixture(name="joined")
def everything(rig_of_two):
    # Each group ends with a test that everything works and is given back.
    return rig_of_two.at("joined")


# ---- module parameters --------------------------------------------------------------------

ADDR = "addr=10.77.0.1"
KEY = f"key_file={KEY_FILE}"
INVALID, NO_DEVICE = "Invalid parameters", "No such device"
LITE = [
    ("no addr", [KEY], INVALID, "addr= is required"),
    ("addr no address", ["addr=elephant", KEY], INVALID, "addr=elephant is not the IPv4"),
    ("addr with a tail", ["addr=10.77.0.1x", KEY], INVALID, "addr=10.77.0.1x is not"),
    ("addr loopback", ["addr=127.0.0.1", KEY], INVALID, "addr=127.0.0.1 is not"),
    ("addr not local", ["addr=10.77.0.99", KEY], NO_DEVICE,
     "no RDMA device has the address 10.77.0.99"),
    ("manager no address", [ADDR, KEY, "manager=10.77"], INVALID, "manager=10.77 is not"),
    ("port 0", [ADDR, KEY, "port=0"], INVALID, "port=0 is out of range, 1 to 65535"),
    ("port 65536", [ADDR, KEY, "port=65536"], INVALID, "port=65536 is out of range"),
    ("port text", [ADDR, KEY, "port=http"], INVALID, "`http' invalid for parameter `port'"),
    ("retry_count 0", [ADDR, KEY, "retry_count=0"], INVALID, "1 to 6 are allowed"),
    ("retry_count 7", [ADDR, KEY, "retry_count=7"], INVALID, "forever on Soft-RoCE"),
    ("retry_count 8", [ADDR, KEY, "retry_count=8"], INVALID, "retry_count=8 is out of"),
    ("dead_ms 999", [ADDR, KEY, "dead_ms=999"], INVALID, "dead_ms=999 is out of range"),
    ("connect_ms 99", [ADDR, KEY, "connect_ms=99"], INVALID, "connect_ms=99 is out of"),
    ("heartbeat_ms 0", [ADDR, KEY, "heartbeat_ms=0"], INVALID, "heartbeat_ms=0 is out of"),
    ("heartbeat_ms of dead_ms", [ADDR, KEY, "dead_ms=4000", "heartbeat_ms=2000"], INVALID,
     "heartbeat_ms=2000 must be less than half of dead_ms=4000"),
    ("ack_timeout 7", [ADDR, KEY, "ack_timeout=7"], INVALID, "ack_timeout=7 is out of"),
    ("min_rnr 32", [ADDR, KEY, "min_rnr=32"], INVALID, "min_rnr=32 is out of range"),
    ("slots 0", [ADDR, KEY, "slots=0"], INVALID, "slots=0 is out of range, 1 to 256"),
    ("slots 257", [ADDR, KEY, "slots=257"], INVALID, "slots=257 is out of range"),
    ("key file missing", [ADDR, "key_file=/nowhere"], INVALID,
     "cannot read the cluster key file /nowhere"),
    ("key file a directory", [ADDR, "key_file=/tmp"], INVALID,
     "cannot read the cluster key file /tmp"),
    ("key too short", [ADDR, "key_file=/tmp/short.key"], INVALID,
     "has 15 bytes, at least 16 are needed"),
    ("key too long", [ADDR, "key_file=/tmp/long.key"], INVALID,
     "cannot read the cluster key file /tmp/long.key"),
    ("key empty", [ADDR, "key_file=/tmp/empty.key"], INVALID, "has 0 bytes"),
]
MONITOR = [
    ("mmon", "no memory_mb", [], INVALID, "memory_mb= is missing"),
    ("mmon", "memory_mb 0", ["memory_mb=0"], INVALID, "memory_mb= is missing"),
    ("mmon", "memory_mb huge", ["memory_mb=4000000000"], INVALID,
     "memory_mb=4000000000 is too much: this host has "),
    ("mmon", "memory_mb all", ["memory_mb=512"], INVALID, "can give at most "),
    ("mmon", "memory_mb negative", ["memory_mb=-5"], INVALID,
     "`-5' invalid for parameter `memory_mb'"),
    ("mmon", "memory_mb text", ["memory_mb=lots"], INVALID, "`lots' invalid for parameter"),
    ("pmon", "excache_mb 0", ["excache_mb=0"], INVALID, "excache_mb=0: must be 1 to "),
    ("pmon", "excache_mb huge", ["excache_mb=18446744073709551615"], INVALID,
     "half of this host's memory"),
    ("pmon", "excache_mb negative", ["excache_mb=-1"], INVALID,
     "`-1' invalid for parameter `excache_mb'"),
    ("pmon", "policy nonsense", ["policy=nonsense"], INVALID,
     "policy=nonsense: there are lru, sieve and fifo"),
    ("pmon", "policy empty", ["policy="], INVALID, "there are lru, sieve and fifo"),
    ("pmon", "checksum nonsense", ["checksum=nonsense"], INVALID,
     "checksum=nonsense: there are crc32c, xxh64 and auto"),
    ("gmm", "lease_ms 0", ["lease_ms=0"], INVALID, "lease_ms=0 is out of range: 500...60000"),
    ("gmm", "lease_ms huge", ["lease_ms=60001"], INVALID, "lease_ms=60001 is out of range"),
    ("gmm", "lease_ms negative", ["lease_ms=-1"], INVALID,
     "`-1' invalid for parameter `lease_ms'"),
    ("gmm", "placement nonsense", ["placement=nonsense"], INVALID,
     "placement=nonsense is unknown: there are most-free, least-load and round-robin"),
]


def ids(table, *columns):
    """Test ids of a table's rows."""
    return ["-".join(str(row[column]) for column in columns).replace(" ", "_")
            for row in table]


@pytest.fixture(scope="module", name="key_files")
def wrong_key_files(rig_of_two):
    rig_of_two.proc.write_file("/tmp/short.key", "x" * 15 + "\n")
    rig_of_two.proc.write_file("/tmp/long.key", "x" * 4097)
    rig_of_two.proc.write_file("/tmp/empty.key", "\n")


@pytest.mark.usefixtures("key_files")
@pytest.mark.parametrize("_name, params, error, words", LITE, ids=ids(LITE, 0))
def test_lite_rpc_parameter(bare, _name, params, error, words):
    host = bare.proc
    status, text, log = bare.insmod(host, "lite_rpc", *params)
    assert status == 1 and error in text, text
    assert log.has(words)


@pytest.mark.parametrize("module", ["gmm", "mmon", "pmon"])
def test_module_without_lite_rpc(bare, module):
    status, text, log = bare.insmod(bare.proc, module)
    assert status == 1 and "Unknown symbol" in text, text
    assert log.has(f"{module}: Unknown symbol lite_")


@pytest.mark.parametrize("module, _name, params, error, words", MONITOR,
                         ids=ids(MONITOR, 0, 1))
def test_monitor_parameter(transport, module, _name, params, error, words):
    status, text, log = transport.insmod(transport.proc, module, *params)
    assert status == 1 and error in text, text
    assert log.has(words)


KNOWN = b"int do_madvise(struct mm_struct *, long unsigned int, size_t, int)"
OTHER = KNOWN.replace(b"size_t", b"size_x")


def test_a_kernel_whose_functions_differ_is_refused(transport, tmp_path):
    """pmon, made to know another do_madvise() than the kernel has."""
    pmon = next(each.path for each in MONITORS if each.name == "pmon")
    with open(transport.cluster.kernel.ours(pmon), "rb") as file:
        module = file.read()
    assert module.count(KNOWN) == 1
    path = tmp_path / "pmon.ko"
    path.write_bytes(module.replace(KNOWN, OTHER))
    transport.insmod(transport.proc, "pmon", "excache_mb=0")    # what it needs is loaded
    log = Log(transport.proc)
    # pylint: disable=protected-access
    result = transport.proc.run(["insmod", transport.proc._snapshot(str(path))],
                                check=False)
    assert result.status == 1 and "Operation not supported" in result.stderr
    assert log.has("this kernel is not supported: madvise is not done as in any")
    assert log.has("kernel: " + KNOWN.decode())
    assert log.has("pmon:   " + OTHER.decode())
    assert "pmon" not in transport.proc.loaded()


# ---- loading and unloading ----------------------------------------------------------------

@pytest.mark.parametrize("module", NAMES)
def test_second_load(joined, module):
    host = joined.mem if module == "mmon" else joined.proc
    status, text, _ = joined.insmod(host, module)
    assert status == 1 and "File exists" in text, text


def test_unload_lite_rpc_in_use(joined):
    for host, users in ((joined.proc, ("pmon", "gmm")), (joined.mem, ("mmon",))):
        result = host.run(["rmmod", "lite_rpc"], check=False)
        assert result.status == 1 and "is in use by:" in result.stderr
        assert all(user in result.stderr for user in users)


def test_unload_pmon_while_a_tagged_process_lives(joined):
    host = joined.proc
    tagged = host.spawn(["vnode", "run", "--", "/bin/sleep", "100"])
    end = time.monotonic() + PATIENCE * 10
    while "sleep" not in host.run(["vnode", "status"]).stdout and time.monotonic() < end:
        time.sleep(0.1)
    refused = host.run(["rmmod", "pmon"], check=False)
    assert refused.status == 1 and "pmon is in use" in refused.stderr, refused.stderr
    assert tagged.poll() is None
    assert tagged.kill()
    end = time.monotonic() + PATIENCE * 10
    while host.run(["rmmod", "pmon"], check=False).status and time.monotonic() < end:
        time.sleep(0.1)
    assert "pmon" not in host.loaded()
    host.load("pmon", excache_mb=EXCACHE_MB)
    joined.works()


# ---- garbage on the wire ------------------------------------------------------------------

RAW = ["garbage", "truncated", "body shorter than announced", "oversize body",
       "too many direct pages", "wrong epoch in the header", "wrong epoch in the immediate",
       "other major version", "reserved field", "slot out of range", "unknown kind",
       "payload on the rpc lane", "a reply to the server", "trailing bytes"]
LITE_BENCH = "/sys/kernel/debug/lite_bench"


@pytest.fixture(name="bench")
def both_ends_of_lite_bench(joined):
    joined.ensure(joined.mem, "lite_bench", BENCH, role="server")
    joined.ensure(joined.proc, "lite_bench", BENCH, role="client", peer=joined.mem.address)
    usable(joined.proc)
    return joined


def command(host, text):
    """Runs a command of lite_bench; its rows."""
    host.write_file(f"{LITE_BENCH}/run", text + "\n")
    return [json.loads(line) for line in host.read_file(f"{LITE_BENCH}/result").splitlines()]


def usable(host):
    """Waits until calls succeed again, over a new connection if need be."""
    end = time.monotonic() + PATIENCE * 15
    while not any("p50_ns" in row for row in command(host, "one null 4")):
        assert time.monotonic() < end, command(host, "one null 4")
        time.sleep(0.1)


@pytest.mark.parametrize("which", range(len(RAW)), ids=[each.replace(" ", "_") for each in RAW])
def test_malformed_message(bench, which):
    before = bench.counters(bench.mem, "lite_rpc")["malformed"]
    # The module words at most ten of them in five seconds.
    time.sleep(0.3)
    log = Log(bench.mem)
    assert command(bench.proc, f"raw {which}")[0]["status"] == 0
    end = time.monotonic() + PATIENCE * 10
    while bench.counters(bench.mem, "lite_rpc")["malformed"] == before:
        assert time.monotonic() < end, "it was not noticed"
        time.sleep(0.05)
    assert log.has(f"host {bench.proc.address}: malformed message (")
    usable(bench.proc)


def test_read_with_a_wrong_key(bench):
    assert command(bench.proc, "badkey")[0]["status"] == -EREMOTEIO
    usable(bench.proc)


def test_windows(bench):
    """A key opens its window until that is destroyed, and no later one."""
    steps = {row["step"]: row["status"] for row in command(bench.proc, "window")}
    assert len(steps) == 11
    failed = {step: status for step, status in steps.items() if status}
    assert failed == {step: -EREMOTEIO for step in ("stale read", "stale write", "stale key")}
    usable(bench.proc)


def test_works_after_garbage_on_the_wire(joined):
    joined.works()


# ---- requests that a memory host refuses --------------------------------------------------

GMM, MMON, NOBODY = 1, 2, 13
MAPS, FLUSH, FETCH, CLONE, EXIT = 1, 2, 3, 4, 5
MAP, UNMAP, DISCARD, MOVE = 1, 2, 3, 4
READ, WRITE = 1, 2
ASID, CHILD = 0x5eed, 0x5eee
LIMIT = 1 << 47
RW, RO, NONE = 0x10000, 0x400000, 0x800000      # starts of the vmas


def crc32c(data):
    """As the kernel's crc32c() with seed ~0."""
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc


CRC = crc32c(b"\xa5" * 4096)        # of what sk_probe sends


def change(start, end, kind=MAP, prot=READ | WRITE, to=0):
    """struct mmon_change"""
    return struct.pack("<IIQQQ", kind, prot, start, end, to)


def maps(*changes, asid=ASID, seq=1, nr=None, reserved=0):
    """A MAPS request as (service, op, payload, direct, body)"""
    nr = len(changes) if nr is None else nr
    return (MMON, MAPS, 0, 0, struct.pack("<QQII", asid, seq, nr, reserved)
            + b"".join(changes))


def flush(*addresses, asid=ASID, seq=3, nr=None, payload=None, crc=CRC, checksum=0):
    """A FLUSH request"""
    nr = len(addresses) if nr is None else nr
    return (MMON, FLUSH, len(addresses) if payload is None else payload, 0,
            struct.pack("<QQII", asid, seq, nr, checksum)
            + b"".join(struct.pack("<QII", each, crc, 0) for each in addresses))


def fetch(*addresses, asid=ASID, nr=None, direct=None, reserved=0):
    """A FETCH request"""
    nr = len(addresses) if nr is None else nr
    return (MMON, FETCH, 0, len(addresses) if direct is None else direct,
            struct.pack("<QII", asid, nr, reserved)
            + b"".join(struct.pack("<Q", each) for each in addresses))


def clone(start=RW, end=RW + 4096, asid=ASID, seq=3, child=CHILD, reserved=0):
    """A CLONE request"""
    return (MMON, CLONE, 0, 0, struct.pack("<6Q", asid, seq, child, start, end, reserved))


def leave(asid=ASID):
    """An EXIT request"""
    return (MMON, EXIT, 0, 0, struct.pack("<Q", asid))


def cut(request, size):
    """REQUEST with its body cut or padded to SIZE"""
    return (*request[:4], request[4][:size].ljust(size, b"\0"))


def longer(request, by=8):
    """REQUEST with trailing bytes"""
    return cut(request, len(request[4]) + by)


# Makes the space that the rows are about: number 1 maps it, 2 stores a page.
SETUP = [maps(change(RW, RW + (1 << 20)), change(RO, RO + (1 << 20), prot=READ),
              change(NONE, NONE + (1 << 20), prot=0)), flush(RW, seq=2)]
PAGES = [RW + 4096 * page for page in range(17)]
MALFORMED = (EBADMSG, "malformed")
REQUESTS = [
    ("unknown op", (MMON, 99, 0, 0, struct.pack("<Q", ASID)), EOPNOTSUPP, "unknown operation"),
    ("op 0", (MMON, 0, 0, 0, b""), EOPNOTSUPP, "unknown operation"),
    ("unknown service", (NOBODY, 1, 0, 0, b""), EPROTONOSUPPORT, None),
    ("maps empty", (MMON, MAPS, 0, 0, b""), *MALFORMED),
    ("maps truncated", cut(maps(change(RW, RW + 4096), seq=3), 40), *MALFORMED),
    ("maps of none", maps(seq=3), *MALFORMED),
    ("maps of 65", maps(*[change(RW, RW + 4096)] * 65, seq=3), *MALFORMED),
    ("maps nr huge", maps(change(RW, RW + 4096), seq=3, nr=0xffffffff), *MALFORMED),
    ("maps trailing", longer(maps(change(RW, RW + 4096), seq=3)), *MALFORMED),
    ("maps reserved", maps(change(RW, RW + 4096), seq=3, reserved=1), *MALFORMED),
    ("maps seq 0", maps(change(RW, RW + 4096), seq=0), *MALFORMED),
    ("maps with pages", (MMON, MAPS, 1, 1, SETUP[0][4]), *MALFORMED),
    ("maps unaligned", maps(change(RW + 1, RW + 4096), seq=3), *MALFORMED),
    ("maps backwards", maps(change(RW + 4096, RW), seq=3), *MALFORMED),
    ("maps of nothing", maps(change(RW, RW), seq=3), *MALFORMED),
    ("maps over the limit", maps(change(LIMIT - 4096, LIMIT + 4096), seq=3), *MALFORMED),
    ("maps wrapping", maps(change(2**64 - 4096, 4096), seq=3), *MALFORMED),
    ("maps unknown type", maps(change(RW, RW + 4096, kind=9), seq=3), *MALFORMED),
    ("maps unknown prot", maps(change(RW, RW + 4096, prot=8), seq=3), *MALFORMED),
    ("unmap with prot", maps(change(RW, RW + 4096, kind=UNMAP), seq=3), *MALFORMED),
    ("discard with target", maps(change(RW, RW + 4096, DISCARD, 0, RW), seq=3), *MALFORMED),
    ("move onto itself", maps(change(RW, RW + 8192, MOVE, 3, RW + 4096), seq=3), *MALFORMED),
    ("move over the limit", maps(change(RW, RW + 8192, MOVE, 3, LIMIT - 4096), seq=3),
     *MALFORMED),
    ("maps of unknown", maps(change(RW, RW + 4096), asid=77, seq=2), ENOENT,
     "unknown address space"),
    ("maps sequence", maps(change(RW, RW + 4096), seq=9), EPROTO, "sequence number skips"),
    ("flush empty", (MMON, FLUSH, 0, 0, b""), *MALFORMED),
    ("flush truncated", cut(flush(RW), 30), *MALFORMED),
    ("flush of none", flush(), *MALFORMED),
    ("flush nr huge", flush(RW, nr=0x10000001), *MALFORMED),
    ("flush of more than sent", flush(*PAGES[:2], payload=1), *MALFORMED),
    ("flush of less than sent", flush(RW, payload=2), *MALFORMED),
    ("flush twice the same", flush(RW, RW), *MALFORMED),
    ("flush unaligned", flush(RW + 8), *MALFORMED),
    ("flush over the limit", flush(LIMIT), *MALFORMED),
    ("flush unknown checksum", flush(RW, checksum=2), *MALFORMED),
    ("flush of unknown", flush(RW, asid=77), ENOENT, "unknown address space"),
    ("flush sequence", flush(RW, seq=5), EPROTO, "sequence number skips"),
    ("flush outside", flush(RW - 4096), EFAULT, "outside every vma"),
    ("flush half outside", flush(RW, RW - 4096), EFAULT, "outside every vma"),
    ("flush read-only", flush(RO), EACCES, "not permitted by the vma"),
    ("flush checksum", flush(RW, crc=CRC ^ 1), EILSEQ, "content does not match its checksum"),
    ("fetch empty", (MMON, FETCH, 0, 1, b""), *MALFORMED),
    ("fetch truncated", cut(fetch(RW), 20), *MALFORMED),
    ("fetch of none", fetch(), *MALFORMED),
    ("fetch of 17", fetch(*PAGES, direct=16), *MALFORMED),
    ("fetch without room", fetch(RW, direct=0), *MALFORMED),
    ("fetch with too much room", fetch(RW, direct=2), *MALFORMED),
    ("fetch unaligned", fetch(RW + 1), *MALFORMED),
    ("fetch over the limit", fetch(2**64 - 4096), *MALFORMED),
    ("fetch reserved", fetch(RW, reserved=1), *MALFORMED),
    ("fetch of unknown", fetch(RW, asid=77), ENOENT, "unknown address space"),
    ("fetch outside", fetch(RW - 4096), EFAULT, "outside every vma"),
    ("fetch unreadable", fetch(NONE), EACCES, "not permitted by the vma"),
    ("fetch never stored", fetch(RW + 4096), ENOENT, None),
    ("clone empty", (MMON, CLONE, 0, 0, b""), *MALFORMED),
    ("clone truncated", cut(clone(), 40), *MALFORMED),
    ("clone trailing", longer(clone()), *MALFORMED),
    ("clone onto itself", clone(child=ASID), *MALFORMED),
    ("clone of nothing", clone(end=RW), *MALFORMED),
    ("clone over the limit", clone(end=LIMIT + 4096), *MALFORMED),
    ("clone reserved", clone(reserved=1), *MALFORMED),
    ("clone seq 0", clone(seq=0), *MALFORMED),
    ("clone of unknown", clone(asid=77), ENOENT, "unknown address space"),
    ("clone sequence", clone(seq=4), EPROTO, "sequence number skips"),
    ("exit empty", (MMON, EXIT, 0, 0, b""), *MALFORMED),
    ("exit truncated", cut(leave(), 7), *MALFORMED),
    ("exit trailing", longer(leave()), *MALFORMED),
]
# The same space, asked for by another host.
FOREIGN = [
    ("maps", maps(change(RW, RW + 4096), seq=3)),
    ("flush", flush(RW)),
    ("fetch", fetch(RW)),
    ("clone", clone()),
    ("clone into it", clone(asid=0xf00, seq=2, child=ASID)),
    ("exit", leave()),
]


@pytest.mark.parametrize("_name, request_, error, words", REQUESTS, ids=ids(REQUESTS, 0))
def test_request(joined, _name, request_, error, words):
    proc, mem = joined.proc, joined.mem
    log = Log(mem)
    # What was stored is still there, and the refusal took no number.
    status = joined.probe(proc, mem, *SETUP, request_, fetch(RW), flush(RW, seq=3),
                          leave(), leave(CHILD))
    assert status == [0, 0, -error, 0, 0, 0, 0]
    assert not words or log.has(f"refused: {words}") and log.has(f"({-error})")


@pytest.mark.parametrize("_name, request_", FOREIGN, ids=ids(FOREIGN, 0))
def test_request_for_a_foreign_space(joined, _name, request_):
    """Of the processor host's space, by the memory host itself."""
    proc, mem = joined.proc, joined.mem
    assert joined.probe(proc, mem, *SETUP) == [0, 0]
    own = maps(change(RW, RW + 4096), asid=0xf00)
    log = Log(mem)
    assert joined.probe(mem, mem, own, request_, leave(0xf00)) == [0, -EPERM, 0]
    assert log.has("refused: belongs to another host (-1)")
    assert joined.probe(proc, mem, fetch(RW), flush(RW), leave()) == [0, 0, 0]


def test_pool_is_full(joined):
    """New pages are refused, overwriting is not."""
    frames = MEMORY_MB << 8
    whole = [[RW + 4096 * page for page in range(first, min(first + 15, frames))]
             for first in range(0, frames, 15)]
    fill = [flush(*pages, seq=2 + at) for at, pages in enumerate(whole)]
    seq = 2 + len(fill)
    log = Log(joined.mem)
    status = joined.probe(
        joined.proc, joined.mem, maps(change(RW, RW + (16 << 20))), *fill,
        flush(RW + 4096 * frames, seq=seq), flush(*whole[0], seq=seq), fetch(RW), leave())
    assert status[:len(fill) + 1] == [0] * (len(fill) + 1)
    assert status[len(fill) + 1:] == [-ENOSPC, 0, 0, 0]
    assert log.has("refused: no frames left (-28)")


def test_grant_is_revoked_under_pressure(joined):
    """A space with free frames of its own loses them to one that finds none."""
    proc, mem = joined.proc, joined.mem
    frames, other = MEMORY_MB << 8, RW + (16 << 20)
    pages = [RW + 4096 * page for page in range(frames)]
    fill = [flush(*pages[at:at + 15], seq=2 + at // 15) for at in range(0, frames, 15)]
    seq, more = 2 + len(fill), 20
    assert joined.probe(proc, mem, maps(change(RW, other)), *fill) == [0] * (1 + len(fill))
    before = joined.counters(mem, "mmon")
    assert before["chunks_granted"] >= (frames >> 9) - 1, before
    discard = maps(change(RW, RW + (2 << 20), kind=DISCARD, prot=0), seq=seq)
    take = [flush(*[RW + 4096 * (15 * at + page) for page in range(15)], asid=CHILD,
                  seq=2 + at) for at in range(more)]
    assert joined.probe(proc, mem, discard, maps(change(RW, other), asid=CHILD),
                        *take) == [0] * (2 + more)
    assert joined.counters(mem, "mmon")["grants_revoked"] > before["grants_revoked"]
    assert joined.probe(proc, mem, fetch(pages[-1]), fetch(RW, asid=CHILD), leave(),
                        leave(CHILD)) == [0] * 4
    assert joined.counters(mem, "mmon")["chunks_granted"] == 0


def report(incarnation=1, capacity=0, free=0, log=0, log_free=0, services=2, flags=0):
    """struct gmm_report."""
    return struct.pack("<6Q4I", incarnation, capacity, free, 0, log, log_free, services,
                       flags, 0, 0)


def place(copies=1, flags=0, nr_avoid=0, reserved=0, avoid=0):
    """struct gmm_place."""
    return struct.pack("<Q4I8I", 1, copies, flags, nr_avoid, reserved, avoid, *[0] * 7)


REPORT = report()
MANAGER = [
    ("unknown op", 9, REPORT, EOPNOTSUPP, "unknown operation"),
    ("report empty", 1, b"", EBADMSG, "malformed"),
    ("report truncated", 1, REPORT[:-1], EBADMSG, "malformed"),
    ("report trailing", 1, REPORT + b"\0", EBADMSG, "malformed"),
    ("report unknown flags", 1, report(flags=2), EBADMSG, "malformed"),
    ("report free over capacity", 1, report(capacity=5, free=6), EBADMSG, "malformed"),
    ("report log free over capacity", 1, report(log=5, log_free=6), EBADMSG, "malformed"),
    ("report unknown services", 1, report(services=1 << 31), EBADMSG, "malformed"),
    ("report oversize", 1, b"\xff" * 3072, EBADMSG, "malformed"),
    ("leave with a body", 2, b"\0", EBADMSG, "malformed"),
    ("place truncated", 3, place()[:-1], EBADMSG, "malformed"),
    ("place no copy", 3, place(copies=0), EBADMSG, "malformed"),
    ("place 4 copies", 3, place(copies=4), EBADMSG, "malformed"),
    ("place avoiding 9 hosts", 3, place(nr_avoid=9), EBADMSG, "malformed"),
    ("place avoiding more than it says", 3, place(avoid=1), EBADMSG, "malformed"),
    ("place unknown flags", 3, place(flags=2), EBADMSG, "malformed"),
    ("place reserved", 3, place(reserved=1), EBADMSG, "malformed"),
    ("drain truncated", 4, bytes(7), EBADMSG, "malformed"),
    ("drain more than on", 4, struct.pack("<II", 1, 2), EBADMSG, "malformed"),
    ("drain nobody", 4, struct.pack("<II", 1, 1), ENOENT, "no such host"),
]


@pytest.mark.parametrize("_name, op, body, error, words", MANAGER, ids=ids(MANAGER, 0))
def test_manager_request(joined, _name, op, body, error, words):
    log = Log(joined.proc)
    assert joined.probe(joined.mem, joined.proc, (GMM, op, 0, 0, body)) == [-error]
    assert log.has(f"{joined.mem.address}: request {op} refused: {words} ({-error})")
    joined.proc.run(["vnode", "wait", "--memory-hosts", "1", "--timeout", "0"])


def test_works_after_refused_requests(joined):
    joined.works()


# ---- the command --------------------------------------------------------------------------

TRUE = ["--", "/bin/true"]
NOBODY_ROOT = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
VNODE = [
    ("size 0", ["run", "--excache", "0", *TRUE], 125, "'0' is zero"),
    ("size negative", ["run", "--excache", "-5", *TRUE], 125, "'-5' is negative"),
    ("size 1.5Q", ["run", "--excache", "1.5Q", *TRUE], 125, "'1.5Q' is not a size"),
    ("size empty", ["run", "--excache", "", *TRUE], 125, "'' is not a size"),
    ("size text", ["run", "--excache", "much", *TRUE], 125, "'much' is not a size"),
    ("size 64MB", ["run", "--excache", "64MB", *TRUE], 125, "'64MB' is not a size"),
    ("size 200T", ["run", "--excache", "200T", *TRUE], 125, "larger than an address space"),
    ("size overflow", ["run", "--excache", "99999999999999999999", *TRUE], 125,
     "is too large"),
    ("size 100T", ["run", "--excache", "100T", *TRUE], 125,
     "refuses the ExCache size 100T: ExCache limit is larger than this host's"),
    ("size above the pool", ["run", "--excache", f"{EXCACHE_MB + 1}M", *TRUE], 125,
     "ExCache limit is larger than this host's ExCache pool"),
    ("size below 256K", ["run", "--excache", "252K", *TRUE], 125,
     "refuses the ExCache size 252K: ExCache limit is below 256 KiB"),
    ("size 1", ["run", "--excache", "1", *TRUE], 125, "ExCache limit is below 256 KiB"),
    ("size missing", ["run", "--excache"], 125, "requires an argument"),
    ("unknown option", ["run", "--swap", *TRUE], 125, "unrecognized option '--swap'"),
    ("no program", ["run"], 125, "run: which program?"),
    ("no program after --", ["run", "--excache", "1M", "--"], 125, "run: which program?"),
    ("missing program", ["run", "--", "no-such-program"], 127,
     "no-such-program: no such program"),
    ("missing path", ["run", "--", "/no/such/program"], 127, "no such program"),
    ("empty program", ["run", "--", ""], 127, "no such program"),
    ("not executable", ["run", "--", "/etc/passwd"], 126,
     "/etc/passwd: cannot be executed: Permission denied"),
    ("a directory", ["run", "--", "/tmp"], 126, "/tmp: cannot be executed"),
    ("nested", ["run", "--", "vnode", "run", *TRUE], 125,
     "this process already runs under vnode run"),
    ("policy nonsense", ["set", "policy", "nonsense"], 1,
     "policy nonsense: unknown policy: there are lru, sieve and fifo"),
    ("prefetch maybe", ["set", "prefetch", "maybe"], 2, "'maybe': on or off"),
    ("prefetch", ["set", "prefetch"], 2, "prefetch on|off"),
    ("policy empty", ["set", "policy", ""], 2, "'' is no policy: there are lru, sieve and fifo"),
    ("policy long", ["set", "policy", "x" * 200], 2, "is no policy"),
    ("set what", ["set", "speed", "fast"], 2, "set: what?"),
    ("placement nonsense", ["set", "placement", "nonsense"], 1,
     "placement nonsense: unknown placement: there are most-free, least-load and round-robin"),
    ("rebalance nonsense", ["set", "rebalance", "maybe"], 2, "'maybe': on or off"),
    ("events of no count", ["events", "--count", "0"], 2, "'0' is no number of events"),
    ("events of what", ["events", "all"], 2, "events: unexpected argument 'all'"),
    ("manager of no address", ["set", "manager", "here"], 2, "'here' is no IPv4 address"),
    ("manager at loopback", ["set", "manager", "127.0.0.1"], 1, "not the address of a host"),
    ("host what", ["host"], 2, "host: what?"),
    ("host list of what", ["host", "list", "all"], 2, "host: what?"),
    ("drain what", ["host", "drain"], 2, "host: what?"),
    ("drain no address", ["host", "drain", "mem1"], 2, "'mem1' is no IPv4 address"),
    ("drain nobody", ["host", "drain", "10.9.9.9"], 1, "the manager knows no such host"),
    ("drain no memory host", ["host", "drain", "10.77.0.1"], 1, "it is no memory host"),
    ("wait for -1", ["wait", "--memory-hosts", "-1"], 2, "'-1' is not a number in range"),
    ("wait for text", ["wait", "--timeout", "soon"], 2, "'soon' is not a number in range"),
    ("unknown verb", ["walk"], 2, "'walk' is no verb"),
]
UNPRIVILEGED = [
    ("run", ["run", *TRUE], 125, "not permitted: tagging needs CAP_SYS_ADMIN: run it as root"),
    ("set policy", ["set", "policy", "lru"], 1, "settings need CAP_SYS_ADMIN"),
    ("set placement", ["set", "placement", "most-free"], 1, "settings need CAP_SYS_ADMIN"),
    ("set rebalance", ["set", "rebalance", "off"], 1, "settings need CAP_SYS_ADMIN"),
    ("set manager", ["set", "manager", "10.77.0.1"], 1, "settings need CAP_SYS_ADMIN"),
    ("host drain", ["host", "drain", "10.77.0.2"], 1, "settings need CAP_SYS_ADMIN"),
]


@pytest.mark.parametrize("_name, argv, code, words", VNODE, ids=ids(VNODE, 0))
def test_vnode(joined, _name, argv, code, words):
    result = joined.proc.run(["vnode", *argv], check=False)
    assert result.status == code and words in result.stderr, result


@pytest.mark.parametrize("_name, argv, code, words", UNPRIVILEGED, ids=ids(UNPRIVILEGED, 0))
def test_vnode_not_root(joined, _name, argv, code, words):
    result = joined.proc.run([*NOBODY_ROOT, "vnode", *argv], check=False)
    assert result.status == code and words in result.stderr, result


@pytest.mark.parametrize("argv, code", [(["run", *TRUE], 125), (["set", "policy", "lru"], 1)],
                         ids=["run", "set"])
def test_vnode_without_pmon(joined, argv, code):
    result = joined.mem.run(["vnode", *argv], check=False)
    assert result.status == code, result
    assert "pmon is not loaded on this host: modprobe pmon" in result.stderr


# Messages that vnode would not make, as (command, attributes): (type, payload).
SEND_NETLINK = """
import json, os, socket, struct, sys
def attr(kind, data):
    return struct.pack("<HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)
def talk(kind, flags, cmd, attrs):
    body = struct.pack("<BBH", cmd, 1, 0) + attrs
    sock.send(struct.pack("<IHHII", len(body) + 16, kind, flags | 1, 1, 0) + body)
    return sock.recv(65536)
sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
sock.bind((0, 0))
for option in (10, 11):         # NETLINK_CAP_ACK, NETLINK_EXT_ACK
    sock.setsockopt(270, option, 1)
reply = talk(16, 0, 3, attr(2, b"pmon\\0"))
at = 20
while True:
    size, kind = struct.unpack_from("<HH", reply, at)
    if kind == 1:
        family, = struct.unpack_from("<H", reply, at + 4)
        break
    at += size + 3 & ~3
cmd, attrs, raw = json.loads(sys.argv[1])
data = b"".join(attr(kind, bytes.fromhex(text)) for kind, text in attrs)
reply = talk(family, 4, cmd, data + bytes.fromhex(raw))
assert struct.unpack_from("<H", reply, 4)[0] == 2, reply    # NLMSG_ERROR
print(struct.unpack_from("<i", reply, 16)[0])
print(reply[36:])
"""
TAG, SET, EXCACHE_BYTES, POLICY, SPACE = 4, 5, 20, 21, 14
NETLINK = [
    ("unknown command", 77, [], "", EOPNOTSUPP, None),
    ("command of another family", 2, [], "", EOPNOTSUPP, None),
    ("set nothing", SET, [], "", EINVAL, "nothing to set"),
    ("policy without an end", SET, [(POLICY, "6c7275")], "", EINVAL, "Attribute failed"),
    ("policy too long", SET, [(POLICY, "78" * 40 + "00")], "", EINVAL, "Attribute failed"),
    ("policy of no length", SET, [(POLICY, "")], "", EINVAL, "Attribute failed"),
    ("size of four bytes", TAG, [(EXCACHE_BYTES, "00000001")], "", EINVAL, "invalid attribute length"),
    ("size 0", TAG, [(EXCACHE_BYTES, "00" * 8)], "", EINVAL, "below 256 KiB"),
    ("size 2^64-1", TAG, [(EXCACHE_BYTES, "ff" * 8)], "", ENOSPC, "larger than this host's"),
    ("unknown attribute", TAG, [(99, "00")], "", EINVAL, "Unknown attribute type"),
    ("attribute longer than the message", TAG, [], "ff001400", EINVAL, "bytes leftover"),
]


@pytest.mark.parametrize("_name, cmd, attrs, raw, error, words", NETLINK, ids=ids(NETLINK, 0))
def test_netlink(joined, _name, cmd, attrs, raw, error, words):
    result = joined.proc.run(["python3", "-ISc", SEND_NETLINK,
                              json.dumps([cmd, attrs, raw])])
    status, text = result.stdout.splitlines()
    assert int(status) == -error, text
    assert not words or words in text, text


def test_works_after_senseless_commands(joined):
    joined.works()


# ---- no memory host, and the wrong key ----------------------------------------------------

def memory_hosts_gone(host):
    """Waits until HOST knows of no memory host."""
    end = time.monotonic() + PATIENCE * 20
    while not host.run(["vnode", "wait", "--memory-hosts", "1", "--timeout", "0"],
                       check=False).status:
        assert time.monotonic() < end
        time.sleep(0.1)


def refused_without_memory_host(host):
    """vnode run says why, once the manager's list is there: it comes each second."""
    end = time.monotonic() + PATIENCE * 20
    result = host.run(["vnode", "run", *TRUE], check=False)
    while result.status != 125 and time.monotonic() < end:
        time.sleep(0.2)
        result = host.run(["vnode", "run", *TRUE], check=False)
    assert result.status == 125, result
    assert "no memory host has joined: see vnode status" in result.stderr, result


def test_no_memory_host(joined):
    joined.mem.unload("mmon")
    memory_hosts_gone(joined.proc)
    refused_without_memory_host(joined.proc)
    joined.mem.load("mmon", memory_mb=MEMORY_MB)
    joined.works()


def test_wrong_cluster_key(joined):
    """It does not join, both sides say why, and with the right key it does."""
    proc, mem = joined.proc, joined.mem
    joined.drop_tests([mem])
    mem.unload("mmon")
    mem.unload("lite_rpc")
    before = joined.counters(proc, "lite_rpc")["auth_failures"]
    mem.write_file("/tmp/other.key", "not the key of this cluster\n")
    log = {host: Log(host) for host in (proc, mem)}
    joined.load_lite(mem, key_file="/tmp/other.key")
    mem.load("mmon", memory_mb=MEMORY_MB)
    end = time.monotonic() + PATIENCE * 15
    while joined.counters(proc, "lite_rpc")["auth_failures"] <= before \
            or not joined.counters(mem, "lite_rpc")["auth_failures"]:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert log[proc].has(f"host {mem.address}: refused, it does not have our cluster key")
    assert log[mem].has(f"host {proc.address} refuses our connection: "
                        "it has another cluster key")
    memory_hosts_gone(proc)
    refused_without_memory_host(proc)

    mem.unload("mmon")
    mem.unload("lite_rpc")
    joined.load_lite(mem)
    mem.load("mmon", memory_mb=MEMORY_MB)
    joined.works()
