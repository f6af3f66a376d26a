"""Whose turn it is in the outbox."""

from hypothesis import given
from hypothesis import strategies as st

from tui.peer.lanes import due
from tui.peer.store import OutboxRow

URGENT = {"revocation"}


def row(number: int, lane: str = "", kind: str = "rights") -> OutboxRow:
    return OutboxRow(f"{number:032x}", kind, kind, b"", 0.0, 0, "", lane)


def turns(rows: list[OutboxRow], under_way: dict[str, str] | None = None) -> list[int]:
    return sorted(int(found.request, 16) for found in due(rows, under_way or {}, URGENT))


def test_the_oldest_of_each_lane_and_all_without_one() -> None:
    assert turns([row(1, "a"), row(2), row(3, "a"), row(4, "b"), row(5)]) == [1, 2, 4, 5]


def test_a_lane_in_which_something_is_under_way_waits_also_where_that_was_taken_out() -> None:
    rows = [row(1, "a"), row(2, "a"), row(3, "b")]
    assert turns(rows, {rows[0].request: "a"}) == [3]
    assert turns(rows, {"f" * 32: "a"}) == [3]


def test_a_revocation_goes_first_and_the_first_of_two_revocations() -> None:
    rows = [row(1, "a"), row(2, "a", "revocation"), row(3, "a"), row(4, "a", "revocation")]
    assert turns(rows) == [2]


@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "b", "c"]), st.sampled_from(["rights", "revocation"])), max_size=20),
    st.sets(st.integers(0, 19)),
)
def test_no_lane_has_two_turns_and_none_is_left_out(made, busy) -> None:
    rows = [row(number, lane, kind) for number, (lane, kind) in enumerate(made)]
    under_way = {each.request: each.lane for number, each in enumerate(rows) if number in busy}
    found = due(rows, under_way, URGENT)
    lanes = [each.lane for each in found if each.lane]
    assert len(lanes) == len(set(lanes))
    assert not {each.request for each in found} & under_way.keys()
    waiting = {each.lane for each in rows} - set(under_way.values()) - {""}
    assert set(lanes) == waiting
