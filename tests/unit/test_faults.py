"""The failure simulation: deaf by order, and the token that goes round."""

from node.faults import GAP_HEARTBEATS, DeafnessChanged, Faults
from shared.config import LOCAL
from shared.wire.node_messages import FaultControl, FaultToken, NodeMessage

HB = LOCAL.heartbeat_s
NODES = ("a", "b", "c")


def machine(me: str = "a", leader: str | None = "a", term: int = 1) -> Faults:
    faults = Faults(me, NODES, timing=LOCAL, now=0.0)
    faults.leadership(leader, term, leader == me, 0.0)
    return faults


def run(faults: Faults, start: float, until: float) -> list[tuple[float, NodeMessage]]:
    sent: list[tuple[float, NodeMessage]] = []
    now = start
    while (deadline := faults.next_deadline()) <= until:
        assert deadline > now or now == start, "no busy loop"
        now = max(deadline, now)
        faults.tick(now)
        sent += [(now, message) for _, message in faults.take_sends()]
    return sent


def test_an_operator_makes_a_node_deaf_for_twenty_seconds() -> None:
    faults = machine()
    faults.make_deaf(5.0)
    assert faults.is_deaf(5.0)
    assert faults.next_deadline() == 25.0
    faults.tick(25.0)
    assert not faults.is_deaf(25.0)
    assert faults.take_events() == [DeafnessChanged(deaf=True), DeafnessChanged(deaf=False)]
    assert faults.next_deadline() == float("inf")


def test_a_node_says_that_it_will_be_deaf_before_it_is() -> None:
    faults = machine()
    faults.make_deaf(5.0, 20.0, notice_s=HB / 4)
    assert not faults.is_deaf(5.0)
    assert faults.silence_left_s(5.0) == 20.0
    assert faults.next_deadline() == 5.0 + HB / 4
    faults.tick(5.0 + HB / 4)
    assert faults.is_deaf(5.0 + HB / 4)
    faults.tick(25.0)
    assert faults.take_events() == [DeafnessChanged(deaf=True), DeafnessChanged(deaf=False)]
    assert faults.silence_left_s(25.0) == 0.0


def test_the_leader_sends_the_token_and_repeats_it_with_the_time_left() -> None:
    faults = machine()
    faults.start_token(0.0)
    assert {to for to, _ in faults.take_sends()} == {"b", "c"}
    repeats = run(faults, 0.0, 10.0)
    assert all(isinstance(message, FaultToken) and message.holder == "b" for _, message in repeats)
    sent_at, last = repeats[-1]
    assert isinstance(last, FaultToken)
    assert abs(last.remaining_s - (LOCAL.deaf_s - sent_at)) < 0.01


def test_the_token_moves_on_after_the_cloud_was_whole_for_a_moment() -> None:
    faults = machine()
    faults.start_token(0.0)
    faults.take_sends()
    passed = run(faults, 0.0, 2 * LOCAL.deaf_s + 2 * GAP_HEARTBEATS * HB + 3)
    holders = [message.holder for _, message in passed if isinstance(message, FaultToken)]
    assert list(dict.fromkeys(holders)) == ["b", "c", "a"]
    moved_at = next(now for now, message in passed if isinstance(message, FaultToken) and message.holder == "c")
    assert moved_at >= LOCAL.deaf_s + GAP_HEARTBEATS * HB


def test_the_leader_says_where_the_token_is_before_it_falls_silent_itself() -> None:
    faults = machine()
    faults.receive("x", FaultToken(term=1, hop=1, holder="c", remaining_s=0.0), 0.0)
    faults.start_token(0.0)
    faults.take_sends()
    run(faults, 0.0, 2 * (LOCAL.deaf_s + GAP_HEARTBEATS * HB) + HB / 8)
    faults.take_events()
    assert faults.token is not None
    while faults.token.holder != "a":
        run(faults, 0.0, faults.next_deadline())
    moved_at = faults.token.until - LOCAL.deaf_s
    assert not faults.is_deaf(moved_at)
    assert faults.is_deaf(moved_at + HB)


def test_the_holder_is_deaf_for_the_time_that_is_left() -> None:
    faults = machine("b")
    faults.receive("a", FaultToken(term=1, hop=1, holder="b", remaining_s=7.0), 3.0)
    assert faults.is_deaf(3.0)
    assert not faults.is_deaf(10.0)


def test_stale_tokens_are_ignored() -> None:
    faults = machine("b", leader="a", term=3)
    faults.receive("a", FaultToken(term=3, hop=5, holder="c", remaining_s=1.0), 0.0)
    faults.receive("a", FaultToken(term=3, hop=4, holder="b", remaining_s=9.0), 0.0)
    faults.receive("c", FaultToken(term=2, hop=9, holder="b", remaining_s=9.0), 0.0)
    faults.receive("c", FaultToken(term=3, hop=9, holder="b", remaining_s=9.0), 0.0)
    assert not faults.is_deaf(0.0)
    assert faults.token is not None
    assert faults.token.hop == 5


def test_a_token_of_an_earlier_term_is_ignored_by_who_never_saw_one() -> None:
    faults = machine("b", leader="a", term=3)
    faults.receive("c", FaultToken(term=2, hop=9, holder="b", remaining_s=9.0), 0.0)
    assert faults.token is None
    assert not faults.is_deaf(0.0)


def test_a_new_leader_carries_on_where_the_token_was() -> None:
    faults = machine("b", leader="a")
    faults.receive("a", FaultToken(term=1, hop=4, holder="c", remaining_s=10.0), 0.0)
    faults.leadership("b", 2, True, 1.0)
    faults.tick(1.0)
    sent = [message for _, message in faults.take_sends()]
    assert sent == [FaultToken(term=2, hop=4, holder="c", remaining_s=9.0)] * 2
    passed = run(faults, 1.0, 10.0 + (GAP_HEARTBEATS + 2) * HB)
    assert {message.term for _, message in passed if isinstance(message, FaultToken)} == {2}
    assert faults.token is not None
    assert (faults.token.hop, faults.token.holder) == (5, "a")


def test_a_follower_asks_the_leader_to_start_and_stop() -> None:
    follower, leader = machine("b"), machine("a")
    follower.start_token(0.0)
    [(to, control)] = follower.take_sends()
    assert to == "a"
    assert isinstance(control, FaultControl)
    leader.receive("b", control, 0.0)
    assert leader.token is not None
    assert leader.token.holder == "b"
    follower.stop_token(1.0)
    leader.receive("b", follower.take_sends()[0][1], 1.0)
    assert leader.token.holder is None


def test_a_stopped_token_falls_silent() -> None:
    faults = machine()
    faults.start_token(0.0)
    faults.stop_token(1.0)
    faults.take_sends()
    said = run(faults, 1.0, 100.0)
    assert all(isinstance(message, FaultToken) and message.holder is None for _, message in said)
    assert said[-1][0] <= 1.0 + (GAP_HEARTBEATS + 1) * HB
    assert faults.next_deadline() == float("inf")
