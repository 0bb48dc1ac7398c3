# SPDX-License-Identifier: GPL-2.0
"""exec of tagged programs: the main stack is managed, all else is as ever."""

import json
import os
import re
import time

import pytest

from rig import REPO, Cluster

PROGRAMS = os.path.join(REPO, "build/programs")
KINDS = ["pie", "nopie", "static", "static-pie"]
ENVIRONMENT = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/bin", "A=1", "EMPTY=", "LANG=C"]


@pytest.fixture(scope="module", name="cluster")
def two_hosts():
    with Cluster(memory_mb=256, excache_mb=64, guest_ram_mb=768) as cluster:
        yield cluster


@pytest.fixture(name="host")
def processor(cluster):
    """The processor host; after the test all lines and frames are back."""
    host = cluster.processors[0]
    yield host
    end = time.monotonic() + 60
    while used(cluster) != (0, 0) and time.monotonic() < end:
        time.sleep(0.2)
    assert used(cluster) == (0, 0)


def used(cluster):
    """(lines, frames) in use."""
    modules = [json.loads(each.run(["vnode", "status", "--json"]).stdout)["modules"]
               for each in (cluster.processors[0], cluster.memory_hosts[0])]
    return (modules[0]["pmon"]["lines_total"] - modules[0]["pmon"]["lines_free"],
            modules[1]["mmon"]["frames_total"] - modules[1]["mmon"]["frames_free"])


def mainstack(kind, *more):
    """Words that run the test program."""
    return [f"{PROGRAMS}/mainstack-{kind}", *map(str, more)]


def tagged(words, excache="1M"):
    """The same words under vnode run. Their environment is the test's own."""
    return [*ENVIRONMENT, f"{REPO}/userland/vnode", "run", "--excache", excache,
            "--", *words]


def both(host, words, excache="1M", timeout=300):
    """Result of WORDS, the same tagged and untagged."""
    plain = host.run([*ENVIRONMENT, *words], timeout=timeout, check=False)
    ours = host.run(tagged(words, excache), timeout=timeout, check=False)
    assert ours.stdout.splitlines() == plain.stdout.splitlines(), ours.stderr
    assert (ours.status, ours.stderr) == (plain.status, plain.stderr)
    return plain


# ---- what execve() sets up

@pytest.mark.parametrize("kind", KINDS)
def test_report(host, kind):
    """Arguments, environment, auxv, /proc, addresses, descriptors: all equal."""
    facts = both(host, mainstack(kind, "report", "two words", "")).stdout
    assert f"exe: {PROGRAMS}/mainstack-{kind}\n" in facts
    assert "/proc has the same" in facts and "argv 2 at" in facts
    assert facts.count("descriptor ") == 3


def test_report_of_scripts(host):
    """An interpreter's script, and a script as interpreter."""
    host.write_file("/tmp/one", f"#!{PROGRAMS}/mainstack-pie report\n")
    host.write_file("/tmp/two", "#!/tmp/one word\n")
    host.run("chmod 755 /tmp/one /tmp/two")
    assert "argv 2 at" in both(host, ["/tmp/one"]).stdout
    assert "argv 4 at" in both(host, ["/tmp/two", "last"]).stdout


@pytest.mark.parametrize("how", ["exe", "memfd", "deleted", "empty"])
@pytest.mark.parametrize("kind", ["pie", "static"])
def test_exec_by(host, kind, how):
    """By /proc/self/exe, of a memfd, of a deleted file, without arguments."""
    plain, ours = (host.run(words, timeout=120).stdout.splitlines() for words in
                   ([*ENVIRONMENT, *mainstack(kind, "exec", how, "report")],
                    tagged(mainstack(kind, "exec", how, "report"))))
    # The name of the deleted file is random; its length is not.
    hide = re.compile(r"mainstack\w{6}")
    assert [hide.sub("mainstack", line) for line in ours] == \
           [hide.sub("mainstack", line) for line in plain]
    assert len(plain) > 40


@pytest.mark.parametrize("size", [1, 100_000, 1_000_000])
def test_long_arguments(host, size):
    """Up to a megabyte of arguments."""
    script = (f"import os; a = ['x' * {size // 10} + str(i) for i in range(10)]; "
              f"os.execv('{PROGRAMS}/mainstack-pie', ['name', 'args', *a])")
    result = both(host, ["/usr/bin/python3", "-c", script], "4M")
    assert re.match(r"12 arguments, \d+ bytes", result.stdout)


def test_too_long_arguments(host):
    """E2BIG is as before."""
    script = ("import os\n"
              "try: os.execv('/bin/true', ['true', *['x' * 100000] * 100])\n"
              "except OSError as e: print(e)")
    assert "too long" in both(host, ["/usr/bin/python3", "-c", script], "8M").stdout


def test_chroot(host):
    host.run("mkdir -p /tmp/root/proc && cp /bin/busybox /tmp/root/ && "
             "mount --bind /proc /tmp/root/proc")
    try:
        command = "readlink /proc/self/exe; echo $0 $1; exec -a x /busybox sh -c 'echo $0'"
        result = both(host, ["chroot", "/tmp/root", "/busybox", "sh", "-c", command,
                             "zero", "one"])
        assert result.stdout.splitlines() == ["/busybox", "zero one", "sh"] or \
            "zero one" in result.stdout
    finally:
        host.run("umount /tmp/root/proc && rm -r /tmp/root")


def test_stack_without_limit(host):
    """The old layout of addresses, mappings upwards."""
    words = ["prlimit", "--stack=unlimited"]
    both(host, [*words, *mainstack("pie", "report")])
    both(host, [*words, *mainstack("pie", "recurse", 12 << 10)])


def test_small_address_space(host):
    both(host, ["prlimit", "--as=64000000", *mainstack("static", "report")])
    both(host, ["prlimit", "--as=4000000", *mainstack("static", "recurse", 6000)])


# ---- what the program does with it

@pytest.mark.parametrize("kind", KINDS)
def test_checks(host, kind):
    """Recursion, overflow, limits, threads, fork, signals, growth, ptrace."""
    lines = both(host, mainstack(kind, "checks"), timeout=600).stdout.splitlines()
    seen = dict(line.split(": ", 1) for line in lines)
    for name in ("recursion", "limit-raised", "threads", "fork", "signals", "split"):
        assert seen[name] == "good", seen
    assert seen["overflow"].startswith("signal 11 code 1"), seen
    assert seen["poke"] == "errno 0, code 0", seen
    assert len(seen) == 13, seen


def test_recursion_is_evicted(host):
    """6 MB of stack in an ExCache of 1 MB: pages of it come back by fetches."""
    def fetched():
        document = host.run(["vnode", "status", "--json"]).stdout
        pmon = json.loads(document)["modules"]["pmon"]
        return pmon["misses"] + pmon["prefetch_used"]

    before = fetched()
    assert host.run(tagged(mainstack("pie", "recurse", 6 << 10)), timeout=300).status == 0
    assert fetched() - before > 1000


def test_random_addresses(host):
    """With randomisation on, which the rig's kernels boot without."""
    host.write_file("/proc/sys/kernel/randomize_va_space", "2\n")
    try:
        loop = ("for i in $(seq 40); do for kind in pie nopie static static-pie; do "
                f"{PROGRAMS}/mainstack-$kind report one || exit 1; "
                f"{PROGRAMS}/mainstack-$kind recurse 300 || exit 1; done; done")
        text = host.run(tagged(["sh", "-c", loop]), timeout=900).stdout
        assert text.count("/proc has the same") == 160
        stacks = set(re.findall(r"^stack mapping: (\S+)", text, re.MULTILINE))
        assert len(stacks) > 140
        one = host.run(tagged(["setarch", "-R", *mainstack("pie", "report")])).stdout
        assert f"stack mapping: {one.split('stack mapping: ')[1].split()[0]}" in \
            host.run([*ENVIRONMENT, "setarch", "-R", *mainstack("pie", "report")]).stdout
    finally:
        host.write_file("/proc/sys/kernel/randomize_va_space", "0\n")


# ---- nothing writable is left outside

def writable_private(smaps):
    """Writable private mappings of an smaps text: (line, flags) of each."""
    found = []
    for line in smaps.splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            mapping = line
        elif line.startswith("VmFlags:") and mapping.split()[1][1] == "w" and \
                mapping.split()[1][3] == "p":
            found.append((mapping, line.split()[1:]))
    return found


SELF_SMAPS = [mainstack(kind, "smaps") for kind in KINDS] + [
    ["cat", "/proc/self/smaps"],
    ["/bin/busybox", "cat", "/proc/self/smaps"],
    ["bash", "-c", "f() { [ $1 = 0 ] || f $(($1 - 1)); }; f 20; "
     "while read -r l; do echo \"$l\"; done < /proc/self/smaps"],
    ["/usr/bin/python3", "-c", "import json, threading\n"
     "t = threading.Thread(target=lambda: print(open('/proc/self/smaps').read()))\n"
     "t.start(); t.join()"],
    ["perl", "-e", "open F, '/proc/self/smaps'; print <F>"],
    ["/tmp/script"],
]


@pytest.mark.parametrize("words", SELF_SMAPS, ids=lambda words: os.path.basename(words[0]))
def test_every_writable_byte(host, words):
    """Each writable private mapping is pmon's; untagged, none is."""
    host.write_file("/tmp/script", f"#!{PROGRAMS}/mainstack-static-pie smaps\n")
    host.run("chmod 755 /tmp/script")
    plain = writable_private(host.run([*ENVIRONMENT, *words], timeout=120).stdout)
    ours = writable_private(host.run(tagged(words, "8M"), timeout=300).stdout)
    # Ours are merged where they touch.
    assert len(plain) >= 3 and len(ours) >= 2
    for mapping, flags in plain:
        assert "sh" not in flags and "/pmon" not in mapping
    for mapping, flags in ours:
        assert "/pmon" in mapping and "sh" in flags, mapping
    # One that grows down: the stack.
    assert [flags for _, flags in ours if "gd" in flags]


def test_every_writable_byte_of_descendants(host):
    """gcc's own processes, looked at from outside while they run."""
    source = os.path.join(REPO, "tests/cluster/programs/mainstack.c")
    process = host.spawn(tagged(
        ["bash", "-c", f"while :; do gcc -O2 -std=gnu11 -S -o /dev/null {source} || exit; "
         "done"], "24M"))
    looked = set()
    end = time.monotonic() + 240
    try:
        while len(looked) < 3 and time.monotonic() < end:
            names = host.run("for p in $(pgrep -x 'bash|gcc|cc1'); do "
                             "grep -q /pmon /proc/$p/maps 2>/dev/null && "
                             "cat /proc/$p/comm && cat /proc/$p/smaps; done",
                             check=False).stdout
            for mapping, _ in writable_private(names):
                # Of an exec under way there is a moment with the first stack only.
                assert "/pmon" in mapping or "[stack]" in mapping, mapping
            looked |= set(re.findall(r"^(bash|gcc|cc1)$", names, re.MULTILINE))
    finally:
        process.kill()
    assert looked == {"bash", "gcc", "cc1"}


# ---- debuggers

@pytest.mark.parametrize("kind", KINDS)
def test_gdb_runs_it(host, kind):
    """gdb's program is tagged too: breakpoints, a backtrace, values."""
    words = ["gdb", "-nx", "-q", "-batch", "-ex", "set startup-with-shell off",
             "-ex", "break recurse", "-ex", "ignore 1 37", "-ex", "run", "-ex", "bt",
             "-ex", "print frame[0]", "-ex", "delete", "-ex", "continue",
             "--args", *mainstack(kind, "recurse", 40)]
    plain = host.run([*ENVIRONMENT, *words], timeout=300).stdout
    ours = host.run(tagged(words, "48M"), timeout=600).stdout
    assert "exited normally" in ours and plain.count("recurse (") > 35
    assert [line for line in ours.splitlines() if line.startswith(("#", "$"))] == \
           [line for line in plain.splitlines() if line.startswith(("#", "$"))]


@pytest.mark.parametrize("kind", ["pie", "static"])
def test_core_dump(host, kind):
    """A core holds the stack, evicted pages of it included."""
    host.write_file("/proc/sys/kernel/core_pattern", "/tmp/core\n")
    words = mainstack(kind, "crash", 3000)
    result = host.run(tagged(["sh", "-c", "ulimit -c unlimited; " + " ".join(words)]),
                      timeout=300, check=False)
    assert result.status == 128 + 6, result.stderr
    text = host.run(["gdb", "-nx", "-q", "-batch", "-ex", "bt -6",
                     words[0], "/tmp/core"], timeout=300).stdout
    host.run(["rm", "/tmp/core"])
    assert re.search(r"recurse \(depth=3000\)", text), text
    assert re.search(r"main \(argc=3, ", text), text


# ---- refusals

def test_programs_with_other_rights(host):
    """vnode refuses them in words."""
    host.run("cp /bin/true /tmp/true && chmod 4755 /tmp/true")
    result = host.run(tagged(["/tmp/true"]), check=False)
    assert result.status == 126 and "is set-user-ID" in result.stderr
    host.run("chmod 2755 /tmp/true")
    result = host.run(tagged(["/tmp/true"]), check=False)
    assert result.status == 126 and "is set-group-ID" in result.stderr
    host.run("chmod 0755 /tmp/true && setcap cap_net_raw+ep /tmp/true")
    result = host.run(tagged(["/tmp/true"]), check=False)
    assert result.status == 126 and "has file capabilities" in result.stderr
    host.run("setcap -r /tmp/true")
    assert host.run(tagged(["/tmp/true"])).status == 0


def test_programs_that_are_none(host):
    """What execve() refuses or kills, it refuses and kills as before."""
    host.run("head -c 300 /bin/true > /tmp/cut; head -c 40 /bin/true > /tmp/header; "
             "printf '\\177ELF' > /tmp/magic; : > /tmp/empty; echo '#!/none' > /tmp/none; "
             "chmod 755 /tmp/cut /tmp/header /tmp/magic /tmp/empty /tmp/none")
    for name in ("cut", "header", "magic", "empty", "none"):
        script = (f"import subprocess\ntry: print(subprocess.run(['/tmp/{name}']))\n"
                  "except OSError as e: print(e)")
        both(host, ["/usr/bin/python3", "-c", script], "8M")
