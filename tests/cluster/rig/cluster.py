# SPDX-License-Identifier: GPL-2.0
"""A cluster of VMs: the context manager that tests use."""

import os
import secrets
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field

from . import debug, klog, monitors
from .errors import HostStuck, LogFailure, RigError
from .host import Host
from .initramfs import build as build_initramfs
from .kernel import Kernel, default_version
from .network import Switch
from .paths import BUILD, GUEST_PATH
from .vm import DEBUG_PATIENCE, VM, have_kvm

MTU = 9000

# What a guest takes besides the pools of our modules; shadow memory and
# records of a debug kernel come on top.
BASE_RAM_MB = 512
DEBUG_RAM_MB, DEBUG_RAM_FACTOR = 640, 1.5

# sleep=off lets the guest's clock run ahead while it idles, instead of making
# it wait in real time.
ICOUNT = "shift=0,sleep=off"

# Boots of one host until its clock has the right speed.
CLOCK_TRIES = 3

# Clusters that run now, for the pytest glue in conftest.py.
LIVE = []


@dataclass
class Spec:
    """What a VM is made of."""

    kernel: Kernel
    initramfs: str
    smp: int
    ram_mb: int
    mtu: int = MTU
    icount: str = ""
    append: list = field(default_factory=list)
    devices: list = field(default_factory=list)


class Cluster:
    """A cluster of VMs on one switch. Use it as a context manager.

    processors, memory_hosts  how many hosts of each kind; addresses are 10.77.0.1
                              and on, processors first
    memory_mb, excache_mb     size of a memory host's pool, of the ExCache
    guest_ram_mb              RAM of each VM (default: enough for the pools)
    kernel                    version or series of an installed kernel, or the
                              directory of a private one, see rig/kernel.py
                              (default: SK_KERNEL, else what `make` builds for)
    icount                    count instructions as time (one VM only), or QEMU's
                              -icount argument
    all_in_one                one VM with all roles; processors and memory_hosts
                              then both hold this host
    smp                       CPUs of each VM
    modules                   load the monitors; without, hosts are bare
    *_params                  more module parameters, {name: value}
    keep                      keep the run directory in any case
    gate                      judge the kernel logs at the end
    devices                   more of QEMU's arguments, {role: [words]}; {name} in
                              a word is the VM's name, its directory below the
                              one that QEMU runs in

    Afterwards: hosts, processors, memory_hosts (lists of Host), manager (the
    Host with gmm), run_dir, boot_seconds.

    At the end every QEMU is killed, and the kernel logs are judged unless GATE is
    off: LogFailure is raised for complaints that no check_logs() raised before.
    """

    def __init__(self, processors=1, memory_hosts=1, memory_mb=256, excache_mb=16,
                 guest_ram_mb=None, kernel=None, icount=False, all_in_one=False,
                 smp=1, modules=True, lite_rpc_params=None, pmon_params=None,
                 mmon_params=None, gmm_params=None, keep=False, gate=True,
                 append=(), boot_timeout=180, progress=None, devices=None):
        if icount and not (all_in_one or processors + memory_hosts == 1):
            raise RigError("--icount is for one VM: add --all-in-one")
        if processors < 1 and not all_in_one:
            raise RigError("a cluster needs at least one processor host")
        self.memory_mb, self.excache_mb = memory_mb, excache_mb
        self.modules, self.keep, self.gate = modules, keep, gate
        self.boot_timeout = boot_timeout * (5 if icount else 1)
        self.module_params = {"lite_rpc": lite_rpc_params or {},
                              "pmon": pmon_params or {}, "mmon": mmon_params or {},
                              "gmm": gmm_params or {}}
        self.kernel = Kernel(kernel or default_version())
        self._icount = icount if isinstance(icount, str) else ICOUNT if icount else ""
        self._shape = (processors, memory_hosts, all_in_one)
        self._ram_mb, self._smp, self._append = guest_ram_mb, smp, list(append)
        self._devices = devices or {}
        self._progress = progress or (lambda text: None)
        self._key = secrets.token_hex(32) + "\n"
        self._allow, self._judged, self._marks = [], set(), 0
        self.hosts, self.switch, self.run_dir = [], None, None
        self.boot_seconds = None

    # ---- life

    def __enter__(self):
        try:
            self._start()
        except BaseException as error:
            booted = any(host.vm.console_bytes() for host in self.hosts)
            self._end(keep=self.keep or booted and isinstance(error, Exception))
            raise
        return self

    def __exit__(self, kind, error, trace):
        try:
            if self.gate and kind is None:
                if self.kernel.debug:
                    debug.last_look(self)
                self.check_logs()
            elif self.gate and isinstance(error, Exception):
                self._note_logs(error)
        except LogFailure:
            self.keep = True
            raise
        finally:
            # Who presses Ctrl-C wants no logs.
            self._end(keep=self.keep or isinstance(error, Exception))

    def _start(self):
        os.makedirs(BUILD, exist_ok=True)
        self.run_dir = tempfile.mkdtemp(prefix="run-", dir=BUILD)
        LIVE.append(self)
        initramfs = build_initramfs(self.kernel)
        for index, (name, roles) in enumerate(self._plan()):
            spec = Spec(self.kernel, initramfs, self._smp, self._ram_for(roles),
                        icount=self._icount, append=self._append,
                        devices=[word.replace("{name}", name)
                                 for role, words in self._devices.items()
                                 if role in roles for word in words])
            self.hosts.append(Host(self, VM(self.run_dir, index, name, spec),
                                   f"10.77.0.{index + 1}", roles))
        if self.modules:
            monitors.check_built(self)
        self.switch = Switch(self.run_dir, len(self.hosts))
        self._boot_all()
        if self.modules:
            self._progress("joining the monitors")
            monitors.join(self)

    def _plan(self):
        """[(name, roles)] of the hosts, in the order of their addresses."""
        processors, memory_hosts, all_in_one = self._shape
        if all_in_one:
            return [("host1", {"host", "manager", "memory", "processor"})]
        plan = [(f"proc{n + 1}", {"host", "processor"} | ({"manager"} if n == 0 else set()))
                for n in range(processors)]
        return plan + [(f"mem{n + 1}", {"host", "memory"}) for n in range(memory_hosts)]

    def _ram_for(self, roles):
        ram = self._ram_mb or (
            BASE_RAM_MB + (self.memory_mb if "memory" in roles else 0)
            + (self.excache_mb if "processor" in roles else 0))
        return DEBUG_RAM_MB + int(DEBUG_RAM_FACTOR * ram) if self.kernel.debug else ram

    def patience(self, seconds):
        """SECONDS, or as many as a debug kernel takes for the same."""
        return seconds * (DEBUG_PATIENCE if self.kernel.debug else 1)

    def wait_for(self, what, condition, timeout=60):
        """Until CONDITION() is true; WHAT it is, in words. See patience()."""
        end = time.monotonic() + self.patience(timeout)
        while not condition():
            assert time.monotonic() < end, f"{what}: not within {timeout} s"
            time.sleep(0.2)

    def _boot_all(self):
        # More VMs at once than CPUs only makes each so slow that it times out.
        started = time.monotonic()
        accelerator = "kvm" if have_kvm() and not self._icount else "emulation"
        self._progress(f"booting {len(self.hosts)} VM(s), {self.kernel.version}, "
                       f"{accelerator}")
        width = max(2, os.cpu_count() or 1)
        for host in self.hosts[:width]:
            self._power_on(host)
        for index, host in enumerate(self.hosts):
            self._wait_ready(host)
            if index + width < len(self.hosts):
                self._power_on(self.hosts[index + width])
        self.boot_seconds = time.monotonic() - started
        self._progress(f"booted in {self.boot_seconds:.1f} s")

    def _power_on(self, host):
        names = "".join(f"{each.address} {each.name}\\n" for each in self.hosts)
        # A private kernel's modules are not where modprobe looks for them.
        modules = self.kernel.modules if self.kernel.private else ""
        host.vm.start(f"NAME={host.name}\nADDRESS={host.address}\nMTU={MTU}\n"
                      f"MODULES={modules}\nPATIENCE={self.patience(1)}\n"
                      f"PATH={GUEST_PATH}\nHOSTS='{names}'\n", self._key)

    def boot(self, host):
        """Boots HOST, again if it runs; loads nothing. See Host.restart()."""
        self._power_cycle(host)
        self._wait_ready(host)

    def _power_cycle(self, host):
        host.vm.kill()
        self.switch.command("unplug", host.vm.index + 1)
        self._power_on(host)

    def _wait_ready(self, host):
        for _ in range(CLOCK_TRIES):
            host.vm.wait_ready(self.boot_timeout)
            if not host.vm.clock_is_wrong():
                return
            self._progress(f"the clock of {host.name} is wrong: booting it again")
            self._power_cycle(host)
        raise RigError(f"{host.name}: its clock was wrong after {CLOCK_TRIES} boots")

    def _end(self, keep):
        for host in self.hosts:
            host.vm.kill()
        if self.switch:
            self.switch.stop()
        if self in LIVE:
            LIVE.remove(self)
        if self.run_dir and keep:
            print(f"rig: logs are in {self.run_dir}", file=sys.stderr)
        elif self.run_dir:
            shutil.rmtree(self.run_dir, ignore_errors=True)

    # ---- hosts

    @property
    def processors(self):
        """The processor hosts."""
        return [host for host in self.hosts if "processor" in host.roles]

    @property
    def memory_hosts(self):
        """The memory hosts."""
        return [host for host in self.hosts if "memory" in host.roles]

    @property
    def manager(self):
        """The host with the manager."""
        return next(host for host in self.hosts if "manager" in host.roles)

    def join(self, timeout=60):
        """Loads all monitors on all hosts (done at the start unless modules=False)."""
        monitors.join(self, timeout=timeout)

    def leave(self):
        """Removes all monitors from all hosts that run, in reverse order."""
        monitors.leave(self)

    # ---- kernel logs

    def allow_log(self, regex, reason):
        """Lets log lines that match REGEX pass from now on, because of REASON."""
        self._allow += klog.check_allow([(regex, reason)])

    def mark_logs(self, name=""):
        """A point in the kernel logs, for check_logs(since=...)."""
        self._sync_logs(name)
        return {host.name: os.path.getsize(host.vm.console_log) for host in self.hosts}

    def check_logs(self, since=None, allow=(), name="check"):
        """Raises LogFailure if a guest's kernel complained after the mark SINCE.

        ALLOW is a list of (regex, reason) for this check only. What was judged
        once is not raised again, neither here nor at the end of the cluster.
        Returns a mark, up to which it looked at least.
        """
        mark = self.mark_logs(name)
        bad = self._judge(since or {}, [*self._allow, *klog.check_allow(allow)])
        if bad:
            raise LogFailure("the kernel complained:\n" + "\n".join(map(str, bad)))
        return mark

    def _judge(self, since, allow):
        bad = []
        for host in self.hosts:
            start = since.get(host.name, 0)
            for hit in klog.scan(host.name, host.vm.console_bytes(start), start):
                if hit[:2] in self._judged:
                    continue
                self._judged.add(hit[:2])
                reason = klog.allowed(hit.line, allow)
                if reason:
                    self._progress(f"allowed: {hit.host}: {hit.line} ({reason})")
                else:
                    bad.append(hit)
        return bad

    def _sync_logs(self, name):
        """Waits until what the guests logged so far is in the console logs."""
        self._marks += 1
        text = f"rig: mark {self._marks} {name}".rstrip()
        for host in self.hosts:
            if not host.alive():
                continue
            try:
                host.vm.agent.call("guest-ping", timeout=5)
                host.log(f"<5>{text}")
                host.wait_log(text, timeout=2)
            except (HostStuck, RigError):
                continue    # its log is judged as it is

    def _note_logs(self, error):
        """Adds the kernels' complaints to an exception that is under way."""
        try:
            self.check_logs()
        except LogFailure as failure:
            error.add_note(str(failure))
