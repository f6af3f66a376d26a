"""The monitor's one screen: the cluster's sentence above four tabs. One timer paints what is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual import on
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, TabbedContent, TabPane

from tui.monitor.panels.cluster_header import ClusterHeader
from tui.monitor.panels.replay_bar import ReplayBar
from tui.monitor.panes.dashboard import DashboardPane
from tui.monitor.panes.election import ElectionPane
from tui.monitor.panes.events import EventsPane
from tui.monitor.panes.requests import RequestsPane

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from tui.monitor.app import GlimpseMonitor
    from tui.monitor.pane import MonitorPane
    from tui.monitor.source import FeedSource

PAINT_EVERY_S: Final = 0.2
TABS: Final = (
    ("dashboard", "Dashboard"),
    ("election", "Election"),
    ("requests", "Requests"),
    ("events", "Events"),
)


class Home(Screen[None]):
    """Header, tabs, the bar of a recording if one is played, footer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "tab('dashboard')", "Dashboard", id="tab.dashboard", show=False, tooltip="The nodes side by side"),
        Binding("2", "tab('election')", "Election", id="tab.election", show=False, tooltip="The line, and who won it"),
        Binding("3", "tab('requests')", "Requests", id="tab.requests", show=False, tooltip="Who serves what, how fast"),
        Binding("4", "tab('events')", "Events", id="tab.events", show=False, tooltip="Everything that happened"),
    ]

    def __init__(self, source: FeedSource) -> None:
        super().__init__()
        self._source = source

    @property
    def monitor(self) -> GlimpseMonitor:
        """The program that this screen belongs to."""
        return cast("GlimpseMonitor", self.app)

    def compose(self) -> ComposeResult:
        """Compose the frame."""
        yield ClusterHeader()
        with TabbedContent(id="tabs"):
            for (name, title), pane in zip(TABS, self._panes(), strict=True):
                with TabPane(title, id=name):
                    yield pane
        if self._source.player is not None:
            yield ReplayBar(self._source.player)
        yield Footer()

    def _panes(self) -> tuple[MonitorPane, ...]:
        return (
            DashboardPane(self._source.roster, id="dashboard-pane"), ElectionPane(id="election-pane"),
            RequestsPane(id="requests-pane"), EventsPane(id="events-pane"),
        )  # fmt: skip

    def on_mount(self) -> None:
        """Begin to paint."""
        self.set_interval(PAINT_EVERY_S, self.paint)
        self.call_after_refresh(self.paint)
        self.query_one("#dashboard-pane", DashboardPane).take_focus()

    @property
    def pane(self) -> MonitorPane:
        """The tab that is seen."""
        active = self.query_one("#tabs", TabbedContent).active or TABS[0][0]
        return cast("MonitorPane", self.query_one(f"#{active}-pane"))

    def paint(self) -> None:
        """Show the present."""
        model, now = self._source.step()
        self.query_one(ClusterHeader).paint(
            model.cluster(now), now, self.monitor.time_of_day, recorder=self._source.recorder,
            replayed=self._source.player is not None,
        )  # fmt: skip
        for bar in self.query(ReplayBar):
            bar.paint(self.monitor.time_of_day)
        self.pane.paint(model, now)

    @on(TabbedContent.TabActivated)
    def _seen(self) -> None:
        self.paint()

    def action_tab(self, name: str) -> None:
        """Go to a tab."""
        self.query_one("#tabs", TabbedContent).active = name
        self.pane.take_focus()
