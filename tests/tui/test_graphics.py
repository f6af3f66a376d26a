"""True pixels: asking the terminal, and the widget that shows them."""

from __future__ import annotations

import base64
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
import unicodedata
import weakref

import anyio.to_thread
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from tests import photos
from tests.databases import ROOT
from tests.tui.quiet import running, settled
from tests.tui.test_picture import Shows, lines, listen, noise, plain
from tui.client.dialogs.viewer import picture_widget
from tui.client.widgets import kitty, pixels
from tui.client.widgets.asking import Answers, understood
from tui.client.widgets.graphics import Graphics, probe
from tui.client.widgets.kitty import KittyPicture
from tui.client.widgets.pixels import PixelPicture
from tui.client.widgets.sixels import encoded
from tui.client.widgets.zooming import ZoomablePicture

PATIENCE_S = 60
SIXEL_TOKENS = re.compile(r"#(\d+)((?:;\d+){4})?|(?:!(\d+))?([?-~])|([$-])")
DEVICE_QUESTION, KITTY_QUESTION, CELL_QUESTION = b"\x1b[c", b"\x1b_G", b"\x1b[16t"
QUERY = b",a=q,"
PROBE = (
    "import sys; from tui.client.widgets.graphics import probe; graphics = probe(); "
    "print('answer', graphics and (graphics.protocol, graphics.cell_px), 'PIL' in sys.modules)"
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


def test_drawing_asks_the_terminal_nothing():
    """Asking then would take keys from the screens, and the answer would be typed into whatever has the focus."""
    program = (
        "import sys; from tui.client.widgets.graphics import probe; graphics = probe(); "
        "from PIL import Image; from tui.client.widgets.pixels import paint_pixels; "
        "from tui.client.widgets.cells import Look; "
        "paint_pixels(Image.new('RGB', (4, 4)), (0, 0, 4, 4), (2, 1), graphics, Look()); "
        "print('answer', graphics.protocol)"
    )
    for attributes, protocol in ((b"\x1b[?62;4;22c", b"sixel"), (b"\x1b[?62;c", b"kitty")):
        answers = {DEVICE_QUESTION: lambda _, attributes=attributes: attributes, KITTY_QUESTION: kitty_answer}
        seen = in_terminal(program, answers, size=(24, 80, 0, 0))
        assert b"answer " + protocol in seen
        assert [seen.count(question) for question in (DEVICE_QUESTION, CELL_QUESTION, QUERY)] == [1, 1, 1]


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


KITTY, SIXEL = Graphics("kitty", (10, 20)), Graphics("sixel", (10, 20))


class Terminal(io.StringIO):
    """Takes what is written to the terminal, and notes from which threads."""

    def __init__(self):
        super().__init__()
        self.threads = set()

    def write(self, text):
        self.threads.add(threading.get_ident())
        return super().write(text)


@pytest.fixture
def terminal(monkeypatch):
    written = Terminal()
    monkeypatch.setattr(sys, "__stdout__", written)
    return written


# --- Kitty's protocol ----------------------------------------------------------------------------------------------
COMMAND = re.compile(r"\x1b_G([^;\x1b]*)(?:;([^\x1b]*))?\x1b\\")


def commands(terminal):
    """Return each command's keys as a dictionary, with its payload."""
    return [
        (dict(key.split("=") for key in keys.split(",")), data) for keys, data in COMMAND.findall(terminal.getvalue())
    ]


def sent_pictures(terminal):
    """Return the pictures that were sent and what shows each: its number, and the columns and rows of its place."""
    pictures, data = [], ""
    for keys, payload in commands(terminal):
        data += payload
        if keys.get("m") == "0":
            pictures.append(Image.open(io.BytesIO(base64.b64decode(data, validate=True))))
            data = ""
    places = [(keys["i"], int(keys["c"]), int(keys["r"])) for keys, _ in commands(terminal) if keys.get("a") == "p"]
    return list(zip(pictures, places, strict=True))


def lying(terminal):
    """Return the numbers of the pictures that were sent and not deleted, by the rules of the protocol."""
    numbers = set()
    for keys, _ in commands(terminal):
        if keys.get("a") == "t":
            numbers.add(keys["i"])
        elif keys.get("a") == "d" and keys.get("d") == "I":
            numbers.discard(keys["i"])
    return numbers


def test_a_picture_is_sent_in_chunks_and_then_placed(terminal):
    image = noise(120, 90)
    KittyPicture(image, (12, 5))
    [(sent, (number, *cells))] = sent_pictures(terminal)
    assert sent.tobytes() == image.tobytes()
    assert cells == [12, 5]
    *chunks, place = commands(terminal)
    assert len(chunks) > 2
    assert chunks[0][0] == {"a": "t", "f": "100", "i": number, "q": "2", "m": "1"}
    assert [keys for keys, _ in chunks[1:]] == [{"m": "1", "q": "2"}] * (len(chunks) - 2) + [{"m": "0", "q": "2"}]
    assert all(len(data) == 4096 for _, data in chunks[:-1])
    assert len(chunks[-1][1]) <= 4096
    assert place == ({"a": "p", "U": "1", "i": number, "c": "12", "r": "5", "q": "2"}, "")
    assert COMMAND.sub("", terminal.getvalue()) == "", "nothing else is written"


def test_a_small_picture_is_sent_in_one_command(terminal):
    KittyPicture(plain("red"), (1, 1))
    assert [keys.get("m") for keys, _ in commands(terminal)] == ["0", None]


def test_a_placeholder_tells_its_row_its_column_and_the_number_of_its_picture(terminal, monkeypatch):
    monkeypatch.setattr(kitty, "_ids", iter([0x02_0A0B0B]))  # one less than the number
    strips = KittyPicture(plain("red"), (3, 2)).strips
    first, second, third = "\u0305", "\u030d", "\u030e"  # kitty's numbers 0, 1 and 2
    assert [strip.text for strip in strips] == [
        "".join(f"\U0010eeee{row}{column}{third}" for column in (first, second, third)) for row in (first, second)
    ]
    assert [strip.cell_length for strip in strips] == [3, 3]
    few_colours = Console(color_system="standard", file=io.StringIO())
    assert all(strip.render(few_colours).startswith("\x1b[38;2;10;11;12m") for strip in strips)


def test_the_number_of_a_picture_is_never_zero_and_has_32_bits(terminal, monkeypatch):
    monkeypatch.setattr(kitty, "_ids", iter([0, 0xFFFF_FFFE, 0xFFFF_FFFF]))
    for _ in range(3):
        KittyPicture(plain("red"), (1, 1))
    assert [number for _, (number, _, _) in sent_pictures(terminal)] == ["1", "4294967295", "1"]


def test_rows_and_columns_are_numbered_as_kitty_numbers_them():
    """Its list has the combining characters of class 230, in order, of which there are 297."""
    numbers = kitty._NUMBERS
    assert kitty.MAX_CELLS == len(numbers) == len(set(numbers)) == 297
    assert list(numbers) == sorted(numbers)
    assert {unicodedata.combining(number) for number in numbers} == {230}
    assert (numbers[0], numbers[100], numbers[-1]) == ("\u0305", "\u07eb", "\U0001d244")


def test_a_forgotten_picture_is_deleted_with_its_data(terminal):
    picture = KittyPicture(plain("red"), (1, 1))
    [number] = lying(terminal)
    picture.forget()
    assert commands(terminal)[-1] == ({"a": "d", "d": "I", "i": number, "q": "2"}, "")
    assert lying(terminal) == set()


def test_without_a_terminal_nothing_is_sent(monkeypatch):
    monkeypatch.setattr(sys, "__stdout__", None)
    KittyPicture(plain("red"), (1, 1)).forget()


# --- The widget ----------------------------------------------------------------------------------------------------
def test_there_is_a_widget_for_either_case():
    assert type(picture_widget(None, id="picture")) is ZoomablePicture
    assert type(picture_widget(KITTY, id="picture")) is PixelPicture


@pytest.mark.anyio
async def test_kitty_gets_pixels_and_the_screen_their_places(terminal):
    app = Shows(PixelPicture(KITTY))
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(noise())
        await settled(pilot)
        [(_, (_, *cells))] = sent_pictures(terminal)
        assert cells == [30, 10]
        shown = lines(app.picture)
        assert [line.count("\U0010eeee") for line in shown] == [30] * 10
        assert all(line.startswith(" " * 5) and line.endswith(" " * 5) for line in shown)
        app.picture.clear()
        assert lying(terminal) == set()
        assert "\U0010eeee" not in "".join(lines(app.picture))


@pytest.mark.anyio
async def test_kitty_forgets_what_is_no_longer_seen(terminal):
    """After every step of a zoom one picture lies in the terminal, and none when the widget is gone."""
    app = Shows(PixelPicture(KITTY))
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(noise())
        app.picture.focus()
        await settled(pilot)
        for _ in range(3):
            await pilot.press("plus")
            await settled(pilot)
            assert len(lying(terminal)) == 1
        await app.picture.remove()
        assert lying(terminal) == set()


@pytest.mark.anyio
async def test_no_more_pixels_than_the_cells_have_are_sent(terminal):
    app = Shows(PixelPicture(KITTY))
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(noise(3000, 2000))
        await settled(pilot)
        [(sent, (_, *cells))] = sent_pictures(terminal)
        assert (sent.size, cells) == ((300, 200), [30, 10])
        assert threading.get_ident() not in terminal.threads
        await pilot.resize_terminal(300, 100)
        await settled(pilot)
        sent, (_, *cells) = sent_pictures(terminal)[-1]
        assert cells == [297, 99]
        assert sent.width * sent.height <= 1_510_000


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


def sixel_body(image):
    return encoded(image).removesuffix("\x1b\\")


def test_sixel_has_every_pixel_of_a_picture_in_the_colours_of_its_palette():
    """Also where the last band has fewer than six rows, and the colours are rounded to percents."""
    paletted = coffee().resize((75, 47)).quantize(256)
    drawn = np.asarray(decoded(sixel_body(paletted))).astype(int)
    assert np.abs(drawn - np.asarray(paletted.convert("RGB")).astype(int)).max() <= 2


def test_runs_are_counted_and_blanks_at_the_end_of_a_line_left_out():
    image = Image.new("P", (9, 7))
    image.putpalette([0, 0, 0, 255, 128, 0])
    image.paste(1, (2, 0, 9, 2))
    assert encoded(image) == (
        '\x1bP0;1;0q"1;1;9;7#0;2;0;0;0#1;2;100;50;0'  # the palette, in percent
        "#0~~!7{$#1??!7B-"  # ~ is all six pixels of a column, { the lower four, B the upper two
        "#0!9@\x1b\\"
    )


@pytest.mark.anyio
async def test_sixel_draws_each_row_of_cells(monkeypatch):
    app = Shows(PixelPicture(SIXEL))
    async with running(app, size=(40, 10)) as pilot:
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
async def test_a_row_that_is_partly_covered_draws_the_rest():
    """As a message in a corner covers it, and as what lay under the message is drawn again."""
    app = Shows(PixelPicture(SIXEL))
    async with running(app, size=(40, 10)) as pilot:
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
async def test_a_clock_below_sends_no_pixels_again(monkeypatch):
    app = Shows(PixelPicture(SIXEL))
    async with running(app, size=(40, 10)) as pilot:
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
async def test_no_pixels_are_drawn_under_a_message(monkeypatch):
    app = Shows(PixelPicture(SIXEL))
    async with running(app, size=(80, 24), notifications=True) as pilot:
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
async def test_placeholders_stay_whole_where_a_row_is_cut(terminal):
    app = Shows(PixelPicture(KITTY))
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(noise())
        await settled(pilot)
        strip = app.picture.render_lines(app.picture.region.reset_offset)[3]
        parts = strip.divide([10, 20, 40])
        assert [part.text.count("\U0010eeee") for part in parts] == [5, 10, 15]
        assert "".join(part.text for part in parts) == strip.text
        assert all(part.text.strip()[0] == "\U0010eeee" for part in parts)


@pytest.mark.anyio
async def test_text_stands_below_the_pixels(terminal):
    app = Shows(PixelPicture(KITTY))
    async with running(app, size=(40, 10)) as pilot:
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
async def test_pixels_that_come_too_late_are_forgotten_by_the_terminal_as_well(terminal, monkeypatch):
    began, may_go_on = threading.Event(), threading.Event()

    def slowly(image, cells):
        began.set()
        assert may_go_on.wait(30)
        return KittyPicture(image, cells)

    monkeypatch.setattr(pixels, "KittyPicture", slowly)
    app = Shows(PixelPicture(KITTY))
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(noise())
        assert await anyio.to_thread.run_sync(began.wait, 30)
        app.picture.clear()
        may_go_on.set()
        await settled(pilot)
        assert len(sent_pictures(terminal)) == 1
        assert lying(terminal) == set()


@pytest.mark.anyio
async def test_a_cleared_picture_is_kept_nowhere(terminal):
    app = Shows(PixelPicture(KITTY))
    async with running(app, size=(40, 10)) as pilot:
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
async def test_a_new_size_shows_nothing_until_pixels_of_that_size_are_there():
    app = Shows(PixelPicture(SIXEL))
    async with running(app, size=(40, 10)) as pilot:
        app.picture.show(noise())
        await settled(pilot)
        await pilot.resize_terminal(20, 6)
        await settled(pilot)
        strips = app.picture.render_lines(app.picture.region.reset_offset)
        assert [strip.cell_length for strip in strips] == [20] * 6
        rows = [pixels_of(strip.render(app.console)) for strip in strips]
        assert [(row[0][0].size, row[0][1]) for row in rows] == [((180, 20), 18)] * 6
