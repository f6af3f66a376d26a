"""Tabs of both programs are empty until they are first opened, and nobody notices."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from textual.events import Key
from textual.widgets import TabbedContent, Tabs

from shared.errors import Unavailable
from tests.tui.fake_peer import FakePeer
from tests.tui.held_images import held, holding
from tests.tui.monitor_fixtures import make_monitor, on_home, repainted, words
from tests.tui.my_images_tab import ada
from tests.tui.quiet import running, settled
from tests.tui.test_requests import ask, people_asking
from tui.client.dialogs.answer import AcceptDialog
from tui.client.dialogs.confirm import ConfirmDialog
from tui.client.dialogs.encrypt import EncryptDialog
from tui.client.panes.images_shown import ImagesShown
from tui.client.panes.peer_images import PeerImagesPane
from tui.client.panes.request_details import ViewRequestDetails
from tui.client.panes.request_lists import RequestLists
from tui.client.panes.requests import ViewRequestsPane
from tui.client.screens.home import PANES, HomeScreen
from tui.client.widgets.gallery import Gallery
from tui.client.widgets.path_field import PathField
from tui.client.widgets.picture import Picture
from tui.common.rowlist import RowList
from tui.common.tab_contents import TabContents
from tui.common.themes import LIGHT
from tui.monitor.dialogs.details import ElectionDetails
from tui.monitor.panels.event_list import EventList
from tui.monitor.panels.traffic import TrafficList
from tui.monitor.panes.election import ElectionPane
from tui.monitor.panes.requests import RequestsPane
from tui.monitor.screens.home import TABS
from tui.peer.events import CloudChanged, CopyProgress, ImageReceived, RequestArrived
from tui.peer.models import AskState

PANE_NAMES = [pane.TAB for pane in PANES]
SIZES = [(80, 24), (120, 40)]


def press_at_once(app: Any, *keys: str) -> None:
    """Press keys as one burst of the terminal: all of them are there before the first has had its effect."""
    for key in keys:
        app.post_message(Key({"/": "slash"}.get(key, key), key if len(key) == 1 else None))


def label(app: Any, tab: str) -> str:
    home = next(screen for screen in app.screen_stack if isinstance(screen, HomeScreen))
    return str(home.query_one("#tabs", TabbedContent).get_tab(tab).label)


def contents(app: Any) -> dict[str, int]:
    """Return how many widgets are in each tab of the home."""
    return {pane.id: len(pane.query("*")) for pane in app.screen.query(TabContents)}


# --- What is there at first ------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_only_the_first_tab_of_the_client_has_widgets_until_another_is_opened(make_client) -> None:
    app = make_client(people_asking())
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        assert [bool(count) for count in contents(app).values()] == [True, False, False, False]
        for number, key in enumerate("234", start=2):
            await pilot.press(key)
            await settled(pilot)
            assert [bool(count) for count in contents(app).values()] == [True] * number + [False] * (4 - number)
        before = contents(app)
        for key in "1234":
            await pilot.press(key)
            await settled(pilot)
        assert contents(app) == before, "they are made once"


@pytest.mark.anyio
async def test_only_the_first_tab_of_the_monitor_has_widgets_until_another_is_opened() -> None:
    app = make_monitor()
    async with running(app, size=(80, 24)) as pilot:
        await repainted(pilot, 2.0)
        assert [bool(count) for count in contents(app).values()] == [True, False, False, False]
        for number, key in enumerate("234", start=2):
            await pilot.press(key)
            await repainted(pilot)
            assert [bool(count) for count in contents(app).values()] == [True] * number + [False] * (4 - number)


# --- Ways into a tab -------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_first_click_on_a_tab_opens_it_with_the_focus_in_it(make_client) -> None:
    app = make_client(people_asking())
    async with running(app, size=(120, 40)) as pilot:
        await settled(pilot)
        for name in PANE_NAMES[1:]:
            await pilot.click(app.screen.query_one("#tabs", TabbedContent).get_tab(name))
            await settled(pilot)
            pane = app.screen.query_one(f"#{name}-pane", TabContents)
            assert pane.opened
            assert pane in app.focused.ancestors_with_self


@pytest.mark.anyio
async def test_the_arrow_keys_in_the_row_of_tabs_open_a_tab_and_leave_the_focus_there(make_client) -> None:
    app = make_client(people_asking())
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        while not isinstance(app.focused, Tabs):
            await pilot.press("shift+tab")
        await pilot.press("right")
        await settled(pilot)
        assert app.screen.query_one("#tabs", TabbedContent).active == "requests"
        assert app.screen.query_one("#requests-incoming", RowList).rows
        assert isinstance(app.focused, Tabs)


@pytest.mark.anyio
@pytest.mark.parametrize("size", SIZES)
async def test_a_tab_of_the_monitor_that_is_clicked_first_shows_all_of_it(size) -> None:
    """Its parts have the size that the pane has already, and are told of no other."""
    shown = []
    for by_mouse in (False, True):
        app = make_monitor()
        async with running(app, size=size) as pilot:
            await repainted(pilot)
            if by_mouse:
                await pilot.click(app.screen.query_one("#tabs", TabbedContent).get_tab("requests"))
            else:
                await pilot.press("3")
            await repainted(pilot)
            shown.append((words(on_home(app, RequestsPane)), on_home(app, TrafficList).size))
    assert shown[0] == shown[1]


# --- Keys in one burst -----------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_key_in_one_burst_with_that_of_a_tab_accepts_what_is_asked_for_there(make_client) -> None:
    app = make_client(people_asking())
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        press_at_once(app, "2", "a")
        await settled(pilot)
        assert isinstance(app.screen, AcceptDialog)
        assert label(app, "requests") == "Requests (2)"


@pytest.mark.anyio
async def test_a_file_is_named_in_one_burst_with_the_keys_that_lead_to_its_dialog(make_client) -> None:
    app = make_client(FakePeer())
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        press_at_once(app, "4", "n")
        while not isinstance(app.screen, EncryptDialog):
            await anyio.lowlevel.checkpoint()
        press_at_once(app, *"/tmp/a")
        await settled(pilot)
        assert app.screen.query_one("#picture-path", PathField).value == "/tmp/a"


@pytest.mark.anyio
async def test_rights_are_revoked_in_one_burst_with_the_key_of_the_tab(make_client) -> None:
    """The viewers were known before the tab was opened."""
    app = make_client(ada())
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        press_at_once(app, "4", "x")
        await settled(pilot)
        assert isinstance(app.screen, ConfirmDialog)


@pytest.mark.anyio
async def test_of_keys_for_two_tabs_in_one_burst_the_last_one_stays(make_client) -> None:
    app = make_client(people_asking())
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        press_at_once(app, "2", "3", "4", "2")
        await settled(pilot)
        assert app.screen.query_one("#tabs", TabbedContent).active == "requests"
        assert app.focused is app.screen.query_one("#requests-incoming")


@pytest.mark.anyio
async def test_keys_in_one_burst_are_about_the_tab_of_the_monitor_that_is_opened() -> None:
    app = make_monitor("one_down")
    async with running(app, size=(120, 40)) as pilot:
        await repainted(pilot)
        press_at_once(app, "2", "l")
        await repainted(pilot)
        assert on_home(app, ElectionPane).chosen_place == 1
        press_at_once(app, "4", "n")
        await repainted(pilot)
        rows = on_home(app, EventList).rows
        assert rows
        assert {event.place for event in rows} == {0}


@pytest.mark.anyio
async def test_enter_in_one_burst_with_the_key_of_a_tab_opens_what_is_chosen_there() -> None:
    app = make_monitor("one_down")
    async with running(app, size=(80, 24)) as pilot:
        await repainted(pilot)
        press_at_once(app, "2", "enter")
        await repainted(pilot)
        assert isinstance(app.screen, ElectionDetails)


@pytest.mark.anyio
async def test_of_tabs_of_the_monitor_in_one_burst_the_last_one_is_painted() -> None:
    app = make_monitor()
    async with running(app, size=(80, 24)) as pilot:
        await repainted(pilot)
        press_at_once(app, *"23423")
        await repainted(pilot)
        assert app.screen.query_one("#tabs", TabbedContent).active == TABS[2][0]
        assert app.screen.pane is on_home(app, RequestsPane)
        assert on_home(app, TrafficList).rows


# --- What happens before a tab is opened -----------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_tab_that_nobody_has_opened_tells_how_much_waits_in_it(make_client) -> None:
    peer = FakePeer(incoming=[ask(1)], signed_in=False)
    app = make_client(peer)
    async with running(app, size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        assert label(app, "requests") == "Requests (1)"
        assert label(app, "peer-images") == "Peer images"
        peer.incoming.append(ask(2, image="b" * 32))
        peer.emit(RequestArrived(f"{2:032x}", "b" * 32, "Ben", 3))
        peer.held.append(held(1))
        peer.emit(ImageReceived(held(1).image, held(1).grant))
        await settled(pilot)
        assert label(app, "requests") == "Requests (2)"
        assert label(app, "peer-images") == "Peer images (1)"
        assert list(contents(app).values())[1:] == [0, 0, 0]
        await pilot.press("3")
        await settled(pilot)
        assert [face.badge for face in app.screen.query_one(Gallery).faces] == ["new"]
        await pilot.press("2")
        await settled(pilot)
        assert len(app.screen.query_one("#requests-incoming", RowList).rows) == 2


@pytest.mark.anyio
async def test_what_is_on_its_way_before_its_tab_is_opened_shows_there(make_client) -> None:
    peer = holding(held(1, path=None))
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        peer.emit(CopyProgress(held(1).grant, sending=False, done=40, total=100))
        await settled(pilot)
        await pilot.press("3")
        await settled(pilot)
        assert [face.share for face in app.screen.query_one(PeerImagesPane).gallery.faces] == [0.4]


@pytest.mark.anyio
async def test_a_tab_that_is_opened_without_the_cloud_shows_what_the_cloud_told_before(make_client) -> None:
    peer = ada()
    peer.outgoing = [ask(12, image="d" * 32, title="Old harbour")]
    peer.previews["d" * 32] = next(iter(peer.previews.values()))
    app = make_client(peer)
    async with running(app, size=(120, 40)) as pilot:
        await settled(pilot)
        peer.reachable = False
        peer.fail = {name: Unavailable("No node of the cloud answers.") for name in ("viewers", "preview")}
        peer.emit(CloudChanged(False, None, 3))
        await settled(pilot)
        await pilot.press("4")
        await settled(pilot)
        images = app.screen.query_one(ImagesShown)
        assert [row.name for row in images.viewers.rows] == ["Ben", "Cem", "Dora", "Emil"]
        assert images.images.rows[0].viewers == 4, "as the cloud counted them"
        assert images.query_one(Picture).image is not None
        await pilot.press("2")
        await settled(pilot)
        assert app.screen.query_one("#requests-incomplete").display
        assert app.screen.query_one(ViewRequestDetails).query_one(Picture).image is not None
        assert app.screen.query_one(RequestLists).current.request.state is AskState.PENDING


@pytest.mark.anyio
async def test_a_tab_is_opened_in_the_colours_and_the_size_of_then(make_client) -> None:
    pictures = []
    for early in (False, True):
        app = make_client(people_asking())
        async with running(app, size=(80, 24)) as pilot:
            await settled(pilot)
            for key in "21" if early else "":
                await pilot.press(key)
                await settled(pilot)
            app.theme = LIGHT.name
            await pilot.resize_terminal(120, 40)
            await settled(pilot)
            await pilot.press("2")
            await settled(pilot)
            assert app.screen.query_one(ViewRequestsPane).has_class("-wide")
            pictures.append(app.export_screenshot(simplify=True))
    assert pictures[0] == pictures[1]


@pytest.mark.anyio
async def test_a_tab_of_the_monitor_is_opened_in_the_colours_and_the_size_of_then() -> None:
    pictures = []
    for early in (False, True):
        app = make_monitor("one_down")
        async with running(app, size=(80, 24)) as pilot:
            await repainted(pilot)
            for key in "21" if early else "":
                await pilot.press(key)
                await repainted(pilot)
            app.theme = LIGHT.name
            await pilot.resize_terminal(120, 40)
            await repainted(pilot)
            await pilot.press("2")
            await repainted(pilot)
            pictures.append(app.export_screenshot(simplify=True))
    assert pictures[0] == pictures[1]


@pytest.mark.anyio
async def test_a_tab_that_is_being_opened_while_the_program_ends_is_no_fault(make_client) -> None:
    app = make_client(people_asking())
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        pane = app.screen.query_one(ViewRequestsPane)
        app.exit()
        assert not await pane.open()
