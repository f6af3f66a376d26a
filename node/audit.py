"""How every node gets to know what operators did: each record is sent to each node until that one has it.

The node that was given an order makes a record and tells the others; each that has written it says so to all. A node
that knows of one that lacks a record sends it, so a record reaches a node that was down or deaf even if the one that
made it is gone by then. Who made it begins at once, the rest wait a while, since it is usually not needed.

Bounds: a node offers the last `KEPT_RECORDS` records, each for `KEPT_S` from when it got it; older ones stay in its
file only. At most `PER_ROUND` go to one node at a time, less and less often while it does not answer.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from shared.config import Timing
from shared.wire.node_messages import Audited, AuditHeld, AuditRecord, ElectionMessage, NodeMessage

KEPT_RECORDS = 256
KEPT_S = 24 * 3600.0
PER_ROUND = 8
REMEMBERED_RECORDS = 2_048
"""Records that are recognised when they come again."""
_RELAY_HEARTBEATS = 8
_LONGEST_HEARTBEATS = 40
_FOREVER = float("inf")

RecordId = tuple[str, int, int]


def id_of(record: AuditRecord) -> RecordId:
    """Return what identifies a record everywhere."""
    return record.node, record.incarnation, record.number


@dataclass(slots=True)
class _Offer:
    """A record that this node has, and who lacks it as far as is known here."""

    record: AuditRecord
    got_at: float
    lacking: set[str]


@dataclass(slots=True)
class _Other:
    """When another node is sent what it lacks."""

    incarnation: int = 0
    due: float = _FOREVER
    wait_s: float = 0.0


@dataclass(slots=True)
class Replication:
    """One node's part. Feed records, messages and ticks; take sends, and records to be written. Times in seconds."""

    me: str
    nodes: Sequence[str]
    timing: Timing
    _offers: OrderedDict[RecordId, _Offer] = field(default_factory=OrderedDict)
    _known: OrderedDict[RecordId, None] = field(default_factory=OrderedDict)
    _others: dict[str, _Other] = field(init=False)
    _sends: list[tuple[str, NodeMessage]] = field(default_factory=list)
    _to_write: list[AuditRecord] = field(default_factory=list)
    _waiting: dict[RecordId, set[str]] = field(default_factory=dict)
    """Records that are being written here, and who has them."""

    def __post_init__(self) -> None:
        self._others = {node: _Other() for node in self.nodes if node != self.me}

    def restore(self, records: Iterable[AuditRecord], now: float) -> None:
        """Feed what this node's file had at its start; it is offered to all, who mostly have it."""
        for record in records:
            self._remember(id_of(record))
            self._offer(record, set(), now, self._relay_s)

    def made(self, record: AuditRecord, now: float) -> None:
        """This node was given an order and has written the record of it."""
        self._remember(id_of(record))
        self._offer(record, set(), now, 0.0)

    def written(self, record: AuditRecord, now: float) -> None:
        """A record out of `take_records` is in this node's file."""
        key = id_of(record)
        having = self._waiting.pop(key, set())
        self._remember(key)
        self._offer(record, having, now, self._relay_s)
        for node in self._others:
            self._say_held(node, key)

    def not_written(self, record: AuditRecord) -> None:
        """It could not be written: it is taken again when it comes again."""
        self._waiting.pop(id_of(record), None)

    def receive(self, sender: str, message: NodeMessage, now: float) -> None:
        """Feed a message from another node. Kinds that are not about audit only show that it is there."""
        other = self._others.get(sender)
        if other is None:
            return
        match message:
            case Audited():
                self._on_record(sender, message.record)
            case AuditHeld():
                self._has(sender, (message.node, message.incarnation, message.number))
            case ElectionMessage() if message.incarnation > other.incarnation:
                other.incarnation = message.incarnation
                if other.due < _FOREVER:
                    other.due, other.wait_s = now, self.timing.heartbeat_s
            case _:
                pass

    def tick(self, now: float) -> None:
        """Let time pass: call at `next_deadline` or later."""
        for node, other in self._others.items():
            if now < other.due:
                continue
            self._drop_old(now)
            lacked = [offer.record for offer in self._offers.values() if node in offer.lacking]
            self._sends.extend((node, Audited(record=record)) for record in lacked[:PER_ROUND])
            other.wait_s = min(2 * other.wait_s, _LONGEST_HEARTBEATS * self.timing.heartbeat_s)
            other.due = now + other.wait_s if lacked else _FOREVER

    def next_deadline(self) -> float:
        """Return when `tick` is to be called at the latest."""
        return min((other.due for other in self._others.values()), default=_FOREVER)

    def take_sends(self) -> list[tuple[str, NodeMessage]]:
        """Return and forget the messages to be sent, each with the node it goes to."""
        sends, self._sends = self._sends, []
        return sends

    def take_records(self) -> list[AuditRecord]:
        """Return and forget what is to be written to this node's file; then call `written` or `not_written`."""
        records, self._to_write = self._to_write, []
        return records

    def lacking(self, node: str) -> int:
        """Return how many records `node` lacks, as far as is known here."""
        return sum(node in offer.lacking for offer in self._offers.values())

    def _on_record(self, sender: str, record: AuditRecord) -> None:
        key = id_of(record)
        if key in self._known:
            self._has(sender, key)
            self._say_held(sender, key)
        elif key in self._waiting:
            self._waiting[key].add(sender)
        elif len(self._waiting) < KEPT_RECORDS:
            self._waiting[key] = {sender}
            self._to_write.append(record)

    def _has(self, node: str, key: RecordId) -> None:
        if key in self._waiting:
            self._waiting[key].add(node)
        offer = self._offers.get(key)
        if offer is None or node not in offer.lacking:
            return
        offer.lacking.discard(node)
        if not offer.lacking:
            del self._offers[key]
        # It is there, so what else it lacks can follow; its own answers set the pace.
        other = self._others[node]
        other.wait_s = self.timing.heartbeat_s

    def _offer(self, record: AuditRecord, having: set[str], now: float, delay_s: float) -> None:
        lacking = set(self._others) - having
        if not lacking:
            return
        self._offers[id_of(record)] = _Offer(record, now, lacking)
        if len(self._offers) > KEPT_RECORDS:
            self._offers.popitem(last=False)
        for node in lacking:
            other = self._others[node]
            if now + delay_s < other.due:
                other.due, other.wait_s = now + delay_s, self.timing.heartbeat_s / 2

    def _say_held(self, node: str, key: RecordId) -> None:
        self._sends.append((node, AuditHeld(node=key[0], incarnation=key[1], number=key[2])))

    def _remember(self, key: RecordId) -> None:
        self._known[key] = None
        if len(self._known) > REMEMBERED_RECORDS:
            self._known.popitem(last=False)

    def _drop_old(self, now: float) -> None:
        while self._offers:
            key, offer = next(iter(self._offers.items()))
            if now - offer.got_at <= KEPT_S:
                break
            del self._offers[key]

    @property
    def _relay_s(self) -> float:
        return _RELAY_HEARTBEATS * self.timing.heartbeat_s
