"""By which timers the next leader is found, in a few sentences beside the table that decides who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from tui.monitor.widgets.text_lines import TextLines
from tui.monitor.wording import lasting

if TYPE_CHECKING:
    from shared.config import Timing


class Timers(TextLines):
    """Says how long each step takes with the timers of this cluster."""

    DEFAULT_CSS = "Timers { height: 5; padding: 0 1; color: $text-muted; }"

    def paint(self, timing: Timing) -> None:
        """Show the timers."""
        text = Text(
            f"Every {1000 * timing.heartbeat_s:.0f} ms a heartbeat carries this table to all nodes. "
            f"A leader that is silent for {lasting(timing.suspect_s)} is suspected; {lasting(timing.lease_s)} after "
            "its last heartbeat its lease can be free, and the next in line claims it, "
            f"each further one {1000 * timing.rank_stagger_s:.0f} ms later."
        )
        self.show(list(text.wrap(self.app.console, max(1, self.size.width))))
