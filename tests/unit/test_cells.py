"""Pixels to glyphs and colours, and rows of cells to strips."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.client.widgets.cells import Mode, fit
from tui.client.widgets.drawing import draw, half_blocks, quadrants, shades
from tui.client.widgets.strips import Cells, CellStrip, nearest_in_palette, to_strips

BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (200, 10, 20)
INKED = {
    " ": (),
    "█": (0, 1, 2, 3),
    "▀": (0, 1),
    "▄": (2, 3),
    "▌": (0, 2),
    "▐": (1, 3),
    "▘": (0,),
    "▝": (1,),
    "▖": (2,),
    "▗": (3,),
    "▛": (0, 1, 2),
    "▜": (0, 1, 3),
    "▙": (0, 2, 3),
    "▟": (1, 2, 3),
    "▚": (0, 3),
    "▞": (1, 2),
}
"""Which quarters a glyph inks, by its name in Unicode: above left, above right, below left, below right."""


def pixels(rows):
    return np.array(rows, dtype=np.uint8)


def shown(cells):
    """Return what the cells look like, two by two pixels each."""
    rows, columns = cells.glyphs.shape
    picture = np.zeros((2 * rows, 2 * columns, 3), dtype=np.int64)
    for y in range(rows):
        for x in range(columns):
            for part in range(4):
                inked = part in INKED[chr(cells.glyphs[y, x])]
                color = (cells.foreground if inked else cells.background)[y, x]
                picture[2 * y + part // 2, 2 * x + part % 2] = color
    return picture


def picture_of(most_across=5, most_down=4):
    sizes = st.tuples(st.integers(1, most_down), st.integers(1, most_across))
    # Few values make many equal pixels, many values make none.
    values = st.sampled_from([st.integers(0, 255), st.sampled_from([0, 1, 254, 255])])
    return st.tuples(sizes, values).flatmap(
        lambda drawn: arrays(np.uint8, (2 * drawn[0][0], 2 * drawn[0][1], 3), elements=drawn[1])
    )


# --- Size --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("picture", "room", "cells"),
    [
        ((400, 400), (80, 24), (48, 24)),  # a square is twice as many columns as rows
        ((600, 400), (60, 20), (60, 20)),
        ((400, 600), (80, 24), (32, 24)),
        ((8000, 1000), (80, 24), (80, 5)),
        ((1, 1), (10, 10), (10, 5)),  # small pictures fill the room too
        ((8000, 10), (3, 3), (3, 1)),  # a line stays visible
        ((10, 8000), (3, 3), (1, 3)),
    ],
)
def test_a_picture_fills_the_room_that_its_aspect_allows(picture, room, cells):
    assert fit(picture, room) == cells


def test_a_terminal_with_other_cells_keeps_the_aspect_too():
    assert fit((400, 400), (80, 24), 1.0) == (24, 24)


@given(st.tuples(st.integers(1, 9000), st.integers(1, 9000)), st.tuples(st.integers(1, 400), st.integers(1, 200)))
def test_no_picture_leaves_the_room(picture, room):
    columns, rows = fit(picture, room)
    assert 1 <= columns <= room[0]
    assert 1 <= rows <= room[1]


# --- Half blocks ---------------------------------------------------------------------------------------------------
def test_half_blocks_show_the_upper_pixel_in_ink_and_the_lower_as_paper():
    cells = half_blocks(pixels([[RED, BLACK], [WHITE, BLACK]]))
    assert [chr(glyph) for glyph in cells.glyphs[0]] == ["▀", " "]
    assert cells.foreground[0, 0].tolist() == list(RED)
    assert cells.background[0].tolist() == [list(WHITE), list(BLACK)]


# --- Quadrants -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("inked", range(16))
def test_every_pattern_of_two_colours_is_shown_exactly(inked):
    parts = [RED if inked >> part & 1 else WHITE for part in range(4)]
    picture = pixels([parts[:2], parts[2:]])
    assert (shown(quadrants(picture)) == picture).all()


def test_of_three_colours_the_nearer_two_are_mixed():
    cells = quadrants(pixels([[(10, 10, 10), (20, 20, 20)], [WHITE, (12, 12, 12)]]))
    assert chr(cells.glyphs[0, 0]) == "▖"
    assert cells.foreground[0, 0].tolist() == list(WHITE)
    assert cells.background[0, 0].tolist() == [14, 14, 14]


@given(picture_of())
def test_quadrants_are_never_further_from_the_picture_than_half_blocks(picture):
    wide = picture.astype(np.int64)
    halves = ((wide[:, 0::2] + wide[:, 1::2] + 1) // 2).astype(np.uint8)
    error = ((shown(quadrants(picture)) - wide) ** 2).sum()
    assert error <= ((shown(half_blocks(halves)) - wide) ** 2).sum()


@given(picture_of())
def test_no_other_glyph_would_be_nearer(picture):
    """The best of all sixteen glyphs, searched one by one, is no nearer than the one chosen."""
    parts = picture[:2, :2].reshape(4, 3).astype(np.int64)
    best = min(
        sum(
            ((parts[list(group)] - np.floor(parts[list(group)].mean(axis=0) + 0.5)) ** 2).sum()
            for group in (members, [part for part in range(4) if part not in members])
            if group
        )
        for members in INKED.values()
    )
    assert ((shown(quadrants(picture[:2, :2])) - picture[:2, :2].astype(np.int64)) ** 2).sum() == best


@given(picture_of(), st.sampled_from(Mode))
def test_there_are_as_many_cells_as_asked_for(picture, mode):
    across, down = mode.pixels
    rows, columns = picture.shape[0] // down, picture.shape[1] // across
    cells = draw(picture, mode)
    strips = to_strips(cells)
    assert cells.glyphs.shape == (rows, columns)
    assert [strip.cell_length for strip in strips] == [columns] * rows
    assert [len(strip.text) for strip in strips] == [columns] * rows


# --- Without colours -----------------------------------------------------------------------------------------------
def test_shades_use_no_colour_and_tell_light_from_dark():
    slope = np.repeat(np.linspace(0, 255, 20).astype(np.uint8)[None, :, None], 3, axis=2).repeat(2, axis=0)
    cells = shades(slope)
    assert cells.foreground is None
    assert cells.background is None
    row = "".join(chr(glyph) for glyph in cells.glyphs[0])
    assert (row[0], row[-1]) == (" ", "█")
    densities = " ░▒▓█"
    levels = [densities.index(glyph) for glyph in row if glyph in densities]
    assert levels == sorted(levels)
    assert len(set(levels)) == 5


def test_shades_keep_edges_finer_than_a_cell():
    picture = pixels([[WHITE, BLACK, BLACK, BLACK], [WHITE, BLACK, BLACK, WHITE]])
    assert "".join(chr(glyph) for glyph in shades(picture).glyphs[0]) == "▌▗"


def test_a_picture_of_one_shade_has_no_noise():
    assert len(set(shades(np.full((8, 8, 3), 90, dtype=np.uint8)).glyphs.ravel().tolist())) == 1


# --- Strips --------------------------------------------------------------------------------------------------------
def console():
    return Console(file=io.StringIO(), color_system="truecolor", force_terminal=True, legacy_windows=False)


def unreset(codes):
    return codes.replace("\x1b[0m", "")


def test_neighbours_that_look_alike_are_one_segment():
    cells = half_blocks(pixels([[RED] * 5 + [WHITE] * 3, [BLACK] * 5 + [WHITE] * 3]))
    (strip,) = to_strips(cells)
    assert [segment.text for segment in strip] == ["▀" * 5, " " * 3]


@given(picture_of(most_across=12, most_down=1))
def test_the_codes_made_ahead_are_those_that_the_segments_would_give(picture):
    (strip,) = to_strips(quadrants(picture))
    codes = strip.render(console())
    assert not strip.is_made
    assert unreset(codes) == unreset(Strip(list(strip)).render(console()))
    assert strip.is_made
    assert codes.endswith("\x1b[0m")


def test_a_row_between_blanks_still_has_no_segments():
    (row,) = to_strips(quadrants(pixels([[RED, WHITE], [BLACK, RED]])))
    left, right = Strip([Segment("..", Style())]), Strip([Segment("!", Style())])
    for strip in (left, right):
        strip.render(console())
    wider = row.between(left, right)
    assert wider.cell_length == 4
    assert wider.render(console()) == f"..{row.render(console())}!"
    assert not wider.is_made
    assert wider.text[:2] + wider.text[3:] == "..!"
    assert wider.crop(2, 3).text == row.text
    assert [part.text for part in wider.divide([2, 3, 4])] == ["..", row.text, "!"]
    assert Strip.join([wider, left]).text == f"{wider.text}.."


def test_a_row_handed_on_whole_makes_no_segments():
    (row,) = to_strips(quadrants(pixels([[RED, WHITE], [BLACK, RED]])))
    for same in (row.crop(0, 1), row.adjust_cell_length(1), *row.divide([1])):
        assert same is row
    assert isinstance(row, CellStrip)
    assert not row.is_made


# --- 256 colours ---------------------------------------------------------------------------------------------------
def palette():
    levels = (0, 95, 135, 175, 215, 255)
    cube = [(red, green, blue) for red in levels for green in levels for blue in levels]
    return np.array(cube + [(8 + 10 * step,) * 3 for step in range(24)], dtype=np.int64)


def test_colours_of_the_palette_stay_what_they_are():
    colors = palette()
    numbers = nearest_in_palette(colors[None].astype(np.uint8))[0]
    assert (colors[numbers - 16] == colors).all()


@given(arrays(np.uint8, (2, 3, 3)))
def test_no_colour_of_the_palette_is_nearer(colors):
    wide = colors.astype(np.int64)
    chosen = palette()[nearest_in_palette(colors) - 16]
    least = ((wide[:, :, None] - palette()) ** 2).sum(axis=3).min(axis=2)
    assert (((wide - chosen) ** 2).sum(axis=2) == least).all()


def test_a_terminal_with_256_colours_gets_numbers_of_its_palette():
    (strip,) = to_strips(half_blocks(pixels([[(255, 0, 0)], [(8, 8, 8)]])), "256")
    assert strip.render(console()) == "\x1b[38;5;196;48;5;232m▀\x1b[0m"
    assert [segment.style.color.number for segment in strip] == [196]


def test_shades_are_plain_text():
    (strip,) = to_strips(Cells(np.array([[ord("░"), ord("█")]], dtype=np.uint32), None, None))
    assert strip.render(console()) == "░█"
