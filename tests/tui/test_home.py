"""The frame around the four tabs: header, banner, tabs, toasts, keys, and leaving."""

from __future__ import annotations

from io import StringIO

import anyio
import pytest
from rich.console import Console
from textual.widgets import Button, TabbedContent

from shared.errors import Refused, Unavailable
from shared.net.path_probe import narrow_path
from tests.patience import PATIENCE_S
from tests.tui.conftest import NOW
from tests.tui.fake_peer import FakePeer
from tests.tui.quiet import notifications, running, settled
from tui.client.dialogs.confirm import ConfirmDialog
from tui.client.dialogs.outbox import OutboxDialog
from tui.client.guide import Guide
from tui.client.messages import Happened
from tui.client.panes.users import BESIDE_FROM_CELLS, UsersPane
from tui.client.screens.home import PANES, HomeScreen
from tui.client.settings import ClientSettings
from tui.client.widgets.guide import GuideStrip
from tui.client.widgets.status_lines import NoticeStrip, OfflineBanner, StatusHeader
from tui.common.rowlist import RowList
from tui.peer.events import CloudChanged, Delivered, DirectoryRestored, ImageReceived, RequestArrived, RowSetAside
from tui.peer.models import OutboxEntry, Trouble

TABS = [pane.TAB for pane in PANES]

WAITING = [
    OutboxEntry("1" * 32, "request", NOW - 300, 3, "The cloud did not answer in time; try again when it is back."),
    OutboxEntry("2" * 32, "grant", NOW - 20, 0, ""),
]


def words(widget: object) -> str:
    """Return what a widget shows, as text."""
    strips = widget.render_lines(widget.region.reset_offset)
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


@pytest.mark.anyio
async def test_the_header_tells_who_one_is_and_who_leads(make_client) -> None:
    app = make_client()
    async with running(app, size=(120, 24)) as pilot:
        await settled(pilot)
        shown = words(app.screen.query_one(StatusHeader))
        for part in ("Ada", "#7", "amber-basil-cedar-delta", "n1 leads", "term 3", "4.2 ms"):
            assert part in shown


@pytest.mark.anyio
async def test_keys_and_clicks_lead_to_the_tabs(make_client) -> None:
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        tabs = app.screen.query_one("#tabs", TabbedContent)
        for key, name in zip("2341", (*TABS[1:], TABS[0]), strict=True):
            await pilot.press(key)
            assert tabs.active == name
        for name in TABS:
            await pilot.click(tabs.get_tab(name))
            await settled(pilot)
            assert tabs.active == name
            assert app.focused is None or app.screen.query_one(f"#{name}-pane") in app.focused.ancestors_with_self


@pytest.mark.anyio
async def test_without_the_cloud_the_banner_says_what_waits_and_goes_when_it_is_back(make_client) -> None:
    peer = FakePeer(waiting=list(WAITING))
    app = make_client(peer)
    async with running(app, size=(100, 24)) as pilot:
        await settled(pilot)
        banner = app.screen.query_one(OfflineBanner)
        assert not banner.display
        peer.reachable = False
        peer.emit(CloudChanged(False, None, 3))
        await settled(pilot)
        assert banner.display
        assert "2 items waiting in the outbox" in words(banner)
        assert "no cloud" in words(app.screen.query_one(StatusHeader))
        peer.reachable, peer.waiting = True, []
        peer.emit(CloudChanged(True, "n2", 4))
        await settled(pilot)
        assert not banner.display


@pytest.mark.anyio
async def test_an_account_that_could_not_sign_in_goes_on_trying(make_client, monkeypatch) -> None:
    """Opening the client while the cloud is away shows what is on this machine, and signs in when it can."""
    monkeypatch.setattr("tui.client.screens.home._SIGN_IN_AGAIN_S", 0.001)
    peer = FakePeer(signed_in=False, reachable=False, fail={"sign_in": Unavailable("No node of the cloud answers.")})
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        with anyio.fail_after(PATIENCE_S):
            while len(peer.calls("sign_in")) < 3:
                await pilot.pause()
        assert isinstance(app.screen, HomeScreen)
        del peer.fail["sign_in"]
        peer.reachable = True
        await settled(pilot)
        assert peer.signed_in
        assert peer.calls("users")


@pytest.mark.anyio
async def test_a_full_disk_is_said_for_as_long_as_it_is_full(make_client) -> None:
    peer = FakePeer(trouble="The disk that holds the store is full; free some space and try again.")
    app = make_client(peer)
    async with running(app, size=(100, 24)) as pilot:
        await settled(pilot)
        banner = app.screen.query_one(OfflineBanner)
        assert banner.display
        assert "free some space" in words(banner)
        peer.trouble = ""
        peer.emit(Delivered("1" * 32, "request"))
        await settled(pilot)
        assert not banner.display


@pytest.mark.anyio
async def test_why_nothing_can_be_stored_is_said_to_its_end(make_client) -> None:
    """In 80 columns the sentence ended with "until"."""
    said = "The disk of the profile ada is full; free some space and open it again; until then nothing can be stored."
    app = make_client(FakePeer(trouble=said))
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        banner = app.screen.query_one(OfflineBanner)
        assert banner.size.height == 2
        lines = "".join(strip.text for strip in banner.render_lines(banner.size.region))
        assert " ".join(lines.split()).endswith("until then nothing can be stored.")


@pytest.mark.anyio
async def test_what_could_not_be_read_is_said_once_the_profile_is_open_and_later(make_client) -> None:
    peer = FakePeer(aside=[Trouble("a person", "name is not what it must be", NOW)] * 2)
    app = make_client(peer)
    async with running(app, size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        (toast,) = notifications(app)
        assert toast.message.startswith(
            "2 things in this profile could not be read and were set aside, such as a person"
        )
        peer.emit(RowSetAside("a request", "row is not what it must be"))
        await settled(pilot)
        assert any("a request (row" in toast.message for toast in notifications(app))


@pytest.mark.anyio
async def test_keys_that_the_cloud_does_not_know_are_said_once(make_client) -> None:
    peer = FakePeer(signed_in=False, fail={"sign_in": Refused("unknown_key", "These keys are not registered here.")})
    app = make_client(peer)
    async with running(app, size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        assert len(peer.calls("sign_in")) == 1
        assert [toast.message for toast in notifications(app)] == ["These keys are not registered here."]


@pytest.mark.anyio
async def test_what_arrives_is_toasted_and_every_tab_hears_of_it(make_client, monkeypatch) -> None:
    peer = FakePeer()
    app = make_client(peer)
    rung: list[bool] = []
    monkeypatch.setattr(app, "bell", lambda: rung.append(True))
    async with running(app, size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        heard: list[object] = []
        for pane in app.screen.panes:
            monkeypatch.setattr(pane, "heard", heard.append)
        event = RequestArrived("1" * 32, "2" * 32, "[red]Ben[/red]", 3)
        peer.emit(event)
        await settled(pilot)
        said = [toast.message for toast in notifications(app)]
        assert said == ["[red]Ben[/red] (so the cloud says) asks for 3 views"]
        assert rung == [True]
        assert heard == [event] * 4
        peer.emit(Delivered("1" * 32, "request"))
        await settled(pilot)
        assert rung == [True]


@pytest.mark.anyio
async def test_leaving_signs_out_and_says_nothing_where_nothing_waits(make_client) -> None:
    peer = FakePeer()
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+q")
        await pilot.pause()
    assert peer.calls("sign_out") == [((), {})]
    assert app.return_value == ""


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("waiting", "said"),
    [
        (WAITING, "2 items wait in the outbox; they go out the next time you sign in."),
        (WAITING[:1], "1 item waits in the outbox; it goes out the next time you sign in."),
    ],
)
async def test_leaving_with_something_in_the_outbox_asks_and_can_be_called_off(make_client, waiting, said) -> None:
    peer = FakePeer(waiting=list(waiting))
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+q")
        await pilot.pause()
        assert isinstance(app.screen, ConfirmDialog)
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)
        assert peer.calls("sign_out") == []
        await pilot.press("ctrl+q")
        await pilot.pause()
        await pilot.click("#accept")
        await pilot.pause()
    assert peer.calls("sign_out") == [((), {})]
    assert app.return_value == said


@pytest.mark.anyio
async def test_the_outbox_shows_what_waits_and_takes_requests_back(make_client) -> None:
    peer = FakePeer(waiting=list(WAITING))
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("o")
        await settled(pilot)
        assert isinstance(app.screen, OutboxDialog)
        assert [row.what for row in app.screen.query_one(RowList).rows] == ["request", "grant"]
        await pilot.press("w")
        await settled(pilot)
        assert peer.calls("cancel") == [(("1" * 32,), {})]
        await pilot.press("j", "w")
        await settled(pilot)
        assert len(peer.calls("cancel")) == 1
        assert "Only a request can be taken back" in words(app.screen.query_one(".complaint"))
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)


@pytest.mark.anyio
async def test_a_fault_in_a_screen_shows_no_values(make_client) -> None:
    """The library prints all local variables of every frame: keys, passphrases and pictures in somebody's terminal."""
    app = make_client()
    secret = "the passphrase that was typed"
    app.error_console = Console(file=StringIO())

    def fail(passphrase: str) -> None:
        raise ZeroDivisionError(passphrase)

    async def run() -> None:
        async with running(app, size=(80, 24)) as pilot:
            await settled(pilot)
            app.screen.call_later(fail, secret)
            await settled(pilot)

    with pytest.raises(ZeroDivisionError):
        await run()
    said = app.error_console.file.getvalue()
    assert said.startswith("Glimpse failed (ZeroDivisionError); start it again.")
    assert secret not in said


@pytest.mark.anyio
async def test_every_action_of_the_screen_is_in_the_palette(make_client) -> None:
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        commands = [(command.title, command.help) for command in app.get_system_commands(app.screen)]
        assert len(commands) == len(set(commands)), "an action on two keys is offered once"
        titles = {title for title, _ in commands}
        shown = {found.binding.description for found in app.screen.active_bindings.values() if found.binding.id}
        assert shown - {"Quit"} <= titles
        assert {"Users", "Requests", "Peer images", "My images", "Outbox", "Reload", "Account"} <= titles


@pytest.mark.anyio
async def test_keys_can_be_set_in_the_settings(make_client) -> None:
    app = make_client(settings=ClientSettings(keys={"tab.requests": "f2"}))
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        tabs = app.screen.query_one("#tabs", TabbedContent)
        await pilot.press("2")
        assert tabs.active == "users"
        await pilot.press("f2")
        assert tabs.active == "requests"


@pytest.mark.anyio
async def test_keys_for_what_is_no_action_are_told(make_client) -> None:
    app = make_client(settings=ClientSettings(keys={"users.reqest": "f2", "tab.users": "f3"}))
    async with running(app, size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        said = [toast.message for toast in notifications(app)]
    assert said == ["client.toml sets keys for users.reqest, which is no action; see glimpse client --list-keys."]


@pytest.mark.anyio
@pytest.mark.parametrize("width", [80, 100, 120])
async def test_the_offline_banner_is_never_cut(make_client, monkeypatch, width: int) -> None:
    """At 80 and 100 cells its last words were cut off in the middle."""
    monkeypatch.setattr("tui.client.screens.home._LOOK_S", 3600.0)  # the cloud is there: a look would hide the banner
    app = make_client()
    async with running(app, size=(width, 24)) as pilot:
        await settled(pilot)
        banner = app.screen.query_one(OfflineBanner)
        banner.away, banner.waiting = True, 12
        await settled(pilot)
        said = words(banner).strip()
        assert "12 items waiting in the outbox (o). Trying again" in said
        assert said.endswith(".")


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_path_that_is_too_narrow_is_told_in_the_banner_to_its_end(make_client, size) -> None:
    said = narrow_path(("198.51.100.23", 47600))
    app = make_client(FakePeer(reachable=False, cloud_trouble=said))
    async with running(app, size=size) as pilot:
        await settled(pilot)
        assert " ".join(words(app.screen.query_one(OfflineBanner)).split()) == said


@pytest.mark.anyio
async def test_toasts_leave_the_buttons_of_dialogs_free(make_client) -> None:
    """At 80x24 a toast lay over the buttons of a dialog, and over the guided path, for as long as it stayed."""
    app = make_client(guide=Guide())
    async with running(app, size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("i")
        for _ in range(2):
            app.tell("Bob asks for 3 views", title="A request")
        await settled(pilot)
        buttons = [button.region for button in app.screen.query("Dialog Button, .buttons Button")]
        assert buttons
        for toast in app.screen.query("Toast"):
            assert toast.region
            assert not any(toast.region.overlaps(button) for button in buttons)


@pytest.mark.anyio
async def test_settings_that_cannot_be_heeded_are_told(make_client) -> None:
    """A theme that there is not was passed over in silence, and so was a key that no terminal sends."""
    app = make_client(settings=ClientSettings(theme="mist", keys={"users.request": "f2,enterr"}))
    async with running(app, size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        said = [toast.message for toast in notifications(app)]
    assert said == [
        "client.toml names the theme 'mist', which there is not; Ctrl+P shows all under Theme.",
        "client.toml sets 'enterr', which is no key; write it as f2, r or ctrl+x.",
    ]


@pytest.mark.anyio
async def test_the_keys_panel_comes_and_goes(make_client) -> None:
    app = make_client()
    async with running(app, size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("question_mark")
        await settled(pilot)
        assert app.screen.query("HelpPanel")
        users = app.screen.query_one(UsersPane)
        assert users.size.width < BESIDE_FROM_CELLS
        assert users.has_class("-narrow"), "a tab hears that it has less room"
        await pilot.press("question_mark")
        await settled(pilot)
        assert not app.screen.query("HelpPanel")
        assert users.size.width == 120
        assert not users.has_class("-narrow")


@pytest.mark.anyio
async def test_the_guided_path_follows_what_is_done_and_can_be_left(make_client) -> None:
    guide, peer = Guide(), FakePeer()
    app = make_client(peer, guide=guide)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        strip = app.screen.query_one(GuideStrip)
        assert "1/4" in words(strip.query_one("Static"))
        app.screen.panes[0].post_message(Happened("requested"))
        await settled(pilot)
        assert "2/4" in words(strip.query_one("Static"))
        peer.emit(ImageReceived("1" * 32, "2" * 32))
        await settled(pilot)
        assert "3/4" in words(strip.query_one("Static"))
        await pilot.click(strip.query_one(Button))
        await settled(pilot)
        assert not strip.display
        assert guide.left


def test_home_with_nobody_there(make_client, snap, look) -> None:
    snap(make_client(), look)


def test_home_without_the_cloud(make_client, snap) -> None:
    peer = FakePeer(reachable=False, waiting=list(WAITING))
    app = make_client(peer)

    async def later(_pilot) -> None:
        app.screen._look()

    snap(app, (80, 24), before=later)


def test_home_after_a_restore_of_the_cloud(make_client, snap) -> None:
    snap(make_client(FakePeer(notice=RESTORED)), (80, 24))


def test_the_outbox(make_client, snap, look) -> None:
    snap(make_client(FakePeer(reachable=False, waiting=list(WAITING))), look, press=("o",))


def test_the_question_before_leaving_with_something_waiting(make_client, snap) -> None:
    app = make_client(FakePeer(waiting=list(WAITING)))

    async def leave(pilot) -> None:
        await pilot.press("ctrl+q")
        while not isinstance(app.screen, ConfirmDialog):
            await pilot.pause()

    snap(app, (80, 24), before=leave, waits=False)


def test_the_keys_panel(make_client, snap, look) -> None:
    snap(make_client(), look, press=("question_mark",))


def test_the_guided_path(make_client, snap, look) -> None:
    snap(make_client(guide=Guide()), look)


RESTORED = (
    "The cloud was restored from a backup: 3 grants were confirmed, 1 revocation sent again, 5 views counted again."
)


@pytest.mark.parametrize("by_mouse", [False, True])
@pytest.mark.anyio
async def test_what_a_restore_brought_back_stays_in_sight_until_it_is_read(make_client, by_mouse: bool) -> None:
    """A toast alone is gone before whoever was away comes back."""
    peer = FakePeer(notice="")
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        strip = app.screen.query_one(NoticeStrip)
        assert not strip.display
        peer.emit(DirectoryRestored(RESTORED))
        await settled(pilot)
        assert strip.display
        assert "1 revocation sent again" in " ".join(words(strip).split())
        assert not notifications(app), "the same sentence lay over the tabs and the lists"
        await (pilot.click(strip) if by_mouse else pilot.press("4", "y"))
        await settled(pilot)
        assert not strip.display
        assert len(peer.calls("read_restored_notice")) == 1


@pytest.mark.anyio
async def test_what_a_restore_brought_back_is_told_over_what_covers_the_home(make_client) -> None:
    peer = FakePeer(notice="")
    app = make_client(peer)
    async with running(app, size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("i")
        await settled(pilot)
        peer.emit(DirectoryRestored(RESTORED))
        await settled(pilot)
        assert [toast.message for toast in notifications(app)] == [RESTORED]


@pytest.mark.anyio
async def test_a_notice_of_an_earlier_session_is_shown_as_it_is(make_client) -> None:
    peer = FakePeer(notice="[b]Restored[/b] \x1b[31m")
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        assert "[b]Restored[/b]" in words(app.screen.query_one(NoticeStrip))
