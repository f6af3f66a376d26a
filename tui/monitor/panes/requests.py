"""The tab Requests: how many, how fast, and the way of those that are followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from tui.common.dialog import is_shown
from tui.common.wording import plain
from tui.monitor.dialogs.details import RequestDetails
from tui.monitor.model.requests import MAX_REQUESTS, RequestFilter, RequestState
from tui.monitor.pane import MonitorPane
from tui.monitor.panels.filter_bar import FilterBar
from tui.monitor.panels.request_list import RequestList, request_key
from tui.monitor.panels.traffic import (
    LatencyPanel,
    LatencyPanelData,
    TalliesPanel,
    TrafficList,
    TrafficRow,
    traffic_rows,
)
from tui.monitor.wording import thousands

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.geometry import Size

    from tui.monitor.model import Model
    from tui.monitor.model.requests import RequestData

TALL_LINES: Final = 30
WIDE_CELLS: Final = 100
NARROW_CELLS: Final = 78
READABLE_S: Final = 0.39
"""Figures and rows change no more often than this by themselves: they are to be read."""
SHOWN_AT_MOST: Final = 200
_MOST_TRAFFIC_LINES: Final = 5
_MOST_TRAFFIC_LINES_TALL: Final = 11

SHOWN: Final = ("all", "under way", "unusual")
"""Which of the followed requests are listed, apart from the filter."""
_UNUSUAL: Final = frozenset(
    {RequestState.TAKEN_OVER, RequestState.REFUSED, RequestState.FAILED, RequestState.BUSY, RequestState.LOST}
)


class RequestsPane(MonitorPane):
    """Above, figures for each node; below them, latencies and counts; below those, single requests."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="requests.filter", tooltip="By account (#7), kind, state or id"),
        Binding("f", "shown", "Which", id="requests.shown", tooltip="All, those under way, or the unusual"),
        Binding(
            "t", "tallies", "Kinds", id="requests.tallies", tooltip="Count by kind of request, or by what happened"
        ),
        Binding("escape", "clear", "Clear filter", id="requests.clear", show=False),
    ]

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id, readable_s=READABLE_S)
        self._names: tuple[str, ...] = ()
        self._which = 0
        self._kinds = False
        self._found = self._known = 0

    def contents(self) -> ComposeResult:
        """Compose the parts."""
        table = TrafficList(id="traffic")
        table.styles.height = self._traffic_lines()
        yield table
        with Horizontal(id="requests-middle"):
            yield LatencyPanel(id="latency")
            yield TalliesPanel(id="happened")
            yield TalliesPanel(id="kinds")
        yield FilterBar("/ to find: #7, encrypt", id="requests-filter")
        yield RequestList(id="requests-list")

    def fit(self, size: Size) -> None:
        """Share out the room."""
        self.set_class(size.height >= TALL_LINES, "-tall")
        self.set_class(size.width >= WIDE_CELLS, "-wide")
        self.set_class(size.width < NARROW_CELLS, "-narrow")
        for table in self.query(TrafficList):
            table.styles.height = self._traffic_lines()

    def _traffic_lines(self) -> int:
        most = _MOST_TRAFFIC_LINES_TALL if self.has_class("-tall") else _MOST_TRAFFIC_LINES
        return min(most, len(self.monitor.source.node_index.nodes) + 2)

    def take_focus(self) -> None:
        """The list of requests."""
        self.screen.set_focus(self._requests)

    @property
    def _requests(self) -> RequestList:
        return self.query_one(RequestList)

    # --- Painting ----------------------------------------------------------------------------------------------------
    def paint(self, model: Model, now: float) -> None:
        """Show the figures and the requests, at most every `READABLE_S` unless something else is wanted."""
        table, bar = self.query_one(TrafficList), self.query_one(FilterBar)
        place = None if table.current is None else table.current.place
        if not self._pace.due(model, now, (bar.text, self._which, place)):
            return
        self._names = model.node_index.names
        traffic = model.traffic(now)
        rows = traffic_rows(traffic)
        table.paint(rows)
        chosen = table.current or rows[0]
        self.query_one(LatencyPanel).paint(LatencyPanelData(_of(chosen), chosen.latency))
        self.query_one("#happened", TalliesPanel).paint_happenings(_of(chosen), chosen.counts)
        self.query_one("#kinds", TalliesPanel).paint_kinds(traffic.kinds)
        found = model.requests.shown(now, RequestFilter.parse(bar.text), at_most=MAX_REQUESTS)
        self._paint_list(found, chosen, len(model.requests))
        self._paint_details(found)
        bar.say(self._which_text(chosen), _sampling(model, wide=self.has_class("-wide")))

    def _paint_list(self, found: tuple[RequestData, ...], chosen: TrafficRow, known: int) -> None:
        rows = [request for request in found if self._takes(request, chosen.place)]
        self._found, self._known = len(rows), known
        self._requests.empty = self._nothing(self.query_one(FilterBar).text, chosen)
        self._requests.paint(rows[:SHOWN_AT_MOST], self._names, self.monitor.time_of_day)

    def _takes(self, request: RequestData, place: int | None) -> bool:
        if place is not None and request.place != place:
            return False
        match self._which:
            case 1:
                return not request.state.done
            case 2:
                return bool(request.moves or request.repeats) or request.state in _UNUSUAL
            case _:
                return True

    def _nothing(self, text: str, chosen: TrafficRow) -> str:
        """Return what is said where no request is listed."""
        if not self._known:
            return "No request has come since the monitor began.\n`glimpse load` makes some."
        where = "" if chosen.place is None else f" at {plain(chosen.name, 16)}"
        if text.strip():
            return f"None of the requests{where} is like that.\nEscape clears the filter."
        return f"No request{where} is {SHOWN[self._which]}." if self._which else f"No followed request{where}."

    def _which_text(self, chosen: TrafficRow) -> Text:
        where = "" if chosen.place is None else f" at {plain(chosen.name, 16)}"
        which = "" if self._which == 0 else f" {SHOWN[self._which]}"
        return Text.assemble((f"{thousands(self._found)} of {thousands(self._known)}", "bold"), f"{which}{where}")

    def _paint_details(self, requests: tuple[RequestData, ...]) -> None:
        """Keep a window that is open up to date."""
        window = self.app.screen
        if isinstance(window, RequestDetails) and is_shown(window):
            for request in requests:
                if request_key(request) == window.key:
                    window.paint(request, self._names, self.monitor.time_of_day)

    # --- Choosing ----------------------------------------------------------------------------------------------------
    @on(TrafficList.Highlighted, "#traffic")
    def _chosen(self, event: TrafficList.Highlighted) -> None:
        event.stop()
        self.monitor.repaint()

    @on(FilterBar.Changed)
    def _typed(self, event: FilterBar.Changed) -> None:
        event.stop()
        self.monitor.repaint()

    @on(FilterBar.Left)
    def _typed_all(self, event: FilterBar.Left) -> None:
        event.stop()
        self._requests.focus()

    def action_filter(self) -> None:
        """Type what to find."""
        self.query_one(FilterBar).type_here()

    def action_clear(self) -> None:
        """Show everything again."""
        self._which = 0
        self.query_one(FilterBar).clear()
        self.query_one(TrafficList).action_first()
        self.monitor.repaint()

    def action_shown(self) -> None:
        """List all, those under way, or those that went otherwise than most."""
        self._which = (self._which + 1) % len(SHOWN)
        self.monitor.repaint()

    def action_tallies(self) -> None:
        """Where there is room for one of them, show kinds instead of what happened, or the other way round."""
        self._kinds = not self._kinds
        self.set_class(self._kinds, "-kinds")
        self.paint_anew()

    # --- Details -----------------------------------------------------------------------------------------------------
    @on(RequestList.Selected, "#requests-list")
    def _open(self, event: RequestList.Selected) -> None:
        event.stop()
        window = RequestDetails(request_key(event.row))
        request: RequestData = event.row
        self.app.push_screen(window)
        window.call_after_refresh(lambda: window.paint(request, self._names, self.monitor.time_of_day))


def _of(chosen: TrafficRow) -> str:
    return "all nodes" if chosen.place is None else f"at {plain(chosen.name, 16)}"


def _sampling(model: Model, *, wide: bool) -> Text:
    """Return how many requests are followed: the figures above count all of them whatever that is."""
    one_in = max(model.requests.one_in.values(), default=0)
    if one_in == 0:
        return Text("")
    if one_in == 1:
        return Text("every request is followed", "dim")
    more = "; figures above count all" if wide else ""
    return Text(f"only one in {thousands(one_in)} is followed{more}", "bold")
