"""Who serves which request. Peers send each request to all nodes; the leader assigns it, the others watch.

The rules. The leader assigns a request to the node of least cost among those that hold it from the peer itself and
tells everybody. An assignment stands while the assigned node is heard and shows signs of work; where it lapses, the
leader assigns anew. A follower that sees no assignment forwards the request to the leader, which may not have got it;
one that sees neither assignment nor end takes over, in the order of the line, leader or no leader. Serving twice is
harmless: effects are made once by the directory, so nothing here is about truth, only about who bothers.

A request that is repeated after it was served opens anew and is served again, from the directory's stored answer,
unless its peer says that it has its answer: the repeat and the answer crossed. A request whose peer is gone is tried
once by each node, for it may take nothing more than is here; one that is silent for `OPEN_REPEATS` gets no more work.
What it sends when it is back opens anew.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from node.outbox import DONE, FORWARD, UNSERVED, WORKING, Kind, NodeOutbox
from node.placement import Placement, Policy
from node.request_book import OpenRequest, RequestBook
from shared.config import LIMITS, Limits, Timing
from shared.wire import node_messages as wire
from shared.wire.feed_messages import Happening
from shared.wire.node_messages import KeyBatch, NodeMessage, RequestKey, unpack_keys

__all__ = [
    "Counts",
    "Dispatch",
    "DispatchAction",
    "Forget",
    "Held",
    "NobodyServes",
    "Policy",
    "RequestKey",
    "Serve",
]

OPEN_REPEATS = 3
"""An unserved request that its peer has not repeated for this many of its longest pauses is dropped: it is gone."""
_PATIENCE_HEARTBEATS = 0.08
"""How long news that nobody waits for is held back to share a datagram."""
_UNHELD_GRACE_HEARTBEATS = 0.2
"""How long an assigned node waits for the request itself, which may be a moment behind its assignment."""
_CROSSING_HEARTBEATS = 1.0
"""A repeat that comes this soon after the end has probably crossed the answer: nobody begins it at once."""
_MAX_DOUBLINGS = 3
"""A node that failed to serve a request waits twice as long before it takes over again, up to eight times."""
_FOREVER = float("inf")


class Held(Enum):
    """What `request_held` made of a request."""

    NEW = "new"
    KNOWN = "known"
    AGAIN = "again"
    """It was served before; it will be served again."""
    BUSY = "busy"
    """Too many are open; it was not taken."""


@dataclass(frozen=True, slots=True)
class Serve:
    """Serve this request now, then call `served` or `failed_to_serve`."""

    key: RequestKey


@dataclass(frozen=True, slots=True)
class Forget:
    """Another node has served this request, or its peer is gone: what is held of it can go."""

    key: RequestKey


@dataclass(frozen=True, slots=True)
class NobodyServes:
    """There is no leader yet: tell the peer that its request waits. Said once for each time that the peer sends it."""

    key: RequestKey


DispatchAction = Serve | Forget | NobodyServes


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals since the start, and what is open now."""

    open: int
    serving: int
    remembered: int
    served: int
    repeated: int
    taken_over: int
    failed: int


class Dispatch:
    """One node's part in dispatching. Feed requests, messages, leadership and node states; take sends and actions.

    `nodes` are all nodes in address order, this one included. Times are seconds of any monotonic clock. No I/O.
    """

    def __init__(
        self,
        me: str,
        nodes: Sequence[str],
        *,
        timing: Timing,
        policy: Policy = Policy.LEAST_COST,
        limits: Limits = LIMITS,
        now: float,
    ) -> None:
        self.me = me
        self.nodes = tuple(nodes)
        self.timing = timing
        self._placement = Placement(me, self.nodes, policy)
        self._outbox = NodeOutbox(_PATIENCE_HEARTBEATS * timing.heartbeat_s)
        self._actions: list[DispatchAction] = []
        self._book = RequestBook(limits)
        self._serving: set[RequestKey] = set()
        self._leader: str | None = None
        self._term = 0
        self._i_lead = False
        self._now = now
        self._working_at = now + timing.heartbeat_s
        self.on_happening: Callable[[Happening, RequestKey, str | None], None] = _ignore
        """Told of what happens to requests, with the other node that it is about."""
        self._totals = dict.fromkeys(("served", "repeated", "taken_over", "failed"), 0)

    # --- What the shell uses -----------------------------------------------------------------------------------------
    @property
    def policy(self) -> Policy:
        """How requests are placed while this node leads."""
        return self._placement.policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        self._placement.policy = policy

    @property
    def in_flight(self) -> int:
        """Requests that this node has in its hands: what it reports of itself."""
        return len(self._serving)

    def counts(self) -> Counts:
        """Return the stats for status and monitor."""
        return Counts(
            open=len(self._book), serving=len(self._serving), remembered=self._book.remembered, **self._totals
        )

    def cost(self, node: str) -> float:
        """Return what one more request would cost at `node`, by the counts of this node."""
        return self._placement.cost(node)

    def request_held(self, key: RequestKey, now: float) -> Held:
        """A peer sent this request to this node, for the first time or again. `Held.BUSY`: it was not taken."""
        self._now = now
        request = self._book.get(key)
        known = request is not None and request.held
        if not known and not self._book.has_room_for(key):
            self.on_happening(Happening.BUSY, key, None)
            return Held.BUSY
        done_at = self._book.begins_again(key)
        again = done_at is not None
        if again:  # the shell may not have let go of it yet: now it must not
            self._actions = [action for action in self._actions if action != Forget(key)]
        if not known:
            self.on_happening(Happening.REPEATED if again else Happening.HELD, key, None)
        if request is None:
            request = self._opened(key, now)
        request.seen_at = now
        request.complained = False
        if not known:
            self._book.hold(request)
            if done_at is not None:
                request.rests_until = done_at + _CROSSING_HEARTBEATS * self.timing.heartbeat_s
            self._consider(request, now)
        self._totals["repeated"] += again
        return Held.KNOWN if known else Held.AGAIN if again else Held.NEW

    def receive(self, sender: str, message: NodeMessage, now: float) -> None:
        """Feed a message from the node `sender`. Kinds that are not about dispatch are ignored."""
        self._now = now
        match message:
            case wire.Assign():
                self._on_assign(sender, message, now)
            case wire.AssignAck() if message.term == self._term:
                self._on_accepted(sender, message.accepted, now)
                self._on_returned(sender, message.unheld, now)
            case wire.Done():
                for key in unpack_keys(message.keys):
                    self._close(key, now)
            case wire.Forward() if self._i_lead:
                self._on_forward(sender, message, now)
            case wire.Working():
                self._on_working(sender, message, now)
            case wire.Unserved():
                self._placement.doubt(sender, now + self._lapse_s)
                self._on_returned(sender, message.keys, now)
            case _:
                pass

    def leadership(self, leader: str | None, term: int, i_am_leader: bool, now: float) -> None:
        """Feed who leads, and whether this node does and still trusts its lease. Cheap when nothing changed."""
        self._now = now
        if leader == self.me and not i_am_leader:
            leader = None  # a lease that is no longer trusted
        if (leader, i_am_leader) == (self._leader, self._i_lead) and term <= self._term:
            return
        self._leader, self._i_lead = leader, i_am_leader
        self._term = max(self._term, term)
        for request in self._book.all():
            request.forwarded_at = None
            request.acked = request.acked and not i_am_leader
            self._consider(request, now)

    def node_state(self, node: str, load1: float, cores: int, in_flight: int, alive: bool) -> None:
        """Feed what is known of a node. `alive`: heard lately, not draining, with a directory."""
        if self._placement.update(node, load1, cores, in_flight, alive=alive):
            for request in [request for request in self._book.all() if request.assigned == node]:
                self._consider(request, self._now)

    def served(self, key: RequestKey, now: float) -> None:
        """This node has served the request: the others are told."""
        self._finish(key, now)
        self._totals["served"] += 1

    def unwanted(self, key: RequestKey, now: float) -> None:
        """The peer waits for the request no more: it is over for all nodes. This node is not at work on it any more."""
        if key in self._book:
            self._finish(key, now)

    def peer_gone(self, key: RequestKey, now: float) -> None:
        """This node could not serve the request, and the session in which it came is over. Others may."""
        self._now = now
        request = self._book.get(key)
        if request is None or not request.held:
            return
        self._book.let_go(request)
        self._consider(request, now)

    def failed_to_serve(self, key: RequestKey, now: float) -> None:
        """This node could not serve the request (no directory, or no way to the peer): another one should."""
        self._now = now
        request = self._book.get(key)
        if request is None or not request.serving:
            return
        self._totals["failed"] += 1
        self.on_happening(Happening.FAILED, request.key, None)
        self._serving.discard(request.key)
        request.serving = False
        self._placement.doubt(self.me, now + self._lapse_s)
        self._tell_all(UNSERVED, request.key, now, urgent=True)
        self._returned(request, self.me, now)

    def take_sends(self) -> list[tuple[str, NodeMessage]]:
        """Return and forget the messages that are due, each with the node it goes to."""
        return list(self._outbox.take(self._now))

    @property
    def has_actions(self) -> bool:
        """Whether there is something for `take_actions`."""
        return bool(self._actions)

    def take_actions(self) -> list[DispatchAction]:
        """Return and forget what the shell is to do."""
        actions, self._actions = self._actions, []
        return actions

    def tick(self, now: float) -> None:
        """Let time pass: call at `next_deadline` or later."""
        self._now = now
        for request in self._book.due(now):
            self._consider(request, now)
        if now >= self._working_at:
            self._working_at = now + self.timing.heartbeat_s
            self._show_work(now)
            self._book.forget_old(now)

    def next_deadline(self) -> float:
        """Return when `tick` is to be called at the latest."""
        return min(self._book.next_deadline(), self._working_at, self._outbox.next_deadline())

    # --- Messages ----------------------------------------------------------------------------------------------------
    def _on_assign(self, sender: str, message: wire.Assign, now: float) -> None:
        if message.term < self._term:
            return
        for key in unpack_keys(message.keys):
            request = self._book.get(key)
            if request is None:
                done_at = self._book.ended_at(key)
                if done_at is not None and (message.node != self.me or now - done_at <= self._lapse_s):
                    if message.node == self.me:
                        self._outbox.put(sender, DONE, key, now, urgent=True)
                    continue
                request = self._opened(key, now)
            if request.serving:
                if message.node == self.me:
                    self._outbox.put(sender, Kind("accepted", message.term), key, now, urgent=False)
                continue
            self._set_assigned(request, message.node, now)
            if message.node == self.me and request.held:
                self._outbox.put(sender, Kind("accepted", message.term), key, now, urgent=False)
            self._consider(request, now)

    def _on_accepted(self, sender: str, batches: Iterable[KeyBatch], now: float) -> None:
        for key in unpack_keys(batches):
            request = self._book.get(key)
            if request is not None and request.assigned == sender:
                request.acked, request.sign_at = True, now

    def _on_returned(self, sender: str, batches: Iterable[KeyBatch], now: float) -> None:
        for key in unpack_keys(batches):
            request = self._book.get(key)
            if request is not None and request.assigned == sender and not request.serving:
                self._returned(request, sender, now)

    def _on_forward(self, sender: str, message: wire.Forward, now: float) -> None:
        for key in unpack_keys(message.keys):
            self._book.begins_again(key)
            request = self._book.get(key) or self._opened(key, now)
            if not request.held:  # whoever holds it itself knows best how long its peer has been silent
                request.seen_at = now
            request.holders.add(sender)
            request.failed.discard(sender)
            self._consider(request, now)
            if request.assigned is not None and (request.assigned != sender or request.told_at < now):
                self._outbox.put(sender, Kind("assign", self._term, request.assigned), key, now, urgent=True)

    def _on_working(self, sender: str, message: wire.Working, now: float) -> None:
        for key in unpack_keys(message.keys):
            request = self._book.get(key)
            if request is None:
                if self._book.ended_at(key) is not None:
                    continue
                request = self._opened(key, now)
            if request.serving:
                continue
            if request.assigned != sender and not self._stands(request, now):
                self._set_assigned(request, sender, now)
            if request.assigned == sender:
                request.acked, request.sign_at = True, now
                self._consider(request, now)

    # --- Deciding ----------------------------------------------------------------------------------------------------
    def _consider(self, request: OpenRequest, now: float) -> None:
        """Do what is to be done about a request now, and set when to look again."""
        if request.serving:
            return
        if now - request.seen_at > self._open_s:
            self._drop(request)
            return
        if request.assigned == self.me:
            due = self._consider_own(request, now)
        elif self._stands(request, now):
            due = self._watch(request, now)
        else:
            if request.assigned is not None:
                self._lapse(request, request.assigned, now)
            due = self._assign(request, now) if self._i_lead else self._await(request, now)
        if not request.serving and request.key in self._book:
            self._book.look_again(request, min(due, request.seen_at + self._open_s + self.timing.heartbeat_s))

    def _consider_own(self, request: OpenRequest, now: float) -> float:
        """An assignment to this node: serve, or say that the request itself never came."""
        if request.held:
            self._serve(request, now)
            return _FOREVER
        grace_ends = request.sign_at + _UNHELD_GRACE_HEARTBEATS * self.timing.heartbeat_s
        if now < grace_ends:
            return grace_ends
        self._set_assigned(request, None, now)
        if self._i_lead:  # it was given to this node by the leader before: now it is for this node to give
            return self._assign(request, now)
        if self._leader is not None:
            self._outbox.put(self._leader, Kind("unheld", self._term), request.key, now, urgent=True)
        return _FOREVER

    def _watch(self, request: OpenRequest, now: float) -> float:
        """Somebody else is at it: look again when that lapses; the leader repeats what was not acknowledged."""
        assert request.assigned is not None
        lapses_at = request.sign_at + self._lapse_s
        if not self._i_lead or request.acked:
            return lapses_at
        tell_at = request.told_at + self.timing.heartbeat_s
        if now >= tell_at:
            request.told_at, tell_at = now, now + self.timing.heartbeat_s
            self._outbox.put(
                request.assigned, Kind("assign", self._term, request.assigned), request.key, now, urgent=True
            )
        return min(lapses_at, tell_at)

    def _assign(self, request: OpenRequest, now: float) -> float:
        """Give the request to the best node that holds it; without any, forgive old failures and look again later."""
        if now < request.rests_until:
            return request.rests_until
        candidates = set(self.nodes) if request.held else request.holders
        chosen = self._placement.choose(candidates - request.failed, now)
        if chosen is None:
            request.failed.clear()
            return now + self._lapse_s / 2
        self._set_assigned(request, chosen, now)
        self.on_happening(Happening.ASSIGNED, request.key, chosen)
        kind = Kind("assign", self._term, chosen)
        for node in self.nodes:
            if node != self.me:
                self._outbox.put(node, kind, request.key, now, urgent=node == chosen)
        if chosen == self.me:
            self._serve(request, now)
            return _FOREVER
        return min(request.sign_at + self._lapse_s, now + self.timing.heartbeat_s)

    def _await(self, request: OpenRequest, now: float) -> float:
        """A follower's patience: forward, say that nobody serves, take over when its turn has come."""
        if not request.held:
            return _FOREVER
        unit_s = self.timing.takeover_heartbeats * self.timing.heartbeat_s
        forward_at = (request.waits_since if request.forwarded_at is None else request.forwarded_at) + unit_s
        if now >= forward_at:
            self._forward(request, now)
            forward_at = now + unit_s
        line = self._placement.line(self._leader)
        rank = line.index(self.me) + 1 if self.me in line else len(self.nodes)
        if self._leader is not None:
            rank += 1  # the leader gets the request forwarded first
        backoff = 1 << min(request.tries, _MAX_DOUBLINGS)
        take_over_at = request.waits_since + unit_s * rank * backoff
        if now >= take_over_at:
            self._totals["taken_over"] += 1
            self.on_happening(Happening.TAKEN_OVER, request.key, None)
            self._set_assigned(request, self.me, now)
            self._serve(request, now)
            self._tell_all(WORKING, request.key, now, urgent=True)
        return min(forward_at, take_over_at)

    def _forward(self, request: OpenRequest, now: float) -> None:
        request.forwarded_at = now
        if self._leader is not None:
            self.on_happening(Happening.FORWARDED, request.key, self._leader)
            self._outbox.put(self._leader, FORWARD, request.key, now, urgent=True)
        elif not request.complained:
            request.complained = True
            self._actions.append(NobodyServes(request.key))

    def _stands(self, request: OpenRequest, now: float) -> bool:
        """Return whether the assignment is one to rely on."""
        if request.assigned is None or not self._placement.alive(request.assigned):
            return False
        return now < request.sign_at + self._lapse_s

    def _lapse(self, request: OpenRequest, node: str, now: float) -> None:
        if self._i_lead:
            self.on_happening(Happening.REASSIGNED, request.key, node)
        self._returned_to_waiting(request, node, now)

    def _returned(self, request: OpenRequest, node: str, now: float) -> None:
        """`node` gave the request back."""
        request.tries += node == self.me
        self._returned_to_waiting(request, node, now)
        self._consider(request, now)

    def _returned_to_waiting(self, request: OpenRequest, node: str, now: float) -> None:
        self._set_assigned(request, None, now)
        request.failed.add(node)
        request.waits_since = now
        request.forwarded_at = None

    # --- Doing -------------------------------------------------------------------------------------------------------
    def _serve(self, request: OpenRequest, now: float) -> None:
        request.serving = True
        request.serving_since = now
        request.due = _FOREVER
        self._serving.add(request.key)
        self._actions.append(Serve(request.key))

    def _finish(self, key: RequestKey, now: float) -> None:
        self._now = now
        request = self._book.get(key)
        if request is not None:
            self._serving.discard(key)
            request.serving = False
            self._book.let_go(request)
        self._close(key, now)
        self._tell_all(DONE, key, now, urgent=False)

    def _close(self, key: RequestKey, now: float) -> None:
        """The request is done, here or elsewhere."""
        request = self._book.get(key)
        if request is not None:
            if request.serving:
                return  # this node finishes on its own
            self._drop(request)
        self._book.ended(key, now)

    def _drop(self, request: OpenRequest) -> None:
        self._book.remove(request)
        if request.assigned is not None:
            self._placement.count(request.assigned, -1)
        if self._book.let_go(request):
            self._actions.append(Forget(request.key))

    def _show_work(self, now: float) -> None:
        for key in self._serving:
            request = self._book.get(key)
            if request is not None and now - request.serving_since >= self.timing.heartbeat_s:
                self._tell_all(WORKING, key, now, urgent=True)

    # --- Helpers -----------------------------------------------------------------------------------------------------
    @property
    def _lapse_s(self) -> float:
        return self.timing.assign_lapse_heartbeats * self.timing.heartbeat_s

    @property
    def _open_s(self) -> float:
        return OPEN_REPEATS * self.timing.request_retry_max_s

    def _opened(self, key: RequestKey, now: float) -> OpenRequest:
        if self._book.is_full and (oldest := self._book.oldest_idle()) is not None:
            self._drop(oldest)
        return self._book.open(key, now)

    def _set_assigned(self, request: OpenRequest, node: str | None, now: float) -> None:
        if request.assigned is not None:
            self._placement.count(request.assigned, -1)
        request.assigned = node if node in self.nodes else None
        request.acked = False
        if request.assigned is not None:
            self._placement.count(request.assigned, 1)
            request.sign_at = request.told_at = now

    def _tell_all(self, kind: Kind, key: RequestKey, now: float, *, urgent: bool) -> None:
        for node in self.nodes:
            if node != self.me:
                self._outbox.put(node, kind, key, now, urgent=urgent or node == self._leader)


def _ignore(_what: Happening, _key: RequestKey, _node: str | None) -> None:
    """Nobody looks at what happens to requests."""
