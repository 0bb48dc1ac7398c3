# SPDX-License-Identifier: GPL-2.0
"""Finds a kernel, the stock modules a VM needs to boot, and ours built for it.

A kernel is named by

    6.12.117+deb12-amd64    a Debian kernel that is installed,
    6.12                    the newest installed one of a series,
    /some/directory         one built privately: bzImage (or vmlinux) in it, its
                            modules in lib/modules/RELEASE/ (modules_install with
                            INSTALL_MOD_PATH), and in build (or in
                            lib/modules/RELEASE/build) where it was built

The environment variable SK_KERNEL names the one to take where none is asked for.
"""

import functools
import glob
import os
import re
import subprocess

from .errors import RigError
from .paths import REPO
from .vmlinux import unpack


class Kernel:
    """One kernel: version, image, its module directory, where our modules are."""

    def __init__(self, name):
        self.private = os.path.isdir(name) and "/" in name
        if self.private:
            self._find_private(os.path.realpath(name))
        else:
            self._find_installed(release_of(name))
        if not os.path.exists(f"{self.modules}/modules.dep"):
            raise RigError(f"kernel {self.version} has no modules in {self.modules}: "
                           "run tests/setup")
        self.boot_image = unpack(self.image)
        self._depends = self._read_depends()
        self._builtin = self._read_builtin()
        self.debug = self._is_debug()
        self._ours = None

    def _find_installed(self, version):
        self.version = version
        self.image = f"/boot/vmlinuz-{version}"
        self.modules = f"/lib/modules/{version}"
        self.build = f"{self.modules}/build"
        if not os.path.exists(self.image):
            raise RigError(f"kernel {version} is not installed (no {self.image}): "
                           f"{_hint(version)}")

    def _find_private(self, directory):
        images = [path for name in ("bzImage", "vmlinuz", "vmlinux")
                  if os.path.exists(path := os.path.join(directory, name))]
        trees = glob.glob(os.path.join(directory, "lib/modules/*/modules.dep"))
        if not images or len(trees) != 1:
            raise RigError(f"{directory} is not a kernel: it wants a bzImage and one "
                           "lib/modules/RELEASE")
        self.image, self.modules = images[0], os.path.dirname(trees[0])
        self.version = os.path.basename(self.modules)
        build = os.path.join(directory, "build")
        self.build = build if os.path.isdir(build) else f"{self.modules}/build"

    def _is_debug(self):
        """Whether it is one that checks itself (tests/debug), and is slow."""
        for path in (f"{self.build}/.config", f"/boot/config-{self.version}"):
            if os.path.exists(path):
                with open(path, encoding="utf-8") as config:
                    return "\nCONFIG_KASAN=y\n" in config.read()
        return False

    def ours(self, path):
        """Where the module file PATH of this repository is, built for this kernel.

        `make` builds in the tree for the default kernel; for any other this is
        tests/build-modules, which is called here, once.
        """
        default = not self.private and self.version == stable_version()
        if default or not path.startswith(REPO + os.sep):
            return path
        if self._ours is None:
            answer = subprocess.run([os.path.join(REPO, "tests/build-modules"),
                                     self.version, self.build], text=True, check=False,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if answer.returncode:
                raise RigError("the modules do not build for "
                               f"{self.version}:\n{answer.stdout}")
            self._ours = os.path.join(REPO, "build/modules", self.version)
        return os.path.join(self._ours, os.path.relpath(path, REPO))

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


def release_of(name):
    """The installed kernel that NAME means: itself, or the newest of a series."""
    if name in installed():
        return name
    series = [version for version in installed() if version.startswith(name + ".")]
    return series[-1] if series else name


def default_version():
    """The kernel to boot when none is asked for: SK_KERNEL, else that of `make`."""
    return os.environ.get("SK_KERNEL") or stable_version()


@functools.lru_cache
def stable_version():
    """The version that `make` builds the modules for: tests/kernel-release says."""
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


@functools.lru_cache
def on_debug_kernel():
    """Whether default_version() is a debug kernel: tests then take less of everything."""
    return Kernel(default_version()).debug


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
