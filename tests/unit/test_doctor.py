"""What `glimpse doctor` makes of what it found."""

from typing import Any

import pytest

from tui.commands.doctor import is_well, show
from tui.peer.doctor import Mapping, families_of, mapping_of

BOUND = ("192.0.2.10", 4000)


@pytest.mark.parametrize(
    ("seen", "nodes", "mapping"),
    [
        pytest.param([], 0, Mapping.UNKNOWN, id="nobody tells"),
        pytest.param([BOUND], 3, Mapping.NONE, id="as it is"),
        pytest.param([("198.51.100.7", 9000)], 3, Mapping.ENDPOINT_INDEPENDENT, id="one for all"),
        pytest.param([("198.51.100.7", 9000)], 1, Mapping.UNKNOWN, id="one node says nothing of others"),
        pytest.param([("198.51.100.7", 9000), ("198.51.100.7", 9001)], 2, Mapping.DEPENDENT, id="port by port"),
        pytest.param([("198.51.100.7", 9000), ("198.51.100.8", 9000)], 2, Mapping.DEPENDENT, id="a pool of addresses"),
        pytest.param(
            [("198.51.100.7", 9000), ("2001:db8::7", 4000)], 2, Mapping.ENDPOINT_INDEPENDENT, id="one for each family"
        ),
    ],
)
def test_what_nodes_see_tells_what_a_translator_does(seen: list[tuple[str, int]], nodes: int, mapping: Mapping) -> None:
    assert mapping_of(seen, BOUND, nodes) is mapping


def test_families() -> None:
    assert families_of([("2001:db8::1", 1), ("192.0.2.1", 1), ("192.0.2.2", 1)]) == ("IPv4", "IPv6")


def told(**changes: Any) -> dict[str, Any]:
    address = {"address": "cloud.example:47600", "hosts": ["192.0.2.1"], "rtt_ms": 12.34, "trouble": ""}
    return {
        "nodes": [{"name": "n1", "answers": True, "addresses": [address], "seen": "198.51.100.7:9000"}],
        "families": ["IPv4"],
        "translator": Mapping.ENDPOINT_INDEPENDENT.value,
        "seen": ["198.51.100.7:9000"],
        "clock_ahead_s": 0.2,
        "advice": [],
        **changes,
    }


def test_all_is_well() -> None:
    assert is_well(told())
    assert show(told(), as_json=False).splitlines() == [
        "n1        cloud.example:47600 = 192.0.2.1: answers in 12.3 ms",
        "families  IPv4",
        "clock     agrees with the cloud's",
        "router    one address for all (198.51.100.7:9000): direct paths to others can be opened",
        "",
        "All is well.",
    ]


def test_what_is_wrong_is_told_with_what_to_change() -> None:
    silent = {"address": "[2001:db8::1]:47600", "hosts": ["2001:db8::1"], "rtt_ms": None, "trouble": "No path."}
    found = told(
        nodes=[{"name": "n1", "answers": False, "addresses": [silent], "seen": None}],
        translator="unknown",
        seen=[],
        clock_ahead_s=-90.0,
        families=[],
        peer={"account": 7, "name": "be\x1bn", "path": "", "took_s": 5.0, "trouble": "Ben is away."},
        advice=["n1, [2001:db8::1]:47600: No path."],
    )
    assert not is_well(found)
    lines = show(found, as_json=False).splitlines()
    assert lines[0] == "n1        [2001:db8::1]:47600: no answer"
    assert "families  none that others could reach" in lines
    assert "clock     90 s ahead of the cloud's" in lines
    assert "\x1b" not in "".join(lines)
    assert lines[-2:] == ["What to change:", "- n1, [2001:db8::1]:47600: No path."]
