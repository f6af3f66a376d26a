"""What is seen of a node by those who watch it: everything that happens passes here once, counted and noted.

Counts and notices are kept from the node's start, watched or not, so that whoever comes later still sees the last
election. The single steps of requests are only kept while somebody watches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import RLock

from node.event_log import EventLog
from node.faults import Token
from node.heartbeat_stats import HeartbeatStats
from node.histogram import Histogram
from node.lease import (
    ClaimLease,
    LeaseAction,
    LeaseAnswer,
    LeaseLost,
    LeaseReleased,
    LeaseRenewed,
    LeaseUnknown,
    LeaseWon,
    ReleaseLease,
)
from node.request_sampler import RequestSampler
from node.roles import Deposed, ElectionEvent, LeaderChanged, RoleChanged
from shared.wire import node_messages as wire
from shared.wire.feed_messages import (
    AuditNotice,
    DeafNotice,
    ElectionNotice,
    Happening,
    LeaderNotice,
    LeaseNotice,
    RequestEvent,
    RestoredNotice,
    RoleNotice,
    TokenNotice,
)
from shared.wire.node_messages import AuditRecord, NodeMessage, RequestKey

_NAMES: dict[type, str] = {
    wire.CrashLeader: "CRASH_LEADER",
    wire.Ok: "OK",
    wire.LeaderIs: "LEADER_IS",
    wire.Election: "ELECTION",
    wire.Yield: "YIELD",
    wire.NewLeader: "NEW_LEADER",
    wire.Join: "JOIN",
    wire.Decline: "DECLINE",
    wire.Resign: "RESIGN",
    wire.HandOver: "HAND_OVER",
}
"""Messages of elections by the names they have in the literature and in docs/election.md."""


@dataclass(slots=True)
class KindTotals:
    """Answered requests of one kind of operation."""

    served: int = 0
    refused: int = 0
    latency_sum_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """What a node knows of a request that it holds."""

    operation: int = 0
    account: int | None = None


def _unknown_origin(_key: RequestKey) -> RequestOrigin:
    return RequestOrigin()


class Telemetry:
    """Counts and notes of one node. `nodes` in address order; `clock` in seconds.

    Both event loops of a node note something here. What the machine and the lane say is noted under `lock`, which they
    hold; the other methods take it.
    """

    def __init__(self, me: str, nodes: Sequence[str], heartbeat_s: float, clock: Callable[[], float]) -> None:
        self.places = {node: place for place, node in enumerate(nodes)}
        self.lock = RLock()
        """To be held by whoever reads what is noted, or notes what the machine says."""
        self.beats = HeartbeatStats([node for node in nodes if node != me], heartbeat_s)
        self.notices = EventLog()
        self.samples = RequestSampler()
        self.latency = Histogram()
        self.lateness = Histogram()
        """By how much the event loop of requests was late, sampled some times a second."""
        self.kinds: dict[int, KindTotals] = {}
        self.refused = 0
        self.leader_since: float | None = None
        self.term_changes = 0
        """Leaderships that this node has seen begin."""
        self.origin_of: Callable[[RequestKey], RequestOrigin] = _unknown_origin
        """Set by whoever holds the requests."""
        self._clock = clock
        self._term = 0
        self._token: tuple[int, str | None] | None = None

    # --- Election ----------------------------------------------------------------------------------------------------
    def sent(self, node: str, message: NodeMessage) -> None:
        """The election sends a message to `node`."""
        kind = type(message)
        if isinstance(message, wire.Heartbeat):
            self.beats.sent(node, message.sequence)
        elif kind is wire.Pulse:
            self.beats.counts[node].pulses_sent += 1
        elif (name := _NAMES.get(kind)) is not None:
            self._election_message(True, name, node, message)

    def heard(self, node: str, message: NodeMessage, now: float) -> None:
        """A message of `node` came; those that are not about the election are passed over."""
        kind = type(message)
        if kind is wire.Heartbeat:
            self.beats.heard(node, now)
        elif isinstance(message, wire.HeartbeatAck):
            self.beats.acked(node, message.sequence)
        elif kind is wire.Pulse:
            self.beats.counts[node].pulses_heard += 1
        elif (name := _NAMES.get(kind)) is not None:
            self._election_message(False, name, node, message)

    def elected(self, event: ElectionEvent, term: int) -> None:
        """The election machine says that something happened; `term` is the highest it knows."""
        now = self._clock()
        match event:
            case RoleChanged(previous, role, why):
                self.notices.add(RoleNotice(previous.value, role.value, why.name, term), now)
            case LeaderChanged(leader, leads_term):
                self.leader_since = None if leader is None else now
                self.beats.follow(leader, now)
                self.term_changes += leader is not None and leads_term > self._term
                self._term = max(self._term, leads_term)
                self.notices.add(LeaderNotice(self._place(leader), leads_term), now)
            case Deposed():
                pass  # the change of role says it

    def lease(self, event: LeaseAction | LeaseAnswer) -> None:
        """The directory was asked for the lease or answered. Renewals that succeed are not worth a notice."""
        match event:
            case ClaimLease(seen_term):
                self._note_lease("CLAIM", seen_term + 1)
            case ReleaseLease(term):
                self._note_lease("RELEASE", term)
            case LeaseWon(term):
                self._note_lease("WON", term)
            case LeaseLost(term):
                self._note_lease("LOST", term)
            case LeaseUnknown():
                self._note_lease("UNKNOWN", self._term)
            case LeaseReleased(term):
                self._note_lease("RELEASED", term)
            case LeaseRenewed() | _:
                pass

    # --- Failure simulation and operators ----------------------------------------------------------------------------
    def deafness(self, deaf: bool) -> None:
        """This node became deaf or hears again."""
        self.notices.add(DeafNotice(deaf), self._clock())

    def token(self, token: Token | None) -> None:
        """The token as this node sees it now; cheap when it did not move."""
        seen = None if token is None else (token.hop, token.holder)
        if seen == self._token or token is None:
            return
        self._token = seen
        self.notices.add(TokenNotice(self._place(token.holder), token.hop), self._clock())

    def audited(self, record: AuditRecord) -> None:
        """The audit log of this node has a new record."""
        with self.lock:
            self.notices.add(AuditNotice(record), self._clock())

    def restored(self, epoch: int, frozen: int) -> None:
        """This node has recovered a directory that was restored: so many grants wait for their owners."""
        with self.lock:
            self.notices.add(RestoredNotice(epoch, frozen), self._clock())

    def logged(self, level: str, source: str, text: str) -> None:
        """The node wrote a line to its log."""
        with self.lock:
            self.notices.add_line(level, source, text, self._clock())

    # --- Requests ----------------------------------------------------------------------------------------------------
    def happened(self, what: Happening, key: RequestKey, node: str | None) -> None:
        """Something happened to a request in dispatch."""
        self.samples.happened(what, key, lambda: self._event(what, key, node, self.origin_of(key)))

    def answered(self, key: RequestKey, origin: RequestOrigin, latency_s: float, code: str) -> None:
        """This node answered a request, with a refusal if there is a `code`."""
        latency_ms = 1000 * latency_s
        self.latency.add(latency_ms)
        totals = self.kinds.setdefault(origin.operation, KindTotals())
        totals.latency_sum_ms += latency_ms
        if code:
            totals.refused += 1
            self.refused += 1
        else:
            totals.served += 1
        what = Happening.REFUSED if code else Happening.SERVED
        with self.lock:
            self.samples.happened(what, key, lambda: self._event(what, key, None, origin, latency_ms, code))

    def _event(
        self,
        what: Happening,
        key: RequestKey,
        node: str | None,
        origin: RequestOrigin,
        latency_ms: float | None = None,
        code: str = "",
    ) -> RequestEvent:
        return RequestEvent(
            round(1000 * self._clock(), 1),
            what,
            self._place(node),
            origin.operation,
            origin.account,
            key[0][:4].hex(),
            key[1][:8],
            None if latency_ms is None else round(latency_ms, 2),
            code[:24],
        )

    def _election_message(self, sent: bool, name: str, node: str, message: NodeMessage) -> None:
        assert isinstance(message, wire.ElectionMessage)
        self.notices.add(ElectionNotice(sent, name, self.places[node], message.term), self._clock())

    def _note_lease(self, what: str, term: int) -> None:
        self.notices.add(LeaseNotice(what, term), self._clock())

    def _place(self, node: str | None) -> int | None:
        return None if node is None else self.places.get(node)
