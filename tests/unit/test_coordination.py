"""Cost, priority and the order of the coordination table."""

import pytest

from node.coordination import CoordinationTable, NodeState, cost, priority

NODES = ("a", "b", "c")
PLACES = {node: place for place, node in enumerate(NODES)}


@pytest.mark.parametrize(
    ("load1", "cores", "in_flight", "expected"),
    [(0, 1, 0, 1.0), (0, 1, 3, 4.0), (2, 2, 0, 1.25), (8, 2, 0, 2.0), (80, 2, 0, 2.0), (8, 2, 1, 4.0)],
)
def test_cost(load1: float, cores: int, in_flight: int, expected: float) -> None:
    assert cost(load1, cores, in_flight) == pytest.approx(expected)


@pytest.mark.parametrize(("load1", "expected"), [(0.0, 100.0), (0.5, 2.0), (4.0, 0.25)])
def test_priority(load1: float, expected: float) -> None:
    assert priority(load1) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([NodeState("b", heard_age_s=0), NodeState("a", heard_age_s=0)], ["a", "b"]),
        ([NodeState("a", heard_age_s=0, in_flight=1), NodeState("b", heard_age_s=0)], ["b", "a"]),
        ([NodeState("a", heard_age_s=0, load1=1.0), NodeState("b", heard_age_s=0)], ["b", "a"]),
        ([NodeState("a"), NodeState("b", heard_age_s=0, in_flight=9)], ["b", "a"]),
        ([NodeState("a", heard_age_s=0, fit=False), NodeState("b", heard_age_s=0, in_flight=9)], ["b", "a"]),
    ],
)
def test_order_is_alive_then_cost_then_address(states: list[NodeState], expected: list[str]) -> None:
    table = CoordinationTable.ordered(3, states, PLACES, alive_s=1.0)
    assert [row.node for row in table.rows] == expected


def test_a_table_survives_the_wire() -> None:
    states = [NodeState(node, place + 1, 0.25, 1.5, 4, place, node != "b") for node, place in PLACES.items()]
    table = CoordinationTable.ordered(7, states, PLACES, alive_s=1.0)
    assert CoordinationTable.from_wire(7, table.to_wire(PLACES), NODES) == table
    assert table.line("a") == ("c", "b")
    assert table.row("b") == states[1]
    assert table.row("z") is None


def test_rows_for_unknown_places_are_left_out() -> None:
    table = CoordinationTable.ordered(1, [NodeState(node) for node in NODES], PLACES, alive_s=1.0)
    assert [row.node for row in CoordinationTable.from_wire(1, table.to_wire(PLACES), ("a",)).rows] == ["a"]
