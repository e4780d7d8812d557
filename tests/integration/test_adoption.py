"""Adoption: what a killed naraed leaves behind. The healthy and idle serve on, all else goes; and a stop that is to keep them."""
import json
import pathlib
import signal
import sqlite3
import subprocess

import pytest

from conftest import BUILD, SLOW, engine, within
from functions import HELLO, TROUBLE

RESULT = "blocking=true&result=true"
# Says in its container that a call has begun: until the agent has read it a call is not under way, and nothing is lost with it.
LASTS = """
import time
def main(args):
    if args.get("seconds"):
        open("/tmp/began", "x").close()
        time.sleep(args["seconds"])
    return {}
"""


def kill(own):
    own.process.send_signal(signal.SIGKILL)
    own.process.wait()


def who(own, name, **more):
    """Which container answers; the whole activation must say so."""
    reply = own.invoke(name, {}, "blocking=true", **more)
    assert reply.status == 200, reply
    return reply.json["response"]["result"]["who"]


def start_kind(own, name):
    """How the container of the latest activation was found."""
    def look():
        items = own.request("GET", f"activations?name={name}&docs=true&limit=1").json
        return items[0] if items else None
    record = within(30, f"{name} has a record", look)
    return {a["key"]: a["value"] for a in record["annotations"]}["narae.start"]


def listed(own):
    reply = own.request("GET", "/narae/v1/invokers", auth=own.admin_auth)
    assert reply.status == 200, reply
    return reply.json


def lasts(own, name, seconds=30):
    """A call of LASTS that is under way; returns its activation."""
    call = own.invoke(name, {"seconds": seconds}, "")
    assert call.status == 202
    within(30, "it has a container", lambda: name in ids(own))
    pid = engine(f"/containers/{ids(own)[name]}/json")["State"]["Pid"]
    within(30, "it has begun", pathlib.Path(f"/proc/{pid}/root/tmp/began").exists)
    return call.activation


def ids(own):
    """Containers of functions by their function: what identity files say and the Engine has. Stems are nobody's."""
    there, found = set(own.containers()), {}
    for file in (own.run / "c").glob("????????.json"):
        who = json.loads(file.read_text())
        if who["revision"] and who["container"] in there:
            found[who["name"]] = who["container"]
    return found


def settled(own):
    """All that the earlier run left is adopted or gone."""
    within(30, "nothing is undecided", lambda: "were adopted" in own.said())


def freezer_state(container):
    """The file that freezes a container of the Engine, and the word for frozen; None where it is not visible."""
    pid = engine(f"/containers/{container}/json")["State"]["Pid"]
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "freezer":
            return pathlib.Path(f"/sys/fs/cgroup/freezer{path}/freezer.state"), "FROZEN"
        if controllers == "":
            file = pathlib.Path(f"/sys/fs/cgroup{path}/cgroup.freeze")
            if file.exists():
                return file, "1"
    return None


def test_idle_containers_serve_on_after_a_kill(start_platform):
    own = start_platform()
    for name in ("one", "two"):
        own.put(name, TROUBLE["python:3"])
    own.put("loop", TROUBLE["nodejs:18"], kind="nodejs:18")
    before = {name: who(own, name) for name in ("one", "two", "loop")}
    containers = ids(own)
    assert sorted(containers) == ["loop", "one", "two"]
    kill(own)
    own.start()
    assert own.metric("narae_containers_memory_bytes") >= 3 * 256 << 20, "counted from the start"
    after = {name: who(own, name) for name in ("one", "two", "loop")}
    assert after == before
    settled(own)
    assert ids(own) == containers
    assert [start_kind(own, name) for name in before] == ["warm"] * 3
    states = listed(own)["containers_by_state"]
    assert states["idle"] + states.get("frozen", 0) == 3 and states["dying"] == 0
    # They are ordinary containers from now on: a second kill, an update, a stop.
    own.put("one", TROUBLE["python:3"] + "\n# changed\n")
    assert who(own, "one") != before["one"]
    kill(own)
    own.start()
    assert who(own, "two") == before["two"]


def test_busy_containers_go_and_their_calls_end_once(start_platform):
    own = start_platform()
    own.put("idle", TROUBLE["python:3"])
    own.put("busy", LASTS)
    before = who(own, "idle")
    activation = lasts(own, "busy")
    busy = ids(own)["busy"]
    kill(own)
    own.start()
    settled(own)
    within(30, "the busy one is gone", lambda: busy not in own.containers())
    assert who(own, "idle") == before
    record = own.record(activation)
    assert record["response"]["status"] == "whisk internal error"


def test_versions_and_shared_functions_serve_on(start_platform):
    """Each by its own names: a version by its number, another account's function by its namespace, one through a binding by that. What
    the caller may not reach any more is not adopted."""
    own = start_platform("--stems=off")
    admin = own.admin_auth

    def package(path, auth, **body):
        assert own.request("PUT", path, {"publish": True, **body}, auth=auth).status == 200

    own.put("f", TROUBLE["python:3"])
    assert own.request("POST", "/narae/v1/functions/f/versions", {}).status == 201
    assert own.request("PUT", "/narae/v1/functions/f/aliases/prod", {"version": 1}).status == 201
    own.put("f", TROUBLE["python:3"] + "\n# newer\n")
    for name in ("shared", "hidden"):
        package(f"packages/{name}", admin)
        body = {"exec": {"kind": "python:3", "code": TROUBLE["python:3"]}}
        assert own.request("PUT", f"actions/{name}/g", body, auth=admin).status == 200
    package("packages/mine", own.auth, binding={"namespace": "admin", "name": "shared"})
    calls = {"latest": "actions/f", "version": "actions/f?version=1", "bound": "actions/mine/g",
             "shared": "/api/v1/namespaces/admin/actions/shared/g", "hidden": "/api/v1/namespaces/admin/actions/hidden/g"}

    def answer(which):
        path = calls[which]
        reply = own.request("POST", path + ("&" if "?" in path else "?") + RESULT, {})
        assert reply.status == 200, (which, reply)
        return reply.json["who"]

    before = {which: answer(which) for which in calls}
    assert len(set(before.values())) == len(calls)
    containers = sorted(own.containers())
    assert len(containers) == len(calls)
    kill(own)
    with sqlite3.connect(own.data / "meta.db") as db:  # as the owner would have hidden it in the moment of the kill
        db.execute("UPDATE packages SET publish = 0 WHERE name = 'hidden'")
    db.close()
    own.start()
    settled(own)
    del calls["hidden"]
    assert {which: answer(which) for which in calls} == {which: before[which] for which in calls}
    calls["alias"] = "actions/f?alias=prod"
    assert answer("alias") == before["version"]
    within(30, "the one that is not shared any more is gone", lambda: len(own.containers()) == 4)
    assert set(own.containers()) < set(containers)


def test_containers_with_several_slots(start_platform):
    """All of the slots must be there: of a container with a call its agent keeps the cut slot closed."""
    own = start_platform()
    for name, code in (("idle", TROUBLE["python:3"]), ("busy", LASTS)):
        own.put(name, code, limits={"concurrency": 3})
        assert own.invoke(name).status == 200
    idle = who(own, "idle")
    lasts(own, "busy")
    before = ids(own)
    kill(own)
    own.start()
    settled(own)
    assert who(own, "idle") == idle
    within(30, "the busy one is gone",
           lambda: before["busy"] not in own.containers())
    assert before["idle"] in own.containers()


def test_frozen_containers_are_thawed(start_platform):
    own = start_platform("--freeze-after-ms=0")
    own.put("by-file", TROUBLE["python:3"])
    own.put("by-engine", TROUBLE["python:3"])
    own.put("orphan", TROUBLE["python:3"])
    before = {name: who(own, name) for name in ("by-file", "by-engine", "orphan")}
    old = ids(own)
    kill(own)
    engine(f"/containers/{old['by-engine']}/pause", "POST")
    visible = freezer_state(old["by-file"])
    if visible:
        for name in ("by-file", "orphan"):
            file, word = freezer_state(old[name])
            file.write_text(word)
    # Nobody knows whose this one is any more: it must go, frozen as it is.
    name = engine(f"/containers/{old['orphan']}/json")["Name"].rsplit("-", 1)[1]
    (own.run / "c" / f"{name}.json").unlink()
    own.start()
    assert who(own, "by-engine") == before["by-engine"]
    assert who(own, "by-file") == before["by-file"]
    within(30, "the one without identity is gone", lambda: old["orphan"] not in own.containers())
    assert not (own.run / "c" / name).exists()


def test_what_was_changed_meanwhile_is_not_adopted(start_platform):
    """A change is on disk before the pool hears of it, so a kill in between leaves a container of an old revision. Here another
    naraed makes the changes, on the same data but under another name of the installation: it does not see the containers."""
    own = start_platform()
    for name in ("same", "updated", "removed"):
        own.put(name, TROUBLE["python:3"])
    before = {name: who(own, name) for name in ("same", "updated", "removed")}
    old = ids(own)
    assert sorted(old) == ["removed", "same", "updated"]
    revisions = [json.loads(f.read_text())["revision"] for f in (own.run / "c").glob("*.json")]
    kill(own)
    run, label = own.run, own.label
    (own.data / "installation").rename(own.folder / "installation")
    own.run = own.folder / "elsewhere"
    own.start()
    own.put("updated", HELLO["python:3"])
    assert own.request("DELETE", "actions/removed").status == 200
    own.put("removed", HELLO["python:3"])
    own.stop()
    (own.folder / "installation").rename(own.data / "installation")
    own.run, own.label = run, label
    assert ids(own) == old
    own.start()
    assert who(own, "same") == before["same"]
    for name in ("updated", "removed"):
        assert own.invoke(name, {"name": "new"}, RESULT).json == {"greeting": "Hello, new!"}
        assert start_kind(own, name) != "warm"
    within(30, "the old ones are gone",
           lambda: set(own.containers()) & set(old.values()) == {old["same"]})
    newer = [i["revision"] for i in (json.loads(f.read_text())
                                     for f in (own.run / "c").glob("*.json"))
             if i["name"] in ("updated", "removed")]
    assert min(newer) > max(revisions), "numbers of revisions are not used again"


def test_adopted_containers_live_as_long_as_others(start_platform):
    own = start_platform()
    own.put("f", TROUBLE["python:3"])
    who(own, "f")
    kill(own)
    own.start("--keep-alive-s=2", "--stems=off")
    settled(own)
    within(30, "its keep-alive time is over", lambda: ids(own) == {})
    within(30, "its memory is free", lambda: own.metric("narae_containers_memory_bytes") == 0)
    # and give way to others when memory is short
    own.invoke("f")
    kill(own)
    own.start("--memory-mb=256", "--stems=off")
    own.put("g", TROUBLE["python:3"], limits={"memory": 256})
    before = who(own, "g")
    assert own.metric("narae_containers_memory_bytes") == 256 << 20
    assert who(own, "g") == before


def test_containers_without_their_folder_go(start_platform):
    own = start_platform()
    own.put("f", TROUBLE["python:3"])
    before = who(own, "f")
    old = ids(own)["f"]
    kill(own)
    (own.run / "c").rename(own.run / "was")
    own.start()
    within(30, "it is gone", lambda: old not in own.containers())
    assert who(own, "f") != before


def test_a_stop_that_keeps_containers(start_platform):
    own = start_platform("--keep-containers")
    own.put("f", TROUBLE["python:3"])
    own.put("g", HELLO["python:3"])
    before = who(own, "f")
    assert own.invoke("g").status == 200
    old = ids(own)
    own.process.send_signal(signal.SIGTERM)
    assert own.wait() == 0
    assert "2 idle containers are left" in own.said()
    assert ids(own) == old
    own.start()
    assert who(own, "f") == before
    assert start_kind(own, "f") == "warm"
    settled(own)
    assert ids(own) == old
    own.process.send_signal(signal.SIGTERM)
    assert own.wait() == 0
    own.options = ()
    own.start()
    own.stop()


@pytest.mark.parametrize("marked", [True, False])
def test_another_history_with_the_same_numbers(start_platform, marked):
    """Revisions are counted, so after a restore another code has the number of the one that a container was left with. A start after
    the restore adopts nothing; and where the mark that says so was lost, the code itself tells them apart."""
    def narae(*words):
        subprocess.run([BUILD / "narae", *words, "--data", own.data], check=True, capture_output=True, timeout=120 * SLOW)

    def leave():
        own.process.send_signal(signal.SIGTERM)
        assert own.wait() == 0

    def revision():
        return [json.loads(f.read_text())["revision"] for f in (own.run / "c").glob("*.json") if '"f"' in f.read_text()]

    own = start_platform("--keep-containers", "--stems=off")
    base, later = own.folder / "base.narae", own.folder / "later.narae"
    narae("backup", base)
    own.put("f", "def main(args):\n    return {'history': 'X'}\n")
    narae("backup", later)
    assert own.invoke("f", {}, RESULT).json == {"history": "X"}
    number = revision()
    leave()
    narae("restore", base, "--force")
    own.start()
    own.put("f", "def main(args):\n    return {'history': 'Y'}\n")
    assert own.invoke("f", {}, RESULT).json == {"history": "Y"}
    settled(own)
    within(30, "the first history's container is gone", lambda: len(revision()) == 1)
    assert revision() == number, "the numbers are the same: the code is what tells them apart"
    left = ids(own)["f"]
    leave()
    narae("restore", later, "--force")
    assert (own.data / "restored").exists()
    if not marked:
        (own.data / "restored").unlink()
    own.options = ("--stems=off",)
    own.start()
    assert own.invoke("f", {}, RESULT).json == {"history": "X"}
    within(30, "the second history's container is gone", lambda: left not in own.containers())
    assert not (own.data / "restored").exists()
