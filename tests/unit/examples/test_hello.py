"""The smallest functions, each run the way its runtime runs it."""
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess

import pytest

HELLO = pathlib.Path(__file__).resolve().parents[3] / "examples/hello"
PARAMETERS = [({}, "stranger"), ({"name": "Ada"}, "Ada"), ({"x": 1, "name": "Zo\u00eb", "y": {}}, "Zo\u00eb")]


def last_line(command, parameters, **more):
    text = json.dumps(parameters, ensure_ascii=False, **more)
    ran = subprocess.run([*command, text], input=text, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.parametrize("parameters, name", PARAMETERS)
def test_python(parameters, name):
    spec = importlib.util.spec_from_file_location("hello", HELLO / "hello.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.main(parameters) == {"greeting": f"Hello, {name}!"}


@pytest.mark.skipif(not shutil.which("node"), reason="no node")
@pytest.mark.parametrize("parameters, name", PARAMETERS)
def test_node(parameters, name):
    code = (HELLO / "hello.js").read_text() + \
        "\nconsole.log(JSON.stringify(main(JSON.parse(process.argv[1]))))"
    assert last_line(["node", "-e", code, "--"], parameters) == {"greeting": f"Hello, {name}!"}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("parameters, name", PARAMETERS)
def test_shell(parameters, name, indent):
    answer = last_line([HELLO / "hello.sh"], parameters, indent=indent)
    assert answer == {"greeting": f"Hello, {name}!"}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("parameters", [{}, {"a": [1, {"b": "x\\n\n"}]}, {"big": "x" * 100000}])
def test_echo(parameters, indent):
    assert last_line([os.environ["HELLO_ECHO"]], parameters, indent=indent) == parameters
