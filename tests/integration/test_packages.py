"""Packages and bindings as clients drive them: documents, what is in them, parameters on the way to a call."""
import concurrent.futures
import json

import pytest

from conftest import within

COMMON = {"namespace", "name", "version", "publish", "annotations", "updated"}
ECHO = "#!/bin/sh\ncat\n"
NATIVE = {"kind": "blackbox", "image": "openwhisk/dockerskeleton", "code": ECHO}
MISSING = "The requested resource does not exist."


def pairs(**values):
    return [{"key": k, "value": v} for k, v in values.items()]


def by_key(listed):
    return {p["key"]: p["value"] for p in listed}


@pytest.fixture
def package(platform, name):
    """Makes packages that go with their test: package("p", parameters=...) is NAME-p."""
    made = []

    def put(suffix, overwrite=True, status=200, **fields):
        full = f"{name}-{suffix}"
        reply = platform.request("PUT", f"packages/{full}?overwrite={str(overwrite).lower()}", fields)
        assert reply.status == status, reply
        made.append(full)
        return reply.json if status == 200 else reply.error

    put.of = lambda suffix: f"{name}-{suffix}"
    yield put
    for full in reversed(made):
        platform.request("DELETE", f"packages/{full}?force=true")


def echo(platform, name, **fields):
    reply = platform.request("PUT", f"actions/{name}?overwrite=true", {"exec": NATIVE, **fields})
    assert reply.status == 200, reply
    return reply.json


def result(platform, name, payload=None):
    reply = platform.invoke(name, payload or {}, "blocking=true&result=true")
    assert reply.status == 200, reply
    return reply.json


def test_the_life_of_a_package(platform, package):
    p = package.of("p")
    created = package("p", overwrite=False, annotations=pairs(description="d"), parameters=pairs(a=1))
    assert set(created) == COMMON | {"parameters", "binding"}
    assert (created["namespace"], created["name"], created["version"]) == ("guest", p, "0.0.1")
    assert created["binding"] == {} and created["publish"] is False
    assert by_key(created["annotations"]) == {"description": "d"}
    assert package("p", overwrite=False, status=409) == "resource already exists"
    changed = package("p", publish=True, parameters=pairs(b=2))
    assert (changed["version"], changed["publish"]) == ("0.0.2", True)
    assert by_key(changed["parameters"]) == {"b": 2}
    assert by_key(changed["annotations"]) == {"description": "d"}
    shown = platform.request("GET", f"packages/{p}").json
    assert set(shown) == set(created) | {"actions", "feeds"}
    assert (shown["actions"], shown["feeds"]) == ([], [])
    item = [i for i in platform.request("GET", "packages?limit=200&skip=0").json if i["name"] == p][0]
    assert set(item) == COMMON | {"binding"} and item["binding"] is False
    gone = platform.request("DELETE", f"packages/{p}")
    assert gone.status == 200 and gone.json["name"] == p
    assert platform.request("GET", f"packages/{p}").error == MISSING
    assert package("p", overwrite=False)["version"] == "0.0.1"


def test_what_is_in_it(platform, package):
    p = package.of("p")
    package("p")
    assert echo(platform, f"{p}/one")["namespace"] == f"guest/{p}"
    echo(platform, f"{p}/two", annotations=pairs(feed=True))
    shown = platform.request("GET", f"packages/{p}").json
    assert [a["name"] for a in shown["actions"]] == ["one"]
    assert [a["name"] for a in shown["feeds"]] == ["two"]
    assert set(shown["actions"][0]) == {"name", "version", "annotations"}
    listed = platform.request("GET", f"actions/{p}/?limit=30&skip=0").json
    assert [a["name"] for a in listed] == ["two", "one"]
    assert platform.request("GET", f"actions/{p}/?count=true").json == {"actions": 2}
    everything = platform.request("GET", "actions?limit=0").json
    assert {"one", "two"} <= {a["name"] for a in everything if a["namespace"] == f"guest/{p}"}
    full = platform.request("DELETE", f"packages/{p}")
    assert full.status == 409
    assert full.error == "Package not empty (contains 2 entities). Set force param or delete package contents."
    assert platform.request("DELETE", f"packages/{p}?force=maybe").status == 400
    assert platform.request("DELETE", f"packages/{p}?force=true").status == 200
    assert platform.request("POST", f"actions/{p}/one?blocking=true", {}).error == MISSING


def test_parameters_on_their_way(platform, package):
    p, b = package.of("p"), package.of("b")
    package("p", parameters=pairs(package="p", binding="p", action="p", call="p"))
    echo(platform, f"{p}/f", parameters=pairs(action="a", call="a"))
    package("b", binding={"namespace": "_", "name": p}, parameters=pairs(binding="b", action="b", call="b"))
    assert result(platform, f"{p}/f", {"call": "c"}) == {
        "package": "p", "binding": "p", "action": "a", "call": "c"}
    assert result(platform, f"{b}/f", {"call": "c"}) == {
        "package": "p", "binding": "b", "action": "a", "call": "c"}
    seen = platform.request("GET", f"actions/{b}/f?code=false").json
    assert by_key(seen["parameters"]) == {"package": "p", "binding": "b", "action": "a", "call": "a"}
    assert seen["binding"] == {"namespace": "guest", "name": b}
    # each change is seen by the very next call
    package("p", parameters=pairs(package="P"))
    assert result(platform, f"{p}/f")["package"] == "P"
    assert result(platform, f"{b}/f")["package"] == "P"
    package("b", parameters=pairs(binding="B"))
    assert result(platform, f"{b}/f") == {"package": "P", "binding": "B", "action": "a", "call": "a"}
    echo(platform, f"{p}/f", parameters=pairs(action="A"))
    assert result(platform, f"{b}/f") == {"package": "P", "binding": "B", "action": "A"}


def test_the_record_of_a_call_through_a_binding(platform, package):
    p, b = package.of("p"), package.of("b")
    package("p")
    echo(platform, f"{p}/f")
    package("b", binding={"namespace": "guest", "name": p})
    reply = platform.invoke(f"{b}/f")
    assert reply.status == 200, reply
    record = platform.record(reply.activation)
    annotations = by_key(record["annotations"])
    assert annotations["path"] == f"guest/{p}/f"
    assert annotations["binding"] == f"guest/{b}"
    assert (record["namespace"], record["name"]) == ("guest", "f")


def test_nothing_is_written_through_a_binding(platform, package):
    p, b = package.of("p"), package.of("b")
    package("p")
    echo(platform, f"{p}/f")
    bound = package("b", overwrite=False, binding={"namespace": "_", "name": p})
    assert bound["binding"] == {"namespace": "guest", "name": p}
    assert by_key(bound["annotations"]) == {"binding": {"namespace": "guest", "name": p}}
    for reply in (platform.request("PUT", f"actions/{b}/f?overwrite=true", {"exec": NATIVE}),
                  platform.request("PUT", f"actions/{b}/new", {"exec": NATIVE}),
                  platform.request("DELETE", f"actions/{b}/f")):
        assert reply.status == 400 and reply.error == "Operation not permitted on package binding."
    assert [a["name"] for a in platform.request("GET", f"packages/{b}").json["actions"]] == ["f"]
    listed = platform.request("GET", f"actions/{b}/").json
    assert [(a["namespace"], a["name"]) for a in listed] == [(f"guest/{p}", "f")]
    item = [i for i in platform.request("GET", "packages?limit=0").json if i["name"] == b][0]
    assert item["binding"] == {"namespace": "guest", "name": p}
    assert platform.request("DELETE", f"packages/{p}?force=true").status == 200
    for reply in (platform.request("GET", f"packages/{b}"), platform.invoke(f"{b}/f"),
                  platform.request("GET", f"actions/{b}/f"), platform.request("GET", f"actions/{b}/")):
        assert reply.status == 404 and reply.error == MISSING
    assert platform.request("DELETE", f"packages/{b}").status == 200


def test_what_cannot_be_bound(platform, package, name):
    p = package.of("p")
    package("p")
    package("b", binding={"namespace": "_", "name": p})
    platform.put(name, ECHO, "native")
    for target, status, text in (
            (package.of("none"), 400, "Binding references a package that does not exist."),
            (package.of("b"), 400, "Cannot bind to another package binding."),
            (name, 409, "Cannot bind to a resource that is not a package.")):
        assert package("c", status=status, binding={"namespace": "_", "name": target}) == text
    assert package("p", status=409, binding={"namespace": "_", "name": p}) == \
        "Resource is a package and cannot be converted into a binding."
    assert platform.request("GET", f"packages/{package.of('c')}").status == 404


def test_versions_and_aliases_behind_a_package(platform, package):
    p, b = package.of("p"), package.of("b")
    package("p", parameters=pairs(from_package=1))
    echo(platform, f"{p}/f", parameters=pairs(of=1))
    published = platform.request("POST", f"/narae/v1/functions/{p}%2Ff/versions", {})
    assert published.status == 201, published
    assert platform.request("PUT", f"/narae/v1/functions/{p}%2Ff/aliases/prod", {"version": 1}).status == 201
    echo(platform, f"{p}/f", parameters=pairs(of=2))
    package("b", binding={"namespace": "_", "name": p})
    for way in (p, b):
        assert result(platform, f"{way}/f") == {"from_package": 1, "of": 2}
        for query in ("version=1", "alias=prod"):
            reply = platform.invoke(f"{way}/f", {}, f"blocking=true&result=true&{query}")
            assert reply.json == {"from_package": 1, "of": 1}, reply
    blocked = platform.request("POST", f"/narae/v1/functions/{p}%2Ff/block", {})
    assert blocked.status == 200, blocked
    assert platform.invoke(f"{b}/f").status == 423
    assert platform.request("POST", f"/narae/v1/functions/{p}%2Ff/unblock", {}).status == 200
    assert result(platform, f"{b}/f")["of"] == 2


def test_lists(platform, package):
    for suffix in "abc":
        package(suffix)
    count = platform.request("GET", "packages?count=true").json["packages"]
    names = [p["name"] for p in platform.request("GET", "packages?limit=3&skip=0").json]
    assert names == [package.of(s) for s in "cba"]
    assert platform.request("GET", "packages/?limit=1&skip=1").json[0]["name"] == package.of("b")
    assert platform.request("GET", "packages?count=true&skip=1").json == {"packages": count - 1}
    for query, text in (("limit=201", "not in the range of 0 to 200 for packages"),
                        ("limit=x", "is not an integer for packages"), ("skip=-1", "greater than or equal to 0")):
        reply = platform.request("GET", f"packages?{query}")
        assert reply.status == 400 and text in reply.error


BAD = [
    (b"", 400, "malformed"), (b"[]", 400, "malformed"), (b'{"a":', 400, "malformed"),
    (b'{"parameters":"x"}', 400, "'parameters' must be"), (b'{"annotations":[{}]}', 400, "annotations malformed"),
    (b'{"publish":1}', 400, "'publish' must be"), (b'{"version":"x"}', 400, "'version' must be"),
    (b'{"binding":[]}', 400, "'binding' must be"), (b'{"binding":{"namespace":"_"}}', 400, "'binding' must be"),
    (b'{"binding":{"namespace":"a b/c","name":"d"}}', 400, "illegal characters"),
    (b"[" * 100, 400, "malformed"), (b'{"a":' * 100 + b"1" + b"}" * 100, 400, "malformed"),
    (json.dumps({"parameters": pairs(x="y" * (1 << 20))}).encode(), 413, "parameters larger than allowed"),
    (json.dumps({"annotations": pairs(x="y" * (1 << 20))}).encode(), 413, "annotations larger than allowed"),
    (b'{"x":"' + b"y" * (9 << 20) + b'"}', 413, "Request larger than allowed"),
]


def test_bad_bodies(platform, package):
    p = package.of("p")
    for body, status, text in BAD:
        reply = platform.request("PUT", f"packages/{p}", body)
        assert reply.status == status and text in reply.error, (body[:60], reply)
    wrong = platform.request("PUT", f"packages/{p}", b"{}", {"Content-Type": "text/plain"})
    assert wrong.status == 415
    assert platform.request("GET", f"packages/{p}").status == 404
    package("p", namespace="x", name="y", updated=1, unknown={"deep": [1]})  # known to nobody: ignored


def test_bad_names_and_verbs(platform, package, name):
    package("p")
    p = package.of("p")
    for verb in ("POST", "PATCH", "HEAD"):
        reply = platform.request(verb, f"packages/{p}")
        assert reply.status == 405 and reply.headers["allow"] == "GET, PUT, DELETE"
    assert platform.request("POST", "packages/refresh").status == 405
    assert platform.request("PUT", "packages/default", {}).error == "Package name 'default' is reserved."
    for bad in ("%20x", "a%2Fb", "a%00b", "x" * 257, "%C3%A9", "a;b"):
        assert platform.request("PUT", f"packages/{bad}", {}).status == 400
    spaced = f"{p} with @ . & -x".replace(" ", "%20")
    assert platform.request("PUT", f"packages/{spaced}", {}).json["name"] == f"{p} with @ . & -x"
    assert platform.request("DELETE", f"packages/{spaced}").status == 200
    other = "Resource by this name exists but is not in this collection."
    platform.put(name, ECHO, "native")
    for verb, path, body in (("PUT", f"packages/{name}?overwrite=true", {}), ("GET", f"packages/{name}", None),
                             ("DELETE", f"packages/{name}", None), ("PUT", f"actions/{p}", {"exec": NATIVE}),
                             ("GET", f"actions/{p}", None), ("DELETE", f"actions/{p}", None),
                             ("POST", f"actions/{p}?blocking=true", {})):
        reply = platform.request(verb, path, body)
        assert reply.status == 409 and reply.error == other, (verb, path, reply)
    nowhere = package.of("none")
    for verb, path, body in (("PUT", f"actions/{nowhere}/f", {"exec": NATIVE}), ("GET", f"actions/{nowhere}/f", None),
                             ("DELETE", f"actions/{nowhere}/f", None), ("POST", f"actions/{nowhere}/f", {}),
                             ("GET", f"actions/{nowhere}/", None), ("DELETE", f"packages/{nowhere}", None)):
        reply = platform.request(verb, path, body)
        assert reply.status == 404 and reply.error == MISSING, (verb, path, reply)


def test_writers_at_the_same_time(platform, package):
    package("p")
    p = package.of("p")

    def write(i):
        return platform.request("PUT", f"packages/{p}?overwrite=true", {"parameters": pairs(n=i)}).status

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(24))) == {200}
    assert platform.request("GET", f"packages/{p}").json["version"] == "0.0.25"


def test_functions_and_their_package_at_the_same_time(platform, package):
    """Whoever comes first: no function is left in a package that is gone."""
    package("p")
    p = package.of("p")

    def work(i):
        if i % 4 == 3:
            return platform.request("DELETE", f"packages/{p}?force=true").status
        if i % 4 == 0:
            return platform.request("PUT", f"packages/{p}?overwrite=true", {}).status
        return platform.request("PUT", f"actions/{p}/f{i}?overwrite=true", {"exec": NATIVE}).status

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(40))) <= {200, 404, 409}
    platform.request("DELETE", f"packages/{p}?force=true")
    within(30, "the package is gone", lambda: platform.request("GET", f"packages/{p}").status == 404)
    assert [a for a in platform.request("GET", "actions?limit=0").json if a["namespace"] == f"guest/{p}"] == []


def test_packages_outlive_a_restart(start_platform):
    platform = start_platform()
    assert platform.request("PUT", "packages/p", {"parameters": pairs(a=1)}).status == 200
    assert platform.request("PUT", "packages/b", {"binding": {"namespace": "_", "name": "p"},
                                                  "parameters": pairs(b=2)}).status == 200
    echo(platform, "p/f")
    before = [platform.request("GET", f"packages/{n}").json for n in "pb"]
    platform.stop()
    platform.start()
    assert [platform.request("GET", f"packages/{n}").json for n in "pb"] == before
    assert result(platform, "b/f") == {"a": 1, "b": 2}
