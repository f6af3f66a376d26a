"""Who was heard when, in which incarnation and with what load; and whether this node is cut off from the rest.

A node may hold the lease only if it is connected: as leader, if another node acknowledged one of its heartbeats lately;
as claimant, if it heard another node lately. Alone it may lead only if the directory's rows of the others show that
nobody else hears anybody. Otherwise a node whose network is broken, but whose way to the directory is not, would keep
the lease for ever. Incarnations follow SWIM: what an earlier life of a node sent is ignored.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from node.coordination import NodeState
from shared.config import Timing

ROW_STALE_HEARTBEATS = 8
"""A row of the directory that did not move for this long, while the directory was being read, is stale."""
ROW_GAP_HEARTBEATS = 4
"""A longer pause between two readings counts as time without a directory, which makes no row stale."""
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One row of the directory's table of nodes."""

    node: str
    beat: float
    """Any value that changes each time the node renews its row, such as the directory's time of it."""
    hears: bool = False
    """Whether it hears any other node."""
    incarnation: int = 0


@dataclass(slots=True)
class _Member:
    """What this node knows of another."""

    node: str
    incarnation: int = 0
    heard_at: float = _NEVER
    acked_at: float = _NEVER
    rtt_s: float | None = None
    load1: float = 0.0
    cores: int = 1
    in_flight: int = 0
    fit: bool = True
    row: MemberRow | None = None
    row_unchanged_s: float = 0.0


@dataclass(slots=True)
class Membership:
    """The other nodes as `me` sees them. Times in seconds of the caller's clock."""

    me: str
    nodes: Sequence[str]
    timing: Timing
    _members: dict[str, _Member] = field(init=False)
    _rows_at: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._members = {node: _Member(node) for node in self.nodes if node != self.me}

    @property
    def others(self) -> tuple[str, ...]:
        """Every other node, in address order."""
        return tuple(self._members)

    def heard(self, sender: str, incarnation: int, now: float) -> bool:
        """Note a sign of life; False if it comes from an earlier life of the sender, or from no node of the cluster."""
        member = self._members.get(sender)
        if member is None or incarnation < member.incarnation:
            return False
        if incarnation > member.incarnation:
            member.incarnation, member.acked_at, member.rtt_s = incarnation, _NEVER, None
        member.heard_at = now
        return True

    def known(self, node: str) -> int | None:
        """Return the incarnation by which another node is known; None for no node of the cluster."""
        member = self._members.get(node)
        return None if member is None else member.incarnation

    def acked(self, sender: str, sent_at: float, now: float) -> None:
        """Note that `sender` acknowledged a heartbeat that was sent at `sent_at`."""
        member = self._members[sender]
        member.acked_at = max(member.acked_at, sent_at)
        member.rtt_s = now - sent_at

    def loaded(self, sender: str, load1: float, cores: int, in_flight: int, *, fit: bool) -> None:
        """Note what `sender` says of its load."""
        member = self._members[sender]
        member.load1, member.cores, member.in_flight, member.fit = load1, cores, in_flight, fit

    def hears(self, now: float) -> frozenset[str]:
        """Return the nodes heard within the gate: what this node writes into its row of the directory."""
        return frozenset(member.node for member in self._members.values() if now - member.heard_at <= self._gate_s)

    def acknowledged(self, since: float, now: float) -> bool:
        """Return whether a heartbeat sent within the gate was acknowledged, or the leadership is younger than that."""
        return now - max([since, *(member.acked_at for member in self._members.values())]) <= self._gate_s

    def alone(self) -> bool:
        """Return whether every other node's row is stale or hears nobody, so that this node may lead unheard."""
        return all(self._gone(member) for member in self._members.values())

    def rows(self, rows: Iterable[MemberRow], now: float) -> None:
        """Feed the directory's table of nodes, freshly read. A node without a row counts as gone."""
        passed = 0.0 if self._rows_at is None else now - self._rows_at
        if passed > ROW_GAP_HEARTBEATS * self.timing.heartbeat_s:
            passed = 0.0
        self._rows_at = now
        found = {row.node: row for row in rows}
        for member in self._members.values():
            row = found.get(member.node)
            if row is not None and (member.row is None or row.beat != member.row.beat):
                member.row_unchanged_s = 0.0
            else:
                member.row_unchanged_s += passed
            member.row = row

    def state(self, node: str, now: float) -> NodeState:
        """Return what is known of another node at first hand."""
        member = self._members[node]
        return NodeState(
            node, member.incarnation, now - member.heard_at, member.load1, member.cores, member.in_flight, member.fit
        )

    def rtt_s(self, node: str) -> float | None:
        """Return the last round trip of a heartbeat to `node`, if this node led and was acknowledged."""
        member = self._members.get(node)
        return None if member is None else member.rtt_s

    @property
    def _gate_s(self) -> float:
        return self.timing.gate_heartbeats * self.timing.heartbeat_s

    def _gone(self, member: _Member) -> bool:
        if self._rows_at is None:
            return False
        stale = member.row_unchanged_s > ROW_STALE_HEARTBEATS * self.timing.heartbeat_s
        return stale or (member.row is not None and not member.row.hears)
