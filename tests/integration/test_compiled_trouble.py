"""What happens around a compiler: accepted calls while it runs, an account that leaves, a container that is evicted or killed, a result
that is damaged, a start after a restore. One platform; where a container has to make room it has little memory.
"""
import json
import subprocess
import tempfile
import threading

import pytest

from conftest import BUILD, SLOW, Platform, engine, within
from test_compiled import GO, LANGUAGES

RESULT = "blocking=true&result=true"
MEMORY_MB = 1024  # of a compiler's container


def busy(lines):
    """A program that takes a compiler long."""
    return GO + "".join(f"\nfunc f{i}(a int) (b int) {{ for ; a < {i}; a++ {{ b += a*a%{i + 1} }}; return }}\n" for i in range(lines))


def other(word):
    return GO.replace("Hello", word)


@pytest.fixture(scope="module")
def own():
    LANGUAGES[0].need()
    p = Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"), f"--memory-mb={MEMORY_MB + 128}", "--stems=off", "--keep-containers")
    try:
        yield p.start()
        p.process.terminate()
        assert p.wait() == 0
        p.options = ()  # the next one takes what was kept away
        p.start()
    finally:
        p.discard()


def compilers(platform):
    """Ids of the containers of compilers."""
    found = []
    for c in platform.containers():
        inspected = engine(f"/containers/{c}/json") or {}
        if inspected.get("Config", {}).get("Image", "").startswith("narae/go:"):
            found.append(c)
    return found


def begin(what, *words, **more):
    """Runs it on a thread; the function returned waits for its result."""
    got = []
    thread = threading.Thread(target=lambda: got.append(what(*words, **more)))
    thread.start()

    def finish():
        thread.join(300 * SLOW)
        assert got, "it did not end"
        return got[0]
    return finish


def deploy(platform, name, code, auth=""):
    return platform.request("PUT", f"actions/{name}?overwrite=true", {"exec": {"kind": "go:1.19", "code": code}}, auth=auth)


HELLO = busy(1500)  # long enough for a call to come meanwhile


def damage(platform):
    """Another byte in each result of the guest, of the same size."""
    for path in (platform.data / "compiled/guest").glob("*.code"):
        path.chmod(0o755)
        with path.open("r+b") as f:
            f.seek(4000)
            byte = f.read(1)
            f.seek(4000)
            f.write(bytes([byte[0] ^ 1]))


def verify(platform):
    reply = platform.request("POST", "/narae/v1/buckets/guest/verify", {})
    assert reply.status == 200, reply
    return reply.json["compiled"]


def test_a_container_that_is_evicted_with_its_result(own):
    """A call waits for memory that only the compiler's container has: it goes when it has compiled, before the result was fetched. It is made
    once more, and neither the deploy nor the call is told."""
    own.put("small", "def main(args):\n    return {'small': True}\n", limits={"memory": 256})
    compiled = own.metric("narae_fnmanager_compilers_total")
    put = begin(deploy, own, "hello", HELLO)
    within(120, "a compiler runs", lambda: compilers(own))
    call = begin(own.invoke, "small", {}, RESULT)
    assert put().status == 200
    assert call().json == {"small": True}
    lost = own.metric("narae_fnmanager_compilers_lost_total")
    assert own.metric("narae_fnmanager_compilers_total") - compiled == 1 + lost
    assert lost == 1
    assert own.invoke("hello", {"name": "Ada"}, RESULT).json["greeting"] == "Hello, Ada!"


def test_accepted_calls_while_it_is_compiled(own):
    """Its result is damaged on the disk and found to be: calls that come are accepted, wait for the one compiler, and all are run."""
    before = verify(own)
    assert before["files"] >= 1 and before["damaged"] == []
    compiled = own.metric("narae_fnmanager_compilers_total")
    damage(own)
    found = verify(own)
    assert found["damaged_count"] == before["files"]
    assert {"function": "hello", "version": 0, "file": found["damaged"][0]["file"]} in found["damaged"]
    calls = [begin(own.invoke, "hello", {"name": f"n{i}"}, "blocking=false") for i in range(4)]
    calls = [call() for call in calls]
    assert [call.status for call in calls] == [202] * 4
    greetings = [own.record(call.json["activationId"], 120)["response"]["result"]["greeting"] for call in calls]
    assert greetings == [f"Hello, n{i}!" for i in range(4)]
    assert own.metric("narae_fnmanager_compilers_total") == compiled + 1
    assert verify(own) == before


def test_what_was_damaged_while_nothing_ran(own):
    """Found at its first use, in a container of its own history no more."""
    own.process.terminate()
    assert own.wait() == 0
    damage(own)
    for c in own.containers():  # whatever holds the code in its memory
        engine(f"/containers/{c}?force=1", "DELETE")
    own.start()
    assert own.invoke("hello", {"name": "Lin"}, RESULT).json["greeting"] == "Hello, Lin!"
    assert own.metric("narae_fnmanager_compiled_damaged_total") == 1
    assert own.metric("narae_fnmanager_compilers_total") == 1
    assert "is not what the compiler made: it is compiled again" in own.said()


def test_what_was_compiled_counts(own):
    usage = own.request("GET", "/narae/v1/accounts/guest").json["usage"]
    size = sum(f.stat().st_size for f in (own.data / "compiled/guest").glob("*.code"))
    assert usage["compiled_bytes"] == size > 1 << 20
    assert usage["bytes"] > size


def test_an_account_that_leaves_while_it_is_compiled(own):
    within(60, "no compiler is left", lambda: not compilers(own))
    made = own.request("POST", "/narae/v1/accounts", {"name": "leaver"}, auth=own.admin_auth)
    assert made.status == 201, made
    put = begin(deploy, own, "slow", busy(20000), auth=made.json["key"])
    within(120, "a compiler runs", lambda: compilers(own))
    assert own.request("DELETE", "/narae/v1/accounts/leaver", auth=own.admin_auth).status == 202
    refused = put()
    assert refused.status in (401, 403, 503), refused
    within(60, "its container is gone", lambda: not compilers(own))
    within(60, "the account is gone",
           lambda: own.request("GET", "/narae/v1/accounts/leaver", auth=own.admin_auth).status == 404)
    assert not (own.data / "compiled/leaver").exists()


def test_another_history_with_the_same_revision(own):
    """A container that was left runs what the compiler made of another source; after a restore its revision is that of ours."""
    def narae(*words):
        subprocess.run([BUILD / "narae", *words, "--data", own.data], check=True, capture_output=True, timeout=120 * SLOW)

    def leave():
        own.process.terminate()
        assert own.wait() == 0

    backup = own.folder / "before.narae"
    narae("backup", backup)
    assert deploy(own, "hello", other("Welcome")).status == 200
    assert own.invoke("hello", {"name": "Ada"}, RESULT).json["greeting"] == "Welcome, Ada!"
    leave()
    assert own.containers(), "it is kept"
    narae("restore", backup, "--force")
    own.start()
    assert deploy(own, "hello", other("Goodbye")).status == 200
    reply = own.invoke("hello", {"name": "Ada"})
    assert reply.json["response"]["result"]["greeting"] == "Goodbye, Ada!"
    kinds = {a["key"]: a["value"] for a in json.loads(reply.body)["annotations"]}
    assert kinds["narae.start"] != "warm"
