"""The tab Election: the line, the state machine of one node, and the last elections with their messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from tui.common.dialog import is_shown
from tui.monitor.dialogs.details import ElectionDetails, RoleDetails, summary
from tui.monitor.election_lines import chart_lines
from tui.monitor.model.election_reading import ElectionOutcome
from tui.monitor.pane import MonitorPane
from tui.monitor.panels.elections import ElectionList, MessageBars
from tui.monitor.panels.role_panel import RolePanel, RolePanelData
from tui.monitor.panels.sequence_chart import NOTHING, SequenceChart, SequenceData
from tui.monitor.panels.succession import Succession, Timers
from tui.monitor.widgets.palette import Palette
from tui.monitor.widgets.text_lines import TextLines

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.geometry import Size

    from tui.monitor.model import Model
    from tui.monitor.model.cluster import TableData, TableLine
    from tui.monitor.model.elections import ElectionData

TALL_LINES: Final = 30
MANY_STEPS: Final = 100
MANY_EVERY_S: Final = 0.9
"""An election of more steps is drawn this often."""
WIDE_CELLS: Final = 100
NARROW_CELLS: Final = 78
"""Narrower than this, all parts stand below each other, and a state machine is only seen in its window."""


class ElectionPane(MonitorPane):
    """Above, the coordination table and a state machine; below, the elections and one of them as a sequence chart."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "node(1)", "Next node", id="election.next", tooltip="Show the state machine of the next node"),
        Binding("h", "node(-1)", "Node before", id="election.before", show=False, tooltip="Of the node before"),
        Binding("right", "live_node(1)", "Next node", show=False),
        Binding("left", "live_node(-1)", "Node before", show=False),
        Binding("enter", "details", "Details", id="election.details", tooltip="Everything about what is chosen"),
    ]

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id, readable_s=MANY_EVERY_S)
        self._place = 0
        self._names: tuple[str, ...] = ()

    def contents(self) -> ComposeResult:
        """Compose the four parts."""
        with Horizontal(id="election-above"):
            with Vertical(id="election-table"):
                yield TextLines(classes="caption")
                yield Succession(id="succession")
                yield Timers()
            yield RolePanel(id="election-role")
        with Horizontal(id="election-below"):
            with Vertical(id="election-list"):
                yield TextLines(classes="caption")
                yield ElectionList(id="elections")
            with Vertical(id="election-chart"):
                yield TextLines(classes="caption")
                yield MessageBars()
                yield SequenceChart(empty="What was said in an election is drawn here.", id="sequence")

    def fit(self, size: Size) -> None:
        """Draw larger where there is room."""
        self.set_class(size.height >= TALL_LINES, "-tall")
        self.set_class(size.width >= WIDE_CELLS, "-wide")
        self.set_class(size.width < NARROW_CELLS, "-narrow")

    @property
    def chosen_place(self) -> int | None:
        """The node whose state machine is shown."""
        return self._place

    def take_focus(self) -> None:
        """The list of elections."""
        self.screen.set_focus(self._elections)

    @property
    def _elections(self) -> ElectionList:
        return self.query_one(ElectionList)

    # --- Painting ----------------------------------------------------------------------------------------------------
    def paint(self, model: Model, now: float) -> None:
        """Show the line, the chosen node, the elections and the chosen one."""
        self._names = model.node_index.names
        time_of_day = self.monitor.time_of_day
        table = model.table(now)
        self.query_one("#election-table > .caption", TextLines).show([_table_title(table)])
        self.query_one(Succession).paint(table)
        self.query_one(Timers).paint(model.node_index.timing)
        role = RolePanelData(model.node(self._place, now), now)
        self.query_one(RolePanel).paint(role, time_of_day)
        elections = model.elections(now)
        self.query_one("#election-list > .caption", TextLines).show([_list_title(elections)])
        self._elections.paint(elections, self._names, time_of_day)
        election = self._elections.current
        self._paint_caption(election, now)
        if self._is_due(model, election, now):
            self._paint_election(election, now)
            self._paint_window(elections, now)
        window = self.app.screen
        if isinstance(window, RoleDetails) and is_shown(window) and window.place == role.node.place:
            window.paint(role, time_of_day)

    def _is_due(self, model: Model, election: ElectionData | None, now: float) -> bool:
        """Return whether to draw the election now: a long one is drawn less often, as that costs some ms."""
        wanted = None if election is None else (election.key, election.outcome, self._place, len(self.app.screen_stack))
        return self._pace.due(model, now, wanted) or election is None or len(election.steps) <= MANY_STEPS

    def _paint_caption(self, election: ElectionData | None, now: float) -> None:
        caption = self.query_one("#election-chart > .caption", TextLines)
        self.query_one(MessageBars).paint(election)
        if election is None:
            caption.show([Text("Messages", "bold")])
        else:
            caption.show([summary(election, self._names, now, Palette.of(self.app))])

    def _paint_election(self, election: ElectionData | None, now: float) -> None:
        chart = self.query_one(SequenceChart)
        if election is None:
            chart.paint(NOTHING)
            return
        growing = election.outcome is ElectionOutcome.UNDER_WAY
        lines = chart_lines(election, self._names, now)
        chart.paint(SequenceData(election.key, self._names, election.began, lines, self._place, growing=growing))

    def _paint_window(self, elections: tuple[ElectionData, ...], now: float) -> None:
        """Keep an election's window that is open up to date; one that is no longer known stays as it was."""
        window = self.app.screen
        if isinstance(window, ElectionDetails) and is_shown(window):
            for election in elections:
                if election.key == window.key:
                    window.paint(election, self._names, now, self.monitor.time_of_day)

    # --- Choosing ----------------------------------------------------------------------------------------------------
    @on(Succession.Highlighted, "#succession")
    def _chosen_node(self, event: Succession.Highlighted) -> None:
        event.stop()
        line: TableLine | None = event.row
        if line is not None:
            self._choose(line.place)

    @on(ElectionList.Highlighted, "#elections")
    def _chosen_election(self, event: ElectionList.Highlighted) -> None:
        event.stop()
        self.monitor.repaint()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Leave the arrow keys to the recording where one is played."""
        return action != "live_node" or self.monitor.source.player is None

    def action_node(self, by: int) -> None:
        """Choose the next node by address, or the one before."""
        self._choose((self._place + by) % max(1, len(self._names)))

    def action_live_node(self, by: int) -> None:
        """Do the same with the arrow keys, which move a recording where one is played."""
        self.action_node(by)

    def _choose(self, place: int) -> None:
        if place != self._place:
            self._place = place
            self.query_one(Succession).select_key(str(place))
            self.monitor.repaint()

    # --- Details -----------------------------------------------------------------------------------------------------
    @on(Succession.Selected, "#succession")
    def _open_role(self, event: Succession.Selected) -> None:
        event.stop()
        self._open(RoleDetails(self._place))

    @on(ElectionList.Selected, "#elections")
    def _open_election(self, event: ElectionList.Selected) -> None:
        event.stop()
        self._open(ElectionDetails(event.row.key))

    def action_details(self) -> None:
        """Open the election that is drawn."""
        if self._elections.current is not None:
            self._open(ElectionDetails(self._elections.current.key))

    def _open(self, window: RoleDetails | ElectionDetails) -> None:
        self.app.push_screen(window)
        self.paint_anew()


def _table_title(table: TableData) -> tuple[Text, Text]:
    left = Text("Coordination table", "bold")
    return left, Text("" if table.told_by is None else f"term {table.term}", "dim")


def _list_title(elections: tuple[ElectionData, ...]) -> tuple[Text, Text]:
    return Text("Elections", "bold"), Text(str(len(elections)) if elections else "", "dim")
