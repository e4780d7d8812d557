"""narae scale: policies out of files, what is said of mistakes, decisions in words, replays, imports; completion; what somebody sees who is no administrator."""
import json
import re
import subprocess

import pytest

from conftest import ROOT, SLOW, within
from functions import ECHO
from kafka import unused_address
from terminal import plain, width
from test_cli_surface import NARAE, People
from test_scale_api import SCALING, SETTINGS, long, short


@pytest.fixture
def admin(platform, tmp_path):
    """The administrator, and every policy of a test removed after it."""
    who = People(platform, tmp_path, platform.admin_auth)
    who.platform = platform
    yield who
    for row in platform.request("GET", SCALING + "/policies?limit=200", auth=platform.admin_auth).json["policies"]:
        if row["policy"].startswith("cli-"):
            platform.request("DELETE", f"{SCALING}/policies/{row['policy']}", auth=platform.admin_auth)


@pytest.fixture
def guest(admin, platform, tmp_path):
    return People(platform, tmp_path, platform.auth)


def file(who, name, document):
    (who.folder / name).write_text(document if isinstance(document, str) else json.dumps(document))
    return name


def ok(who, *words, **more):
    status, out, err = who.pipe(*words, **more)
    assert status == 0, (words, out, err)
    return out


def refused(who, *words):
    status, out, err = who.pipe(*words)
    assert status == 1 and out == "", (words, out, err)
    return err


def given(who, text, *words):
    """The same with something on the standard input."""
    return subprocess.run([NARAE, *words], input=text, capture_output=True, text=True, cwd=who.folder, env=who.env, timeout=120 * SLOW, check=False)


# ---- documents

def test_the_life_of_a_policy(admin):
    file(admin, "cli-life.json", short("f"))
    assert ok(admin, "scale", "apply", "cli-life.json") == "applied cli-life: version 1 (enforce)\n"
    assert ok(admin, "scale", "apply", "cli-life.json") == "cli-life is as it was: version 1 (enforce)\n"
    assert ok(admin, "scale", "apply", "cli-life.json", "--mode", "dry_run") == "applied cli-life: version 2 (dry_run)\n"
    assert re.search(r"POLICY +TARGET +MODE +VERSION[^\n]*\n(.*\n)*cli-life +guest: f +dry_run +2 ", ok(admin, "scale", "list"))
    assert re.search(r"VERSION +MODE +CHANGED +BY\n +2 +dry_run +\S+ \S+ +\w+\n +1 +enforce ", ok(admin, "scale", "versions", "cli-life"))
    assert json.loads(ok(admin, "scale", "show", "cli-life"))["mode"] == "dry_run"
    assert "mode" not in json.loads(ok(admin, "scale", "show", "cli-life", "--version", "1"))
    full = ok(admin, "scale", "show", "cli-life", "--full")
    assert len(json.loads(full)["rules"]) == 3
    file(admin, "full.json", full)
    assert "version 3" in ok(admin, "scale", "apply", "full.json", "--mode", "off"), "what is shown can be applied"
    assert ok(admin, "scale", "mode", "cli-life", "enforce") == "applied cli-life: version 4 (enforce)\n"
    assert json.loads(ok(admin, "scale", "show", "cli-life", "-o", "json"))["number"] == 4
    assert "--yes" in refused(admin, "scale", "delete", "cli-life")
    assert ok(admin, "scale", "delete", "cli-life", "--yes") == "deleted the policy cli-life\n"
    assert "narae scale list" in refused(admin, "scale", "show", "cli-life")


def test_where_a_policy_has_its_name_from(admin):
    file(admin, "cli-file.json", short("a"))
    file(admin, "other.json", long("cli-own", "b"))
    assert re.findall(r"applied (\S+):", ok(admin, "scale", "apply", "cli-file.json", "other.json")) == ["cli-file", "cli-own"]
    assert "applied cli-third:" in ok(admin, "scale", "apply", "other.json", "--name", "cli-third", "--mode", "dry_run")
    assert "one policy, and there are 2 files" in refused(admin, "scale", "apply", "cli-file.json", "other.json", "--name", "x")
    done = given(admin, json.dumps(short("c")), "scale", "apply", "-")
    assert done.returncode == 1 and "--name" in done.stderr
    assert "applied cli-input:" in given(admin, json.dumps(short("c")), "scale", "apply", "-", "--name", "cli-input").stdout


def test_the_ready_ones_can_be_applied(admin):
    for path in sorted((ROOT / "examples" / "scaling").glob("*.json")):
        assert f"{path.stem} is right" in ok(admin, "scale", "check", str(path))


def test_every_mistake_of_every_file_is_told(admin):
    wrong = long("cli-wrong", "f", bounds={"min": 9, "max": 3})
    wrong["rules"][0]["when"]["metric"] = "inflght"
    file(admin, "wrong.json", wrong)
    file(admin, "cli-good.json", short("g"))
    for verb in ("apply", "check"):
        status, out, err = admin.pipe("scale", verb, "wrong.json", "cli-good.json")
        assert status == 1 and "narae: wrong.json: " in err and "cli-good" in out, (out, err)
        assert re.search(r'(?m)^  rules\[0\]\.when\.metric \("inflght"\): .*; nearest: inflight$', err), err
        assert re.search(r"(?m)^  bounds.*9", err), err
    assert "telemetry.json" in refused(admin, "scale", "apply", "telemetry.json")
    file(admin, "twice.json", '{"policy": "cli-twice", "mode": "off", "mode": "dry_run"}')
    assert "written twice" in refused(admin, "scale", "check", "twice.json")
    file(admin, "stems.json", {"policy": "cli-stems", "target": {"stems": "python3"}})
    assert "nearest: python:3" in refused(admin, "scale", "check", "stems.json")


def test_a_warning_is_no_refusal(admin):
    document = long("cli-warned", "f")
    document["rules"][0]["notify"] = ["nobody"]
    file(admin, "w.json", document)
    status, out, err = admin.pipe("scale", "check", "w.json")
    assert status == 0 and "is right" in out and re.search(r"(?m)^warning: w\.json: rules\[0\]\.notify\[0\]: .*nobody", err), err
    file(admin, "none.json", long("cli-none", "cli-nosuch"))
    assert re.search(r"target\.function: .* has no function 'cli-nosuch' yet", admin.pipe("scale", "check", "none.json")[2])
    assert len(set(err.splitlines())) == len(err.splitlines()), "each once"


def test_numbers_come_back_as_they_were_written(admin):
    file(admin, "cli-numbers.json", json.dumps(short("f", target_inflight=0.7)))
    ok(admin, "scale", "apply", "cli-numbers.json", "--mode", "off")
    assert re.search(r'(?m)^ *"target_inflight": 0\.7,?$', ok(admin, "scale", "show", "cli-numbers"))


def test_two_policies_for_one_function(admin):
    file(admin, "cli-one.json", short("twice"))
    file(admin, "cli-two.json", short("twice"))
    ok(admin, "scale", "apply", "cli-one.json")
    assert "narae scale mode OTHER off" in refused(admin, "scale", "apply", "cli-two.json")
    ok(admin, "scale", "apply", "cli-two.json", "--mode", "off")
    assert "narae scale mode OTHER off" in refused(admin, "scale", "mode", "cli-two", "enforce")


# ---- decisions

@pytest.fixture
def kept(admin, platform):
    """A policy that keeps one container of a function, and has said so."""
    platform.put("cli-kept", ECHO["native"], "native")
    file(admin, "kept.json", long("cli-kept", "cli-kept", bounds={"min": 1, "max": 3}))
    ok(admin, "scale", "apply", "kept.json")
    path = SCALING + "/policies/cli-kept"
    within(60, "it has decided", lambda: "desired" in platform.request("GET", path, auth=platform.admin_auth).json)
    yield within(60, "that is recorded", lambda: admin.pipe("scale", "explain", "cli-kept")[1])
    platform.request("DELETE", "actions/cli-kept")


def test_a_decision_in_words(admin, guest, kept):
    assert re.search(r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  (\d -> 1|stays at 1)  cli-kept, version \d+$", kept), kept
    assert re.search(r"(?m)^  seen      inflight, avg of 10s: ", kept) and re.search(r"(?m)^  result    1 kept.*at most 3", kept), kept
    assert re.search(r"(?m)^  raised    at least 1 by bounds\.min, which makes the number$", kept), "the floor is named"
    assert not re.search(r"clamped   (\d+) to \1:", kept), kept
    assert re.search(r"cli-kept, version \d", ok(guest, "scale", "explain", "cli-kept", "--since", "10m")), "an account reads of its own"
    status, _, err = admin.pipe("scale", "explain", "cli-kept", "--since", "2020-01-01T00:00:00Z", "--upto", "2020-01-02T00:00:00Z")
    assert status == 0 and "--all also shows" in err
    recorded = json.loads(ok(admin, "scale", "explain", "cli-kept", "-o", "json"))["decisions"]
    assert recorded and recorded[-1]["policy"] == "cli-kept"
    status, seen = admin.seen("scale", "explain", "cli-kept")
    assert status == 0 and "result    1 kept" in plain(seen)


def test_what_would_be_decided_now(admin, guest, kept):
    assert re.search(r"cli-kept, version \d", ok(admin, "scale", "dry-run", "cli-kept"))
    assert "cli-kept" in ok(guest, "scale", "dry-run", "cli-kept")
    status, out, err = admin.pipe("scale", "explain", "cli-kept", "--all", "-n", "1")
    assert status == 0 and out.count("version ") == 1, (out, err)
    within(60, "more was decided than is shown", lambda: "there are earlier ones" in admin.pipe("scale", "explain", "cli-kept", "--all", "-n", "1")[2])
    file(admin, "edited.json", long("cli-kept", "cli-kept", bounds={"min": 2, "max": 3}))
    assert re.search(r"(?m)^  result    2 kept", ok(admin, "scale", "dry-run", "edited.json"))
    assert "result    2 kept" in given(admin, (admin.folder / "edited.json").read_text(), "scale", "dry-run", "-").stdout
    assert re.search(r"cli-kept +guest: cli-kept +enforce +\d+ +1 ", ok(admin, "scale", "list")), "nothing was done"


def test_a_replay_prints_the_difference(admin, kept):
    same = within(60, "something was recorded", lambda: (lambda t: t if re.search(r" [2-9]\d* evaluations|\d\d+ evaluations", t) else None)(
        ok(admin, "scale", "replay", "cli-kept", "--since", "5m")))
    assert "every decision is the one that was recorded" in same and re.search(r"RECORDED +REPLAYED +DIFFERENCE", same), same
    file(admin, "edited.json", long("cli-kept", "cli-kept", bounds={"min": 3, "max": 3}))
    other = ok(admin, "scale", "replay", "cli-kept", "edited.json", "--since", "5m")
    assert re.search(r"(?m)^most at a time +1 +3 +\+2$", other) and "where it differs:" in other, other
    assert re.search(r"(?m)^  \S+ \S+  recorded (1|nothing), replayed 3", other), other
    assert json.loads(ok(admin, "scale", "replay", "cli-kept", "--since", "5m", "-o", "json"))["policy"] == "cli-kept"


# ---- the rest

@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_others_are_applied_in_one_line(admin, name):
    file(admin, "settings.yaml", SETTINGS[name].decode())
    document = ok(admin, "scale", "import", name, "settings.yaml", "--account", "guest")
    assert json.loads(document)["target"]["account"] == "guest"
    done = given(admin, document, "scale", "apply", "-", "--name", f"cli-{name}")
    assert done.returncode == 0 and f"applied cli-{name}: version 1" in done.stdout, done
    status, out, err = admin.pipe("scale", "import", name, "settings.yaml")
    assert status == 0 and json.loads(out) and "note: target.account" in err


def test_channels(admin):
    assert ok(admin, "scale", "channels", "cli-ops=http://127.0.0.1:9/x") == "cli-ops is told at http://127.0.0.1:9/x\n"
    assert re.search(r"CHANNEL +URL[^\n]*\n(.*\n)*cli-ops +http://127\.0\.0\.1:9/x", ok(admin, "scale", "channels"))
    assert "http:// or https://" in refused(admin, "scale", "channels", "cli-ops=file:///etc/passwd")
    document = long("cli-told", "f")
    document["rules"][0]["notify"] = ["cli-ops"]
    file(admin, "told.json", document)
    ok(admin, "scale", "apply", "told.json", "--mode", "off")
    status, out, err = admin.pipe("scale", "channels", "cli-ops=none", "--yes")
    assert status == 0 and "deleted the channel cli-ops" in out and "cli-ops, which the policy cli-told uses" in err, (out, err)
    assert "narae scale channels" in refused(admin, "scale", "channels", "cli-ops=none", "--yes")


def test_who_scales_a_function_that_is_deleted(admin, guest, platform):
    platform.put("cli-scaled", ECHO["native"], "native")
    file(admin, "cli-scales.json", short("cli-scaled"))
    file(admin, "cli-other.json", short("cli-scaled", account="farm"))
    ok(admin, "scale", "apply", "cli-scales.json", "cli-other.json", "--mode", "off")
    status, out, err = guest.pipe("delete", "cli-scaled")
    assert status == 1 and "cli-scaled with all versions, which the policy cli-scales uses?" in err, err
    status, out, err = guest.pipe("delete", "cli-scaled", "--yes")
    assert status == 0 and "deleting cli-scaled, which the policy cli-scales uses" in err, err


def test_forecasts_and_status(admin, guest, platform):
    platform.put("cli-foreseen", ECHO["native"], "native")
    assert platform.invoke("cli-foreseen").status == 200
    table = within(90, "it is learned", lambda: guest.pipe("scale", "forecasts", "cli-foreseen")[1])
    assert re.search(r"ACCOUNT +FUNCTION +CLASS +CONFIDENCE[^\n]*\nguest +cli-foreseen +\w+ +\d\.\d\d", table), table
    assert "cli-foreseen" in ok(admin, "scale", "forecasts", "--account", "guest", "-n", "0")
    assert "(HTTP 403)" in refused(guest, "scale", "forecasts", "--account", "farm")
    status = ok(admin, "scale", "status")
    assert re.search(r"(?m)^scaler +here$", status) and re.search(r"(?m)^decides +yes$", status) and re.search(r"(?m)^bus +in this process$", status)
    platform.request("DELETE", "actions/cli-foreseen")


def test_somebody_who_is_no_administrator_is_told_whose_it_is(guest):
    file(guest, "p.json", short("f"))
    for words in (("apply", "p.json"), ("check", "p.json"), ("mode", "x", "off"), ("delete", "x", "--yes"), ("replay", "x"), ("channels",), ("status",)):
        err = refused(guest, "scale", *words)
        assert "admin.key" in err if words[0] != "mode" else "narae scale list" in err, (words, err)


def test_completion_knows_policies(admin):
    file(admin, "cli-tab.json", short("f"))
    ok(admin, "scale", "apply", "cli-tab.json", "--mode", "off")
    assert "cli-tab\toff" in ok(admin, "complete", "scale", "explain", "cli-t")
    assert "keda\t" in ok(admin, "complete", "scale", "import", "k")
    assert ":files" in ok(admin, "complete", "scale", "apply", "")
    assert "dry-run\t" in ok(admin, "complete", "scale", "dr")
    assert "--mode\t" in ok(admin, "complete", "scale", "apply", "--m")


def test_tables_fit_the_terminal(admin):
    file(admin, "cli-narrow.json", short("n" * 60))
    ok(admin, "scale", "apply", "cli-narrow.json")
    for columns in (40, 80):
        for words in (("scale", "list"), ("scale", "versions", "cli-narrow"), ("scale", "status")):
            status, seen = admin.seen(*words, columns=columns)
            assert status == 0 and [line for line in seen.splitlines() if width(line) > columns] == [], seen


def test_a_broker_that_is_away_is_said(new_platform, tmp_path):
    away = unused_address()
    platform = new_platform(f"--kafka={away}").start()
    admin = People(platform, tmp_path, platform.admin_auth)
    status = ok(admin, "scale", "status")
    assert re.search(rf"(?m)^bus +Kafka {re.escape(away)}, away$", status), status
    assert re.search(r"(?m)^decides +cut off: the broker is away$", status), status
    raw = json.loads(ok(admin, "scale", "status", "-o", "json"))
    assert raw["brokers"] == away and raw["bus"] == "away"


def test_a_platform_without_a_scaler(new_platform, tmp_path):
    platform = new_platform("--scaler=off").start()
    err = refused(People(platform, tmp_path, platform.admin_auth), "scale", "list")
    assert "--scaler=off" in err and "--scaler=here" in err


MISTAKES = [
    (["scale", "aply", "x"], "did you mean `narae scale apply`"),
    (["scale", "apply"], "narae scale apply FILE|- ..."),
    (["scale", "mode", "p", "on"], "a mode is enforce, dry_run"),
    (["scale", "apply", "absent.json"], "absent.json"),
    (["scale", "apply", "yaml.yaml"], "narae scale import"),
    (["scale", "explain", "p", "--since", "yesterday"], "--since yesterday: give 90s, 10m"),
    (["scale", "explain", "p", "--since", "1m", "--upto", "5m"], "is later than --upto"),
    (["scale", "explain", "p", "--upto", "soon"], "--upto soon: give"),
    (["scale", "show", "p", "--version", "x"], "a version is a number"),
    (["scale", "import", "nuclio", "yaml.yaml"], "knative, keda, hpa, openfaas or fission"),
    (["scale", "import", "keda", "absent.yaml"], "absent.yaml"),
    (["scale", "channels", "ops"], "NAME=URL"),
    (["scale", "apply", "yaml.yaml", "--mode", "off-and-on"], "it can be enforce|dry_run|off"),
    (["scale", "dry-run", "no-such-policy"], "narae scale list"),
]


@pytest.mark.parametrize("words, said", MISTAKES)
def test_mistakes_are_told_and_nothing_is_done(admin, words, said):
    file(admin, "yaml.yaml", "kind: ScaledObject\n")
    assert said in refused(admin, *words)
