"""A whole cloud in one process and in virtual time: nodes, their network, their directory, and peers that ask.

Every node is the `NodeMachine` of a real node over `SimNetwork`, with a clock of its own that starts anywhere and runs
up to one per cent fast or slow. The directory is a lease row, rows of nodes, the policy and a table of effects, with
latency, and can go away for all nodes or for some. What must never happen is checked at the moment it would.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from node.directory.standing import GENUINE_LEASES
from node.dispatch import DispatchAction, Forget, NobodyServes, Policy, RequestKey, Serve
from node.lease import (
    ClaimLease,
    LeaseAction,
    LeaseAnswer,
    LeaseLost,
    LeaseReleased,
    LeaseRenewed,
    LeaseSeen,
    LeaseUnknown,
    LeaseWon,
    ReadLease,
    ReleaseLease,
    RenewLease,
)
from node.machine import Announce, AskLease, NodeAction, NodeEvent, NodeMachine, TakeIncarnation
from node.membership import MemberRow
from shared.config import LOCAL, Timing
from shared.wire.codec import decode, encode
from shared.wire.node_messages import NodeMessage
from tests.sim.world import SimNetwork, VirtualTime, Weather

if TYPE_CHECKING:
    from collections.abc import Callable

DIRECTORY_DEADLINE_S = 0.4
"""After this a simulated node takes the directory for silent."""


class Violation(AssertionError):
    """Something happened that must never happen."""


@dataclass
class SimDirectory:
    """The directory: a lease row, a row for each node and each effect, a policy. `fenced=False` grants every claim."""

    time: VirtualTime
    random: random.Random
    timing: Timing
    fenced: bool = True
    rate: float = 1.0
    ahead_s: float = 0.0
    """How far its machine's clock was set."""
    term: int = 0
    holder: tuple[str, int] | None = None
    expires: float = 0.0
    away: bool = False
    away_for: set[str] = field(default_factory=set)
    rows: dict[str, MemberRow] = field(default_factory=dict)
    policy: Policy = Policy.LEAST_COST
    effects: Counter[RequestKey] = field(default_factory=Counter)
    served: Counter[RequestKey] = field(default_factory=Counter)
    terms_won: list[tuple[int, str]] = field(default_factory=list)

    @property
    def clock(self) -> float:
        return self.time.now * self.rate + self.ahead_s

    def reachable(self, node: str) -> bool:
        return not self.away and node not in self.away_for

    def latency(self) -> float:
        return self.random.uniform(0.0005, 0.008)

    def lease(self, me: tuple[str, int], action: LeaseAction) -> LeaseAnswer:
        """Carry out a claim, renewal or release as one transaction."""
        furthest = self.clock + GENUINE_LEASES * self.timing.lease_s
        free = self.holder is None or not self.clock <= self.expires <= furthest
        mine = self.holder == me
        match action:
            case ClaimLease(seen_term, sent_at):
                if self.fenced and not (self.term == seen_term and (free or mine)):
                    return LeaseLost(self.term, self._name(), max(0.0, self.expires - self.clock), sent_at)
                self.term, self.holder = (self.term if self.fenced else seen_term) + 1, me
                self.expires = self.clock + self.timing.lease_s
                self.terms_won.append((self.term, me[0]))
                return LeaseWon(self.term, sent_at)
            case RenewLease(term, sent_at):
                if self.fenced and not (self.term == term and mine):
                    return LeaseLost(self.term, self._name(), max(0.0, self.expires - self.clock), sent_at)
                self.expires = self.clock + self.timing.lease_s
                return LeaseRenewed(term, sent_at)
            case ReleaseLease(term):
                if self.term == term and mine:
                    self.holder = None
                return LeaseReleased(term)
            case ReadLease(sent_at):
                return LeaseSeen(self.term, None if free else self._name(), sent_at)

    def announce(self, row: MemberRow) -> None:
        """Write a node's row, unless the row is of a newer incarnation."""
        known = self.rows.get(row.node)
        if known is None or known.incarnation <= row.incarnation:
            self.rows[row.node] = row

    def effect(self, key: RequestKey) -> None:
        """Make the request's effect, once; a repeat finds it made."""
        self.served[key] += 1
        if key not in self.effects:
            self.effects[key] += 1

    def _name(self) -> str | None:
        return None if self.holder is None else self.holder[0]


class SimNode:
    """One node: the machine of a real node, and a shell that drives it as `node.lane` and `node.control` do.

    The part of `node.control`, which has to do with requests, can be stalled while the rest goes on.
    """

    def __init__(self, cluster: SimCluster, name: str, incarnation: int) -> None:
        self.cluster = cluster
        self.name = name
        self.rate = cluster.random.uniform(0.99, 1.01)
        self.offset = cluster.random.uniform(0, 1000)
        self.up = True
        self.paused = False
        self.stalled = False
        self.events: list[tuple[float, NodeEvent]] = []
        self.machine = NodeMachine(
            name,
            cluster.names,
            timing=cluster.timing,
            incarnation=incarnation,
            now=self.now,
        )
        self.election, self.dispatch, self.faults = self.machine.election, self.machine.dispatch, self.machine.faults
        self._inbox: list[tuple[str, object]] = []
        self._armed_for = float("inf")
        self._asked_by: dict[RequestKey, SimPeer] = {}
        self._highest_term = 0
        self._busy_until = 0.0
        cluster.network.attach(name, self._arrived)
        self._show_work()
        self._wake()

    @property
    def now(self) -> float:
        return self.offset + self.cluster.time.now * self.rate

    @property
    def incarnation(self) -> int:
        return self.election.incarnation

    @property
    def deaf(self) -> bool:
        return self.faults.is_deaf(self.now)

    def trusts_lease(self) -> bool:
        return self.up and self.election.is_leader(self.now)

    def do(self, call: Callable[[float], object]) -> None:
        """Call into the machine as an operator would, and see to what comes of it."""
        call(self.now)
        self._wake()

    def choose_policy(self, policy: Policy) -> None:
        """An operator chooses at this node; without the directory the order is refused."""
        directory = self.cluster.directory

        def choose() -> None:
            if directory.reachable(self.name):
                directory.policy = policy
                self._later(directory.latency(), lambda: self.machine.policy_chosen(policy))

        self._later(directory.latency(), choose)

    def crash(self) -> None:
        self.up = False
        self.cluster.network.detach(self.name)

    def pause(self) -> None:
        self.paused = True

    def stall(self) -> None:
        """The loop of requests is busy, or hangs, from now on; the lane goes on."""
        self.stalled = True

    def unstall(self) -> None:
        self.stalled = False
        if self.up and not self.paused:
            self._read_inbox()

    def resume(self) -> None:
        self.paused = False
        if self.up:
            self._wake()  # the timers of a process that was stopped fire before it reads its sockets
            self._read_inbox()

    def _read_inbox(self) -> None:
        inbox, self._inbox = self._inbox, []
        for source, payload in inbox:
            self._arrived(source, payload)

    def _show_work(self) -> None:
        """Tell the machine twice each heartbeat that requests are seen to."""
        if not self.up:
            return
        if not self.paused and not self.stalled:
            self.machine.service_seen(self.now)
            self._wake()
        self.cluster.time.call_later(self.cluster.timing.heartbeat_s / 2, self._show_work)

    # --- The shell ---------------------------------------------------------------------------------------------------
    def _arrived(self, source: object, payload: object) -> None:
        assert isinstance(source, str)
        if not self.up or self.deaf:
            return
        if self.paused or (self.stalled and not isinstance(payload, NodeMessage)):
            self._inbox.append((source, payload))
            return
        if isinstance(payload, RequestKey):
            if self.machine.request_held(payload, self.now):
                self._asked_by[payload] = self.cluster.peers[source]
        elif isinstance(payload, NotWanted):
            if payload.key in self._asked_by and not self.machine.unwanted(payload.key, self.now):
                del self._asked_by[payload.key]
        else:
            assert isinstance(payload, NodeMessage)
            self.machine.receive(source, payload, self.now)
        self._wake()

    def _wake(self) -> None:
        """Let the machine see what time it is, hand on everything that it wants done, and arm the timer."""
        if not self.up or self.paused:
            return
        now = self.now
        self.machine.own_load(self.cluster.loads[self.name], 2)
        self.machine.tick(now)
        for event in self.machine.take_events():
            self.events.append((self.cluster.time.now, event))
        for action in self.machine.take_actions():
            self._act(action)
        if not self.stalled:
            for action in self.machine.take_request_actions():
                self._do_request(action)
        sends = self.machine.take_sends()
        if not self.deaf:
            for target, message in sends:
                self.cluster.send(self.name, target, message)
        if self.election.term < self._highest_term:
            raise Violation(f"{self.name} went from term {self._highest_term} back to {self.election.term}")
        self._highest_term = self.election.term
        deadline = self.machine.next_deadline()
        if deadline <= now:
            raise Violation(f"the machine of {self.name} wants to be called again at once, for ever")
        self._arm(deadline)

    def _arm(self, deadline: float) -> None:
        when = max((deadline - self.offset) / self.rate + 1e-6, self.cluster.time.now)
        if when < self._armed_for:
            self._armed_for = when
            self.cluster.time.call_at(when, lambda: self._timer(when))

    def _timer(self, when: float) -> None:
        if when == self._armed_for:
            self._armed_for = float("inf")
            self._wake()

    def _act(self, action: NodeAction) -> None:
        match action:
            case AskLease():
                self._ask_lease(action)
            case Announce():
                self._announce(action)
            case TakeIncarnation(above):
                self._later(0.02, lambda: self.machine.incarnation_taken(above + 1, self.now))

    def _do_request(self, action: DispatchAction) -> None:
        match action:
            case Serve(key):
                self._serve(key)
            case Forget(key):
                del self._asked_by[key]
            case NobodyServes(key):
                self._asked_by[key].told_to_wait += 1

    # --- The directory -----------------------------------------------------------------------------------------------
    def _announce(self, action: Announce) -> None:
        directory = self.cluster.directory
        if not directory.reachable(self.name):
            self._later(DIRECTORY_DEADLINE_S, lambda: self.machine.directory_silent(self.now))
            return
        directory.announce(MemberRow(self.name, directory.clock, action.hears, action.incarnation))
        rows, policy = list(directory.rows.values()), directory.policy
        self._later(directory.latency(), lambda: self.machine.directory_read(rows, policy, self.now))

    def _ask_lease(self, asked: AskLease) -> None:
        directory = self.cluster.directory
        unknown = LeaseUnknown(getattr(asked.action, "sent_at", None))

        def ask() -> None:
            if not directory.reachable(self.name):
                self._later(DIRECTORY_DEADLINE_S, lambda: self._answered(asked, unknown))
                return
            answer = directory.lease((self.name, asked.incarnation), asked.action)
            if self.cluster.random.random() < self.cluster.lost_answers:
                answer = unknown
            self._later(directory.latency(), lambda: self._answered(asked, answer))

        self._later(directory.latency(), ask)

    def _answered(self, asked: AskLease, answer: LeaseAnswer) -> None:
        self.machine.lease_answered(asked, answer, self.now)
        self.cluster.check_leaders(self)

    # --- Requests ----------------------------------------------------------------------------------------------------
    def _serve(self, key: RequestKey) -> None:
        directory = self.cluster.directory

        def effect() -> None:
            if not self.machine.is_wanted(key):  # what it needed of its peer does not come
                self._not_served(key)
            elif not directory.reachable(self.name):
                self._later(DIRECTORY_DEADLINE_S, lambda: self._not_served(key), of_requests=True)
            else:
                directory.effect(key)
                self._later(directory.latency(), answer, of_requests=True)

        def answer() -> None:
            if self._asked_by[key].gone:
                self._not_served(key)
                return
            peer = self._asked_by.pop(key)
            if not self.deaf:
                self.cluster.network.send(self.name, peer.name, key)
            self.machine.served(key, self.now)

        begins = max(self.cluster.time.now, self._busy_until)
        self._busy_until = begins + self.cluster.service_s(self.name)
        self._later(self._busy_until - self.cluster.time.now, effect, of_requests=True)

    def _not_served(self, key: RequestKey) -> None:
        if not self.machine.not_served(key, self.now, reachable=not self._asked_by[key].gone):
            del self._asked_by[key]

    def _later(self, delay: float, call: Callable[[], object], *, of_requests: bool = False) -> None:
        """Run `call` after `delay` unless this life of the node is over; a paused node runs it when it resumes, and a
        stalled one what has to do with requests."""

        def run() -> None:
            if not self.up:
                return
            if self.paused or (of_requests and self.stalled):
                self._later(0.02, call, of_requests=of_requests)
                return
            call()
            self._wake()

        self.cluster.time.call_later(delay, run)


@dataclass(frozen=True, slots=True)
class NotWanted:
    """A peer tells a node that it waits for a request no more."""

    key: RequestKey


class SimPeer:
    """A peer that sends each request to all nodes and repeats it until it is answered or wanted no more."""

    def __init__(self, cluster: SimCluster, name: str, account: int) -> None:
        self.cluster = cluster
        self.name = name
        self.session_key = account.to_bytes(32, "big")
        self.asked_at: dict[RequestKey, float] = {}
        self.answered_at: dict[RequestKey, float] = {}
        self.given_up: set[RequestKey] = set()
        self.told_to_wait = 0
        self.gone = False
        """Its sessions are over: it sends nothing and cannot be answered."""
        self.reaches = tuple(cluster.names)
        cluster.network.attach(name, self._arrived)

    @property
    def waits_for(self) -> set[RequestKey]:
        return self.asked_at.keys() - self.answered_at.keys() - self.given_up

    def ask(self) -> RequestKey:
        key = RequestKey(self.session_key, f"{len(self.asked_at):032x}")
        self.asked_at[key] = self.cluster.time.now
        self._send(key, self.cluster.timing.request_retry_s)
        return key

    def give_up(self, key: RequestKey) -> None:
        """Want a request no more, and tell all nodes so."""
        self.given_up.add(key)
        self._to_all(NotWanted(key))

    def _send(self, key: RequestKey, retry_s: float) -> None:
        if key not in self.waits_for:
            return
        self._to_all(key)
        longest_s = self.cluster.timing.request_retry_max_s
        self.cluster.time.call_later(retry_s, lambda: self._send(key, min(2 * retry_s, longest_s)))

    def _to_all(self, payload: object) -> None:
        if not self.gone:
            for node in self.reaches:
                self.cluster.network.send(self.name, node, payload)

    def _arrived(self, source: object, payload: object) -> None:
        assert isinstance(payload, RequestKey)
        if not self.gone:
            self.answered_at.setdefault(payload, self.cluster.time.now)


class SimCluster:
    """`size` nodes n0, n1, ... with their directory and network, and any number of peers."""

    def __init__(
        self,
        seed: int,
        *,
        size: int = 3,
        timing: Timing = LOCAL,
        weather: Weather | None = None,
        fenced: bool = True,
        policy: Policy = Policy.LEAST_COST,
        encoded: bool = False,
        lost_answers: float = 0.0,
        mean_service_s: float = 0.01,
    ) -> None:
        self.time = VirtualTime()
        self.timing = timing
        self.random = random.Random(seed)
        self.network = SimNetwork(self.time, seed, weather or Weather())
        self.names = tuple(f"n{place}" for place in range(size))
        self.loads = {name: round(self.random.uniform(0, 2), 2) for name in self.names}
        rate = self.random.uniform(0.99, 1.01)
        self.directory = SimDirectory(self.time, self.random, timing, fenced=fenced, rate=rate, policy=policy)
        self.encoded = encoded
        self.lost_answers = lost_answers
        self.mean_service_s = mean_service_s
        self.slow: dict[str, float] = {}
        self.overlaps = 0
        self.kinds: Counter[str] = Counter()
        self.peers: dict[str, SimPeer] = {}
        self.nodes = {name: SimNode(self, name, incarnation=1) for name in self.names}

    # --- What tests do -----------------------------------------------------------------------------------------------
    def run(self, seconds: float) -> None:
        self.time.run_until(self.time.now + seconds)

    def run_to_leader(self, within_s: float = 20.0) -> SimNode:
        """Run until a node leads and trusts its lease."""
        until = self.time.now + within_s
        while (leader := self.leader()) is None:
            if not self.time.step(until):
                raise Violation(f"no leader within {within_s} s")
        return leader

    def leader(self) -> SimNode | None:
        """Return the node that leads, can be heard and trusts its lease, if there is one."""
        usable = (node for node in self.nodes.values() if node.trusts_lease() and not node.deaf and not node.paused)
        return next(usable, None)

    def restart(self, name: str, incarnation: int | None = None) -> None:
        """Begin a new life of a node; with `incarnation` one that does not know how many it had."""
        node = self.nodes[name]
        node.crash()
        self.nodes[name] = SimNode(self, name, node.incarnation + 1 if incarnation is None else incarnation)

    def partition(self, *groups: tuple[str, ...]) -> None:
        """Cut the nodes of different groups from each other, both ways."""
        side = {name: number for number, group in enumerate(groups) for name in group}
        for source in self.names:
            for target in self.names:
                if side[source] != side[target]:
                    self.network.cut(source, target)

    def peer(self) -> SimPeer:
        peer = SimPeer(self, f"peer{len(self.peers)}", len(self.peers) + 1)
        self.peers[peer.name] = peer
        return peer

    def agreed(self) -> bool:
        """Return whether exactly one node leads and every living one follows it in the same term."""
        living = [node.election for node in self.nodes.values() if node.up]
        views = {(election.leader, election.term) for election in living}
        return len(views) == 1 and sum(node.trusts_lease() for node in self.nodes.values()) == 1

    # --- What nodes do -----------------------------------------------------------------------------------------------
    def send(self, source: str, target: str, message: NodeMessage) -> None:
        self.kinds[type(message).__name__] += 1
        if self.encoded:
            message = decode(encode(message, cap_bytes=1_100), NodeMessage, cap_bytes=1_100)
        self.network.send(source, target, message)

    def service_s(self, node: str) -> float:
        """Return how long this request takes at `node`."""
        return self.random.expovariate(1 / self.mean_service_s) * self.slow.get(node, 1.0)

    def check_leaders(self, newly_answered: SimNode) -> None:
        """Two nodes that trust a lease at once are the one thing that the lease exists to prevent."""
        if newly_answered.trusts_lease():
            others = [node for node in self.nodes.values() if node is not newly_answered and node.trusts_lease()]
            if others:
                self.overlaps += 1
                if self.directory.fenced:
                    raise Violation(f"{newly_answered.name} and {others[0].name} both lead at {self.time.now}")
