"""One election from beginning to end: what is known of it, and every step with its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from tui.common.wording import counted, plain
from tui.monitor.dialogs.details import Details
from tui.monitor.election_lines import chart_lines
from tui.monitor.model.election_reading import ElectionOutcome
from tui.monitor.panels.sequence_chart import LEGEND, SequenceChart, SequenceData
from tui.monitor.widgets.palette import Palette
from tui.monitor.widgets.text_lines import TextLines
from tui.monitor.wording import lasting, milliseconds, thousands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from textual.widget import Widget

    from tui.monitor.model.elections import ElectionData

_NAME_CELLS = 16


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
            line.append(f"{_name(election.leader, names)} leads term {election.term}", palette.good + palette.bold)
            line.append(f" after {milliseconds(1000 * (election.took_s or 0.0))}")
            if election.outage_s is not None:
                line.append(
                    f"; {milliseconds(1000 * election.outage_s)} without {_name(election.former, names)}", palette.muted
                )
        case ElectionOutcome.UNDER_WAY:
            line.append("under way", palette.accent + palette.bold)
            line.append(f" for {lasting(now - election.began)}: {election.why}")
        case ElectionOutcome.CALMED:
            line.append("calmed", palette.primary + palette.bold)
            line.append(f": {_name(election.former, names)} leads on, term {election.former_term}")
        case _:
            line.append("nobody won", palette.warning + palette.bold)
            line.append(f": {election.why}")
    return line


def _facts(
    election: ElectionData, names: Sequence[str], palette: Palette, time_of_day: Callable[..., str]
) -> list[Text | tuple[Text, Text]]:
    began = f"{time_of_day(election.began, tenths=True)} by {_name(election.noticed_by, names)}: {election.why}"
    before = "no leader is known"
    if election.former is not None:
        before = f"{_name(election.former, names)} led term {election.former_term}"
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
    who = ", ".join(_name(place, names) for place in sorted(election.agreed_by))
    return f"{who} within {milliseconds(1000 * (election.agreed - election.began))}"


def _name(place: int | None, names: Sequence[str]) -> str:
    return plain(names[place], _NAME_CELLS) if place is not None and 0 <= place < len(names) else "nobody"
