"""Own images: from a registry with users, pinned to their digest, pulled at deploy, kept apart by account, swept when nobody needs them."""
import http.client
import json
import os
import re
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.parse

import pytest
from conftest import BUILD, DOCKER, engine, within
from registry import Registry, docker, made_for, make_image

USER, PASSWORD = "robot", "Ha/ndy+word_17"


@pytest.fixture(scope="module")
def made():
    """Local images: three that differ, one without a command, one with a volume."""
    tag = f"narae-test/images-{os.getpid()}"
    tags = {who: make_image(f"{tag}:{who}", who) for who in ("one", "two", "three")}
    tags["still"] = make_image(f"{tag}:still", "still", changes=())
    tags["disk"] = make_image(f"{tag}:disk", "disk", changes=('CMD ["/server", "disk"]', "VOLUME /scratch"))
    yield tags
    for each in tags.values():
        docker("image", "rm", "-f", each, check=False)


def narae(platform, *words):
    """The exit status of the command line and what it says on its error channel."""
    done = subprocess.run([BUILD / "narae", *words], capture_output=True, text=True, check=False, timeout=120,
                          env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "NARAE_APIHOST": platform.url, "NARAE_AUTH": platform.auth})
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def private():
    registry = Registry({USER: PASSWORD})
    try:
        yield registry.start()
    finally:
        registry.close()


@pytest.fixture(scope="module")
def public():
    registry = Registry()
    try:
        yield registry.start()
    finally:
        registry.close()


@pytest.fixture
def login(platform, private):
    """Credentials of the guest for the private registry; none afterwards."""
    path = "/narae/v1/registries/" + urllib.parse.quote(private.host, safe="")

    def put(username=USER, password=PASSWORD, auth=""):
        return platform.request("PUT", path, {"username": username, "password": password}, auth=auth)
    yield put
    platform.request("DELETE", path)
    platform.request("DELETE", path, auth=platform.admin_auth)


def deploy(platform, name, image, auth="", **more):
    return platform.request("PUT", f"actions/{name}?overwrite=true",
                            {"exec": {"kind": "blackbox", "image": image}, **more}, auth=auth)


def run(platform, name):
    reply = platform.invoke(name, {}, "blocking=true&result=true")
    assert reply.status == 200, reply
    return reply.json["image"]


def pin(document):
    return next((a["value"] for a in document["annotations"] if a["key"] == "narae.image"), None)


def images(platform, auth=""):
    reply = platform.request("GET", "/narae/v1/images", auth=auth)
    assert reply.status == 200, reply
    return reply.json["images"]


def present(reference):
    return engine(f"/images/{reference}/json").get("Id") is not None


def functions_with_containers(platform):
    told = platform.request("GET", "/narae/v1/invokers").json
    return [c["function"] for c in told["containers"]]


# ---- what is deployed -------------------------------------------------------------------------------------------------

def test_an_image_is_pulled_at_deploy_and_pinned(platform, public, made, name):
    """A tag that moves changes nothing for what is deployed."""
    reference, digest = public.push("team/app:1", made["one"])
    reply = deploy(platform, name, reference)
    assert reply.status == 200 and reply.json["exec"]["image"] == reference, reply
    repository = reference.rsplit(":", 1)[0]
    assert pin(reply.json) == f"{repository}@{digest}"
    assert present(f"{repository}@{digest}")
    assert not present(reference)  # a pull by digest takes nobody's tag
    assert run(platform, name) == "one"
    public.push("team/app:1", made["two"])
    reply = platform.request("PUT", f"actions/{name}?overwrite=true", {"limits": {"memory": 128}})
    assert reply.status == 200 and pin(reply.json) == f"{repository}@{digest}"
    assert run(platform, name) == "one"
    reply = deploy(platform, name, reference)
    assert reply.status == 200 and pin(reply.json) != f"{repository}@{digest}"
    assert run(platform, name) == "two"


def test_the_pin_is_the_platforms_to_write(platform, public, made, name):
    reference, digest = public.push("team/forged:1", made["one"])
    forged = [{"key": "narae.image", "value": "somebody/else@sha256:" + "0" * 64}]
    reply = deploy(platform, name, reference, annotations=forged)
    assert reply.status == 200 and pin(reply.json).endswith(digest)
    for body in ({"annotations": forged}, {"delAnnotations": ["narae.image"]}):
        reply = platform.request("PUT", f"actions/{name}?overwrite=true", body)
        assert reply.status == 200 and pin(reply.json).endswith(digest), reply
    reply = platform.request("PUT", f"actions/{name}?overwrite=true",
                             {"exec": {"kind": "python:3", "code": "def main(a): return a"}, "annotations": forged})
    assert reply.status == 200 and pin(reply.json) is None


def test_a_local_image_is_pinned_to_its_id(platform, made, name):
    reply = deploy(platform, name, made["one"])
    assert reply.status == 200, reply
    assert pin(reply.json) == docker("image", "inspect", "--format", "{{.Id}}", made["one"])
    assert run(platform, name) == "one"


def test_a_start_pulls_again_what_has_gone(platform, private, made, login, name):
    """With the account's credentials, by digest."""
    reference, _ = private.push("team/gone:1", made["three"])
    assert login().status == 200
    reply = deploy(platform, name, reference)
    assert reply.status == 200, reply
    docker("image", "rm", pin(reply.json))
    assert next(i for i in images(platform) if pin(reply.json).endswith(i["digest"]))["state"] == "missing"
    assert run(platform, name) == "three"
    assert present(pin(reply.json))
    # gone here and there: the call says so
    platform.request("PUT", f"actions/{name}?overwrite=true", {"limits": {"memory": 128}})
    within(30, "its container is gone", lambda: f"guest/{name}" not in functions_with_containers(platform))
    docker("image", "rm", pin(reply.json))
    private.stop()
    try:
        reply = platform.invoke(name)
        assert reply.status == 502 and b"Failed to pull container image" in reply.body, reply
        status, said = narae(platform, "invoke", name)
        assert status == 2 and "narae image pull REFERENCE" in said, said
    finally:
        private.start()


# ---- what is refused --------------------------------------------------------------------------------------------------

def test_refusals_come_at_deploy_and_say_why(platform, public, private, made, login, name):
    closed = Registry()  # nobody listens there
    reference, digest = public.push("team/here:1", made["one"])
    still, _ = public.push("team/still:1", made["still"])
    locked, _ = private.push("team/locked:1", made["two"])
    assert deploy(platform, name, reference).status == 200
    before = run(platform, name)
    repository = reference.rsplit(":", 1)[0]
    cases = [
        (f"{public.host}/team/nobody:1", 400, "does not exist"),
        (f"{repository}:2", 400, "does not exist"),
        (f"{repository}@sha256:{'1' * 64}", 400, "does not exist"),
        (f"{closed.host}/team/here:1", 503, "its registry is not there"),
        (still, 400, "nothing to run in it"),
        (locked, 403, "asks for credentials"),
        ("UPPER/case", 400, "is not valid"), ("a b", 400, "is not valid"), ("../x", 400, "is not valid"), ("x:", 400, "is not valid"),
        (f"{repository}@sha256:12", 400, "is not valid"), ("-x", 400, "is not valid"), ("x" * 300, 400, "is not valid")]
    for image, status, text in cases:
        reply = deploy(platform, name, image)
        assert reply.status == status and text in reply.error, (image, reply)
    for image, hint in ((f"{repository}:2", "REGISTRY/NAME:TAG"), (locked, "narae registry set HOST"), (f"{closed.host}/team/here:1", "is the registry up")):
        status, said = narae(platform, "deploy", name, "--image", image)
        assert status == 1 and hint in said, (image, said)
    assert login(password="wrong").status == 200
    reply = deploy(platform, name, locked)
    assert reply.status == 403 and PASSWORD not in reply.error, reply
    assert run(platform, name) == before
    document = platform.request("GET", f"actions/{name}").json
    assert document["exec"]["image"] == reference and pin(document).endswith(digest)


def test_an_images_id_is_no_name(platform, public, made, name):
    """Whoever guesses the id of what another account pulled gets nothing by it."""
    identity = docker("image", "inspect", "--format", "{{.Id}}", made["one"])
    for image in (identity, identity.split(":")[1]):
        reply = deploy(platform, name, image)
        assert reply.status == 400 and "not valid" in reply.error, reply
        assert platform.request("GET", f"actions/{name}").status == 404


def test_wrong_processor_is_told(platform, public, made, name):
    """An image whose configuration names another one."""
    archive = made_for("s390x", made["one"])
    try:
        reference, _ = public.push("team/foreign:1", archive)
        reply = deploy(platform, name, reference)
        assert reply.status == 400 and "linux/s390x" in reply.error, reply
    finally:
        docker("image", "rm", "-f", archive, check=False)


def test_volumes_of_an_image_are_refused(platform, public, made, name):
    """They would be writable disk of this host without a bound."""
    pushed, _ = public.push("team/disk:1", made["disk"])
    for image in (made["disk"], pushed):
        reply = deploy(platform, name, image)
        assert reply.status == 400 and "declares volumes" in reply.error, reply
        assert platform.request("GET", f"actions/{name}").status == 404


def test_registries_can_be_limited(start_platform, public, made):
    reference, _ = public.push("team/limited:1", made["one"])
    own = start_platform("--stems=off", "--registries=docker.example,registry.example:5000")
    reply = deploy(own, "f", reference)
    assert reply.status == 403 and "--registries" in reply.error, reply
    assert own.request("POST", "/narae/v1/images", {"reference": reference}).status == 403
    assert deploy(own, "f", made["one"]).status == 200  # of this host


def test_without_a_word_only_public_registries_are_asked(start_platform, public, made):
    """A reference sends the Engine, which sits in the host's network, wherever it leads."""
    reference, _ = public.push("team/inside:1", made["one"])
    own = start_platform("--stems=off", "--registries=public")
    for image in (reference, "localhost:1/a:1", "169.254.169.254/a:1", "registry:5000/a:1", "127.1:1/a:1"):
        for reply in (own.request("POST", "/narae/v1/images", {"reference": image}), deploy(own, "f", image)):
            assert reply.status == 403 and "--registries is public" in reply.error, (image, reply)



# ---- accounts ---------------------------------------------------------------------------------------------------------

@pytest.fixture
def stranger(platform):
    """The key of another account, which is gone afterwards."""
    name = f"stranger-{os.getpid()}"
    reply = platform.request("POST", "/narae/v1/accounts", {"name": name}, auth=platform.admin_auth)
    assert reply.status == 201, reply
    yield reply.json["key"]
    platform.request("DELETE", f"/narae/v1/accounts/{name}", auth=platform.admin_auth)


def test_what_one_account_pulled_is_nobody_elses(platform, private, made, login, name, stranger):
    """Although it lies on this host: by tag, by digest, and with what the list shows."""
    reference, digest = private.push("team/secret:1", made["two"])
    assert login().status == 200
    assert deploy(platform, name, reference).status == 200
    assert run(platform, name) == "two"
    repository = reference.rsplit(":", 1)[0]
    for image in (reference, f"{repository}@{digest}"):
        reply = deploy(platform, name, image, auth=stranger)
        assert reply.status == 403 and "credentials" in reply.error, reply
    assert platform.request("GET", f"actions/{name}", auth=stranger).status == 404
    assert [i["state"] for i in images(platform, stranger)] == ["failed", "failed"]  # its own two tries
    assert platform.request("GET", "/narae/v1/registries", auth=stranger).json == {"registries": []}
    seen = platform.request("GET", "/narae/v1/images", auth=platform.admin_auth).json["images"]
    assert any(f"guest/{name}" in i.get("used_by", []) for i in seen)


def test_credentials_are_sealed_and_never_told(platform, private, made, login, name):
    assert login().status == 200
    reply = platform.request("GET", "/narae/v1/registries")
    assert [(r["host"], r["username"]) for r in reply.json["registries"]] == [(private.host, USER)]
    reference, _ = private.push("team/sealed:1", made["one"])
    for _ in range(8):  # what is sealed is random bytes: zeros too
        assert login().status == 200
        assert deploy(platform, name, reference).status == 200
    stored = b"".join(p.read_bytes() for p in platform.data.glob("meta.db*"))
    encoded = re.escape(PASSWORD.encode())
    for text in (stored, platform.log.read_bytes(), reply.body):
        assert not re.search(encoded, text)
    with sqlite3.connect(f"file:{platform.data}/meta.db?mode=ro", uri=True) as db:
        moves = [m for (m,) in db.execute("SELECT move FROM audit WHERE move LIKE 'registry-%' ORDER BY id")]
    assert "registry-put" in moves
    path = "/narae/v1/registries/" + urllib.parse.quote(private.host, safe="")
    assert platform.request("DELETE", path).status == 200
    assert platform.request("DELETE", path).status == 404
    assert deploy(platform, name, reference).status == 403


@pytest.mark.parametrize("host,body", [
    ("a b", {"username": "u", "password": "p"}), ("-x", {"username": "u", "password": "p"}),
    ("x:99999", {"username": "u", "password": "p"}), ("x.example", {"username": "u"}), ("x.example", {"password": "p"}),
    ("x.example", {"username": "", "password": "p"}), ("x.example", {"username": "u", "password": 7}),
    ("x.example", {"username": "u", "password": "p", "token": "t"}), ("x.example", {"username": "u", "password": "p" * 4097}),
    ("x.example", []), ("x.example", {"username": "u\0", "password": "p"})])
def test_wrong_credentials_are_refused(platform, host, body):
    reply = platform.request("PUT", "/narae/v1/registries/" + urllib.parse.quote(host, safe=""), body)
    assert reply.status == 400 and reply.error, reply
    assert platform.request("GET", "/narae/v1/registries").json == {"registries": []}


# ---- pulls ahead, the list, the sweep -----------------------------------------------------------------------------------

def test_a_pull_ahead_goes_on_after_its_answer(platform, public, made, name):
    reference, digest = public.push("team/ahead:1", made["three"])
    reply = platform.request("POST", "/narae/v1/images", {"reference": reference})
    assert reply.status == 202 and reply.json == {"reference": reference, "state": "pulling"}

    def found():
        mine = [i for i in images(platform) if i["reference"] == reference]
        assert all(i["state"] in ("pulling", "present") for i in mine), mine
        return [i for i in mine if i["state"] == "present"]
    image, = within(60, "the image is there", found)
    assert image["digest"] == digest and image["bytes"] > 0 and image["used_by"] == []
    assert abs(image["pulled_ms"] / 1000 - time.time()) < 3600
    begun = time.monotonic()
    assert deploy(platform, name, reference).status == 200
    assert time.monotonic() - begun < 30
    assert next(i for i in images(platform) if i["reference"] == reference)["used_by"] == [f"guest/{name}"]
    # one that fails says so in the list
    missing = f"{public.host}/team/missing:1"
    assert platform.request("POST", "/narae/v1/images", {"reference": missing}).status == 202
    failed = within(60, "it has failed", lambda: [i for i in images(platform) if i["reference"] == missing and i["state"] == "failed"])
    assert "does not exist" in failed[0]["error"]
    for body, text in (({}, "reference"), ({"reference": 7}, "reference"), ({"reference": "A"}, "not valid"),
                       ({"reference": "a", "tag": "b"}, "no field 'tag'")):
        reply = platform.request("POST", "/narae/v1/images", body)
        assert reply.status == 400 and text in reply.error, reply


def test_the_sweep_takes_what_we_pulled_and_nobody_names(start_platform, public, made):
    own = start_platform("--stems=off")
    kept, _ = public.push("sweep/kept:1", made["one"])
    unused, unused_digest = public.push("sweep/unused:1", made["two"])
    docker("pull", "-q", public.push("sweep/foreign:1", made["three"])[0])  # somebody else's
    foreign = f"{public.host}/sweep/foreign:1"
    assert deploy(own, "f", kept).status == 200
    assert deploy(own, "g", unused).status == 200
    assert deploy(own, "h", foreign).status == 200
    assert own.request("POST", "/narae/v1/images/prune").status == 403
    reply = own.request("POST", "/narae/v1/images/prune", auth=own.admin_auth)
    assert reply.status == 200 and reply.json["removed"] == [], reply
    for function in ("g", "h"):
        assert own.request("DELETE", f"actions/{function}").status == 200
    reply = own.request("POST", "/narae/v1/images/prune", auth=own.admin_auth)
    assert [i["reference"] for i in reply.json["removed"]] == [unused] and reply.json["bytes"] > 0, reply
    assert not present(f"{unused.rsplit(':', 1)[0]}@{unused_digest}")
    assert present(foreign)
    assert run(own, "f") == "one"
    docker("image", "rm", foreign, check=False)


def test_a_stop_does_not_wait_for_a_registry(start_platform):
    """One that takes connections and says nothing."""
    own = start_platform("--stems=off", "--drain-s=1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = "127.0.0.1:%d" % silent.getsockname()[1]
        replies = []

        def call():
            try:
                replies.append(deploy(own, "f", f"{host}/x/y:1").status)
            except http.client.RemoteDisconnected:  # the door was closed before the refusal was there
                replies.append(503)
        caller = threading.Thread(target=call)
        caller.start()
        within(30, "it is being looked for", lambda: [i for i in images(own) if i["state"] == "pulling"])
        for i, status in ((1, 202), (2, 429)):  # one more goes on after its 202, the next is too many
            assert own.request("POST", "/narae/v1/images", {"reference": f"{host}/x/ahead:{i}"}).status == status
        # others are served meanwhile
        own.put("g", "def main(args):\n    return {'ok': 1}\n")
        assert own.invoke("g", {}, "blocking=true&result=true").json == {"ok": 1}
        begun = time.monotonic()
        own.stop()
        assert time.monotonic() - begun < 25
        caller.join()
        assert replies == [503]
