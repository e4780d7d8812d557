"""Conductors: functions whose result says what runs next, with real containers; their records, failures that they hear of, their limits."""
import json

import pytest

MANY = "Too many actions in the composition."

# Runs the functions of `plan` one after the other; counts its turns in its state, and notes what it was told.
CONDUCTOR = """
def main(args):
    plan = args.pop("plan", None)
    turn = args.pop("turn", 0)
    if turn == 0:
        first = {k: args.pop(k) for k in list(args)}
        heard = []
    else:
        heard = args.pop("heard")
        heard.append(args)
        first = args
    if turn < len(plan):
        step = plan[turn]
        answer = {"action": step["action"], "state": {"plan": plan, "turn": turn + 1, "heard": heard}}
        if "params" in step:
            answer["params"] = step["params"]
        elif turn == 0:
            answer["params"] = first
        return answer
    return {"params": {"heard": heard}}
"""
ECHO = "def main(args):\n    return {'got': args}\n"
# Never ends.
FOR_EVER = "def main(args):\n    return {'action': args.get('component', 'cd-echo'), 'state': {'component': args.get('component', 'cd-echo')}}\n"
# Says what it is told to say, once.
SAYS = "def main(args):\n    return args['say'] if 'say' in args else {'params': args}\n"


def annotations(record):
    return {a["key"]: a["value"] for a in record["annotations"]}


@pytest.fixture(scope="module")
def put(session_platform):
    made = []

    def do(path, document):
        made.append(path)
        reply = session_platform.request("PUT", f"{path}?overwrite=true", document)
        assert reply.status == 200, reply
    yield do
    for path in made:
        session_platform.request("DELETE", path)


@pytest.fixture(scope="module")
def functions(put):
    def python(code, conductor=None):
        said = [] if conductor is None else [{"key": "conductor", "value": conductor}]
        return {"exec": {"kind": "python:3", "code": code}, "limits": {"memory": 128}, "annotations": said}
    put("actions/cd-echo", python(ECHO))
    put("actions/cd-fails", python("def main(args):\n    return {'error': 'as asked', 'more': 1}\n"))
    put("actions/cd-list", python("def main(args):\n    return [1, 2]\n"))
    put("actions/cd-plan", python(CONDUCTOR, True))
    put("actions/cd-ever", python(FOR_EVER, 1))
    # composer annotates with an object: whatever is true counts
    put("actions/cd-says", python(SAYS, {"type": "action"}))
    put("actions/cd-plain", python(SAYS, False))
    put("actions/cd-seq", {"exec": {"kind": "sequence", "components": ["/_/cd-echo", "/_/cd-echo"]}})


@pytest.fixture
def call(platform, functions):
    def do(name, payload, query="blocking=true"):
        return platform.request("POST", f"actions/{name}?{query}", payload)
    return do


def test_runs_what_its_conductor_says(platform, call):
    plan = [{"action": "cd-echo"}, {"action": "/_/cd-seq", "params": {"y": 2}}, {"action": "/guest/cd-echo", "params": "text"}]
    reply = call("cd-plan", {"plan": plan, "x": 1})
    assert reply.status == 200, reply
    record = platform.record(reply.activation)
    assert record["response"]["result"] == {"heard": [{"got": {"x": 1}}, {"got": {"got": {"y": 2}}}, {"got": {"value": "text"}}]}
    says = annotations(record)
    assert says["kind"] == "sequence" and says["topmost"] is True and says["conductor"] is True and says["path"] == "guest/cd-plan"
    parts = [platform.record(i) for i in record["logs"]]
    assert [p["name"] for p in parts] == ["cd-plan", "cd-echo", "cd-plan", "cd-seq", "cd-plan", "cd-echo", "cd-plan"]
    assert all(p["cause"] == record["activationId"] and annotations(p)["causedBy"] == "sequence" for p in parts)
    assert not any("conductor" in annotations(p) for p in parts)
    assert annotations(parts[3])["topmost"] is False and len(parts[3]["logs"]) == 2
    assert annotations(parts[0])["kind"] == "python:3"
    assert record["duration"] == sum(p["duration"] for p in parts)


def test_without_waiting_and_bare(platform, call):
    reply = call("cd-plan", {"plan": [{"action": "cd-echo"}]}, "blocking=false")
    assert reply.status == 202
    assert platform.record(reply.json["activationId"])["response"]["result"] == {"heard": [{"got": {}}]}
    assert call("cd-plan", {"plan": []}, "blocking=true&result=true").json == {"heard": []}


def test_without_the_annotation_it_is_an_ordinary_function(platform, call):
    record = platform.record(call("cd-plain", {"say": {"action": "cd-echo", "params": {"x": 1}}}).activation)
    assert record["response"]["result"] == {"action": "cd-echo", "params": {"x": 1}}
    assert annotations(record)["kind"] == "python:3" and "topmost" not in annotations(record)


@pytest.mark.parametrize("say, status, result", [
    ({"x": 1}, 200, {"x": 1}),
    ({"params": [1]}, 200, {"value": [1]}),
    ({"params": {"y": 2}, "state": {"s": 1}}, 200, {"y": 2}),
    ([1, 2], 200, [1, 2]),
    ({"error": "no", "action": "cd-echo"}, 502, {"error": "no"}),
    ({"action": "cd-echo"}, 200, {"got": {}}),
    ({"action": "cd-echo", "params": {"x": 1}, "state": {"s": "ñ", "got": "mine"}}, 200, {"got": "mine", "s": "ñ"}),
    ({"action": "cd-list", "state": 7}, 200, {"value": [1, 2], "state": 7}),
    ({"action": "cd-fails", "state": {"s": 1}}, 200, {"error": "as asked", "s": 1}),
    ({"action": "cd-none"}, 200, {"error": "Failed to resolve action with name 'cd-none' during composition."}),
    ({"action": "/cd-nobody/x"}, 200, {"error": "Failed entitlement check for action with name '/cd-nobody/x' during composition."}),
    ({"action": "a/b/c/d", "state": {"s": 1}}, 200,
     {"error": "Failed to parse action name from json value \"a/b/c/d\" during composition.", "s": 1}),
    ({"action": {}}, 200, {"error": "Failed to parse action name from json value {} during composition."}),
    ({"action": None}, 200, {"error": "Failed to parse action name from json value null during composition."}),
    ({"action": ""}, 200, {"error": "Failed to parse action name from json value \"\" during composition."}),
], ids=json.dumps)
def test_what_it_says_and_what_it_hears(call, say, status, result):
    """After a component, or without one, the conductor's own result is what it heard."""
    reply = call("cd-says", {"say": say}, "blocking=true&result=true")
    assert (reply.status, reply.json) == (status, result), reply


def test_one_that_never_ends_is_ended(platform, call):
    record = platform.record(call("cd-ever", {}).activation)
    assert record["response"]["status"] == "application error" and record["response"]["result"] == {"error": MANY}
    names = [platform.record(i)["name"] for i in record["logs"]]
    assert (names.count("cd-ever"), names.count("cd-echo")) == (101, 50)


def test_compositions_inside_share_the_budget(platform, call):
    record = platform.record(call("cd-plan", {"plan": [{"action": "cd-ever"}, {"action": "cd-echo"}]}).activation)
    assert record["response"]["result"] == {"error": MANY}  # the one inside has left no run of a conductor
    inner = platform.record(record["logs"][1])
    assert annotations(inner)["topmost"] is False and annotations(inner)["conductor"] is True
    assert inner["response"]["result"] == {"error": MANY} and len(inner["logs"]) == 100 + 49
