"""Which node gets the next request."""

import pytest

from node.placement import Placement, Policy

NODES = ("a", "b", "c")


def placement(policy: Policy = Policy.LEAST_COST, **loads: float) -> Placement:
    places = Placement("a", NODES, policy)
    for node in NODES:
        places.update(node, loads.get(node, 0.0), 1, 0, alive=True)
    return places


@pytest.mark.parametrize(
    ("policy", "loads", "expected"),
    [
        (Policy.LEAST_COST, {}, "aabbcc"),
        (Policy.LEAST_COST, {"a": 4.0}, "bcbcab"),
        (Policy.PRIORITY, {"a": 1.0, "b": 0.5, "c": 2.0}, "bbbbbb"),
        (Policy.ROUND_ROBIN, {"a": 9.0}, "abcabc"),
    ],
)
def test_policies(policy: Policy, loads: dict[str, float], expected: str) -> None:
    places = placement(policy, **loads)
    chosen = []
    for _ in expected:
        node = places.choose(NODES, 0.0)
        assert node is not None
        places.count(node, 1)
        chosen.append(node)
    assert sorted(chosen) == sorted(expected)


def test_only_living_candidates_are_chosen() -> None:
    places = placement()
    assert places.choose({"b", "c"}, 0.0) == "b"
    assert places.update("b", 0.0, 1, 0, alive=False), "it died"
    assert not places.update("b", 0.0, 1, 0, alive=False), "only once"
    assert places.choose({"b", "c"}, 0.0) == "c"
    assert places.choose({"b"}, 0.0) is None


def test_who_failed_lately_comes_last() -> None:
    places = placement()
    places.doubt("a", until=1.0)
    assert places.choose(NODES, 0.5) == "b"
    assert places.choose({"a"}, 0.5) == "a"
    assert places.choose(NODES, 1.0) == "a"


def test_work_that_was_not_heard_of_counts() -> None:
    places = placement()
    places.count("b", 2)
    places.update("b", 0.0, 1, 5, alive=True)
    assert places.cost("b") == 6.0
    places.update("b", 0.0, 1, 1, alive=True)
    assert places.cost("b") == 3.0, "the own count is fresher than a report that is lower"


def test_the_line_leaves_out_the_leader_and_the_dead() -> None:
    places = placement(a=1.0)
    assert places.line(None) == ["b", "c", "a"]
    places.update("c", 0.0, 1, 0, alive=False)
    assert places.line("b") == ["a"]
