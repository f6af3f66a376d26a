"""The picture widget: what it shows, where it works, and what it forgets."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref

import anyio.to_thread
import numpy as np
import pytest
from PIL import Image
from textual.app import App, ComposeResult
from textual.color import Color
from textual.containers import Vertical

from tests.databases import ROOT
from tests.tui.quiet import resized, running, settled
from tui.client.settings import ClientSettings
from tui.client.widgets import picture as picture_module
from tui.client.widgets.cells import Look, Mode
from tui.client.widgets.painting import paint
from tui.client.widgets.picture import Picture
from tui.client.widgets.strips import CellStrip

BLOCKS = set("▀▄▌▐▘▝▖▗▛▜▙▟▚▞")


def noise(width=60, height=40, seed=1):
    """Return a picture in which no two neighbours are alike."""
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def plain(color, size=(60, 40)):
    return Image.new("RGB", size, color)


class Shows(App[None]):
    """One picture, and what it posted."""

    CSS = "Screen { background: black; }"

    def __init__(self, picture: Picture) -> None:
        super().__init__()
        self.picture = picture
        self.painted: list[Picture] = []

    def compose(self) -> ComposeResult:
        yield Vertical(self.picture)

    def on_picture_painted(self, message: Picture.Painted) -> None:
        self.painted.append(message.control)


class Painter:
    """Stands in for `paint`: notes each call and its thread, and may hold it back."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.threads: list[int] = []
        self.began = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, image, part, cells, look):
        self.calls.append((image.size, part, cells, look))
        self.threads.append(threading.get_ident())
        self.began.set()
        assert self.may_go_on.wait(30)
        return paint(image, part, cells, look)


@pytest.fixture
def painter(monkeypatch):
    fake = Painter()
    monkeypatch.setattr(picture_module, "paint", fake)
    return fake


def lines(widget):
    return [strip.text for strip in widget.render_lines(widget.region.reset_offset)]


def colors(widget):
    """Return the background of each cell, of all lines."""
    return [
        [segment.style.bgcolor.triplet for segment in strip for _ in segment.text]
        for strip in widget.render_lines(widget.region.reset_offset)
    ]


def listen(monkeypatch, app):
    """Return a list of what is written to the terminal from now on."""
    written = []
    monkeypatch.setattr(app._driver, "write", written.append)
    monkeypatch.setattr(type(app), "is_headless", False)
    monkeypatch.setattr(type(app.console), "color_system", "truecolor")
    return written


# --- Showing -------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_word_stands_where_there_is_no_picture():
    app = Shows(Picture())
    async with running(app, size=(30, 9)):
        assert [line.strip() for line in lines(app.picture)] == ["", "", "", "", "no preview", "", "", "", ""]
        app.picture.placeholder = "This file is no picture whatever its name says."
        shown = [line.strip() for line in lines(app.picture)]
        assert [line for line in shown if line] == ["This file is no picture", "whatever its name says."]


@pytest.mark.anyio
async def test_a_picture_is_shown_centred_and_told_of():
    app = Shows(Picture())
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(plain("#c80a14"))
        await settled(pilot)
        assert app.painted == [app.picture]
        # 60 x 40 pixels take 30 of 40 columns in 10 rows.
        for row in colors(app.picture):
            assert [tuple(color) for color in row[5:35]] == [(200, 10, 20)] * 30
            assert {tuple(color) for color in row[:5] + row[35:]} == {(0, 0, 0)}
        assert "no preview" not in "".join(lines(app.picture))


@pytest.mark.anyio
@pytest.mark.parametrize("mode", [Mode.QUADRANT, Mode.HALF])
async def test_a_mode_decides_the_glyphs(mode):
    app = Shows(Picture())
    app.picture_mode = mode
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(noise())
        await settled(pilot)
        glyphs = set("".join(lines(app.picture))) - {" "}
        assert glyphs == {"▀"} if mode is Mode.HALF else len(glyphs) >= 5
        assert glyphs <= BLOCKS


@pytest.mark.anyio
async def test_the_program_decides_the_glyphs_where_nobody_else_does(painter):
    app = Shows(Picture())
    app.picture_mode = Mode.HALF
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(noise())
        await settled(pilot)
        assert [call[3].mode for call in painter.calls] == [Mode.HALF]


@pytest.mark.parametrize(("setting", "mode"), [("half", Mode.HALF), ("cells", Mode.QUADRANT), ("auto", Mode.QUADRANT)])
def test_the_clients_setting_is_the_programs_mode(make_client, setting, mode):
    assert make_client(settings=ClientSettings(pictures=setting)).picture_mode is mode


def test_the_widgets_start_without_numpy_and_pillow():
    code = (
        "import sys, tui.client.widgets.picture, tui.client.widgets.zooming; "
        "import tui.client.widgets.graphics, tui.client.thumbnails; "
        "print([name for name in ('numpy', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.anyio
async def test_what_a_person_sees_is_written_to_the_terminal(monkeypatch):
    """The codes made ahead reach the terminal, and no row had to be taken apart for them."""
    app = Shows(Picture())
    async with running(app, size=(40, 10)) as pilot:
        written = listen(monkeypatch, app)
        app.picture.show(noise())
        await settled(pilot)
        text = "".join(written)
        for strip in app.picture._painting.strips:
            assert strip.render(app.console) in text
            assert not strip.is_made


@pytest.mark.anyio
async def test_a_picture_that_came_before_the_widget_is_shown_too():
    picture = Picture()
    picture.show(plain("white"))
    app = Shows(picture)
    async with running(app, size=(40, 10)) as pilot:
        await settled(pilot)
        assert app.painted == [picture]


@pytest.mark.anyio
async def test_dim_is_darker_and_paler():
    app = Shows(Picture())
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(plain((200, 40, 40)))
        await settled(pilot)
        bright = colors(app.picture)[5][20]
        app.picture.show(plain((200, 40, 40)), dim=True)
        await settled(pilot)
        dim = colors(app.picture)[5][20]
        assert 0 < sum(dim) < sum(bright) / 2
        assert 0 < dim.red - dim.green < (bright.red - bright.green) / 4


@pytest.mark.anyio
async def test_a_border_is_drawn_around_it():
    app = Shows(Picture())
    async with running(app, size=(42, 12)) as pilot:
        app.picture.styles.border = ("round", "white")
        app.picture.show(plain("#c80a14"))
        await settled(pilot)
        shown = lines(app.picture)
        assert shown[0] == f"╭{'─' * 40}╮"
        assert all(line[0] == line[-1] == "│" for line in shown[1:-1])
        assert tuple(colors(app.picture)[5][20]) == (200, 10, 20)


# --- Where the work is done ----------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_no_strip_is_built_in_the_event_loop(painter):
    app = Shows(Picture())
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(noise())
        await settled(pilot)
        await pilot.resize_terminal(50, 12)
        await settled(pilot)
        assert len(painter.threads) == 2
        assert threading.get_ident() not in painter.threads


@pytest.mark.anyio
async def test_drawing_builds_nothing(painter):
    app = Shows(Picture())
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(noise())
        await settled(pilot)
        for _ in range(3):
            app.picture.refresh()
            await settled(pilot)
            lines(app.picture)
        assert len(painter.calls) == 1


@pytest.mark.anyio
async def test_a_new_size_is_built_for():
    app = Shows(Picture())
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(noise())
        await settled(pilot)
        for size in ((60, 20), (20, 5), (80, 24)):
            await pilot.resize_terminal(*size)
            await settled(pilot)
            assert app.picture._painting.rows == min(size[1], round(size[0] / 3))
            assert all(len(line) == size[0] for line in lines(app.picture))


@pytest.mark.anyio
async def test_while_it_is_built_anew_no_line_is_longer_than_the_widget(painter):
    app = Shows(Picture())
    async with running(app, size=(60, 20)) as pilot:
        app.picture.show(noise())
        await settled(pilot)
        painter.may_go_on.clear()
        for size in ((20, 6), (70, 24)):
            await resized(pilot, *size)
            assert [len(line) for line in lines(app.picture)] == [size[0]] * size[1]
        painter.may_go_on.set()
        await settled(pilot)
        assert app.picture._painting.rows == 23


@pytest.mark.anyio
async def test_only_the_last_picture_is_shown_and_no_two_threads_work(painter):
    """Four pictures while the first is built: it is thrown away, the two between are never begun."""
    app = Shows(Picture())
    async with running(app, size=(40, 10)) as pilot:
        painter.may_go_on.clear()
        app.picture.show(plain("red"))
        assert await anyio.to_thread.run_sync(painter.began.wait, 30)
        for color in ("lime", "blue", "white"):
            app.picture.show(plain(color))
        await pilot.pause()
        assert len(painter.calls) == 1
        painter.may_go_on.set()
        await settled(pilot)
        assert len(painter.calls) == 2
        assert tuple(colors(app.picture)[5][20]) == (255, 255, 255)
        assert len(app.painted) == 1


@pytest.mark.anyio
async def test_a_picture_cleared_while_it_is_built_never_appears(painter):
    app = Shows(Picture())
    async with running(app, size=(40, 10)) as pilot:
        painter.may_go_on.clear()
        app.picture.show(plain("red"))
        assert await anyio.to_thread.run_sync(painter.began.wait, 30)
        app.picture.show(None)
        painter.may_go_on.set()
        await settled(pilot)
        assert app.painted == []
        assert "no preview" in "".join(lines(app.picture))


# --- Forgetting ----------------------------------------------------------------------------------------------------
@pytest.mark.anyio
@pytest.mark.parametrize("way", ["clear", "another", "removed"])
async def test_nothing_keeps_a_picture_that_is_no_longer_shown(way):
    app = Shows(Picture())
    others = rows_in_memory()
    async with running(app, size=(40, 10)) as pilot:
        image = noise()
        app.picture.show(image)
        app.picture.overlay = ("so that segments are made of some rows",)
        await settled(pilot)
        lines(app.picture)
        known = weakref.ref(image)
        del image
        assert known() is not None
        assert len(rows_in_memory().keys() - others.keys()) >= 10
        if way == "clear":
            app.picture.clear()
        elif way == "another":
            app.picture.show(plain("red", (60, 2)))
        else:
            await app.picture.remove()
        await settled(pilot)
        gc.collect()
        assert known() is None
        assert len(rows_in_memory().keys() - others.keys()) <= (1 if way == "another" else 0)


def rows_in_memory():
    """Return the rows of pictures there are anywhere by identity, each once however many strips were made of it."""
    gc.collect()
    return {id(strip._runs): strip._runs for strip in gc.get_objects() if isinstance(strip, CellStrip)}


# --- Texts ---------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_lines_over_the_picture_change_without_building(painter):
    app = Shows(Picture())
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(noise())
        await settled(pilot)
        before = lines(app.picture)
        for second in ("08:00:01", "08:00:02"):
            app.picture.overlay = (f"Ada · {second}", "2 views left")
            await settled(pilot)
            shown = lines(app.picture)
            assert f" Ada · {second} " in shown[8]
            assert " 2 views left " in shown[9]
            assert shown[:8] == before[:8]
            assert [len(line) for line in shown] == [40] * 10
            assert BLOCKS & set(shown[8])
        app.picture.overlay = ()
        assert lines(app.picture) == before
        assert len(painter.calls) == 1


@pytest.mark.anyio
async def test_only_the_lines_that_change_are_written_again(monkeypatch):
    app = Shows(Picture())
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(noise())
        app.picture.overlay = ("08:00:01",)
        await settled(pilot)
        written = listen(monkeypatch, app)
        app.picture.overlay = ("08:00:02",)
        await settled(pilot)
        text = "".join(written)
        assert "08:00:02" in text
        rows = [strip.render(app.console) in text for strip in app.picture._painting.strips]
        assert rows == [False] * 10


@pytest.mark.anyio
async def test_lines_stand_in_the_picture_where_it_is_low():
    app = Shows(Picture())
    async with running(app, size=(40, 11)) as pilot:
        app.picture.show(noise(200, 30))
        app.picture.overlay = ("one", "two", "three", "four")
        await settled(pilot)
        # The picture has three rows, 4 to 6: what does not fit into it is not shown elsewhere.
        shown = [line.strip() for line in lines(app.picture)]
        assert shown[:4] == shown[7:] == [""] * 4
        assert "one" in shown[4]
        assert "three" in shown[6]


@pytest.mark.anyio
async def test_texts_from_elsewhere_do_nothing():
    """Markup is shown as it is written, escape codes are not shown, and what is long is cut."""
    app = Shows(Picture())
    hostile = "[@click=app.quit]x[/]\x1b[2J\u202e" + "字" * 50
    async with running(app, size=(40, 10)) as pilot:
        picture = app.picture
        picture.placeholder = hostile
        assert "\x1b" not in "".join(lines(picture))
        picture.overlay = (hostile,)
        picture.show(noise())
        await settled(pilot)
        strips = picture.render_lines(picture.region.reset_offset)
        assert [strip.cell_length for strip in strips] == [40] * 10
        shown = "".join(lines(picture))
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "[@click=app.quit]x[/]" in shown


# --- Terminals with fewer colours ----------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_without_colours_wanted_it_is_grey(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = Shows(Picture())
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(noise())
        app.picture.overlay = ("08:00:01",)
        await settled(pilot)
        for row in colors(app.picture):
            assert all(color.red == color.green == color.blue for color in row)
        assert BLOCKS & set("".join(lines(app.picture)))


@pytest.mark.parametrize(
    ("system", "look"),
    [("truecolor", Look()), ("256", Look(depth="256")), ("standard", Look(Mode.SHADES)), (None, Look(Mode.SHADES))],
)
@pytest.mark.anyio
async def test_the_terminals_colours_decide_how_it_is_drawn(monkeypatch, painter, system, look):
    app = Shows(Picture())
    async with running(app, size=(40, 10)) as pilot:
        monkeypatch.setattr(type(app.console), "color_system", system)
        monkeypatch.setattr(Shows, "is_headless", False)
        app.picture.show(noise())
        await settled(pilot)
        assert [call[3] for call in painter.calls] == [look]


@pytest.mark.anyio
async def test_its_surroundings_follow_the_theme():
    app = Shows(Picture())
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(plain("white"))
        await settled(pilot)
        app.picture.styles.background = Color.parse("#102030")
        await settled(pilot)
        row = colors(app.picture)[5]
        assert tuple(row[0]) == (16, 32, 48)
        assert tuple(row[20]) == (255, 255, 255)
