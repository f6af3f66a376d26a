"""The state machine of one node: its present role lit, its last transition marked, and in words why it was taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.containers import Vertical
from textual.strip import Strip
from textual.widget import Widget

from node.roles import Role
from tui.common.wording import plain
from tui.monitor.model.events import reason
from tui.monitor.model.nodes import Presence
from tui.monitor.role_drawing import FULL_LINES, drawing, exits
from tui.monitor.widgets.palette import Palette, badge, badge_colour
from tui.monitor.widgets.text_lines import TextLines
from tui.monitor.wording import lasting

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult

    from tui.monitor.model.nodes import NodeData, RoleChange
    from tui.monitor.role_drawing import Cell, Edge

_WIDE_CELLS: Final = 60
"""Narrower than this, the reason of a transition is worth more than its time."""
_HEAVY: Final = str.maketrans("─│┼", "━┃╋")


class RoleDiagram(Widget):
    """The roles and the arrows between them. Full size where the height allows it, compact else."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rolediagram--box",
        "rolediagram--past",
        "rolediagram--edge",
        "rolediagram--exit",
        "rolediagram--taken",
    }
    DEFAULT_CSS = """
    RoleDiagram {
        height: 1fr; width: 1fr;
        & > .rolediagram--box { background: $panel; color: $foreground; }
        & > .rolediagram--past { background: $foreground 25%; color: $foreground; text-style: bold; }
        & > .rolediagram--edge { color: $foreground 35%; }
        & > .rolediagram--exit { color: $foreground 80%; }
        & > .rolediagram--taken { color: $accent; text-style: bold; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[Role | None, bool, Edge | None] = (None, False, None)

    def paint(self, role: Role | None, taken: Edge | None, *, present: bool) -> None:
        """Light a role, as the present one or as the last that is known, and mark the arrow that was taken last."""
        if self._shown != (role, present, taken):
            self._shown = role, present, taken
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one row of the drawing."""
        width = self.size.width
        rows = drawing(width, full=self.size.height >= FULL_LINES)
        if y >= len(rows):
            return Strip.blank(width, self.rich_style)
        margin = (width - len(rows[y])) // 2
        segments = [Segment(" " * margin, self.rich_style), *(self._segment(cell) for cell in rows[y])]
        return Strip(Segment.simplify(segments)).adjust_cell_length(width, self.rich_style)

    def _segment(self, cell: Cell) -> Segment:
        role, present, taken = self._shown
        if cell.role is not None:
            return Segment(cell.char, self._box_style(cell.role))
        if not cell.edges:
            return Segment(cell.char, self.rich_style)
        if taken is not None and taken in cell.edges:
            return Segment(cell.char.translate(_HEAVY), self._style("taken"))
        leaves = present and any(source is role for source, _ in cell.edges)
        return Segment(cell.char, self._style("exit" if leaves else "edge"))

    def _box_style(self, of: Role) -> Style:
        role, present, _ = self._shown
        if of is not role:
            return self._style("box")
        palette = Palette.of(self.app)
        return palette.inverse(badge_colour(of.value, palette)) if present else self._style("past")

    def _style(self, part: str) -> Style:
        return self.get_component_rich_style(f"rolediagram--{part}")


@dataclass(frozen=True, slots=True)
class RolePanelData:
    """A node, and the present in seconds of the monitor's clock."""

    node: NodeData
    now: float


class RolePanel(Vertical):
    """Title, diagram, and lines about the last transition and those that can come."""

    DEFAULT_CSS = """
    RolePanel {
        & > .title { height: 1; background: $panel; padding: 0 1; }
        & > RoleDiagram { margin: 0 1; }
        & > .notes { height: 1; padding: 0 1; }
    }
    """

    def compose(self) -> ComposeResult:
        """Compose the parts."""
        yield TextLines(classes="title")
        yield RoleDiagram()
        yield TextLines(classes="notes")

    def paint(self, data: RolePanelData, time_of_day: Callable[..., str]) -> None:
        """Show a node. `time_of_day` puts a moment of the monitor's clock into words."""
        node, palette = data.node, Palette.of(self.app)
        role = None if node.state is None else Role(node.state.standing.role)
        change = node.role_change
        present = node.presence is Presence.UP
        self.query_one(".title", TextLines).show([_title(data, palette, time_of_day)])
        self.query_one(RoleDiagram).paint(role, _edge(change), present=present)
        notes = self.query_one(".notes", TextLines)
        wide = notes.size.width >= _WIDE_CELLS
        lines: list[Text | tuple[Text, Text]] = [_change_line(change, data.now, palette, time_of_day, wide=wide)]
        if role is not None:
            for line in _exit_lines(role, palette):
                lines += line.wrap(self.app.console, max(1, notes.size.width))
        notes.show(lines)


def _edge(change: RoleChange | None) -> Edge | None:
    return None if change is None else (Role(change.previous), Role(change.role))


def _title(data: RolePanelData, palette: Palette, time_of_day: Callable[..., str]) -> tuple[Text, Text]:
    node = data.node
    left = Text("")
    left.append(f"{plain(node.name, 16)} ", "bold")
    for word in node.badges:
        left.append_text(badge(word, palette))
        left.append(" ")
    if node.presence is Presence.DOWN and node.silent_s is not None:
        return left, Text(f"for {lasting(node.silent_s)}", palette.bad)
    if node.presence is Presence.DEAF:
        return left, Text(f"hears again in {lasting(node.deaf_s)}", palette.secondary)
    if node.state is None:
        return left, Text("")
    if node.state.standing.leader is None:
        return left, Text("knows of no leader", palette.warning)
    if node.leader_since is None:
        return left, Text("")
    verb = "leads" if node.state.standing.role == "leader" else f"follows {plain(node.leader_name, 16)}"
    return left, Text(f"{verb} since {time_of_day(node.leader_since)}", palette.muted)


def _change_line(
    change: RoleChange | None, now: float, palette: Palette, time_of_day: Callable[..., str], *, wide: bool
) -> Text | tuple[Text, Text]:
    if change is None:
        return Text("It has told of no change of its role.", palette.muted)
    line = Text("")
    line.append(f"{change.previous} → {change.role}", palette.accent + palette.bold)
    line.append(f": {reason(change.why)}")
    line.append(f", term {change.term}", palette.muted)
    if not wide:
        return line
    return line, Text(f"{time_of_day(change.at, tenths=True)}  {lasting(now - change.at)} ago", palette.muted)


def _exit_lines(role: Role, palette: Palette) -> list[Text]:
    """Return what can happen to the present role, a line for each role that it leads to."""
    lines: list[Text] = []
    for target, reasons in exits(role):
        line = Text("")
        line.append("stays" if target is role else f"→ {target.value}", palette.bold)
        line.append(f" on {', '.join(reasons)}", palette.muted)
        lines.append(line)
    return lines
