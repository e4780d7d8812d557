"""Grants: what the administrator allows an account beyond the rules, exactly, audited, and taken away within a second."""
import json
import os
import signal
import sqlite3
import subprocess
import threading

import pytest
import world
from conftest import within
from test_network import INSIDE

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and mounts need root")

GRANTS = "/narae/v1/accounts/guest/grants"
NOTHING = {"egress": [], "volumes": [], "devices": []}


@pytest.fixture(scope="module")
def outside():
    w = world.World()
    try:
        yield w.open()
    finally:
        w.close()


@pytest.fixture
def granted(platform):
    """Sets grants; nothing is granted afterwards."""
    def put(auth=None, **grants):
        return platform.request("PUT", GRANTS, grants, auth=auth or platform.admin_auth)
    yield put
    assert put().status == 200


def ask(platform, name, **arguments):
    reply = platform.invoke(name, arguments, "blocking=true&result=true")
    assert reply.status == 200, reply
    return reply.json


def reaches(platform, name, port=world.PORT, kind="tcp"):
    out = ask(platform, name, tries=[[kind, world.PRIVATE, port]], patience=1)
    return out["tries"][f"{kind} {world.PRIVATE} {port}"] == "answered outside"


def test_only_the_administrator_grants(platform, granted):
    assert platform.request("PUT", GRANTS, {"egress": ["10.0.0.1:1/tcp"]}).status == 403
    assert granted(egress=["10.0.0.5:502/tcp"]).status == 200
    assert platform.request("GET", GRANTS).json == {**NOTHING, "egress": ["10.0.0.5:502/tcp"]}
    assert platform.request("GET", "/narae/v1/accounts/admin/grants").status == 403
    assert platform.request("GET", "/narae/v1/accounts/nobody/grants", auth=platform.admin_auth).status == 404
    assert platform.request("PUT", "/narae/v1/accounts/nobody/grants", {}, auth=platform.admin_auth).status == 404


@pytest.mark.parametrize("grants", [
    {"egress": ["0.0.0.0/0:1/tcp"]}, {"egress": ["10.0.0.0/8:80/tcp"]}, {"egress": ["10.0.0.1:0/tcp"]},
    {"egress": ["10.0.0.1:80"]}, {"egress": ["10.0.0.1:80/icmp"]}, {"egress": ["127.0.0.1:80/tcp"]},
    {"egress": ["10.0.0.1/24:80/tcp"]}, {"egress": ["a b:80/tcp"]}, {"egress": ["$(id):80/tcp"]}, {"egress": "all"},
    {"egress": ["224.0.0.1:80/udp"]}, {"egress": ["10.0.0.256:80/tcp"]}, {"egress": ["-A:80/tcp"]}, {"egress": [7]},
    {"volumes": [{"name": "../x", "quota_mb": 1}]}, {"volumes": [{"name": "x"}]}, {"volumes": [{"name": "x", "quota_mb": 0}]},
    {"volumes": [{"name": "x", "quota_mb": 1, "path": "/"}]}, {"devices": ["mem"]}, {"devices": ["/dev/mem"]},
    {"everything": True}, [], "x"])
def test_a_grant_is_exact_or_refused(platform, grants):
    reply = platform.request("PUT", GRANTS, grants, auth=platform.admin_auth)
    assert reply.status == 400 and reply.error, reply
    assert platform.request("GET", GRANTS).json == NOTHING


def test_egress_opens_exactly_what_is_named_and_closes_again(platform, granted, name, outside):
    platform.put(name, INSIDE)
    assert outside.reaches(world.PRIVATE) and not reaches(platform, name)
    assert granted(egress=[f"{world.PRIVATE}:{world.PORT}/tcp"]).status == 200
    assert reaches(platform, name)
    assert not reaches(platform, name, world.OTHER_PORT) and not reaches(platform, name, kind="udp")
    assert granted(egress=[f"{world.PRIVATE}/32:{world.PORT}/udp"]).status == 200
    assert reaches(platform, name, kind="udp") and not reaches(platform, name)
    assert granted().status == 200
    assert not reaches(platform, name, kind="udp")


def test_a_running_call_loses_a_grant_within_a_second(platform, granted, name, outside):
    """The container with the old grants takes no further call, and goes with the one that it has."""
    platform.put(name, INSIDE)
    assert granted(egress=[f"{world.PRIVATE}:{world.PORT}/tcp"]).status == 200
    before = ask(platform, name)["address"]
    slow = threading.Thread(target=ask, args=(platform, name), kwargs={"listen": 8099, "seconds": 2})
    slow.start()
    assert granted().status == 200
    assert not reaches(platform, name)
    slow.join()
    assert before


def test_nobody_else_gets_it(platform, granted, name, outside):
    """A function of the administrator's account, which has no grants."""
    assert granted(egress=[f"{world.PRIVATE}:{world.PORT}/tcp"]).status == 200
    body = {"exec": {"kind": "python:3", "code": INSIDE}}
    assert platform.request("PUT", f"actions/{name}?overwrite=true", body, auth=platform.admin_auth).status == 200
    reply = platform.invoke(name, {"tries": [["tcp", world.PRIVATE, world.PORT]], "patience": 1},
                            "blocking=true&result=true", auth=platform.admin_auth)
    assert reply.status == 200 and "answered" not in str(reply.json["tries"]), reply
    assert platform.request("DELETE", f"actions/{name}", auth=platform.admin_auth).status == 200


def test_each_change_is_in_the_audit_log(platform, granted):
    assert granted(egress=["10.0.0.9:502/tcp"]).status == 200
    with sqlite3.connect(f"file:{platform.data}/meta.db?mode=ro", uri=True) as db:
        rows = db.execute("SELECT account, key_uuid, object, note, at_ms FROM audit WHERE move = 'grants'"
                          " ORDER BY id DESC LIMIT 1").fetchall()
    assert rows[0][:3] == ("admin", platform.admin_auth.split(":")[0], "guest") and rows[0][4] > 0
    assert json.loads(rows[0][3]) == {**NOTHING, "egress": ["10.0.0.9:502/tcp"]}


# ---- devices ----------------------------------------------------------------------------------------------------------

DEVICE = '''
import os

def main(args):
    out = {}
    for path in args["paths"]:
        try:
            fd = os.open(path, os.O_WRONLY)
            os.write(fd, b"x")
            out[path] = "ok"
        except OSError as e:
            out[path] = os.strerror(e.errno)
    return out
'''


def put_asking(platform, name, code, key, value):
    return platform.request("PUT", f"actions/{name}?overwrite=true", {
        "exec": {"kind": "python:3", "code": code}, "annotations": [{"key": key, "value": value}]})


def test_a_device_only_by_grant(start_platform, name):
    """/dev/full stands for a harmless device: a write to it says that there is no space."""
    p = start_platform("--device=sink=/dev/full,other=/dev/fuse")
    refused = put_asking(p, name, DEVICE, "narae.devices", ["sink"])
    assert refused.status == 403 and "'sink'" in refused.error
    assert p.request("PUT", GRANTS, {"devices": ["sink"]}, auth=p.admin_auth).status == 200
    assert put_asking(p, name, DEVICE, "narae.devices", ["other"]).status == 403
    assert put_asking(p, name, DEVICE, "narae.devices", ["/dev/mem"]).status == 400
    assert put_asking(p, name, DEVICE, "narae.devices", ["sink"]).status == 200
    paths = ["/dev/full", "/dev/fuse", "/dev/mem", "/dev/vda", "/dev/kmsg", "/dev/loop0"]
    out = ask(p, name, paths=paths)
    assert out.pop("/dev/full") == "No space left on device"
    assert set(out.values()) == {"No such file or directory"}, out
    # taken away: the function does not run any more, and says why
    assert p.request("PUT", GRANTS, {}, auth=p.admin_auth).status == 200
    reply = p.invoke(name, {"paths": paths}, "blocking=true&result=true")
    assert reply.status == 403 and "'sink'" in reply.error, reply
    p.stop()


@pytest.mark.parametrize("value", ["gpio", "gpio=", "=/dev/null", "gpio=/etc/passwd", "gpio=/dev/../etc/passwd", "Gpio=/dev/null"])
def test_a_bad_list_of_devices_is_told_at_the_start(start_platform, value, tmp_path):
    from conftest import BUILD
    out = subprocess.run([BUILD / "naraed", f"--device={value}", f"--data={tmp_path}/d", f"--run={tmp_path}/r"],
                         capture_output=True, text=True, timeout=30, check=False)
    assert out.returncode == 1 and "--device" in out.stderr and value in out.stderr


# ---- volumes ----------------------------------------------------------------------------------------------------------

ROWS = '''
import os

def main(args):
    path = "/data/rows/rows.txt"
    if "fill" in args:
        try:
            with open("/data/rows/big", "wb") as f:
                for _ in range(1000):
                    f.write(bytes(1 << 20))
            return {"filled": True}
        except OSError as e:
            os.unlink("/data/rows/big")
            return {"refused": os.strerror(e.errno)}
    with open(path, "a") as f:
        f.write("row\\n")
        f.flush()
        os.fsync(f.fileno())
    return {"rows": len(open(path).readlines()), "exec": os.access("/data/rows", os.X_OK),
            "size": os.statvfs("/data/rows").f_blocks * os.statvfs("/data/rows").f_frsize}
'''
VOLUME = [{"name": "rows", "path": "/data/rows"}]


def test_a_volume_outlives_its_container(start_platform, name):
    p = start_platform()
    refused = put_asking(p, name, ROWS, "narae.volumes", VOLUME)
    assert refused.status == 403 and "'rows'" in refused.error
    assert p.request("PUT", GRANTS, {"volumes": [{"name": "rows", "quota_mb": 32}]}, auth=p.admin_auth).status == 200
    for path in ("/", "/etc", "/data/../etc", "/dev", "/proc", "/action", "/tmp/x", "data", "/data//x", "/dataset"):
        bad = put_asking(p, name, ROWS, "narae.volumes", [{"name": "rows", "path": path}])
        assert bad.status == 400, (path, bad)
    assert put_asking(p, name, ROWS, "narae.volumes", VOLUME).status == 200
    for row in range(1, 16):
        out = ask(p, name)
        assert out["rows"] == row
    assert out["size"] <= 32 << 20
    for c in p.containers():  # the crash
        subprocess.run(["docker", "kill", c], capture_output=True, check=False)
    within(20, "a new container goes on", lambda: p.invoke(name, {}, "blocking=true&result=true").status == 200)
    assert ask(p, name)["rows"] == 17
    assert p.request("PUT", GRANTS, {}, auth=p.admin_auth).status == 200
    assert p.invoke(name, {}, "blocking=true&result=true").status == 403
    p.stop()
    assert str(p.data) not in open("/proc/self/mounts").read()


def test_the_quota_is_the_functions_end_not_the_hosts(start_platform, name):
    p = start_platform()
    assert p.request("PUT", GRANTS, {"volumes": [{"name": "rows", "quota_mb": 16}]}, auth=p.admin_auth).status == 200
    assert put_asking(p, name, ROWS, "narae.volumes", VOLUME).status == 200
    free = os.statvfs(p.data).f_bavail
    assert ask(p, name, fill=True) == {"refused": "No space left on device"}
    assert ask(p, name)["rows"] == 1
    lost = (free - os.statvfs(p.data).f_bavail) * os.statvfs(p.data).f_frsize
    assert lost < 200 << 20
    p.stop()


def test_one_writer(start_platform, name):
    """Calls at once take turns in one container; a second function of the account waits for the first one's container."""
    p = start_platform()
    assert p.request("PUT", GRANTS, {"volumes": [{"name": "rows", "quota_mb": 16}]}, auth=p.admin_auth).status == 200
    for function in (name, name + "-2"):
        assert put_asking(p, function, ROWS, "narae.volumes", VOLUME).status == 200
    results = []
    threads = [threading.Thread(target=lambda f=f: results.append(ask(p, f)["rows"])) for f in [name] * 6 + [name + "-2"] * 3]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(results) == list(range(1, 10))
    p.stop()


def test_a_volume_is_there_after_a_killed_run(start_platform, name):
    p = start_platform()
    assert p.request("PUT", GRANTS, {"volumes": [{"name": "rows", "quota_mb": 16}]}, auth=p.admin_auth).status == 200
    assert put_asking(p, name, ROWS, "narae.volumes", VOLUME).status == 200
    assert ask(p, name)["rows"] == 1
    os.kill(p.pid, signal.SIGKILL)
    p.process.wait()
    p.start()
    assert ask(p, name)["rows"] == 2
    p.stop()
    assert str(p.data) not in open("/proc/self/mounts").read()


def test_the_container_of_a_volume_serves_on_after_a_killed_run(start_platform, name):
    """It has the volume by a mount of its own, and nobody else gets it meanwhile. Where the host's mount is gone it is not adopted."""
    p = start_platform("--stems=off")
    assert p.request("PUT", GRANTS, {"volumes": [{"name": "rows", "quota_mb": 16}]}, auth=p.admin_auth).status == 200
    for function in (name, name + "-2"):
        assert put_asking(p, function, ROWS, "narae.volumes", VOLUME).status == 200

    def again():
        os.kill(p.pid, signal.SIGKILL)
        p.process.wait()

    assert ask(p, name)["rows"] == 1
    was = p.containers()
    again()
    p.start()
    assert ask(p, name)["rows"] == 2
    assert p.containers() == was and len(was) == 1
    assert ask(p, name + "-2")["rows"] == 3, "its container gives way"
    was = p.containers()
    again()
    subprocess.run(["umount", p.data / "volumes" / "guest" / "rows" / "mnt"], check=True)
    p.start()
    within(30, "a container whose volume the host has not mounted goes", lambda: p.containers() == [])
    within(30, "it says so", lambda: "of 1 containers of an earlier run 0 were adopted" in p.said())
    assert was != []
    p.stop()
