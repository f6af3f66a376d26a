"""The list of every pane: what it tells, where its cursor stays, what it asks for, by keys and by mouse."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from rich.text import Text
from textual import on
from textual.app import App, ComposeResult

from tests.tui.quiet import running, settled
from tui.common.footer import Footer
from tui.common.rowlist import Column, RowList
from tui.common.themes import DARK, LIGHT

pytestmark = pytest.mark.anyio

SIZE = (60, 13)
PAGE = 11
"""Rows that fit: all lines but the headings and the footer."""
COLUMNS = (
    Column("name", "Name"),
    Column("number", "Number", 8, align="right"),
    Column("word", "Word", 9, hide_below=50),
)
SORT_KEYS = {"name": lambda row: row.name.casefold(), "number": lambda row: row.number}


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    number: int


def entries(count: int) -> list[Entry]:
    return [Entry(f"n{number:05}", number) for number in range(count)]


class ListApp(App[None]):
    """One list, and what it told."""

    def __init__(self, **options) -> None:
        super().__init__()
        self.told: list[tuple[str, object]] = []
        self.asked: list[Entry] = []
        self.options = {"sort_keys": SORT_KEYS, "empty": "Nobody is here.\nPress r to look again."} | options

    def compose(self) -> ComposeResult:
        yield RowList(COLUMNS, key=lambda row: row.name, cells=self.cells, id="list", **self.options)
        yield Footer()

    def cells(self, row: Entry):
        self.asked.append(row)
        return row.name, Text(str(row.number), "green"), "word"

    def on_mount(self) -> None:
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        self.theme = "glimpse-dark"
        self.list.focus()

    @property
    def list(self) -> RowList[Entry]:
        return self.query_one(RowList)

    @on(RowList.Highlighted, "#list")
    def _highlighted(self, event: RowList.Highlighted) -> None:
        self.told.append(("highlighted", event.row and event.row.name))

    @on(RowList.Selected, "#list")
    def _selected(self, event: RowList.Selected) -> None:
        self.told.append(("selected", event.row.name))

    @on(RowList.SortChanged, "#list")
    def _sorted(self, event: RowList.SortChanged) -> None:
        self.told.append(("sorted", event.sort))

    def lines(self) -> list[str]:
        height = self.list.scrollable_content_region.height
        return [self.list.render_line(y).text.rstrip() for y in range(height)]

    def row_lines(self) -> list[str]:
        return [line.split()[0] for line in self.lines()[1:] if line]


@pytest.fixture
async def listed():
    """An app with a list of a hundred rows, and its pilot; what it told of the first row is forgotten."""
    app = ListApp()
    async with running(app, size=SIZE) as pilot:
        app.list.set_rows(entries(100))
        await pilot.pause()
        app.told.clear()
        yield app, pilot


async def test_rows_stand_as_given_until_someone_sorts(listed) -> None:
    app, pilot = listed
    rows = [Entry("b", 2), Entry("C", 1), Entry("a", 3)]
    app.list.set_rows(rows)
    assert list(app.list.rows) == rows
    seen = []
    for _ in range(5):
        await pilot.press("s")
        seen.append("".join(row.name for row in app.list.rows))
    assert seen == ["abC", "Cba", "Cba", "abC", "bCa"]
    assert [said for what, said in app.told if what == "sorted"] == [
        ("name", False),
        ("name", True),
        ("number", False),
        ("number", True),
        None,
    ]


async def test_a_list_that_starts_sorted_never_goes_back_to_as_given() -> None:
    app = ListApp(sort=("number", True))
    async with running(app, size=SIZE) as pilot:
        app.list.set_rows(entries(3))
        assert [row.number for row in app.list.rows] == [2, 1, 0]
        await pilot.press("s")
        assert app.list.sort == ("name", False)
        app.list.sort = ("number", False)
        assert [row.number for row in app.list.rows] == [0, 1, 2]
        with pytest.raises(ValueError, match="no sort key 'words'"):
            app.list.sort = ("words", False)


async def test_a_list_without_sort_keys_offers_no_sorting() -> None:
    app = ListApp(sort_keys=None)
    async with running(app, size=SIZE) as pilot:
        app.list.set_rows(entries(3))
        await pilot.press("s")
        await pilot.click(RowList, offset=(3, 0))
        assert app.list.sort is None
        assert "s" not in app.screen.active_bindings or not app.screen.active_bindings["s"].enabled


async def test_a_click_on_a_heading_sorts_by_it_and_again_the_other_way(listed) -> None:
    app, pilot = listed
    number = next(x for x, char in enumerate(app.lines()[0]) if app.lines()[0].startswith("Number", x))
    await pilot.click(RowList, offset=(number, 0))
    await pilot.click(RowList, offset=(number, 0))
    assert app.told == [("sorted", ("number", False)), ("sorted", ("number", True))]
    assert "Number ▼" in app.lines()[0]
    await pilot.click(RowList, offset=(3, 0))
    assert app.list.sort == ("name", False)
    assert app.lines()[0].startswith(" Name ▲")
    await pilot.click(RowList, offset=(55, 0))  # a column without a sort key
    assert app.list.sort == ("name", False)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("down down j", 3),
        ("down j up", 1),
        ("down k k", 0),
        ("end", 99),
        ("G", 99),
        ("G home", 0),
        ("G g", 0),
        ("pagedown", PAGE - 1),
        ("ctrl+d ctrl+d", 2 * (PAGE - 1)),
        ("G pageup", 99 - PAGE + 1),
        ("pagedown ctrl+u", 0),
        ("G down", 99),
        ("up", 0),
    ],
)
async def test_keys_move_the_cursor_and_it_stays_in_sight(listed, keys, expected) -> None:
    app, pilot = listed
    await pilot.press(*keys.split())
    assert app.list.current == entries(100)[expected]
    assert app.list.current.name in app.row_lines()
    assert len(app.row_lines()) == PAGE
    if expected:
        assert app.told[-1] == ("highlighted", app.list.current.name)


async def test_every_binding_has_an_id_and_a_description() -> None:
    assert all(binding.id.startswith("list.") and binding.description for binding in RowList.BINDINGS)
    assert len({binding.id for binding in RowList.BINDINGS}) == len(RowList.BINDINGS)


async def test_enter_selects_the_current_row(listed) -> None:
    app, pilot = listed
    await pilot.press("down", "enter")
    assert app.told == [("highlighted", "n00001"), ("selected", "n00001")]


async def test_a_click_highlights_and_the_next_one_selects(listed) -> None:
    app, pilot = listed
    await pilot.click(RowList, offset=(5, 4))
    assert app.told == [("highlighted", "n00003")]
    await pilot.click(RowList, offset=(30, 4))
    assert app.told == [("highlighted", "n00003"), ("selected", "n00003")]


async def test_a_double_click_selects_once_wherever_the_cursor_was(listed) -> None:
    app, pilot = listed
    await pilot.double_click(RowList, offset=(5, 6))
    assert app.told == [("highlighted", "n00005"), ("selected", "n00005")]
    app.told.clear()
    await pilot.double_click(RowList, offset=(5, 6))
    assert app.told == [("selected", "n00005")]


async def test_a_click_below_the_last_row_does_nothing(listed) -> None:
    app, pilot = listed
    app.list.set_rows(entries(3))
    await pilot.pause()
    await pilot.click(RowList, offset=(5, 8))
    assert app.told == []


async def test_the_wheel_scrolls_and_leaves_the_cursor(listed) -> None:
    app, pilot = listed
    await pilot.wheel(RowList, offset=(5, 5))
    assert app.list.scroll_offset.y > 0
    assert app.list.cursor == 0
    await pilot.click(RowList, offset=(5, 1))
    assert app.list.cursor == app.list.scroll_offset.y


async def test_the_row_under_the_mouse_is_marked(listed) -> None:
    app, pilot = listed
    plain = app.list.render_line(4)
    await pilot.hover(RowList, offset=(5, 4))
    marked = app.list.render_line(4)
    assert marked.text == plain.text
    assert {segment.style.bgcolor for segment in marked} != {segment.style.bgcolor for segment in plain}
    await pilot.hover(Footer)
    assert app.list.render_line(4) == plain


async def test_the_cursor_stays_on_its_row_and_its_line_when_rows_come_before_it(listed) -> None:
    app, pilot = listed
    await pilot.press(*["pagedown"] * 3, "up", "up")
    line, row = app.row_lines().index(app.list.current.name), app.list.current
    app.told.clear()
    app.list.set_rows([Entry(f"m{number}", 0) for number in range(7)] + entries(100))
    await pilot.pause()
    assert app.list.current == row
    assert app.row_lines().index(row.name) == line
    app.list.set_rows(entries(100)[20:])
    await pilot.pause()
    assert app.list.current == row
    assert app.row_lines().index(row.name) == line
    assert app.told == [], "the row is the same: nobody is told"


async def test_what_comes_at_the_top_is_seen_by_who_looks_at_the_top(listed) -> None:
    app, pilot = listed
    await pilot.press("down")
    app.list.set_rows([Entry("new", 0), *entries(100)])
    await pilot.pause()
    assert app.row_lines()[0] == "new"
    assert app.list.current == Entry("n00001", 1)


async def test_who_scrolled_away_from_the_cursor_is_not_pulled_back(listed) -> None:
    app, pilot = listed
    app.list.scroll_to(y=60, animate=False)
    await pilot.pause()
    app.list.set_rows([replace(row, number=7) for row in entries(100)])
    await pilot.pause()
    assert app.row_lines()[0] == "n00060"
    assert app.list.cursor == 0
    assert all(line.split()[1] == "7" for line in app.lines()[1:])


async def test_a_row_that_goes_hands_the_cursor_to_the_next_one(listed) -> None:
    app, pilot = listed
    await pilot.press("down", "down")
    app.told.clear()
    app.list.set_rows([row for row in entries(100) if row.number != 2])
    await pilot.pause()
    assert app.told == [("highlighted", "n00003")]
    app.list.set_rows([])
    await pilot.pause()
    assert app.list.current is None
    assert app.told[-1] == ("highlighted", None)


async def test_rows_that_came_before_the_screen_are_told_about_when_it_is_there() -> None:
    app = ListApp()
    composed = app.compose

    def with_rows() -> ComposeResult:
        rows, footer = composed()
        rows.set_rows(entries(3))
        yield rows
        yield footer

    app.compose = with_rows
    async with running(app, size=SIZE) as pilot:
        await pilot.pause()
        assert app.told == [("highlighted", "n00000")]
        assert app.row_lines() == ["n00000", "n00001", "n00002"]


async def test_a_shorter_list_leaves_no_empty_page(listed) -> None:
    app, pilot = listed
    await pilot.press("end")
    app.list.set_rows(entries(20))
    await pilot.pause()
    assert app.row_lines() == [row.name for row in entries(20)[-PAGE:]]
    app.list.set_rows(entries(3))
    await pilot.pause()
    assert app.row_lines() == [row.name for row in entries(3)]
    assert not app.list.show_vertical_scrollbar


async def test_select_key_moves_to_the_row(listed) -> None:
    app, pilot = listed
    assert app.list.select_key("n00050")
    await pilot.pause()
    assert app.told == [("highlighted", "n00050")]
    assert "n00050" in app.row_lines()
    assert not app.list.select_key("nobody")
    assert app.list.current == Entry("n00050", 50)


async def test_only_visible_rows_are_ever_asked_for_their_cells() -> None:
    app = ListApp()
    async with running(app, size=SIZE) as pilot:
        app.list.set_rows(entries(10_000))
        await pilot.pause()
        assert {row.number for row in app.asked} <= set(range(2 * PAGE))
        app.asked.clear()
        await pilot.press("down")
        assert {row.number for row in app.asked} <= {0, 1}, "a move of the cursor asks for the two rows it touches"
        app.asked.clear()
        await pilot.press("up", "down")
        assert app.asked == [], "what was painted once is not asked for again"
        app.list.redraw()
        await pilot.pause()
        assert {row.number for row in app.asked} == set(range(PAGE))


async def test_another_theme_repaints_in_its_colours(listed) -> None:
    app, pilot = listed
    before = app.list.render_line(3)
    app.theme = "glimpse-light"
    await pilot.pause()
    after = app.list.render_line(3)
    assert after.text == before.text
    assert {segment.style.bgcolor for segment in after}.isdisjoint({segment.style.bgcolor for segment in before})


async def test_the_cursor_looks_different_with_and_without_focus(listed) -> None:
    app, pilot = listed
    focused = app.list.render_line(1)
    app.screen.set_focus(None)
    await pilot.pause()
    blurred = app.list.render_line(1)
    other = app.list.render_line(2)
    backgrounds = [{segment.style.bgcolor for segment in line} for line in (focused, blurred, other)]
    assert all(len(colours) == 1 for colours in backgrounds)
    assert len(set.union(*backgrounds)) == 3
    assert len({segment.style.color for segment in focused}) == 1, "the text's own colours give way"


async def test_narrow_lists_leave_columns_out_and_the_cursor_stays_in_sight(listed) -> None:
    app, pilot = listed
    await pilot.press(*["down"] * 9)
    assert "Word" in app.lines()[0]
    await pilot.resize_terminal(40, 8)
    await settled(pilot)
    assert "Word" not in app.lines()[0]
    assert app.list.current.name in app.row_lines()
    assert all(app.list.render_line(y).cell_length == app.list.scrollable_content_region.width for y in range(7))


async def test_an_empty_list_says_so_in_the_middle() -> None:
    app = ListApp()
    async with running(app, size=SIZE) as pilot:
        lines = app.lines()
        assert [y for y, line in enumerate(lines) if line and y] == [5, 6]
        assert lines[5].strip() == "Nobody is here."
        assert abs(len(lines[5]) - len(lines[5].strip()) - (60 - 15) // 2) <= 1
        await pilot.press("down", "enter", "G", "pageup", "s")
        await pilot.click(RowList, offset=(5, 5))
        assert not [what for what, _ in app.told if what != "sorted"]
        app.list.empty = "Nobody matches \x1b[31m[b]x[/b]."
        await pilot.pause()
        assert "Nobody matches \ufffd[31m[b]x[/b]." in "\n".join(app.lines())


@pytest.mark.parametrize("width", [1, 2, 3, 5, 9, 20])
async def test_no_width_is_too_small(width) -> None:
    app = ListApp()
    async with running(app, size=(width, 5)) as pilot:
        app.list.set_rows(entries(50))
        await pilot.pause()
        await pilot.press("down", "s")
        region = app.list.scrollable_content_region
        assert all(app.list.render_line(y).cell_length == region.width for y in range(region.height))


async def test_hostile_texts_stay_in_their_cells() -> None:
    names = [
        "[red]x[/red]",
        "\x1b[2J\x1b]0;x\x07",
        "\u202egpj.exe",
        "a" * 10_000,
        "日本" * 40,
        "\u0301" * 300,
        "a\nb\tc",
        "👨\u200d👩\u200d👧\ufe0f",
    ]
    app = ListApp()
    async with running(app, size=SIZE) as pilot:
        app.list.set_rows([Entry(name, number) for number, name in enumerate(names)])
        await pilot.pause()
        for y, name in enumerate(names, start=1):
            strip = app.list.render_line(y)
            assert strip.cell_length == app.list.scrollable_content_region.width
            assert strip.text.isprintable()
            assert strip.text.rstrip().endswith("word"), "the columns after it stand where they were"
            assert strip.text[-13] == str(y - 1), name
