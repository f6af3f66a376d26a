"""Notices come out once each and in order, whatever arrives."""

from hypothesis import given
from hypothesis import strategies as st

from node.event_log import EventLog
from shared.wire.feed_messages import DeafNotice, FeedNotices, Notice
from tui.operator import NoticeOrder


def message(*numbers: int, life: int = 1, oldest: int = 1) -> FeedNotices:
    notices = tuple(Notice(number, 0.0, DeafNotice(True)) for number in numbers)
    return FeedNotices(seq=1, at_ms=0.0, incarnation=life, oldest=oldest, notices=notices)


def taken(order: NoticeOrder, given: FeedNotices) -> list[int]:
    return [notice.number for notice in order.take(given)]


def test_a_gap_is_waited_for_and_repeats_are_dropped() -> None:
    order = NoticeOrder()
    assert taken(order, message(1, 2)) == [1, 2]
    assert taken(order, message(4, 5)) == []
    assert order.after == 2
    assert taken(order, message(2, 3, 4)) == [3, 4, 5]
    assert taken(order, message(1, 2, 3, 4, 5)) == []


def test_what_the_node_no_longer_has_is_counted_as_gone() -> None:
    order = NoticeOrder()
    assert taken(order, message(11, 12, oldest=11)) == [11, 12]
    assert order.gone == 10
    assert taken(order, message(700, 701, oldest=300)) == []
    assert taken(order, message(699, oldest=699)) == [699, 700, 701]
    assert order.gone == 10 + 686


def test_a_new_life_begins_anew_and_the_old_one_is_ignored() -> None:
    order = NoticeOrder()
    assert taken(order, message(1, 3)) == [1]
    assert taken(order, message(1, life=2)) == [1]
    assert taken(order, message(2, life=1)) == []
    assert order.incarnation == 2


def test_a_new_session_tells_of_a_later_life_also_where_it_counts_from_one() -> None:
    order = NoticeOrder()
    assert taken(order, message(1, 2, life=7)) == [1, 2]
    assert taken(order, message(1, life=3)) == []
    order.reconnected()
    assert taken(order, message(1, life=3)) == [1]
    assert taken(order, message(2, life=2)) == []


@given(st.data())
def test_any_order_loss_and_repetition_ends_whole(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 60))
    kept = EventLog()
    for _ in range(count):
        kept.add(DeafNotice(True), 0.0)
    order, out = NoticeOrder(), []
    for _ in range(200):
        portions = list(kept.after(order.after, 4))
        if not portions:
            break
        for portion in data.draw(st.permutations(portions)):
            if data.draw(st.integers(0, 3)):
                given = FeedNotices(seq=1, at_ms=0.0, incarnation=1, oldest=kept.oldest, notices=portion)
                out += taken(order, given)
    for portion in kept.after(order.after, 99):
        out += taken(order, FeedNotices(seq=1, at_ms=0.0, incarnation=1, oldest=1, notices=portion))
    assert out == list(range(1, count + 1))


@given(st.lists(st.tuples(st.lists(st.integers(0, 2**53), max_size=6), st.integers(0, 2**53), st.integers(0, 3))))
def test_a_lying_node_fills_no_memory(messages: list[tuple[list[int], int, int]]) -> None:
    order = NoticeOrder()
    for numbers, oldest, life in messages:
        order.take(message(*numbers, life=life, oldest=oldest))
        assert len(order._early) <= 512
