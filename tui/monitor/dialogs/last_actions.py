"""What operators did last: when, who, what, whether it was obeyed, and which nodes have it in their audit logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual import on

from tui.common.rowlist import Column, RowList
from tui.common.wording import counted, plain
from tui.monitor.dialogs.details import Details
from tui.monitor.order_words import done, operator_name, record_line, to_do
from tui.monitor.widgets.palette import Palette
from tui.monitor.widgets.text_lines import TextLines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from textual.widget import Widget

    from tui.monitor.model.events import OperatorAction
    from tui.monitor.node_index import NodeIndex


class LastActions(Details):
    """Goes on showing them as they come."""

    DEFAULT_CSS = "LastActions #action-text { height: 3; }"

    def __init__(self, node_index: NodeIndex, time_of_day: Callable[[float], str]) -> None:
        super().__init__()
        self._node_index = node_index
        self._time_of_day = time_of_day
        self._shown: tuple[OperatorAction, ...] | None = None

    def body(self) -> Iterable[Widget]:
        """Return the list."""
        yield RowList(
            (
                Column("time", "Time", 8),
                Column("operator", "Operator", 20, hide_below=80),
                Column("what", "What"),
                Column("result", "Result", 10),
                Column("logged", "In the logs of", 14, hide_below=60),
            ),
            key=_key,
            cells=self._cells,
            empty="No operator has ordered anything, as far as the nodes still know.",
            id="last-actions",
        )
        yield TextLines(id="action-text")

    def _cells(self, action: OperatorAction) -> Sequence[Text | str]:
        palette, record = Palette.of(self.app), action.record
        logged = ", ".join(plain(self._node_index.name(place), 16) for place in sorted(action.logged_by))
        if action.logged_by >= set(self._node_index.places):
            logged = "all nodes"
        elif not record.obeyed:
            logged = f"{logged} only" if len(action.logged_by) == 1 else logged
        result = Text("✓ obeyed", palette.good)
        if not record.obeyed:
            result = Text("✗ refused", palette.warning)
        words = done if record.obeyed else to_do
        return (
            Text(self._time_of_day(action.at), palette.muted),
            operator_name(record.operator),
            Text(words(record.order, record.value, record.node), "bold"),
            result,
            logged,
        )

    def on_mount(self) -> None:
        """Put the focus on the list."""
        self.query_one(RowList).focus()

    def paint(self, actions: tuple[OperatorAction, ...]) -> None:
        """Show these, the newest first."""
        if actions != self._shown:
            self._shown = actions
            self.head(Text("Last actions of operators"), Text(counted(len(actions), "action"), "dim"))
            rows: RowList[OperatorAction] = self.query_one(RowList)
            rows.set_rows(actions)
            self._say()

    @on(RowList.Highlighted, "#last-actions")
    def _moved(self, event: RowList.Highlighted) -> None:
        event.stop()
        self._say()

    def _say(self) -> None:
        """Show the whole of the action under the cursor, which its row may have cut."""
        rows: RowList[OperatorAction] = self.query_one(RowList)
        block = self.query_one("#action-text", TextLines)
        if rows.current is None:
            block.show([])
        else:
            text = Text(record_line(rows.current.record))
            block.show(list(text.wrap(self.app.console, max(1, block.size.width))))


def _key(action: OperatorAction) -> str:
    return f"{action.record.node} {action.record.incarnation} {action.record.number}"
