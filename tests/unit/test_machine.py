"""The parts of a node together: requests in hand, the directory's answers, incarnations and the policy."""

import pytest

from node.dispatch import DispatchAction, Forget, Serve
from node.lease import ClaimLease, LeaseRenewed, LeaseWon, ReleaseLease, RenewLease
from node.machine import (
    ANNOUNCE_EVERY_HEARTBEATS,
    REFUTE_AGAIN_S,
    Announce,
    AskLease,
    NodeAction,
    NodeMachine,
    TakeIncarnation,
)
from node.membership import MemberRow
from node.placement import Policy
from shared.config import LOCAL
from shared.wire.node_messages import Done, Outlived, RequestKey, Unserved, pack_keys

HB = LOCAL.heartbeat_s
KEY = RequestKey(bytes(32), f"{1:032x}")
ALONE = [MemberRow("a", 1.0, hears=False, incarnation=4)]


class Bench:
    """A machine and the time; `leading` one is alone in its cluster and has the lease."""

    def __init__(self, *, nodes: tuple[str, ...] = ("a",), leading: bool = True) -> None:
        self.now = 0.0
        self.machine = NodeMachine("a", nodes, timing=LOCAL, incarnation=4, now=0.0)
        self.taken: list[NodeAction | DispatchAction] = []
        self.sent: list[tuple[str, object]] = []
        self.wake()
        self.machine.directory_read(ALONE, Policy.LEAST_COST, self.now)
        while leading and not self.machine.election.is_leader(self.now):
            self.wait(HB)
            for asked in self.asked(ClaimLease):
                won = LeaseWon(asked.action.seen_term + 1, asked.action.sent_at)
                self.machine.lease_answered(asked, won, self.now)
        self.wake()

    def wake(self) -> list[NodeAction | DispatchAction]:
        self.machine.service_seen(self.now)
        self.machine.tick(self.now)
        self.taken = [*self.machine.take_actions(), *self.machine.take_request_actions()]
        self.sent = self.machine.take_sends()
        assert self.machine.next_deadline() > self.now
        return self.taken

    def wait(self, seconds: float) -> list[NodeAction | DispatchAction]:
        """Let time pass, waking at each deadline; return all actions."""
        until, taken = self.now + seconds, []
        while (deadline := self.machine.next_deadline()) <= until:
            self.now = deadline
            taken += self.wake()
        self.now = until
        self.taken = taken + self.wake()
        return self.taken

    def asked(self, kind: type) -> list[AskLease]:
        return [one for one in self.taken if isinstance(one, AskLease) and isinstance(one.action, kind)]

    def of(self, kind: type) -> list:
        return [one for one in self.taken if isinstance(one, kind)]


# --- Requests --------------------------------------------------------------------------------------------------------
def test_a_leader_alone_serves_what_it_is_sent() -> None:
    bench = Bench()
    assert bench.machine.request_held(KEY, bench.now)
    assert bench.wake() == [Serve(KEY)]
    bench.machine.served(KEY, bench.now)
    assert bench.wake() == []
    assert bench.machine.dispatch.counts().served == 1
    assert not bench.machine.is_wanted(KEY)


def test_what_is_wanted_no_more_is_let_go_of_unless_work_is_under_way() -> None:
    bench = Bench()
    bench.machine.request_held(KEY, bench.now)
    assert not bench.machine.unwanted(KEY, bench.now), "nothing to break off"
    assert bench.wake() == [], "though dispatch had decided to serve it"
    bench.machine.request_held(KEY, bench.now)
    bench.wait(2 * HB)
    assert bench.machine.unwanted(KEY, bench.now), "it is being served"
    assert not bench.machine.is_wanted(KEY)
    assert not bench.machine.not_served(KEY, bench.now, reachable=True)
    assert bench.machine.dispatch.counts().open == 0
    assert bench.machine.dispatch.counts().failed == 0, "nobody need take it over"


def test_a_peer_that_sends_again_wants_it_after_all() -> None:
    bench = Bench()
    bench.machine.request_held(KEY, bench.now)
    bench.wake()
    bench.machine.unwanted(KEY, bench.now)
    bench.machine.request_held(KEY, bench.now)
    assert bench.machine.is_wanted(KEY)
    assert bench.machine.not_served(KEY, bench.now, reachable=True), "it goes on being held"
    assert bench.machine.dispatch.counts().failed == 1


def test_a_request_whose_peer_left_while_it_was_served_is_given_back() -> None:
    """Dispatch must not give it to this node again."""
    bench = Bench(nodes=("a", "b"), leading=False)
    bench.machine.request_held(KEY, bench.now)
    assert Serve(KEY) in bench.wait(20 * HB), "nobody leads, so it takes over"
    assert not bench.machine.not_served(KEY, bench.now, reachable=False)
    bench.wake()
    assert ("b", Unserved(keys=next(iter(pack_keys([KEY]))))) in bench.sent
    assert not any(action in (Serve(KEY), Forget(KEY)) for action in bench.wait(40 * HB))


def test_the_shell_is_told_once_when_another_node_has_served() -> None:
    bench = Bench(nodes=("a", "b"), leading=False)
    bench.machine.request_held(KEY, bench.now)
    done = Done(keys=next(iter(pack_keys([KEY]))))
    bench.machine.receive("b", done, bench.now)
    bench.machine.receive("b", done, bench.now)
    bench.wake()
    assert bench.of(Forget) == [Forget(KEY)]


# --- Directory -------------------------------------------------------------------------------------------------------
def test_the_directory_is_asked_again_some_heartbeats_after_it_answered() -> None:
    bench = Bench(nodes=("a", "b"), leading=False)
    pause_s = ANNOUNCE_EVERY_HEARTBEATS * HB
    bench.wait(0.9 * pause_s)
    assert not bench.of(Announce)
    bench.wait(0.2 * pause_s)
    assert [announce.incarnation for announce in bench.of(Announce)] == [4]
    bench.wait(10 * pause_s)
    assert not bench.of(Announce), "one question at a time"
    bench.machine.directory_silent(bench.now)
    assert not bench.machine.election.fit
    bench.wait(1.1 * pause_s)
    assert len(bench.of(Announce)) == 1


def test_a_choice_is_not_undone_by_an_answer_to_an_earlier_question() -> None:
    bench = Bench(nodes=("a", "b"), leading=False)
    bench.wait(ANNOUNCE_EVERY_HEARTBEATS * HB)
    assert bench.of(Announce)
    bench.machine.policy_chosen(Policy.ROUND_ROBIN)
    bench.machine.directory_read(ALONE, Policy.LEAST_COST, bench.now)
    assert bench.machine.dispatch.policy is Policy.ROUND_ROBIN
    bench.machine.directory_read(ALONE, Policy.PRIORITY, bench.now)
    assert bench.machine.dispatch.policy is Policy.PRIORITY
    bench.machine.policy_chosen(Policy.ROUND_ROBIN)
    bench.machine.directory_read(ALONE, Policy.PRIORITY, bench.now)
    assert bench.machine.dispatch.policy is Policy.PRIORITY, "it was asked for after the choice, and another was made"


def test_a_policy_of_a_newer_program_changes_nothing() -> None:
    bench = Bench(nodes=("a", "b"), leading=False)
    bench.machine.directory_read(ALONE, Policy.ROUND_ROBIN, bench.now)
    bench.machine.directory_read(ALONE, None, bench.now)
    assert bench.machine.dispatch.policy is Policy.ROUND_ROBIN


# --- Two loops -------------------------------------------------------------------------------------------------------
def without_service(bench: Bench, seconds: float) -> None:
    """Let time pass in which nothing is seen of the loop that serves requests, and the lease is renewed."""
    until = bench.now + seconds
    while (deadline := bench.machine.next_deadline()) <= until:
        bench.now = deadline
        bench.machine.tick(bench.now)
        for asked in bench.machine.take_actions():
            if isinstance(asked, AskLease) and isinstance(asked.action, RenewLease):
                renewed = LeaseRenewed(asked.action.term, asked.action.sent_at)
                bench.machine.lease_answered(asked, renewed, bench.now)


def test_a_leader_whose_requests_stand_still_leads_for_a_bounded_time() -> None:
    """A loop that hangs for good must not keep its node in office, however well the other sends heartbeats."""
    bench = Bench()
    without_service(bench, 3 * LOCAL.lease_s)
    assert bench.machine.election.is_leader(bench.now)
    assert not bench.machine.election.fit
    without_service(bench, LOCAL.stall_s - 3 * LOCAL.lease_s + HB)
    assert not bench.machine.election.is_leader(bench.now)


def test_time_in_which_the_machine_was_not_called_says_nothing_of_requests() -> None:
    """After a pause of the whole process, its clock is looked at before the loop of requests has its turn."""
    bench = Bench()
    bench.now += 10 * LOCAL.stall_s
    bench.machine.tick(bench.now)
    assert bench.machine.election.fit


# --- Incarnations ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("source", ["node", "directory"])
def test_a_higher_incarnation_is_taken_where_others_know_one(source: str) -> None:
    bench = Bench(nodes=("a", "b"), leading=False)
    if source == "node":
        bench.machine.receive("b", Outlived(incarnation=9), bench.now)
    else:
        bench.machine.directory_read([MemberRow("a", 2.0, hears=True, incarnation=9)], None, bench.now)
    bench.wake()
    assert bench.of(TakeIncarnation) == [TakeIncarnation(9)]
    bench.machine.incarnation_not_taken(bench.now)
    bench.wait(0.9 * REFUTE_AGAIN_S)
    assert not bench.of(TakeIncarnation)
    bench.wait(0.2 * REFUTE_AGAIN_S)
    assert bench.of(TakeIncarnation) == [TakeIncarnation(9)]
    bench.machine.incarnation_taken(10, bench.now)
    bench.wait(2 * REFUTE_AGAIN_S)
    assert not bench.of(TakeIncarnation)
    assert bench.machine.election.incarnation == 10


def test_a_term_is_renewed_and_released_under_the_incarnation_that_claimed_it() -> None:
    bench = Bench()
    bench.machine.election.known_as(9)
    bench.machine.incarnation_taken(10, bench.now)
    bench.wait(HB)
    [renewal] = bench.asked(RenewLease)
    assert renewal.incarnation == 4
    bench.machine.lease_answered(renewal, LeaseRenewed(renewal.action.term, renewal.action.sent_at), bench.now)
    bench.machine.election.drain(bench.now)
    bench.wake()
    assert [asked.incarnation for asked in bench.asked(ReleaseLease)] == [4]
    bench.machine.election.undrain(bench.now)
    bench.wait(20 * HB)
    assert {asked.incarnation for asked in bench.asked(ClaimLease)} == {10}
