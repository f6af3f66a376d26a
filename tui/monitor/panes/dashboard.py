"""The tab Dashboard: the nodes side by side, on one scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType
from textual.containers import Grid, VerticalScroll

from tui.monitor.pane import MonitorPane
from tui.monitor.panels.node_panel import MEASURES, NodePanel, NodePanelData, Scaled

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.geometry import Size

    from tui.monitor.model import Model
    from tui.monitor.node_index import NodeIndex

LEAST_CELLS: Final = 25
"""Narrower than this a panel tells nothing."""
GOOD_CELLS: Final = 38


def columns_for(width: int, nodes: int) -> int:
    """Return how many panels stand side by side: all of them if that leaves each readable, else a good width each."""
    if width // LEAST_CELLS >= nodes:
        return max(1, nodes)
    return max(1, min(nodes, width // GOOD_CELLS))


class DashboardPane(MonitorPane):
    """A panel for each node. The monitor begins with it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "measure", "Measure", id="dashboard.measure", tooltip="Chart load, requests or processor instead"),
    ]

    def __init__(self, node_index: NodeIndex, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id, opened=True)
        self._count = len(node_index.nodes)
        self._panels = [NodePanel(place, self._count) for place in node_index.places]
        self._grid = Grid(*self._panels, id="node-grid")
        self._measure = 0

    def contents(self) -> ComposeResult:
        """Compose the grid."""
        with VerticalScroll(id="nodes", can_focus=False):
            yield self._grid

    def paint(self, model: Model, now: float) -> None:
        """Show every node."""
        nodes = model.nodes(now)
        measures = MEASURES[self._measure :] + MEASURES[: self._measure]
        charts = tuple(Scaled(measure, measure.scale(nodes)) for measure in measures)
        for panel in self._panels:
            panel.paint(NodePanelData(nodes[panel.place], charts))

    @property
    def chosen_place(self) -> int | None:
        """The node whose panel has the focus."""
        return next((panel.place for panel in self._panels if panel is self.screen.focused), None)

    def take_focus(self) -> None:
        """The first node's panel."""
        self.screen.set_focus(self._panels[0])

    def fit(self, size: Size) -> None:
        """Share out the width."""
        columns = columns_for(size.width, self._count)
        rows = -(-self._count // columns)
        self._grid.styles.grid_size_columns = columns
        self._grid.set_class(rows * 14 <= size.height, "-fill")

    def action_measure(self) -> None:
        """Chart the next measure."""
        self._measure = (self._measure + 1) % len(MEASURES)
        self.monitor.repaint()
