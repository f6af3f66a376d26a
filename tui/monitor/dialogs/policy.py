"""Which node gets the next request: the policies, what each one means, and which one holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.widgets import Button, Static

from tui.common.dialog import Dialog
from tui.common.rowlist import Column, RowList
from tui.monitor.order_words import POLICIES, POLICY_MEANINGS, policy_name
from tui.monitor.orders import OrderKind, order_for
from tui.monitor.widgets.palette import Palette

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.widget import Widget

    from tui.monitor.order_plans import Situation
    from tui.monitor.orders import Order


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
