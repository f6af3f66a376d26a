"""The state machine of one node in full size, with everything that can happen to its present role."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from tui.common.wording import plain
from tui.monitor.dialogs.details import Details
from tui.monitor.panels.role_panel import RolePanel
from tui.monitor.widgets.palette import Palette

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.widget import Widget

    from tui.monitor.panels.role_panel import RolePanelData


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
