"""The election step by step, with the clock at 0 and messages fed by hand."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from node.election import Election
from node.lease import (
    ClaimLease,
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
from node.membership import MemberRow
from node.roles import Deposed, Input, LeaderChanged, Role, RoleChanged
from shared.config import LOCAL
from shared.errors import LocalError
from shared.wire.node_messages import (
    CrashLeader,
    Decline,
    HandOver,
    Heartbeat,
    HeartbeatAck,
    Join,
    LeaderIs,
    NewLeader,
    NodeMessage,
    Ok,
    Outlived,
    Pulse,
    Resign,
    TableRow,
    Yield,
)
from shared.wire.node_messages import Election as ElectionCall

HB = LOCAL.heartbeat_s
NODES = ("a", "b", "c")
ACT_S = LOCAL.lease_s
REPORT = {"load1": 0.0, "cores": 1, "in_flight": 0, "fit": True}


@dataclass
class Bench:
    """One machine and what it did since the last look."""

    me: str = "b"
    nodes: tuple[str, ...] = NODES
    now: float = 0.0
    directory_answers: bool = True
    machine: Election = field(init=False)

    def __post_init__(self) -> None:
        self.machine = Election(self.me, self.nodes, timing=LOCAL, incarnation=1, now=0.0)
        self.machine.take_sends()

    def at(self, now: float) -> "Bench":
        while (deadline := self.machine.next_deadline()) < now:
            self.now = max(deadline, self.now)
            self.machine.tick(self.now)
        self.now = now
        self.machine.tick(now)
        return self

    def get(self, sender: str, message: NodeMessage) -> "Bench":
        """Feed a message. Where the machine looks into the directory's row, that bears the message out."""
        self.machine.receive(sender, message, self.now)
        if any(isinstance(action, ReadLease) for action in self.machine._actions):
            leader = message.leader if isinstance(message, LeaderIs) else sender
            self.answer_reads(message.term, leader)
        return self

    def answer_reads(self, term: int, holder: str | None) -> None:
        """Let the directory's row show a term and a holder to whoever asked."""
        actions = self.machine.take_actions()
        self.machine._actions += [action for action in actions if not isinstance(action, ReadLease)]
        for action in actions:
            if isinstance(action, ReadLease):
                seen = LeaseSeen(term, holder, action.sent_at)
                self.machine.lease_answer(seen if self.directory_answers else LeaseUnknown(action.sent_at), self.now)

    def sent(self, *, signs_of_life: bool = False) -> list[tuple[str, NodeMessage]]:
        signs = (Pulse, Heartbeat, HeartbeatAck)
        return [
            (node, message)
            for node, message in self.machine.take_sends()
            if signs_of_life or not isinstance(message, signs)
        ]

    def heartbeat(self, leader: str = "a", term: int = 1, order: str = "abc") -> "Bench":
        rows = tuple(TableRow(NODES.index(node), 1, 0, 0.0, 1, 0, True) for node in order)
        return self.get(leader, Heartbeat(term=term, incarnation=1, sequence=1, table=rows))

    def leading(self) -> "Bench":
        """Let it win term 2 at the present moment, after having followed a."""
        self.heartbeat(order="abc")
        self.at(self.now + ACT_S - HB).get("c", Pulse(term=1, incarnation=1, **REPORT))
        self.at(self.now + HB)
        [claim] = self.machine.take_actions()
        assert isinstance(claim, ClaimLease)
        self.machine.lease_answer(LeaseWon(claim.seen_term + 1, self.now), self.now)
        return self


def pulse(incarnation: int = 1) -> Pulse:
    return Pulse(term=1, incarnation=incarnation, **REPORT)


def test_it_starts_by_joining() -> None:
    machine = Election("b", NODES, timing=LOCAL, incarnation=4, now=0.0)
    assert [(node, type(message)) for node, message in machine.take_sends()] == [("a", Join), ("c", Join)]
    assert machine.role is Role.FOLLOWER


@pytest.mark.parametrize("nodes", [("a", "c"), ("b", "b"), (*(f"n{number}" for number in range(15)), "b")])
def test_a_cluster_that_cannot_be(nodes: tuple[str, ...]) -> None:
    with pytest.raises(LocalError):
        Election("b", nodes, timing=LOCAL, incarnation=1, now=0.0)


def test_a_heartbeat_is_followed_and_acknowledged() -> None:
    bench = Bench().heartbeat()
    assert bench.machine.leader == "a"
    assert bench.machine.term == 1
    assert bench.machine.take_events() == [LeaderChanged("a", 1)]
    [(node, ack)] = bench.sent(signs_of_life=True)
    assert node == "a"
    assert isinstance(ack, HeartbeatAck)
    assert ack.sequence == 1


def test_the_head_of_the_line_claims_when_the_lease_can_be_free() -> None:
    bench = Bench().heartbeat(order="abc").at(ACT_S - 0.01).get("c", pulse())
    assert bench.machine.leader is None, "suspected after four heartbeats"
    assert not bench.machine.take_actions()
    bench.at(ACT_S)
    assert bench.machine.role is Role.CLAIM
    assert bench.machine.take_actions() == [ClaimLease(1, ACT_S)]
    assert not bench.sent(), "nobody needs to be asked"


def test_the_second_in_line_asks_the_first_a_little_later() -> None:
    bench = Bench().heartbeat(order="acb").at(ACT_S + LOCAL.rank_stagger_s - 0.001)
    assert bench.machine.role is Role.FOLLOWER
    bench.at(ACT_S + LOCAL.rank_stagger_s)
    assert bench.machine.role is Role.PROBE
    assert [(node, type(message)) for node, message in bench.sent()] == [("c", CrashLeader)]


def probing() -> Bench:
    return Bench().heartbeat(order="acb").at(ACT_S + LOCAL.rank_stagger_s).get("c", pulse())


def test_an_ok_is_waited_for_and_then_the_next_has_its_turn() -> None:
    bench = probing().get("c", Ok(term=1, incarnation=1, **REPORT))
    assert bench.machine.role is Role.WAIT
    bench.get("a", pulse()).at(bench.now + LOCAL.announcement_timeout_s)
    assert bench.machine.role is Role.CLAIM, "c was waited for in vain, b is next"


@pytest.mark.parametrize("answer", ["silence", "decline"])
def test_without_an_ok_the_next_has_its_turn(answer: str) -> None:
    bench = probing()
    if answer == "silence":
        bench.at(bench.now + LOCAL.ok_timeout_s)
    else:
        bench.get("c", Decline(term=1, incarnation=1))
    assert bench.machine.role is Role.CLAIM


def test_leader_is_calms() -> None:
    bench = probing().get("c", LeaderIs(term=1, incarnation=1, leader="a"))
    assert bench.machine.role is Role.FOLLOWER
    assert bench.machine.leader == "a"


def test_a_suspicion_is_calmed_by_who_heard_the_leader_lately() -> None:
    bench = Bench().heartbeat().at(2 * HB)
    bench.sent()
    bench.get("c", CrashLeader(term=1, incarnation=1))
    assert bench.sent() == [("c", LeaderIs(term=1, incarnation=1, leader="a"))]
    bench.at(3 * HB).get("c", CrashLeader(term=1, incarnation=1))
    assert [type(message) for _, message in bench.sent()] == [Ok]
    assert bench.machine.role is Role.CLAIM


@pytest.mark.parametrize("unfit", ["draining", "no directory"])
def test_a_node_that_cannot_lead_declines(unfit: str) -> None:
    bench = Bench().heartbeat().at(3 * HB)
    if unfit == "draining":
        bench.machine.drain(bench.now)
    else:
        bench.machine.directory_away()
    bench.sent()
    bench.get("c", CrashLeader(term=1, incarnation=1))
    assert bench.sent() == [("c", Decline(term=1, incarnation=1))]
    assert bench.machine.role is Role.FOLLOWER


def test_without_a_line_everybody_is_asked_and_the_best_claims() -> None:
    bench = Bench().at(LOCAL.suspect_s + LOCAL.rank_stagger_s)
    assert bench.machine.role is Role.ELECT
    assert [(node, type(message)) for node, message in bench.sent()] == [("a", ElectionCall), ("c", ElectionCall)]
    bench.get("a", Ok(term=0, incarnation=1, load1=0.0, cores=1, in_flight=5, fit=True))
    bench.get("c", Ok(term=0, incarnation=1, load1=0.0, cores=1, in_flight=1, fit=True))
    assert bench.machine.role is Role.CLAIM, "all have answered, and b is idle"


def test_the_best_of_those_who_answered_is_asked_to_claim() -> None:
    bench = Bench()
    bench.machine.own_load(0.0, 1, 3)
    bench.at(LOCAL.suspect_s + LOCAL.rank_stagger_s).get("c", Ok(term=0, incarnation=1, **REPORT))
    bench.sent()
    bench.at(bench.now + LOCAL.ok_timeout_s)
    assert bench.sent() == [("c", Yield(term=0, incarnation=1))]
    assert bench.machine.role is Role.WAIT


def test_a_node_that_nobody_answers_does_not_claim() -> None:
    bench = Bench().at(5.0)
    assert not bench.machine.take_actions()


def test_a_node_alone_claims_when_the_others_rows_are_stale() -> None:
    bench = Bench()
    for step in range(40):
        bench.at(0.1 * step)
        bench.machine.node_rows([MemberRow("a", 1.0, True), MemberRow("c", 1.0, True)], bench.now)
    bench.at(6.0)
    assert any(isinstance(action, ClaimLease) for action in bench.machine.take_actions())


def test_winning_is_announced_and_renewed() -> None:
    bench = Bench().leading()
    won_at = bench.now
    assert bench.machine.role is Role.LEADER
    assert [(node, type(message)) for node, message in bench.sent()] == [("a", NewLeader), ("c", NewLeader)]
    assert bench.machine.take_events()[-1] == LeaderChanged("b", 2)
    bench.at(won_at + HB)
    [renewal] = bench.machine.take_actions()
    assert isinstance(renewal, RenewLease)
    assert [node for node, message in bench.sent(signs_of_life=True) if isinstance(message, Heartbeat)] == ["a", "c"]


def test_the_lease_is_trusted_from_the_moment_the_renewal_was_sent() -> None:
    bench = Bench().leading()
    sent_at = bench.now + 0.3
    bench.at(bench.now + 0.9)
    bench.machine.lease_answer(LeaseRenewed(2, sent_at), bench.now)
    assert bench.machine.is_leader(sent_at + LOCAL.lease_trust_s - 0.001)
    assert not bench.machine.is_leader(sent_at + LOCAL.lease_trust_s)


def test_a_lapsed_lease_deposes_even_without_a_tick() -> None:
    bench = Bench().leading()
    assert bench.machine.is_leader(bench.now + LOCAL.lease_trust_s - 0.001)
    assert not bench.machine.is_leader(bench.now + LOCAL.lease_trust_s)
    bench.at(bench.now + LOCAL.lease_trust_s)
    assert bench.machine.role is Role.FOLLOWER
    assert any(isinstance(event, Deposed) for event in bench.machine.take_events())


def test_a_leader_that_nobody_acknowledges_gives_the_lease_up() -> None:
    bench = Bench().leading()
    won_at = bench.now
    while bench.now < won_at + 2.0:
        bench.at(bench.now + HB / 2)
        for action in bench.machine.take_actions():
            if isinstance(action, RenewLease):
                bench.machine.lease_answer(LeaseRenewed(action.term, action.sent_at), bench.now)
            if isinstance(action, ReleaseLease):
                assert bench.now - won_at <= 6 * HB
                return
    pytest.fail("it still renews")


@pytest.mark.parametrize("late_s", [LOCAL.lease_trust_s, 3.0])
def test_a_lease_won_too_late_is_released(late_s: float) -> None:
    bench = Bench().heartbeat().at(ACT_S - 0.01).get("c", pulse()).at(ACT_S)
    [claim] = bench.machine.take_actions()
    assert isinstance(claim, ClaimLease)
    bench.machine.lease_answer(LeaseWon(2, claim.sent_at), claim.sent_at + late_s)
    assert bench.machine.take_actions() == [ReleaseLease(2)]
    assert not bench.machine.is_leader(claim.sent_at + late_s)


def test_a_lost_claim_is_repeated_when_the_directory_says_the_lease_ends() -> None:
    bench = Bench().heartbeat().at(ACT_S - 0.01).get("c", pulse()).at(ACT_S)
    bench.machine.take_actions()
    bench.machine.lease_answer(LeaseLost(3, "a", free_in_s=0.3), bench.now)
    assert bench.machine.role is Role.FOLLOWER
    assert bench.machine.term == 3
    bench.get("c", pulse()).at(ACT_S + 0.299)
    assert not bench.machine.take_actions()
    bench.at(ACT_S + 0.31)
    [claim] = bench.machine.take_actions()
    assert isinstance(claim, ClaimLease)
    assert claim.seen_term == 3


def test_a_directory_that_forgot_terms_is_not_asked_in_a_tight_circle() -> None:
    bench = Bench().heartbeat(term=7).at(ACT_S - 0.01).get("c", pulse()).at(ACT_S)
    bench.machine.take_actions()
    bench.machine.lease_answer(LeaseLost(2, None, free_in_s=0.0), bench.now)
    assert bench.machine.term == 7
    bench.at(ACT_S + 0.9 * HB)
    assert not bench.machine.take_actions()


def test_a_refused_renewal_deposes() -> None:
    bench = Bench().leading()
    bench.at(bench.now + HB)
    bench.machine.lease_answer(LeaseLost(9, "c", sent_at=bench.now), bench.now)
    assert bench.machine.role is Role.FOLLOWER
    assert bench.machine.term == 9


def test_an_answer_about_an_old_claim_does_not_depose() -> None:
    bench = Bench().leading()
    bench.machine.lease_answer(LeaseLost(1, "a", sent_at=bench.now - 1), bench.now)
    assert bench.machine.role is Role.LEADER


def test_an_unknown_claim_is_tried_again_after_a_heartbeat() -> None:
    bench = Bench().heartbeat().at(ACT_S - 0.01).get("c", pulse()).at(ACT_S)
    bench.machine.take_actions()
    bench.machine.lease_answer(LeaseUnknown(), bench.now)
    assert not bench.machine.fit
    bench.at(ACT_S + HB)
    assert bench.machine.role is Role.CLAIM


def test_claims_without_an_answer_are_repeated_ever_less_often() -> None:
    """A slow or full directory was asked by every node after each heartbeat, and each try was told to all monitors."""
    bench = Bench().heartbeat().at(ACT_S - 0.01).get("c", pulse()).at(ACT_S)
    asked_at = []
    while bench.now < ACT_S + 60 * HB:
        if any(isinstance(action, ClaimLease) for action in bench.machine.take_actions()):
            asked_at.append(bench.now)
            bench.machine.lease_answer(LeaseUnknown(), bench.now)
        bench.at(bench.now + HB / 4).get("c", pulse())
    pauses = [round((later - earlier) / HB) for earlier, later in pairwise(asked_at)]
    assert pauses[:4] == [1, 2, 4, 8]
    assert set(pauses[4:]) == {8}


def test_an_answer_ends_the_longer_pauses() -> None:
    bench = Bench().heartbeat().at(ACT_S - 0.01).get("c", pulse()).at(ACT_S)
    for pause in (1, 2, 4):
        bench.machine.lease_answer(LeaseUnknown(), bench.now)
        bench.get("c", pulse()).at(bench.now + pause * HB)
        assert bench.machine.role is Role.CLAIM
        bench.get("c", pulse())
    bench.machine.lease_answer(LeaseLost(1, None, 0.0), bench.now)
    bench.get("c", pulse()).at(bench.now + HB)
    assert bench.machine.role is Role.CLAIM
    bench.machine.lease_answer(LeaseUnknown(), bench.now)
    bench.get("c", pulse()).at(bench.now + HB)
    assert bench.machine.role is Role.CLAIM, "one heartbeat, as at first"


def test_no_lease_is_asked_for_while_the_nodes_own_row_cannot_be_written() -> None:
    bench = Bench().heartbeat().at(ACT_S - 0.01)
    bench.machine.directory_away()
    bench.machine.take_events()
    for _ in range(400):
        bench.at(bench.now + HB / 2).get("c", pulse())
    assert not bench.machine.take_actions()
    assert not bench.machine.take_events()
    bench.machine.node_rows([], bench.now)
    bench.at(bench.now)
    assert [type(action) for action in bench.machine.take_actions()] == [ClaimLease], "b is the next in line"


@pytest.mark.parametrize("role", [Role.PROBE, Role.WAIT, Role.ELECT])
def test_a_node_that_loses_the_directory_during_an_election_waits_as_a_follower(role: Role) -> None:
    bench = Bench(me="c").heartbeat() if role is not Role.ELECT else Bench(me="c")
    while bench.machine.role is Role.FOLLOWER:
        bench.at(bench.now + 0.01)
    if role is Role.WAIT:
        bench.get("b", Ok(term=1, **{**REPORT, "incarnation": 1}))
    assert bench.machine.role is role
    bench.get("b", pulse())
    bench.machine.directory_away()
    bench.directory_answers = False
    bench.machine.take_events()
    for _ in range(100):
        bench.get("b", pulse()).get("b", Decline(term=1, incarnation=1)).at(bench.now + HB / 2)
    assert bench.machine.role is Role.FOLLOWER
    assert not bench.machine.take_actions()
    assert [event.why for event in bench.machine.take_events() if isinstance(event, RoleChanged)] == [
        Input.DIRECTORY_AWAY
    ]


def test_a_drained_node_stays_aside_when_the_directory_returns() -> None:
    bench = Bench().heartbeat()
    bench.machine.drain(bench.now)
    bench.machine.directory_away()
    bench.at(4 * ACT_S).get("c", pulse())
    bench.machine.node_rows([], bench.now)
    bench.at(8 * ACT_S)
    assert not bench.machine.take_actions()


def test_a_lower_term_is_ignored() -> None:
    bench = Bench().heartbeat(term=5)
    bench.heartbeat(leader="c", term=4)
    assert bench.machine.leader == "a"
    assert bench.machine.term == 5


def test_a_higher_term_makes_a_leader_a_follower() -> None:
    bench = Bench().leading()
    bench.machine.take_events()
    bench.get("c", NewLeader(term=3, incarnation=1, table=()))
    assert bench.machine.role is Role.FOLLOWER
    assert bench.machine.leader == "c"
    previous = [event for event in bench.machine.take_events() if isinstance(event, RoleChanged)]
    assert [event.role for event in previous] == [Role.FOLLOWER]


def test_a_leader_answers_suspicions_and_newcomers() -> None:
    bench = Bench().leading()
    bench.sent()
    bench.get("c", CrashLeader(term=1, incarnation=1))
    bench.get("c", ElectionCall(term=1, incarnation=1, **REPORT))
    bench.get("c", Join(term=0, incarnation=2, **REPORT))
    assert [(node, type(message)) for node, message in bench.sent()] == [("c", NewLeader)] * 3


def test_what_an_earlier_life_sent_is_ignored() -> None:
    bench = Bench().get("a", pulse(incarnation=2))
    bench.heartbeat(leader="a")
    assert bench.machine.leader is None


def table_with(me: int) -> tuple[TableRow, ...]:
    """Return a leader's table in which this node has incarnation `me`."""
    return tuple(TableRow(place, me if place == 1 else 1, 0, 0.0, 1, 0, True) for place in range(3))


def test_a_node_that_others_take_for_its_earlier_life_says_that_it_lives() -> None:
    """A node was restarted with its clock set back: its incarnation was lower, everybody ignored it for good, and its
    own status showed a healthy follower."""
    bench = Bench()
    bench.get("a", Heartbeat(term=1, incarnation=1, sequence=1, table=table_with(41)))
    assert bench.machine.outlived == 41
    bench.machine.live_on(42, bench.now)
    assert bench.machine.outlived == 0
    assert [message for _, message in bench.sent()] == [Join(term=1, incarnation=42, **REPORT)] * 2
    bench.get("a", Heartbeat(term=1, incarnation=1, sequence=2, table=table_with(42)))
    assert bench.machine.outlived == 0
    assert {message.incarnation for _, message in bench.sent(signs_of_life=True)} == {42}


def test_who_is_taken_for_an_earlier_life_is_told_so() -> None:
    bench = Bench().get("a", pulse(incarnation=9))
    bench.sent()
    bench.get("a", pulse(incarnation=2))
    assert bench.sent() == [("a", Outlived(incarnation=9))]
    bench.get("stranger", pulse(incarnation=0))
    assert bench.sent() == []
    bench.get("a", Outlived(incarnation=3))
    assert bench.machine.outlived == 3


def test_a_leader_says_so_by_a_heartbeat_that_nobody_takes_for_a_restart() -> None:
    bench = Bench().leading()
    bench.sent(signs_of_life=True)
    bench.machine.known_as(5)
    bench.machine.live_on(6, bench.now)
    bench.at(bench.now)
    sent = bench.sent(signs_of_life=True)
    assert {type(message) for _, message in sent} == {Heartbeat}
    assert {message.incarnation for _, message in sent} == {6}
    assert bench.machine.is_leader(bench.now)


@pytest.mark.parametrize("heard", [0, 1, 2**53])
def test_an_incarnation_that_is_lower_or_cannot_be_outlived_is_none_to_refute(heard: int) -> None:
    bench = Bench()
    bench.get("a", Heartbeat(term=1, incarnation=1, sequence=1, table=table_with(heard)))
    assert bench.machine.outlived == 0
    with pytest.raises(LocalError):
        bench.machine.live_on(1, bench.now)


def test_a_leader_that_restarted_is_no_longer_followed() -> None:
    bench = Bench().heartbeat()
    bench.get("a", Join(term=0, incarnation=2, **REPORT))
    assert bench.machine.leader is None


def test_draining_releases_the_lease_and_then_tells_the_heir() -> None:
    bench = Bench().leading()
    bench.sent()
    bench.machine.take_actions()
    bench.machine.drain(bench.now)
    assert not bench.machine.is_leader(bench.now)
    assert bench.machine.take_actions() == [ReleaseLease(2)]
    assert not bench.sent(), "not before the lease is free"
    bench.machine.lease_answer(LeaseReleased(2), bench.now)
    resigned = bench.sent()
    assert [node for node, _ in resigned] == ["a", "c"]
    assert all(isinstance(message, Resign) and message.successor == "c" for _, message in resigned)
    bench.at(bench.now + 10)
    assert not bench.machine.take_actions(), "it never claims again"


def test_an_undrained_node_looks_for_a_leader_again_and_claims_when_it_is_asked() -> None:
    bench = Bench().leading()
    bench.machine.drain(bench.now)
    bench.machine.lease_answer(LeaseReleased(2), bench.now)
    bench.at(bench.now + 10)
    assert (bench.machine.fit, bench.machine.role) == (False, Role.FOLLOWER)
    bench.machine.take_actions()
    bench.sent()
    bench.machine.undrain(bench.now)
    assert bench.machine.fit
    bench.at(bench.now + LOCAL.lease_s + 3 * LOCAL.rank_stagger_s)
    assert bench.machine.role is Role.PROBE
    bench.get("c", CrashLeader(term=2, incarnation=1))
    assert bench.machine.take_actions() == [ClaimLease(2, bench.now)]


def test_without_an_answer_the_resignation_is_told_anyway() -> None:
    bench = Bench().leading()
    bench.machine.stand_down(bench.now)
    bench.sent()
    bench.at(bench.now + LOCAL.ok_timeout_s)
    assert [type(message) for _, message in bench.sent()] == [Resign, Resign]


@pytest.mark.parametrize(("successor", "role"), [("b", Role.CLAIM), ("c", Role.WAIT), (None, Role.WAIT)])
def test_a_resignation_calls_the_successor(successor: str | None, role: Role) -> None:
    bench = Bench().heartbeat().get("a", Resign(term=1, incarnation=1, successor=successor))
    assert bench.machine.leader is None
    assert bench.machine.role is role


def test_an_operator_moves_leadership_to_a_follower() -> None:
    follower = Bench().heartbeat()
    follower.sent()
    follower.machine.request_leadership(follower.now)
    assert follower.sent() == [("a", HandOver(term=1, incarnation=1))]
    leader = Bench().leading()
    leader.get("c", HandOver(term=2, incarnation=1))
    leader.machine.lease_answer(LeaseReleased(2), leader.now)
    heirs = {message.successor for _, message in leader.sent() if isinstance(message, Resign)}
    assert heirs == {"c"}


def test_a_pause_of_its_own_is_not_taken_for_the_leaders() -> None:
    bench = Bench().heartbeat().at(HB)
    bench.now = 5.0
    bench.machine.tick(5.0)
    assert bench.machine.leader == "a"
    bench.heartbeat().at(5.0 + HB)
    assert bench.machine.leader == "a"


def test_a_node_that_is_always_late_notices_a_dead_leader_all_the_same() -> None:
    """Each time that it wakes up late it waits a heartbeat more for what it has yet to read; so it never acted."""
    bench = Bench().heartbeat().get("c", pulse())
    for _ in range(30):
        bench.now += 2 * HB
        bench.get("c", pulse())
        bench.machine.tick(bench.now)
        if any(isinstance(action, ClaimLease) for action in bench.machine.take_actions()):
            return
    pytest.fail("no claim")


def test_a_leader_that_was_not_scheduled_reads_its_acknowledgements_before_it_takes_itself_for_cut_off() -> None:
    """Under load the process of a leader stood still for a second, and it gave up a lease that nobody else wanted."""
    bench = Bench().leading()
    bench.at(bench.now + HB)
    [heartbeat, *_] = [message for _, message in bench.sent(signs_of_life=True) if isinstance(message, Heartbeat)]
    bench.now += LOCAL.suspect_s + HB
    bench.machine.tick(bench.now)
    assert bench.machine.role is Role.LEADER
    bench.get("c", HeartbeatAck(sequence=heartbeat.sequence, **{**REPORT, "term": 2, "incarnation": 1}))
    assert bench.machine.role is Role.LEADER


# --- A lease that is not trusted -------------------------------------------------------------------------------------
def renewing(bench: Bench) -> list[RenewLease]:
    return [action for action in bench.machine.take_actions() if isinstance(action, RenewLease)]


def acknowledging(bench: Bench, until: float) -> None:
    """Let time pass and every heartbeat be acknowledged, and nothing be said of the lease."""
    while bench.now < until:
        for _, message in bench.machine.take_sends():
            if isinstance(message, Heartbeat):
                bench.get("c", HeartbeatAck(sequence=message.sequence, **{**REPORT, "term": 2, "incarnation": 1}))
        bench.at(min(until, bench.now + HB))


def test_a_leader_waits_for_a_late_answer_without_acting_and_leads_on() -> None:
    """A directory that took 1.3 s for one renewal cost the leader its office, and the next met the same directory."""
    bench = Bench().leading()
    began = bench.now
    acknowledging(bench, began + LOCAL.lease_trust_s + HB)
    assert bench.machine.role is Role.LEADER
    assert not bench.machine.is_leader(bench.now), "it does nothing that a leader does"
    renewal = renewing(bench)[-1]
    bench.machine.lease_answer(LeaseRenewed(2, renewal.sent_at), bench.now)
    assert bench.machine.is_leader(bench.now)
    assert not [event for event in bench.machine.take_events() if isinstance(event, Deposed)]


def test_it_does_not_wait_for_ever() -> None:
    bench = Bench().leading()
    acknowledging(bench, bench.now + LOCAL.lease_trust_s + LOCAL.lease_s + HB)
    assert bench.machine.role is Role.FOLLOWER


def test_it_does_not_wait_where_the_directory_does_not_answer() -> None:
    bench = Bench().leading()
    began = bench.now
    while bench.now < began + LOCAL.lease_trust_s + HB:
        acknowledging(bench, bench.now + HB / 2)
        for renewal in renewing(bench):
            bench.machine.lease_answer(LeaseUnknown(renewal.sent_at), bench.now)
    bench.at(bench.now)
    assert bench.machine.role is Role.FOLLOWER


def test_it_waits_for_a_later_renewal_where_an_earlier_one_got_no_answer() -> None:
    bench = Bench().leading()
    acknowledging(bench, bench.now + LOCAL.lease_trust_s + HB)
    first, *_, last = renewing(bench)
    bench.machine.lease_answer(LeaseUnknown(first.sent_at), bench.now)
    bench.at(bench.now + 0.01)
    assert bench.machine.role is Role.LEADER
    bench.machine.lease_answer(LeaseUnknown(last.sent_at), bench.now)
    bench.at(bench.now + 0.01)
    assert bench.machine.role is Role.FOLLOWER


def test_a_lease_that_another_has_taken_meanwhile_is_lost() -> None:
    bench = Bench().leading()
    acknowledging(bench, bench.now + LOCAL.lease_trust_s + HB)
    bench.machine.lease_answer(LeaseLost(3, "c", 1.0, renewing(bench)[-1].sent_at), bench.now)
    assert bench.machine.role is Role.FOLLOWER
    assert bench.machine.term == 3


# --- Requests that stand still ---------------------------------------------------------------------------------------
def test_a_node_whose_requests_stand_still_claims_nothing_and_says_so() -> None:
    bench = Bench().heartbeat(order="abc").get("c", pulse())
    bench.machine.service_silent(LOCAL.suspect_s + HB, bench.now)
    bench.at(3 * ACT_S)
    assert not bench.machine.take_actions()
    bench.get("c", CrashLeader(term=1, incarnation=1))
    assert isinstance(bench.sent()[-1][1], Decline)
    bench.machine.service_silent(0.0, bench.now)
    bench.get("c", pulse())
    bench.machine.node_rows([], bench.now)
    bench.at(bench.now + HB)
    assert [type(action) for action in bench.machine.take_actions()] == [ClaimLease]


def test_a_leader_whose_requests_stand_still_is_unfit_and_later_gives_the_lease_up() -> None:
    bench = Bench().leading()
    bench.machine.service_silent(LOCAL.stall_s, bench.now)
    assert bench.machine.role is Role.LEADER
    assert not bench.machine.fit
    bench.machine.service_silent(LOCAL.stall_s + 0.001, bench.now)
    assert bench.machine.role is Role.FOLLOWER
    assert ReleaseLease(2) in bench.machine.take_actions()
    bench.machine.lease_answer(LeaseReleased(2), bench.now)
    [resignation] = {message for _, message in bench.sent() if isinstance(message, Resign)}
    assert resignation.successor == "c"


def test_a_claim_that_is_won_while_requests_stand_still_is_released() -> None:
    bench = Bench().heartbeat(order="abc")
    bench.at(ACT_S - HB).get("c", pulse())
    bench.at(ACT_S)
    [claim] = bench.machine.take_actions()
    assert isinstance(claim, ClaimLease)
    bench.machine.service_silent(LOCAL.suspect_s + HB, bench.now)
    bench.machine.lease_answer(LeaseWon(claim.seen_term + 1, claim.sent_at), bench.now)
    assert bench.machine.role is Role.FOLLOWER
    assert bench.machine.take_actions() == [ReleaseLease(claim.seen_term + 1)]


def test_the_ring_of_pulses_leaves_the_leader_out() -> None:
    bench = Bench().heartbeat(leader="a")
    bench.sent(signs_of_life=True)
    bench.at(HB)
    assert {(node, type(message)) for node, message in bench.sent(signs_of_life=True)} == {("c", Pulse)}


def test_a_cluster_of_one_leads_itself() -> None:
    bench = Bench(me="a", nodes=("a",)).at(LOCAL.suspect_s)
    [claim] = bench.machine.take_actions()
    assert isinstance(claim, ClaimLease)
    bench.machine.lease_answer(LeaseWon(1, bench.now), bench.now)
    assert bench.machine.is_leader(bench.now)


def test_node_states_come_from_the_leaders_table() -> None:
    rows = (
        TableRow(0, 1, 0, 1.0, 2, 3, True),
        TableRow(1, 1, 0, 0.0, 1, 0, True),
        TableRow(2, 1, 500, 4.0, 8, 6, True),
    )
    bench = Bench().get("a", Heartbeat(term=1, incarnation=1, sequence=1, table=rows)).at(0.2)
    states = {state.node: state for state in bench.machine.node_states(bench.now)}
    assert (states["c"].load1, states["c"].cores, states["c"].in_flight) == (4.0, 8, 6)
    assert states["c"].heard_age_s == pytest.approx(0.7)
    assert states["a"].heard_age_s == pytest.approx(0.2)
    assert states["b"].heard_age_s == 0.0


STOLEN = 2**53
"""A term that no claim could ever reach."""


@pytest.mark.parametrize("role", [Role.FOLLOWER, Role.LEADER])
@pytest.mark.parametrize(
    "message",
    [
        Decline(term=STOLEN, incarnation=1),
        Pulse(term=STOLEN, incarnation=1, **REPORT),
        LeaderIs(term=STOLEN, incarnation=1, leader="c"),
        NewLeader(term=STOLEN, incarnation=1, table=()),
        Heartbeat(term=STOLEN, incarnation=1, sequence=1, table=()),
        Resign(term=STOLEN, incarnation=1, successor="c"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_term_that_only_a_message_tells_of_moves_nobody(message: NodeMessage, role: Role) -> None:
    """One datagram under a stolen key took every node to a term that no claim fits: no leader, until all nodes were
    started anew together."""
    bench = Bench()
    if role is Role.LEADER:
        bench.leading()
        term, leader = 2, "b"
    else:
        bench.heartbeat()
        term, leader = 1, "a"
    bench.now += HB
    bench.machine.receive("c", message, bench.now)
    assert [type(action) for action in bench.machine._actions if isinstance(action, ReadLease)] == [ReadLease]
    bench.machine.receive("c", message, bench.now)
    assert sum(isinstance(action, ReadLease) for action in bench.machine._actions) == 1, "asked once per heartbeat"
    bench.answer_reads(term, leader)
    assert (bench.machine.role, bench.machine.term, bench.machine.leader) == (role, term, leader)


def test_who_names_itself_leader_of_the_present_term_is_not_followed() -> None:
    bench = Bench().heartbeat()
    bench.machine.receive("c", NewLeader(term=1, incarnation=1, table=()), bench.now)
    bench.answer_reads(1, "a")
    assert bench.machine.leader == "a"
    bench.machine.receive("c", LeaderIs(term=1, incarnation=1, leader="c"), bench.now + HB)
    bench.now += HB
    bench.answer_reads(1, "a")
    assert bench.machine.leader == "a"


def test_a_heartbeat_is_acknowledged_while_the_directory_is_asked_whose_it_is() -> None:
    """A slow directory must not make a new leader take itself for cut off."""
    bench = Bench()
    bench.machine.receive("a", Heartbeat(term=1, incarnation=1, sequence=7, table=()), 0.0)
    assert [node for node, message in bench.sent(signs_of_life=True) if isinstance(message, HeartbeatAck)] == ["a"]
    assert bench.machine.leader is None
    bench.answer_reads(1, "a")
    assert bench.machine.leader == "a"
    assert not [message for _, message in bench.sent(signs_of_life=True) if isinstance(message, HeartbeatAck)]


def test_a_message_waits_no_longer_than_the_directory_takes() -> None:
    bench = Bench(directory_answers=False)
    bench.heartbeat()
    assert (bench.machine.leader, bench.machine.term) == (None, 0)
    bench.directory_answers, bench.now = True, HB
    bench.heartbeat()
    assert (bench.machine.leader, bench.machine.term) == ("a", 1)
