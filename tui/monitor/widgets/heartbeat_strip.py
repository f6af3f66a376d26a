"""One line that shows the heartbeats of the last minute between two nodes: sent, answered, heard, missed."""

from __future__ import annotations

from enum import IntEnum
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar, Final

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from tui.monitor.widgets.binning import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style


class Mark(IntEnum):
    """What one stretch of time shows; the higher one is seen where several fall into one cell."""

    NOTHING = 0
    PULSE = 1
    SENT = 2
    ACKED = 3
    HEARD = 4
    MISSED = 5


_LOOKS: Final = {
    Mark.NOTHING: (" ", "nothing"),
    Mark.PULSE: ("·", "pulse"),
    Mark.SENT: ("╎", "sent"),
    Mark.ACKED: ("│", "acked"),
    Mark.HEARD: ("│", "heard"),
    Mark.MISSED: ("×", "missed"),
}
LEGEND: Final = "│ heartbeat heard or answered  × missed  · pulse between followers"


class HeartbeatStrip(Widget):
    """Marks for the last minute, newest on the right, between a label on the left and a note on the right."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"heartbeatstrip--{part}" for _, part in _LOOKS.values()} | {
        "heartbeatstrip--label",
        "heartbeatstrip--note",
        "heartbeatstrip--alarm",
    }
    DEFAULT_CSS = """
    HeartbeatStrip {
        height: 1; width: 1fr;
        & > .heartbeatstrip--pulse { color: $foreground 40%; }
        & > .heartbeatstrip--sent { color: $warning; }
        & > .heartbeatstrip--acked { color: $success; }
        & > .heartbeatstrip--heard { color: $success; }
        & > .heartbeatstrip--missed { color: $error; text-style: bold; }
        & > .heartbeatstrip--label { color: $foreground 70%; }
        & > .heartbeatstrip--note { color: $foreground 70%; }
        & > .heartbeatstrip--alarm { color: $error; }
    }
    """

    def __init__(
        self,
        *,
        label_cells: int = 5,
        id: str | None = None,  # noqa: A002 - as every widget has it
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._label_cells = label_cells
        self._looks: dict[str, Style] = {}
        self._shown: tuple[int, bytes, int | None, str, str, bool] = (0, b"", None, "", "", False)

    def paint(
        self,
        marks: Sequence[int],
        *,
        first: int,
        label: str,
        note: str = "",
        alarm: bool = False,
        at_least: int | None = None,
    ) -> None:
        """Show marks (see `Mark`), oldest first, of which the oldest has the number `first`.

        The newest `at_least` of them (None: all) are seen at any width. Label and note are plain texts of this
        program's; `alarm` says that the note is bad news. Notes of one length keep strips below each other in line.
        """
        shown = (first, bytes(marks), at_least, label, note, alarm)
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return the line."""
        width = self.size.width
        if y:
            return Strip.blank(width, self.visual_style.rich_style)
        first, marks, at_least, label, note, alarm = self._shown
        room = max(0, width - self._label_cells - len(note))
        segments = [Segment(label[: self._label_cells].ljust(self._label_cells), self._style("label"))]
        seen = [max(column, default=Mark.NOTHING) for column in columns(first, marks, room, at_least)]
        for mark, run in groupby(seen):
            glyph, part = _LOOKS[Mark(mark)]
            segments.append(Segment(glyph * len(list(run)), self._style(part)))
        segments.append(Segment(note, self._style("alarm" if alarm else "note")))
        return Strip(segments).adjust_cell_length(width, self.visual_style.rich_style)

    def notify_style_update(self) -> None:
        """Forget the colours."""
        super().notify_style_update()
        self._looks.clear()

    def _style(self, part: str) -> Style:
        if part not in self._looks:
            self._looks[part] = self.get_component_rich_style(f"heartbeatstrip--{part}")
        return self._looks[part]
