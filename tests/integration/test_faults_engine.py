"""Faults of the Engine, one round each, in a private one: stopped, killed, frozen, restarted, slow, answering nonsense."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "faults"))
from fault_table import FAULTS, run_fault  # noqa: E402
from fault_world import Worlds  # noqa: E402


@pytest.fixture(scope="module")
def worlds():
    with Worlds() as made:
        yield made


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.where != "stock" and f.short],
                         ids=lambda f: f.name)
def test_fault(worlds, fault):
    run_fault(worlds.of(fault.where), fault)
