"""Next-in-line leader election, fenced by a lease in the directory. The machine that takes the transitions of `roles`.

A reconstruction after Gholipour, Kordafshari, Jahanshahi and Rahmani, "A New Approach For Election Algorithm in
Distributed Systems" (CTRQ 2009), from those who cite it (Petrov, "Database Internals", chapter 10), since the paper
itself was not available. Theirs: the leader publishes an ordered list of nodes; whoever notices its failure asks the
first alternative, which leads without a round; who is first itself just announces. Ours: recovery, concurrent
suspicions, terms, and the lease.

Correctness never rests on the messages: they decide who asks for the lease, the directory decides who gets it. A leader
acts only while it trusts its lease, which it counts from the moment it *sent* the last granted renewal, so no two nodes
ever trust one at the same time. A suspicion is acted upon once the lease can be free; asking earlier is in vain.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from node.cluster_view import ClusterView
from node.coordination import CoordinationTable, NodeState
from node.lease import (
    ClaimLease,
    Leadership,
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
    Resignation,
)
from node.membership import MemberRow, Membership
from node.roles import Deposed, ElectionEvent, Input, LeaderChanged, Role, RoleChanged, next_role
from shared.config import Timing
from shared.errors import LocalError
from shared.wire import node_messages as wire
from shared.wire.node_messages import ElectionMessage, LoadReport, NodeMessage

_FOREVER = float("inf")
_LEASE_MARGIN_HEARTBEATS = 0.02
"""Added to the time that the directory names, so that the next claim does not come a moment too early."""
_CUT_OFF_RETRY_HEARTBEATS = 2
"""A node that nobody answers asks again after this."""
_MAX_CLAIM_PAUSE_HEARTBEATS = 8
"""The longest pause after a claim without an answer. The first is one heartbeat, each further one twice as long."""
_LATE_HEARTBEATS = 0.5
"""A node that wakes up this much later than it wanted to was not scheduled, and has yet to read its messages."""
_MAX_EXCUSES = 6
"""How often in a row a node that was late waits one heartbeat more before it takes others for silent."""


class Election:
    """One node's part in the election. Feed messages, ticks and lease answers; take sends, actions and events.

    `nodes` are all nodes of the cluster in address order, this one included. `incarnation` should be higher than that
    of every earlier life of this node. Where others turn out to know a higher one (its file was lost), `outlived` says
    so, and `live_on` takes a higher one still: the refutation of SWIM. Times are seconds of any monotonic clock. The
    machine does no I/O.
    """

    def __init__(self, me: str, nodes: Sequence[str], *, timing: Timing, incarnation: int, now: float) -> None:
        if me not in nodes or len(set(nodes)) != len(nodes) or len(nodes) > wire.MAX_NODES:
            raise LocalError(f"{me} must be one of 1 to {wire.MAX_NODES} different nodes")
        self.me = me
        self.nodes = tuple(nodes)
        self.timing = timing
        self.incarnation = incarnation
        self.outlived = 0
        """The highest incarnation that others have of this node, where that is not its own: what it says is ignored."""
        self.role = Role.FOLLOWER
        self.term = 0
        self._view = ClusterView(me, nodes, timing=timing, incarnation=incarnation, now=now)
        self.membership: Membership = self._view.membership
        self._unanswered_claims = 0
        self._claim_again_at = now
        self._sends: list[tuple[str, NodeMessage]] = []
        self._actions: list[LeaseAction] = []
        self._events: list[ElectionEvent] = []
        self._pulse_at = now
        self._excuses = 0
        """Times that this node woke up late since it last heard the leader, or leading, an acknowledgement."""
        self._awake_since = now
        """When it woke up late for the last time."""
        self._last_leader: str | None = None
        self._suspect_at = _FOREVER
        self._act_at = now + timing.suspect_s + self._view.places[me] * timing.rank_stagger_s
        self._deadline = _FOREVER
        self._candidate: str | None = None
        self._passed_over: set[str] = set()
        self._answers: dict[str, NodeState | None] = {}
        self._holder: str | None = None
        """Who had the lease of `term` when its row was seen last."""
        self._unchecked: dict[str, ElectionMessage] = {}
        self._read_at = -_FOREVER
        self._leadership = Leadership(timing)
        self._broadcast(wire.Join(**self._load_report()))

    # --- What the shell uses -----------------------------------------------------------------------------------------
    def receive(self, sender: str, message: NodeMessage, now: float) -> None:
        """Feed a message from the node `sender`, whose identity its session has proved. Other kinds are ignored."""
        if isinstance(message, wire.Outlived):
            self.known_as(message.incarnation)
        if not isinstance(message, ElectionMessage):
            return
        if isinstance(message, wire.Heartbeat | wire.NewLeader):
            if message.order not in (0, self._view.order):
                message = msgspec.structs.replace(message, table=())  # of another cluster file: its places are others
            self.known_as(
                max((row.incarnation for row in message.table if row.place == self._view.places[self.me]), default=0)
            )
        lived = self.membership.heard(sender, message.incarnation, now)
        if not lived:
            if (known := self.membership.known(sender)) is not None:
                self._send(sender, wire.Outlived(incarnation=known))
            return
        if isinstance(message, LoadReport):
            self.membership.loaded(sender, message.load1, message.cores, message.in_flight, fit=message.fit)
        if self._is_news(sender, message):
            self._check(sender, message, now)
        else:
            self._received(sender, message, now)

    def tick(self, now: float) -> None:
        """Let time pass: call at `next_deadline` or later."""
        if self.late_s(now) > _LATE_HEARTBEATS * self.timing.heartbeat_s:
            self._woke_late(now)
        if self.role is Role.LEADER and self._leadership.is_over(now):
            self._step_down(Input.TRUST_LAPSED, now)
        resignation = self._leadership.resignation
        if resignation is not None and now >= resignation.due:
            self._announce(resignation)
        if now >= self._pulse_at:
            self._pulse(now)
        if self.role is not Role.FOLLOWER and now >= self._deadline:
            self._timed_out(now)
        if now >= self._suspect_at:
            if self.role is Role.FOLLOWER:
                self._step(Input.LEADER_SILENT, now)
            self._lose_leader()
        if self.role is Role.FOLLOWER and now >= self._act_at:
            self._take_turn(now)

    def next_deadline(self) -> float:
        """Return when `tick` is to be called at the latest."""
        deadline = min(self._pulse_at, self._suspect_at)
        if self.role is Role.FOLLOWER:
            deadline = min(deadline, self._act_at)
        elif self.role is Role.LEADER:
            deadline = min(deadline, self._leadership.next_deadline())
        else:
            deadline = min(deadline, self._deadline)
        resignation = self._leadership.resignation
        return deadline if resignation is None else min(deadline, resignation.due)

    def late_s(self, now: float) -> float:
        """Return by how much `tick` is late now, 0 where it is not: the process was not scheduled, or stopped."""
        return max(0.0, now - self.next_deadline())

    def take_sends(self) -> list[tuple[str, NodeMessage]]:
        """Return and forget the messages to be sent, each with the node it goes to."""
        sends, self._sends = self._sends, []
        return sends

    def take_actions(self) -> list[LeaseAction]:
        """Return and forget what the directory is to be asked."""
        actions, self._actions = self._actions, []
        return actions

    def take_events(self) -> list[ElectionEvent]:
        """Return and forget what happened."""
        events, self._events = self._events, []
        return events

    def is_leader(self, now: float) -> bool:
        """Return whether this node leads and still trusts its lease. Ask right before every act of leadership."""
        return self.role is Role.LEADER and now < self._leadership.trusted_until

    def own_load(self, load1: float, cores: int, in_flight: int) -> None:
        """Feed this machine's one-minute load, its cores and the requests this node has in its hands."""
        self._view.own_load(load1, cores, in_flight)

    def node_rows(self, rows: Sequence[MemberRow], now: float) -> None:
        """Feed the directory's table of nodes, every one or two heartbeats: read just now, after this node's own row
        was written."""
        self.membership.rows(rows, now)
        for row in rows:
            if row.node == self.me:
                self.known_as(row.incarnation)
        self._view.directory_away = self._view.row_unwritten = False
        if self.role is Role.FOLLOWER and self._act_at == _FOREVER and not self._view.draining:
            self._act_at = max(
                now + self._view.rank(self._last_leader) * self.timing.rank_stagger_s, self._claim_again_at
            )

    def known_as(self, incarnation: int) -> None:
        """Feed an incarnation of this node that others, or the directory, have of it."""
        if self.incarnation < incarnation < wire.MAX_INCARNATION:
            self.outlived = max(self.outlived, incarnation)

    def live_on(self, incarnation: int, now: float) -> None:
        """Go on under a higher incarnation, which must be on disk by now, and tell the others."""
        if incarnation <= self.incarnation:
            raise LocalError(f"incarnation {incarnation} of {self.me} is not higher than {self.incarnation}")
        self.incarnation = incarnation
        self._view.live_on(incarnation)
        if self.outlived < incarnation:
            self.outlived = 0
        if self.role is Role.LEADER:
            self._pulse_at = now  # a heartbeat says it as well, and nobody takes it for a restart
        else:
            self._broadcast(wire.Join(**self._load_report()))

    def directory_away(self) -> None:
        """This node's row could not be written: the node is unfit to lead, and asks for no lease, until it can."""
        self._view.directory_away = self._view.row_unwritten = True

    def service_silent(self, silent_s: float, now: float) -> None:
        """Feed for how long nothing was seen of the loop that serves this node's requests; before each tick.

        Heartbeats have a loop of their own, so they say nothing of it. After the time in which a node is suspected this
        one is unfit: it gets no requests and claims nothing. After `Timing.stall_s` it does not lead any more.
        """
        self._view.stalled = silent_s > self.timing.suspect_s
        if silent_s > self.timing.stall_s and self.role is Role.LEADER:
            self._step_down(Input.STALLED, now)

    def node_states(self, now: float) -> tuple[NodeState, ...]:
        """Return every node in address order as this one knows it: at first hand, or from the leader's table."""
        return self._view.states(now)

    @property
    def fit(self) -> bool:
        """Whether this node could lead: it neither drains nor lacks the directory, and its requests do not stand
        still."""
        return self._view.fit

    @property
    def draining(self) -> bool:
        """Whether this node stands aside, by an operator's order or because it is about to end."""
        return self._view.draining

    def drain(self, now: float) -> None:
        """Give up leadership and stand aside until `undrain`: the lease is released, the next in line is told."""
        self._view.draining = True
        self._step_down(Input.STEPPED_ASIDE, now)

    def undrain(self, now: float) -> None:
        """Come back into the line; leadership itself moves only when there is a reason."""
        if not self._view.draining:
            return
        self._view.draining = False
        if self.role is Role.FOLLOWER:
            patience_s = max(self.timing.suspect_s, self.timing.lease_s)
            self._act_at = now + patience_s + self._view.rank(self._last_leader) * self.timing.rank_stagger_s

    def others_fit(self, now: float) -> bool:
        """Return whether another node could lead now: it was heard lately, does not drain and has the directory."""
        return self._view.others_fit(now)

    @property
    def leader(self) -> str | None:
        """Whom this node takes for the leader."""
        return self._view.leader

    @property
    def table(self) -> CoordinationTable:
        """The coordination table as this node made it or last heard it."""
        return self._view.table

    @property
    def table_at(self) -> float:
        """When the coordination table was made or last heard."""
        return self._view.table_at

    def stand_down(self, now: float) -> None:
        """Give up leadership, if this node has it, but stay in line."""
        if self.role is Role.LEADER:
            self._step_down(Input.STEPPED_ASIDE, now)

    def request_leadership(self, now: float) -> None:
        """An operator wants this node to lead: ask the leader to hand over, or claim if there is none."""
        if self.role is Role.LEADER or self._view.draining:
            return
        if self.leader is not None:
            self._send(self.leader, wire.HandOver(**self._stamp()))
        elif self.role is Role.FOLLOWER:
            self._step(Input.MY_TURN if self._view.connected(now) else Input.LINE_UNKNOWN, now)

    def lease_answer(self, answer: LeaseAnswer, now: float) -> None:
        """Feed what the directory said about an action; feed `LeaseUnknown` where it did not answer in time."""
        self._view.directory_away = isinstance(answer, LeaseUnknown)
        if not self._view.directory_away:
            self._view.row_unwritten = False
        match answer:
            case LeaseWon():
                self._lease_won(answer, now)
            case LeaseRenewed():
                if self.role is Role.LEADER and answer.term == self.term:
                    self._leadership.renewed(answer.sent_at)
            case LeaseLost():
                self._lease_lost(answer, now)
            case LeaseUnknown():
                self._unchecked.clear()
                self._leadership.not_answered(answer.sent_at)
                if self.role is Role.CLAIM and answer.sent_at in (None, self._leadership.claimed_at):
                    self._claim_unanswered(now)
            case LeaseSeen():
                self._row_seen(answer.term, answer.holder, now)
            case LeaseReleased():
                resignation = self._leadership.resignation
                if resignation is not None and resignation.term == answer.term:
                    self._announce(resignation)

    # --- Terms and leaders that only a message tells of -----------------------------------------------------------
    def _is_news(self, sender: str, message: ElectionMessage) -> bool:
        """Whether a message tells of a term, or of a leader, that this node has not seen in the lease's row.

        The row alone moves the term: one message of a node whose key was stolen could otherwise put the term so high
        that nobody's claim fits the row any more, and name itself the leader.
        """
        if message.term != self.term:
            return message.term > self.term
        match message:
            case wire.Heartbeat() | wire.NewLeader():
                return sender != self._holder
            case wire.LeaderIs():
                return message.leader != self._holder
            case _:
                return False

    def _check(self, sender: str, message: ElectionMessage, now: float) -> None:
        """Keep a message until the row has been read; of each sender the last."""
        self._unchecked[sender] = message
        if isinstance(message, wire.Heartbeat):  # that it was heard is true, whoever leads
            self._send(sender, wire.HeartbeatAck(sequence=message.sequence, **self._load_report()))
        if now - self._read_at >= self.timing.heartbeat_s / 2:
            self._read_at = now
            self._actions.append(ReadLease(now))

    def _row_seen(self, term: int, holder: str | None, now: float) -> None:
        """Take what the row shows, and the messages that waited for it."""
        if term > self.term:
            self.term = term
            self._holder = holder
            self._step(Input.HIGHER_TERM, now)
        elif term == self.term:
            self._holder = holder
        waiting, self._unchecked = self._unchecked, {}
        for sender, message in waiting.items():
            if self._is_news(sender, message):
                continue
            if isinstance(message, wire.Heartbeat):  # which is acknowledged already
                message = wire.NewLeader(term=message.term, incarnation=message.incarnation, table=message.table)
            self._received(sender, message, now)

    # --- Messages ----------------------------------------------------------------------------------------------------
    def _received(self, sender: str, message: ElectionMessage, now: float) -> None:
        match message:
            case wire.Heartbeat() | wire.NewLeader():
                self._on_leader(sender, message, now)
            case wire.HeartbeatAck():
                sent_at = self._leadership.heartbeat_sent_at(message.sequence)
                if sent_at is not None:
                    self.membership.acked(sender, sent_at, now)
                    self._excuses = 0
            case wire.LeaderIs():
                self._on_leader_is(message, now)
            case wire.Join():
                self._on_join(sender, now)
            case wire.Resign():
                self._on_resign(sender, message, now)
            case wire.HandOver() if self.role is Role.LEADER:
                self._step_down(Input.STEPPED_ASIDE, now, successor=sender)
            case _:
                self._suspicion_received(sender, message, now)

    def _suspicion_received(self, sender: str, message: ElectionMessage, now: float) -> None:
        match message:
            case wire.CrashLeader() | wire.Yield():
                self._on_asked(sender, message, now)
            case wire.Election():
                self._on_election(sender, now)
            case wire.Ok():
                self._on_ok(sender, message, now)
            case wire.Decline():
                self._on_decline(sender, now)

    def _on_leader(self, sender: str, message: wire.Heartbeat | wire.NewLeader, now: float) -> None:
        if message.term < self.term:
            if self.role is Role.LEADER:
                self._send(sender, self._new_leader())
            return
        if self.role is Role.LEADER or (self.role is Role.CLAIM and sender == self._last_leader):
            return  # the same term: only the directory can tell whose it is, and it has been asked
        self._view.take_table(message.term, message.table, now)
        self._follow(sender, Input.LEADER_HEARD, now)
        if isinstance(message, wire.Heartbeat):
            self._send(sender, wire.HeartbeatAck(sequence=message.sequence, **self._load_report()))

    def _on_asked(self, sender: str, message: ElectionMessage, now: float) -> None:
        if self._answered_calmly(sender, now):
            return
        if not self.fit:
            self._send(sender, wire.Decline(**self._stamp()))
            return
        if isinstance(message, wire.CrashLeader):
            self._send(sender, wire.Ok(**self._load_report()))
        self._step(Input.ASKED_TO_LEAD, now)

    def _on_election(self, sender: str, now: float) -> None:
        if self._answered_calmly(sender, now):
            return
        self._send(sender, wire.Ok(**self._load_report()))
        self._candidate = None
        self._step(Input.ELECTION_CALLED, now)

    def _answered_calmly(self, sender: str, now: float) -> bool:
        """Answer a suspicion with the leader, if this node is or has lately heard it."""
        if self.is_leader(now):
            self._send(sender, self._new_leader())
            return True
        recently = now - self._view.leader_heard_at <= self.timing.calm_heartbeats * self.timing.heartbeat_s
        if self.leader not in (None, self.me, sender) and recently:
            self._send(sender, wire.LeaderIs(leader=self.leader, **self._stamp()))
            return True
        return False

    def _on_ok(self, sender: str, message: wire.Ok, now: float) -> None:
        if self.role is Role.ELECT:
            self._answers[sender] = self.membership.state(sender, now) if message.fit else None
            self._count_answers(now)
        elif self.role is not Role.PROBE or sender == self._candidate:
            self._step(Input.OK_RECEIVED, now)

    def _on_decline(self, sender: str, now: float) -> None:
        if self.role is Role.ELECT:
            self._answers[sender] = None
            self._count_answers(now)
        elif self.role in (Role.PROBE, Role.WAIT) and sender == self._candidate:
            self._pass_over(now)

    def _on_leader_is(self, message: wire.LeaderIs, now: float) -> None:
        known = message.leader in self.nodes and message.leader != self.me
        if known and message.term >= self.term and self.role not in (Role.CLAIM, Role.LEADER):
            self._follow(message.leader, Input.LEADER_NAMED, now)

    def _on_join(self, sender: str, now: float) -> None:
        if self.is_leader(now):
            self._send(sender, self._new_leader())
        elif sender == self.leader:
            self._lose_leader()  # it has restarted, so it follows; its earlier life's lease has yet to run out

    def _on_resign(self, sender: str, message: wire.Resign, now: float) -> None:
        if message.term < self.term or sender not in (self.leader, self._last_leader):
            return
        self._lose_leader()
        if message.successor == self.me and self.fit:
            self._step(Input.ASKED_TO_LEAD, now)
        else:
            self._candidate = message.successor
            self._step(Input.LEADER_RESIGNED, now)

    # --- Time --------------------------------------------------------------------------------------------------------
    def _woke_late(self, now: float) -> None:
        """This process was not scheduled, or was stopped: what the others sent meanwhile has yet to be read, so nobody
        is late but this node. It gives everybody another heartbeat, and a leader its gate anew; but only a few times in
        a row, so that a node that is always late notices a dead leader all the same. (SWIM's successor Lifeguard,
        Dadgar et al. 2018, likewise lets a node that is late itself be slower to accuse.)"""
        if self._excuses >= _MAX_EXCUSES:
            return
        self._excuses += 1
        self._awake_since = now
        self._suspect_at = max(self._suspect_at, now + self.timing.heartbeat_s)
        self._act_at = max(self._act_at, now + self.timing.heartbeat_s)

    def _pulse(self, now: float) -> None:
        """Send the sign of life that this role owes: a heartbeat to all, or a pulse round the ring of followers."""
        self._pulse_at = now + self.timing.heartbeat_s
        if self.role is Role.LEADER:
            self._lead(now)
            return
        after = self._view.next_in_ring(now)
        if after is not None:
            self._send(after, wire.Pulse(**self._load_report()))

    def _lead(self, now: float) -> None:
        since = max(self._leadership.since, self._awake_since)
        connected = self.membership.acknowledged(since, now) or self.membership.alone()
        if not connected:
            self._step_down(Input.CUT_OFF, now)
            return
        self._view.make_table(self.term, now)
        sequence = self._leadership.number_heartbeat(now)
        table, order = self._view.wire_table(), self._view.order
        self._broadcast(wire.Heartbeat(sequence=sequence, table=table, order=order, **self._stamp()))
        if self._leadership.wants_renewal(now):
            self._actions.append(RenewLease(self.term, now))

    def _timed_out(self, now: float) -> None:
        if self.role is Role.CLAIM:
            self._view.directory_away = True
            self._claim_unanswered(now)
        elif self.role is Role.ELECT:
            self._conclude(now)
        elif self.role in (Role.PROBE, Role.WAIT):
            self._pass_over(now)

    def _pass_over(self, now: float) -> None:
        """The candidate did not answer, declined, or was waited for in vain: on to the next in line."""
        if self._candidate is not None:
            self._passed_over.add(self._candidate)
        self._take_turn(now)

    def _take_turn(self, now: float) -> None:
        """Decide whose turn it is to lead. A node without the directory bothers nobody and only tries for itself, and
        not even that while it cannot write its own row, or its requests stand still: `node_rows` ends the wait."""
        hindrance = self._hindrance()
        if hindrance is not None:
            self._rest(hindrance, now)
            return
        line = [node for node in self.table.line(self._last_leader) if node not in self._passed_over]
        before_me = line[: line.index(self.me)] if self.me in line else line
        if before_me and not self._view.directory_away:
            self._candidate = before_me[0]
            self._step(Input.ANOTHERS_TURN, now)
        elif self._view.connected(now) and (self.me in line or self._view.directory_away):
            self._step(Input.MY_TURN, now)
        else:
            self._step(Input.LINE_UNKNOWN, now)

    def _hindrance(self) -> Input | None:
        """Return why this node must not claim the lease, if there is a reason."""
        if self._view.draining:
            return Input.STEPPED_ASIDE
        if self._view.row_unwritten:
            return Input.DIRECTORY_AWAY
        return Input.STALLED if self._view.stalled else None

    def _rest(self, why: Input, now: float) -> None:
        if self.role is not Role.FOLLOWER:
            self._step(why, now)
        self._act_at = _FOREVER

    def _claim_unanswered(self, now: float) -> None:
        """Claim again after a pause that doubles each time, so that a directory in trouble is not asked all the time.
        The rank keeps the nodes from asking together."""
        self._step(Input.LEASE_UNKNOWN, now)
        pause_heartbeats = min(2**self._unanswered_claims, _MAX_CLAIM_PAUSE_HEARTBEATS)
        self._unanswered_claims = min(self._unanswered_claims + 1, _MAX_CLAIM_PAUSE_HEARTBEATS)
        stagger_s = self._view.rank(self._last_leader) * self.timing.rank_stagger_s
        self._claim_again_at = self._act_at = now + pause_heartbeats * self.timing.heartbeat_s + stagger_s

    # --- Steps -------------------------------------------------------------------------------------------------------
    def _step(self, happened: Input, now: float) -> None:
        """Take the transition of the table and do what entering the new role asks for."""
        role = next_role(self.role, happened)
        if role is None:
            return
        previous, self.role = self.role, role
        self._deadline = _FOREVER
        if role is not previous:
            self._events.append(RoleChanged(previous, role, happened))
        if previous is Role.LEADER:
            self._events.append(Deposed(self._leadership.term, happened))
            self._act_at = now + self.timing.lease_s
            self._leadership.end()
            self._set_leader(None)
        self._enter(role, happened, now)

    def _enter(self, role: Role, happened: Input, now: float) -> None:
        if role is Role.CLAIM:
            self._leadership.claimed_at = now
            self._deadline = now + self.timing.announcement_timeout_s
            self._actions.append(ClaimLease(self.term, now))
        elif role is Role.PROBE:
            assert self._candidate is not None
            self._deadline = now + self.timing.ok_timeout_s
            self._send(self._candidate, wire.CrashLeader(**self._stamp()))
        elif role is Role.ELECT:
            self._answers = {}
            self._deadline = now + self.timing.ok_timeout_s
            self._broadcast(wire.Election(**self._load_report()))
            self._count_answers(now)
        elif role is Role.WAIT:
            self._deadline = now + self.timing.announcement_timeout_s
        elif role is Role.LEADER:
            self._deadline = _FOREVER
        elif happened in (Input.LEASE_LOST, Input.NOBODY_ANSWERED):
            self._passed_over.clear()

    def _count_answers(self, now: float) -> None:
        if len(self._answers) == len(self.membership.others):
            self._conclude(now)

    def _conclude(self, now: float) -> None:
        """Close the collection of OKs: the best of those who answered is to claim."""
        fit = [state for state in self._answers.values() if state is not None]
        if not self._answers and not self.membership.alone():
            self._step(Input.NOBODY_ANSWERED, now)
            self._act_at = now + _CUT_OFF_RETRY_HEARTBEATS * self.timing.heartbeat_s
            return
        hindrance = self._hindrance()
        if not fit and hindrance is not None:
            self._rest(hindrance, now)
            return
        best = self._view.best_of(fit)
        if best.node == self.me:
            self._step(Input.BEST_IS_ME, now)
        else:
            self._candidate = best.node
            self._send(best.node, wire.Yield(**self._stamp()))
            self._step(Input.BEST_IS_ANOTHER, now)

    # --- Leadership --------------------------------------------------------------------------------------------------
    def _lease_won(self, answer: LeaseWon, now: float) -> None:
        late = now >= self._leadership.trust_from(answer.sent_at)
        hindered = late or self._hindrance() is not None
        if self.role is not Role.CLAIM or answer.term <= self.term or hindered:
            self._actions.append(ReleaseLease(answer.term))
            if self.role is Role.CLAIM:
                self._claim_unanswered(now)
            return
        self.term, self._holder = answer.term, self.me
        self._unanswered_claims = 0
        self._leadership.begin(answer.term, answer.sent_at, now)
        self._step(Input.LEASE_WON, now)
        self._passed_over.clear()
        self._last_leader = self.me
        self._set_leader(self.me)
        self._view.make_table(self.term, now)
        self._broadcast(self._new_leader())
        self._pulse_at = now + self.timing.heartbeat_s / 2  # soon, so that the acks open the gate; the renewal as well

    def _lease_lost(self, answer: LeaseLost, now: float) -> None:
        if self.role is Role.LEADER:
            if answer.sent_at is None or answer.sent_at >= self._leadership.since:
                self._take_row(answer)
                self._step(Input.LEASE_LOST, now)
                self._act_at = now + self.timing.heartbeat_s
            return
        restored = answer.term < self.term  # a directory that forgot terms: nothing is won by asking at once
        self._take_row(answer)
        if self.role is Role.CLAIM and answer.sent_at in (None, self._leadership.claimed_at):
            self._unanswered_claims = 0
            self._step(Input.LEASE_LOST, now)
            if self.leader is None:
                unknown = answer.free_in_s is None or restored
                retry_s = self.timing.heartbeat_s if unknown else answer.free_in_s or 0.0
                self._act_at = now + max(retry_s, 0.0) + _LEASE_MARGIN_HEARTBEATS * self.timing.heartbeat_s

    def _take_row(self, answer: LeaseLost) -> None:
        if answer.term >= self.term:
            self.term, self._holder = answer.term, answer.holder

    def _step_down(self, why: Input, now: float, successor: str | None = None) -> None:
        """Give up what this node has: a leader releases the lease and tells the others, once it is released."""
        if self.role is Role.LEADER:
            self._view.make_table(self.term, now)
            line = self.table.line(self.me)
            heir = successor if successor is not None else next(iter(line), None)
            self._actions.append(ReleaseLease(self._leadership.term))
            self._leadership.resign(heir, now)
        self._step(why, now)
        if self._view.draining:
            self._act_at = _FOREVER

    def _announce(self, resignation: Resignation) -> None:
        self._leadership.resignation = None
        if resignation.term == self.term:
            self._broadcast(wire.Resign(successor=resignation.successor, **self._stamp()))

    # --- The leader as this node sees it -----------------------------------------------------------------------------
    def _follow(self, leader: str, happened: Input, now: float) -> None:
        self._step(happened, now)
        self._passed_over.clear()
        self._unanswered_claims = self._excuses = 0
        self._last_leader = leader
        self._leadership.resignation = None
        self._set_leader(leader)
        self._suspect_at = now + self.timing.suspect_s
        patience_s = max(self.timing.suspect_s, self.timing.lease_s)
        self._act_at = now + patience_s + self._view.rank(self._last_leader) * self.timing.rank_stagger_s
        if happened is Input.LEADER_HEARD:
            self._view.leader_heard_at = now

    def _lose_leader(self) -> None:
        """The leader is gone as far as this node can tell; it acts when the lease can be free."""
        self._view.leader_heard_at = -_FOREVER
        self._set_leader(None)

    def _set_leader(self, leader: str | None) -> None:
        self._suspect_at = _FOREVER
        if leader != self.leader:
            self._view.leader = leader
            self._events.append(LeaderChanged(leader, self.term))

    # --- Helpers -----------------------------------------------------------------------------------------------------
    def _new_leader(self) -> wire.NewLeader:
        return wire.NewLeader(table=self._view.wire_table(), order=self._view.order, **self._stamp())

    def _stamp(self) -> dict[str, int]:
        return {"term": self.term, "incarnation": self.incarnation}

    def _load_report(self) -> dict[str, Any]:
        own = self._view.own
        report = {"load1": round(own.load1, 2), "cores": own.cores, "in_flight": own.in_flight, "fit": self.fit}
        return {**self._stamp(), **report}

    def _send(self, node: str, message: NodeMessage) -> None:
        self._sends.append((node, message))

    def _broadcast(self, message: NodeMessage) -> None:
        self._sends.extend((node, message) for node in self.membership.others)
