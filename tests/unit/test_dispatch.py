"""Dispatch step by step: who is told what, who serves, who waits."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest

from node.dispatch import OPEN_REPEATS, Dispatch, DispatchAction, Forget, Held, NobodyServes, RequestKey, Serve
from shared.config import LIMITS, LOCAL, REMEMBERED_REQUESTS_S
from shared.wire.node_messages import (
    Assign,
    AssignAck,
    Done,
    Forward,
    NodeMessage,
    Unserved,
    Working,
    pack_keys,
    unpack_keys,
)

HB = LOCAL.heartbeat_s
NODES = ("a", "b", "c")
LAPSE_S = LOCAL.assign_lapse_heartbeats * HB
OPEN_S = OPEN_REPEATS * LOCAL.request_retry_max_s


def key(number: int, account: int = 1) -> RequestKey:
    return RequestKey(account.to_bytes(32, "big"), f"{number:032x}")


def keys_of(*keys: RequestKey) -> tuple:  # type: ignore[type-arg]
    return next(iter(pack_keys(keys)))


@dataclass
class Bench:
    me: str = "a"
    leader: str | None = "a"
    now: float = 0.0
    dead: tuple[str, ...] = ()
    machine: Dispatch = field(init=False)

    def __post_init__(self) -> None:
        self.machine = Dispatch(self.me, NODES, timing=LOCAL, now=0.0)
        for node in NODES:
            self.machine.node_state(node, 0.0, 1, 0, node not in self.dead)
        self.led_by(self.leader)

    def led_by(self, leader: str | None, term: int = 1) -> "Bench":
        self.machine.leadership(leader, term, leader == self.me, self.now)
        return self

    def hold(self, *keys: RequestKey) -> "Bench":
        for each in keys:
            self.machine.request_held(each, self.now)
        return self

    def get(self, sender: str, message: NodeMessage) -> "Bench":
        self.machine.receive(sender, message, self.now)
        return self

    def at(self, now: float) -> "Bench":
        while (deadline := self.machine.next_deadline()) < now:
            self.now = max(deadline, self.now)
            self.machine.tick(self.now)
            self._sent += self.machine.take_sends()
        self.now = now
        self.machine.tick(now)
        return self

    _sent: list[tuple[str, NodeMessage]] = field(default_factory=list)

    def sent(self) -> list[tuple[str, NodeMessage]]:
        sends, self._sent = [*self._sent, *self.machine.take_sends()], []
        return sends

    def told(self, node: str, kind: type[NodeMessage]) -> list[RequestKey]:
        """What `node` was told in messages of `kind`, since the last look at anything."""
        return [
            each
            for to, message in self.sent()
            if to == node and isinstance(message, kind)
            for each in all_keys(message)
        ]

    def actions(self) -> list[DispatchAction]:
        return self.machine.take_actions()


def all_keys(message: object) -> Iterable[RequestKey]:
    if isinstance(message, AssignAck):
        return [*unpack_keys(message.accepted), *unpack_keys(message.unheld)]
    assert isinstance(message, Assign | Done | Forward | Working | Unserved)
    return unpack_keys(message.keys)


# --- Leader ----------------------------------------------------------------------------------------------------------
def test_the_leader_assigns_at_once_and_tells_everybody() -> None:
    bench = Bench().hold(key(1), key(2), key(3))
    assert bench.actions() == [Serve(key(1))]
    bench.at(HB / 4)
    assigned = {
        (to, message.node, *unpack_keys(message.keys)) for to, message in bench.sent() if isinstance(message, Assign)
    }
    assert assigned == {(to, node, key(number)) for to in "bc" for node, number in (("a", 1), ("b", 2), ("c", 3))}
    assert [bench.machine._placement.in_flight(node) for node in NODES] == [1, 1, 1]


def test_the_assigned_node_is_told_at_once_and_the_others_in_company() -> None:
    bench = Bench().hold(key(1), key(2))
    assert {to for to, _ in bench.sent()} == {"b"}
    bench.at(HB / 4)
    assert {to for to, _ in bench.sent()} == {"c"}


def test_done_frees_the_node_for_more() -> None:
    bench = Bench().hold(key(1), key(2), key(3))
    bench.get("b", Done(keys=keys_of(key(2))))
    assert bench.machine._placement.in_flight("b") == 0
    assert bench.actions() == [Serve(key(1)), Forget(key(2))]
    bench.hold(key(4))
    assert bench.machine._placement.in_flight("b") == 1


def test_an_assignment_is_repeated_until_it_is_acknowledged() -> None:
    bench = Bench().hold(key(1), key(2)).at(HB / 2)
    bench.sent()
    bench.at(1.5 * HB)
    assert bench.told("b", Assign) == [key(2)]
    bench.get("b", AssignAck(term=1, accepted=keys_of(key(2)))).at(3 * HB)
    assert bench.told("b", Assign) == []


def test_an_assignment_without_signs_of_work_lapses_and_goes_to_another() -> None:
    bench = Bench().hold(key(1), key(2))
    bench.get("b", AssignAck(term=1, accepted=keys_of(key(2)))).at(LAPSE_S - 0.01)
    bench.sent()
    bench.at(LAPSE_S + 0.01)
    assert bench.told("c", Assign)
    assert bench.machine._placement.in_flight("b") == 0
    assert bench.machine._placement.in_flight("c") == 1


def test_signs_of_work_keep_an_assignment() -> None:
    bench = Bench().hold(key(1), key(2))
    for beat in range(1, 20):
        bench.at(beat * HB).get("b", Working(keys=keys_of(key(2))))
    assert bench.machine._placement.in_flight("b") == 1


def test_the_work_of_a_dead_node_goes_to_another_at_once() -> None:
    bench = Bench().hold(key(1), key(2)).at(HB / 4)
    bench.sent()
    bench.machine.node_state("b", 0.0, 1, 0, False)
    assert bench.told("c", Assign) == [key(2)]


def test_a_node_that_does_not_hold_the_request_is_passed_over() -> None:
    bench = Bench().hold(key(1), key(2)).at(HB / 4)
    bench.sent()
    bench.get("b", AssignAck(term=1, unheld=keys_of(key(2))))
    assert bench.told("c", Assign) == [key(2)]
    bench.get("c", AssignAck(term=1, unheld=keys_of(key(2))))
    assert bench.actions() == [Serve(key(1)), Serve(key(2))]


def test_a_negative_ack_of_another_term_is_ignored() -> None:
    bench = Bench().hold(key(1), key(2))
    bench.get("b", AssignAck(term=0, unheld=keys_of(key(2))))
    assert bench.machine._placement.in_flight("b") == 1


def test_a_node_that_could_not_serve_is_replaced_and_avoided() -> None:
    bench = Bench().hold(key(1), key(2))
    bench.get("b", Unserved(keys=keys_of(key(2))))
    assert bench.machine._placement.in_flight("c") == 1
    bench.hold(key(3), key(4))
    assert bench.machine._placement.in_flight("b") == 0


def test_a_forwarded_request_goes_to_a_node_that_holds_it() -> None:
    bench = Bench().get("c", Forward(keys=keys_of(key(7))))
    assert bench.told("c", Assign) == [key(7)]
    assert bench.machine._placement.in_flight("c") == 1
    assert not bench.actions()


def test_a_leader_that_cannot_serve_gives_the_request_away() -> None:
    bench = Bench().hold(key(1))
    bench.sent()
    bench.machine.failed_to_serve(key(1), 0.1)
    assert bench.machine._placement.in_flight("b") == 1
    assert bench.machine.counts().failed == 1


def test_a_new_leader_assigns_what_nobody_has() -> None:
    bench = Bench(me="b", leader=None).hold(key(1), key(2))
    bench.get("c", Working(keys=keys_of(key(2))))
    assert not bench.actions()
    bench.led_by("b", term=2)
    assert [bench.machine._placement.in_flight(node) for node in NODES] == [1, 0, 1]
    assert bench.told("a", Assign) == [key(1)]


# --- Follower --------------------------------------------------------------------------------------------------------
def test_an_assigned_follower_serves_acknowledges_and_tells_when_done() -> None:
    bench = Bench(me="b").hold(key(1)).get("a", Assign(term=1, node="b", keys=keys_of(key(1))))
    assert bench.actions() == [Serve(key(1))]
    bench.at(HB / 4)
    assert bench.told("a", AssignAck) == [key(1)]
    bench.machine.served(key(1), bench.now)
    assert bench.told("a", Done) == [key(1)]
    bench.at(HB / 2)
    assert bench.told("c", Done) == [key(1)]
    assert bench.machine.counts().served == 1
    assert bench.machine.in_flight == 0


def test_an_assignment_may_be_a_moment_ahead_of_the_request() -> None:
    bench = Bench(me="b").get("a", Assign(term=1, node="b", keys=keys_of(key(1)))).at(0.1 * HB)
    assert not bench.sent()
    bench.hold(key(1))
    assert bench.actions() == [Serve(key(1))]


def test_a_follower_says_that_it_does_not_hold_the_request() -> None:
    bench = Bench(me="b").get("a", Assign(term=1, node="b", keys=keys_of(key(1)))).at(0.3 * HB)
    [(to, message)] = bench.sent()
    assert to == "a"
    assert isinstance(message, AssignAck)
    assert list(unpack_keys(message.unheld)) == [key(1)]
    assert not bench.actions()


def test_who_became_leader_meanwhile_gives_a_request_it_does_not_hold_to_one_who_does() -> None:
    bench = Bench(me="b").get("a", Assign(term=1, node="b", keys=keys_of(key(1))))
    bench.led_by("b", term=2).get("c", Forward(keys=keys_of(key(1)))).sent()
    sent = bench.at(0.3 * HB).sent()
    assert {(to, message.node) for to, message in sent if isinstance(message, Assign)} == {("a", "c"), ("c", "c")}
    assert not any(to == "b" for to, _ in sent)


def test_an_assignment_of_an_earlier_term_is_ignored() -> None:
    bench = Bench(me="b").led_by("c", term=2).hold(key(1))
    bench.get("a", Assign(term=1, node="b", keys=keys_of(key(1))))
    assert not bench.actions()


def test_a_request_without_assignment_is_forwarded_after_two_heartbeats() -> None:
    bench = Bench(me="b").hold(key(1)).at(2 * HB - 0.01)
    assert not bench.sent()
    bench.at(2 * HB + 0.01)
    assert bench.told("a", Forward) == [key(1)]


@pytest.mark.parametrize(("me", "leader", "heartbeats"), [("b", "a", 4), ("c", "a", 6), ("a", None, 2), ("c", None, 6)])
def test_takeover_goes_down_the_line(me: str, leader: str | None, heartbeats: int) -> None:
    bench = Bench(me=me, leader=leader).hold(key(1)).at(heartbeats * HB - 0.01)
    assert Serve(key(1)) not in bench.actions()
    bench.at(heartbeats * HB + 0.01)
    assert Serve(key(1)) in bench.actions()
    assert bench.told("b" if me != "b" else "c", Working) == [key(1)]


def test_nobody_takes_over_what_another_does() -> None:
    bench = Bench(me="b", leader=None).hold(key(1))
    for beat in range(1, 30):
        bench.at(beat * HB).get("a", Working(keys=keys_of(key(1))))
    assert Serve(key(1)) not in bench.actions()
    bench.get("a", Done(keys=keys_of(key(1))))
    assert bench.actions() == [Forget(key(1))]


def test_what_an_assigned_node_abandons_is_taken_over() -> None:
    bench = Bench(me="b").hold(key(1)).get("a", Assign(term=1, node="c", keys=keys_of(key(1))))
    bench.led_by(None).at(LAPSE_S + 2 * HB - 0.01)
    assert Serve(key(1)) not in bench.actions()
    bench.at(LAPSE_S + 4 * HB + 0.01)
    assert Serve(key(1)) in bench.actions()


def test_without_a_leader_the_peer_is_told_once() -> None:
    bench = Bench(me="c", leader=None).hold(key(1)).at(5 * HB)
    assert bench.actions() == [NobodyServes(key(1))]


def test_failures_to_serve_make_it_wait_longer() -> None:
    """With the directory away everywhere, requests are not tried in a tight circle."""
    bench = Bench(me="a", leader=None, dead=("b", "c")).hold(key(1))
    attempts = 0
    for step in range(400):
        bench.at(step * HB / 5)
        for action in bench.actions():
            if isinstance(action, Serve):
                attempts += 1
                bench.machine.failed_to_serve(key(1), bench.now)
    assert 4 <= attempts <= 9


def test_an_assignment_to_a_node_that_is_done_is_answered_with_done() -> None:
    bench = Bench(me="b").hold(key(1)).get("a", Assign(term=1, node="b", keys=keys_of(key(1))))
    bench.machine.served(key(1), bench.now)
    bench.sent(), bench.actions()
    bench.get("a", Assign(term=1, node="b", keys=keys_of(key(1))))
    assert bench.told("a", Done) == [key(1)]
    assert not bench.actions()


def test_work_shows_itself_to_everybody() -> None:
    bench = Bench(me="b").hold(key(1)).get("a", Assign(term=1, node="b", keys=keys_of(key(1)))).at(3 * HB)
    told = [to for to, message in bench.sent() if isinstance(message, Working)]
    assert {"a", "c"} == set(told)


# --- Repeats and bounds ----------------------------------------------------------------------------------------------
def test_a_repeat_while_it_is_served_changes_nothing() -> None:
    bench = Bench().hold(key(1))
    bench.actions()
    assert bench.machine.request_held(key(1), 0.5) is Held.KNOWN
    assert not bench.actions()


def test_a_repeat_after_it_was_served_is_served_again() -> None:
    bench = Bench().hold(key(1))
    bench.actions()
    bench.machine.served(key(1), 0.1)
    assert bench.machine.request_held(key(1), 0.6) is Held.AGAIN
    assert bench.actions() == [Serve(key(1))]
    assert bench.machine.counts().repeated == 1


def test_a_repeat_that_may_have_crossed_the_answer_waits_for_word_of_its_peer() -> None:
    bench = Bench().hold(key(1), key(2))
    bench.actions()
    bench.machine.served(key(1), 0.5)
    bench.get("b", Done(keys=keys_of(key(2))))
    bench.now = 0.51
    bench.hold(key(1), key(2)).at(0.6)
    bench.machine.unwanted(key(1), 0.6)
    bench.at(1.0)
    assert bench.actions() == [Serve(key(2))], "its peer did not say that it has the answer"
    assert bench.machine.counts().failed == 0


def test_what_nobody_wants_is_over_for_all_nodes() -> None:
    bench = Bench(me="b", leader="a").hold(key(1))
    bench.machine.unwanted(key(1), 0.1)
    assert bench.told("a", Done) == [key(1)]
    assert bench.machine.counts().open == 0
    bench.machine.unwanted(key(1), 0.2)
    bench.machine.unwanted(key(2), 0.2)
    assert bench.at(1.0).told("a", Done) == []
    assert bench.machine.request_held(key(1), 1.0) is Held.AGAIN, "its peer wants it after all"


def test_a_repeat_that_meets_the_end_is_not_let_go_of() -> None:
    bench = Bench(me="b", leader="a").hold(key(1))
    bench.get("c", Done(keys=keys_of(key(1)))).hold(key(1))
    assert bench.actions() == [], "the shell would let go of what is held again"
    bench.at(3 * HB)
    assert bench.told("a", Forward) == [key(1)]


def test_a_node_whose_session_with_the_peer_is_over_neither_forwards_nor_takes_over() -> None:
    bench = Bench(me="b", leader=None, dead=("a", "c")).hold(key(1))
    bench.machine.peer_gone(key(1), 0.1)
    bench.at(OPEN_S / 2)
    assert bench.actions() == []
    bench.hold(key(1)).at(OPEN_S / 2 + 8 * HB)
    assert Serve(key(1)) in bench.actions(), "the peer is back"


def test_a_leader_whose_session_with_the_peer_is_over_gives_the_request_to_one_who_forwards_it() -> None:
    bench = Bench().hold(key(1))
    assert bench.actions() == [Serve(key(1))]
    bench.at(0.1).sent()
    bench.machine.peer_gone(key(1), 0.1)
    bench.machine.failed_to_serve(key(1), 0.1)
    assert Assign not in {type(message) for _, message in bench.at(2 * HB).sent()}, "it cannot know who holds it"
    bench.get("b", Forward(keys=keys_of(key(1))))
    assert bench.told("b", Assign) == [key(1)]
    assert bench.actions() == []


def test_a_request_that_was_let_go_of_while_it_was_served_ends_as_any_other() -> None:
    bench = Bench().hold(key(1))
    bench.machine.peer_gone(key(1), 0.1)
    bench.machine.served(key(1), 0.2)
    counts = bench.machine.counts()
    assert (counts.open, counts.serving, counts.served) == (0, 0, 1)
    share = LIMITS.requests_in_flight_per_key
    assert [bench.machine.request_held(key(n), 1.0) for n in range(2, share + 3)].count(Held.BUSY) == 1


def test_an_account_cannot_have_more_than_its_share_open() -> None:
    bench = Bench(me="b")
    results = [bench.machine.request_held(key(number), 0.0) for number in range(LIMITS.requests_in_flight_per_key + 1)]
    assert results[:-1] == [Held.NEW] * LIMITS.requests_in_flight_per_key
    assert results[-1] is Held.BUSY
    assert bench.machine.request_held(key(1, account=2), 0.0) is Held.NEW
    bench.get("c", Done(keys=keys_of(key(0))))
    assert bench.machine.request_held(key(999), 0.0) is Held.NEW


def test_what_its_peer_no_longer_repeats_is_dropped() -> None:
    bench = Bench(me="b", leader="a").hold(key(1))
    bench.get("a", Assign(term=1, node="c", keys=keys_of(key(1))))
    for step in range(int(OPEN_S / HB) + 8):
        bench.at(step * HB).get("c", Working(keys=keys_of(key(1))))
    assert bench.actions() == [Forget(key(1))]


def test_the_request_of_a_silent_peer_is_not_handed_round_for_ever() -> None:
    """Whoever begins it waits in vain for the upload and gives it back; a peer repeats what it waits for."""
    bench = Bench(me="a").hold(key(1))
    served, step_s = 0, 5.0  # as long as a pull is tried
    for step in range(int(5 * OPEN_S / step_s)):
        if Serve(key(1)) in bench.at(step * step_s).actions():
            served += 1
            bench.machine.failed_to_serve(key(1), bench.now)
        if bench.now < OPEN_S:
            bench.get("b", Forward(keys=keys_of(key(1))))
        bench.get("b", Unserved(keys=keys_of(key(1)))).get("c", Unserved(keys=keys_of(key(1))))
    assert 1 <= served <= OPEN_S / step_s + 2
    assert bench.machine.counts().open == 0
    assert bench.machine.request_held(key(1), bench.now) is Held.NEW
    assert Serve(key(1)) in bench.actions(), "a peer that comes back is served"


def test_served_requests_are_forgotten_in_time_and_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.request_book.REMEMBERED_REQUESTS", 10)
    bench = Bench(me="b")
    for number in range(30):
        bench.get("c", Done(keys=keys_of(key(number))))
    assert bench.machine.counts().remembered == 10
    bench.get("a", Assign(term=1, node="c", keys=keys_of(*(key(number) for number in range(100, 130)))))
    assert bench.machine.counts().open == 10
    bench.at(REMEMBERED_REQUESTS_S + 2)
    assert bench.machine.counts().remembered == 0
    assert bench.machine.counts().open == 0


def test_hundreds_of_requests_share_a_few_datagrams() -> None:
    machine = Dispatch("a", NODES, timing=LOCAL, limits=replace(LIMITS, requests_in_flight_per_key=1000), now=0.0)
    for node in NODES:
        machine.node_state(node, 0.0, 1, 0, True)
    machine.leadership("a", 1, True, 0.0)
    for number in range(300):
        machine.request_held(key(number), 0.0)
    machine.tick(HB)
    assert len(machine.take_sends()) <= 30
