"""Fixtures of the runtimes' contract: containers that go when their test ends, and none left at the end of all.

environment: NARAE_BUILD   folder of narae-agent (default: build/ of the tree)
             NARAE_DOCKER  socket of the Engine (default: /var/run/docker.sock)
"""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from containers import LABEL, engine  # noqa: E402
from flavours import flavours  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def no_leftovers():
    engine("GET", "/_ping")  # no Engine: every test fails here, none is skipped
    yield
    left = engine("GET", '/containers/json?all=true&filters={"label":["%s=%s"]}' % LABEL)
    for c in left:
        engine("DELETE", "/containers/%s?force=true" % c["Id"])
    assert not left


@pytest.fixture(params=flavours(), ids=lambda f: f.name)
def flavour(request):
    return request.param


@pytest.fixture
def start():
    """Starts containers that go when the test ends."""
    made = []

    def start_(flavour, **more):
        made.append(flavour.start(**more))
        return made[-1]
    yield start_
    for container in made:
        container.close()


@pytest.fixture
def fn(flavour, start):
    """A container with the function of all cases loaded."""
    container = start(flavour)
    reply = flavour.init(container)
    assert (reply.failed, reply.verdict, reply.init_done) == (False, 0, b""), reply.log
    return container
