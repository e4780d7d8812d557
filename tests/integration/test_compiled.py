"""Kinds that are compiled: source is deployed, what does not compile is refused with the compiler's words and changes nothing.

The compilers' images are large and made only when they are named (`scripts/images go javac java`): where they are missing a
deploy has to say so, and the other cases are skipped (in the full run, which makes them, they fail).
"""
import base64
import io
import os
import subprocess
import zipfile

import pytest

from conftest import ROOT, engine
from test_cli import narae  # noqa: F401 (a fixture)

GO = """package main

import (
	"fmt"
	"os"
)

func Main(in map[string]interface{}) map[string]interface{} {
	name, ok := in["name"].(string)
	if !ok {
		name = "nobody"
	}
	fmt.Println("greeting", name)
	return map[string]interface{}{"greeting": "Hello, " + name + "!", "call": os.Getenv("__OW_ACTIVATION_ID")}
}
"""

JAVA = """import com.google.gson.JsonObject;

public class Greet {
    public static JsonObject main(JsonObject in) {
        String name = in.has("name") ? in.get("name").getAsString() : "nobody";
        System.out.println("greeting " + name);
        JsonObject out = new JsonObject();
        out.addProperty("greeting", "Hello, " + name + "!");
        out.addProperty("call", System.getenv("__OW_ACTIVATION_ID"));
        return out;
    }
}
"""


class Language:
    def __init__(self, kind, file, source, broken, said, images):
        self.kind, self.file, self.source, self.broken, self.said, self.images = kind, file, source, broken, said, images
        self.family = kind.split(":")[0]

    def need(self):
        """A machine on which nobody asked for these images skips; the full run, which makes all of them, fails."""
        if name := self.missing():
            absent = pytest.fail if "NARAE_ALL_IMAGES" in os.environ else pytest.skip
            absent(f"{name} is not here: scripts/images {' '.join(self.images)}")

    def missing(self):
        """The name of the first image that is not here."""
        for family in self.images:
            name = subprocess.check_output([ROOT / "scripts/image-name", family], text=True).strip()
            if "Id" not in (engine(f"/images/{name}/json") or {}):
                return name
        return None


LANGUAGES = [
    Language("go:1.19", "greet.go", GO, GO.replace("return map", "return nowhere, map"), "code.go:14", ["go", "native"]),
    Language("java:17", "greet.java", JAVA, JAVA.replace("return out", "return nowhere"), "Greet.java:10: cannot find symbol", ["javac", "java"]),
]


@pytest.fixture(params=LANGUAGES, ids=lambda language: language.family)
def language(request):
    request.param.need()
    return request.param


def packed(**files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as z:
        for name, content in files.items():
            z.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return base64.b64encode(data.getvalue()).decode()


def result(platform, name, query="blocking=true&result=true", /, **parameters):
    reply = platform.invoke(name, parameters, query)
    assert reply.status == 200, reply
    return reply.json


@pytest.mark.parametrize("of", LANGUAGES, ids=lambda language: language.family)
def test_kinds_are_listed_and_a_missing_image_is_told(platform, name, of):
    listed = platform.request("GET", "/", auth=None).json["runtimes"][of.family]
    assert [entry["kind"] for entry in listed if entry["default"]] == [of.kind]
    if of.missing():
        reply = platform.request("PUT", f"actions/{name}", {"exec": {"kind": of.kind, "code": of.source}})
        assert reply.status == 503 and f"{of.missing()} is missing. `scripts/images" in reply.error
        assert platform.request("GET", f"actions/{name}").status == 404


def test_source_runs(platform, narae, name, tmp_path, language):
    path = tmp_path / language.file
    path.write_text(language.source)
    assert f"({language.kind})" in narae("deploy", str(path), "--name", name).stdout
    for who in ("Ada", "Lin"):
        reply = platform.invoke(name, {"name": who})
        record = reply.json
        assert record["response"]["result"] == {"greeting": f"Hello, {who}!", "call": record["activationId"]}
        assert [line.split(": ", 1)[1] for line in platform.record(record["activationId"])["logs"]] == [f"greeting {who}"]
    document = platform.request("GET", f"actions/{name}").json
    assert document["exec"]["code"] == language.source and document["exec"]["binary"] is False


def test_what_does_not_compile_changes_nothing(platform, name, language):
    body = {"exec": {"kind": language.kind, "code": language.broken}}
    reply = platform.request("PUT", f"actions/{name}", body)
    assert reply.status == 400 and reply.error.startswith("The code does not compile:\n") and language.said in reply.error
    assert platform.request("GET", f"actions/{name}").status == 404
    platform.put(name, language.source, language.kind)
    assert platform.request("PUT", f"actions/{name}?overwrite=true", body).status == 400
    assert result(platform, name, name="Ada")["greeting"] == "Hello, Ada!"
    assert platform.request("GET", f"actions/{name}").json["version"] == "0.0.1"


def test_versions_keep_what_they_were_compiled_to(platform, name, language):
    platform.put(name, language.source, language.kind)
    assert platform.request("POST", f"/narae/v1/functions/{name}/versions", {}).status == 201
    platform.put(name, language.source.replace("Hello", "Welcome"), language.kind)
    assert result(platform, name, name="Ada")["greeting"] == "Welcome, Ada!"
    assert result(platform, name, "blocking=true&result=true&version=1", name="Ada")["greeting"] == "Hello, Ada!"


def go():
    LANGUAGES[0].need()


def test_go_archive_with_a_module_and_another_function(platform, name):
    go()
    code = packed(go_dot_mod="module greeter\n\ngo 1.19\n", main_dot_go="""package main

import "greeter/words"

func Greet(in map[string]interface{}) (map[string]interface{}, error) {
	return map[string]interface{}{"said": words.Hello(in["name"].(string))}, nil
}
""", words__words_dot_go="package words\n\nfunc Hello(name string) string { return \"Hello, \" + name }\n")
    reply = platform.request("PUT", f"actions/{name}", {"exec": {"kind": "go:default", "code": code, "main": "Greet"}})
    assert reply.status == 200, reply
    assert reply.json["exec"]["kind"] == "go:1.19" and reply.json["exec"]["binary"] is True
    assert result(platform, name, name="Ada") == {"said": "Hello, Ada"}
    wrong = platform.invoke(name, {"name": 3})  # a panic is the call's error, and the container serves on
    assert wrong.status == 502 and "interface conversion" in wrong.json["response"]["result"]["error"]
    assert result(platform, name, name="Lin") == {"said": "Hello, Lin"}


@pytest.mark.parametrize("code, words", [
    ("package main\n\nfunc Other() {}\n", "has no func Main(map[string]interface{})"),
    ("package greet\n\nfunc Main() {}\n", "package main"),
    ("package main\n\nimport _ \"example.com/far/away\"\n\nfunc Main(in map[string]interface{}) map[string]interface{} { return in }\n",
     "example.com/far/away"),
    ("package main\n\nimport \"C\"\n\nfunc Main(in map[string]interface{}) map[string]interface{} { return in }\n", ""),
    (packed(readme="nothing"), "There is no Go file"),
], ids=["no function", "another package", "the network", "cgo", "no source"])
def test_go_mistakes_are_told(platform, name, code, words):
    go()
    reply = platform.request("PUT", f"actions/{name}", {"exec": {"kind": "go:1.19", "code": code}})
    assert reply.status == 400 and reply.error.startswith("The code does not compile:\n") and words in reply.error, reply
    assert "/tmp/" not in reply.error


def test_go_executable_is_taken_as_it_is(platform, name):
    go()
    platform.put(name, GO, "go:1.19")
    made = [f for f in (platform.data / "compiled").rglob("*.code") if f.read_bytes()[:4] == b"\x7fELF"]
    assert made
    other = name + "-exec"
    platform.put(other, base64.b64encode(made[0].read_bytes()).decode(), "go:1.19")
    assert "Ada" in str(result(platform, other, name="Ada"))
    assert platform.request("GET", f"actions/{other}").json["exec"]["binary"] is True


def java():
    LANGUAGES[1].need()


LIBRARY = "package words;\n\npublic class Words {\n    public static String hello(String name) { return \"Hello, \" + name; }\n}\n"
HANDLER = """package greeter;

import com.google.gson.JsonObject;

public class Greeter {
    public static JsonObject handle(JsonObject in) {
        JsonObject out = new JsonObject();
        out.addProperty("said", words.Words.hello(in.get("name").getAsString()));
        return out;
    }
}
"""


def test_java_archive_and_the_jar_of_it(platform, name):
    java()
    exec_ = {"kind": "java:default", "main": "greeter.Greeter#handle",
             "code": packed(greeter__Greeter_dot_java=HANDLER, words__Words_dot_java=LIBRARY)}
    reply = platform.request("PUT", f"actions/{name}", {"exec": exec_})
    assert reply.status == 200, reply
    assert result(platform, name, name="Ada") == {"said": "Hello, Ada"}
    wrong = platform.invoke(name, {})  # an exception is the call's error, and the container serves on
    assert wrong.status == 502 and "An error has occurred" in wrong.json["response"]["result"]["error"]
    assert result(platform, name, name="Lin") == {"said": "Hello, Lin"}
    made = [f for f in (platform.data / "compiled").rglob("*.code") if b"greeter/Greeter.class" in f.read_bytes()]
    exec_["code"] = base64.b64encode(made[0].read_bytes()).decode()
    assert platform.request("PUT", f"actions/{name}-jar", {"exec": exec_}).status == 200
    assert result(platform, name + "-jar", name="Ada") == {"said": "Hello, Ada"}


@pytest.mark.parametrize("code, main, words", [
    (JAVA, "Other", "The class Other of the function cannot be loaded"),
    (JAVA.replace("main(", "other("), "Greet", "public static JsonObject main"),
    (packed(greeter__Greeter_dot_java=HANDLER), "greeter.Greeter#handle", "package words does not exist"),
    (packed(readme="nothing"), "", "'main' is missing"),
], ids=["another class", "no method", "a missing library", "no main"])
def test_java_mistakes_are_told(platform, name, code, main, words):
    java()
    reply = platform.request("PUT", f"actions/{name}", {"exec": {"kind": "java:17", "code": code, "main": main}})
    assert reply.status == 400 and reply.error.startswith("The code does not compile:\n") and words in reply.error, reply
