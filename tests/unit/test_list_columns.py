"""Sharing out a width among columns, and the order of rows: never more than there is, nothing lost to rounding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.common.columns import EDGE, GAP, NARROWEST, Column, lay_out
from tui.common.ordering import in_order, orders, sorted_by, successor

COLUMNS = st.lists(
    st.builds(
        Column,
        key=st.just("k"),
        title=st.just("T"),
        width=st.none() | st.integers(1, 40),
        flex=st.integers(1, 9),
        hide_below=st.sampled_from([0, 0, 60, 90]),
    ),
    max_size=8,
)


def widths(columns, width):
    return [slot.width for slot in lay_out(columns, width)]


@given(columns=COLUMNS, width=st.integers(0, 200))
def test_columns_never_exceed_the_width_and_never_overlap(columns, width):
    slots = lay_out(columns, width)
    end = EDGE - GAP
    for slot in slots:
        assert slot.width >= 1
        assert slot.x == end + GAP
        assert width >= slot.column.hide_below
        assert slot.column is columns[slot.index]
        end = slot.x + slot.width
    assert not slots or end + EDGE <= width
    if any(slot.column.width is None for slot in slots):
        assert end + EDGE == width, "flexible columns take all that is left"


def test_flexible_columns_take_the_rest_by_their_share():
    columns = [Column("a", "A", 10), Column("b", "B", flex=2), Column("c", "C", flex=1)]
    assert widths(columns, 10 + 30 + 2 * GAP + 2 * EDGE) == [10, 20, 10]


def test_a_share_below_the_narrowest_is_raised_at_the_cost_of_the_others():
    columns = [Column("a", "A", flex=1), Column("b", "B", flex=20)]
    assert widths(columns, 24 + GAP + 2 * EDGE) == [NARROWEST, 24 - NARROWEST]


def test_flexible_columns_shrink_before_fixed_ones():
    columns = [Column("a", "A", 10), Column("b", "B")]
    assert widths(columns, 10 + NARROWEST + GAP + 2 * EDGE) == [10, NARROWEST]
    assert widths(columns, 7 + GAP + 2 * EDGE) == [5, 2]


def test_columns_are_hidden_below_their_width_and_dropped_without_a_cell():
    columns = [Column("a", "A", 3), Column("b", "B", 3, hide_below=40), Column("c", "C", 3)]
    assert [slot.index for slot in lay_out(columns, 40)] == [0, 1, 2]
    assert [slot.index for slot in lay_out(columns, 39)] == [0, 2]
    assert [slot.index for slot in lay_out(columns, 2 * EDGE + GAP + 1)] == [0]
    assert lay_out(columns, 0) == ()


def test_a_slot_covers_its_cells_and_the_gap_after_them():
    first, second = lay_out([Column("a", "A", 5), Column("b", "B", 5)], 40)
    assert [x for x in range(40) if first.covers(x)] == list(range(1, 8))
    assert second.covers(8)
    assert not second.covers(7)


def test_orders_go_through_every_key_both_ways_and_as_given_only_where_it_began_so():
    assert orders(["a", "b"], None) == (None, ("a", False), ("a", True), ("b", False), ("b", True))
    assert orders(["a"], ("a", True)) == (("a", False), ("a", True))
    assert orders(["a", "b"], ("a", True), {"b"}) == (("a", False), ("a", True), ("b", True), ("b", False))


def test_asking_for_an_order_again_turns_it_round():
    assert sorted_by("a", None) == ("a", False)
    assert sorted_by("a", ("a", False)) == ("a", True)
    assert sorted_by("a", ("a", True)) == ("a", False)
    assert sorted_by("a", ("b", False)) == ("a", False)
    assert sorted_by("a", ("b", False), {"a"}) == ("a", True)
    assert sorted_by("a", ("a", True), {"a"}) == ("a", False)


@pytest.mark.parametrize(("sort", "expected"), [(None, "bCa"), (("name", False), "abC"), (("name", True), "Cba")])
def test_rows_are_sorted_as_asked(sort, expected):
    assert "".join(in_order("bCa", sort, {"name": str.casefold})) == expected


def test_equal_rows_keep_their_order_both_ways():
    rows = ["a1", "b1", "a2"]
    assert in_order(rows, ("first", False), {"first": lambda row: row[0]}) == ("a1", "a2", "b1")
    assert in_order(rows, ("first", True), {"first": lambda row: row[0]}) == ("b1", "a1", "a2")


@pytest.mark.parametrize(
    ("before", "cursor", "rows", "expected"),
    [
        ("abcd", 2, "dcba", 1),  # it moved
        ("abcd", 1, "acd", 1),  # it went: the next one that is left
        ("abcd", 1, "ad", 1),
        ("abcd", 3, "abc", 2),  # nothing after it is left: the one before
        ("abcd", 2, "ba", 0),
        ("abcd", 2, "xyz", 0),
        ("abcd", 2, "", 0),
        ("", 0, "abc", 0),
    ],
)
def test_where_the_cursor_goes(before, cursor, rows, expected):
    assert successor(before, cursor, rows, str) == expected
