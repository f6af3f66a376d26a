"""Cells of a list: whatever the text, exactly the width, nothing that moves a terminal, an ellipsis where cut."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from shared.text import MAX_MARKS
from tui.common.celltext import ELLIPSIS, fit
from tui.common.columns import EDGE, GAP
from tui.common.lines import centred, heading, joined

CONSOLE = Console()
WIDE = "日本語"
ANY_TEXT = st.text(
    st.characters()
    | st.sampled_from("\x1b\n\t\u200d\ufe0f\ufe0e\u202e\u0301\u0300\u20e3ab日👍🏽❤\U0001f468\U000e0100\u00ad\u0e33")
)


def shown(value, width, align="left"):
    return "".join(segment.text for segment in fit(value, width, align, CONSOLE))


@given(text=ANY_TEXT, width=st.integers(1, 30), align=st.sampled_from(["left", "right"]), as_text=st.booleans())
def test_any_text_covers_exactly_its_width_and_is_harmless(text, width, align, as_text):
    segments = fit(Text(text) if as_text else text, width, align, CONSOLE)
    assert sum(segment.cell_length for segment in segments) == width
    assert all(segment.text for segment in segments)
    assert all(unicodedata.category(char)[0] != "C" for segment in segments for char in segment.text)


@given(text=st.text(st.characters(categories=["L", "N", "P", "S"])), width=st.integers(1, 30))
def test_text_that_fits_is_whole_and_other_text_ends_in_an_ellipsis(text, width):
    line = shown(text, width).rstrip(" ")
    # Conjoining letters take no cell either and are held to the number of marks.
    if cell_len(text) <= width and all(cell_len(char) for char in text):
        assert line == text
    elif cell_len(text) > width:
        assert line.endswith(ELLIPSIS)


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("Ada", 5, "Ada  "),
        ("Lovelace", 5, "Love…"),
        ("Ada", 1, "…"),
        ("", 3, "   "),
        (WIDE, 6, WIDE),
        (WIDE, 5, "日本…"),
        (WIDE, 4, "日… "),  # half of a wide character is a blank
        (WIDE, 1, "…"),
        ("e\u0301ric", 4, "e\u0301ric"),
        ("e\u0301ric", 3, "e\u0301r…"),
        ("\u0301x", 3, "◌\u0301x "),  # never over the column before
        ("❤\ufe0f!", 3, "❤! "),  # one cell in every terminal
        ("\x1b[2J\n", 6, "\ufffd[2J\ufffd "),
        ("\u202eabc", 5, "\ufffdabc "),
        ("[red]x[/]", 9, "[red]x[/]"),
    ],
)
def test_cutting(text, width, expected):
    assert shown(text, width) == expected
    assert shown(Text(text), width) == expected


def test_right_alignment_pads_before():
    assert shown("12", 4, "right") == "  12"
    assert shown(Text("1234567"), 4, "right") == "123…"


def test_towers_of_marks_are_cut_down():
    assert shown("a" + "\u0301" * 50 + "b", 4) == "a" + "\u0301" * MAX_MARKS + "b  "
    assert shown("a" + "\u0301" * 9000 + "b", 4) == "a" + "\u0301" * MAX_MARKS + "…  "


def test_a_text_of_any_length_is_read_only_as_far_as_it_is_shown():
    class Read(str):
        __slots__ = ()

        def __iter__(self):
            raise AssertionError("all of it was read")

    assert shown(Read("a" * 1_000_000), 8) == "a" * 7 + ELLIPSIS
    assert shown("a" + "\ufe0f" * 100_000, 3) == "a… "


def test_styles_stay_on_their_characters_and_the_ellipsis_takes_the_last():
    text = Text("ab", style="bold").append("cdef", style="red")
    segments = fit(text, 4, "left", CONSOLE)
    assert [(segment.text, str(segment.style)) for segment in segments] == [("ab", "bold"), ("c…", "bold red")]
    assert str(fit(Text("x", style="green"), 1, "left", CONSOLE)[0].style) == "green"


def test_a_style_that_nobody_knows_is_no_error():
    assert shown(Text("ab", style="no such style"), 2) == "ab"


def test_a_line_has_its_width_and_its_style():
    line = joined(
        [fit("a", 2, "left", CONSOLE), fit(Text("b", "green"), 1, "left", CONSOLE)], 20, Style.parse("on red")
    )
    assert line.text == " " * EDGE + "a " + " " * GAP + "b" + " " * (20 - EDGE - 2 - GAP - 1)
    assert line.cell_length == 20
    assert {segment.style.bgcolor.name for segment in line} == {"red"}
    assert [segment.style.color.name for segment in line if segment.text == "b"] == ["green"]


def test_a_line_of_fixed_colours_overrules_those_of_its_text():
    style = Style.parse("white on red")
    line = joined([fit(Text("b", "dim green on blue"), 1, "left", CONSOLE)], 9, style, own_colours=False)
    (letter,) = [segment.style for segment in line if segment.text == "b"]
    assert (letter.color.name, letter.bgcolor.name, letter.dim) == ("white", "red", False)


@pytest.mark.parametrize(
    ("width", "descending", "expected"),
    [(10, None, "Images"), (8, False, "Images ▲"), (7, True, "Images▼"), (4, False, "Ima▲"), (1, True, "▼")],
)
def test_headings_show_the_order(width, descending, expected):
    assert heading("Images", width, descending=descending) == expected


def test_what_an_empty_list_says_stands_in_the_middle():
    lines = centred("Nobody.\nPress r.", 20, 10, CONSOLE)
    assert {y: "".join(segment.text for segment in line) for y, line in lines.items()} == {
        4: "      Nobody." + " " * 7,
        5: "      Press r." + " " * 6,
    }


def test_what_an_empty_list_says_is_wrapped_and_harmless():
    lines = centred("nobody is called \x1b[31m日本語 here", 12, 4, CONSOLE)
    texts = ["".join(segment.text for segment in line) for line in lines.values()]
    assert all(cell_len(text) == 12 for text in texts)
    assert "\x1b" not in "".join(texts)
    assert len(texts) > 1
    assert centred("", 12, 4, CONSOLE) == {}
