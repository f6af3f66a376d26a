"""The tab Peer images: that a look is asked for and spent once, what is said where it cannot be, asking for more."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from textual.widgets import Button, Input, Static, TabbedContent

from shared.errors import DamagedStego, Refused, Unavailable, ViewRefused
from tests.tui.conftest import NOW
from tests.tui.fake_peer import FakePeer
from tests.tui.held_images import DAY, held, holding, in_every_state
from tests.tui.quiet import notifications, pressed, running, settled, strips_of
from tui.client.dialogs.look import NoViewLeftDialog, SpendViewDialog
from tui.client.dialogs.request import AskForMoreDialog
from tui.client.dialogs.viewer import ViewerScreen
from tui.client.guide import Guide, Step
from tui.client.panes.peer_images import PeerImagesPane
from tui.client.screens.home import HomeScreen
from tui.client.widgets.gallery import Gallery
from tui.client.widgets.picture import Picture
from tui.peer.events import CloudChanged, CopyProgress, ImageReceived, RightsUpdated


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pane look at the peer at once when it heard of something, so that no test waits for it."""
    monkeypatch.setattr(PeerImagesPane, "load_soon", PeerImagesPane.load)


async def opened(pilot: Any, *keys: str) -> PeerImagesPane:
    """Go to the tab, press keys, and return the pane."""
    await settled(pilot)
    await pilot.press("3")
    await settled(pilot)
    for key in keys:
        await pilot.press(key)
        await settled(pilot)
    return home(pilot).query_one(PeerImagesPane)


def home(pilot: Any) -> HomeScreen:
    return next(screen for screen in pilot.app.screen_stack if isinstance(screen, HomeScreen))


def said(pilot: Any, selector: str) -> str:
    """Return what a text on the present screen says."""
    return str(pilot.app.screen.query_one(selector, Static).render())


def toasts(pilot: Any) -> list[str]:
    return [toast.message for toast in notifications(pilot.app)]


def state_of(pane: PeerImagesPane, number: int) -> str:
    return next(face.state for face in pane.gallery.faces if face.key == f"{number:032x}")


# --- Looking ---------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_enter_asks_and_enter_again_means_no(make_client) -> None:
    peer = holding(held(1, left=3))
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        pane = await opened(pilot, "enter")
        assert isinstance(app.screen, SpendViewDialog)
        assert said(pilot, "#spend-uses") == "Uses 1 of 3 views."
        assert "a camera can always keep what is shown" in said(pilot, "#spend-limit")
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)
        await pilot.press("enter", "escape")
        await settled(pilot)
        assert peer.calls("view") == []
        assert state_of(pane, 1) == "3 of 5 left"


@pytest.mark.anyio
async def test_a_look_by_keys_is_counted_once_shown_and_told(make_client) -> None:
    peer = holding(held(1), held(2, title="Harbour", left=3, expires=NOW + 2 * DAY + 60))
    guide = Guide((Step("Look.", "viewed"), Step("Done.", None)))
    app = make_client(peer, guide=guide)
    async with running(app, size=(80, 24)) as pilot:
        pane = await opened(pilot, "l", "enter")
        assert said(pilot, "#spend-uses") == "Uses 1 of 3 views; expires in 2 d."
        await pilot.press("right", "enter")
        await settled(pilot)
        assert peer.calls("view") == [((f"{2:032x}",), {})]
        assert isinstance(app.screen, ViewerScreen)
        assert said(pilot, "#viewer-title") == "Harbour"
        assert said(pilot, "#viewer-left") == "2 views left"
        assert guide.number == 0
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)
        assert guide.number == 1
        assert state_of(pane, 2) == "2 of 5 left, ends in 2 d"
        assert pane.gallery.current == f"{2:032x}"


@pytest.mark.anyio
async def test_a_look_by_mouse(make_client) -> None:
    peer = holding(held(1), held(2))
    app = make_client(peer)
    async with running(app, size=(120, 40)) as pilot:
        pane = await opened(pilot)
        place = pane.gallery.tiling.left(1) + 2
        await pilot.click(Gallery, offset=(place, 2))
        await pilot.click(Gallery, offset=(place, 2))
        await settled(pilot)
        assert isinstance(app.screen, SpendViewDialog)
        await pilot.click("#accept")
        await settled(pilot)
        assert peer.calls("view") == [((f"{2:032x}",), {})]
        await pilot.click("#viewer-close")
        await settled(pilot)
        await pilot.click("#held-look")
        await settled(pilot)
        assert isinstance(app.screen, SpendViewDialog)
        await pilot.click("#cancel")
        await settled(pilot)
        assert len(peer.calls("view")) == 1


@pytest.mark.anyio
async def test_while_it_opens_it_says_so_and_nothing_is_asked_or_spent_twice(make_client) -> None:
    peer = holding(held(1), held(2))
    peer.gates["view"] = anyio.Event()
    app = make_client(peer)
    async with running(app, size=(120, 40)) as pilot:
        pane = await opened(pilot, "enter")
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert len(peer.calls("view")) == 1
        assert state_of(pane, 1) == "opening…"
        assert pane.gallery.faces[0].badge == "opening…"
        assert app.screen.query_one("#held-look", Button).disabled
        await pilot.press("enter", "enter", "m", "l", "enter", "m")
        await pilot.click("#held-look")
        await pilot.pause()
        assert isinstance(app.screen, HomeScreen)
        peer.gates["view"].set()
        await settled(pilot)
        assert len(peer.calls("view")) == 1
        assert isinstance(app.screen, ViewerScreen)
        assert [type(screen) for screen in app.screen_stack].count(ViewerScreen) == 1


@pytest.mark.anyio
async def test_two_keys_in_a_row_open_one_dialog(make_client) -> None:
    app = make_client(holding(held(1)))
    async with running(app, size=(80, 24)) as pilot:
        pane = await opened(pilot)
        pane.action_look()
        pane.action_look()
        pane.action_more()
        await settled(pilot)
        assert [type(screen) for screen in app.screen_stack[-2:]] == [HomeScreen, SpendViewDialog]


# --- Where there is no look ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("number", "heading", "text", "offer"),
    [
        (3, "Not here yet", "Cem's device sends it when both of you are online", None),
        (4, "No views left", "All 5 views are used. Ask Bea for more.", "Ask for more"),
        (5, "Expired", "It could be looked at until 2027-01-15 07:59. Ask Bea for more.", "Ask for more"),
        (6, "Revoked", "Bea has taken back the right to look at it.", "Ask for more"),
    ],
)
@pytest.mark.anyio
async def test_what_cannot_be_looked_at_says_why_and_asks_nobody(make_client, number, heading, text, offer) -> None:
    peer = in_every_state()
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        pane = await opened(pilot)
        pane.gallery.select_key(f"{number:032x}")
        await pilot.press("enter")
        await settled(pilot)
        assert peer.calls("view") == []
        assert isinstance(app.screen, NoViewLeftDialog)
        assert str(app.screen.query_one(".heading").render()) == heading
        assert text in said(pilot, "#no-look-reason")
        cover = app.screen.query_one("#no-look-cover", Picture)
        assert cover.image is not None
        assert cover.dimmed
        accept = app.screen.query_one("#accept", Button)
        assert (str(accept.label) if accept.display else None) == offer
        await pilot.press("m")
        await settled(pilot)
        assert isinstance(app.screen, AskForMoreDialog if offer else NoViewLeftDialog)


@pytest.mark.parametrize(
    ("error", "heading", "state", "offer"),
    [
        (ViewRefused("no_views", "No views are left."), "No views left", "no views left", "Ask for more"),
        (ViewRefused("expired", "The time is over."), "Expired", "expired", "Ask for more"),
        (ViewRefused("revoked", "It was taken back."), "Revoked", "revoked", "Ask for more"),
        (ViewRefused("frozen", "The owner must confirm."), "On hold", "on hold", None),
        (ViewRefused("not_ready", "Still coming."), "It did not open", "3 of 5 left", None),
        (Refused("busy", "Too many at once."), "It did not open", "3 of 5 left", None),
        (Unavailable("Views need the cloud. It is away."), "Views need the cloud", "3 of 5 left", None),
        (DamagedStego("It was changed."), "The image does not open", "damaged", None),
    ],
    ids=lambda value: getattr(value, "code", type(value).__name__) if isinstance(value, Exception) else None,
)
@pytest.mark.anyio
async def test_a_look_that_fails_says_why_and_what_to_do(make_client, error, heading, state, offer) -> None:
    peer = holding(held(1))
    peer.fail["view"] = error
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        pane = await opened(pilot, "enter", "tab", "enter")
        assert len(peer.calls("view")) == 1
        assert isinstance(app.screen, NoViewLeftDialog)
        assert str(app.screen.query_one(".heading").render()) == heading
        assert said(pilot, "#no-look-reason") == str(error)
        accept = app.screen.query_one("#accept", Button)
        assert (str(accept.label) if accept.display else None) == offer
        assert state_of(pane, 1) == state
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen), "the focus was on the button that closes"
        del peer.fail["view"]
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, SpendViewDialog if state in ("3 of 5 left", "on hold") else NoViewLeftDialog)
        if state == "on hold":
            assert "costs nothing" in said(pilot, "#spend-hold"), "it promised a look that was refused"


@pytest.mark.anyio
async def test_without_the_cloud_no_view_is_even_asked_for(make_client) -> None:
    peer = holding(held(1))
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot)
        peer.reachable = False
        peer.emit(CloudChanged(False, None, 3))
        await settled(pilot)
        assert "Views need the cloud, which is away." in said(pilot, "#held-what")
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, NoViewLeftDialog)
        assert "Nothing was spent" in said(pilot, "#no-look-reason")
        assert not app.screen.query_one("#accept").display
        assert peer.calls("view") == []
        await pilot.press("escape")
        peer.reachable = True
        peer.emit(CloudChanged(True, "n2", 4))
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, SpendViewDialog)


@pytest.mark.anyio
async def test_more_views_of_a_damaged_image_are_asked_for_with_a_note(make_client) -> None:
    """It is sent again by itself; who asks for views anyhow says what is wrong."""
    peer = holding(held(1))
    peer.fail["view"] = DamagedStego("It was changed.")
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "enter", "tab", "enter")
        await pilot.press("escape")
        await settled(pilot)
        await pilot.press("m")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        [(arguments, options)] = peer.calls("request_more")
        assert arguments == (f"{1:032x}", 3)
        assert "send it again" in options["note"]


# --- Asking for more -------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_more_views_are_asked_for_by_keys_whatever_is_left(make_client) -> None:
    peer = holding(held(1, left=3))
    app = make_client(peer)
    async with running(app, size=(80, 24), notifications=True) as pilot:
        await opened(pilot, "m")
        assert isinstance(app.screen, AskForMoreDialog)
        await pilot.press("1", "2", "enter")
        await settled(pilot)
        assert peer.calls("request_more") == [((f"{1:032x}", 12), {"note": ""})]
        assert toasts(pilot) == ["Asked Bea for 12 views of “Picture 1”."]
        assert "You asked for 12 views." in said(pilot, "#held-what")
        await pilot.press("m")
        await settled(pilot)
        assert "You asked for 12 views. This asks once more." in said(pilot, "#more-asked")
        await pilot.press("escape")
        peer.held = [held(1, granted=17, left=15)]
        peer.emit(RightsUpdated(f"{1:032x}", f"{0x101:032x}", 15, revoked=False))
        await settled(pilot)
        assert said(pilot, "#held-what") == "15 of 17 views left. A look uses 1 of 15 views."


@pytest.mark.anyio
async def test_more_views_are_asked_for_by_mouse_with_a_note(make_client) -> None:
    peer = holding(held(1, left=0))
    app = make_client(peer)
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.click("#held-more")
        await settled(pilot)
        app.screen.query_one("#more-note", Input).value = "  once more please\x1b[31m "
        await pilot.click("#more-views Chips", offset=(1, 0))
        await pilot.click("#accept")
        await settled(pilot)
        assert peer.calls("request_more") == [((f"{1:032x}", 1), {"note": "once more please\ufffd[31m"})]


@pytest.mark.anyio
async def test_a_number_that_is_none_is_said_and_nothing_sent(make_client) -> None:
    peer = holding(held(1))
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "m", "backspace", "enter")
        assert isinstance(app.screen, AskForMoreDialog)
        assert "must lie between 1 and 9999" in said(pilot, ".complaint")
        await pilot.press("escape")
        await settled(pilot)
        assert peer.calls("request_more") == []


@pytest.mark.anyio
async def test_without_the_cloud_the_request_waits_in_the_outbox(make_client) -> None:
    peer = holding(held(1))
    peer.reachable = False
    app = make_client(peer)
    async with running(app, size=(80, 24), notifications=True) as pilot:
        await opened(pilot, "m", "enter")
        assert len(peer.calls("request_more")) == 1
        assert "waits in the outbox" in toasts(pilot)[-1]


@pytest.mark.anyio
async def test_a_request_that_is_refused_says_why_and_is_not_remembered(make_client) -> None:
    peer = holding(held(1))
    peer.fail["request_more"] = Refused("mailbox_full", "Bea has not read what you sent before.")
    app = make_client(peer)
    async with running(app, size=(80, 24), notifications=True) as pilot:
        await opened(pilot, "m", "enter")
        assert toasts(pilot) == ["Bea has not read what you sent before."]
        assert "You asked" not in said(pilot, "#held-what")


# --- What comes ------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_an_image_comes_with_a_bar_is_new_and_is_no_longer_once_it_was_looked_at(make_client) -> None:
    peer = holding(held(1, path=None))
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        pane = await opened(pilot)
        tabs = app.screen.query_one("#tabs", TabbedContent)
        default = pane._covers.known(f"{1:032x}")
        assert default is not None, "the default image stands for one that is not here"
        peer.emit(CopyProgress(f"{0x101:032x}", sending=False, done=1, total=4, path="through n2"))
        await settled(pilot)
        assert (pane.gallery.faces[0].share, state_of(pane, 1)) == (0.25, "on its way 25 %, via n2")
        assert str(tabs.get_tab("peer-images").label) == "Peer images"
        arrived = holding(held(1))
        peer.held, peer.covers = arrived.held, arrived.covers
        peer.emit(ImageReceived(f"{1:032x}", f"{0x101:032x}"))
        await settled(pilot)
        assert (pane.gallery.faces[0].share, pane.gallery.faces[0].badge) == (None, "new")
        assert pane._covers.known(f"{1:032x}") is not default
        assert str(tabs.get_tab("peer-images").label) == "Peer images (1)"
        assert said(pilot, "#held-heading") == "1 image · 1 new · newest first"
        await pilot.press("enter", "tab", "enter")
        await settled(pilot)
        await pilot.press("q")
        await settled(pilot)
        assert str(tabs.get_tab("peer-images").label) == "Peer images"


@pytest.mark.anyio
async def test_rights_that_end_while_the_question_is_open_are_the_clouds_to_refuse(make_client) -> None:
    peer = holding(held(1))
    peer.fail["view"] = ViewRefused("revoked", "The owner has taken it back.")
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        pane = await opened(pilot, "enter")
        peer.held = [held(1, revoked=True)]
        peer.emit(RightsUpdated(f"{1:032x}", f"{0x101:032x}", 0, revoked=True))
        await settled(pilot)
        assert state_of(pane, 1) == "revoked"
        await pilot.press("tab", "enter")
        await settled(pilot)
        assert said(pilot, "#no-look-reason") == "The owner has taken it back."


@pytest.mark.anyio
async def test_what_the_owner_changes_during_a_look_is_told_beside_the_picture(make_client) -> None:
    app = make_client(holding(held(1), held(2)))
    async with running(app, size=(80, 24)) as pilot:
        pane = await opened(pilot, "enter", "tab", "enter")
        assert isinstance(app.screen, ViewerScreen)
        looked_at, before = pane.tile.image, said(pilot, "#viewer-left")
        image, grant = looked_at.image, looked_at.grant
        pane.peer.emit(RightsUpdated(image, "e" * 32, 0, revoked=True))  # an older one on the same image
        await settled(pilot)
        assert said(pilot, "#viewer-left") == before
        pane.peer.emit(RightsUpdated(image, grant, 9, revoked=False))
        await settled(pilot)
        assert said(pilot, "#viewer-left") == "9 views left"
        assert app.screen.picture.image is not None
        pane.peer.emit(RightsUpdated(image, grant, 0, revoked=True))
        await settled(pilot)
        assert said(pilot, "#viewer-left") == "the look has ended"
        assert app.screen.picture.image is None


@pytest.mark.anyio
async def test_a_change_of_rights_may_come_before_the_picture_is_on_the_screen(make_client) -> None:
    """The look itself changes them: the peer tells of it while the screen is still on its way."""
    app = make_client(holding(held(1)))
    async with running(app, size=(80, 24)) as pilot:
        pane = await opened(pilot, "enter", "tab")
        grant = pane.tile.image.grant
        push = app.push_screen

        def hasty(screen, *arguments):  # type: ignore[no-untyped-def]
            pushed = push(screen, *arguments)
            pane.heard(RightsUpdated(pane.tile.key, grant, 7, revoked=False))
            return pushed

        app.push_screen = hasty
        await pressed(pilot, "enter")
        assert said(pilot, "#viewer-left") == "7 views left"


@pytest.mark.anyio
async def test_time_goes_on_by_itself(make_client, monkeypatch) -> None:
    peer = holding(held(1, expires=NOW + 90))
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        pane = await opened(pilot)
        assert state_of(pane, 1) == "3 of 5 left, ends in 90 s".replace("90 s", "1 min")
        monkeypatch.setattr(peer, "now", lambda: NOW + 91)
        pane._arrange()
        assert state_of(pane, 1) == "expired"


@pytest.mark.anyio
async def test_rights_expire_by_the_directory_s_clock_whatever_this_machine_s_says(make_client, monkeypatch) -> None:
    """A machine whose clock was a day ahead offered no look at what could be looked at, and did not ask the cloud."""
    app = make_client(holding(held(1, expires=NOW + 90)))
    async with running(app, size=(80, 24)) as pilot:
        monkeypatch.setattr(app, "wall", lambda: NOW + DAY)
        pane = await opened(pilot)
        pane._arrange()
        assert state_of(pane, 1) == "3 of 5 left, ends in 1 min"
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, SpendViewDialog)


@pytest.mark.anyio
async def test_sorting_and_copying(make_client) -> None:
    peer = holding(held(1, title="b", owner_name="Zoe"), held(2, title="c"), held(3, title="a", expires=NOW + DAY))
    app = make_client(peer)
    async with running(app, size=(120, 40), notifications=True) as pilot:
        pane = await opened(pilot)

        def order() -> str:
            return "".join(face.key[-1] for face in pane.gallery.faces)

        seen = [order()]
        for _ in range(3):
            await pilot.press("s")
            seen.append(order())
        assert seen == ["123", "231", "312", "312"]
        assert said(pilot, "#held-heading") == "3 images · soonest to expire first"
        assert pane.gallery.current == f"{1:032x}", "the cursor stays on its image"
        await pilot.press("c")
        await settled(pilot)
        assert app.clipboard == f"{1:032x}"
        pane.gallery.select_key(f"{2:032x}")
        await settled(pilot)
        await pilot.click("#held-copy")
        await settled(pilot)
        assert app.clipboard == f"{2:032x}"


@pytest.mark.anyio
async def test_an_empty_gallery_says_how_to_fill_it_and_has_nothing_to_do(make_client) -> None:
    app = make_client(FakePeer())
    async with running(app, size=(80, 24), notifications=True) as pilot:
        pane = await opened(pilot, "enter", "m", "c", "s")
        assert isinstance(app.screen, HomeScreen)
        assert "Go to Users (1)" in pane.gallery.empty
        active = app.screen.active_bindings
        assert not any(active[key].enabled for key in ("enter", "m", "c", "s") if key in active)


@pytest.mark.anyio
async def test_five_hundred_images_cost_as_many_covers_as_are_in_sight(make_client) -> None:
    peer = holding(*[held(number) for number in range(1, 501)])
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        pane = await opened(pilot)
        assert 3 <= len(peer.calls("cover")) <= 9
        await pilot.press("G")
        await settled(pilot)
        assert pane.gallery.current == f"{500:032x}"
        assert len(peer.calls("cover")) <= 18
        assert len(pane.gallery.painted) <= 9


@pytest.mark.parametrize("width", [100, 120, 200])
@pytest.mark.anyio
async def test_beside_the_gallery_all_buttons_are_in_sight(make_client, width: int) -> None:
    app = make_client(holding(held(1)))
    async with running(app, size=(width, 30)) as pilot:
        await opened(pilot)
        for name in ("look", "more", "copy"):
            button = app.screen.query_one(f"#held-{name}", Button)
            assert button.size.width >= len(str(button.label))
            assert button.region.right <= width


# --- Texts of others -------------------------------------------------------------------------------------------------
HOSTILE = (
    "\x1b[31mred\x1b]52;c;AA\x07 \u202eevil\u202c [red]b[/red] [@click=app.quit]x[/] "
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\ufe0f e\u0301\u0301\u0301\r\n" + "x" * 10_000
)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
@pytest.mark.parametrize("keys", [(), ("enter",), ("m",), ("enter", "tab", "enter"), ("l", "enter")], ids=str)
@pytest.mark.anyio
async def test_texts_of_others_do_no_harm(make_client, size, keys) -> None:
    peer = holding(held(1, title=HOSTILE, owner_name=HOSTILE), held(2, title=HOSTILE, owner_name=HOSTILE, revoked=True))
    app = make_client(peer)
    async with running(app, size=size) as pilot:
        await opened(pilot, *keys)
        strips = strips_of(app.screen)
        assert len(strips) == size[1]
        for strip in strips:
            assert strip.cell_length == size[0]
            for segment in strip:
                assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in segment.text)
                assert "\u202e" not in segment.text
                assert segment.style is None or not any(name.startswith("@") for name in segment.style.meta)
        assert "[red]b" in "".join(segment.text for strip in strips for segment in strip)
        if isinstance(app.screen, SpendViewDialog | AskForMoreDialog | NoViewLeftDialog):
            buttons = app.screen.query_one(".buttons").region
            assert buttons.bottom < size[1], "whatever the texts, the buttons are in sight"


@pytest.mark.anyio
async def test_a_refusal_of_the_cloud_does_no_harm(make_client) -> None:
    peer = holding(held(1))
    peer.fail["view"] = ViewRefused("no_views", HOSTILE)
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "enter", "tab", "enter")
        text = said(pilot, "#no-look-reason")
        assert text.isprintable()
        assert "[red]b[/red]" in text
        assert app.screen.query_one(".buttons").region.bottom < 24


# --- Looks -----------------------------------------------------------------------------------------------------------
def arriving(pilot: Any) -> None:
    """Let one image be new and another on its way."""
    peer = home(pilot).peer
    peer.emit(ImageReceived(f"{2:032x}", f"{0x102:032x}"))
    peer.emit(CopyProgress(f"{0x103:032x}", sending=False, done=42, total=100))


async def states(pilot: Any) -> None:
    arriving(pilot)
    await settled(pilot)


def test_every_state(make_client, snap, look) -> None:
    snap(make_client(in_every_state()), look, press=("3",), before=states, light=True)


def test_room_for_many(make_client, snap) -> None:
    peer = holding(*[held(number) for number in range(1, 31)])
    snap(make_client(peer), (200, 60), press=("3", "j", "l"))


def test_nothing_held(make_client, snap, look) -> None:
    snap(make_client(FakePeer()), look, press=("3",))


def test_without_the_cloud(make_client, snap) -> None:
    peer = in_every_state()

    async def away(pilot: Any) -> None:
        peer.reachable = False
        peer.emit(CloudChanged(False, None, 3))

    snap(make_client(peer), (80, 24), press=("3",), before=away)


def test_an_image_that_opens(make_client, snap) -> None:
    peer = holding(held(1), held(2))
    peer.gates["view"] = anyio.Event()

    async def opens(pilot: Any) -> None:
        await pilot.press("tab", "enter")
        await pilot.pause()

    snap(make_client(peer), (80, 24), press=("3", "enter"), before=opens, waits=False)


def test_the_question_before_a_look(make_client, snap, look) -> None:
    snap(make_client(in_every_state()), look, press=("3", "l", "enter"))


def test_the_last_view_is_named_so(make_client, snap) -> None:
    snap(make_client(in_every_state()), (80, 24), press=("3", "enter"))


@pytest.mark.parametrize("number", [3, 5, 6], ids=["on-its-way", "expired", "revoked"])
def test_no_look(make_client, snap, number: int) -> None:
    snap(make_client(in_every_state()), (80, 24), press=("3", *["l"] * (number - 1), "enter"))


def test_no_views_left(make_client, snap) -> None:
    snap(make_client(in_every_state()), (80, 24), press=("3", "j", "enter"))


def test_a_damaged_image(make_client, snap) -> None:
    peer = in_every_state()
    peer.fail["view"] = DamagedStego("The image file was changed; its owner's device is asked to send it again.")
    snap(make_client(peer), (80, 24), press=("3", "enter", "tab", "enter"))


def test_the_dialog_that_asks_for_more(make_client, snap, look) -> None:
    snap(make_client(in_every_state()), look, press=("3", "m"))
