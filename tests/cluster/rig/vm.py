# SPDX-License-Identifier: GPL-2.0
"""One QEMU process: its command line, its life and its death."""

import functools
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from .agent import Agent
from .errors import HostDown, RigError
from .paths import GUEST

# rep movsb is slow under emulation and copies every RDMA READ: hide it. An interrupt
# after cmpxchg16b may find junk flags (docs/testing.md): the kernel does without it.
TCG_CPU = "max,-erms,-fsrm,-cx16"

APPEND = [
    "console=ttyS0", "loglevel=5", "panic=-1", "random.trust_cpu=on",
    "audit=0", "apparmor=0", "mitigations=off", "net.ifnames=0",
    "printk.devkmsg=on",
    # QEMU translates a program anew at each new address: 3 times the time of
    # exec. A test that wants it writes 2 to /proc/sys/kernel/randomize_va_space.
    "norandmaps",
    # Under emulation, on a busy host, timers come late. That is no defect.
    "tsc=reliable", "no_timer_check", "watchdog_thresh=30",
    "rcupdate.rcu_cpu_stall_timeout=60",
]


# For a debug kernel, which takes so much longer for everything: what waits for
# it waits this much longer, and its own watchdogs are as patient as they can be.
DEBUG_PATIENCE = 15
DEBUG_APPEND = [
    "watchdog_thresh=60", "rcupdate.rcu_cpu_stall_timeout=300",
    # The first finding is not to hide the others.
    "kasan_multi_shot",
]

# What the kernel says when two timers disagree by a tenth and it believes the worse.
CLOCK_WRONG = b"PIT calibration deviates from"


@functools.lru_cache
def have_kvm():
    """Whether VMs can run on the hardware's own virtualization."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
        flags = cpuinfo.read().split()
    if "vmx" not in flags and "svm" not in flags:
        return False        # /dev/kvm may exist all the same, and not work
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError:
        return False
    return True


@functools.lru_cache
def _launcher():
    # "Die with your parent" is tied to the thread that started the process,
    # so one thread that lives as long as we do starts every QEMU.
    return ThreadPoolExecutor(1, thread_name_prefix="qemu-launcher")


class VM:
    """A virtual machine with its own directory (console.log, qemu.log, share/).

    All paths on QEMU's command line are relative to the run directory, because
    a unix socket's path must be shorter than 108 bytes and ours need not be.
    """

    def __init__(self, run_dir, index, name, spec):
        self.run_dir, self.index, self.name, self.spec = run_dir, index, name, spec
        self.dir = os.path.join(run_dir, name)
        self.share = os.path.join(self.dir, "share")
        self.console_log = os.path.join(self.dir, "console.log")
        self.patience = DEBUG_PATIENCE if spec.kernel.debug else 1
        self.agent = Agent(name, self._why_down, self.patience)
        self._process = None
        self._cut = False
        self._boot_at = 0
        os.makedirs(self.share)
        open(self.console_log, "wb").close()

    def start(self, config, key):
        """Starts QEMU; wait_ready() tells when the guest can be used."""
        shutil.copy(os.path.join(GUEST, "boot"), self.share)
        self._write_share("config", config, 0o644)
        self._write_share("key", key, 0o600)
        for stale in ("ready", "agent.log"):
            if os.path.exists(os.path.join(self.share, stale)):
                os.unlink(os.path.join(self.share, stale))
        self._cut = False
        self._boot_at = len(self.console_bytes())
        with open(os.path.join(self.dir, "qemu.log"), "ab") as log:
            self._process = _launcher().submit(
                subprocess.Popen, self._command(), cwd=self.run_dir, stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True).result()

    def _write_share(self, name, text, mode):
        path = os.path.join(self.share, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode),
                  "w", encoding="utf-8") as file:
            file.write(text)

    def _command(self):
        spec, number = self.spec, self.index + 1
        return [
            # QEMU must not outlive the rig, even one that is killed.
            "setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-machine", "q35", *_accelerator(spec),
            "-smp", str(spec.smp), "-m", f"{spec.ram_mb}M",
            "-kernel", spec.kernel.boot_image, "-initrd", spec.initramfs,
            "-append", " ".join(APPEND + (DEBUG_APPEND if spec.kernel.debug else [])
                                + spec.append),
            "-chardev", f"file,id=console,path={self.name}/console.log,append=on",
            "-serial", "chardev:console",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={self.name}/agent.sock,"
                        "server=on,wait=off",
            "-device", "virtserialport,chardev=agent,"
                       "name=org.qemu.guest_agent.0",
            "-chardev", f"socket,id=tty,path={self.name}/tty.sock,"
                        "server=on,wait=off",
            "-device", "virtconsole,chardev=tty",
            "-fsdev", "local,id=hostroot,path=/,security_model=none,"
                      "readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=hostroot,mount_tag=hostroot",
            "-fsdev", f"local,id=share,path={self.name}/share,security_model=none",
            "-device", "virtio-9p-pci,fsdev=share,mount_tag=share",
            "-netdev", "dgram,id=net,local.type=unix,"
                       f"local.path=host{number}.sock,"
                       f"remote.type=unix,remote.path=port{number}.sock",
            "-device", f"virtio-net-pci,netdev=net,mac=52:54:00:4d:00:{number:02x},"
                       f"host_mtu={spec.mtu},romfile=,"
                       # Emulated, a doorbell is quicker served by the CPU's own
                       # thread than handed to another: 10 % off an RDMA READ.
                       f"ioeventfd={'on' if _uses_kvm(spec) else 'off'}",
            *spec.devices,
        ]

    def wait_ready(self, timeout):
        """Waits until the guest has booted and its agent answers."""
        end = time.monotonic() + timeout * self.patience
        while not os.path.exists(os.path.join(self.share, "ready")):
            if self._process.poll() is not None:
                raise RigError(f"{self.name} did not boot: {self._why_down()}\n"
                               f"{self._last_words()}")
            if time.monotonic() > end:
                raise RigError(f"{self.name} did not boot within {timeout * self.patience} s\n"
                               f"{self._last_words()}")
            time.sleep(0.02)
        self.agent.connect(os.path.join(self.dir, "agent.sock"), end)

    def clock_is_wrong(self):
        """Whether the guest took a wrong speed of its clock for granted when it booted.

        The busy machine made it measure its time stamp counter against the PIT wrongly
        (docs/testing.md): what its kernel times out after seconds, ends at once.
        """
        return CLOCK_WRONG in self.console_bytes(self._boot_at)

    def alive(self):
        """Whether QEMU runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self):
        """Cuts the power: SIGKILL. May be called when it is off."""
        self._cut = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.agent.close()
        for name in ("agent.sock", "tty.sock"):
            if os.path.exists(os.path.join(self.dir, name)):
                os.unlink(os.path.join(self.dir, name))

    def freeze(self):
        """Stops QEMU as it is; the guest does not know. thaw() lets it go on."""
        self.require_alive()
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        """Ends freeze(). May be called when it runs, or is off."""
        if self.alive():
            self._process.send_signal(signal.SIGCONT)

    def cpu_seconds(self):
        """CPU time that QEMU has used so far: what the guest took, whoever else was busy."""
        self.require_alive()
        with open(f"/proc/{self._process.pid}/stat", encoding="ascii") as stat:
            # Behind the name, which may have spaces: state is the third field.
            words = stat.read().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def require_alive(self):
        """Raises HostDown when QEMU does not run."""
        if not self.alive():
            raise HostDown(f"{self.name}: {self._why_down()}")

    def _why_down(self):
        """What happened to QEMU in a few words; None while it runs."""
        if self._cut or self._process is None:
            return "powered off"
        if self._process.poll() is None:
            return None
        log = self.console()
        if "Kernel panic" in log:
            return "kernel panic: " + log.rpartition("Kernel panic")[2].splitlines()[0]
        with open(os.path.join(self.dir, "qemu.log"), errors="replace") as qemu_log:
            lines = qemu_log.read().splitlines()[-1:]
        return f"QEMU ended ({self._process.returncode}) " + "".join(lines)

    def console_bytes(self, start=0):
        """The console log from byte START on."""
        with open(self.console_log, "rb") as log:
            log.seek(start)
            return log.read()

    def console(self):
        """The console log as text."""
        return self.console_bytes().decode(errors="replace").replace("\r", "")

    def _last_words(self):
        return "\n".join(self.console().splitlines()[-15:])


def _uses_kvm(spec):
    return have_kvm() and not spec.icount


def _accelerator(spec):
    if spec.icount:
        # One thread and a clock that counts instructions: repeatable.
        return ["-accel", "tcg,thread=single", "-cpu", TCG_CPU,
                "-icount", spec.icount]
    if _uses_kvm(spec):
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi", "-cpu", TCG_CPU]
