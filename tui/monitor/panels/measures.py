"""What the charts of the dashboard can show, each on a scale that all nodes share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tui.monitor.widgets.load_chart import nice_scale
from tui.monitor.wording import figure, thousands

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
