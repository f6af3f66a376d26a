"""The dialogs of orders: the menu of all, the question before one, and the choice of the policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.widgets import Button, Label, Static

from tui.common.dialog import Dialog
from tui.common.rowlist import Column, RowList
from tui.common.wording import plain
from tui.monitor.order_words import POLICIES, POLICY_MEANINGS, plan, policy_name
from tui.monitor.orders import ON_A_NODE, OrderKind, order_for
from tui.monitor.widgets.palette import Palette, badge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual import events
    from textual.widget import Widget

    from tui.monitor.model.nodes import NodeData
    from tui.monitor.order_words import Plan, Situation
    from tui.monitor.orders import Order, OrderKind


@dataclass(frozen=True, slots=True)
class Choice:
    """One order: the action that asks for it, its key as it is pressed and as it is shown, and its words."""

    action: str
    key: str
    shown: str
    name: str
    what: str


class OrderMenu(Dialog[str]):
    """Asks which order it shall be; the result is its action. Nothing is ordered before it is confirmed."""

    HEADING = "Orders to the nodes"
    ACCEPT = "Go on…"

    def __init__(self, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._choices = tuple(choices)

    def body(self) -> Iterable[Widget]:
        """Return the list."""
        orders: RowList[Choice] = RowList(
            (Column("key", "", 3), Column("name", "", 13), Column("what", "")),
            key=lambda choice: choice.action,
            cells=self._cells,
            id="orders",
        )
        orders.styles.height = len(self._choices)
        yield orders

    def _cells(self, choice: Choice) -> Sequence[Text | str]:
        return Text(choice.shown, Palette.of(self.app).accent), Text(choice.name, "bold"), choice.what

    @property
    def _orders(self) -> RowList[Choice]:
        return self.query_one("#orders", RowList)

    def on_mount(self) -> None:
        """Show the choices."""
        self._orders.set_rows(self._choices)
        self._orders.focus()

    def on_key(self, event: events.Key) -> None:
        """The key of an order chooses it here too, and as nothing else goes by letters, a small one does as well."""
        for choice in self._choices:
            if event.key in (choice.key, choice.key.lower()):
                event.stop()
                self.dismiss(choice.action)
                return

    @on(RowList.Selected, "#orders")
    def _chosen(self, event: RowList.Selected) -> None:
        event.stop()
        self.action_accept()

    def result(self) -> str | None:
        """Return the action under the cursor."""
        choice = self._orders.current
        return None if choice is None else choice.action


_MOST_ROWS: Final = 6
_NAME_CELLS: Final = 32


class OrderDialog(Dialog["Order"]):
    """Asks whether an order shall be given. Cancel has the focus.

    `place` is the node at first; the person can choose another one where the order is about a single node. What is said
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

    def __init__(self, kind: OrderKind, place: int, situation: Situation) -> None:
        super().__init__()
        self.kind = kind
        self._place = place
        self._situation = situation

    def heading(self) -> str:
        """Return the question."""
        return self._plan.heading

    def body(self) -> Iterable[Widget]:
        """Return the nodes to choose from, what the order does, and what it costs."""
        if self.kind in ON_A_NODE:
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
        return plan(self.kind, self._situation.nodes[self._place], self._situation)

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
        return order_for(self.kind, self._situation.nodes[self._place].name)


def _looks(node: NodeData) -> object:
    return node.badges, node.rank


class PolicyDialog(Dialog["Order"]):
    """Asks for the policy. It begins at `chosen`, else at the one that holds, which cannot be ordered again."""

    HEADING = "How shall the leader choose who serves a request?"
    DEFAULT_CSS = """
    PolicyDialog {
        & RowList { height: 3; margin-bottom: 1; }
        & .does { height: 2; }
    }
    """

    def __init__(self, situation: Situation, chosen: str = "") -> None:
        super().__init__()
        self._situation = situation
        self._chosen = chosen or situation.cluster.policy

    def body(self) -> Iterable[Widget]:
        """Return the policies, and what the chosen one means."""
        yield RowList(
            (Column("name", ""), Column("holds", "", 10)),
            key=str,
            cells=self._cells,
            id="policies",
        )
        yield Static("", markup=False, classes="text does")
        yield Static(
            "It holds for the whole cluster from the next request on, whoever leads. Nothing under way is moved.",
            markup=False,
            classes="text costs",
        )

    def _cells(self, policy: str) -> Sequence[Text | str]:
        holds = policy == self._situation.cluster.policy
        return policy_name(policy), Text("● present" if holds else "", Palette.of(self.app).good)

    @property
    def _policies(self) -> RowList[str]:
        return self.query_one("#policies", RowList)

    def on_mount(self) -> None:
        """Show the policies, and put the focus where one is chosen."""
        self._policies.set_rows(tuple(POLICIES))
        self._policies.select_key(self._chosen)
        self._say()
        self._policies.focus()

    def paint(self, situation: Situation) -> None:
        """Show which policy holds now."""
        changed = situation.cluster.policy != self._situation.cluster.policy
        self._situation = situation
        if changed:
            self._policies.redraw()
        self._say()

    def _say(self) -> None:
        policy = self._policies.current or self._chosen
        holds = policy == self._situation.cluster.policy
        self.query_one(".does", Static).update(POLICY_MEANINGS.get(policy, ""))
        accept = self.query_one("#accept", Button)
        accept.label = "Holds already" if holds else "Choose it"
        accept.disabled = holds

    @on(RowList.Highlighted, "#policies")
    def _moved(self, event: RowList.Highlighted) -> None:
        event.stop()
        self._say()

    @on(RowList.Selected, "#policies")
    def _chosen_for_good(self, event: RowList.Selected) -> None:
        """Go on to the buttons: nothing is ordered by one Enter too many."""
        event.stop()
        accept = self.query_one("#accept", Button)
        (self.query_one("#cancel", Button) if accept.disabled else accept).focus()

    def result(self) -> Order | None:
        """Return the order, which any node takes; None if that policy holds already."""
        policy = self._policies.current
        if policy is None or policy == self._situation.cluster.policy:
            return None
        return order_for(OrderKind.POLICY, self._situation.contact_node.name, policy=policy)
