"""The line of a recording that is played: where it is, how fast, and the keys that move it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from tui.monitor.widgets.palette import Palette
from tui.monitor.widgets.text_lines import TextLines
from tui.monitor.wording import lasting

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual import events

    from tui.monitor.player import Player

_TRACK_LEFT: Final = 26
_TRACK_RIGHT: Final = 28
"""Room for `59 min 59 s of 59 min 59 s`, the longest there is."""


class ReplayBar(TextLines):
    """Shows and moves a player. A click on the track goes there."""

    DEFAULT_CSS = "ReplayBar { height: 1; background: $panel; padding: 0 1; }"

    def __init__(self, player: Player) -> None:
        super().__init__(id="replay")
        self.player = player

    def paint(self, time_of_day: Callable[[float], str]) -> None:
        """Show where the recording is."""
        player, palette = self.player, Palette.of(self.app)
        left = Text("▶ " if player.playing else "‖ ", palette.accent)
        left.append(time_of_day(player.position_s), "bold")
        left.append(f"  {player.speed:g}x".ljust(8))
        width = max(0, self.size.width - _TRACK_LEFT - _TRACK_RIGHT)
        if width:
            left.append(" " * max(0, _TRACK_LEFT - left.cell_len))
            left.append_text(self._track(width, palette))
        passed = player.position_s - player.start_s
        right = Text(f"{lasting(passed)} of {lasting(player.end_s - player.start_s)}")
        if player.going_to_s is not None:
            right = Text(f"going to {time_of_day(player.going_to_s)}: {player.indexed_share:.0%}", palette.accent)
        elif player.indexed_share < 1:
            right = Text(f"reading ahead {player.indexed_share:.0%}", palette.muted)
        elif player.ended and (end := player.recording.fault or ("cut off here" if player.recording.cut_off else "")):
            right = Text.assemble(f"{lasting(passed)}  ", (end, palette.warning))
        self.show([(left, right)])

    def _track(self, width: int, palette: Palette) -> Text:
        at = round(self._share() * (width - 1))
        track = Text("━" * at, palette.primary)
        track.append("●", palette.accent)
        track.append("─" * (width - 1 - at), palette.muted)
        return track

    def _share(self) -> float:
        length = self.player.end_s - self.player.start_s
        return (self.player.position_s - self.player.start_s) / length if length > 0 else 1.0

    def on_click(self, event: events.Click) -> None:
        """Go to the position on the track."""
        width = max(0, self.size.width - _TRACK_LEFT - _TRACK_RIGHT)
        offset = event.get_content_offset(self)
        if offset is None or not 0 <= offset.x - _TRACK_LEFT < width or width < 2:
            return
        share = (offset.x - _TRACK_LEFT) / (width - 1)
        self.player.seek(self.player.start_s + share * (self.player.end_s - self.player.start_s))
