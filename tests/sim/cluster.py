"""A whole cloud in one process and in virtual time: nodes, their network, their directory, and peers that ask.

Every node is the real election, dispatch and failure simulation over `SimNetwork`, with a clock of its own that starts
anywhere and runs up to one per cent fast or slow. The directory is a lease row, rows of nodes and a table of effects,
with latency, and can go away for all nodes or for some. What must never happen is checked at the moment it would.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from node.directory.standing import GENUINE_LEASES
from node.dispatch import Dispatch, Forget, Held, Policy, RequestKey, Serve
from node.election import (
    ClaimLease,
    Election,
    ElectionEvent,
    LeaseAction,
    LeaseAnswer,
    LeaseLost,
    LeaseReleased,
    LeaseRenewed,
    LeaseUnknown,
    LeaseWon,
    MemberRow,
    ReleaseLease,
    RenewLease,
)
from node.faults import Faults
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
    """The directory: one lease row, one row a node, one row an effect. `fenced=False` grants every claim."""

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

    def effect(self, key: RequestKey) -> None:
        """Make the request's effect, once; a repeat finds it made."""
        self.served[key] += 1
        if key not in self.effects:
            self.effects[key] += 1

    def _name(self) -> str | None:
        return None if self.holder is None else self.holder[0]


class SimNode:
    """One node: the machines and the thin shell that drives them."""

    def __init__(self, cluster: SimCluster, name: str, incarnation: int) -> None:
        self.cluster = cluster
        self.name = name
        self.incarnation = incarnation
        self.rate = cluster.random.uniform(0.99, 1.01)
        self.offset = cluster.random.uniform(0, 1000)
        self.up = True
        self.paused = False
        self.events: list[tuple[float, ElectionEvent]] = []
        now = self.now
        timing = cluster.timing
        self.election = Election(name, cluster.names, timing=timing, incarnation=incarnation, now=now)
        self.dispatch = Dispatch(name, cluster.names, timing=timing, policy=cluster.policy, now=now)
        self.faults = Faults(name, cluster.names, timing=timing, now=now)
        self.election.own_load(cluster.loads[name], 2, 0)
        self._inbox: list[tuple[str, object]] = []
        self._armed_for = float("inf")
        self._held: dict[RequestKey, str] = {}
        self._highest_term = 0
        self._claimed_as = (0, 0)
        self._refuting = False
        self._rows_at = 0.0
        self._busy_until = 0.0
        cluster.network.attach(name, self._arrived)
        self._after()

    @property
    def now(self) -> float:
        return self.offset + self.cluster.time.now * self.rate

    @property
    def deaf(self) -> bool:
        return self.faults.is_deaf(self.now)

    def trusts_lease(self) -> bool:
        return self.up and self.election.is_leader(self.now)

    def do(self, call: Callable[[float], object]) -> None:
        """Call into the machines as an operator would, and see to what comes of it."""
        call(self.now)
        self._after()

    def crash(self) -> None:
        self.up = False
        self.cluster.network.detach(self.name)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        if self.up:
            inbox, self._inbox = self._inbox, []
            self._tick()  # the timers of a process that was stopped fire before it reads its sockets
            for source, payload in inbox:
                self._arrived(source, payload)

    # --- The shell ---------------------------------------------------------------------------------------------------
    def _arrived(self, source: object, payload: object) -> None:
        assert isinstance(source, str)
        if not self.up or self.deaf:
            return
        if self.paused:
            self._inbox.append((source, payload))
            return
        if isinstance(payload, RequestKey):
            self._request(source, payload)
        else:
            assert isinstance(payload, NodeMessage)
            for machine in (self.election, self.dispatch, self.faults):
                machine.receive(source, payload, self.now)
        self._after()

    def _request(self, peer: str, key: RequestKey) -> None:
        if self.dispatch.request_held(key, self.now) is not Held.BUSY:
            self._held[key] = peer

    def _after(self) -> None:
        """Hand everything on that the machines want done, and arm the timer."""
        cluster, now = self.cluster, self.now
        election, dispatch, faults = self.election, self.dispatch, self.faults
        self._read_rows(now)
        if election.outlived and not self._refuting:
            self._refuting = True
            self._later(0.02, self._refuted)
        i_lead = election.is_leader(now)
        dispatch.leadership(election.leader, election.term, i_lead, now)
        faults.leadership(election.leader, election.term, i_lead, now)
        for event in election.take_events():
            self.events.append((cluster.time.now, event))
        for action in election.take_actions():
            self._ask_lease(action)
        for serve in dispatch.take_actions():
            if isinstance(serve, Serve):
                self._serve(serve.key)
            elif isinstance(serve, Forget):
                self._held.pop(serve.key, None)
        sends = [*election.take_sends(), *dispatch.take_sends(), *faults.take_sends()]
        faults.take_events()
        if not self.deaf:
            for target, message in sends:
                cluster.send(self.name, target, message)
        if election.term < self._highest_term:
            raise Violation(f"{self.name} went from term {self._highest_term} back to {election.term}")
        self._highest_term = election.term
        self._arm()

    def _arm(self) -> None:
        deadline = min(self.election.next_deadline(), self.dispatch.next_deadline(), self.faults.next_deadline())
        when = max((deadline - self.offset) / self.rate + 1e-6, self.cluster.time.now)
        if when < self._armed_for:
            self._armed_for = when
            self.cluster.time.call_at(when, lambda: self._timer(when))

    def _timer(self, when: float) -> None:
        if when == self._armed_for:
            self._armed_for = float("inf")
            self._tick()

    def _tick(self) -> None:
        if not self.up or self.paused:
            return
        now = self.now
        self._feed_states(now)
        self.election.tick(now)
        self.dispatch.tick(now)
        self.faults.tick(now)
        self._after()
        for machine in (self.election, self.dispatch, self.faults):
            if machine.next_deadline() <= now:
                raise Violation(f"{type(machine).__name__} of {self.name} wants to be called again at once, for ever")

    def _feed_states(self, now: float) -> None:
        self.election.own_load(self.cluster.loads[self.name], 2, self.dispatch.in_flight)
        for state in self.election.node_states(now):
            alive = state.fit and state.heard_age_s <= self.cluster.timing.suspect_s
            self.dispatch.node_state(state.node, state.load1, state.cores, state.in_flight, alive)

    # --- The directory -----------------------------------------------------------------------------------------------
    def _read_rows(self, now: float) -> None:
        if now - self._rows_at < self.cluster.timing.heartbeat_s:
            return
        self._rows_at = now
        directory = self.cluster.directory
        if directory.reachable(self.name):
            directory.rows[self.name] = MemberRow(self.name, directory.clock, self.election.membership.hears(now))
            rows = list(directory.rows.values())
            self._later(directory.latency(), lambda: self.election.node_rows(rows, self.now))
        else:
            self._later(DIRECTORY_DEADLINE_S, self.election.directory_away)

    def _ask_lease(self, action: LeaseAction) -> None:
        directory = self.cluster.directory

        def ask() -> None:
            if not directory.reachable(self.name):
                unknown = LeaseUnknown(getattr(action, "sent_at", None))
                self._later(DIRECTORY_DEADLINE_S, lambda: self._answered(unknown))
                return
            answer = self._lease(action)
            if self.cluster.random.random() < self.cluster.lost_answers:
                answer = LeaseUnknown(getattr(action, "sent_at", None))
            self._later(directory.latency(), lambda: self._answered(answer))

        self._later(directory.latency(), ask)

    def _lease(self, action: LeaseAction) -> LeaseAnswer:
        """Ask as `node.leasing` does: a term is renewed and released under the incarnation that claimed it."""
        claimed, incarnation = self._claimed_as
        if isinstance(action, ClaimLease) or action.term != claimed:
            incarnation = self.election.incarnation
        answer = self.cluster.directory.lease((self.name, incarnation), action)
        if isinstance(answer, LeaseWon):
            self._claimed_as = answer.term, incarnation
        return answer

    def _refuted(self) -> None:
        self._refuting = False
        self._live_on()

    def _live_on(self) -> None:
        """Take a higher incarnation where others know one, as `node.control` does."""
        if self.election.outlived:
            self.incarnation = self.election.outlived + 1
            self.election.live_on(self.incarnation, self.now)

    def _answered(self, answer: LeaseAnswer) -> None:
        self.election.lease_answer(answer, self.now)
        self.cluster.check_leaders(self)

    def _serve(self, key: RequestKey) -> None:
        def effect() -> None:
            if not self.cluster.directory.reachable(self.name):
                self._later(DIRECTORY_DEADLINE_S, lambda: self.dispatch.failed_to_serve(key, self.now))
                return
            self.cluster.directory.effect(key)
            self._later(self.cluster.directory.latency(), answer)

        def answer() -> None:
            peer = self._held.pop(key, None)
            if peer is not None and not self.deaf:
                self.cluster.network.send(self.name, peer, key)
            self.dispatch.served(key, self.now)

        begins = max(self.cluster.time.now, self._busy_until)
        self._busy_until = begins + self.cluster.service_s(self.name)
        self._later(self._busy_until - self.cluster.time.now, effect)

    def _later(self, delay: float, call: Callable[[], object]) -> None:
        """Run `call` after `delay` unless this life of the node is over; a paused node runs it when it resumes."""

        def run() -> None:
            if not self.up:
                return
            if self.paused:
                self._later(0.02, call)
                return
            call()
            self._after()

        self.cluster.time.call_later(delay, run)


class SimPeer:
    """A peer that sends each request to all nodes and repeats it until it is answered."""

    def __init__(self, cluster: SimCluster, name: str, account: int) -> None:
        self.cluster = cluster
        self.name = name
        self.account_key = account.to_bytes(32, "big")
        self.asked_at: dict[RequestKey, float] = {}
        self.answered_at: dict[RequestKey, float] = {}
        self.reaches = tuple(cluster.names)
        cluster.network.attach(name, self._arrived)

    def ask(self) -> RequestKey:
        key = RequestKey(self.account_key, f"{len(self.asked_at):032x}")
        self.asked_at[key] = self.cluster.time.now
        self._send(key, self.cluster.timing.request_retry_s)
        return key

    def _send(self, key: RequestKey, retry_s: float) -> None:
        if key in self.answered_at:
            return
        for node in self.reaches:
            self.cluster.network.send(self.name, node, key)
        longest_s = self.cluster.timing.request_retry_max_s
        self.cluster.time.call_later(retry_s, lambda: self._send(key, min(2 * retry_s, longest_s)))

    def _arrived(self, source: object, payload: object) -> None:
        assert isinstance(payload, RequestKey)
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
        self.directory = SimDirectory(self.time, self.random, timing, fenced=fenced, rate=rate)
        self.policy = policy
        self.encoded = encoded
        self.lost_answers = lost_answers
        self.mean_service_s = mean_service_s
        self.slow: dict[str, float] = {}
        self.overlaps = 0
        self.kinds: Counter[str] = Counter()
        self.nodes = {name: SimNode(self, name, incarnation=1) for name in self.names}
        self.peers: list[SimPeer] = []

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
        self.peers.append(SimPeer(self, f"peer{len(self.peers)}", len(self.peers) + 1))
        return self.peers[-1]

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
