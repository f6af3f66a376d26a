"""The tab Users: who is there, finding somebody, what they offer, asking for views; by keys and by mouse."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace

import anyio
import anyio.lowlevel
import pytest
from PIL import Image
from textual import events
from textual.widgets import Button, Input, Static

from shared.config import MAX_NOTE_CHARS
from shared.errors import Refused, Unavailable
from tests.patience import PATIENCE_S
from tests.tui.conftest import NOW
from tests.tui.fake_peer import ME, PAGE_ROWS, FakePeer
from tests.tui.quiet import notifications, pressed, running, settled, strips_of
from tui.client import debounce, user_directory
from tui.client.dialogs.request import RequestViewsDialog
from tui.client.guide import Guide
from tui.client.panes import person
from tui.client.panes.users import UsersPane
from tui.client.screens.home import HomeScreen
from tui.client.widgets.chips import Chips
from tui.client.widgets.picture import Picture
from tui.common.footer import Footer
from tui.peer.events import CloudChanged, Delivered, ImageReceived, KeyChanged, RequestAnswered
from tui.peer.models import AskState, OfferedImage, User, UserPage, ViewRequest

WORDS = "amber basil cedar delta ember fjord garnet harbor"
HOSTILE = (
    "\x1b[2J\x1b]0;title\x07\x1b[31m",
    "\u202egnp.exe\u200f",
    "👨\u200d👩\u200d👧\ufe0f" * 3,
    "a" * 10_000,
    "日本" * 5_000,
    "[red]x[/red][@click=app.quit]quit[/]",
    "\u0301" * 400,
    "\n\n\t\r",
    "",
)


def user(account: int, name: str, *, online: bool = False, images: int = 0, seen: float | None = NOW - 300) -> User:
    return User(account, name, WORDS, online, images, NOW if online else seen)


def offer(owner: int, number: int, title: str, *, has_preview: bool = True) -> OfferedImage:
    return OfferedImage(f"{owner:030x}{number:02x}", owner, title, "JPEG", 4000, 3000, 3_400_000, NOW - 60, has_preview)


def jpeg() -> bytes:
    """Return a small picture of one colour: as a snapshot it stays small."""
    out = io.BytesIO()
    Image.new("RGB", (96, 72), "#335577").save(out, "JPEG", quality=95)
    return out.getvalue()


def asked_for(image: OfferedImage, state: AskState) -> ViewRequest:
    return ViewRequest("1" * 32, image.image, image.title, image.owner, "Cem", WORDS, 3, "", state, "", NOW - 60)


CEM_OFFERS = [
    offer(11, 0, "Harbour at dusk"),
    offer(11, 1, "Two cats on a red sofa", has_preview=False),
    offer(11, 2, "Winter"),
]
PEOPLE = [
    User(ME.account, ME.name, WORDS, online=True, images=2, last_seen=NOW),
    replace(user(10, "Ben", online=True), reached="direct"),
    replace(user(13, "Émile", online=True, images=1), reached="through n2"),
    replace(user(11, "Cem Yıldız", images=3, seen=NOW - 7_500), reached="in the cloud"),
    user(12, "Dora Lindqvist", images=1, seen=NOW - 300_000),
    user(15, "太郎", seen=None),
]


def peer(**options) -> FakePeer:
    offers = {11: list(CEM_OFFERS), 12: [offer(12, 0, "Lake")], 13: [offer(13, 0, "Paris")]}
    previews = {image.image: jpeg() for images in offers.values() for image in images if image.has_preview}
    return FakePeer(**{"people": list(PEOPLE), "offers": offers, "previews": previews} | options)


def text_of(widget) -> str:
    """Return what a widget shows, as text."""
    return "\n".join(strip.text for strip in widget.render_lines(widget.region.reset_offset))


def names(app) -> list[str]:
    return [row.name for row in pane(app).people.rows]


def pane(app) -> UsersPane:
    home = next(screen for screen in app.screen_stack if isinstance(screen, HomeScreen))
    return home.query_one(UsersPane)


async def go_to(pilot, name: str) -> None:
    """Put the cursor on somebody."""
    people = pane(pilot.app).people
    people.select_key(next(str(row.account) for row in people.rows if row.name == name))
    await settled(pilot)


@pytest.fixture
async def opened(make_client):
    """A client at 120 x 40 over the people above: peer, app, pilot."""
    someone = peer()
    app = make_client(someone, guide=Guide())
    async with running(app, size=(120, 40), notifications=True) as pilot:
        await settled(pilot)
        yield someone, app, pilot


def offers_shown(app) -> str:
    offers = pane(app).person.offers
    return "".join(offers.render_line(y).text for y in range(offers.size.height))


def toasts(app) -> list[str]:
    return [toast.message for toast in notifications(app)]


# --- Who is there ----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_everybody_else_is_listed_those_online_first(opened) -> None:
    someone, app, _ = opened
    assert someone.calls("users") == [(("",), {"page": 0})]
    assert names(app) == ["Ben", "Émile", "Cem Yıldız", "Dora Lindqvist", "太郎"]
    assert text_of(app.screen.query_one("#users-summary")).strip() == "5 people, 2 online"
    shown = text_of(pane(app).people)
    assert "○  Cem Yıldız" in shown
    assert "2 h ago" in shown
    assert "never" in shown
    assert pane(app).people.has_focus


@pytest.mark.anyio
async def test_all_pages_are_asked_for_one_after_another(make_client) -> None:
    many = [user(100 + number, f"n{number:04}", online=number < 3) for number in range(2 * PAGE_ROWS + 50)]
    someone = FakePeer(people=[PEOPLE[0], *many])
    app = make_client(someone)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        assert [options["page"] for _, options in someone.calls("users")] == [0, 1, 2]
        assert len(names(app)) == len(many)
        assert text_of(app.screen.query_one("#users-summary")).strip() == "450 people, 3 online"


@dataclass
class PagesLater(FakePeer):
    """A cloud whose first page comes at once; the others wait for `later`, or fail."""

    later: anyio.Event = field(default_factory=anyio.Event)
    failing: bool = False

    async def users(self, text: str = "", *, page: int = 0) -> UserPage:
        told = await super().users(text, page=page)
        if page and self.failing:
            raise Unavailable("The cloud did not answer in time.")
        if page:
            await self.later.wait()
        return told


TWO_PAGES = [PEOPLE[0], *(user(100 + number, f"n{number:04}") for number in range(PAGE_ROWS + 1))]


@pytest.mark.anyio
async def test_the_first_page_is_shown_while_others_are_on_their_way(make_client) -> None:
    someone = PagesLater(people=TWO_PAGES)
    app = make_client(someone)
    async with running(app, size=(80, 24)) as pilot:
        with anyio.fail_after(PATIENCE_S):
            while len(someone.calls("users")) < 2:
                await pilot.pause()
        await pilot.pause()
        assert len(names(app)) == PAGE_ROWS - 1
        assert text_of(app.screen.query_one("#users-summary")).strip() == "201 people, 0 online …"
        someone.later.set()
        await settled(pilot)
        assert len(names(app)) == PAGE_ROWS + 1
        assert text_of(app.screen.query_one("#users-summary")).strip() == "201 people, 0 online"


@pytest.mark.anyio
async def test_looking_again_tells_who_came_and_who_went(opened) -> None:
    someone, app, pilot = opened
    await go_to(pilot, "Cem Yıldız")
    someone.people = [
        replace(person, online=person.name in ("Ada", "Cem Yıldız")) for person in [*PEOPLE, user(16, "Gus")]
    ]
    someone.people.sort(key=lambda person: not person.online)
    await pilot.press("f5")
    await settled(pilot)
    assert names(app) == ["Cem Yıldız", "Ben", "Dora Lindqvist", "Émile", "Gus", "太郎"]
    assert pane(app).people.current.name == "Cem Yıldız", "the cursor stays on its row"
    assert "● online" in text_of(app.screen.query_one("#person-who"))


@pytest.mark.anyio
async def test_who_is_there_is_asked_again_only_while_it_is_seen(opened) -> None:
    someone, app, pilot = opened
    before = len(someone.calls("users"))
    await pilot.press("4")
    await settled(pilot)
    pane(app)._look_again()
    await settled(pilot)
    assert len(someone.calls("users")) == before
    await pilot.press("1")
    await settled(pilot)
    pane(app)._look_again()
    await settled(pilot)
    assert len(someone.calls("users")) == before + 1
    someone.reachable = False
    pane(app)._look_again()
    await settled(pilot)
    assert len(someone.calls("users")) == before + 1


@pytest.mark.anyio
async def test_sorting_by_number_of_images_shows_the_most_first(opened) -> None:
    _, app, pilot = opened
    await pilot.press("s", "s", "s", "s", "s", "s")
    assert pane(app).people.sort == ("images", True)
    assert names(app)[0] == "Cem Yıldız"


@pytest.mark.anyio
async def test_without_the_cloud_the_list_says_so_and_fills_when_it_is_back(make_client) -> None:
    someone = peer(reachable=False)
    app = make_client(someone)
    async with running(app, size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        assert someone.calls("users") == []
        assert "Waiting for the cloud." in text_of(pane(app).people)
        assert toasts(app) == [], "the banner says it; a toast for each look would be in the way"
        someone.reachable = True
        someone.emit(CloudChanged(True, "n1", 3))
        await settled(pilot)
        assert len(names(app)) == 5


@pytest.mark.anyio
async def test_a_list_that_is_known_stays_when_the_cloud_goes_and_says_how_old_it_is(opened) -> None:
    someone, app, pilot = opened
    app.wall = lambda: NOW + 600
    someone.fail["users"] = Unavailable("The cloud did not answer in time.")
    await pilot.press("f5")
    await settled(pilot)
    assert len(names(app)) == 5
    assert text_of(app.screen.query_one("#users-summary")).strip() == "5 people as of 10 min ago"
    assert toasts(app) == []


@pytest.mark.anyio
async def test_pages_that_failed_are_asked_for_again_by_the_next_look(make_client) -> None:
    someone = PagesLater(people=TWO_PAGES, failing=True)
    someone.later.set()
    app = make_client(someone)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        assert len(names(app)) == PAGE_ROWS - 1
        someone.failing = False
        await pilot.press("f5")
        await settled(pilot)
        assert len(names(app)) == PAGE_ROWS + 1


@pytest.mark.anyio
async def test_a_no_of_the_cloud_is_shown(make_client) -> None:
    someone = peer(fail={"users": Refused("not_signed_in", "Sign in first.")})
    app = make_client(someone)
    async with running(app, size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        assert toasts(app)[:1] == ["Sign in first."]


@pytest.mark.anyio
async def test_nobody_else(make_client) -> None:
    app = make_client(FakePeer(people=PEOPLE[:1]))
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        assert "Nobody else is registered yet." in text_of(pane(app).people)
        await pilot.press("r", "enter", "c", "w", "escape")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)


@pytest.mark.anyio
async def test_another_key_than_before_is_marked_in_list_and_details(opened) -> None:
    someone, app, pilot = opened
    someone.emit(KeyChanged(11, "Cem Yıldız"))
    await go_to(pilot, "Cem Yıldız")
    assert "!  Cem Yıldız" in text_of(pane(app).people)
    assert "Shows another key than before" in text_of(app.screen.query_one("#person-who")).replace("\n", " ")
    await go_to(pilot, "Ben")
    assert "another key" not in text_of(app.screen.query_one("#person-who"))


# --- The filter ------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_filter_works_as_one_types_and_escape_clears_it(opened) -> None:
    someone, app, pilot = opened
    await pilot.press("slash")
    seen = []
    for key in ("d", "o", "space", "l", "i", "n"):
        await pilot.press(key)
        seen.append(names(app))
    assert [len(found) for found in seen] == [5, 1, 1, 1, 1, 1]
    assert names(app) == ["Dora Lindqvist"]
    await settled(pilot)
    assert len(someone.calls("users")) == 1, "everybody is known here: nobody is asked"
    assert text_of(app.screen.query_one("#users-summary")).strip() == "1 of 5 people, 2 online"
    await pilot.press("down")
    assert pane(app).people.has_focus
    assert pane(app).people.current.name == "Dora Lindqvist"
    await pilot.press("escape")
    assert len(names(app)) == 5
    await pilot.press("slash", "x", "q", "escape")
    assert len(names(app)) == 5
    assert pane(app).people.has_focus


@pytest.mark.anyio
async def test_keys_that_are_text_in_the_filter_are_not_offered_there(opened) -> None:
    _, app, pilot = opened
    await pressed(pilot, "slash")
    line = app.screen.query_one(Footer)
    assert [hint.does for _, hint in line.spots()] == ["Quit", "palette"]
    await pressed(pilot, "escape")
    assert "Filter" in [hint.does for _, hint in line.spots()]


@pytest.mark.anyio
async def test_the_filter_by_mouse(opened) -> None:
    _, app, pilot = opened
    await pilot.click("#users-filter")
    await pilot.press("1", "2", "enter")
    assert names(app) == ["Dora Lindqvist"]
    assert pane(app).people.has_focus


@pytest.mark.anyio
async def test_nobody_matches(opened) -> None:
    _, app, pilot = opened
    await pilot.press("slash", "q", "q")
    await settled(pilot)
    assert "Nobody matches “qq”." in text_of(pane(app).people)
    assert "Choose somebody" in text_of(app.screen.query_one("#person-who"))


@pytest.mark.anyio
async def test_who_is_not_known_here_is_looked_for_in_the_cloud(make_client, monkeypatch) -> None:
    monkeypatch.setattr(user_directory, "MAX_PEOPLE", PAGE_ROWS)
    far = user(900, "Zacharias")
    others = [user(100 + number, f"n{number:04}") for number in range(PAGE_ROWS)]
    someone = FakePeer(people=[PEOPLE[0], *others, far])
    app = make_client(someone)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        assert "Zacharias" not in names(app)
        monkeypatch.setattr(debounce, "TYPING_S", 3600)
        await pilot.press("slash", *"zac")
        monkeypatch.setattr(debounce, "TYPING_S", 0.001)
        await pilot.press("h")
        await settled(pilot)
        assert someone.calls("users")[1:] == [(("zach",), {"page": 0})], "asked once, when the typing paused"
        assert names(app) == ["Zacharias"]
        someone.fail["users"] = Unavailable("The cloud did not answer in time.")
        await pilot.press("x")
        await settled(pilot)
        assert names(app) == []


# --- What somebody offers --------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_person_under_the_cursor_is_told_with_their_offers_and_previews(opened) -> None:
    someone, app, pilot = opened
    await go_to(pilot, "Cem Yıldız")
    assert someone.calls("images_of")[-1] == ((11,), {"page": 0})
    assert someone.calls("preview") == [((CEM_OFFERS[0].image,), {})]
    who = text_of(app.screen.query_one("#person-who"))
    assert "Cem Yıldız  #11  ○ away, seen 2 h ago" in who
    assert WORDS in " ".join(who.split())
    assert [row.title for row in pane(app).person.offers.rows] == [image.title for image in CEM_OFFERS]
    assert pane(app).person.query_one(Picture).image is not None
    await pilot.press("enter", "j")
    await settled(pilot)
    assert pane(app).person.offers.has_focus
    assert pane(app).person.query_one(Picture).image is None
    assert "no preview" in text_of(pane(app).person.query_one(Picture))
    await pilot.press("k")
    await settled(pilot)
    assert pane(app).person.query_one(Picture).image is not None
    assert len(someone.calls("preview")) == 1, "what was loaded is kept"
    await pilot.press("escape")
    assert pane(app).people.has_focus


@pytest.mark.anyio
async def test_a_cursor_that_runs_through_the_list_asks_only_where_it_rests(opened, monkeypatch) -> None:
    someone, _, pilot = opened
    rest = anyio.Event()

    async def until_it_rests(_seconds: float) -> None:
        await rest.wait()

    monkeypatch.setattr(person.anyio, "sleep", until_it_rests)
    await pilot.press("j", "j", "j")
    rest.set()
    await settled(pilot)
    assert [arguments for arguments, _ in someone.calls("images_of")] == [(12,)]


@pytest.mark.anyio
async def test_who_offers_nothing_is_not_asked_about(opened) -> None:
    someone, app, pilot = opened
    await go_to(pilot, "太郎")
    assert someone.calls("images_of") == []
    assert "Offers no pictures." in text_of(pane(app).person.offers)
    await pilot.press("r")
    await settled(pilot)
    assert toasts(app) == ["太郎 offers no pictures."]


@pytest.mark.anyio
async def test_offers_that_the_cloud_cannot_tell_now(opened) -> None:
    someone, app, pilot = opened
    someone.fail["images_of"] = Unavailable("The cloud did not answer in time.")
    await go_to(pilot, "Cem Yıldız")
    assert "The cloud did not answer in time." in " ".join(text_of(pane(app).person.offers).split())
    del someone.fail["images_of"]
    await pilot.press("f5")
    await settled(pilot)
    assert len(pane(app).person.offers.rows) == 3


@pytest.mark.anyio
async def test_how_a_request_stands_is_shown_and_follows_events(opened) -> None:
    someone, app, pilot = opened
    someone.outgoing = [asked_for(CEM_OFFERS[1], AskState.PENDING)]
    await go_to(pilot, "Cem Yıldız")
    assert "asked" in text_of(pane(app).person.offers)
    assert {tuple(options.items()) for _, options in someone.calls("requests")} >= {(("local", True),)}
    for event, state, word in (
        (RequestAnswered("1" * 32, CEM_OFFERS[1].image, accepted=True), AskState.ACCEPTED, "accepted"),
        (ImageReceived(CEM_OFFERS[1].image, "2" * 32), AskState.RECEIVED, "held"),
        (Delivered("1" * 32, "request"), AskState.REJECTED, "rejected"),
    ):
        someone.outgoing = [asked_for(CEM_OFFERS[1], state)]
        someone.emit(event)
        await settled(pilot)
        assert word in text_of(pane(app).person.offers)


@pytest.mark.anyio
async def test_id_and_fingerprint_are_copied_by_keys_and_by_mouse(opened) -> None:
    _, app, pilot = opened
    await go_to(pilot, "Cem Yıldız")
    await pilot.press("c")
    assert app.clipboard == "11"
    await pilot.press("w")
    assert app.clipboard == WORDS
    app.clear_notifications()
    await settled(pilot)
    await pilot.click("#person-copy-id")
    await settled(pilot)
    assert app.clipboard == "11"
    app.clear_notifications()
    await settled(pilot)
    await pilot.click("#person-copy-words")
    await settled(pilot)
    assert app.clipboard == WORDS
    assert any(said.startswith("Fingerprint copied") for said in toasts(app))


# --- Asking for views ------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_views_are_requested_by_keys(opened) -> None:
    someone, app, pilot = opened
    await go_to(pilot, "Cem Yıldız")
    await pilot.press("enter", "j", "r")
    await settled(pilot)
    assert isinstance(app.screen, RequestViewsDialog)
    about = text_of(app.screen.query_one("#request-about"))
    for part in ("Two cats on a red sofa", "JPEG, 4000 x 3000, 3.2 MB", "of Cem Yıldız #11", WORDS):
        assert part in about
    await pilot.press("up", "up", "tab", "tab", *"hello", "enter")
    await settled(pilot)
    assert someone.calls("request") == [((CEM_OFFERS[1].image, 5), {"note": "hello"})]
    assert isinstance(app.screen, HomeScreen)
    assert toasts(app) == ["Asked Cem Yıldız for 5 views of “Two cats on a red sofa”."]
    assert app.guide.number == 1


@pytest.mark.anyio
async def test_views_are_requested_by_mouse(opened) -> None:
    someone, app, pilot = opened
    row = 1 + names(app).index("Cem Yıldız")
    await pilot.click("#users-list", offset=(5, row))
    await settled(pilot)
    await pilot.click("#person-offers", offset=(5, 3))
    await settled(pilot)
    await pilot.click("#person-request")
    await settled(pilot)
    assert isinstance(app.screen, RequestViewsDialog)
    chips = app.screen.query_one(Chips)
    await pilot.click(chips, offset=(text_of(chips).index("10"), 0))
    await pilot.click("#accept")
    await settled(pilot)
    assert someone.calls("request") == [((CEM_OFFERS[2].image, 10), {"note": ""})]


@pytest.mark.anyio
async def test_a_double_click_on_a_picture_asks_for_it_and_escape_leaves_it(opened) -> None:
    someone, app, pilot = opened
    await go_to(pilot, "Cem Yıldız")
    await pilot.double_click("#person-offers", offset=(5, 2))
    await settled(pilot)
    assert isinstance(app.screen, RequestViewsDialog)
    await pilot.press("escape")
    await settled(pilot)
    assert isinstance(app.screen, HomeScreen)
    assert someone.calls("request") == []
    assert app.guide.number == 0


@pytest.mark.anyio
async def test_a_request_before_it_is_known_what_there_is_waits_for_that(opened) -> None:
    someone, app, pilot = opened
    someone.gates["images_of"] = anyio.Event()
    await pilot.press("j", "r")
    await pilot.pause()
    assert isinstance(app.screen, HomeScreen)
    someone.gates["images_of"].set()
    await settled(pilot)
    assert isinstance(app.screen, RequestViewsDialog)
    assert "Paris" in text_of(app.screen.query_one("#request-about"))


@pytest.mark.anyio
async def test_a_request_that_waited_is_forgotten_when_the_cursor_moves_on(opened) -> None:
    someone, app, pilot = opened
    someone.gates["images_of"] = anyio.Event()
    await pilot.press("j", "r", "j")
    someone.gates["images_of"].set()
    await settled(pilot)
    assert isinstance(app.screen, HomeScreen)


@pytest.mark.anyio
async def test_a_key_right_after_the_cursor_moved_is_about_whom_it_is_on(opened) -> None:
    """`j` and `r` in one burst asked the person from whom the cursor came: the panel had not been told yet."""
    someone, app, pilot = opened
    await go_to(pilot, "Émile")
    pane(app).people.action_cursor(1)
    pane(app).action_copy_id()
    pane(app).action_request()
    await settled(pilot)
    assert app.clipboard == "11"
    assert isinstance(app.screen, RequestViewsDialog)
    await pilot.press("enter")
    await settled(pilot)
    assert someone.calls("request")[0][0][0] == CEM_OFFERS[0].image


@pytest.mark.anyio
async def test_a_request_that_cannot_go_out_waits_in_the_outbox(opened) -> None:
    someone, app, pilot = opened
    await go_to(pilot, "Cem Yıldız")
    someone.reachable = False
    await pilot.press("r", "enter")
    await settled(pilot)
    assert len(someone.calls("request")) == 1
    assert toasts(app) == ["Asked Cem Yıldız for 3 views: the request waits in the outbox until the cloud answers."]


@pytest.mark.anyio
async def test_a_request_that_is_refused_says_why(opened) -> None:
    someone, app, pilot = opened
    someone.fail["request"] = Refused("not_found", "The image is not offered any more.")
    await go_to(pilot, "Cem Yıldız")
    await pilot.press("r", "enter")
    await settled(pilot)
    assert toasts(app) == ["The image is not offered any more."]
    assert app.guide.number == 0


@pytest.mark.anyio
@pytest.mark.parametrize("typed", ["", "0"])
async def test_no_number_of_views_is_complained_about(opened, typed) -> None:
    someone, app, pilot = opened
    await go_to(pilot, "Cem Yıldız")
    await pilot.press("r", "backspace", *typed, "enter")
    await settled(pilot)
    assert isinstance(app.screen, RequestViewsDialog)
    assert "between 1 and 9999" in text_of(app.screen.query_one(".complaint"))
    await pilot.press("end", *["backspace"] * 3, "7", "enter")
    await settled(pilot)
    assert someone.calls("request")[0][0] == (CEM_OFFERS[0].image, 7)


@pytest.mark.anyio
async def test_a_pasted_note_is_cleaned_and_kept_within_its_length(opened) -> None:
    someone, app, pilot = opened
    await go_to(pilot, "Cem Yıldız")
    await pilot.press("r")
    app.screen.query_one("#request-note", Input).value = "  a\x1b[31m\u202eb" + "x" * 400
    await pilot.click("#accept")
    await settled(pilot)
    note = someone.calls("request")[0][1]["note"]
    assert note.startswith("a\ufffd[31m\ufffdb")
    assert len(note) == MAX_NOTE_CHARS


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("state", "said"),
    [
        (AskState.PENDING, "the owner has not answered"),
        (AskState.QUEUED, "waits in the outbox"),
        (AskState.RECEIVED, "asks for more views"),
        (AskState.WITHDRAWN, None),
    ],
)
async def test_asking_again_says_how_the_first_request_stands(opened, state, said) -> None:
    someone, app, pilot = opened
    someone.outgoing = [asked_for(CEM_OFFERS[0], state)]
    await go_to(pilot, "Cem Yıldız")
    await pilot.press("r")
    await settled(pilot)
    standing = app.screen.query("#request-standing")
    assert not standing if said is None else said in text_of(standing.first(Static))


@pytest.mark.anyio
@pytest.mark.parametrize("width", [80, 90, 100, 105, 106, 120])
async def test_buttons_show_their_whole_text_at_every_width(make_client, width: int) -> None:
    app = make_client(peer())
    async with running(app, size=(width, 40)) as pilot:
        await settled(pilot)
        edge = pane(app).person.region.right
        assert all(button.region.right <= edge for button in pane(app).person.query(Button) if button.display)


@pytest.mark.anyio
@pytest.mark.parametrize("fails", [None, Refused("not_allowed", "Not now.")])
async def test_a_request_that_takes_a_while_is_seen_to_be_under_way(make_client, fails) -> None:
    """Without the cloud it takes seconds until a request is known to wait; nothing told of it meanwhile."""
    someone = peer()
    someone.gates["request"] = anyio.Event()
    if fails is not None:
        someone.fail["request"] = fails
    app = make_client(someone)
    async with running(app, size=(120, 40)) as pilot:
        await settled(pilot)
        await _to_cem(pilot)
        await pressed(pilot, "r")
        assert isinstance(app.screen, RequestViewsDialog)
        await pilot.press("enter")
        assert len(someone.calls("request")) == 1
        assert "asking…" in offers_shown(app)
        someone.gates["request"].set()
        await settled(pilot)
        assert "asking…" not in offers_shown(app)


@pytest.mark.anyio
async def test_what_is_typed_while_a_dialog_comes_is_typed_into_it(make_client) -> None:
    """A note typed right after the key that opens the dialog was lost, or sorted the list behind it."""
    app = make_client(peer())
    async with running(app, size=(120, 40)) as pilot:
        await settled(pilot)
        await _to_cem(pilot)
        sort = pane(app).people.sort
        app.post_message(events.Key("r", "r"))
        while not isinstance(app.screen, RequestViewsDialog):
            await anyio.lowlevel.checkpoint()
        assert not app.screen.ready
        for key in ("5", "tab", "tab", *"s please"):
            app.post_message(events.Key("space" if key == " " else key, key if len(key) == 1 else None))
        await settled(pilot)
        assert pane(app).people.sort == sort
        assert app.screen.query_one("#request-note", Input).value == "s please"
        app.screen.action_cancel()
        await settled(pilot)


# --- Hostile text ----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_hostile_text_is_harmless_in_list_and_details(make_client, size, monkeypatch) -> None:
    people = [
        User(20 + number, text, text, online=True, images=1, last_seen=NOW) for number, text in enumerate(HOSTILE)
    ]
    offers = {row.account: [offer(row.account, 0, row.name)] for row in people}
    someone = FakePeer(people=[*people, user(11, "Cem")], offers=offers)
    app = make_client(someone)
    async with running(app, size=size, notifications=True) as pilot:
        await settled(pilot)
        widths = {widget.id: widget.region.width for widget in pane(app).query("*") if widget.id}
        for row in people:
            pane(app).people.select_key(str(row.account))
            await settled(pilot)
            _assert_harmless(app)
            assert {widget.id: widget.region.width for widget in pane(app).query("*") if widget.id} == widths


@pytest.mark.anyio
@pytest.mark.parametrize("text", [HOSTILE[0], HOSTILE[4], HOSTILE[5]], ids=["escapes", "emoji", "long"])
async def test_hostile_text_is_harmless_where_views_are_asked_for(make_client, text) -> None:
    hostile = User(20, text, text, online=True, images=1, last_seen=NOW)
    someone = FakePeer(people=[hostile], offers={20: [offer(20, 0, text)]})
    app = make_client(someone)
    async with running(app, size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("r")
        await settled(pilot)
        assert isinstance(app.screen, RequestViewsDialog)
        _assert_harmless(app)
        assert app.screen.query_one("#accept", Button).region.bottom <= 24
        await pilot.press("enter")
        await settled(pilot)
        assert len(someone.calls("request")) == 1
        _assert_harmless(app)


def _assert_harmless(app) -> None:
    """Every line of the screen has the screen's width, no control character, and nothing that a click would run."""
    for strip in strips_of(app.screen):
        assert strip.cell_length == app.size.width
        assert strip.text.isprintable()
        for segment in strip:
            assert "quit" not in str(segment.style.meta if segment.style else "")


# --- Pictures --------------------------------------------------------------------------------------------------------


async def _to_cem(pilot) -> None:
    await go_to(pilot, "Cem Yıldız")


def test_people_and_what_one_of_them_offers(make_client, snap, look) -> None:
    someone = peer(outgoing=[asked_for(CEM_OFFERS[2], AskState.PENDING)])
    snap(make_client(someone), look, before=_to_cem, light=True)


def test_a_large_terminal(make_client, snap) -> None:
    snap(make_client(peer()), (200, 60), before=_to_cem)


def test_the_dialog_that_asks_for_views(make_client, snap, look) -> None:
    someone = peer(outgoing=[asked_for(CEM_OFFERS[0], AskState.RECEIVED)])

    async def ask(pilot) -> None:
        await _to_cem(pilot)
        await pilot.press("r")

    snap(make_client(someone), look, before=ask)


def test_a_wrong_number_of_views(make_client, snap) -> None:

    async def ask(pilot) -> None:
        await _to_cem(pilot)
        await pilot.press("r", "backspace", "enter")

    snap(make_client(peer()), (80, 24), before=ask)


def test_a_filter_that_finds_some(make_client, snap, look) -> None:
    snap(make_client(peer()), look, press=("slash", "l", "i", "n"))


def test_a_filter_that_finds_nobody(make_client, snap) -> None:
    snap(make_client(peer()), (80, 24), press=("slash", "q", "q"))


def test_somebody_who_shows_another_key(make_client, snap) -> None:
    someone = peer()

    async def change(pilot) -> None:
        someone.emit(KeyChanged(11, "Cem Yıldız"))
        await _to_cem(pilot)
        pilot.app.clear_notifications()

    snap(make_client(someone), (80, 24), before=change)


def test_people_before_the_cloud_has_answered(make_client, snap) -> None:
    someone = peer()
    app = make_client(someone)

    async def ask(_pilot) -> None:
        someone.people = []

    someone.gates["users"] = anyio.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.tui.conftest.settled", lambda pilot: pilot.pause())
        snap(app, (80, 24), before=ask, waits=False)


def test_people_without_the_cloud(make_client, snap) -> None:
    snap(make_client(peer(reachable=False)), (80, 24))


def test_people_on_a_cloud_that_fell_silent(make_client, snap) -> None:
    someone = peer(fail={"users": Unavailable("The cloud did not answer in time.")})
    snap(make_client(someone), (80, 24))


def test_hostile_people(make_client, snap) -> None:
    people = [User(20 + number, text, text, False, 1, NOW) for number, text in enumerate(HOSTILE)]
    offers = {20 + number: [offer(20 + number, k, HOSTILE[k]) for k in range(3)] for number in range(len(HOSTILE))}
    snap(make_client(FakePeer(people=people, offers=offers)), (80, 24))
