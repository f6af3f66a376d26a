"""Arithmetic of zooming and panning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.client.widgets.cells import fit
from tui.client.widgets.viewport import ZOOMS, Viewport

SIZE, ROOM = (4000, 3000), (80, 24)
SIZES = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
ROOMS = st.tuples(st.integers(1, 300), st.integers(1, 100))
MOVES = st.lists(st.tuples(st.sampled_from("zma"), st.floats(-1, 1), st.floats(-1, 1)), max_size=12)


def nearest(steps):
    return Viewport().zoomed(steps)


def test_at_first_the_whole_picture_is_seen_as_large_as_it_fits():
    assert Viewport().window(SIZE, ROOM) == ((0, 0, 4000, 3000), (64, 24))


def test_closer_the_middle_is_seen_and_all_of_the_room_is_used():
    part, cells = nearest(2).window(SIZE, ROOM)
    assert cells == (80, 24)
    # Twice as large it would take 128 x 48 cells, of which 80 x 24 are seen.
    assert part == pytest.approx((2000 - 1250, 750, 2000 + 1250, 2250))


def test_there_is_a_nearest_and_a_furthest():
    assert nearest(100).zoom == ZOOMS[-1] == 16
    assert nearest(100).zoomed(-100).zoom == ZOOMS[0] == 1


def test_moving_stops_at_the_edges():
    corner = nearest(4).moved(-9, -9, SIZE, ROOM)
    assert corner.window(SIZE, ROOM)[0][:2] == pytest.approx((0, 0), abs=1e-6)
    corner = corner.moved(99, 99, SIZE, ROOM)
    assert corner.window(SIZE, ROOM)[0][2:] == pytest.approx((4000, 3000))
    # From an edge the first step back is a step, however often the edge was pushed.
    left, top, *_ = corner.window(SIZE, ROOM)[0]
    back = corner.moved(-0.2, -0.2, SIZE, ROOM).window(SIZE, ROOM)[0]
    assert back[0] < left
    assert back[1] < top


def test_a_step_moves_by_a_share_of_what_is_seen():
    near = nearest(4)
    (left, top, right, bottom), _ = near.window(SIZE, ROOM)
    moved = near.moved(0.5, -0.25, SIZE, ROOM).window(SIZE, ROOM)[0]
    assert moved[0] - left == pytest.approx((right - left) / 2)
    assert moved[1] - top == pytest.approx((top - bottom) / 4)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 6))
def test_what_lies_under_the_mouse_stays_there(x, y, steps):
    """Zooming in from a window that fills the room; towards the edges the window may have to give way."""
    before = nearest(2)
    after = before.zoomed_at(steps, (x, y), SIZE, ROOM)
    for first, second in zip(point(before, x, y), point(after, x, y), strict=True):
        assert first == pytest.approx(second, abs=1e-6)


def point(viewport, x, y):
    left, top, right, bottom = viewport.window(SIZE, ROOM)[0]
    return left + x * (right - left), top + y * (bottom - top)


@given(SIZES, ROOMS, MOVES)
def test_the_window_never_leaves_the_picture_or_the_room(size, room, moves):
    viewport = Viewport()
    for kind, x, y in moves:
        if kind == "z":
            viewport = viewport.zoomed(round(x * 4))
        elif kind == "m":
            viewport = viewport.moved(x * 3, y * 3, size, room)
        else:
            viewport = viewport.zoomed_at(round(x * 4), (abs(x), abs(y)), size, room)
        (left, top, right, bottom), (columns, rows) = viewport.window(size, room)
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        assert 1 <= columns <= room[0]
        assert 1 <= rows <= room[1]
        if viewport.zoom == 1:
            assert (left, top) == (0, 0)
            assert (right, bottom) == pytest.approx(size)
            assert (columns, rows) == fit(size, room)


def test_a_terminal_with_square_cells_shows_twice_the_rows():
    assert Viewport(cell_aspect=1.0).window((100, 100), (40, 40))[1] == (40, 40)
