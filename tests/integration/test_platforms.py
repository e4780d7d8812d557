"""Several images under one name, one an architecture: the node's own is taken, the pin is that of all; where there is none the deploy says what
there is."""
import os
import platform as machine

import pytest
from conftest import engine
from registry import Registry, docker, made_for, make_image

HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine.machine(), "arm")
ELSEWHERE = "amd64" if HERE == "arm64" else "arm64"
NOTE = {"os": "unknown", "architecture": "unknown"}  # what builders say about an image beside it
FORMS = {"oci": "application/vnd.oci.image.index.v1+json", "docker": "application/vnd.docker.distribution.manifest.list.v2+json"}


def linux(architecture, **more):
    return {"os": "linux", "architecture": architecture, **more}


@pytest.fixture(scope="module")
def made():
    """Local images: of this node, of another architecture, of one that nobody here has; and one that is no image of a function."""
    tag = f"narae-test/platforms-{os.getpid()}"
    tags = {"here": make_image(f"{tag}:here", "here"), "there": make_image(f"{tag}:there", "there")}
    tags |= {"elsewhere": made_for(ELSEWHERE, tags["there"]), "s390x": made_for("s390x", tags["there"])}
    yield tags
    for each in tags.values():
        docker("image", "rm", "-f", each, check=False)


@pytest.fixture(scope="module")
def public():
    registry = Registry()
    try:
        yield registry.start()
    finally:
        registry.close()


def deploy(platform, name, image):
    return platform.request("PUT", f"actions/{name}?overwrite=true", {"exec": {"kind": "blackbox", "image": image}})


def answer(platform, name):
    reply = platform.invoke(name, {}, "blocking=true&result=true")
    assert reply.status == 200, reply
    return reply.json


def pin(document):
    return next(a["value"] for a in document["annotations"] if a["key"] == "narae.image")


@pytest.mark.parametrize("form", FORMS)
def test_the_nodes_own_of_several_runs(platform, public, made, name, form):
    """By tag and by digest; a start that has to pull again takes the same one."""
    reference, digest, entries = public.index(
        f"team/{form}:1", [(made["s390x"], NOTE), (made["elsewhere"], linux(ELSEWHERE)), (made["here"], linux(HERE))], FORMS[form])
    repository = reference.rsplit(":", 1)[0]
    for image in (reference, f"{repository}@{digest}"):
        reply = deploy(platform, name, image)
        assert reply.status == 200 and pin(reply.json) == f"{repository}@{digest}", reply
    assert engine(f"/images/{repository}@{digest}/json")["Architecture"] == HERE
    docker("image", "rm", f"{repository}@{digest}")
    assert answer(platform, name) == {"image": "here"}
    reply = deploy(platform, name, f"{repository}@{entries[1]}")  # another node's by itself
    assert reply.status == 400 and f"is for linux/{ELSEWHERE}; this host runs linux/{HERE}." in reply.error, reply
    assert answer(platform, name) == {"image": "here"}


def test_none_for_this_node_names_those_that_are_there(platform, public, made, name):
    newer = linux(HERE, variant="v9")
    cases = [
        ([("elsewhere", linux(ELSEWHERE)), ("s390x", linux("s390x")), ("here", NOTE)], f"linux/{ELSEWHERE}, linux/s390x"),
        ([("here", newer), ("s390x", linux("s390x"))], f"linux/{HERE}/v9, linux/s390x"),
        ([("here", {"os": "windows", "architecture": HERE})], f"windows/{HERE}"),
    ]
    for n, (entries, told) in enumerate(cases):
        reference, digest, _ = public.index(f"team/none:{n}", [(made[image], platform_) for image, platform_ in entries])
        reply = deploy(platform, name, reference)
        assert reply.status == 400, (told, reply)
        assert reply.error == f"The image '{reference}' is for {told}; this host runs linux/{HERE}.", reply
        assert platform.request("GET", f"actions/{name}").status == 404
        assert "Id" not in engine(f"/images/{reference.rsplit(':', 1)[0]}@{digest}/json")  # nothing was pulled
