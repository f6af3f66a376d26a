"""Where tiles stand: none overlaps another, all are found again from their cells, for every size of a place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.client.widgets.tiling import TEXT_ROWS, Tiling

tilings = st.builds(Tiling, width=st.integers(1, 400), count=st.integers(0, 600))


@given(tilings)
def test_a_row_of_tiles_fits_into_the_width(tiling: Tiling) -> None:
    right = tiling.left(tiling.columns - 1) + tiling.tile_width
    assert tiling.tile_width >= 1
    assert tiling.width < 4 or right + 1 <= tiling.width, "with the margin that shows the cursor"


@given(tilings)
def test_tiles_are_wide_enough_to_say_how_many_views_are_left(tiling: Tiling) -> None:
    assert tiling.tile_width >= 22 or tiling.columns == 1


@given(tilings, st.data())
def test_a_tile_is_found_by_every_cell_of_it(tiling: Tiling, data: st.DataObject) -> None:
    if not tiling.count:
        assert tiling.at(5, 5) is None
        return
    index = data.draw(st.integers(0, tiling.count - 1))
    column = index % tiling.columns
    x = tiling.left(column) + data.draw(st.integers(-1, tiling.tile_width))
    line = tiling.top(index) + data.draw(st.integers(0, tiling.picture_rows + TEXT_ROWS - 1))
    assert tiling.at(x, line) == index
    assert index in tiling.row(line)
    assert tiling.at(x, tiling.top(index) + tiling.pitch - 1) is None, "between two rows there is nothing"


@given(tilings, st.integers(0, 3_000), st.integers(1, 80))
def test_what_is_seen_is_what_lies_on_the_lines(tiling: Tiling, top: int, height: int) -> None:
    on_lines = {index for line in range(top, top + height) for index in tiling.row(line)}
    assert set(tiling.seen(top, height)) == on_lines


@given(tilings)
def test_all_tiles_lie_within_the_height(tiling: Tiling) -> None:
    assert list(tiling.seen(0, max(1, tiling.height))) == list(range(tiling.count))
    if tiling.count:
        assert tiling.top(tiling.count - 1) + tiling.pitch - 1 == tiling.height


def test_nothing_is_seen_through_no_lines() -> None:
    assert list(Tiling(80, 9).seen(0, 0)) == []


def test_more_room_gives_larger_tiles_and_not_only_more() -> None:
    sizes = {width: Tiling(width, 20) for width in (79, 120, 200)}
    assert [sizes[width].columns for width in sizes] == [3, 4, 5]
    assert sizes[79].tile_width < sizes[120].tile_width < sizes[200].tile_width
