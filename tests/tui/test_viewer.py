"""The viewer: what stands around a picture, how it is looked at closely, and that nothing of it outlives the screen."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from io import StringIO
from typing import Any

import anyio
import anyio.to_thread
import pytest
from PIL import Image
from textual.widgets import Static

from shared.errors import DecodedTooSlowly, StorageError, UnusableImage
from tests.hostile_pictures import repeated_scans
from tests.patience import PATIENCE_S
from tests.tui.conftest import NOW
from tests.tui.fake_peer import VIEW, FakePeer
from tests.tui.held_images import PICTURE, bands, held, holding
from tests.tui.key_places import place_of
from tests.tui.quiet import running, settled, strips_of
from tui.client.dialogs.viewer import ViewerScreen
from tui.client.screens.home import HomeScreen
from tui.client.widgets import decoding
from tui.client.widgets.cells import Painting
from tui.client.widgets.decoding import full
from tui.client.widgets.graphics import Graphics
from tui.client.widgets.zooming import ZoomablePicture
from tui.common.footer import Footer
from tui.peer.events import RightsUpdated
from tui.peer.models import View

IMAGE = "a" * 32
_OF_THIS_TEST = 2
"""References to an object that stands in a list of the test only, while they are counted."""


def view(data: bytes = PICTURE, title: str = "Harbour", left: int | None = 2) -> View:
    return View(IMAGE, title, data, left)


async def shown(
    pilot: Any, of: View | None = None, *, peer: FakePeer | None = None, person: str = "Bea"
) -> ViewerScreen:
    """Open a viewer over the home, and return it."""
    await settled(pilot)
    of = of or view()
    screen = ViewerScreen(peer or FakePeer(), of, person=person, left=of.left)
    pilot.app.push_screen(screen)
    del of
    await settled(pilot)
    return screen


def text(pilot: Any, selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).render())


def words(screen: ViewerScreen) -> str:
    """Return what stands where the picture would."""
    return " ".join(lines(screen.picture).split())


def lines(picture: ZoomablePicture) -> str:
    return "\n".join("".join(segment.text for segment in picture.render_line(y)) for y in range(picture.size.height))


@pytest.mark.anyio
async def test_a_picture_of_somebody_else_is_shown_with_name_time_and_views_left(make_client) -> None:
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        screen = await shown(pilot)
        assert (text(pilot, "#viewer-title"), text(pilot, "#viewer-person")) == ("Harbour", "by Bea")
        assert text(pilot, "#viewer-left") == "2 views left"
        assert screen.picture.image is not None
        assert screen.picture.image.tobytes() == full(PICTURE).tobytes()
        assert "Ada · 2027-01-15 08:00:00" in lines(screen.picture)
        assert app.focused is screen.picture


@pytest.mark.parametrize(
    ("left", "person", "said"),
    [(0, "by Bea", "that was the last view"), (1, "by Bea", "1 view left"), (None, "your own", "opens free")],
)
@pytest.mark.anyio
async def test_what_is_said_of_the_views_left(make_client, left, person, said) -> None:
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        await shown(pilot, view(left=left))
        assert (text(pilot, "#viewer-person"), text(pilot, "#viewer-left")) == (person, said)


@pytest.mark.anyio
async def test_the_time_over_the_picture_goes_on(make_client, monkeypatch) -> None:
    timers: list[tuple[float, Any]] = []
    usual = ViewerScreen.set_interval

    def noted(screen: ViewerScreen, interval: float, callback: Any = None, **options: Any) -> Any:
        timers.append((interval, callback))
        return usual(screen, interval, callback, **options)

    monkeypatch.setattr(ViewerScreen, "set_interval", noted)
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        screen = await shown(pilot)
        [(interval, tick)] = [timer for timer in timers if timer[1] == screen.tick]
        assert interval == 1
        monkeypatch.setattr(app, "wall", lambda: NOW + 61)
        tick()
        assert "Ada · 2027-01-15 08:01:01" in lines(screen.picture)


@pytest.mark.anyio
async def test_a_peer_without_a_name_leaves_the_time(make_client) -> None:
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        screen = await shown(pilot, peer=FakePeer(account=None))
        assert screen.picture.overlay == ("2027-01-15 08:00:00",)


@pytest.mark.parametrize("how", ["escape", "q", "click", "footer"])
@pytest.mark.anyio
async def test_it_is_closed_by_keys_and_by_mouse(make_client, how: str) -> None:
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        screen = await shown(pilot)
        if how == "click":
            await pilot.click("#viewer-close")
        elif how == "footer":
            await pilot.click(Footer, offset=place_of(screen, "Close"))
        else:
            await pilot.press(how)
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)
        assert not screen.is_attached


@pytest.mark.anyio
async def test_keys_go_closer_and_about(make_client) -> None:
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        screen = await shown(pilot)
        whole = screen.picture.viewport
        await pilot.press("plus", "plus", "l")
        await settled(pilot)
        assert screen.picture.viewport.zoom > whole.zoom
        assert screen.picture.viewport.x > whole.x
        await pilot.press("0")
        await settled(pilot)
        assert screen.picture.viewport == whole


# --- The end of a look -----------------------------------------------------------------------------------------------
class Clock:
    """The seconds that a viewer's clock and its peer's have gone on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed = 0.0
        monkeypatch.setattr(ViewerScreen, "clock", lambda _screen: 100.0 + self.passed)
        monkeypatch.setattr(FakePeer, "now", lambda _peer: NOW + self.passed)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def limited(look_s: float | None = None, expires: float | None = None, left: int = 2) -> View:
    return View(IMAGE, "Harbour", PICTURE, left, VIEW, look_s, expires)


def changed(left: int = 2, *, revoked: bool = False, **changes: Any) -> RightsUpdated:
    return RightsUpdated(IMAGE, "e" * 32, left, revoked, "Harbour", **changes)


async def ended(pilot: Any, screen: ViewerScreen, reason: str, lasted: float) -> None:
    """Assert that the picture is gone, why, and that the peer was told once how long it was shown."""
    await settled(pilot)
    assert screen.picture.image is None
    assert " ".join(lines(screen.picture).split()).find(reason) >= 0, lines(screen.picture)
    assert text(pilot, "#viewer-left") == "the look has ended"
    assert pilot.app.screen is screen, "the reason stays until it is read"
    await pilot.press("escape")
    await settled(pilot)
    assert isinstance(pilot.app.screen, HomeScreen)
    assert screen._peer.calls("look_ended") == [((VIEW, lasted), {})]


@pytest.mark.anyio
async def test_a_look_ends_when_the_owner_revokes(make_client, clock: Clock) -> None:
    """The picture stayed, and the owner was told that nobody could look any more."""
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        screen = await shown(pilot, limited())
        pixels = weakref.ref(screen.picture.image)
        clock.passed = 4.5
        screen.rights_changed(changed(0, revoked=True))
        gc.collect()
        assert pixels() is None
        clock.passed = 60.0
        await ended(pilot, screen, "Bea has taken back the right to look at this image.", 4.5)


@pytest.mark.anyio
async def test_a_look_ends_at_the_expiry_also_one_that_is_set_meanwhile(make_client, clock: Clock) -> None:
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        screen = await shown(pilot, limited(expires=NOW + 90_000))
        assert text(pilot, "#viewer-left") == "2 views left"
        screen.rights_changed(changed(expires=NOW + 95))
        assert text(pilot, "#viewer-left") == "1:35 · 2 views left"
        clock.passed = 94.5
        screen.tick()
        assert text(pilot, "#viewer-left") == "0:01 · 2 views left"
        assert screen.picture.image is not None
        clock.passed = 95.0
        screen.tick()
        await ended(pilot, screen, "The time to look at this image is over; ask Bea for more.", 95.0)


@pytest.mark.anyio
async def test_a_look_ends_after_the_seconds_that_the_owner_set(make_client, clock: Clock) -> None:
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        screen = await shown(pilot, limited(look_s=30, left=0))
        assert text(pilot, "#viewer-left") == "0:30 · that was the last view"
        clock.passed = 29.9
        screen.tick()
        assert screen.picture.image is not None
        clock.passed = 30.0
        screen.tick()
        screen.tick()
        await ended(pilot, screen, "This look has lasted the 30 s that Bea allows for one.", 30.0)


@pytest.mark.anyio
async def test_a_look_ends_on_time_by_itself(make_client) -> None:
    """With the real clock: nobody has to touch anything."""
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        screen = await shown(pilot, limited(look_s=1))
        with anyio.fail_after(PATIENCE_S):
            while screen.picture.image is not None:  # noqa: ASYNC110 - the screen's own timer ends it
                await anyio.sleep(0.02)
        await settled(pilot)
        [((view, lasted), _)] = screen._peer.calls("look_ended")
        assert view == VIEW
        assert lasted >= 1


@pytest.mark.anyio
async def test_fewer_views_do_not_end_a_look_and_a_shorter_length_does(make_client, clock: Clock) -> None:
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        screen = await shown(pilot, limited())
        clock.passed = 20.0
        screen.rights_changed(changed(0))
        assert text(pilot, "#viewer-left") == "that was the last view"
        assert screen.picture.image is not None
        screen.rights_changed(changed(0, look_s=15.0))
        await ended(pilot, screen, "This look has lasted the 15 s that Bea allows for one.", 20.0)


@pytest.mark.anyio
async def test_a_revocation_that_comes_before_the_picture_shows_none(make_client, monkeypatch, clock: Clock) -> None:
    gate = threading.Event()

    def slow(data: bytes) -> Image.Image:
        assert gate.wait(30)
        return full(data)

    monkeypatch.setattr(decoding, "full", slow)
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        screen = ViewerScreen(FakePeer(), limited(), person="Bea", left=2)
        app.push_screen(screen)
        await pilot.pause()
        screen.rights_changed(changed(0, revoked=True))
        gate.set()
        await settled(pilot)
        assert screen.picture.image is None
        assert "taken back" in lines(screen.picture)
        assert screen._peer.calls("look_ended") == [], "nothing was seen"


@pytest.mark.parametrize("how", ["escape", "quit"])
@pytest.mark.anyio
async def test_closing_tells_how_long_it_was_shown(make_client, clock: Clock, how: str) -> None:
    peer = FakePeer()
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await shown(pilot, limited(), peer=peer)
        clock.passed = 7.0
        await pilot.press("escape" if how == "escape" else "ctrl+q")
        await settled(pilot)
    assert peer.calls("look_ended") == [((VIEW, 7.0), {})]
    order = [name for name, _, _ in peer.asked]
    assert how == "escape" or order.index("look_ended") < order.index("sign_out")


@pytest.mark.anyio
async def test_a_length_that_cannot_be_noted_troubles_nobody(make_client, clock: Clock) -> None:
    peer = FakePeer(fail={"look_ended": StorageError("The disk is full.")})
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await shown(pilot, limited(), peer=peer)
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)


@pytest.mark.anyio
async def test_ones_own_picture_has_no_end_and_nothing_is_told(make_client, clock: Clock) -> None:
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        screen = await shown(pilot, view(left=None))
        clock.passed = 1e6
        screen.tick()
        assert screen.picture.image is not None
        await pilot.press("escape")
        await settled(pilot)
        assert screen._peer.calls("look_ended") == []


def test_how_an_ended_look_looks(make_client, snap, clock: Clock) -> None:
    async def over(pilot: Any) -> None:
        screen = await shown(pilot, limited(look_s=30))
        clock.passed = 30.0
        screen.tick()
        await settled(pilot)

    snap(make_client(), (80, 24), before=over)


@pytest.mark.anyio
async def test_while_it_is_decoded_it_says_so_and_can_be_closed(make_client, monkeypatch) -> None:
    """What is decoded for a screen that is gone ends with it."""
    begun, gate, over, decoded = threading.Event(), threading.Event(), threading.Event(), []

    def slow(data: bytes) -> Image.Image:
        begun.set()
        try:
            assert gate.wait(PATIENCE_S)
            decoded.append(full(data))
            return decoded[0]
        finally:
            over.set()

    monkeypatch.setattr(decoding, "full", slow)
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        screen = ViewerScreen(FakePeer(), view(), person="Bea", left=2)
        app.push_screen(screen)
        await pilot.pause()
        assert "opening…" in lines(screen.picture)
        assert await anyio.to_thread.run_sync(begun.wait, PATIENCE_S)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, HomeScreen)
        gate.set()
        assert await anyio.to_thread.run_sync(over.wait, PATIENCE_S)
        assert decoded == [], "nothing is decoded for a screen that is gone"
        assert screen._view is None


@pytest.mark.anyio
async def test_what_is_no_picture_says_so(make_client, monkeypatch) -> None:
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        screen = await shown(pilot, view(b"no picture at all"))
        said = lines(screen.picture)
        assert "What Bea shared cannot be shown; ask Bea about it." in said
        with pytest.raises(UnusableImage):
            full(b"no picture at all")
        assert screen._peer.calls("look_failed") == [], "one of one's own is nobody's business"
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)


@pytest.mark.anyio
async def test_a_look_that_cannot_be_shown_is_told_once(make_client) -> None:
    """The view was burnt, and its owner read that somebody had looked."""
    app = make_client()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, View(IMAGE, "Harbour", repeated_scans(6_000), 2, VIEW))
        assert "cannot be shown; ask Bea about it. This file is made of more than 50 scans" in words(screen)
        await pilot.press("r", "escape")
        await settled(pilot)
        [((image, of_view, reason), _)] = screen._peer.calls("look_failed")
        assert (image, of_view) == (IMAGE, VIEW)
        assert "scans" in reason
        assert screen._peer.calls("look_ended") == []


@pytest.mark.anyio
async def test_a_look_that_takes_too_long_is_tried_again_for_no_other_view(make_client, monkeypatch) -> None:
    """On a busy machine a picture may need another attempt; the view is counted already."""
    attempts: list[bytes] = []

    def late(data: bytes) -> Image.Image:
        attempts.append(data)
        if len(attempts) < 3:
            raise DecodedTooSlowly("This file was not decoded within 30 s; try again when this machine is less busy.")
        return full(data)

    monkeypatch.setattr(decoding, "full", late)
    app = make_client()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, limited())
        for _ in range(2):
            assert "could not be shown yet; press r to try again. This file was not decoded within" in words(screen)
            await pilot.press("r")
            await settled(pilot)
        assert screen.picture.image is not None
        assert screen._view is None
        assert attempts == [PICTURE] * 3
        await pilot.press("r", "escape")
        await settled(pilot)
        assert len(attempts) == 3, "what is shown needs no other attempt"
        assert [name for name, _, _ in screen._peer.asked if name.startswith("look")] == ["look_ended"]


@pytest.mark.anyio
async def test_a_look_that_was_too_slow_to_the_end_tells_the_owner_that_nothing_was_seen(
    make_client, monkeypatch, clock: Clock
) -> None:
    def late(_data: bytes) -> Image.Image:
        raise DecodedTooSlowly("This file was not decoded within 30 s; try again when this machine is less busy.")

    monkeypatch.setattr(decoding, "full", late)
    app = make_client()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, limited())
        clock.passed = 7.0
        await pilot.press("escape")
        await settled(pilot)
        assert screen._peer.calls("look_ended") == [((VIEW, 0.0), {})]


class Opening(FakePeer):
    """A peer that opens a picture anew for every view and keeps nothing of it."""

    async def view(self, image_id: str) -> View:
        await self._note("view", image_id)
        return View(image_id, "Harbour", bytes(bytearray(PICTURE)), 2)


@pytest.mark.parametrize("how", ["escape", "leave"])
@pytest.mark.anyio
async def test_closing_leaves_neither_bytes_nor_pixels_in_memory(make_client, monkeypatch, how: str) -> None:
    """From the counted view on: its bytes go when they are decoded, its pixels and cells with the screen."""
    data: list[bytes] = []
    pixels: list[weakref.ref[Image.Image]] = []

    def watched(file: bytes) -> Image.Image:
        image = full(file)
        data.append(file)
        pixels.append(weakref.ref(image))
        return image

    monkeypatch.setattr(decoding, "full", watched)
    peer = Opening(**vars_of(holding(held(1))))
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("3")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("tab", "enter")
        await settled(pilot)
        screen = app.screen
        assert isinstance(screen, ViewerScreen)
        gc.collect()
        references = sys.getrefcount(data[0])
        assert references == _OF_THIS_TEST, "the bytes are gone with decoding"
        assert pixels[0]() is screen.picture.image
        await pilot.press("plus")
        await settled(pilot)
        paintings = alive(Painting)
        if how == "escape":
            await pilot.press("escape")
            await settled(pilot)
            gc.collect()
            assert pixels[0]() is None
            assert alive(Painting) == paintings - 1, "only the covers' are left"
    gc.collect()
    assert pixels[0]() is None
    references = sys.getrefcount(data[0])
    assert references == _OF_THIS_TEST


def vars_of(peer: FakePeer) -> dict[str, Any]:
    return {name: getattr(peer, name) for name in ("held", "covers")}


def alive(kind: type) -> int:
    gc.collect()
    return sum(isinstance(thing, kind) for thing in gc.get_objects())


@pytest.mark.anyio
async def test_no_picture_of_a_view_is_offered_to_be_kept(make_client) -> None:
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        offered = {command.title for command in app.get_system_commands(app.screen)}
        assert "Screenshot" in offered
        screen = await shown(pilot)
        here = {command.title for command in app.get_system_commands(screen)}
        assert "Screenshot" not in here
        assert {"Close", "Closer"} <= here
        assert not screen.picture.ALLOW_SELECT


@pytest.mark.anyio
async def test_true_pixels_are_used_where_there_are_and_forgotten_by_the_terminal(make_client, monkeypatch) -> None:
    terminal = StringIO()
    monkeypatch.setattr(sys, "__stdout__", terminal)

    def sent_and_forgotten() -> tuple[int, int]:
        return terminal.getvalue().count("\x1b_Ga=t,"), terminal.getvalue().count("\x1b_Ga=d,d=I,")

    app = make_client(graphics=Graphics("kitty", (10, 20)))
    async with running(app, size=(80, 24)) as pilot:
        screen = await shown(pilot)
        assert sent_and_forgotten() == (1, 0)
        assert screen.picture.image is not None
        assert screen.picture.image.tobytes() != full(PICTURE).tobytes(), "name and time are in the pixels as well"
        assert "\U0010eeee" in lines(screen.picture)
        assert "Ada · 2027-01-15 08:00:00" in lines(screen.picture)
        await pilot.press("plus")
        await settled(pilot)
        assert sent_and_forgotten() == (2, 1)
        await pilot.press("escape")
        await settled(pilot)
        assert sent_and_forgotten() == (2, 2)


HOSTILE = "\x1b[31mred\x07 \u202eevil [red]b[/red] [@click=app.quit]x[/] \U0001f468\u200d\U0001f469\r\n" + "x" * 10_000


@pytest.mark.anyio
async def test_texts_of_others_do_no_harm(make_client) -> None:
    peer = FakePeer()
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        screen = await shown(pilot, view(title=HOSTILE), person=HOSTILE)
        strips = strips_of(screen)
        assert all(strip.cell_length == 80 for strip in strips)
        for segment in (segment for strip in strips for segment in strip):
            assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or char == "\u202e" for char in segment.text)
            assert segment.style is None or not any(name.startswith("@") for name in segment.style.meta)
        top = "".join(segment.text for segment in strips[0])
        assert "[red]b" in top
        assert "2 views left" in top
        assert "Close" in top


# --- Looks -----------------------------------------------------------------------------------------------------------
def push(of: View, person: str = "Bea") -> Any:
    async def before(pilot: Any) -> None:
        pilot.app.push_screen(ViewerScreen(FakePeer(), of, person=person, left=of.left))

    return before


def test_the_viewer(make_client, snap, look) -> None:
    picture = bands(("#5b2a86", "#7785ac", "#9ac6c5"), (160, 90))
    snap(make_client(), look, before=push(view(picture)), light=True)


def test_the_last_view_of_a_tall_picture_closely(make_client, snap) -> None:
    async def before(pilot: Any) -> None:
        await push(view(bands(("#5b2a86", "#7785ac", "#9ac6c5"), (60, 90)), left=0))(pilot)
        await settled(pilot)
        await pilot.press("plus", "plus")

    snap(make_client(), (80, 24), before=before)


def test_a_picture_of_ones_own(make_client, snap) -> None:
    snap(make_client(), (80, 24), before=push(view(left=None), "you"))


def test_what_cannot_be_shown(make_client, snap) -> None:
    snap(make_client(), (80, 24), before=push(view(b"\xff\xd8\xff nothing")))
