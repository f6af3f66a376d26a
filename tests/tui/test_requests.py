"""The tab Requests: what it shows, what it asks of the peer, and that no wrong key answers anybody."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image
from textual.widgets import Button, Input, TabbedContent

from shared.errors import Refused
from shared.text import is_clean
from tests.patience import PATIENCE_S
from tests.tui.conftest import NOW
from tests.tui.fake_peer import FakePeer
from tests.tui.quiet import notifications, pressed, running, settled, strips_of
from tui.client.dialogs.answer import AcceptDialog, RejectDialog
from tui.client.dialogs.confirm import ConfirmDialog
from tui.client.dialogs.request import RequestShownDialog
from tui.client.panes.requests import ViewRequestsPane
from tui.client.screens.home import HomeScreen
from tui.client.widgets.chips import Chips
from tui.client.widgets.expiry import ExpiryField
from tui.client.widgets.look_field import LookField
from tui.client.widgets.picture import Picture
from tui.common.rowlist import RowList
from tui.peer.events import CloudChanged, CopyProgress, Delivered, ImageReceived, RequestArrived, RequestWithdrawn
from tui.peer.models import AskState, MyImage, OutboxEntry, Viewer, ViewRequest

WORDS = {12: "amber basil cedar delta ember fjord grove harbor", 15: "iris jolly kelp lemon maple north olive pearl"}
LAKE, TOWER = "a" * 32, "b" * 32


def gradient(size: tuple[int, int] = (96, 64), file_format: str = "PNG") -> bytes:
    """Return a picture that is cheap to draw: four broad bands."""
    image = Image.new("RGB", size, "#27496d")
    for number, color in enumerate(("#0c7b93", "#00a8cc", "#f5b461")):
        image.paste(color, (size[0] * (number + 1) // 4, 0, size[0], size[1]))
    out = io.BytesIO()
    image.save(out, file_format)
    return out.getvalue()


def mine(image: str, title: str) -> MyImage:
    return MyImage(image, title, "JPEG", 960, 640, 90_000, NOW - 9e5, Path("here.png"), True, False, 1, 0)


def ask(number: int, **changes: Any) -> ViewRequest:
    values: dict[str, Any] = {
        "request_id": f"{number:032x}",
        "image": LAKE,
        "title": "Lake at dawn",
        "person": 12,
        "person_name": "Ben",
        "words": WORDS[12],
        "views": 3,
        "note": "",
        "state": AskState.PENDING,
        "reason": "",
        "created": NOW - 300,
    }
    return ViewRequest(**{**values, **changes})


def people_asking() -> FakePeer:
    """Return a peer with requests in every state, both ways."""
    cem = {"person": 15, "person_name": "Cem", "words": WORDS[15]}
    return FakePeer(
        mine=[mine(LAKE, "Lake at dawn"), mine(TOWER, "Water tower")],
        pictures={LAKE: gradient(), TOWER: gradient((64, 96))},
        previews={"d" * 32: gradient((60, 40), "JPEG")},
        incoming=[
            ask(1, note="For the album of our hike; we were all there, and nobody else took the lake that morning."),
            ask(2, **cem, image=TOWER, title="Water tower", views=1, created=NOW - 7200),
            ask(3, state=AskState.ACCEPTED, created=NOW - 90_000, answered=NOW - 86_000, grant="e" * 32),
            ask(4, **cem, state=AskState.REJECTED, reason="Not this one.", created=NOW - 200_000, answered=NOW - 9e4),
            ask(5, **cem, state=AskState.WITHDRAWN, created=NOW - 300_000, answered=NOW - 250_000),
        ],
        outgoing=[
            ask(11, state=AskState.QUEUED, image="c" * 32, title="Night train", created=NOW - 60),
            ask(12, **cem, image="d" * 32, title="Old harbour", views=5, note="Please", created=NOW - 400),
            ask(13, **cem, state=AskState.ACCEPTED, image="1" * 32, title="Bridge", created=NOW - 8000, grant="f" * 32),
            ask(14, state=AskState.RECEIVED, image="2" * 32, title="Market", created=NOW - 90_000, answered=NOW - 8e4),
            ask(
                15,
                state=AskState.REJECTED,
                image="3" * 32,
                title="Attic",
                reason="It is a present for somebody.",
                created=NOW - 400_000,
                answered=NOW - 399_000,
            ),
        ],
    )


def shown(widget: Any) -> str:
    """Return what a widget shows, as text."""
    strips = widget.render_lines(widget.region.reset_offset)
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def until(pilot: Any, holds: Callable[[], Any]) -> None:
    """Let the screen go on until it is as it must become."""
    with anyio.fail_after(PATIENCE_S):
        while not holds():
            await pilot.pause()
    await settled(pilot)


@pytest.fixture
async def open_at(make_client) -> AsyncIterator[Callable[..., Any]]:
    """Return a function that opens the tab of a peer at a size."""
    async with AsyncExitStack() as stack:

        async def opened(peer: FakePeer, size: tuple[int, int] = (80, 24)) -> Any:
            pilot = await stack.enter_async_context(running(make_client(peer), size=size, notifications=True))
            await settled(pilot)
            await pilot.press("2")
            await settled(pilot)
            return pilot

        yield opened


def toasts(pilot: Any) -> list[str]:
    return [toast.message for toast in notifications(pilot.app)]


def home(pilot: Any) -> HomeScreen:
    """Return the home screen, whatever lies over it."""
    return next(screen for screen in pilot.app.screen_stack if isinstance(screen, HomeScreen))


def rows(pilot: Any, name: str) -> RowList[Any]:
    return home(pilot).query_one(f"#requests-{name}", RowList)


def number(of: int) -> str:
    return f"{of:032x}"


async def click_row(pilot: Any, name: str, index: int) -> None:
    await pilot.click(f"#requests-{name}", offset=(4, index + 1))
    await settled(pilot)


# --- Answering -------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_accepting_by_keys_with_another_number_of_views(open_at) -> None:
    peer = people_asking()
    pilot = await open_at(peer)
    await pilot.press("a")
    await settled(pilot)
    assert isinstance(pilot.app.screen, AcceptDialog)
    await pilot.press("home", "ctrl+k", "5", "enter")
    await settled(pilot)
    assert peer.calls("accept") == [((number(1),), {"views": 5, "expires": None})]
    assert "✓ accepted" in shown(rows(pilot, "incoming"))
    assert any(text.startswith("Accepted") for text in toasts(pilot))


@pytest.mark.anyio
async def test_enter_on_a_chosen_word_says_yes_and_on_the_word_date_asks_which(open_at) -> None:
    peer = people_asking()
    pilot = await open_at(peer)
    await pilot.press("a", "tab", "tab", "end")
    assert isinstance(pilot.app.screen.focused, Chips)
    await pressed(pilot, "enter")
    assert isinstance(pilot.app.screen.focused, Input)
    assert peer.calls("accept") == []
    await pressed(pilot, "shift+tab", "home", "right", "enter")
    assert peer.calls("accept") == [((number(1),), {"views": 3, "expires": NOW + 3600})]


@pytest.mark.anyio
async def test_accepting_by_mouse_until_next_week(open_at) -> None:
    peer = people_asking()
    pilot = await open_at(peer, (120, 40))
    await click_row(pilot, "incoming", 1)
    await pilot.click("#request-accept")
    await settled(pilot)
    chips = pilot.app.screen.query_one(ExpiryField).query_one(Chips)
    week = next(start for key, start, _ in chips._places() if key == "week")
    await pilot.click(chips, offset=(week + 1, 0))
    await pilot.click("#accept")
    await settled(pilot)
    assert peer.calls("accept") == [((number(2),), {"views": 1, "expires": NOW + 7 * 86_400})]


@pytest.mark.anyio
async def test_rejecting_by_keys_with_a_reason(open_at) -> None:
    peer = people_asking()
    pilot = await open_at(peer)
    await pilot.press("j", "x")
    await settled(pilot)
    await pilot.press(*"Not now", "enter")
    await settled(pilot)
    assert peer.calls("reject") == [((number(2), "Not now"), {})]
    assert toasts(pilot) == ["Rejected."]
    assert "Reason: Not now" in shown(home(pilot).query_one("#request-facts Static")) or "✗ rejected" in shown(
        rows(pilot, "incoming")
    )


@pytest.mark.anyio
async def test_rejecting_by_mouse_without_a_reason(open_at) -> None:
    peer = people_asking()
    pilot = await open_at(peer)
    await pilot.click("#request-reject")
    await settled(pilot)
    await pilot.click("#accept")
    await settled(pilot)
    assert peer.calls("reject") == [((number(1), ""), {})]


@pytest.mark.anyio
async def test_a_reason_that_controls_terminals_is_not_sent(open_at) -> None:
    peer = people_asking()
    pilot = await open_at(peer)
    await pilot.press("x")
    await settled(pilot)
    pilot.app.screen.query_one("#reject-reason", Input).value = "no \u202e way"
    await pilot.press("enter")
    await settled(pilot)
    assert isinstance(pilot.app.screen, RejectDialog)
    assert "control a terminal" in shown(pilot.app.screen.query_one(".complaint"))
    pilot.app.screen.query_one("#reject-reason", Input).value = "n" * 400
    assert len(pilot.app.screen.query_one("#reject-reason", Input).value) <= 400
    await pilot.press("escape")
    await settled(pilot)
    assert peer.calls("reject") == []


@pytest.mark.anyio
async def test_a_number_or_a_date_that_is_none_is_not_sent_and_the_buttons_stay_in_sight(open_at) -> None:
    peer = people_asking()
    pilot = await open_at(peer)
    await pilot.press("j", "a")
    await settled(pilot)
    dialog = pilot.app.screen
    dialog.query_one(ExpiryField).query_one(Chips).focus()
    await pilot.press("end", "enter")
    await settled(pilot)
    date = dialog.query_one(ExpiryField).query_one(Input)
    date.value = "tomorrow"
    date.focus()
    await pilot.press("enter")
    await settled(pilot)
    assert pilot.app.screen is dialog
    assert "Type the date" in shown(dialog.query_one(".complaint"))
    for button in dialog.query(Button):
        assert button.region.bottom <= 24
        assert dialog.query_one(".dialog").region.contains_region(button.region)
    date.value = "2027-02-01"
    look = dialog.query_one(LookField).query_one(Input)
    look.value = "99999"
    await pilot.press("enter")
    await settled(pilot)
    assert "One look may last between 1 and 86400 seconds" in shown(dialog.query_one(".complaint"))
    look.value = "30"
    await pilot.press("enter")
    await settled(pilot)
    assert peer.calls("accept") == [
        ((number(2),), {"views": 1, "expires": NOW + 17 * 86_400 + 16 * 3600, "look_s": 30.0})
    ]


@pytest.mark.parametrize("key", ["a", "x"])
@pytest.mark.parametrize("leave", ["escape", "mouse"])
@pytest.mark.anyio
async def test_an_answer_can_be_cancelled(open_at, key: str, leave: str) -> None:
    peer = people_asking()
    pilot = await open_at(peer)
    await pilot.press(key)
    await settled(pilot)
    assert isinstance(pilot.app.screen, (AcceptDialog, RejectDialog))
    if leave == "escape":
        await pilot.press("escape")
    else:
        await pilot.click("#cancel")
    await settled(pilot)
    assert isinstance(pilot.app.screen, HomeScreen)
    assert peer.calls("accept") == peer.calls("reject") == []
    assert home(pilot).query_one(ViewRequestsPane).current.unanswered


# --- Withdrawing -----------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_withdrawing_by_keys_is_asked_twice_and_keep_is_the_default(open_at) -> None:
    peer = people_asking()
    pilot = await open_at(peer)
    await pilot.press("tab", "w")
    await settled(pilot)
    assert isinstance(pilot.app.screen, ConfirmDialog)
    await pilot.press("enter")
    await settled(pilot)
    assert peer.calls("cancel") == []
    await pilot.press("w")
    await settled(pilot)
    await pilot.press("tab", "enter")
    await settled(pilot)
    assert peer.calls("cancel") == [((number(11),), {})]
    assert toasts(pilot) == ["Request withdrawn."]


@pytest.mark.anyio
async def test_withdrawing_by_mouse(open_at) -> None:
    peer = people_asking()
    pilot = await open_at(peer, (120, 40))
    await click_row(pilot, "outgoing", 1)
    await pilot.click("#request-withdraw")
    await settled(pilot)
    await pilot.click("#accept")
    await settled(pilot)
    assert peer.calls("cancel") == [((number(12),), {})]
    assert "– withdrawn" in shown(rows(pilot, "outgoing"))


# --- Keys that do not apply ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (("tab", "a"), "This request is your own"),
        (("tab", "x"), "This request is your own"),
        (("w",), "who alone can withdraw it"),
        (("j", "j", "a"), "You accepted this request already"),
        (("j", "j", "j", "x"), "You rejected this request already"),
        (("G", "a"), "Cem took this request back"),
        (("tab", "G", "w"), "This request was rejected already"),
        (("tab", "j", "j", "w"), "This request was accepted already"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
@pytest.mark.anyio
async def test_a_key_that_does_not_apply_says_why(open_at, keys: tuple[str, ...], reason: str) -> None:
    peer = people_asking()
    pilot = await open_at(peer)
    await pilot.press(*keys)
    await settled(pilot)
    assert isinstance(pilot.app.screen, HomeScreen)
    assert reason in toasts(pilot)[0]
    assert not [name for name, _, _ in peer.asked if name in ("accept", "reject", "cancel")]


@pytest.mark.parametrize("key", list("axwcCd"))
@pytest.mark.anyio
async def test_keys_without_any_request_say_so(open_at, key: str) -> None:
    pilot = await open_at(FakePeer())
    await pilot.press(key)
    await settled(pilot)
    assert isinstance(pilot.app.screen, HomeScreen)
    assert toasts(pilot)[0].startswith("There ")


@pytest.mark.anyio
async def test_enter_answers_what_needs_an_answer_and_shows_the_rest(open_at) -> None:
    pilot = await open_at(people_asking())
    await pilot.press("enter")
    await settled(pilot)
    assert isinstance(pilot.app.screen, AcceptDialog)
    await pilot.press("escape")
    await settled(pilot)
    await pilot.press("tab", "G", "enter")
    await settled(pilot)
    assert isinstance(pilot.app.screen, RequestShownDialog)
    assert "It is a present for somebody." in shown(pilot.app.screen.query_one("#request-shown Static"))
    await pilot.press("enter")
    await settled(pilot)
    assert isinstance(pilot.app.screen, HomeScreen)


# --- What happens meanwhile ------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_while_the_peer_is_at_it_the_row_says_so_and_cannot_be_answered_again(open_at) -> None:
    peer = people_asking()
    gate = peer.gates["accept"] = anyio.Event()
    pilot = await open_at(peer)
    await pilot.press("enter", "enter")
    with anyio.fail_after(PATIENCE_S):
        while not peer.calls("accept"):
            await pilot.pause()
    assert "accepting…" in shown(rows(pilot, "incoming"))
    await pilot.press("a")
    await pilot.pause()
    assert isinstance(pilot.app.screen, HomeScreen)
    assert toasts(pilot) == ["The cloud is being told already; wait a moment."]
    gate.set()
    await settled(pilot)
    assert "accepting…" not in shown(rows(pilot, "incoming"))
    assert len(peer.calls("accept")) == 1


@pytest.mark.anyio
async def test_a_refused_answer_is_told_and_the_request_is_as_it_was(open_at) -> None:
    peer = people_asking()
    peer.fail["accept"] = Refused("conflict", "This request is already withdrawn: refresh the list.")
    pilot = await open_at(peer)
    await pilot.press("enter", "enter")
    await settled(pilot)
    assert toasts(pilot) == ["This request is already withdrawn: refresh the list."]
    assert home(pilot).query_one(ViewRequestsPane).current.unanswered


@pytest.mark.anyio
async def test_a_request_taken_back_while_the_dialog_is_open_is_not_answered(open_at) -> None:
    peer = people_asking()
    pilot = await open_at(peer)
    await pilot.press("a")
    await settled(pilot)
    peer.incoming[0] = replace(peer.incoming[0], state=AskState.WITHDRAWN)
    asked = len(peer.calls("requests"))
    peer.emit(RequestWithdrawn(number(1)))
    await until(pilot, lambda: len(peer.calls("requests")) > asked)
    await pilot.press("enter")
    await settled(pilot)
    assert peer.calls("accept") == []
    assert "took this request back" in toasts(pilot)[-1]


@pytest.mark.anyio
async def test_without_the_cloud_an_answer_waits_and_is_not_asked_for_again(open_at) -> None:
    peer = people_asking()
    peer.reachable = False
    pilot = await open_at(peer)
    assert "The cloud was not asked" in shown(home(pilot).query_one("#requests-incomplete"))
    await pilot.press("enter", "enter")
    await settled(pilot)
    assert len(peer.calls("accept")) == 1
    assert "◌ answer waits" in shown(rows(pilot, "incoming"))
    assert "waits in the outbox" in toasts(pilot)[0]
    await pilot.press("a")
    assert len(peer.calls("accept")) == 1
    assert "waits in the outbox" in toasts(pilot)[1]


@pytest.mark.anyio
async def test_a_request_that_waits_in_the_outbox_stands_in_the_list_at_once(open_at) -> None:
    peer = people_asking()
    peer.reachable, queued = False, peer.outgoing[0]
    peer.outgoing = peer.outgoing[1:]
    pilot = await open_at(peer)
    assert "in the outbox" not in shown(rows(pilot, "outgoing"))
    peer.outgoing = [queued, *peer.outgoing]
    peer.waiting = [OutboxEntry(queued.request_id, "request", NOW, 1, "")]
    peer.emit(CloudChanged(reachable=False, leader=None, term=3))
    await settled(pilot)
    assert "in the outbox" in shown(rows(pilot, "outgoing"))


@pytest.mark.anyio
async def test_what_this_machine_knows_is_shown_before_the_cloud_has_answered(open_at) -> None:
    peer = people_asking()
    pilot = await open_at(peer)
    asked = [options["local"] for _, options in peer.calls("requests")]
    assert asked[0] is True
    assert asked[-1] is False
    assert not home(pilot).query_one("#requests-incomplete").display


@pytest.mark.anyio
async def test_what_came_in_while_away_is_there_after_sign_in_and_counts_on_the_tab(open_at) -> None:
    peer = people_asking()
    waiting, peer.incoming, peer.reachable = list(peer.incoming), [], False
    pilot = await open_at(peer)
    label = home(pilot).query_one("#tabs", TabbedContent).get_tab("requests")
    assert str(label.label) == "Requests"
    peer.incoming, peer.reachable = waiting, True
    peer.emit(CloudChanged(True, "n1", 3))
    await until(pilot, lambda: len(rows(pilot, "incoming").rows) == 5)
    assert str(label.label) == "Requests (2)"
    peer.incoming.insert(0, ask(9, created=NOW))
    peer.emit(RequestArrived(number(9), LAKE, "Ben", 3))
    await until(pilot, lambda: len(rows(pilot, "incoming").rows) == 6)
    assert str(label.label) == "Requests (3)"


@pytest.mark.anyio
async def test_a_picture_on_its_way_shows_how_much_of_it_has_come(open_at) -> None:
    peer = people_asking()
    peer.incoming[2] = replace(peer.incoming[2], waits=True)
    pilot = await open_at(peer)
    asked = len(peer.calls("requests"))
    peer.emit(CopyProgress("f" * 32, sending=False, done=420_000, total=1_000_000))
    peer.emit(CopyProgress("e" * 32, sending=True, done=1, total=2))
    await until(pilot, lambda: "receiving 42 %" in shown(rows(pilot, "outgoing")))
    assert "sending 50 %" in shown(rows(pilot, "incoming"))
    assert len(peer.calls("requests")) == asked
    peer.outgoing[2] = replace(peer.outgoing[2], state=AskState.RECEIVED)
    peer.emit(ImageReceived("1" * 32, "f" * 32))
    await until(pilot, lambda: "receiving" not in shown(rows(pilot, "outgoing")))
    assert len(peer.calls("requests")) == asked + 1
    peer.incoming[2] = replace(peer.incoming[2], waits=False)
    peer.emit(Delivered(number(77), "stego image"))
    await until(pilot, lambda: "sending" not in shown(rows(pilot, "incoming")))


@pytest.mark.anyio
async def test_a_transfer_of_no_known_request_is_looked_for_once(open_at) -> None:
    peer = people_asking()
    pilot = await open_at(peer)
    asked = len(peer.calls("requests"))
    for done in range(20):
        peer.emit(CopyProgress("9" * 32, sending=True, done=done, total=20))
    await until(pilot, lambda: len(peer.calls("requests")) > asked)
    peer.emit(CopyProgress("9" * 32, sending=True, done=20, total=20))
    await settled(pilot)
    assert len(peer.calls("requests")) == asked + 1


# --- Pictures and people ---------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_the_owner_sees_the_picture_itself_and_others_only_what_is_public(open_at) -> None:
    peer = people_asking()
    pilot = await open_at(peer)
    picture = home(pilot).query_one("#request-picture", Picture)
    assert picture.image.size == (96, 64)
    own = peer.calls("view")
    assert {image for (image,), _ in own} <= {LAKE, TOWER}
    await pilot.press("tab")
    await settled(pilot)
    assert picture.image is None
    await pilot.press("j")
    await settled(pilot)
    assert picture.image.size == (60, 40)
    assert peer.calls("preview") == [(("c" * 32,), {}), (("d" * 32,), {})]
    assert peer.calls("view") == own


@pytest.mark.anyio
async def test_the_words_stand_out_at_the_first_yes_to_somebody(open_at) -> None:
    peer = people_asking()
    pilot = await open_at(peer)
    await pilot.press("j", "a")
    await settled(pilot)
    assert "compare the words" in shown(pilot.app.screen.query_one("#accept-person Static"))
    words = pilot.app.screen.query_one("#accept-words")
    assert WORDS[15] in shown(words)
    assert words.visual_style.bold
    await pilot.press("escape")
    await settled(pilot)
    await pilot.press("k", "a")
    await settled(pilot)
    words = pilot.app.screen.query_one("#accept-person Static")
    assert WORDS[12] in shown(words)
    assert not words.visual_style.bold


@pytest.mark.anyio
async def test_coming_to_the_tab_leads_to_what_needs_an_answer(open_at) -> None:
    """The cursor stayed on a request answered long ago: `2` and `a`, as the toast invites to, told only that."""
    peer = people_asking()
    pilot = await open_at(peer)
    await pilot.press("j", "j", "1", "2", "a")
    await settled(pilot)
    assert isinstance(pilot.app.screen, AcceptDialog)
    await pilot.press("enter")
    await settled(pilot)
    assert peer.calls("accept")[0][0] == (number(1),)
    await pilot.press("1", "2")
    await settled(pilot)
    assert rows(pilot, "incoming").current.request.request_id == number(2)


@pytest.mark.anyio
async def test_views_that_somebody_has_already_are_told_before_more_are_given(open_at) -> None:
    peer = people_asking()
    peer.rights[LAKE] = [
        Viewer(
            "e" * 32,
            12,
            "Ben",
            WORDS[12],
            granted=3,
            consumed=2,
            left=1,
            expires=NOW + 7200,
            revoked=False,
            look_s=30.0,
        )
    ]
    pilot = await open_at(peer)
    await pilot.press("a")
    await settled(pilot)
    meaning = pilot.app.screen.query_one("#accept-meaning")
    text = " ".join(shown(meaning).split())
    assert "Adds 3 views to the 1 of 3 that Ben has left (expires in 2 h; never keeps that)." in text
    assert "Each look stays at 30 s while this says no limit." in text, "no limit was shown, and the limit stayed"
    await pilot.press("up")
    await settled(pilot)
    assert "Adds 4 views" in shown(meaning)


@pytest.mark.anyio
async def test_views_are_not_added_to_rights_that_expired_without_a_new_date(open_at) -> None:
    """Whoever asked for more after the expiry was given views that nobody could use: `never` kept the old expiry."""
    peer = people_asking()
    peer.rights[LAKE] = [
        Viewer("e" * 32, 12, "Ben", WORDS[12], granted=3, consumed=2, left=1, expires=NOW - 60, revoked=False)
    ]
    pilot = await open_at(peer)
    await pilot.press("a")
    await settled(pilot)
    meaning = pilot.app.screen.query_one("#accept-meaning")
    assert "(expired; choose a new expiry)" in " ".join(shown(meaning).split())
    await pilot.press("enter")
    await settled(pilot)
    assert peer.calls("accept") == []
    assert "choose a new expiry" in shown(pilot.app.screen.query_one(".complaint"))
    await pilot.press("tab", "tab", "right", "tab", "tab", "enter")
    await settled(pilot)
    assert [options["expires"] for _, options in peer.calls("accept")] == [NOW + 3600]


@pytest.mark.anyio
async def test_words_and_ids_are_copied(open_at) -> None:
    pilot = await open_at(people_asking())
    await pilot.press("c")
    await settled(pilot)
    assert pilot.app.clipboard == WORDS[12]
    await pilot.press("C")
    await settled(pilot)
    assert pilot.app.clipboard == number(1)


@pytest.mark.anyio
async def test_a_received_picture_is_one_click_away(open_at) -> None:
    pilot = await open_at(people_asking(), (120, 40))
    await click_row(pilot, "outgoing", 3)
    await pilot.click("#request-go")
    await settled(pilot)
    assert home(pilot).query_one("#tabs", TabbedContent).active == "peer-images"


@pytest.mark.anyio
async def test_details_lie_below_where_it_is_narrow_and_beside_where_it_is_wide(open_at) -> None:
    pilot = await open_at(people_asking())
    details, lists = home(pilot).query_one("#request-details"), home(pilot).query_one("#requests-lists")
    assert details.region.y >= lists.region.bottom
    assert rows(pilot, "outgoing").region.height >= 4
    await pilot.resize_terminal(100, 30)
    await settled(pilot)
    assert details.region.x >= lists.region.right
    assert home(pilot).query_one("#request-accept").region.bottom < 30


# --- Hostile ---------------------------------------------------------------------------------------------------------
HOSTILE = {
    "escape": "\x1b[31;5m\x1b]0;pwned\x07 evil \x9b2J",
    "direction": "\u202eevil\u2066\u200f name",
    "emoji": "\U0001f469\u200d\U0001f680\U0001f3fd\ufe0f a\u0301\u0302\u0303",
    "long": "x" * 10_000,
    "rich": "[red]evil[/red] [link=https://example.org]x[/link]",
    "textual": "[@click=app.quit]evil[/] [$error]x[/]",
}


def written_by_others(peer: FakePeer, texts: Iterable[str]) -> None:
    """Put these texts wherever somebody else's may come, one after the other."""
    turn = cycle(texts)

    def written(row: ViewRequest) -> ViewRequest:
        text = next(turn)
        return replace(row, person_name=text, title=text, note=text, reason=text, words=text)

    peer.incoming = [written(row) for row in peer.incoming]
    peer.outgoing = [written(row) for row in peer.outgoing]
    text = next(turn)
    peer.rights[LAKE] = [Viewer("e" * 32, 12, text, text, 3, 2, left=1, expires=None, revoked=False)]


@pytest.mark.anyio
@pytest.mark.parametrize("text", list(HOSTILE.values()), ids=list(HOSTILE))
async def test_what_others_wrote_is_shown_harmlessly(open_at, text: str) -> None:
    peer = people_asking()
    written_by_others(peer, [text])
    pilot = await open_at(peer)
    for keys in (("a",), ("escape", "x"), ("escape", "d"), ("escape", "tab", "w"), ("escape",)):
        await pilot.press(*keys)
        await settled(pilot)
        harmless(pilot.app.screen, (80, 24))
    in_place(pilot, (80, 24))


@pytest.mark.anyio
async def test_what_others_wrote_is_shown_harmlessly_where_it_is_wide(open_at) -> None:
    peer = people_asking()
    written_by_others(peer, HOSTILE.values())
    pilot = await open_at(peer, (120, 40))
    for keys in (("j",),) * 4 + (("tab",),) + (("j",),) * 4:
        await pilot.press(*keys)
        await settled(pilot)
        harmless(pilot.app.screen, (120, 40))
        in_place(pilot, (120, 40))


def in_place(pilot: Any, size: tuple[int, int]) -> None:
    for widget in ("#requests-lists", "#request-details", "#request-told", "#request-actions"):
        region = home(pilot).query_one(widget).region
        assert region.right <= size[0]
        assert region.bottom < size[1]


def harmless(screen: Any, size: tuple[int, int]) -> None:
    """Hold every line of a screen to its width, and every character and style of it to the program's own."""
    for strip in strips_of(screen):
        assert strip.cell_length == size[0]
        for segment in strip:
            assert is_clean(segment.text)
            if segment.style is not None:
                assert not segment.style.link
                assert "app.quit" not in str(segment.style.meta)


# --- Pictures of the screens -----------------------------------------------------------------------------------------
SCREENS: dict[str, tuple[str, ...]] = {
    "tab": ("2",),
    "outgoing": ("2", "tab", "j", "j", "j"),
    "accept": ("2", "a"),
    "details": ("2", "tab", "G", "enter"),
}
DIALOGS: dict[str, tuple[str, ...]] = {
    "accept-first": ("2", "j", "a"),
    "reject": ("2", "x"),
    "withdraw": ("2", "tab", "w"),
}


@pytest.mark.parametrize("name", list(SCREENS))
def test_screens(make_client, snap, look, name: str) -> None:
    snap(make_client(people_asking()), look, press=SCREENS[name], light=name == "tab")


@pytest.mark.parametrize("name", list(DIALOGS))
def test_more_dialogs(make_client, snap, name: str) -> None:
    snap(make_client(people_asking()), (80, 24), press=DIALOGS[name])


def test_the_tab_without_requests(make_client, snap) -> None:
    snap(make_client(FakePeer()), (80, 24), press=("2",))


def test_the_tab_without_the_cloud(make_client, snap) -> None:
    peer = people_asking()
    peer.reachable = False
    peer.incoming[1] = replace(peer.incoming[1], waits=True)
    snap(make_client(peer), (80, 24), press=("2", "j"))


def test_a_date_that_is_none(make_client, snap) -> None:

    async def type_it(pilot: Any) -> None:
        field = pilot.app.screen.query_one(ExpiryField)
        field.query_one(Chips).focus()
        await pilot.press("end")
        field.query_one(Input).focus()
        await pilot.press(*"soon", "enter")

    snap(make_client(people_asking()), (80, 24), press=("2", "j", "a"), before=type_it)


def test_a_picture_on_its_way(make_client, snap) -> None:
    peer = people_asking()

    async def receive(pilot: Any) -> None:
        peer.emit(CopyProgress("f" * 32, sending=False, done=420_000, total=1_000_000))
        await until(pilot, lambda: "receiving" in shown(rows(pilot, "outgoing")))

    snap(make_client(peer), (80, 24), press=("2", "tab", "j", "j"), before=receive)
