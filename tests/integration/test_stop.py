"""How a platform stops: its containers go at once, whatever they were doing."""
import time

from conftest import SLOW, within

ECHO = "def main(args):\n    return args\n"


def state(own, name):
    answer = own.request("GET", "/narae/v1/invokers", auth=own.admin_auth).json
    return (answer["invokers"][0] if "invokers" in answer else answer)["containers_by_state"][name]


def test_twenty_idle_containers_stems_and_network_slots_are_gone_in_seconds(start_platform):
    own = start_platform("--freeze-after-ms=300")
    for i in range(20):
        own.put(f"f{i}", ECHO, limits={"memory": 64})
        assert own.invoke(f"f{i}", {"i": i}).json["response"]["result"] == {"i": i}
    within(30, "all are frozen", lambda: state(own, "frozen") == 20)
    begun = time.monotonic()
    own.stop()  # exit status 0, nothing left
    assert time.monotonic() - begun < 20 * SLOW
    assert "could not be removed" not in own.said()
