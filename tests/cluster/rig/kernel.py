# SPDX-License-Identifier: GPL-2.0
"""Finds an installed Debian kernel and the modules a VM needs to boot."""

import glob
import os
import re
import subprocess

from .errors import RigError
from .paths import REPO
from .vmlinux import unpack


class Kernel:
    """One installed kernel: version, image, and its module directory."""

    def __init__(self, version):
        self.version = version
        self.image = f"/boot/vmlinuz-{version}"
        self.modules = f"/lib/modules/{version}"
        if not os.path.exists(self.image):
            raise RigError(f"kernel {version} is not installed (no {self.image}): "
                           f"{_hint(version)}")
        if not os.path.exists(f"{self.modules}/modules.dep"):
            raise RigError(f"kernel {version} has no modules in {self.modules}: "
                           "run tests/setup")
        self.boot_image = unpack(self.image)
        self._depends = self._read_depends()
        self._builtin = self._read_builtin()

    def _read_depends(self):
        """{name: (path, [paths it needs])} of modules.dep."""
        depends = {}
        with open(f"{self.modules}/modules.dep", encoding="ascii") as lines:
            for line in lines:
                path, _, needs = line.partition(":")
                depends[module_name(path)] = (path, needs.split())
        return depends

    def _read_builtin(self):
        with open(f"{self.modules}/modules.builtin", encoding="ascii") as lines:
            return {module_name(line.strip()) for line in lines}

    def load_order(self, names):
        """Absolute paths of the modules NAMES and what they need, in load order."""
        order = []
        for name in names:
            if name in self._builtin:
                continue
            if name not in self._depends:
                raise RigError(f"kernel {self.version} has no module {name}")
            path, needs = self._depends[name]
            # modules.dep lists what must be loaded first last.
            for each in [*reversed(needs), path]:
                full = os.path.join(self.modules, each)
                if full not in order:
                    order.append(full)
        return order


def module_name(path):
    """Name of the module in file PATH, as the kernel writes it."""
    return re.sub(r"\.ko(\.\w+)?$", "", os.path.basename(path)).replace("-", "_")


def _hint(version):
    if installed():
        return f"installed: {', '.join(installed())}"
    return "run tests/setup" if version else "no kernel at all: run tests/setup"


def _sort_key(version):
    return [int(part) if part.isdigit() else part
            for part in re.split(r"(\d+)", version)]


def installed():
    """Versions of all installed kernels, oldest first."""
    images = glob.glob("/boot/vmlinuz-*")
    return sorted((image[len("/boot/vmlinuz-"):] for image in images), key=_sort_key)


def default_version():
    """The version the modules are built for: tests/kernel-release says."""
    try:
        answer = subprocess.run([os.path.join(REPO, "tests/kernel-release")],
                                capture_output=True, text=True, check=True)
        return answer.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        pass
    stable = [version for version in installed() if version.startswith("6.1.")]
    if not stable:
        raise RigError("no 6.1 kernel image in /boot: run tests/setup")
    return stable[-1]


def built_for(path):
    """(kernel version, [modules it needs]) of the module file PATH."""
    answer = subprocess.run(["modinfo", "-F", "vermagic", path],
                            capture_output=True, text=True)
    needs = subprocess.run(["modinfo", "-F", "depends", path],
                           capture_output=True, text=True)
    if answer.returncode or not answer.stdout.split():
        raise RigError(f"{path} is not a kernel module")
    return (answer.stdout.split()[0],
            [name for name in needs.stdout.strip().split(",") if name])
