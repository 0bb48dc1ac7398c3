# SPDX-License-Identifier: GPL-2.0
"""The rig itself, on two bare VMs (no module of ours)."""

import os
import shutil
import subprocess
import time

import pytest

from rig import (REPO, Cluster, CommandFailed, CommandTimeout, HostDown, LogFailure,
                 RigError, default_version, installed)
from rig import kernel, klog, monitors
from rig.kernel import Kernel

CLUSTER = os.path.join(REPO, "tests/cluster/cluster")
JUMBO = 9000 - 28           # payload of a ping that fills one frame


@pytest.fixture(scope="module", name="cluster")
def two_bare_hosts():
    with Cluster(processors=1, memory_hosts=1, modules=False) as cluster:
        print(f"booted in {cluster.boot_seconds:.1f} s")
        yield cluster


def ping(host, other, count=1, size=56):
    """How many of COUNT pings were answered within a second each."""
    result = host.run(["busybox", "ping", "-c", str(count), "-w", str(count), "-W", "1",
                       "-s", str(size), other.address], check=False)
    return result.stdout.count("ttl=")


def test_status_and_output(cluster):
    host = cluster.processors[0]
    result = host.run("echo out; echo err >&2; exit 7", check=False)
    assert result == (7, "out\n", "err\n")
    assert host.run(["printf", "%s|", "a b", "$c"]).stdout == "a b|$c|"
    assert host.run("kill -9 $$", check=False).status == 128 + 9
    assert host.run(["/no/such/program"], check=False).status == 127
    with pytest.raises(CommandFailed, match="status 3"):
        host.run("exit 3")


def test_environment_of_a_command(cluster):
    host = cluster.processors[0]
    assert host.run("pwd; echo $A", cwd="/proc", env={"A": "b c"}).stdout == "/proc\nb c\n"
    assert host.run("uname -r").stdout.strip() == cluster.kernel.version
    assert host.run(["cat", os.path.join(REPO, "tests/cluster/switch.c")]).stdout
    assert host.run("getent hosts mem1").stdout.split() == ["10.77.0.2", "mem1"]


def test_output_comes_while_it_runs(cluster):
    process = cluster.processors[0].spawn("echo one; sleep 60")
    end = time.monotonic() + 10
    while process.output() != "one\n":
        assert time.monotonic() < end
        time.sleep(0.02)
    assert process.poll() is None
    assert process.kill()
    assert process.poll() == 128 + 9


def test_timeout_kills_the_command_and_its_children(cluster):
    host = cluster.processors[0]
    with pytest.raises(CommandTimeout, match="begun"):
        host.run("echo begun; sleep 4321 & sleep 4321", timeout=1)
    assert host.run(["pgrep", "-x", "sleep"], check=False).stdout == ""


def test_files(cluster):
    host = cluster.processors[0]
    text = "line\n" * 100000
    host.write_file("/tmp/file", text)
    assert host.read_file("/tmp/file") == text
    assert host.read_file("/proc/sys/kernel/hostname") == "proc1\n"
    with pytest.raises(RigError):
        host.read_file("/no/such/file")


def test_guests_cannot_write_to_the_host(cluster):
    path = os.path.join(REPO, "tests/cluster/not-on-the-host")
    cluster.processors[0].run(["touch", path])
    assert not os.path.exists(path)


def test_key_is_the_same_everywhere_and_private(cluster):
    path = "/run/splitkernel/cluster.key"
    keys = {host.read_file(path) for host in cluster.hosts}
    assert len(keys) == 1 and len(bytes.fromhex(keys.pop().strip())) == 32
    assert cluster.processors[0].run(["stat", "-c", "%a", path]).stdout == "600\n"


def test_load_and_unload_a_module(cluster):
    host = cluster.processors[0]
    file = cluster.kernel.load_order(["dummy"])[-1]
    for module in ("dummy", file):
        host.load(module, numdummies=2)
        assert "dummy" in host.loaded()
        assert "dummy1" in host.run("ip link").stdout
        host.unload("dummy")
        assert "dummy" not in host.loaded()
    with pytest.raises(RigError, match="no_such_module"):
        host.load("no_such_module")


def test_join_and_leave_by_role(cluster, monkeypatch):
    dummy, ifb = (cluster.kernel.load_order([name])[-1] for name in ("dummy", "ifb"))
    monkeypatch.setattr(monitors, "VNODE", "/no/such/program")
    monkeypatch.setattr(monitors, "MONITORS", [
        monitors.Monitor("dummy", dummy, "host",
                         lambda cluster, host: {"numdummies": len(host.roles)}),
        monitors.Monitor("ifb", ifb, "memory", lambda cluster, host: {})])
    monkeypatch.setitem(cluster.module_params, "ifb", {"numifbs": 3})
    monitors.check_built(cluster)
    cluster.join()
    one, other = cluster.hosts
    assert "dummy2" in one.run("ip link").stdout and "ifb" not in one.loaded()
    links = other.run("ip link").stdout
    assert "dummy1" in links and "dummy2" not in links and "ifb2" in links
    cluster.leave()
    assert not any({"dummy", "ifb"} & host.loaded() for host in cluster.hosts)


def test_joined_is_what_vnode_status_shows(cluster, monkeypatch):
    hosts = ('{"hosts": [{"address": "%s", "services": ["mmon"], "usable": true}, '
             '{"address": "10.77.0.1", "services": ["gmm"], "usable": true}]}')
    one, other = cluster.hosts
    one.write_file("/tmp/vnode", f"#!/bin/sh\necho '{hosts % other.address}'\n")
    one.run("chmod +x /tmp/vnode")
    monkeypatch.setattr(monitors, "VNODE", "/tmp/vnode")
    monkeypatch.setattr(monitors.os, "access", lambda path, mode: True)
    monitors.wait_joined(cluster, timeout=5)
    one.run("sed -i s/true/false/g /tmp/vnode")
    with pytest.raises(RigError, match=f"did not join within 1 s: {other.address}"):
        monitors.wait_joined(cluster, timeout=1)


def test_a_module_that_is_not_built_is_told(cluster, monkeypatch):
    monkeypatch.setattr(monitors, "MONITORS", [
        monitors.Monitor("nothing", "no/nothing.ko", "host", None)])
    with pytest.raises(RigError, match="no/nothing.ko is not built: run make"):
        monitors.check_built(cluster)


def test_jumbo_frames_pass_whole(cluster):
    one, other = cluster.hosts
    assert ping(one, other, count=3, size=JUMBO) >= 2
    assert one.link_stats()["largest"] == 9000 + 14


def test_rxe_link_is_active(cluster):
    for host in cluster.hosts:
        assert "state ACTIVE physical_state LINK_UP" in host.run("rdma link").stdout


def test_rdma_read_between_hosts(cluster):
    one, other = cluster.hosts
    server = other.spawn("ib_read_lat -d rxe0 -x 1 -s 4096 -n 200 -F")
    time.sleep(1)
    answer = one.run(f"ib_read_lat -d rxe0 -x 1 -s 4096 -n 200 -F {other.address}",
                     timeout=30).stdout
    assert server.wait(30).status == 0
    print(answer)
    assert " 4096    200" in answer


def test_rping_between_hosts(cluster):
    one, other = cluster.hosts
    server = other.spawn("rping -s -C 10 -v")
    time.sleep(1)
    one.run(f"rping -c -C 10 -v -V -a {other.address}", timeout=30)
    assert server.wait(30).stdout.count("server ping data") == 10


def test_link_cut_and_restore(cluster):
    one, other = cluster.hosts
    other.cut()
    assert ping(one, other) == 0
    other.restore()
    assert ping(one, other, count=2) >= 1


def test_link_cut_one_way(cluster):
    one, other = cluster.hosts
    before = other.link_stats()
    other.cut("tx")
    assert ping(one, other) == 0
    other.restore()
    after = other.link_stats()
    assert after["rx_lost"] == before["rx_lost"]
    assert after["tx_lost"] > before["tx_lost"]
    with pytest.raises(ValueError):
        other.cut("sideways")


def test_loss_and_delay(cluster):
    one, other = cluster.hosts
    one.loss(100)
    assert ping(one, other) == 0
    one.loss(0)
    one.delay(200)
    answer = one.run(f"busybox ping -c 2 {other.address}").stdout
    one.delay(0)
    assert min(float(line.split("time=")[1].split()[0])
               for line in answer.splitlines() if "time=" in line) >= 200


@pytest.mark.parametrize("line", [
    "<4>WARNING: planted", "<0>BUG: planted", "<3>INFO: task x:1 blocked for more than "
    "120 seconds.", "<4>BUG kmalloc-64 (Tainted: G O): Objects remaining"])
def test_log_gate_catches(cluster, line):
    mark = cluster.mark_logs()
    cluster.memory_hosts[0].write_file("/dev/kmsg", line)
    with pytest.raises(LogFailure, match="mem1.*" + line[3:10]):
        cluster.check_logs(since=mark)
    cluster.check_logs(since=mark)      # it was told once, to who caused it


def test_log_gate_allows_only_what_is_listed(cluster):
    host = cluster.memory_hosts[0]
    host.write_file("/dev/kmsg", "<4>WARNING: at planted.c:1")
    cluster.check_logs(allow=[(r"planted\.c:1", "the test planted it")])
    host.write_file("/dev/kmsg", "<4>WARNING: at planted.c:2")
    with pytest.raises(LogFailure):
        cluster.check_logs(allow=[(r"planted\.c:1", "the test planted it")])
    with pytest.raises(ValueError):
        cluster.allow_log("x", " ")


@pytest.mark.allow_log(r"WARNING: by mark", "shows how a test allows its own")
def test_log_gate_allows_by_mark(cluster):
    cluster.processors[0].write_file("/dev/kmsg", "<4>WARNING: by mark")


def test_log_gate_judges_each_line():
    log = (b"[ 1.0] WARNING: CPU: 0 at a.c:1\n[ 1.0] Call Trace:\n"
           b"[ 1.0] ---[ end trace 0 ]---\n[ 1.1] fine\n"
           b"[ 1.2] watchdog: BUG: soft lockup - CPU#0\n[ 1.3] clean\n")
    hits = klog.scan("h", log, start=100)
    assert [hit.offset for hit in hits] == [100, 100 + log.index(b"[ 1.2]")]
    assert len(hits[0].context) == 2


def test_power_cut_and_restart(cluster):
    one, other = cluster.hosts
    process = other.spawn("sleep 100")
    other.power_cut()
    assert not other.alive()
    with pytest.raises(HostDown):
        process.poll()
    with pytest.raises(HostDown):
        other.run("true")
    assert ping(one, other) == 0
    other.restart()
    assert ping(one, other, count=3) >= 1
    assert "rxe0" in other.run("rdma link").stdout


def test_panic_is_told(cluster):
    other = cluster.memory_hosts[0]
    with pytest.raises(HostDown, match="kernel panic"):
        other.write_file("/proc/sysrq-trigger", "c")
        time.sleep(1)
        other.run("true")
    with pytest.raises(LogFailure, match="sysrq triggered crash|Kernel panic"):
        cluster.check_logs()


def run_cluster(*words):
    return subprocess.run([CLUSTER, *words], capture_output=True, text=True, timeout=100,
                          cwd=os.path.join(REPO, "tests"))


def test_command_for_a_person():
    done = run_cluster("run", "--no-modules", "--memory-hosts", "0", "--", "sh", "-c",
                       "pwd; echo '<4>WARNING: planted' > /dev/kmsg; exit 5")
    assert done.stdout == os.path.join(REPO, "tests") + "\n"
    assert done.returncode == 5
    assert "WARNING: planted" in done.stderr
    kept = done.stderr.partition("logs are in ")[2].split()[0]
    assert "WARNING: planted" in open(f"{kept}/proc1/console.log").read()
    shutil.rmtree(kept)


OTHERS = [version for version in installed() if version != default_version()
          and os.path.isdir(f"/lib/modules/{version}/build")]
needs_another = pytest.mark.skipif(not OTHERS, reason="only one kernel is installed")


@needs_another
def test_another_kernel_than_the_default():
    done = run_cluster("run", "--kernel", OTHERS[0], "--no-modules", "--memory-hosts", "0",
                       "--", "uname", "-r")
    assert (done.returncode, done.stdout) == (0, OTHERS[0] + "\n"), done.stderr


@needs_another
def test_modules_are_those_of_the_kernel(monkeypatch):
    ours = monitors.MONITORS[0].path
    monkeypatch.setattr(kernel, "stable_version", lambda: OTHERS[0])
    assert Kernel(OTHERS[0]).ours(ours) == ours
    monkeypatch.setattr(kernel, "stable_version", lambda: "6.1.0-0-other")
    built = Kernel(OTHERS[0]).ours(ours)
    assert built == os.path.join(REPO, "build/modules", OTHERS[0], "lite-rpc/lite_rpc.ko")
    assert kernel.built_for(built)[0] == OTHERS[0]


def test_private_kernel_is_a_directory(cluster, tmp_path):
    stock = cluster.kernel
    with pytest.raises(RigError, match="is not a kernel"):
        Kernel(str(tmp_path))
    os.makedirs(tmp_path / "lib/modules")
    os.symlink(stock.image, tmp_path / "bzImage")
    os.symlink(stock.modules, tmp_path / "lib/modules" / stock.version)
    private = Kernel(str(tmp_path))
    assert private.version == stock.version and private.private
    assert private.build == f"{private.modules}/build" and os.path.isdir(private.build)


def test_unknown_kernel_is_told_in_a_line():
    done = run_cluster("run", "--kernel", "1.2.3", "--", "true")
    assert done.returncode == 125
    assert "kernel 1.2.3 is not installed" in done.stderr
    assert "Traceback" not in done.stderr
