"""The gallery widget: only what is in sight is loaded and drawn; cursor, keys, mouse; texts of others do no harm."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest
from PIL import Image
from textual.app import App

from tests.tui.quiet import running, settled
from tui.client.widgets.face import LOCK, Face
from tui.client.widgets.gallery import Gallery
from tui.client.widgets.tiling import Tiling

pytestmark = pytest.mark.anyio

ROWS = 20
COLUMNS = 3
PITCH = Tiling(79, 9).pitch


class Host(App[None]):
    """A gallery and nothing else; `loads` are the keys that pictures were asked for, in order."""

    CSS = "Gallery { height: 100%; }"

    def __init__(self, faces: list[Face], cover: Callable[[str], object] | None = None) -> None:
        super().__init__()
        self._faces_at_first = faces
        self._cover = cover
        self.loads: list[str] = []
        self.heard: list[object] = []
        self.hold: anyio.Event | None = None

    def compose(self):
        yield Gallery(self.picture, empty="Nothing here.")

    def on_mount(self) -> None:
        self.gallery.set_faces(self._faces_at_first)
        self.gallery.focus()

    @property
    def gallery(self) -> Gallery:
        return self.query_one(Gallery)

    async def picture(self, key: str) -> Image.Image | None:
        self.loads.append(key)
        if self.hold is not None:
            await self.hold.wait()
        return Image.new("RGB", (32, 20), (200, 30, 30)) if self._cover is None else self._cover(key)

    def on_gallery_highlighted(self, message: Gallery.Highlighted) -> None:
        self.heard.append(message.key)

    def on_gallery_selected(self, message: Gallery.Selected) -> None:
        self.heard.append(("selected", message.key))


def faces(count: int, **changes: object) -> list[Face]:
    return [
        Face(str(number), f"Title {number}", f"by Owner {number}", "3 of 5 left", **changes) for number in range(count)
    ]


def lines(gallery: Gallery) -> list[str]:
    return [
        "".join(segment.text for segment in gallery.render_line(y))
        for y in range(gallery.scrollable_content_region.height)
    ]


def test_the_screen_of_these_tests_has_three_tiles_in_a_row() -> None:
    assert Tiling(79, 9).columns == COLUMNS


async def test_only_tiles_in_sight_are_loaded_and_only_those_near_it_stay_painted() -> None:
    app = Host(faces(500))
    async with running(app, size=(80, ROWS)) as pilot:
        await settled(pilot)
        assert app.loads == [str(number) for number in range(6)]
        await pilot.press("G")
        await settled(pilot)
        assert app.gallery.current == "499"
        assert 5 <= len(app.loads[6:]) <= 8
        assert set(app.loads[6:]) <= {str(number) for number in range(492, 500)}
        assert app.gallery.painted == set(app.loads[6:])
        assert "Title 499" in "\n".join(lines(app.gallery))
        await pilot.press("g")
        await settled(pilot)
        assert app.gallery.painted == {str(number) for number in range(6)}
        assert app.gallery.scroll_offset.y == 0


async def test_keys_move_in_two_dimensions_and_stop_at_the_edges() -> None:
    app = Host(faces(8))
    async with running(app, size=(80, ROWS)) as pilot:
        await settled(pilot)
        gallery = app.gallery
        moves = [
            ("l", 1),
            ("right", 2),
            ("l", 3),
            ("j", 6),
            ("down", 6),
            ("h", 5),
            ("k", 2),
            ("down", 5),
            ("j", 7),
            ("k", 4),
            ("up", 1),
            ("up", 1),
            ("left", 0),
            ("h", 0),
            ("G", 7),
            ("home", 0),
            ("end", 7),
            ("g", 0),
            ("ctrl+d", 6),
            ("pagedown", 6),
            ("pageup", 0),
            ("ctrl+u", 0),
        ]
        for key, index in moves:
            await pilot.press(key)
            assert gallery.cursor == index, key


async def test_the_cursor_scrolls_into_sight() -> None:
    app = Host(faces(30))
    async with running(app, size=(80, ROWS)) as pilot:
        await settled(pilot)
        for row in range(1, 10):
            await pilot.press("j")
            top, height = app.gallery.scroll_offset.y, app.gallery.size.height
            assert top <= row * PITCH
            assert (row + 1) * PITCH - 1 <= top + height, "the whole tile, to its last line of text"
        for row in range(8, -1, -1):
            await pilot.press("k")
            assert app.gallery.scroll_offset.y <= row * PITCH


async def test_the_wheel_scrolls_and_loads_what_comes_into_sight() -> None:
    app = Host(faces(60))
    async with running(app, size=(80, ROWS)) as pilot:
        await settled(pilot)
        for _ in range(12):
            await pilot.wheel(app.gallery)
        await settled(pilot)
        assert app.gallery.scroll_offset.y > 0
        assert app.gallery.cursor == 0
        assert "6" in app.loads


async def test_a_click_moves_and_a_click_on_the_current_tile_chooses_once() -> None:
    app = Host(faces(8))
    async with running(app, size=(80, ROWS)) as pilot:
        await settled(pilot)
        app.heard.clear()
        await pilot.click(Gallery, offset=(Tiling(79, 8).left(1) + 3, 2))
        assert app.heard == ["1"]
        await pilot.click(Gallery, offset=(Tiling(79, 8).left(1) + 3, 2))
        assert app.heard == ["1", ("selected", "1")]
        app.heard.clear()
        await pilot.click(Gallery, offset=(5, PITCH + 1), times=4)
        assert app.heard == ["3", ("selected", "3")], "four clicks in a row open one tile once"
        await pilot.click(Gallery, offset=(5, PITCH - 1))
        await pilot.click(Gallery, offset=(77, 2 * PITCH - 3))
        assert app.gallery.cursor == 5, "the line between two rows belongs to none of them"


async def test_the_cursor_stays_on_its_tile_when_others_come_and_go() -> None:
    app = Host(faces(9))
    async with running(app, size=(80, ROWS)) as pilot:
        await settled(pilot)
        assert app.gallery.select_key("4")
        await settled(pilot)
        app.heard.clear()
        app.gallery.set_faces([Face("new", "New", "", ""), *faces(9)])
        await settled(pilot)
        assert (app.gallery.current, app.gallery.cursor, app.heard) == ("4", 5, [])
        app.gallery.set_faces([face for face in faces(9) if face.key != "4"])
        await settled(pilot)
        assert app.gallery.current == "5"
        app.gallery.set_faces([])
        await settled(pilot)
        assert (app.gallery.current, app.heard) == (None, ["5", None])
        assert "Nothing here." in "\n".join(lines(app.gallery))
        assert app.gallery.painted == frozenset()


async def test_a_tile_shows_lock_badge_texts_and_progress() -> None:
    face = Face("a", "Harbour", "by Bea", "on its way 50 %", badge="new", share=0.5)
    app = Host([face, Face("b", "Open", "by Cem", "2 of 2 left")])
    async with running(app, size=(80, ROWS)) as pilot:
        await settled(pilot)
        shown = lines(app.gallery)
        first = [line[: Tiling(79, 2).left(1) - 1] for line in shown]
        assert LOCK[0] in first[0]
        assert LOCK[1] in first[1]
        assert " new " in first[0]
        below = Tiling(79, 2).picture_rows
        assert first[below].strip() == "Harbour"
        half = Tiling(79, 2).tile_width // 2
        assert first[below + 1].count("━") == half
        assert first[below + 1].count("─") == Tiling(79, 2).tile_width - half
        assert first[below + 2].strip() == "on its way 50 %"
        app.gallery.set_face(Face("a", "Harbour", "by Bea", "3 of 5 left"))
        app.gallery.set_face(Face("gone", "x", "x", "x"))
        await settled(pilot)
        assert "by Bea" in lines(app.gallery)[below + 1]
        assert app.loads == ["a", "b"], "other words need no other picture"


async def test_a_tile_without_a_picture_says_so_and_one_that_loads_does_not() -> None:
    app = Host(faces(2), cover=lambda _key: None)
    app.hold = anyio.Event()
    async with running(app, size=(80, ROWS)) as pilot:
        await pilot.pause()
        await pilot.pause()
        assert app.loads == ["0"]
        assert "no preview" not in "\n".join(lines(app.gallery))
        app.hold.set()
        await settled(pilot)
        assert "\n".join(lines(app.gallery)).count("no preview") == 2


async def test_a_picture_that_became_another_one_is_loaded_again() -> None:
    app = Host(faces(3))
    async with running(app, size=(80, ROWS)) as pilot:
        await settled(pilot)
        app.gallery.forget("1")
        await settled(pilot)
        assert app.loads == ["0", "1", "2", "1"]
        app.gallery.set_face(Face("2", "t", "o", "s", dim=True))
        await settled(pilot)
        assert app.loads[4:] == ["2"], "a dimmed picture is another painting"


def colours(gallery: Gallery, line: int, column: int) -> object:
    """Return the background of a cell."""
    seen = 0
    for segment in gallery.render_line(line):
        seen += len(segment.text)
        if seen > column:
            return segment.style.bgcolor
    raise AssertionError("no such cell")


async def test_the_cursor_is_seen_on_its_tile_and_looks_otherwise_without_the_focus() -> None:
    app = Host(faces(3))
    async with running(app, size=(80, ROWS)) as pilot:
        await settled(pilot)
        text_line = Tiling(79, 3).picture_rows
        focused, other = (colours(app.gallery, text_line, Tiling(79, 3).left(n) + 1) for n in (0, 1))
        assert focused != other
        app.set_focus(None)
        await settled(pilot)
        blurred = colours(app.gallery, text_line, Tiling(79, 3).left(0) + 1)
        assert blurred not in (focused, other)


async def test_another_theme_and_another_size_draw_everything_anew() -> None:
    app = Host(faces(9))
    async with running(app, size=(80, ROWS)) as pilot:
        await settled(pilot)
        before = colours(app.gallery, Tiling(79, 9).picture_rows, 60)
        app.theme = "textual-light"
        await settled(pilot)
        assert colours(app.gallery, Tiling(79, 9).picture_rows, 60) != before
        await pilot.resize_terminal(40, ROWS)
        await settled(pilot)
        assert app.gallery.tiling.columns == 1
        assert all(len(line) == 39 for line in lines(app.gallery))
        assert app.gallery.virtual_size.height == app.gallery.tiling.height


async def test_the_middle_of_a_picture_fills_its_tile() -> None:
    """A wide picture loses its sides, not its shape: the middle third is green, and so is all that is seen."""
    wide = Image.new("RGB", (300, 40), (0, 0, 255))
    wide.paste((0, 255, 0), (100, 0, 200, 40))
    app = Host(faces(1), cover=lambda _key: wide)
    async with running(app, size=(80, ROWS)) as pilot:
        await settled(pilot)
        tiling = app.gallery.tiling
        row = tiling.picture_rows - 1
        for column in (tiling.left(0), tiling.left(0) + tiling.tile_width - 1):
            green = colours(app.gallery, row, column).triplet
            assert green.green > 250
            assert green.blue < 5


HOSTILE = (
    "\x1b[31mred\x1b[0m \u202eevil\u202c [red]b[/red] [@click=app.quit]x[/] \N{FAMILY}\u200d\N{GIRL}\ufe0f \x07\r\n"
    + "x" * 10_000
)


async def test_texts_of_others_do_no_harm() -> None:
    app = Host([Face("a", HOSTILE, HOSTILE, HOSTILE), Face("b", "e\u0301" * 5_000, "\u4e2d" * 5_000, "\u0301" * 5_000)])
    async with running(app, size=(80, ROWS)) as pilot:
        await settled(pilot)
        for y in range(ROWS):
            strip = app.gallery.render_line(y)
            assert strip.cell_length == 79
            for segment in strip:
                assert segment.text.isprintable()
                assert segment.style is None or not segment.style.meta
        shown = lines(app.gallery)
        assert all("\ufffd[31mred\ufffd[0m" in line for line in shown[app.gallery.tiling.picture_rows :][:3])
