"""Elections as the monitor reads them from notices: tables of cases, real machines in virtual time, any order."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from node.telemetry import Telemetry
from shared.config import LOCAL
from shared.wire.feed_messages import DeafNotice, ElectionNotice, LeaderNotice, LeaseNotice, RoleNotice
from shared.wire.node_messages import NodeMessage
from tests.sim.bully import BullyCluster
from tests.sim.cluster import SimCluster, SimNode
from tests.sim.failover import ELECTION_KINDS
from tui.monitor.model.elections import (
    KEPT_OF_ONE,
    MAX_ELECTIONS,
    MAX_ENTRIES,
    ElectionData,
    ElectionEntry,
    ElectionOutcome,
    Elections,
    bully,
)
from tui.monitor.model.reception import NodeClock


def read(
    *told: tuple[float, int, object], nodes: int = 3, now: float | None = None, order: int = 0
) -> list[ElectionData]:
    """Return the elections that notices (time, place, notice) tell of, oldest first."""
    elections = Elections(nodes, LOCAL)
    entries = [
        ElectionEntry(place, 1, number, 1000 * at, NodeClock(), body) for number, (at, place, body) in enumerate(told)
    ]
    random.Random(order).shuffle(entries)
    for entry in entries:
        elections.take(entry)
    return list(reversed(elections.newest_first(100.0 if now is None else now)))


def role(previous: str, now: str, why: str = "MY_TURN", term: int = 3) -> RoleNotice:
    return RoleNotice(previous, now, why, term)


def sent(kind: str, node: int, term: int = 4) -> ElectionNotice:
    return ElectionNotice(True, kind, node, term)


def got(kind: str, node: int, term: int = 4) -> ElectionNotice:
    return ElectionNotice(False, kind, node, term)


BEFORE = [(0.0, place, LeaderNotice(0, 3)) for place in range(3)]
NEXT_IN_LINE = [
    *BEFORE,
    (10.00, 1, LeaderNotice(None, 3)),
    (10.01, 2, LeaderNotice(None, 3)),
    (10.50, 1, role("follower", "claim")),
    (10.50, 1, LeaseNotice("CLAIM", 4)),
    (10.51, 1, LeaseNotice("WON", 4)),
    (10.51, 1, role("claim", "leader", "LEASE_WON", 4)),
    (10.51, 1, LeaderNotice(1, 4)),
    (10.51, 1, sent("NEW_LEADER", 0)),
    (10.51, 1, sent("NEW_LEADER", 2)),
    (10.52, 2, got("NEW_LEADER", 1)),
    (10.52, 2, LeaderNotice(1, 4)),
]


@pytest.mark.parametrize("order", range(5))
def test_the_next_in_line_leads_without_a_round(order):
    (election,) = read(*NEXT_IN_LINE, order=order)
    assert (election.outcome, election.leader, election.term) == (ElectionOutcome.WON, 1, 4)
    assert (election.former, election.former_term, election.noticed_by) == (0, 3, 1)
    assert election.why == "leader silent"
    assert election.took_s == pytest.approx(0.51)
    assert election.agreed == pytest.approx(10.52)
    assert election.agreed_by == {1, 2}
    assert election.messages == (("NEW_LEADER", 2),)
    steps = [(step.place, type(step.body).__name__, step.arrived_at) for step in election.steps]
    assert (1, "ElectionNotice", 10.52) in steps
    assert (1, "ElectionNotice", None) in steps  # to the dead leader
    assert [step.at for step in election.steps] == sorted(step.at for step in election.steps)


@pytest.mark.parametrize(
    ("heard_at", "last_word"),
    [
        pytest.param(9.5, 9.5, id="before the others missed it"),
        pytest.param(10.3, 10.0, id="by a busy monitor, after that"),
        pytest.param(11.0, None, id="after its successor led"),
        pytest.param(0.5, None, id="long before"),
    ],
)
def test_the_former_leader_s_last_word_is_what_the_election_began_with(heard_at, last_word):
    elections = Elections(3, LOCAL)
    for number, (at, place, body) in enumerate(NEXT_IN_LINE):
        elections.take(ElectionEntry(place, 1, number, 1000 * at, NodeClock(), body))
    elections.fell_silent(0, heard_at)
    (election,) = elections.newest_first(20.0)
    assert election.former_last_word == last_word


def test_notices_before_and_after_belong_to_no_election():
    told = [
        *NEXT_IN_LINE,
        (30.0, 0, sent("JOIN", 1)),
        (30.0, 0, sent("JOIN", 2)),
        (30.01, 1, got("JOIN", 0)),
        (30.01, 1, sent("NEW_LEADER", 0)),
        (30.02, 0, got("NEW_LEADER", 1)),
        (30.02, 0, LeaderNotice(1, 4)),
    ]
    (election,) = read(*told)
    assert election.message_count == 2


def test_an_election_is_under_way_until_somebody_wins_and_over_when_it_is_quiet():
    told = NEXT_IN_LINE[:5]
    (election,) = read(*told, now=11.0)
    assert (election.outcome, election.ended, election.took_s) == (ElectionOutcome.UNDER_WAY, None, None)
    (election,) = read(*told, now=15.0)
    assert election.outcome is ElectionOutcome.NOBODY
    (election,) = read(*NEXT_IN_LINE[:10], now=10.52)
    assert election.outcome is ElectionOutcome.WON


def test_a_node_that_missed_its_leader_alone_is_calmed():
    told = [
        *BEFORE,
        (10.0, 2, LeaderNotice(None, 3)),
        (10.6, 2, role("follower", "probe", "ANOTHERS_TURN")),
        (10.6, 2, sent("CRASH_LEADER", 1, 3)),
        (10.61, 1, got("CRASH_LEADER", 2, 3)),
        (10.61, 1, sent("LEADER_IS", 2, 3)),
        (10.62, 2, got("LEADER_IS", 1, 3)),
        (10.62, 2, role("probe", "follower", "LEADER_NAMED")),
        (10.62, 2, LeaderNotice(0, 3)),
    ]
    (election,) = read(*told)
    assert (election.outcome, election.leader, election.term) == (ElectionOutcome.CALMED, None, 3)
    assert dict(election.messages) == {"CRASH_LEADER": 1, "LEADER_IS": 1}


def test_two_elections_in_a_row_are_two():
    told = [
        *NEXT_IN_LINE,
        (11.60, 2, LeaderNotice(None, 4)),
        (12.1, 2, role("follower", "claim", term=4)),
        (12.15, 2, LeaderNotice(2, 5)),
        (12.15, 2, sent("NEW_LEADER", 0, 5)),
        (12.15, 2, sent("NEW_LEADER", 1, 5)),
    ]
    first, second = read(*told)
    assert (first.leader, first.term, second.leader, second.term) == (1, 4, 2, 5)
    assert (second.former, second.former_term) == (1, 4)
    assert [first.message_count, second.message_count] == [2, 2]


def test_a_straggler_belongs_to_the_election_that_it_missed():
    told = [
        *NEXT_IN_LINE[:-2],
        (10.9, 2, role("follower", "probe", "ANOTHERS_TURN")),
        (10.9, 2, sent("CRASH_LEADER", 1, 3)),
        (10.91, 1, sent("NEW_LEADER", 2)),
        (10.92, 2, LeaderNotice(1, 4)),
    ]
    (election,) = read(*told)
    assert dict(election.messages) == {"NEW_LEADER": 3, "CRASH_LEADER": 1}
    assert election.agreed == pytest.approx(10.92)


def test_a_leader_that_steps_down_begins_an_election():
    told = [
        *BEFORE,
        (10.0, 0, role("leader", "follower", "STEPPED_ASIDE")),
        (10.0, 0, LeaderNotice(None, 3)),
        (10.01, 0, sent("RESIGN", 1, 3)),
        (10.01, 0, sent("RESIGN", 2, 3)),
        (10.02, 1, role("follower", "claim", "ASKED_TO_LEAD")),
        (10.05, 1, LeaderNotice(1, 4)),
        (10.06, 0, LeaderNotice(1, 4)),
        (10.06, 2, LeaderNotice(1, 4)),
    ]
    (election,) = read(*told)
    assert (election.why, election.noticed_by, election.leader) == ("drain or hand over", 0, 1)
    assert election.took_s == pytest.approx(0.05)
    assert election.agreed_by == {0, 1, 2}


def test_what_a_deaf_node_tried_reached_nobody_and_counts_for_nothing():
    """A deaf leader runs its own election for 20 s, and tells of it only when it hears again."""
    noise = [
        (9.0, 0, DeafNotice(True)),
        (10.2, 0, role("leader", "follower", "CUT_OFF")),
        (10.2, 0, LeaderNotice(None, 3)),
        (10.4, 0, role("follower", "elect", "LINE_UNKNOWN")),
        (10.4, 0, sent("ELECTION", 1, 3)),
        (10.4, 0, sent("ELECTION", 2, 3)),
        (16.0, 0, role("follower", "elect", "LINE_UNKNOWN")),
        (16.0, 0, sent("ELECTION", 1, 3)),
        (29.0, 0, DeafNotice(False)),
        (29.1, 0, LeaderNotice(1, 4)),
    ]
    (election,) = read(*NEXT_IN_LINE, *noise)
    assert (election.noticed_by, election.leader, election.message_count) == (1, 1, 2)
    assert sum(step.deaf for step in election.steps) == 5
    assert [step.arrived_at for step in election.steps if step.deaf] == [None] * 5


def test_a_long_time_without_a_leader_is_one_election_of_bounded_size_with_every_message_counted():
    elections = Elections(3, LOCAL)
    clock = NodeClock()
    number = 0
    for at, place, body in BEFORE:
        elections.take(ElectionEntry(place, 1, number := number + 1, 1000 * at, clock, body))
    for step in range(20_000):
        at = 10 + 0.25 * step
        bodies = (role("follower", "claim"), LeaseNotice("UNKNOWN", 3), sent("ELECTION", 1), role("claim", "follower"))
        elections.take(ElectionEntry(step % 3, 1, number := number + 1, 1000 * at, clock, bodies[step % 4]))
        if step % 500 == 0:
            (election,) = elections.newest_first(at + 2)
            assert election.outcome is ElectionOutcome.UNDER_WAY
            assert election.began == pytest.approx(10)
            assert election.message_count == (step + 1) // 4 + (step % 4 == 2)
            assert len(election.steps) <= MAX_ENTRIES
            assert len(elections) <= MAX_ENTRIES
    assert election.left_out > 15_000
    assert KEPT_OF_ONE < MAX_ENTRIES


def test_only_the_last_elections_are_kept():
    elections = Elections(3, LOCAL)
    clock = NodeClock()
    number = 0
    for term in range(1, 500):
        at = 20.0 * term
        for offset, place, body in (
            (0.0, term % 3, LeaderNotice(None, term)),
            (0.5, term % 3, role("follower", "claim", term=term)),
            (0.51, term % 3, LeaderNotice(term % 3, term + 1)),
            (0.52, (term + 1) % 3, LeaderNotice(term % 3, term + 1)),
        ):
            elections.take(ElectionEntry(place, 1, number := number + 1, 1000 * (at + offset), clock, body))
        found = elections.newest_first(at + 5)
        assert len(found) == min(term, MAX_ELECTIONS)
        assert found[0].term == term + 1
        assert all(later.former == earlier.leader for later, earlier in pairwise(found))
    assert len(elections) < 200


@pytest.mark.parametrize("nodes", [2, 3, 5, 9, 15])
def test_classic_bully_sends_what_the_formula_says(nodes):
    best, worst = bully(nodes)
    assert BullyCluster(1, nodes).fail_over([nodes - 2]) == best
    assert BullyCluster(1, nodes).fail_over(list(range(nodes - 1))) == worst


def test_there_is_no_bully_election_of_one():
    assert bully(1) == (0, 0)


# --- Real machines ---------------------------------------------------------------------------------------------------
class Watched:
    """A simulated cluster of real election machines, each with the telemetry that notes what it does."""

    def __init__(self, seed: int, size: int) -> None:
        self.cluster = SimCluster(seed, size=size)
        self.observers: dict[str, Telemetry] = {}
        for node in self.cluster.nodes.values():
            node.rate = 1.0
            self._watch(node)

    def _watch(self, node: SimNode) -> None:
        telemetry = self.observers[node.name] = Telemetry(node.name, self.cluster.names, 0.25, lambda: node.now)
        election, faults = node.election, node.faults
        take_events, receive = election.take_events, election.receive
        take_sends, take_actions, answer = election.take_sends, election.take_actions, election.lease_answer
        take_faults = faults.take_events

        def events() -> list:
            found = take_events()
            for event in found:
                telemetry.elected(event, election.term)
            return found

        def sends() -> list:
            found = take_sends()
            for target, message in found:
                telemetry.sent(target, message)
            return found

        def heard(sender: str, message: NodeMessage, now: float) -> None:
            telemetry.heard(sender, message, now)
            receive(sender, message, now)

        def actions() -> list:
            found = take_actions()
            for action in found:
                telemetry.lease(action)
            return found

        def answered(found: object, now: float) -> None:
            telemetry.lease(found)
            answer(found, now)

        def fault_events() -> list:
            found = take_faults()
            for change in found:
                telemetry.deafness(change.deaf)
            return found

        election.take_events, election.receive, election.take_sends = events, heard, sends
        election.take_actions, election.lease_answer, faults.take_events = actions, answered, fault_events

    def elections(self, order: int = 0) -> list[ElectionData]:
        """Return what the monitor reads from all notices, oldest first."""
        elections = Elections(len(self.cluster.nodes), LOCAL)
        entries = []
        for place, node in enumerate(self.cluster.nodes.values()):
            clock = NodeClock()
            clock.offset_s = -node.offset
            bodies = RoleNotice | LeaderNotice | ElectionNotice | LeaseNotice | DeafNotice
            for notice in self.observers[node.name].notices._ring:
                if isinstance(notice.body, bodies):
                    entries.append(
                        ElectionEntry(place, node.incarnation, notice.number, notice.at_ms, clock, notice.body)
                    )
        random.Random(order).shuffle(entries)
        for entry in entries:
            elections.take(entry)
        return list(reversed(elections.newest_first(self.cluster.time.now)))


@pytest.mark.parametrize("size", [3, 5, 9])
@pytest.mark.parametrize("seed", range(4))
def test_a_crash_is_read_as_it_happened_in_the_real_machines(seed, size):
    watched = Watched(seed, size)
    cluster = watched.cluster
    former = cluster.run_to_leader()
    cluster.run(3.0)
    cluster.kinds.clear()
    crashed_at = cluster.time.now
    former.crash()
    leader = cluster.run_to_leader()
    won_at = cluster.time.now
    cluster.run(2.0)
    counted = sum(cluster.kinds[kind] for kind in ELECTION_KINDS)
    *_, election = watched.elections(order=seed)
    assert election.outcome is ElectionOutcome.WON
    assert cluster.names[election.leader] == leader.name
    assert cluster.names[election.former] == former.name
    assert election.term == leader.election.term
    assert election.message_count == counted
    assert election.ended == pytest.approx(won_at, abs=0.3)
    assert crashed_at + 3 * 0.25 < election.began < election.ended <= election.agreed
    assert len(election.agreed_by) == size - 1
    assert watched.elections(order=seed + 1) == watched.elections(order=seed + 2)


@pytest.mark.parametrize("seed", range(4))
def test_a_deaf_leader_is_read_as_one_election(seed):
    watched = Watched(seed, 3)
    cluster = watched.cluster
    former = cluster.run_to_leader()
    cluster.run(3.0)
    known = len(watched.elections())
    cluster.kinds.clear()
    former.do(former.faults.make_deaf)
    leader = cluster.run_to_leader()
    cluster.run(15.0)
    counted = sum(cluster.kinds[kind] for kind in ELECTION_KINDS)
    cluster.run(10.0)
    found = watched.elections(order=seed)[known:]
    assert [election.outcome for election in found if election.outcome is not ElectionOutcome.CALMED] == [
        ElectionOutcome.WON
    ]
    assert cluster.names[found[0].leader] == leader.name
    assert found[0].message_count == counted


def test_without_a_directory_nobody_is_elected_until_it_is_back():
    watched = Watched(7, 3)
    cluster = watched.cluster
    cluster.run_to_leader()
    cluster.run(2.0)
    known = len(watched.elections())
    cluster.directory.away = True
    cluster.run(8.0)
    ended = watched.elections()[known:]
    assert [election.outcome for election in ended] == [ElectionOutcome.NOBODY]
    cluster.directory.away = False
    leader = cluster.run_to_leader()
    cluster.run(2.0)
    *before, election = watched.elections()[known:]
    assert {one.outcome for one in before} == {ElectionOutcome.NOBODY}
    assert (election.outcome, election.term) == (ElectionOutcome.WON, leader.election.term)
