"""The checking function in real containers: two boards' readings in, every outcome as foretold.

The generator says what a correct check must count; the totals of the whole day also stand here, so
that a change of both sides at once is noticed.
"""
import base64
import json
import os
import pathlib
import subprocess
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = "validate-day"


def program(name):
    return pathlib.Path(os.environ["NARAE_BUILD"]) / "examples" / name


def request(platform, method, path, body=None):
    key = base64.b64encode(platform.auth.encode()).decode()
    sent = urllib.request.Request(platform.url + "/api/v1/namespaces/_/" + path, method=method,
                                  data=None if body is None else json.dumps(body).encode())
    sent.add_header("Authorization", "Basic " + key)
    sent.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(sent, timeout=120) as answer:
        return json.load(answer)


@pytest.fixture
def action(platform):
    """The function as examples/validate has it, deployed for one test."""
    code = (ROOT / "examples/validate/validate.py").read_text()
    request(platform, "PUT", f"actions/{NAME}?overwrite=true",
            {"exec": {"kind": "python:3", "code": code}})
    yield NAME
    request(platform, "DELETE", f"actions/{NAME}")


def feed(platform, action, folder, hours, batch):
    """Feeds `hours` of both boards; returns (exit status, what was printed, what was foretold)."""
    lines, counts = folder / "lines", folder / "counts.json"
    with lines.open("w") as out:
        subprocess.run([program("sensor-sim"), f"--hours={hours}"], stdout=out, check=True)
    with counts.open("w") as out:
        subprocess.run([program("sensor-sim"), f"--hours={hours}", "--counts"], stdout=out,
                       check=True)
    fed = subprocess.run(
        [program("sensor-feed"), f"--url={platform.url}", f"--auth-file={platform.auth_file}",
         f"--action={action}", f"--lines={lines}", f"--batch={batch}", f"--expect={counts}"],
        capture_output=True, text=True, timeout=600)
    print(fed.stdout, fed.stderr)
    return fed.returncode, fed.stdout, json.loads(counts.read_text())


def outcomes(text):
    """The counted column of the table: {outcome: number}."""
    table = text.split("expected\n", 1)[1].splitlines()
    rows = [line.replace("differs", "").rsplit(None, 2) for line in table]
    return {name.strip(): int(counted) for name, counted, _ in rows}


def test_the_whole_day_in_batches(platform, action, tmp_path):
    status, text, _ = feed(platform, action, tmp_path, hours=24, batch=1000)
    counted = outcomes(text)
    bad = sum(n for name, n in counted.items() if name.startswith("quarantined: "))
    assert text.startswith("34560 readings\n")
    assert (counted["rows"], counted["of them late"]) == (34189, 293)
    assert (bad, counted["dropped duplicates"]) == (371, 184)
    assert status == 0


def test_an_hour_reading_by_reading(platform, action, tmp_path):
    status, text, known = feed(platform, action, tmp_path, hours=1, batch=1)
    assert text.startswith("1440 readings\n")
    assert f"{known['sent']} messages in {known['sent']} calls, 0 failed" in text
    assert status == 0


def test_a_call_that_is_not_understood_is_an_application_error(platform, action):
    with pytest.raises(urllib.error.HTTPError) as refused:
        request(platform, "POST", f"actions/{action}?blocking=true&result=true", {"readings": 1})
    assert refused.value.code == 502
    assert json.load(refused.value) == {"error": "readings: expected a list"}
