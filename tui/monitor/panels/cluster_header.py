"""The cluster's sentence: who leads since when, whether the directory answers, how much is asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from tui.common.wording import counted, plain, size
from tui.monitor.model.cluster import ClusterData, ClusterState
from tui.monitor.widgets.palette import Palette
from tui.monitor.widgets.text_lines import TextLines
from tui.monitor.wording import lasting, milliseconds, per_second, thousands

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tui.monitor.recorder import Recorder

_GAP: Final = "  "
_WIDE_CELLS: Final = 100
_LONG_S: Final = 4.0
"""Who has heard nobody by then is told what may be the matter: nodes do not answer strangers at all."""


class ClusterHeader(TextLines):
    """Two lines: the leadership, and the figures."""

    DEFAULT_CSS = "ClusterHeader { height: 2; background: $panel; padding: 0 1; }"

    def paint(
        self,
        data: ClusterData,
        now: float,
        time_of_day: Callable[[float], str],
        *,
        recorder: Recorder | None = None,
        replayed: bool = False,
    ) -> None:
        """Show the cluster. `time_of_day` puts a moment of the monitor's clock into words."""
        palette = Palette.of(self.app)
        wide = self.size.width >= _WIDE_CELLS
        leadership, figures = _leadership(data, now, time_of_day, palette), _figures(data, palette, wide=wide)
        if data.state is ClusterState.LOOKING and now >= _LONG_S:
            figures = [Text("None answers so far. Do they run,"), Text(" and do they know your key as an operator's?")]
        rights = _right(data, palette, recorder, replayed=replayed), _simulation(data, palette)
        self.show(
            [
                (_as_fits(parts, self.size.width - right.cell_len - 1), right)
                for parts, right in zip((leadership, figures), rights, strict=True)
            ]
        )


def _as_fits(parts: Sequence[Text], room: int) -> Text:
    """Return the first parts as one line, as many as there is room for and never half of one; the first in any case."""
    line = parts[0].copy()
    for part in parts[1:]:
        if line.cell_len + part.cell_len > room:
            break
        line.append_text(part)
    return line


def _leadership(data: ClusterData, now: float, time_of_day: Callable[[float], str], palette: Palette) -> list[Text]:
    """Return the sentence in parts, what matters most first."""
    since = None if data.since is None else f"since {time_of_day(data.since)}"
    lasts = "" if data.since is None else lasting(now - data.since)
    match data.state:
        case ClusterState.LED:
            first = Text.assemble(("● ", palette.good), (f"{plain(data.leader_name, 24)} leads", "bold"))
            lasting_so = [] if since is None else [Text(f"{_GAP}{since}"), Text(f"{_GAP}({lasts})")]
            return [first, Text(f"{_GAP}term {data.term}", "bold"), *lasting_so]
        case ClusterState.LEADERLESS:
            first = Text.assemble(("◌ ", palette.warning), (f"No leader for {lasts}", palette.warning + palette.bold))
            fate = [Text(f"{_GAP}{plain(data.leader_name, 24)} {data.former_fate}")] if data.former_fate else []
            return [first, *fate, Text(f"{_GAP}{_prospect(data)}")]
        case ClusterState.SILENT:
            first = Text.assemble(
                ("○ ", palette.bad), (f"Nothing answers {since}{_GAP}({lasts})", palette.bad + palette.bold)
            )
            trying = Text(f"{_GAP}Trying again"), Text(" by itself"), Text("; below is what was heard last.")
            return [first, *trying]
        case _:
            return [Text.assemble(("◌ ", palette.warning), (f"Looking for {counted(data.nodes, 'node')}…", "bold"))]


def _prospect(data: ClusterData) -> str:
    if data.electing:
        return f"{', '.join(plain(name, 16) for name in data.electing)} electing"
    if data.directory.missed_by and not data.directory.ok:
        return "nobody can lead without the directory"
    return f"term {data.term}"


def _right(data: ClusterData, palette: Palette, recorder: Recorder | None, *, replayed: bool) -> Text:
    line = Text()
    if replayed:
        line.append("REPLAY", palette.accent + palette.bold)
        line.append(_GAP)
    elif recorder is not None:
        if recorder.trouble:
            line.append("recording ended", palette.warning)
        else:
            line.append(f"● REC {size(recorder.written_bytes)}", palette.bad)
        line.append(_GAP)
    up = f"{data.nodes_up} of {counted(data.nodes, 'node')} up"
    complete = data.nodes_up == data.nodes
    line.append(up, palette.good if complete else palette.warning if data.nodes_up else palette.bad)
    return line


def _figures(data: ClusterData, palette: Palette, *, wide: bool) -> list[Text]:
    parts = [
        _directory(data, palette),
        Text(f"{_GAP}{counted(data.clients, 'client')}"),
        Text(f"{_GAP}{thousands(data.requests_done)} requests {per_second(data.requests_per_s)}"),
        Text(f"{_GAP}{thousands(data.refused)} refused", "" if data.refused else palette.muted),
        Text(f"{_GAP}{thousands(data.failed)} given back", palette.warning if data.failed else palette.muted),
    ]
    if wide and data.policy:
        parts.append(Text(f"{_GAP}policy {plain(data.policy, 16)}", palette.muted))
    return parts


def _directory(data: ClusterData, palette: Palette) -> Text:
    line = Text()
    directory = data.directory
    if directory.ok:
        line.append(f"{plain(directory.engine, 12)} {milliseconds(directory.latency_ms)}")
        if directory.missed_by:
            line.append(f" (not {', '.join(name for name, _ in directory.missed_by)})", palette.warning)
    elif directory.missed_by:
        what = "cannot be written" if len(directory.unwritable) == len(directory.missed_by) else "does not answer"
        line.append(f"{plain(directory.engine, 12)} {what}", palette.bad + palette.bold)
    else:
        line.append("directory –", palette.muted)
    return line


def _simulation(data: ClusterData, palette: Palette) -> Text:
    if data.token is None:
        return Text("")
    return Text(f"token: {plain(data.token, 16)} {lasting(data.token_s)}", palette.secondary)
