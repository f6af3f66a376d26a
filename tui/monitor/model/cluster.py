"""The cluster as a whole: who leads, whether anything answers, how the directory is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from node.coordination import cost, priority
from tui.monitor.model.events import one_line
from tui.monitor.model.nodes import DONE, FAILED, REFUSED, Badge, NodeRecord, Presence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.wire import feed_messages as feed
    from shared.wire.node_messages import TableRow
    from tui.monitor.node_index import NodeIndex

CANNOT_WRITE = "cannot write its directory"
"""Trouble of a node that reads the directory, and so looks well otherwise."""
DIRECTORY_STALE_S = 5.0
"""The directory is told of once a second; what is older than this is no longer counted."""


class ClusterState(StrEnum):
    """What there is to say first of all."""

    LOOKING = "looking for the nodes"
    """The monitor has begun and heard nobody yet."""
    SILENT = "nothing answers"
    LED = "led"
    LEADERLESS = "no leader"


@dataclass(frozen=True, slots=True)
class DirectoryData:
    """The directory as the nodes see it."""

    engine: str
    """Empty before anybody told."""
    reached_by: tuple[str, ...]
    missed_by: tuple[tuple[str, str], ...]
    """Nodes that do not reach it or cannot write it, each with its error."""
    latency_ms: float | None
    """Mean of those that reach it."""
    unwritable: tuple[str, ...] = ()
    """Those of `missed_by` that it answers, but that cannot write it."""

    @property
    def ok(self) -> bool:
        """Whether some node reaches it."""
        return bool(self.reached_by)


@dataclass(frozen=True, slots=True)
class ClusterData:
    """What the sentence above the panels says. Times in seconds of the monitor's clock."""

    state: ClusterState
    since: float | None
    """Since when that is so; None if it is not known."""
    leader: int | None
    leader_name: str
    """The leader's; of `LEADERLESS`, of the last one; a dash if there was none."""
    former_fate: str
    """Of `LEADERLESS`: what became of the last leader (`is deaf`, `does not answer`, `stepped down`), or empty."""
    electing: tuple[str, ...]
    """Nodes that are about to find a leader."""
    term: int
    nodes_up: int
    nodes: int
    directory: DirectoryData
    clients: int
    """Accounts with a session at some node."""
    requests_done: int
    """Answered over all lives of the nodes that this monitor saw, and before in the ones it met."""
    refused: int
    failed: int
    """Given back by a node that could not serve them: another one should."""
    requests_per_s: float
    policy: str
    token: str | None
    """Holder of the token of the failure simulation; None while it does not go round."""
    token_s: float
    """How long it keeps it."""


@dataclass(frozen=True, slots=True)
class TableLine:
    """One node in the coordination table."""

    place: int
    name: str
    rank: int | None
    """0 the leader, 1 next in line; None: not fit, or silent."""
    badge: Badge
    load1: float
    in_flight: int
    cost: float
    priority: float
    heard_s: float
    """Since the leader heard it."""
    fit: bool


@dataclass(frozen=True, slots=True)
class TableData:
    """The coordination table in order: the leader first, then the line of succession, then who is not fit."""

    term: int
    told_by: int | None
    """The node whose copy this is: the leader's, if that answers."""
    lines: tuple[TableLine, ...]


NO_TABLE = TableData(0, None, ())


def leader_of(records: Sequence[NodeRecord]) -> NodeRecord | None:
    """Return the node that leads and may act as leader; of several, the one of the highest term."""
    leading = [
        record
        for record in records
        if record.presence is Presence.UP
        and record.state is not None
        and record.state.standing.role == "leader"
        and record.state.standing.trusts_lease
    ]
    return max(leading, key=_term, default=None)


def directory_of(records: Sequence[NodeRecord], node_index: NodeIndex, now: float) -> DirectoryData:
    """Return what the nodes that answer say of the directory."""
    told = [
        (record.place, record.directory)
        for record in records
        if record.presence is Presence.UP
        and record.directory is not None
        and now - record.directory_at <= DIRECTORY_STALE_S
    ]
    latencies = [message.latency_ms for _, message in told if message.ok and message.latency_ms is not None]
    return DirectoryData(
        one_line(told[0][1].engine) if told else "",
        tuple(node_index.name(place) for place, message in told if message.ok),
        tuple((node_index.name(place), one_line(message.error)) for place, message in told if not message.ok),
        sum(latencies) / len(latencies) if latencies else None,
        tuple(node_index.name(place) for place, message in told if cannot_write(message)),
    )


def directory_trouble(record: NodeRecord, now: float) -> str:
    """Return what a node said lately is wrong between it and the directory, nothing where all is well."""
    told = record.directory
    if told is None or told.ok or now - record.directory_at > DIRECTORY_STALE_S:
        return ""
    return CANNOT_WRITE if cannot_write(told) else "directory does not answer"


def cannot_write(message: feed.FeedDirectory) -> bool:
    """Tell whether a node reads the directory but cannot write it."""
    return not message.ok and not message.writable and message.latency_ms is not None


def table_of(records: Sequence[NodeRecord], last_leader: int | None, node_index: NodeIndex, now: float) -> TableData:
    """Return the coordination table: the leader's own, or the newest that anybody holds.

    Without a leader, `last_leader` is in no line: the others are its heirs.
    """
    holders = [record for record in records if record.presence is Presence.UP and record.table is not None]
    leader = leader_of(records)
    teller = leader if leader in holders else max(holders, key=_table_order, default=None)
    if teller is None or teller.table is None:
        return NO_TABLE
    table = teller.table
    age_s = table.age_ms / 1000 + max(0.0, now - teller.table_at)
    rows = {row.place: row for row in table.rows if row.place < len(records)}
    ranks = _ranks(rows, leader, last_leader, node_index.timing.suspect_s)
    ordered = sorted(rows, key=lambda place: (ranks[place] is None, ranks[place] or 0))
    lines = tuple(_line(rows[place], ranks[place], records[place], node_index, age_s) for place in ordered)
    return TableData(table.term, teller.place, lines)


def totals_of(records: Sequence[NodeRecord]) -> tuple[int, int, int]:
    """Return requests answered, refused and given back, over all nodes."""
    done, refused, failed = (
        int(sum(record.totals.total(index) for record in records)) for index in (DONE, REFUSED, FAILED)
    )
    return done, refused, failed


def _ranks(
    rows: dict[int, TableRow], leader: NodeRecord | None, last_leader: int | None, alive_s: float
) -> dict[int, int | None]:
    """Return everybody's place in the line; who is not fit, or was not heard when the table was made, has none."""
    ranks: dict[int, int | None] = {}
    rank = 1
    for place, row in rows.items():
        if leader is not None and place == leader.place:
            ranks[place] = 0
        elif row.fit and row.heard_ms <= 1000 * alive_s and (leader is not None or place != last_leader):
            ranks[place], rank = rank, rank + 1
        else:
            ranks[place] = None
    return ranks


def _line(row: TableRow, rank: int | None, record: NodeRecord, node_index: NodeIndex, age_s: float) -> TableLine:
    return TableLine(
        row.place,
        node_index.name(row.place),
        rank,
        record.badges()[0],
        row.load1,
        row.in_flight,
        cost(row.load1, row.cores, row.in_flight),
        priority(row.load1),
        0.0 if rank == 0 else row.heard_ms / 1000 + age_s,
        row.fit,
    )


def _term(record: NodeRecord) -> int:
    return 0 if record.state is None else record.state.standing.term


def _table_order(record: NodeRecord) -> tuple[int, float]:
    assert record.table is not None
    return record.table.term, record.table_at - record.table.age_ms / 1000
