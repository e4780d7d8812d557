"""Several images under one name, one an architecture: the node's own is taken, the pin is that of all; where there is none the deploy says what
there is."""
import os
import pathlib
import platform as machine

import pytest
from conftest import engine
from registry import Registry, docker, made_for, make_image

HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine.machine(), "arm")
LEVELS = ["ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm", "fma movbe avx f16c bmi1 avx2 bmi2 abm", "avx512f avx512dq avx512cd avx512bw avx512vl"]
ELSEWHERE = "amd64" if HERE == "arm64" else "arm64"
NOTE = {"os": "unknown", "architecture": "unknown"}  # what builders say about an image beside it
FORMS = {"oci": "application/vnd.oci.image.index.v1+json", "docker": "application/vnd.docker.distribution.manifest.list.v2+json"}


def level():
    """Of this processor: 1 to 4; 0 where there are no levels."""
    flags = pathlib.Path("/proc/cpuinfo").read_text().split("flags", 1)[-1].split("\n", 1)[0].split()
    has = [set(words.split()) <= set(flags) for words in LEVELS]
    return 0 if HERE != "amd64" else 1 + (has + [False]).index(False)


RUNS = f"linux/{HERE}" + (f"/v{level()}" if level() > 1 else "")


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
    assert reply.status == 400 and f"is for linux/{ELSEWHERE}; this host runs {RUNS}." in reply.error, reply
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
        assert reply.error == f"The image '{reference}' is for {told}; this host runs {RUNS}.", reply
        assert platform.request("GET", f"actions/{name}").status == 404
        assert "Id" not in engine(f"/images/{reference.rsplit(':', 1)[0]}@{digest}/json")  # nothing was pulled


@pytest.mark.skipif(level() < 2, reason="this processor has no level above the first")
def test_a_level_of_this_processor_runs(platform, public, made, name):
    """Where a list has nothing for every amd64 the highest level that this processor has is taken, at the deploy and when it is pulled again."""
    highest = linux(HERE, variant=f"v{level()}")
    both = public.index("team/both:1", [(made["there"], highest), (made["here"], linux(HERE))])[0]
    reference, digest, _ = public.index(
        "team/levels:1", [(made["s390x"], linux("s390x")), (made["there"], linux(HERE, variant="v9")), (made["here"], highest)])
    repository = reference.rsplit(":", 1)[0]
    for _ in range(2):
        reply = deploy(platform, name, reference)
        assert reply.status == 200 and pin(reply.json) == f"{repository}@{digest}", reply
        docker("image", "rm", f"{repository}@{digest}")
    assert answer(platform, name) == {"image": "here"}
    assert deploy(platform, name, both).status == 200
    assert answer(platform, name) == {"image": "here"}, "what runs on all goes first"
