"""Windows that only show something: the state machine of a node, an election, a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from tui.common.footer import Footer
from tui.common.wording import counted, plain
from tui.monitor.election_lines import chart_lines
from tui.monitor.model.election_reading import ElectionOutcome
from tui.monitor.panels.request_list import request_key
from tui.monitor.panels.role_panel import RolePanel
from tui.monitor.panels.sequence_chart import LEGEND, SequenceChart, SequenceData
from tui.monitor.request_lines import request_lines, state_tone
from tui.monitor.widgets.palette import Palette
from tui.monitor.widgets.text_lines import TextLines
from tui.monitor.wording import lasting, milliseconds, name_of, thousands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.text import Text
    from textual import events
    from textual.app import ComposeResult
    from textual.widget import Widget

    from tui.monitor.model.elections import ElectionData
    from tui.monitor.model.requests import RequestData
    from tui.monitor.panels.role_panel import RolePanelData


class Details(ModalScreen[None]):
    """A window in front of a tab. Sub-classes give a `body`, and fill it when the tab paints them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "close", "Close", id="details.close", tooltip="Back to the tab"),
    ]
    DEFAULT_CSS = """
    Details {
        & > .details {
            width: 96%; height: 94%; background: $background; border: round $primary; padding: 0 1;
            & > .heading { height: 1; text-style: bold; color: $primary; }
        }
        & > Footer { dock: bottom; }
    }
    """

    def compose(self) -> ComposeResult:
        """Compose heading and body."""
        with Vertical(classes="details"):
            yield TextLines(classes="heading")
            yield from self.body()
        yield Footer()

    def body(self) -> Iterable[Widget]:
        """Return what stands below the heading."""
        return ()

    def head(self, left: Text, right: Text) -> None:
        """Show a heading."""
        self.query_one(".heading", TextLines).show([(left, right)])

    def on_click(self, event: events.Click) -> None:
        """A click beside the window closes it."""
        if event.widget is self:
            self.dismiss(None)

    def action_close(self) -> None:
        """Close the window."""
        self.dismiss(None)


class RoleDetails(Details):
    """Shows a node's state machine, and goes on showing it as it changes."""

    DEFAULT_CSS = """
    RoleDetails RolePanel > RoleDiagram { height: 1fr; max-height: 13; }
    RoleDetails RolePanel > .notes { height: 7; margin-top: 1; }
    """

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place
        """Of the node that is shown."""

    def body(self) -> Iterable[Widget]:
        """Return the panel."""
        yield RolePanel(classes="-full")

    def paint(self, data: RolePanelData, time_of_day: Callable[..., str]) -> None:
        """Show the node as it stands."""
        palette = Palette.of(self.app)
        self.head(Text(f"State machine of {plain(data.node.name, 16)}"), Text("thick: taken last", palette.accent))
        self.query_one(RolePanel).paint(data, time_of_day)


class RequestDetails(Details):
    """Shows a request, and goes on showing it while it is under way."""

    DEFAULT_CSS = "RequestDetails .facts { height: 4; margin-bottom: 1; }"

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        """Of the request that is shown."""

    def body(self) -> Iterable[Widget]:
        """Return facts and chart."""
        yield TextLines(classes="facts")
        yield SequenceChart(id="details-sequence")

    def on_mount(self) -> None:
        """Let the arrow keys move the chart."""
        self.query_one(SequenceChart).focus()

    def paint(self, request: RequestData, names: Sequence[str], time_of_day: Callable[..., str]) -> None:
        """Show the request as it stands. `names` are the nodes' by place."""
        palette = Palette.of(self.app)
        head = Text(f"{plain(request.kind, 24)} ")
        head.append(request.state.value, palette.tone(state_tone(request.state)))
        self.head(head, Text(time_of_day(request.began, tenths=True), palette.muted))
        account = "an account not known yet" if request.account is None else f"account #{request.account}"
        facts = [
            ("asked by", f"{account}, session key {plain(request.key, 8)}…"),
            ("request", f"{plain(request.request, 8)}…"),
            ("went", f"{_times(request.moves)} to another node, {_times(request.repeats)} asked again once served"),
            ("took", f"{milliseconds(request.latency_ms)} {plain(request.code, 24)}"),
        ]
        lines = [Text.assemble((f"{label:<9}", palette.muted), text) for label, text in facts]
        self.query_one(".facts", TextLines).show(lines)
        data = SequenceData(
            request_key(request),
            tuple(names),
            request.began,
            request_lines(request, names),
            request.place,
            growing=not request.state.done,
        )
        self.query_one(SequenceChart).paint(data)


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


class ElectionDetails(Details):
    """Shows an election, and goes on showing it while it is under way."""

    DEFAULT_CSS = """
    ElectionDetails .facts { height: 5; margin-bottom: 1; }
    ElectionDetails .legend { height: 1; color: $text-muted; }
    """

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        """Of the election that is shown."""

    def body(self) -> Iterable[Widget]:
        """Return facts, chart and legend."""
        yield TextLines(classes="facts")
        yield SequenceChart(id="details-sequence")
        yield TextLines(classes="legend")

    def on_mount(self) -> None:
        """Let the arrow keys move the chart."""
        self.query_one(SequenceChart).focus()

    def paint(self, election: ElectionData, names: Sequence[str], now: float, time_of_day: Callable[..., str]) -> None:
        """Show the election as it stands. `names` are the nodes' by place."""
        palette = Palette.of(self.app)
        self.head(summary(election, names, now, palette), Text(time_of_day(election.began), palette.muted))
        self.query_one(".facts", TextLines).show(_facts(election, names, palette, time_of_day))
        lines = chart_lines(election, names, now, single=True)
        growing = election.outcome is ElectionOutcome.UNDER_WAY
        data = SequenceData(election.key, tuple(names), election.began, lines, None, growing=growing)
        self.query_one(SequenceChart).paint(data)
        self.query_one(".legend", TextLines).show([Text(LEGEND)])


def summary(election: ElectionData, names: Sequence[str], now: float, palette: Palette) -> Text:
    """Return an election as one sentence."""
    line = Text("")
    match election.outcome:
        case ElectionOutcome.WON:
            line.append(
                f"{_who(election.leader, names)} leads term {election.term}",
                palette.good + palette.bold,
            )
            line.append(f" after {milliseconds(1000 * (election.took_s or 0.0))}")
            if election.outage_s is not None:
                line.append(
                    f"; {milliseconds(1000 * election.outage_s)} without {_who(election.former, names)}",
                    palette.muted,
                )
        case ElectionOutcome.UNDER_WAY:
            line.append("under way", palette.accent + palette.bold)
            line.append(f" for {lasting(now - election.began)}: {election.why}")
        case ElectionOutcome.CALMED:
            line.append("calmed", palette.primary + palette.bold)
            line.append(f": {_who(election.former, names)} leads on, term {election.former_term}")
        case _:
            line.append("nobody won", palette.warning + palette.bold)
            line.append(f": {election.why}")
    return line


def _facts(
    election: ElectionData, names: Sequence[str], palette: Palette, time_of_day: Callable[..., str]
) -> list[Text | tuple[Text, Text]]:
    began = f"{time_of_day(election.began, tenths=True)} by {_who(election.noticed_by, names)}: {election.why}"
    before = "no leader is known"
    if election.former is not None:
        before = f"{_who(election.former, names)} led term {election.former_term}"
        if election.former_last_word is not None:
            before += f", heard last {milliseconds(1000 * (election.began - election.former_last_word))} before"
    kinds = ", ".join(f"{count} {kind}" for kind, count in election.messages)
    sent = counted(election.message_count, "message") + (f" ({kinds})" if kinds else "")
    nodes = counted(len(names), "node")
    facts = [
        ("began", began),
        ("before", before),
        ("agreed", _agreed(election, names)),
        ("sent", sent),
        ("Bully", f"{election.bully_best} to {election.bully_worst} messages with {nodes}, best case to worst"),
    ]
    if election.left_out:
        facts[2] = ("left out", f"{thousands(election.left_out)} steps in the middle are no longer kept")
    return [Text.assemble((f"{label:<9}", palette.muted), text) for label, text in facts]


def _agreed(election: ElectionData, names: Sequence[str]) -> str:
    if election.agreed is None:
        return "nobody on a new leader"
    who = ", ".join(_who(place, names) for place in sorted(election.agreed_by))
    return f"{who} within {milliseconds(1000 * (election.agreed - election.began))}"


def _who(place: int | None, names: Sequence[str]) -> str:
    return name_of(place, names, nobody="nobody")
