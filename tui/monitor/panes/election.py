"""The tab Election."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.monitor.pane import MonitorPane

if TYPE_CHECKING:
    from tui.monitor.model import Model


class ElectionPane(MonitorPane):
    """Under construction: whoever builds this tab replaces this file."""

    def paint(self, model: Model, now: float) -> None:
        """Show nothing yet."""
