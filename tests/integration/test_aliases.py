"""Aliases: one version or several by weight, moved, rolled back, protected. Where calls go is in test_calls_of_versions.py."""
import threading

import pytest

CODE = "def main(args):\n    return {}\n"


class Aliases:
    def __init__(self, own, name):
        self.own, self.name = own, name
        self.path = f"/narae/v1/functions/{name}"

    def ask(self, method, path="", body=None, status=200):
        reply = self.own.request(method, self.path + path, body)
        assert reply.status == status, (method, path, body, reply)
        return reply.error if status >= 400 else reply.json

    def put(self, alias, status=200, **body):
        return self.ask("PUT", f"/aliases/{alias}", body, status)


@pytest.fixture
def aliases(platform, name):
    """A function with the versions 1, 2 and 3."""
    a = Aliases(platform, name)
    platform.put(name, CODE)
    for _ in range(3):
        a.ask("POST", "/versions", status=201)
    yield a
    for alias in a.own.request("GET", a.path + "/aliases").json.get("aliases", []):
        a.put(alias["name"], protected=False)


def test_made_moved_shown_and_deleted(aliases):
    made = aliases.put("prod", version=1, status=201)
    assert (made["name"], made["version"], made["protected"]) == ("prod", 1, False)
    assert [(h["by"], h["version"]) for h in made["history"]] == [("guest", 1)]
    aliases.put("beta", weights={"3": 10, "2": 90}, status=201)
    moved = aliases.put("prod", version=2)
    assert moved["version"] == 2 and [h["version"] for h in moved["history"]] == [2, 1]
    assert aliases.ask("GET", "/aliases/prod") == moved
    listed = aliases.ask("GET", "/aliases")["aliases"]
    assert [a["name"] for a in listed] == ["beta", "prod"] and listed[1] == moved
    assert listed[0]["weights"] == {"2": 90, "3": 10} and "version" not in listed[0]
    shown = aliases.ask("GET")
    assert shown["aliases"] == {"beta": {"weights": {"2": 90, "3": 10}}, "prod": {"version": 2}}
    assert [v["aliases"] for v in aliases.ask("GET", "/versions")["versions"]] == [[], ["beta", "prod"], ["beta"]]
    assert aliases.ask("DELETE", "/aliases/prod") == moved
    aliases.ask("GET", "/aliases/prod", status=404)
    aliases.ask("DELETE", "/aliases/prod", status=404)
    aliases.ask("POST", "/aliases/prod/rollback", status=404)
    again = aliases.put("prod", version=3, status=201)
    assert [h["version"] for h in again["history"]] == [3], "a new alias has no past"


def test_rollback_goes_back_step_by_step(aliases):
    aliases.put("prod", version=1, status=201)
    aliases.put("prod", weights={"1": 99, "2": 1})
    aliases.put("prod", weights={"1": 99, "2": 1})  # no move: nothing to go back to
    aliases.put("prod", version=2)
    assert aliases.ask("POST", "/aliases/prod/rollback")["weights"] == {"1": 99, "2": 1}
    assert aliases.ask("POST", "/aliases/prod/rollback")["version"] == 1
    text = aliases.ask("POST", "/aliases/prod/rollback", status=409)
    assert text == "The alias 'prod' has no history: there is nothing to roll back to."
    assert aliases.ask("GET", "/aliases/prod")["version"] == 1
    moves = [(m["move"], m["reason"]) for m in aliases.ask("GET", "/history?limit=4")["moves"]]
    assert moves[:2] == [("alias-rollback", "alias prod")] * 2, "the whole story is in the function's history"


def test_rollback_to_what_is_gone(aliases):
    aliases.put("prod", version=1, status=201)
    aliases.put("prod", version=2)
    aliases.put("prod", version=3)
    aliases.ask("POST", "/versions/2/retire")
    text = aliases.ask("POST", "/aliases/prod/rollback", status=409)
    assert text == "Version 2 is RETIRED: no alias can point to it."
    aliases.ask("DELETE", "/versions/2")
    assert aliases.ask("POST", "/aliases/prod/rollback", status=404) == "The function has no version 2."
    assert aliases.ask("GET", "/aliases/prod")["version"] == 3
    aliases.put("prod", version=1)  # by hand


def test_the_history_is_bounded(aliases):
    aliases.put("prod", version=3, status=201)
    for i in range(60):
        aliases.put("prod", version=1 + i % 2)
    assert len(aliases.ask("GET", "/aliases/prod")["history"]) == 50


def test_protection(aliases):
    """A protected alias moves, but neither it nor what it needs goes."""
    aliases.put("prod", version=1, protected=True, status=201)
    assert aliases.put("prod", version=2)["protected"] is True
    assert aliases.ask("DELETE", "/aliases/prod", status=409) == (
        "The alias 'prod' is protected: take the protection away first.")
    assert aliases.own.request("DELETE", f"actions/{aliases.name}").status == 409
    aliases.ask("POST", "/retire")
    assert aliases.ask("POST", "/purge", status=409) == (
        "The function has the protected alias 'prod' and does not allow 'purge'.")
    assert len(aliases.ask("GET", "/versions")["versions"]) == 3
    shown = aliases.put("prod", protected=False)
    assert [h["version"] for h in shown["history"]] == [2, 1], "protection is no move"
    aliases.ask("POST", "/purge")
    aliases.ask("GET", "/aliases", status=404)


@pytest.mark.parametrize("body, status, text", [
    ({"weights": {"1": 90, "2": 11}}, 400, "The weights must sum to 100, not 101."),
    ({"weights": {"1": 90}}, 400, "The weights must sum to 100, not 90."),
    ({"weights": {}}, 400, "The weights must sum to 100, not 0."),
    ({"weights": {"1": 100, "2": 0}}, 400, "The weight of version 2 must be a whole number from 1 to 100."),
    ({"weights": {"1": 50.5, "2": 49.5}}, 400, "The weight of version 1 must be a whole number from 1 to 100."),
    ({"weights": {"1": -1, "2": 101}}, 400, "The weight of version 1 must be a whole number from 1 to 100."),
    ({"weights": {"one": 100}}, 400, "The key 'one' of 'weights' is not the number of a version."),
    ({"weights": {"1": 50, "01": 50}}, 400, "The weights name version 1 twice."),
    ({"weights": [1]}, 400, "The field 'weights' must be an object of versions and their weights."),
    ({"weights": {str(i): 5 for i in range(1, 21)}}, 400, "An alias is split between at most 16 versions."),
    ({"version": 1, "weights": {"1": 100}}, 400, "An alias has 'version' or 'weights', not both."),
    ({"version": "1"}, 400, 'The field \'version\' must be a whole number from 1 to 2147483647, not "1".'),
    ({"version": 0}, 400, "The field 'version' must be a whole number from 1 to 2147483647, not 0."),
    ({"version": 4}, 404, "The function has no version 4."),
    ({"weights": {"3": 50, "4": 50}}, 404, "The function has no version 4."),
    ({"protected": True}, 400, "A new alias needs 'version' or 'weights'."),
    ({"version": 1, "protected": 1}, 400, "The field 'protected' must be true or false, not 1."),
    ({"verison": 1}, 400, "The field 'verison' is not known; the fields are: version, weights, protected."),
    ({}, 400, "An alias needs 'version', 'weights' or 'protected'."),
])
def test_mistakes(aliases, body, status, text):
    assert aliases.put("prod", status=status, **body) == text
    assert aliases.ask("GET", "/aliases")["aliases"] == []
    aliases.put("prod", version=2, status=201)
    if "protected" not in body:
        aliases.put("prod", status=status, **body)
    assert aliases.ask("GET", "/aliases/prod")["version"] == 2


def test_names_and_numbers_of_aliases(aliases):
    for bad in ("a%2Fb", "%20", "-x", "x" * 257):
        assert aliases.own.request("PUT", f"{aliases.path}/aliases/{bad}", {"version": 1}).status == 400, bad
    aliases.ask("PUT", "/aliases/" + "x" * 256, {"version": 1}, status=201)
    for i in range(99):
        aliases.put(f"a{i}", version=1, status=201)
    assert aliases.put("one-more", version=1, status=429) == "The function has 100 aliases; at most 100 are allowed."
    aliases.put("a0", version=2)


def test_aliases_of_nothing(platform, name):
    a = Aliases(platform, name)
    for method, path, body in (("GET", "/aliases", None), ("PUT", "/aliases/prod", {"version": 1}),
                               ("DELETE", "/aliases/prod", None), ("POST", "/aliases/prod/rollback", None)):
        a.ask(method, path, body, status=404)


def test_no_alias_loses_its_version(aliases):
    """Who deletes a version and who points an alias to it at the same moment: one of them is refused."""
    for _ in range(10):
        version = aliases.ask("POST", "/versions", status=201)["version"]
        statuses = {}

        def do(what, method, path, body=None):
            statuses[what] = aliases.own.request(method, aliases.path + path, body).status

        threads = [threading.Thread(target=do, args=("delete", "DELETE", f"/versions/{version}")),
                   threading.Thread(target=do, args=("alias", "PUT", "/aliases/prod", {"version": version}))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert (statuses["delete"], statuses["alias"] in (200, 201)) in ((200, False), (409, True)), statuses
        assert statuses["alias"] in (200, 201, 404)
