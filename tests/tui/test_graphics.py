"""True pixels: asking the terminal, and the widget that shows them."""

from __future__ import annotations

import fcntl
import gc
import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import weakref

import anyio.to_thread
import numpy as np
import pytest
from PIL import Image

from tests import photos
from tests.databases import ROOT
from tests.tui.quiet import settled
from tests.tui.test_picture import Shows, lines, listen, noise, plain
from tui.client.dialogs.viewer import picture_widget
from tui.client.widgets.asking import Answers, understood
from tui.client.widgets.graphics import Graphics, probe
from tui.client.widgets.pixels import PixelPicture
from tui.client.widgets.zooming import ZoomablePicture

PATIENCE_S = 60
SIXEL_TOKENS = re.compile(r"#(\d+)((?:;\d+){4})?|(?:!(\d+))?([?-~])|([$-])")
DEVICE_QUESTION, KITTY_QUESTION, CELL_QUESTION = b"\x1b[c", b"\x1b_G", b"\x1b[16t"
PROBE = (
    "import sys; from tui.client.widgets.graphics import probe; graphics = probe(); "
    "print('answer', graphics and (graphics.protocol, graphics.cell_px), 'textual_image' in sys.modules)"
)


# --- Asking --------------------------------------------------------------------------------------------------------
def asked_in_terminal(answers, env=None, size=(24, 80, 720, 408), program=PROBE):
    """Run the probe in a pseudo-terminal; return what the probe found."""
    seen = in_terminal(program, answers, env, size)
    return re.search(rb"answer (.*?)\r?\n", seen).group(1).decode()


def in_terminal(program, answers, env=None, size=(24, 80, 720, 408)):
    """Run a program that says `answer` in a pseudo-terminal that answers questions; return all that it wrote.

    `size` is the terminal's: rows, columns, and pixels across and down.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size))
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=ROOT,
        close_fds=True,
        start_new_session=True,
        env={**without_wishes(), "TERM": "xterm-256color", **(env or {})},
    )
    os.close(slave)
    seen, answered = b"", set()
    try:
        while b"answer" not in seen or not seen.endswith(b"\n"):
            assert select.select([master], [], [], PATIENCE_S)[0], seen
            try:
                seen += os.read(master, 4096)
            except OSError:
                break
            asked = sorted((seen.find(question), question) for question in answers if question in seen)
            for _, question in asked:  # a terminal answers in the order in which it is asked
                if question not in answered:
                    answered.add(question)
                    os.write(master, answers[question](seen))
    finally:
        process.wait(PATIENCE_S)
        os.close(master)
    return seen


def without_wishes():
    return {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "GLIMPSE_PICTURES")}


def kitty_answer(seen):
    number = re.search(rb"\x1b_Gi=(\d+)", seen).group(1)
    return b"\x1b_Gi=" + number + b";OK\x1b\\"


def test_a_terminal_that_says_it_has_sixel_is_believed():
    answers = {DEVICE_QUESTION: lambda _: b"\x1b[?62;4;22c"}
    assert asked_in_terminal(answers) == "('sixel', (9, 17)) False"


def test_a_terminal_that_answers_as_kitty_does_is_believed():
    answers = {DEVICE_QUESTION: lambda _: b"\x1b[?62;c", KITTY_QUESTION: kitty_answer}
    assert asked_in_terminal(answers) == "('kitty', (9, 17)) False"
    assert asked_in_terminal(answers, size=(24, 80, 0, 0)) == "('kitty', (10, 20)) False"


def test_a_terminal_that_does_not_answer_shows_cells():
    assert asked_in_terminal({}) == "None False"


def test_the_size_of_a_cell_is_asked_for_where_the_driver_does_not_know_it():
    answers = {DEVICE_QUESTION: lambda _: b"\x1b[?62;4;22c", CELL_QUESTION: lambda _: b"\x1b[6;21;11t"}
    assert asked_in_terminal(answers, size=(24, 80, 0, 0)) == "('sixel', (11, 21)) False"
    assert asked_in_terminal(answers, size=(0, 0, 0, 0)) == "('sixel', (11, 21)) False"
    answers[CELL_QUESTION] = lambda _: b"\x1b[6;0;0t"
    assert asked_in_terminal(answers, size=(0, 0, 0, 0)) == "('sixel', (10, 20)) False"


def test_a_terminal_without_graphics_is_not_waited_for():
    """It answers the last question, so that no other answer can be under way; the test would time out otherwise."""
    patient = f"import tui.client.widgets.asking as asking; asking.ask.__defaults__ = ({PATIENCE_S},); " + PROBE
    assert asked_in_terminal({DEVICE_QUESTION: lambda _: b"\x1b[?1;2c"}, program=patient) == "None False"


@pytest.mark.parametrize("said", [b"", b"\x1b[?62;4;22", b"typed by somebody", b"\x1b[c", b"\x1b[6;1;1t"])
def test_answers_that_are_none_or_not_whole(said):
    assert understood(said) is None


def test_what_is_typed_between_the_answers_does_not_hide_them():
    assert understood(b"ls\n\x1b_Gi=1;OK\x1b\\x\x1b[6;20;10ty\x1b[?62;22cq") == Answers(True, False, (10, 20))
    assert understood(b"\x1b_Gi=1;ENOTSUP\x1b\\\x1b[?62;4c") == Answers(False, True, None)


def test_a_terminal_that_babbles_is_not_listened_to_for_good():
    assert asked_in_terminal({DEVICE_QUESTION: lambda _: b"x" * 4_000 + b"\x1b" * 200}) == "None False"


def test_textual_image_is_imported_later_and_asks_nothing():
    """Asking then would take keys from the screens, and the answer would be typed into whatever has the focus."""
    program = (
        "import sys; from tui.client.widgets.graphics import probe; graphics = probe(); "
        "from PIL import Image; graphics.renderable(Image.new('RGB', (4, 4)), width=2, height=1); "
        "print('answer', 'textual_image' in sys.modules)"
    )
    for attributes in (b"\x1b[?62;4;22c", b"\x1b[?62;c"):
        answers = {DEVICE_QUESTION: lambda _, attributes=attributes: attributes, KITTY_QUESTION: kitty_answer}
        seen = in_terminal(program, answers, size=(24, 80, 0, 0))
        assert b"answer True" in seen
        assert [seen.count(question) for question in (DEVICE_QUESTION, CELL_QUESTION, KITTY_QUESTION)] == [1, 1, 1]


@pytest.mark.parametrize("wish", [{"NO_COLOR": ""}, {"NO_COLOR": "1"}, {"GLIMPSE_PICTURES": "cells"}])
def test_who_wishes_for_none_is_not_asked(wish):
    assert asked_in_terminal({}, wish) == "None False"


def test_without_a_terminal_nothing_is_asked_and_nothing_imported():
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=ROOT,
        env=without_wishes(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout == "answer None False\n"
    assert done.stderr == ""


@pytest.mark.parametrize("stream", ["__stdin__", "__stdout__"])
@pytest.mark.parametrize("closed", [None, "closed"])
def test_a_closed_stream_is_no_terminal(monkeypatch, stream, closed):
    file = None
    if closed:
        file = io.StringIO()
        file.close()
    monkeypatch.setattr(sys, stream, file)
    assert probe() is None


@pytest.mark.parametrize("setting", ["cells", "half"])
def test_a_setting_for_cells_asks_nothing(monkeypatch, setting):
    monkeypatch.setattr("tui.client.widgets.graphics._is_terminal", lambda: pytest.fail("asked"))
    assert probe(setting) is None


# --- The widget ----------------------------------------------------------------------------------------------------
@pytest.fixture
def terminal(monkeypatch):
    """Stands for the terminal that textual-image writes to; none is asked anything at its first import."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "__stdout__", written)
    return written


@pytest.fixture
def kitty(terminal):
    from textual_image.renderable import TGPImage

    return Graphics("kitty", (10, 20), TGPImage)


@pytest.fixture
def sixel(terminal):
    from textual_image.renderable import SixelImage

    return Graphics("sixel", (10, 20), SixelImage)


def test_there_is_a_widget_for_either_case(kitty):
    assert type(picture_widget(None, id="picture")) is ZoomablePicture
    assert type(picture_widget(kitty, id="picture")) is PixelPicture


@pytest.mark.anyio
async def test_kitty_gets_pixels_and_the_screen_their_places(kitty, terminal):
    app = Shows(PixelPicture(kitty))
    async with app.run_test(size=(40, 10)) as pilot:
        app.picture.show(noise())
        await settled(pilot)
        sent = terminal.getvalue()
        assert "f=100" in sent
        assert ",c=30,r=10,U=1" in sent
        shown = lines(app.picture)
        assert [line.count("\U0010eeee") for line in shown] == [30] * 10
        assert all(line.startswith(" " * 5) and line.endswith(" " * 5) for line in shown)
        terminal.truncate(0)
        app.picture.clear()
        assert "a=d,I=" in terminal.getvalue()
        assert "\U0010eeee" not in "".join(lines(app.picture))


@pytest.mark.anyio
async def test_kitty_forgets_what_is_no_longer_seen(kitty, terminal):
    """After every step of a zoom one picture lies in the terminal, and none when the widget is gone."""
    app = Shows(PixelPicture(kitty))
    async with app.run_test(size=(40, 10)) as pilot:
        app.picture.show(noise())
        app.picture.focus()
        await settled(pilot)
        for _ in range(3):
            await pilot.press("plus")
            await settled(pilot)
            assert len(lying(terminal)) == 1
        await app.picture.remove()
        assert lying(terminal) == set()


def lying(terminal):
    """Return the numbers of the pictures that were sent and not deleted."""
    text = terminal.getvalue()
    return set(re.findall(r"\x1b_Ga=p,i=(\d+)", text)) - set(re.findall(r"\x1b_Ga=d,I=(\d+)", text))


@pytest.mark.anyio
async def test_no_more_pixels_than_the_cells_have_are_sent():
    given = []

    class Notes:
        def __init__(self, image, width=None, height=None):
            given.append((image.size, width, height, threading.get_ident()))

        def __rich_console__(self, console, options):
            return iter(())

        def cleanup(self):
            pass

    app = Shows(PixelPicture(Graphics("kitty", (10, 20), Notes)))
    async with app.run_test(size=(40, 10)) as pilot:
        app.picture.show(noise(3000, 2000))
        await settled(pilot)
        assert [drawn[:3] for drawn in given] == [((300, 200), 30, 10)]
        await pilot.resize_terminal(300, 100)
        await settled(pilot)
        size, width, height, _ = given[-1]
        assert (width, height) == (297, 99)
        assert size[0] * size[1] <= 1_510_000
        assert threading.get_ident() not in {drawn[3] for drawn in given}


def decoded(sixel):
    """Return the pixels that a Sixel picture sets, by the rules of xterm: a definition selects nothing."""
    width, height = map(int, re.search(r'"1;1;(\d+);(\d+)', sixel).groups())
    image, palette, color, x, y = Image.new("RGB", (width, height)), {}, None, 0, 0
    body = sixel[re.search(r'"[\d;]+', sixel).end() :]
    for number, rgb, repeat, bits, control in SIXEL_TOKENS.findall(body):
        if rgb:
            palette[number] = tuple(round(int(share) * 2.55) for share in rgb.strip(";").split(";")[1:])
        elif number:
            color = palette[number]
        elif control:
            x, y = 0, y + 6 * (control == "-")
        else:
            run = int(repeat or 1)
            for bit in range(6):
                if ord(bits) - 63 >> bit & 1:
                    image.paste(color, (x, y + bit, x + run, y + bit + 1))
            x += run
    return image


def pixels_of(text):
    """Return the pictures of a text of escape codes, each with the columns that are stepped over after it."""
    found = re.findall(r"\x1b7\x1bP[^q]*q([^\x1b]*)\x1b\\\x1b8\x1b\[(\d+)C", text)
    return [(decoded(sixel), int(columns)) for sixel, columns in found]


@pytest.mark.anyio
async def test_sixel_draws_each_row_of_cells(sixel, monkeypatch):
    app = Shows(PixelPicture(sixel))
    async with app.run_test(size=(40, 10)) as pilot:
        written = listen(monkeypatch, app)
        app.picture.overlay = ("08:00:01",)
        image = coffee()
        app.picture.show(image)
        await settled(pilot)
        rows = pixels_of("".join(written))[-9:]
        # 27 columns of 10 pixels and 9 rows of 20.
        assert [(row.size, columns) for row, columns in rows] == [((270, 20), 27)] * 9
        assert near(stacked(rows), image.resize((270, 180)))
        assert "08:00:01" in "".join(written)


@pytest.mark.anyio
async def test_a_row_that_is_partly_covered_draws_the_rest(sixel):
    """As a message in a corner covers it, and as what lay under the message is drawn again."""
    app = Shows(PixelPicture(sixel))
    async with app.run_test(size=(40, 10)) as pilot:
        image = coffee()
        app.picture.show(image)
        await settled(pilot)
        strips = app.picture.render_lines(app.picture.region.reset_offset)
        whole = image.resize((300, 200))
        for columns in ((0, 40), (0, 20), (8, 20), (20, 40), (0, 5), (36, 40)):
            rows = [pixels_of(strip.crop(*columns).render(app.console)) for strip in strips]
            first, last = max(0, columns[0] - 5), min(30, columns[1] - 5)
            if first >= last:
                assert rows == [[]] * 10
                assert [strip.crop(*columns).text for strip in strips] == [" " * (columns[1] - columns[0])] * 10
                continue
            assert [row[0][1] for row in rows] == [last - first] * 10
            assert near(stacked([row[0] for row in rows]), whole.crop((first * 10, 0, last * 10, 200)))
        left, middle, right = strips[4].divide([12, 30, 40])
        assert [part.cell_length for part in (left, middle, right)] == [12, 18, 10]
        assert [pixels_of(part.render(app.console))[0][1] for part in (left, middle, right)] == [7, 18, 5]


def coffee():
    return Image.open(io.BytesIO(photos.photo("coffee.png"))).convert("RGB")


def stacked(rows):
    return np.concatenate([np.asarray(row) for row, _ in rows])


def near(pixels, image):
    return np.abs(pixels.astype(int) - np.asarray(image).astype(int)).mean() < 8


@pytest.mark.anyio
async def test_a_clock_below_sends_no_pixels_again(sixel, monkeypatch):
    app = Shows(PixelPicture(sixel))
    async with app.run_test(size=(40, 10)) as pilot:
        app.picture.overlay = ("08:00:01",)
        app.picture.show(noise())
        await settled(pilot)
        written = listen(monkeypatch, app)
        app.picture.overlay = ("08:00:02",)
        await settled(pilot)
        text = "".join(written)
        assert "08:00:02" in text
        assert "\x1bP" not in text


@pytest.mark.anyio
async def test_no_pixels_are_drawn_under_a_message(sixel, monkeypatch):
    app = Shows(PixelPicture(sixel))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        app.picture.show(coffee())
        await settled(pilot)
        written = listen(monkeypatch, app)
        app.notify("a message")
        await settled(pilot)
        assert "a message" in "".join(written)
        columns = [columns for _, columns in pixels_of("".join(written))]
        assert len(columns) == 24
        assert columns[0] == 72
        # The message stands over the right end of the lower rows.
        assert 10 < min(columns) < 72


@pytest.mark.anyio
async def test_placeholders_stay_whole_where_a_row_is_cut(kitty):
    app = Shows(PixelPicture(kitty))
    async with app.run_test(size=(40, 10)) as pilot:
        app.picture.show(noise())
        await settled(pilot)
        strip = app.picture.render_lines(app.picture.region.reset_offset)[3]
        parts = strip.divide([10, 20, 40])
        assert [part.text.count("\U0010eeee") for part in parts] == [5, 10, 15]
        assert "".join(part.text for part in parts) == strip.text
        assert all(part.text.strip()[0] == "\U0010eeee" for part in parts)


@pytest.mark.anyio
async def test_text_stands_below_the_pixels(kitty):
    app = Shows(PixelPicture(kitty))
    async with app.run_test(size=(40, 10)) as pilot:
        app.picture.overlay = ("Ada · 08:00", "2 left")
        app.picture.show(noise())
        await settled(pilot)
        shown = lines(app.picture)
        assert [line.strip() for line in shown[8:]] == ["Ada · 08:00", "2 left"]
        assert sum("\U0010eeee" in line for line in shown) == 8
        app.picture.overlay = ()
        await settled(pilot)
        assert sum("\U0010eeee" in line for line in lines(app.picture)) == 10


@pytest.mark.anyio
async def test_pixels_that_come_too_late_are_forgotten_by_the_terminal_as_well(kitty, terminal):
    began, may_go_on = threading.Event(), threading.Event()

    class Slow(kitty.renderable):
        def __rich_console__(self, console, options):
            began.set()
            assert may_go_on.wait(30)
            yield from super().__rich_console__(console, options)

    app = Shows(PixelPicture(Graphics("kitty", (10, 20), Slow)))
    async with app.run_test(size=(40, 10)) as pilot:
        app.picture.show(noise())
        assert await anyio.to_thread.run_sync(began.wait, 30)
        app.picture.clear()
        may_go_on.set()
        await settled(pilot)
        assert terminal.getvalue()
        assert lying(terminal) == set()


@pytest.mark.anyio
async def test_a_cleared_picture_is_kept_nowhere(kitty):
    app = Shows(PixelPicture(kitty))
    async with app.run_test(size=(40, 10)) as pilot:
        image = plain("red")
        app.picture.show(image)
        await settled(pilot)
        known, drawn = weakref.ref(image), weakref.ref(app.picture._painting.sent)
        del image
        app.picture.clear()
        await settled(pilot)
        gc.collect()
        assert known() is None
        assert drawn() is None


@pytest.mark.anyio
async def test_a_new_size_shows_nothing_until_pixels_of_that_size_are_there(sixel):
    app = Shows(PixelPicture(sixel))
    async with app.run_test(size=(40, 10)) as pilot:
        app.picture.show(noise())
        await settled(pilot)
        await pilot.resize_terminal(20, 6)
        await settled(pilot)
        strips = app.picture.render_lines(app.picture.region.reset_offset)
        assert [strip.cell_length for strip in strips] == [20] * 6
        rows = [pixels_of(strip.render(app.console)) for strip in strips]
        assert [(row[0][0].size, row[0][1]) for row in rows] == [((180, 20), 18)] * 6
