"""How the files of this folder share a machine: which begin first, which are never at the same time, which have it to themselves.

`pytest -n 2` (xdist) gives each worker whole files. A file has platforms, folders, ports, images and names of its own, so two may
run beside each other; what they still share stands here. Without -n all run one after the other.

A new file needs no line here unless it asserts something that another file's containers would change (ALONE), uses a name or an
address of the host that another file uses too (SHARED), or takes more than half a minute (FIRST).
"""
import pathlib

import pytest

# What they say is true of a machine on which nothing else runs.
ALONE = {
    "test_load": "slow callbacks of the loop are counted, and none is allowed",
    "test_logs_million": "a million lines at the rate that the machine has",
    "test_preenv": "sizes are chosen by how long calls take",
    "test_samples": "how much of a processor a function got, which others would take from it",
}
# Files that use the same thing of the host, by what it is: never at the same time, one worker takes them all.
SHARED = {
    "test_grants": "the outside world's addresses",
    "test_network": "the outside world's addresses",
}
# The longest begin first, lest one worker is left with them. Those that mostly wait stand beside those that work.
FIRST = ["test_faults_engine", "test_scaling_kafka", "test_kafka", "test_schemathesis", "test_faults_containers", "test_scaling_roles",
         "test_monitor", "test_adoption", "test_scaling", "test_freeze"]


def file_of(nodeid):
    return pathlib.PurePath(nodeid.split("::")[0]).stem


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: has the machine to itself")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Marks those that have the machine to themselves (`-m alone`), and sorts whole files; the order within a file stays."""
    for item in items:
        if file_of(item.nodeid) in ALONE:
            item.add_marker("alone")
    rank = {name: n for n, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(file_of(item.nodeid), len(FIRST)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Whole files, and those that share something as if they were one."""
    from xdist.scheduler import LoadScopeScheduling  # only there with -n

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return SHARED.get(file_of(nodeid), file_of(nodeid))
    return Files(config, log)
