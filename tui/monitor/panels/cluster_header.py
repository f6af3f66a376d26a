"""The cluster's sentence: who leads since when, whether the directory answers, how much is asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from tui.client.wording import counted, plain, size
from tui.monitor.model.cluster import ClusterData, ClusterState
from tui.monitor.wording import lasting, milliseconds, per_second, thousands
from tui.widgets.palette import Palette
from tui.widgets.text_lines import TextLines

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.monitor.recorder import Recorder

_GAP: Final = "  "
_WIDE_CELLS: Final = 100


class ClusterHeader(TextLines):
    """Two lines: the leadership, and the figures."""

    DEFAULT_CSS = "ClusterHeader { height: 2; background: $panel; padding: 0 1; }"

    def paint(
        self, data: ClusterData, now: float, time_of_day: Callable[[float], str], *, recorder: Recorder | None = None,
        replayed: bool = False,
    ) -> None:  # fmt: skip
        """Show the cluster. `time_of_day` puts a moment of the monitor's clock into words."""
        palette = Palette.of(self.app)
        wide = self.size.width >= _WIDE_CELLS
        self.show(
            [
                (_leadership(data, now, time_of_day, palette), _right(data, palette, recorder, replayed=replayed)),
                (_figures(data, palette, wide=wide), _simulation(data, palette)),
            ]
        )


def _leadership(data: ClusterData, now: float, time_of_day: Callable[[float], str], palette: Palette) -> Text:
    line = Text()
    since = None if data.since is None else f"since {time_of_day(data.since)}"
    lasts = "" if data.since is None else lasting(now - data.since)
    match data.state:
        case ClusterState.LED:
            line.append("● ", palette.good)
            line.append(f"{plain(data.leader_name, 24)} leads", "bold")
            line.append(f"{_GAP}term {data.term}", "bold")
            if since is not None:
                line.append(f"{_GAP}{since}{_GAP}({lasts})")
        case ClusterState.LEADERLESS:
            line.append("◌ ", palette.warning)
            line.append(f"No leader for {lasts}", palette.warning + palette.bold)
            if data.former_fate:
                line.append(f"{_GAP}{plain(data.leader_name, 24)} {data.former_fate}")
            line.append(f"{_GAP}{_prospect(data)}")
        case ClusterState.SILENT:
            line.append("○ ", palette.bad)
            line.append(f"Nothing answers {since}{_GAP}({lasts})", palette.bad + palette.bold)
            line.append(f"{_GAP}Trying again by itself; below is what was heard last.")
        case _:
            line.append("◌ ", palette.warning)
            line.append(f"Looking for {counted(data.nodes, 'node')}…", "bold")
    return line


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


def _figures(data: ClusterData, palette: Palette, *, wide: bool) -> Text:
    line = Text()
    directory = data.directory
    if directory.ok:
        line.append(f"{plain(directory.engine, 12)} {milliseconds(directory.latency_ms)}")
        if directory.missed_by:
            line.append(f" (not {', '.join(name for name, _ in directory.missed_by)})", palette.warning)
    elif directory.missed_by:
        line.append(f"{plain(directory.engine, 12)} does not answer", palette.bad + palette.bold)
    else:
        line.append("directory –", palette.muted)
    line.append(f"{_GAP}{counted(data.clients, 'client')}")
    line.append(f"{_GAP}{thousands(data.requests_done)} requests {per_second(data.requests_per_s)}")
    refused = f"{thousands(data.refused)} refused"
    line.append(f"{_GAP}{refused}", "" if data.refused else palette.muted)
    line.append(f"{_GAP}{thousands(data.failed)} given back", palette.warning if data.failed else palette.muted)
    if wide and data.policy:
        line.append(f"{_GAP}policy {plain(data.policy, 16)}", palette.muted)
    return line


def _simulation(data: ClusterData, palette: Palette) -> Text:
    if data.token is None:
        return Text("")
    return Text(f"token: {plain(data.token, 16)} {lasting(data.token_s)}", palette.secondary)
