"""The monitor's one screen: the cluster's sentence above four tabs. One timer paints what is seen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.binding import Binding, BindingType
from textual.widgets import TabbedContent

from tui.common.compositor import FaithfulCompositor
from tui.common.footer import Footer
from tui.common.settings import complaints
from tui.common.tab_contents import StillTabPane
from tui.common.wording import plain
from tui.common.working import work
from tui.monitor.panels.cluster_header import ClusterHeader
from tui.monitor.panels.replay_bar import ReplayBar
from tui.monitor.panes.dashboard import DashboardPane
from tui.monitor.panes.election import ElectionPane
from tui.monitor.panes.events import EventsPane
from tui.monitor.panes.requests import RequestsPane
from tui.monitor.screens.commanding import CommandingScreen
from tui.monitor.widgets.text_lines import TextLines

if TYPE_CHECKING:
    from pathlib import PurePath

    from textual.app import ComposeResult

    from tui.monitor.pane import MonitorPane
    from tui.monitor.player import Player
    from tui.monitor.source import FeedSource

_STYLES: Final = ("monitor", "monitor_election", "monitor_requests", "monitor_events")
PAINT_EVERY_S: Final = 0.2
_MAX_COMPLAINT_CELLS: Final = 300
_SPEED: Final = Binding.Group("Speed", compact=True)
TABS: Final = (
    ("dashboard", "Dashboard"),
    ("election", "Election"),
    ("requests", "Requests"),
    ("events", "Events"),
)


class MonitorScreen(CommandingScreen):
    """Header, tabs, the bar of a recording if one is played, footer."""

    CSS_PATH: ClassVar[list[str | PurePath]] = [f"../../styles/{name}.tcss" for name in _STYLES]

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "tab('dashboard')", "Dashboard", id="tab.dashboard", show=False, tooltip="The nodes side by side"),
        Binding("2", "tab('election')", "Election", id="tab.election", show=False, tooltip="The line, and who won it"),
        Binding("3", "tab('requests')", "Requests", id="tab.requests", show=False, tooltip="Who serves what, how fast"),
        Binding("4", "tab('events')", "Events", id="tab.events", show=False, tooltip="Everything that happened"),
        Binding("space", "replay_toggle", "Play/pause", id="replay.toggle", tooltip="Play the recording, or stop it"),
        Binding("right", "replay_step(5)", "+5 s", id="replay.forward", show=False, tooltip="Five seconds on"),
        Binding("left", "replay_step(-5)", "-5 s", id="replay.back", show=False, tooltip="Five seconds back"),
        Binding("shift+right", "replay_step(60)", "+1 min", id="replay.far", show=False, tooltip="A minute on"),
        Binding("shift+left", "replay_step(-60)", "-1 min", id="replay.far_back", show=False, tooltip="A minute back"),
        Binding("full_stop", "replay_message", "Next message", id="replay.message", tooltip="On to the next message"),
        Binding(
            "plus,equals_sign", "replay_faster", "Faster", id="replay.faster", tooltip="Up to 64 times", group=_SPEED
        ),
        Binding("minus", "replay_slower", "Slower", id="replay.slower", tooltip="Down to a quarter", group=_SPEED),
    ]

    def __init__(self, source: FeedSource) -> None:
        super().__init__(source)
        self._compositor = FaithfulCompositor()
        self._header = ClusterHeader()
        self._bar = None if source.player is None else ReplayBar(source.player)
        self._panes: dict[str, MonitorPane] = {
            "dashboard": DashboardPane(source.node_index, id="dashboard-pane"),
            "election": ElectionPane(id="election-pane"),
            "requests": RequestsPane(id="requests-pane"),
            "events": EventsPane(id="events-pane"),
        }
        self._active = TABS[0][0]
        self._paints_soon = False

    def compose(self) -> ComposeResult:
        """Compose the frame."""
        yield self._header
        with TabbedContent(id="tabs"):
            for name, title in TABS:
                with StillTabPane(title, id=name):
                    yield self._panes[name]
        if self._bar is not None:
            yield self._bar
        yield Footer()

    def on_mount(self) -> None:
        """Begin to paint."""
        self.set_interval(PAINT_EVERY_S, self.paint)
        self.call_after_refresh(self.paint)
        self.pane.take_focus()
        work(self, self._check_settings)

    async def _check_settings(self) -> None:
        """Say what of a person's settings could not be heeded."""
        from tui.common.keys import MONITOR_PACKAGES

        settings = self.monitor.settings
        for said in await asyncio.to_thread(
            complaints, "monitor", settings.theme, self.app.available_themes, settings.keys, MONITOR_PACKAGES
        ):
            self.monitor.tell(plain(said, _MAX_COMPLAINT_CELLS), warning=True)

    @property
    def pane(self) -> MonitorPane:
        """The tab that is seen."""
        return self._panes[self._active]

    @property
    def chosen_place(self) -> int | None:
        """The node that is chosen on the tab that is seen."""
        return self.pane.chosen_place

    def paint(self) -> None:
        """Show the present; nothing while the screen is being taken apart."""
        if not (self.display and self.pane.is_attached):  # a screen that is being removed has no display
            return
        model, now = self._source.step()
        time_of_day = self.monitor.time_of_day
        self._header.paint(
            model.cluster(now), now, time_of_day, recorder=self._source.recorder, replayed=self._bar is not None
        )
        if self._bar is not None:
            self._bar.paint(time_of_day)
        self.pane.paint(model, now)
        self.heed(model, now)

    @on(TextLines.Resized)
    def _resized(self) -> None:
        """Paint once for all parts that have another size now, instead of a tick later."""
        if not self._paints_soon:
            # Not after the next refresh: that of a window in front of this screen never comes where it closes first.
            self._paints_soon = self.call_later(self._paint_resized)

    def _paint_resized(self) -> None:
        self._paints_soon = False
        self.paint()

    @on(TabbedContent.TabActivated)
    async def _activated(self, message: TabbedContent.TabActivated) -> None:
        """Show a tab that was chosen with the mouse or in the row of tabs; that of a key is shown already."""
        name = message.tabbed_content.active  # what the message says may be past
        if name != self._active and await self._panes[name].open():
            self._active = name
            self.paint()

    async def action_tab(self, name: str) -> None:
        """Go to a tab. Keys that come meanwhile wait until it is there, so they are about what is seen then."""
        if await self._panes[name].open():
            self._active = self.query_one("#tabs", TabbedContent).active = name
            self.pane.take_focus()
            self.paint()

    # --- A recording -------------------------------------------------------------------------------------------------
    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Offer what moves a recording only where one is played, and there no orders, which nobody would obey."""
        replayed = self._source.player is not None
        return not replayed if action == "orders" else replayed or not action.startswith("replay_")

    def action_replay_toggle(self) -> None:
        """Play or pause."""
        self._player.toggle()
        self.paint()

    def action_replay_step(self, seconds: int) -> None:
        """Go on, or back if negative; it goes on playing if it did."""
        self._player.seek(self._player.position_s + seconds)
        self.paint()

    def action_replay_message(self) -> None:
        """Pause, and go on to the next message."""
        self._player.step_message()
        self.paint()

    def action_replay_faster(self) -> None:
        """Take the next higher speed."""
        self._player.faster()
        self.paint()

    def action_replay_slower(self) -> None:
        """Take the next lower speed."""
        self._player.slower()
        self.paint()

    @property
    def _player(self) -> Player:
        assert self._source.player is not None
        return self._source.player
