"""scripts/install into a folder: twice is an upgrade, which leaves nothing of the release before, and --uninstall takes what it brought.

The tree is a copy, in which a release can have a file more; the programs are those of the build.
"""
import os
import shutil
import subprocess

import pytest

from conftest import BUILD, ROOT, engine

FAMILIES = sorted(path.parent.name for path in (ROOT / "runtimes").glob("*/Dockerfile"))
DEFAULT = {"python", "nodejs", "native", "wasm"}
LIB = "usr/local/lib/narae"


class Tree:
    """A copy of what is installed, and the folder that it is installed into."""

    def __init__(self, folder):
        self.root, self.target = folder / "tree", folder / "target"
        for name in ("scripts", "runtimes", "packaging", "docs"):
            shutil.copytree(ROOT / name, self.root / name,
                            ignore=shutil.ignore_patterns("node_modules", "engine" if name == "runtimes" else "", "*.pyc"))
        for name in ("CHANGES.md", "LICENSE"):
            shutil.copy(ROOT / name, self.root / name)

    def run(self, script, *arguments):
        return subprocess.run([self.root / "scripts" / script, *arguments], text=True, capture_output=True, check=False)

    def install(self, *more):
        return self.run("install", f"--destdir={self.target}", f"--build={BUILD}", *more)

    def files(self):
        return {str(path.relative_to(self.target)): path.read_bytes() for path in self.target.rglob("*") if path.is_file()}

    def names(self, script):
        return [subprocess.check_output([script, family], text=True) for family in FAMILIES]


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def installed(tree, *more):
    done = tree.install(*more)
    assert done.returncode == 0, done.stderr


def test_an_upgrade_leaves_nothing_of_the_release_before(tree):
    old = [f"runtimes/{family}/old/file.txt" for family in FAMILIES]
    for path in old:
        (tree.root / path).parent.mkdir()
        (tree.root / path).write_text("of the release before")
    installed(tree)
    assert all(f"{LIB}/{path}" in tree.files() for path in old)
    made = tree.target / LIB / "runtimes/nodejs/node_modules/made-here"  # by building an image: stays
    made.parent.mkdir()
    made.write_text("")
    configuration = tree.target / "etc/narae/naraed.conf"
    configuration.write_text("log-level = warn\n")
    for path in old:
        shutil.rmtree((tree.root / path).parent)
    installed(tree)
    assert not [path for path in tree.target.rglob("old*")] and made.exists()
    assert configuration.read_text() == "log-level = warn\n"
    assert tree.names(tree.root / "scripts/image-name") == tree.names(tree.target / LIB / "scripts/image-name")
    listed = set((tree.target / LIB / "installed").read_text().split())
    assert listed == {"/" + path for path in tree.files() if not path.startswith("etc/") and "node_modules" not in path}


def test_what_is_refused_changes_nothing(tree):
    installed(tree)
    (tree.root / "CHANGES.md").write_text("a new release")
    before = tree.files()
    refused = tree.install("--build=/nowhere")
    assert refused.returncode == 1 and "no naraed in /nowhere" in refused.stderr
    assert tree.files() == before
    stranger = tree.target / LIB / "runtimes/go/mine.txt"  # would give the image another name
    stranger.write_text("")
    refused = tree.install()
    assert refused.returncode == 1 and f"{stranger} is part of no installation" in refused.stderr
    stranger.unlink()
    assert tree.files() == before
    installed(tree)
    assert tree.files()["usr/local/share/doc/narae/CHANGES.md"] == b"a new release"


def test_uninstall_leaves_what_is_not_its_own(tree):
    there = [tree.target / "usr/local" / folder for folder in ("share/man/man1", "sbin", "lib/systemd/system")]
    for folder in there:
        folder.mkdir(parents=True)
    installed(tree)
    (tree.target / "usr/local/sbin/another").write_text("")
    configuration = tree.target / "etc/narae/naraed.conf"
    configuration.write_text(configuration.read_text() + "log-level = warn\n")
    assert tree.install("--uninstall").returncode == 0
    assert set(tree.files()) == {"etc/narae/naraed.conf", "usr/local/sbin/another"}
    assert all(folder.is_dir() for folder in there)
    assert not [path for path in tree.target.rglob("narae") if path != tree.target / "etc/narae"]
    again = tree.install("--uninstall")
    assert again.returncode == 1 and "nothing is installed" in again.stderr


def test_missing_images_are_named(tree):
    def missing():
        done = tree.run("images", "--missing")
        assert done.returncode == (1 if done.stdout else 0), done.stderr
        return set(done.stdout.split())

    def has(family):
        return any(tag.startswith(f"narae/{family}:") for image in engine("/images/json") for tag in image.get("RepoTags") or [])

    assert missing() <= set(FAMILIES)
    for family in FAMILIES:
        (tree.root / "runtimes" / family / "new.txt").write_text("of another release")
    assert missing() == {family for family in FAMILIES if family in DEFAULT or has(family)}
    nobody = subprocess.run([tree.root / "scripts/images", "--missing"], env={**os.environ, "NARAE_DOCKER": "/nowhere/docker.sock"},
                            text=True, capture_output=True, check=False)
    assert nobody.returncode == 2 and nobody.stdout == ""
