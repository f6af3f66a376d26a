"""One node as a pure machine: election, membership, dispatch, failure simulation and policy, composed.

It is fed messages, requests of peers, answers of the directory and the clock; it gives what is to be sent, what the
shell is to do, and what happened. In a real node two event loops share it, one at a time: `node.lane` gives it
messages, time and the directory, `node.control` gives it requests and serves them. `tests.sim` drives it in a simulated
cloud. None of them decides anything. It does no I/O, reads no clock and draws no random numbers; times are seconds of
any monotonic clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from node.dispatch import Dispatch, DispatchAction, Forget, Held, Serve
from node.election import Election
from node.faults import DeafnessChanged, Faults
from node.lease import LeaseAction, LeaseAnswer, LeaseWon, ReleaseLease, RenewLease
from node.membership import MemberRow
from node.placement import Policy
from node.roles import ElectionEvent
from shared.config import LIMITS, Limits, Timing
from shared.wire.node_messages import NodeMessage, RequestKey

ANNOUNCE_EVERY_HEARTBEATS = 2
"""Pause between an answer of the directory about the nodes and the next question."""
REFUTE_AGAIN_S = 5.0
"""Pause after an incarnation could not be noted, on a full disk for example."""
_FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class AskLease:
    """Ask the directory for this; then call `lease_answered`."""

    action: LeaseAction
    incarnation: int
    """Goes into the name of the holder. A term is renewed and released under the one that claimed it."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Write this node's row and read all rows and the policy; then call `directory_read` or `directory_silent`."""

    incarnation: int
    hears: bool
    term: int


@dataclass(frozen=True, slots=True)
class TakeIncarnation:
    """Note an incarnation higher than `above` on disk; then call `incarnation_taken` or `incarnation_not_taken`."""

    above: int


NodeAction = AskLease | Announce | TakeIncarnation
NodeEvent = ElectionEvent | DeafnessChanged


@dataclass(slots=True)
class _InHand:
    """A request that a peer sent here and that has not ended here."""

    serving: bool = False
    wanted: bool = True
    """False once its peer has said that it waits no more."""


class NodeMachine:
    """Feed it, `tick` it at `next_deadline` or after a message or an answer, then take actions, sends and events.

    Requests may be fed, and the actions about them taken, without a `tick`; `next_deadline` tells whether one is due.
    """

    def __init__(
        self,
        me: str,
        nodes: Sequence[str],
        *,
        timing: Timing,
        incarnation: int,
        now: float,
        limits: Limits = LIMITS,
    ) -> None:
        self.me = me
        self.timing = timing
        self.election = Election(me, nodes, timing=timing, incarnation=incarnation, now=now)
        self.dispatch = Dispatch(me, nodes, timing=timing, limits=limits, now=now)
        self.faults = Faults(me, nodes, timing=timing, now=now)
        self.leader_heard_at: float | None = None
        """When the present leader's last message of any kind came."""
        self._load: tuple[float, int] = (0.0, 1)
        self._in_hand: dict[RequestKey, _InHand] = {}
        self._actions: list[NodeAction] = []
        self._claimed: tuple[int, int] = (0, incarnation)
        """The last term that was won, and the incarnation that claimed it."""
        self._now = now
        self._states_at = -_FOREVER
        self._announce_at = now
        self._refute_at = now
        self._chosen_meanwhile = False
        """A policy was chosen after the question that the directory has yet to answer."""
        self._service_seen_at = now

    # --- Time and messages -------------------------------------------------------------------------------------------
    def receive(self, sender: str, message: NodeMessage, now: float) -> None:
        """Feed a message from the node `sender`, whose identity its session has proved."""
        if sender == self.election.leader:
            self.leader_heard_at = now
        self.election.receive(sender, message, now)
        self.dispatch.receive(sender, message, now)
        self.faults.receive(sender, message, now)

    def tick(self, now: float) -> None:
        """Let time pass, and let each part see what the others have found out."""
        self._now = now
        self.election.own_load(*self._load, self.dispatch.in_flight)
        # Whoever sleeps sees nothing: time for which this machine itself was not called says nothing of the service.
        self._service_seen_at = min(now, self._service_seen_at + self.election.late_s(now))
        self.election.service_silent(now - self._service_seen_at, now)
        self.election.tick(now)
        leads = self.election.is_leader(now)
        self.dispatch.leadership(self.election.leader, self.election.term, leads, now)
        self.faults.leadership(self.election.leader, self.election.term, leads, now)
        if now - self._states_at >= self.timing.heartbeat_s:
            self._states_at = now
            self._compare_nodes(now)
        self.dispatch.tick(now)
        self.faults.tick(now)
        if now >= self._announce_at:
            self._announce_at = _FOREVER
            hears = bool(self.election.membership.hears(now))
            self._actions.append(Announce(self.election.incarnation, hears, self.election.term))
        if self.election.outlived and now >= self._refute_at:
            self._refute_at = _FOREVER
            self._actions.append(TakeIncarnation(self.election.outlived))

    def next_deadline(self) -> float:
        """Return when `tick` is to be called at the latest."""
        parts = min(self.election.next_deadline(), self.dispatch.next_deadline(), self.faults.next_deadline())
        return min(parts, self._announce_at, self._refute_at if self.election.outlived else _FOREVER)

    def take_actions(self) -> list[NodeAction]:
        """Return and forget what the directory and the disk are to be asked."""
        actions, self._actions = self._actions, []
        actions += [AskLease(action, self._incarnation_for(action)) for action in self.election.take_actions()]
        return actions

    def take_request_actions(self) -> list[DispatchAction]:
        """Return and forget what is to be done about requests. Whoever takes them does them at once, before it feeds
        anything else about requests. What comes of it for other nodes is in `take_sends` after it."""
        return [action for action in self.dispatch.take_actions() if self._concerns_shell(action)]

    def take_sends(self) -> list[tuple[str, NodeMessage]]:
        """Return and forget the messages to be sent, each with the node it goes to."""
        return [*self.election.take_sends(), *self.dispatch.take_sends(), *self.faults.take_sends()]

    def take_events(self) -> list[NodeEvent]:
        """Return and forget what happened."""
        return [*self.election.take_events(), *self.faults.take_events()]

    def service_seen(self, now: float) -> None:
        """The loop that serves requests is at work: call from that loop, at least once each heartbeat."""
        self._service_seen_at = now

    def own_load(self, load1: float, cores: int) -> None:
        """Feed this machine's one-minute load and its cores."""
        self._load = (load1, cores)

    # --- Requests ----------------------------------------------------------------------------------------------------
    def request_held(self, key: RequestKey, now: float) -> bool:
        """A peer sent a request to this node, for the first time or again; False if there is no room for it."""
        if self.dispatch.request_held(key, now) is Held.BUSY:
            return False
        self._in_hand.setdefault(key, _InHand()).wanted = True
        return True

    def served(self, key: RequestKey, now: float) -> None:
        """The request was answered; the shell lets go of it."""
        self._in_hand.pop(key, None)
        self.dispatch.served(key, now)

    def not_served(self, key: RequestKey, now: float, *, reachable: bool) -> bool:
        """The request could not be served here; `reachable` tells whether its peer still has the session of it.

        Returns whether to go on holding it: where its peer can be reached, and wants it.
        """
        in_hand = self._in_hand[key]
        in_hand.serving = False
        if not in_hand.wanted:
            self.dispatch.unwanted(key, now)
        else:
            if not reachable:
                self.dispatch.peer_gone(key, now)
            self.dispatch.failed_to_serve(key, now)
        if in_hand.wanted and reachable:
            return True
        del self._in_hand[key]
        return False

    def unwanted(self, key: RequestKey, now: float) -> bool:
        """The peer waits for a request no more. Returns whether work on it is under way, which may be broken off;
        otherwise the shell lets go of it."""
        in_hand = self._in_hand.get(key)
        if in_hand is not None and in_hand.serving:
            in_hand.wanted = False
            return True
        if in_hand is not None:
            del self._in_hand[key]
            self.dispatch.unwanted(key, now)
        return False

    def is_wanted(self, key: RequestKey) -> bool:
        """Return whether a request is held here for a peer that still waits."""
        in_hand = self._in_hand.get(key)
        return in_hand is not None and in_hand.wanted

    # --- Directory ---------------------------------------------------------------------------------------------------
    def lease_answered(self, asked: AskLease, answer: LeaseAnswer, now: float) -> None:
        """Feed what the directory said; `LeaseUnknown` where it did not answer in time."""
        if isinstance(answer, LeaseWon):
            self._claimed = (answer.term, asked.incarnation)
        self.election.lease_answer(answer, now)

    def directory_read(self, rows: Sequence[MemberRow], policy: Policy | None, now: float) -> None:
        """Feed the rows of all nodes and the policy in the directory; None for one that this program does not know."""
        self.election.node_rows(rows, now)
        if policy is not None and not self._chosen_meanwhile:
            self.dispatch.policy = policy
        self._ask_again(now)

    def directory_silent(self, now: float) -> None:
        """The directory did not answer an `Announce`."""
        self.election.directory_away()
        self._ask_again(now)

    def policy_chosen(self, policy: Policy) -> None:
        """A choice made at this node is in the directory."""
        self.dispatch.policy = policy
        self._chosen_meanwhile = self._announce_at == _FOREVER

    def incarnation_taken(self, incarnation: int, now: float) -> None:
        """A higher incarnation is on disk: the node goes on under it."""
        self._refute_at = now
        self.election.live_on(incarnation, now)

    def incarnation_not_taken(self, now: float) -> None:
        """None could be noted; it is tried again later."""
        self._refute_at = now + REFUTE_AGAIN_S

    # --- Helpers -----------------------------------------------------------------------------------------------------
    def _compare_nodes(self, now: float) -> None:
        for state in self.election.node_states(now):
            alive = state.fit and state.heard_age_s <= self.timing.suspect_s
            self.dispatch.node_state(state.node, state.load1, state.cores, state.in_flight, alive)

    def _concerns_shell(self, action: DispatchAction) -> bool:
        """Bring `_in_hand` up to date with what dispatch decided; return whether the shell has to do something."""
        in_hand = self._in_hand.get(action.key)
        if in_hand is None:
            if isinstance(action, Serve):  # let go of since dispatch decided: it must not wait for this node
                self.dispatch.peer_gone(action.key, self._now)
                self.dispatch.failed_to_serve(action.key, self._now)
            return False
        if isinstance(action, Serve):
            in_hand.serving = True
        elif isinstance(action, Forget):
            del self._in_hand[action.key]
        return True

    def _ask_again(self, now: float) -> None:
        self._chosen_meanwhile = False
        self._announce_at = now + ANNOUNCE_EVERY_HEARTBEATS * self.timing.heartbeat_s

    def _incarnation_for(self, action: LeaseAction) -> int:
        term, incarnation = self._claimed
        its_own = isinstance(action, RenewLease | ReleaseLease) and action.term == term
        return incarnation if its_own else self.election.incarnation
