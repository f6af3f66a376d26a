"""The coordination table: the leader's ordered list of nodes, which is the line of succession, and the cost behind it.

Cost orders nodes for work and for succession: least outstanding work, weighted by how busy the machine is. load1 is
weighted only lightly because it moves every five seconds at most: a policy that follows it alone sends everybody to
whoever was idle a moment ago.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.wire.node_messages import MAX_ORDER, TableRow

MAX_LOAD_PER_CORE: Final = 4.0
"""Load beyond this no longer counts: a machine with a stuck disk is not infinitely bad."""
MIN_PRIORITY_LOAD: Final = 0.01
"""Keeps the priority of an idle machine finite."""
_MAX_AGE_MS: Final = 9_999_999


def cost(load1: float, cores: int, in_flight: int) -> float:
    """Return (1 + in_flight) x (1 + min(load1 / cores, 4) / 4): 1 for an idle node, lower is better."""
    return (1 + in_flight) * (1 + min(load1 / cores, MAX_LOAD_PER_CORE) / MAX_LOAD_PER_CORE)


def priority(load1: float) -> float:
    """Return 1 / load1, the reference's measure, at most 100; higher is better."""
    return 1 / max(load1, MIN_PRIORITY_LOAD)


def order_of(nodes: Sequence[str]) -> int:
    """Return a number by which nodes find out whether they count the places of a table alike: 1 to 65535.

    While a newer cluster file spreads, they may not.
    """
    return 1 + zlib.crc32("\n".join(nodes).encode()) % MAX_ORDER


@dataclass(frozen=True, slots=True)
class NodeState:
    """What is known of one node."""

    node: str
    incarnation: int = 0
    heard_age_s: float = float("inf")
    """Since it was last heard; infinite if never."""
    load1: float = 0.0
    cores: int = 1
    in_flight: int = 0
    fit: bool = True
    """It neither drains nor is cut off from the directory, and its requests do not stand still."""

    @property
    def cost(self) -> float:
        """Cost of giving it one more request."""
        return cost(self.load1, self.cores, self.in_flight)


@dataclass(frozen=True, slots=True)
class CoordinationTable:
    """Nodes in order of succession, as the leader of `term` saw them."""

    term: int = 0
    rows: tuple[NodeState, ...] = ()

    @classmethod
    def ordered(
        cls, term: int, states: Iterable[NodeState], places: Mapping[str, int], *, alive_s: float
    ) -> "CoordinationTable":
        """Sort `states`: those fit and heard within `alive_s` first, then by cost, then by address."""

        def key(state: NodeState) -> tuple[bool, float, int]:
            return not (state.fit and state.heard_age_s <= alive_s), round(state.cost, 6), places[state.node]

        return cls(term, tuple(sorted(states, key=key)))

    def line(self, leader: str | None) -> tuple[str, ...]:
        """Return the names in order of succession, without the leader."""
        return tuple(row.node for row in self.rows if row.node != leader)

    def row(self, node: str) -> NodeState | None:
        """Return what the table says of `node`."""
        return next((row for row in self.rows if row.node == node), None)

    def to_wire(self, places: Mapping[str, int]) -> tuple[TableRow, ...]:
        """Return the rows as they travel: nodes by place, ages in milliseconds, loads to two decimals."""
        return tuple(
            TableRow(
                places[row.node],
                row.incarnation,
                int(min(row.heard_age_s * 1000, _MAX_AGE_MS)),
                round(row.load1, 2),
                row.cores,
                row.in_flight,
                row.fit,
            )
            for row in self.rows
        )

    @classmethod
    def from_wire(cls, term: int, rows: Iterable[TableRow], nodes: Sequence[str]) -> "CoordinationTable":
        """Read rows from the wire; places beyond this cluster and repeated places are left out."""
        states: dict[str, NodeState] = {}
        for row in rows:
            if row.place < len(nodes):
                state = NodeState(
                    nodes[row.place], row.incarnation, row.heard_ms / 1000, row.load1, row.cores, row.in_flight, row.fit
                )
                states.setdefault(state.node, state)
        return cls(term, tuple(states.values()))
