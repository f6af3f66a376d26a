"""The line of keys: what has room in it, what is left out first, and what a click does."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from anyio.lowlevel import checkpoint
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Button

from tests.tui.key_places import place_of
from tests.tui.quiet import resized, running, settled
from tui.common.footer import Footer, Hint, fitting

LOCAL = [Hint(((name[0], name[0]),), name) for name in ("accept", "reject", "words")]
QUIT = Hint((("q", "q"),), "Quit", lasting=True)
KEYS = Hint((("?", "?"),), "Keys", lasting=True)
ALL = [*LOCAL, QUIT, KEYS]


def cells(hints: list[Hint]) -> int:
    return sum(hint.cells for hint in hints)


def test_all_are_shown_where_there_is_room() -> None:
    assert fitting(ALL, cells(ALL) - 1) == (ALL, False)


@pytest.mark.parametrize(
    ("shown", "room"),
    [
        ([*LOCAL[:2], QUIT, KEYS], cells(ALL) - 2),
        ([*LOCAL[:1], QUIT, KEYS], cells([LOCAL[0], QUIT, KEYS]) + 1),
        ([QUIT, KEYS], cells([LOCAL[0], QUIT, KEYS])),
        ([QUIT], cells([QUIT, KEYS])),
        ([], 3),
    ],
)
def test_the_last_give_way_first_and_those_that_lead_to_the_rest_last_of_all(shown: list[Hint], room: int) -> None:
    assert fitting(ALL, room) == (shown, True)
    assert cells(shown) + 1 <= room


def test_of_keys_that_stand_together_each_has_its_own_cells() -> None:
    arrows = Hint((("left", "←"), ("page", "pg")), "Move")
    assert [arrows.key_at(x) for x in range(arrows.cells)] == ["", "left", "page", "page", *[""] * 6]
    assert {QUIT.key_at(x) for x in range(QUIT.cells)} == {"q"}


class Box(Vertical):
    """A button, and keys that apply while it has the focus; one of them only if the app is open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "app.note('a')", "Add", tooltip="Adds one"),
        Binding("b,x", "app.note('b')", "Blue"),
        Binding("c", "close", "Close"),
        Binding("left", "app.note('left')", "Left", group=Binding.Group("Move")),
        Binding("right", "app.note('right')", "Right", group=Binding.Group("Move")),
        Binding("d", "app.note('d')", "hidden", show=False),
    ]

    def compose(self) -> ComposeResult:
        yield Button("one")

    def action_close(self) -> None:
        self.app.noted.append("c")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return True if action != "close" or self.app.open else None


class Keyed(App[None]):
    """The box, the line, and a key that applies everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "quit", "Quit")]

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []
        self.open = False

    def compose(self) -> ComposeResult:
        yield Box()
        yield Footer()

    def action_note(self, what: str) -> None:
        self.noted.append(what)


def text(line: Footer) -> str:
    return line.render_line(0).text


async def click_on(pilot: Any, does: str) -> None:

    await pilot.click(Footer, offset=place_of(pilot.app.screen, does))
    await settled(pilot)


@pytest.mark.anyio
async def test_a_click_presses_the_key_and_one_that_may_not_be_pressed_does_nothing() -> None:
    app = Keyed()
    async with running(app, size=(80, 5)) as pilot:
        await settled(pilot)
        for does in ("Add", "Blue", "Close"):
            await click_on(pilot, does)
        assert app.noted == ["a", "b"]
        x, y = place_of(app.screen, "Move")
        app.open = True
        app.refresh_bindings()
        await settled(pilot)
        await click_on(pilot, "Close")
        await pilot.click(Footer, offset=(x + 1, y))
        await settled(pilot)
        assert app.noted == ["a", "b", "c", "right"]


@pytest.mark.anyio
async def test_it_fills_the_width_whatever_it_is_and_the_palette_stands_at_its_end() -> None:
    app = Keyed()
    async with running(app, size=(80, 5)) as pilot:
        await settled(pilot)
        line = app.query_one(Footer)
        assert text(line).startswith(" a Add  b Blue  c Close  ←→ Move  ^q Quit ")
        assert "hidden" not in text(line)
        for width in (80, 44, 30, 20, 8, 2):
            await resized(pilot, width, 5)
            assert line.render_line(0).cell_length == width
        await resized(pilot, 36, 5)
        assert text(line) == " a Add  ^q Quit …       ▏^p palette ", "those of the app give way last"


@pytest.mark.anyio
async def test_the_key_under_the_mouse_is_marked_and_explained() -> None:
    app = Keyed()
    async with running(app, size=(80, 5)) as pilot:
        await settled(pilot)
        line = app.query_one(Footer)
        plain = line.render_line(0)
        await pilot.hover(Footer, offset=(2, 0))
        assert (line.hovered, line.tooltip) == ("a", "Adds one")
        assert line.render_line(0).text == plain.text
        assert line.render_line(0) != plain
        await pilot.hover(Footer, offset=(55, 0))
        assert (line.hovered, line.tooltip) == ("", None)
        await pilot.hover(Footer, offset=(2, 0))
        await pilot.hover(Button)
        assert line.hovered == ""
        assert line.render_line(0) == plain


class Hasty(ModalScreen[None]):
    """A dialog that goes before it was painted, as with a key that was pressed while it came."""

    async def on_mount(self) -> None:
        home = self.app.screen_stack[0]
        home.set_focus(None)
        home.refresh_bindings()
        for _ in range(20):
            await checkpoint()
        self.dismiss()


@pytest.mark.anyio
async def test_a_dialog_that_goes_before_it_was_painted_takes_nothing_with_it() -> None:
    app = Keyed()
    async with running(app, size=(80, 5)) as pilot:
        await settled(pilot)
        line, home = app.query_one(Footer), app.screen
        home.AUTO_FOCUS = ""
        app.push_screen(Hasty())
        await settled(pilot)
        assert text(line).startswith(" ^q Quit ")
        home.set_focus(app.query_one(Button))
        await settled(pilot)
        assert text(line).startswith(" a Add ")
