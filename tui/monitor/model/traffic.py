"""Requests in numbers: what happened to them, how fast they were answered, of all nodes and of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.wire.feed_messages import Happening
from tui.monitor.model.nodes import NodeRecord, Presence
from tui.monitor.model.requests import operation_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.monitor.model.series import Latency, LatencyWindow
    from tui.monitor.node_index import NodeIndex


@dataclass(frozen=True, slots=True)
class HappeningCount:
    """How often something happened: in all, and per second over the last three."""

    what: Happening
    total: int
    per_s: float


@dataclass(frozen=True, slots=True)
class NodeTraffic:
    """What one node had to do with requests."""

    place: int
    name: str
    presence: Presence
    counts: tuple[HappeningCount, ...]
    """By `Happening`."""
    in_flight: int
    latency: Latency
    """Of the last minute."""

    def count(self, what: Happening) -> HappeningCount:
        """Return how often something happened here."""
        return self.counts[what - 1]


@dataclass(frozen=True, slots=True)
class KindTraffic:
    """Answered requests of one kind of operation, since the nodes' present lives began."""

    operation: int
    kind: str
    served: int
    refused: int
    mean_ms: float | None


@dataclass(frozen=True, slots=True)
class TrafficData:
    """Requests in numbers."""

    nodes: tuple[NodeTraffic, ...]
    """By place."""
    counts: tuple[HappeningCount, ...]
    """By `Happening`, over all nodes."""
    kinds: tuple[KindTraffic, ...]
    """Most served first."""
    latency: Latency
    """Of the last minute, over all nodes."""

    def count(self, what: Happening) -> HappeningCount:
        """Return how often something happened, over all nodes."""
        return self.counts[what - 1]


def traffic_of(records: Sequence[NodeRecord], latency: LatencyWindow, node_index: NodeIndex, now: float) -> TrafficData:
    """Return the numbers as they stand."""
    nodes = tuple(_node(record, node_index, now) for record in records)
    counts = tuple(
        HappeningCount(
            what, sum(node.count(what).total for node in nodes), sum(node.count(what).per_s for node in nodes)
        )
        for what in Happening
    )
    return TrafficData(nodes, counts, _kinds(records), latency.read(now))


def _node(record: NodeRecord, node_index: NodeIndex, now: float) -> NodeTraffic:
    up = record.presence is Presence.UP
    counts = tuple(
        HappeningCount(what, int(record.happenings.total(what)), record.happenings.rate(what) if up else 0.0)
        for what in Happening
    )
    work = record.state.work if up and record.state is not None else None
    return NodeTraffic(
        record.place,
        node_index.name(record.place),
        record.presence,
        counts,
        work.in_flight if work else 0,
        record.latency.read(now),
    )


def _kinds(records: Sequence[NodeRecord]) -> tuple[KindTraffic, ...]:
    sums: dict[int, list[int]] = {}
    for kind in (kind for record in records for kind in record.kinds):
        known = sums.setdefault(kind.operation, [0, 0, 0])
        for index, value in enumerate((kind.served, kind.refused, kind.latency_sum_ms)):
            known[index] += value
    rows = [
        KindTraffic(
            operation,
            operation_name(operation),
            served,
            refused,
            sum_ms / (served + refused) if served + refused else None,
        )
        for operation, (served, refused, sum_ms) in sums.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.served, row.operation)))
