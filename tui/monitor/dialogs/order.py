"""The question before an order: what it will do to which node, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.widgets import Button, Label, Static

from tui.common.dialog import Dialog
from tui.common.rowlist import Column, RowList
from tui.common.wording import plain
from tui.monitor.order_plans import plan
from tui.monitor.orders import ON_A_NODE, order_for
from tui.monitor.widgets.badge import badge
from tui.monitor.widgets.palette import Palette

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.widget import Widget

    from tui.monitor.model.nodes import NodeData
    from tui.monitor.order_plans import Plan, Situation
    from tui.monitor.orders import Order, OrderKind

_MOST_ROWS: Final = 6
_NAME_CELLS: Final = 32


class OrderDialog(Dialog["Order"]):
    """Asks whether a deed shall be done. Cancel has the focus.

    `place` is the node at first; the person can choose another one where the deed is about a single node. What is said
    follows the cluster while the dialog is open, but never which node is meant.
    """

    DANGEROUS = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "node(-1)", "Node before", id="order.before", show=False),
        Binding("down", "node(1)", "Next node", id="order.next", show=False),
    ]
    DEFAULT_CSS = """
    OrderDialog {
        & .does { margin-bottom: 1; }
        & RowList { margin-bottom: 1; }
    }
    """

    def __init__(self, deed: OrderKind, place: int, situation: Situation) -> None:
        super().__init__()
        self.deed = deed
        self._place = place
        self._situation = situation

    def heading(self) -> str:
        """Return the question."""
        return self._plan.heading

    def body(self) -> Iterable[Widget]:
        """Return the nodes to choose from, what the order does, and what it costs."""
        if self.deed in ON_A_NODE:
            yield self._node_list()
        yield Static(self._plan.does, markup=False, classes="text does")
        yield Static(self._plan.costs, markup=False, classes="text costs")

    def _node_list(self) -> RowList[NodeData]:
        nodes: RowList[NodeData] = RowList(
            (Column("name", "Node"), Column("state", "State", 22), Column("line", "Line", 13, hide_below=50)),
            key=lambda node: str(node.place),
            cells=self._node_cells,
            id="order-nodes",
        )
        nodes.styles.height = 1 + min(_MOST_ROWS, len(self._situation.nodes))
        return nodes

    def _node_cells(self, node: NodeData) -> Sequence[Text | str]:
        palette = Palette.of(self.app)
        badges = Text(" ").join(badge(word, palette) for word in node.badges)
        line = {0: "leads", 1: "next in line"}.get(-1 if node.rank is None else node.rank, "")
        return Text(plain(node.name, _NAME_CELLS), "bold"), badges, line

    def on_mount(self) -> None:
        """Name the button, show the nodes, and put the focus where it does no harm."""
        super().on_mount()
        for nodes in self.query(RowList):
            nodes.set_rows(self._situation.nodes)
            nodes.select_key(str(self._place))
        self._say()

    def paint(self, situation: Situation) -> None:
        """Show what the order means as things stand now."""
        self._situation = situation
        for nodes in self.query(RowList):
            if [_looks(node) for node in nodes.rows] != [_looks(node) for node in situation.nodes]:
                nodes.set_rows(situation.nodes)
        self._say()

    def _say(self) -> None:
        said = self._plan
        self.query_one(".heading", Label).update(said.heading)
        self.query_one(".does", Static).update(said.does)
        self.query_one(".costs", Static).update(said.needless or said.costs)
        accept = self.query_one("#accept", Button)
        accept.label = Text(said.accept)
        accept.disabled = bool(said.needless)

    @property
    def _plan(self) -> Plan:
        return plan(self.deed, self._situation.nodes[self._place], self._situation)

    @on(RowList.Highlighted, "#order-nodes")
    def _chosen(self, event: RowList.Highlighted) -> None:
        event.stop()
        if event.row is not None and event.row.place != self._place:
            self._place = event.row.place
            self._say()

    @on(RowList.Selected, "#order-nodes")
    def _chosen_for_good(self, event: RowList.Selected) -> None:
        """Go on to the button: the person chose the node, and is asked once more."""
        event.stop()
        accept = self.query_one("#accept", Button)
        (self.query_one("#cancel", Button) if accept.disabled else accept).focus()

    def action_node(self, by: int) -> None:
        """Choose the next node, or the one before, without leaving the buttons."""
        for nodes in self.query(RowList):
            nodes.action_cursor(by)

    def result(self) -> Order | None:
        """Return the order; None where there is nothing to order."""
        if self._plan.needless:
            return None
        return order_for(self.deed, self._situation.nodes[self._place].name)


def _looks(node: NodeData) -> object:
    return node.badges, node.rank
