"""One node of the dashboard: role, figures, the last minute's load and heartbeats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from rich.text import Text
from textual.containers import Vertical

from tui.common.wording import plain
from tui.monitor.model.cluster import CANNOT_WRITE
from tui.monitor.model.nodes import Badge, NodeData, Presence
from tui.monitor.model.series import MINUTE_S
from tui.monitor.widgets.charts import HeartbeatStrip, LoadChart, nice_scale
from tui.monitor.widgets.palette import Palette, badge
from tui.monitor.widgets.text_lines import TextLines
from tui.monitor.wording import data_rate, figure, lasting, milliseconds, ordinal, per_second, thousands

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual import events
    from textual.app import ComposeResult

    from shared.wire.feed_messages import Traffic
    from tui.monitor.model.heartbeats import BeatRow
    from tui.monitor.model.nodes import Curves, NodeData
    from tui.monitor.model.series import Curve


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing to chart: its name, where its curve is, how a value is written, the least that a scale ends at."""

    title: str
    curve: Callable[[Curves], Curve]
    text: Callable[[float], str]
    least: float
    alarm: Callable[[NodeData], float | None]

    def scale(self, nodes: Sequence[NodeData]) -> float:
        """Return the common end of scale of all nodes."""
        return nice_scale(max((self.curve(node.curves).peak for node in nodes), default=0.0), self.least)


def _cores(node: NodeData) -> float | None:
    return None if node.state is None else float(node.state.work.cores)


def _none(_node: NodeData) -> float | None:
    return None


MEASURES: Final = (
    Measure("load", lambda curves: curves.load, figure, 1.0, _cores),
    Measure("requests/s", lambda curves: curves.requests, thousands, 10.0, _none),
    Measure("in flight", lambda curves: curves.in_flight, thousands, 10.0, _none),
    Measure("cpu %", lambda curves: curves.cpu, thousands, 100.0, _none),
)


_MANY: Final = 4
"""With more other nodes than this, one strip shows what passed with all of them."""
_WIDE_CELLS: Final = 34
_LINES: Final = 7
"""Title and figures."""
_CHART_LINES: Final = 6
_MUTED: Final = "dim"
_NOTE_CELLS: Final = 7
_WIDE_NOTE_CELLS: Final = 11
_STATES: Final = ("leader", "electing", "down", "deaf", "unknown")


@dataclass(frozen=True, slots=True)
class Scaled:
    """What a chart shows, and on which scale, the same for all panels."""

    measure: Measure
    scale: float


@dataclass(frozen=True, slots=True)
class NodePanelData:
    """A node, and what its charts show."""

    node: NodeData
    charts: tuple[Scaled, ...]
    """The first ones are seen, as many as there is room for."""


class NodePanel(Vertical, can_focus=True):
    """The panel of one node among `nodes`."""

    DEFAULT_CSS = """
    NodePanel {
        border: round $foreground 30%; padding: 0 1; height: 1fr; min-height: 14; background: $background;
        & TextLines.title { height: 1; }
        & TextLines.figures { height: 6; }
        & TextLines.caption { height: 1; }
        & LoadChart { height: 1fr; min-height: 2; }
        & HeartbeatStrip { height: 1; }
        &.-leader { border: round $success; }
        &.-electing { border: round $accent; }
        &.-down { border: round $error; }
        &.-deaf { border: round $secondary; }
        &:focus { background: $surface; }
        &.-down .figures, &.-down LoadChart, &.-deaf .figures, &.-deaf LoadChart { opacity: 60%; }
    }
    """

    def __init__(self, place: int, nodes: int) -> None:
        super().__init__(id=f"node-{place}")
        self.place = place
        self._title = TextLines(classes="title")
        self._figures = TextLines(classes="figures")
        self._charts = [(TextLines(classes="caption"), LoadChart()) for _ in MEASURES]
        self._strips = [HeartbeatStrip() for _ in range(1 if nodes - 1 > _MANY else nodes - 1)]
        self._state = ""

    def compose(self) -> ComposeResult:
        """Compose the lines."""
        yield self._title
        yield self._figures
        for caption, chart in self._charts:
            yield caption
            yield chart
        yield from self._strips

    def paint(self, data: NodePanelData) -> None:
        """Show the node."""
        node, palette = data.node, Palette.of(self.app)
        self._set_state(_state(node))
        wide = self._figures.size.width >= _WIDE_CELLS
        self._title.show([_title(node, palette, self._title.size.width, wide=wide)])
        self._figures.show(_figures(node, palette, wide=wide))
        for (caption, chart), scaled in zip(self._charts, data.charts, strict=True):
            if chart.display:
                _paint_chart(caption, chart, node, scaled)
        rows = node.beats if len(node.beats) <= _MANY else _together(node.beats)
        for strip, row in zip(self._strips, rows, strict=True):
            _paint_strip(strip, row, of_many=len(node.beats) > _MANY, wide=wide)

    def _set_state(self, state: str) -> None:
        if state != self._state:
            self._state = state
            for name in _STATES:
                self.set_class(name == state, f"-{name}")

    def on_resize(self, event: events.Resize) -> None:
        """Show as many charts as there is room for."""
        room = event.size.height - _LINES - len(self._strips)
        charts = max(1, room // _CHART_LINES)
        for number, (caption, chart) in enumerate(self._charts):
            caption.display = chart.display = number < charts


def _state(node: NodeData) -> str:
    match node.presence:
        case Presence.DOWN:
            return "down"
        case Presence.DEAF:
            return "deaf"
        case Presence.UNKNOWN:
            return "unknown"
        case _:
            role = node.badges[0]
            return "leader" if role is Badge.LEADER else "" if role is Badge.FOLLOWER else "electing"


def _title(node: NodeData, palette: Palette, room: int, *, wide: bool) -> tuple[Text, Text]:
    left = _named(node, node.badges, palette)
    if left.cell_len > room and len(node.badges) > 1:  # what is special about it says more than its role
        left = _named(node, node.badges[1:], palette)
    if node.presence is Presence.DEAF:
        right = Text(lasting(node.deaf_s), palette.secondary)
    elif node.presence is Presence.DOWN and node.silent_s is not None:
        right = Text(f"for {lasting(node.silent_s)}", palette.bad)
    elif node.next_in_line:
        right = Text("next in line" if wide else "next", palette.accent)
    elif node.rank is not None and node.rank > 1:
        right = Text(f"{ordinal(node.rank)} in line" if wide else ordinal(node.rank), palette.muted)
    else:
        right = Text("")
    return left, right


def _named(node: NodeData, badges: Sequence[Badge], palette: Palette) -> Text:
    line = Text(f"{plain(node.name, 16)} ", "bold")
    for number, word in enumerate(badges):
        line.append(" " if number else "")
        line.append_text(badge(word, palette))
    return line


def _figures(node: NodeData, palette: Palette, *, wide: bool) -> list[Text | tuple[Text, Text]]:
    """Return address, life, standing and work; what is not known yet is a dash."""
    lines: list[Text | tuple[Text, Text]] = [_where(node, palette, wide=wide)]
    state = node.state
    if state is None:
        return [*lines, Text(node.trouble or "has not been heard yet", palette.warning)]
    standing, work, traffic = state.standing, state.work, state.traffic
    lines.append(_pair("term", str(standing.term), "incarnation" if wide else "inc", _short(state.life.incarnation)))
    lines.append(_pair("priority" if wide else "prio", figure(work.priority), "cost", figure(work.cost)))
    lines.append(
        _pair("in flight", thousands(work.in_flight), "requests" if wide else "", per_second(node.rates.requests))
    )
    rate = data_rate(node.rates.sent_bytes + node.rates.received_bytes)
    lines.append(_pair(*_carrying(traffic, wide=wide), "traffic" if wide else "", rate))
    lines.append(_last_line(node, palette, wide=wide))
    return lines


def _carrying(traffic: Traffic, *, wide: bool) -> tuple[str, str]:
    """Return name and value of what it carries: for pairs of peers that reach each other through it, else transfers."""
    if traffic.relay_pairs:
        return "relays pairs" if wide else "pairs", str(traffic.relay_pairs)
    return "worker ports" if wide else "ports", str(traffic.worker_ports)


def _where(node: NodeData, palette: Palette, *, wide: bool) -> Text | tuple[Text, Text]:
    address = Text(plain(node.address, 48), palette.muted)
    if not wide or node.state is None:
        return address
    return address, Text(f"up {lasting(node.state.life.uptime_ms / 1000)}", palette.muted)


def _last_line(node: NodeData, palette: Palette, *, wide: bool) -> Text | tuple[Text, Text]:
    """Return what matters most beside the figures: who still hears it, a lost directory, else whom it follows."""
    state = node.state
    assert state is not None
    if node.presence in (Presence.DOWN, Presence.DEAF):
        heard = ", ".join(plain(name, 16) for name in node.heard_by)
        return Text(f"heard by {heard}" if heard else "heard by nobody", palette.bad)
    if node.trouble:
        return Text(node.trouble, palette.warning)
    if node.directory_trouble == CANNOT_WRITE:
        return Text(CANNOT_WRITE, palette.bad)
    if state.work.slowdown > 1:
        return Text(f"slowed to 1/{state.work.slowdown:g}", palette.warning)
    if state.standing.role != "leader" and not state.standing.fit and not state.standing.draining:
        return Text("not fit to lead", palette.warning)
    if node.directory_trouble:
        return Text(node.directory_trouble, palette.warning)
    cpu = f"{state.work.cpu_percent:.0f} %"
    memory = f"{state.work.rss_mb:.0f} MB"
    return _pair("process" if wide else "cpu", cpu, "memory" if wide else "", memory)


def _pair(name: str, value: str, other_name: str, other: str) -> tuple[Text, Text]:
    left = Text(f"{name} ", _MUTED)
    left.append(value, "not dim")
    right = Text(f"{other_name} " if other_name else "", _MUTED)
    right.append(other, "not dim")
    return left, right


def _short(incarnation: int) -> str:
    """Return enough of an incarnation to tell one life from the next."""
    return f"…{incarnation % 16**5:05x}"


def _paint_chart(caption: TextLines, chart: LoadChart, node: NodeData, scaled: Scaled) -> None:
    measure = scaled.measure
    curve = measure.curve(node.curves)
    value = curve.last if node.presence is Presence.UP else None
    left = Text(f"{measure.title} ", _MUTED)
    left.append("–" if value is None else measure.text(value), "not dim")
    caption.show([(left, Text(f"of {measure.text(scaled.scale)}", _MUTED))])
    # The bucket that is not full yet is left out: so a chart changes when time has moved on, not with every frame.
    chart.paint(
        curve.values[:-1],
        first=curve.first,
        scale=scaled.scale,
        alarm=measure.alarm(node),
        at_least=round(MINUTE_S / curve.bucket_s),
    )


def _together(rows: tuple[BeatRow, ...]) -> tuple[BeatRow, ...]:
    """Return one row for all: of a follower the leader's, of a leader the worst of each moment."""
    following = next((row for row in rows if row.follows), None)
    if following is not None:
        return (following,)
    base = rows[0]
    leading = [row for row in rows if row.leads]
    cells = bytes(max(column) for column in zip(*(row.cells for row in leading or rows), strict=True))
    rtts = [row.rtt_us for row in leading if row.rtt_us is not None]
    missed = sum(row.missed for row in leading)
    together = replace(
        base,
        other_name="all",
        cells=cells,
        leads=bool(leading),
        follows=False,
        missed=missed,
        rtt_us=max(rtts, default=None),
    )
    return (together,)


def _paint_strip(strip: HeartbeatStrip, row: BeatRow, *, of_many: bool, wide: bool) -> None:
    direction = "→" if row.leads else "←" if row.follows or of_many else "·"
    note = ""
    if row.missed:
        note = f"{row.missed} missed" if wide else f"×{row.missed}"
    elif row.rtt_us is not None:
        note = milliseconds(row.rtt_us / 1000)
    strip.paint(
        row.cells,
        first=row.first,
        label=f"{direction} {plain(row.other_name, 3)}",
        note=note.rjust(_WIDE_NOTE_CELLS if wide else _NOTE_CELLS),
        alarm=bool(row.missed),
        at_least=round(MINUTE_S / row.bucket_s),
    )
