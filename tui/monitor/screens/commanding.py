"""The operator's hands: keys and palette entries for orders, each confirmed, and the word of what others ordered."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen

from shared.errors import GlimpseError
from tui.common.dialog import is_shown
from tui.common.wording import counted, plain
from tui.common.working import work
from tui.monitor.dialogs.last_actions import LastActions
from tui.monitor.dialogs.orders import Choice, OrderDialog, OrderMenu, PolicyDialog
from tui.monitor.order_words import POLICIES, Situation, done, drains, first_choice, objection, plan, record_line, to_do
from tui.monitor.orders import DEAF_S, NOBODY, ON_A_NODE, Announcing, OrderBook, OrderKind
from tui.monitor.pane import monitor_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.monitor.model import Model
    from tui.monitor.orders import Order
    from tui.monitor.pane import Monitor
    from tui.monitor.source import FeedSource

MOST_TOLD: Final = 3
"""Actions of others that are told one by one at a time; of more, only how many."""
_GROUP: Final = "order"


class CommandingScreen(Screen[None]):
    """What the main screen does beside showing things. Sub-classes say which node is chosen, and call `heed`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "orders", "Orders…", id="orders.menu", tooltip="All that can be ordered of the nodes"),
        Binding(
            "D",
            "order('deaf')",
            "Deaf",
            id="orders.deaf",
            show=False,
            tooltip=f"Make a node deaf for {DEAF_S} s, as if it were cut off",
        ),
        Binding(
            "T",
            "token",
            "Token",
            id="orders.token",
            show=False,
            tooltip="Make one node after the other deaf, or stop that",
        ),
        Binding(
            "R",
            "drain",
            "Drain",
            id="orders.drain",
            show=False,
            tooltip="Have a node stand aside, or come back into line",
        ),
        Binding(
            "S",
            "order('step_down')",
            "Step down",
            id="orders.step_down",
            show=False,
            tooltip="Have the leader give up, and another one elected",
        ),
        Binding("L", "order('lead')", "Lead", id="orders.lead", show=False, tooltip="Ask a node to take leadership"),
        Binding(
            "P",
            "policy",
            "Policy",
            id="orders.policy",
            show=False,
            tooltip="Choose how it is decided who serves a request",
        ),
        Binding(
            "A",
            "last_actions",
            "Last actions",
            id="orders.last",
            show=False,
            tooltip="See what was ordered, and whose logs have it",
        ),
    ]

    class Given(Message, bubble=False):
        """From the worker: how an order ended."""

        def __init__(self, order: Order, error: GlimpseError | None) -> None:
            super().__init__()
            self.order = order
            self.error = error

    def __init__(self, source: FeedSource) -> None:
        super().__init__()
        self._source = source
        self._orders = None if source.operator is None else OrderBook(source.operator)
        self._announcing = Announcing()

    @property
    def monitor(self) -> Monitor:
        """The program that this screen belongs to."""
        return monitor_of(self.app)

    @property
    def chosen_place(self) -> int | None:
        """The node that the person has chosen on the tab that is seen; None if they have chosen none."""
        return None

    # --- Painting ----------------------------------------------------------------------------------------------------
    def heed(self, model: Model, now: float) -> None:
        """Say what other operators did, and keep an open dialog up to date. To be called with every paint."""
        self._announce(model, now)
        dialog = self.app.screen
        if not is_shown(dialog):
            return
        if isinstance(dialog, OrderDialog | PolicyDialog):
            dialog.paint(_situation(model, now))
        elif isinstance(dialog, LastActions):
            dialog.paint(model.actions.newest_first())

    def _announce(self, model: Model, now: float) -> None:
        news = [
            action.record
            for action in self._announcing.news(model, now, self._source.wall_offset_s)
            if self._orders is None or not self._orders.caused(action.record, now)
        ]
        for record in news[:MOST_TOLD]:
            self.monitor.tell(record_line(record), title="Operator", warning=not record.obeyed)
        if len(news) > MOST_TOLD:
            more = counted(len(news) - MOST_TOLD, "more action")
            self.monitor.tell(f"{more} of operators; press A to see them.", title="Operator")

    # --- Asking ------------------------------------------------------------------------------------------------------
    def action_orders(self) -> None:
        """Show all orders with their keys."""
        if self._may_order():
            self.app.push_screen(OrderMenu(tuple(self._choices())), self._ask_from_menu)

    def _choices(self) -> Iterator[Choice]:
        for active in self.active_bindings.values():
            binding = active.binding
            if active.node is self and binding.id and binding.id.startswith("orders.") and binding.id != "orders.menu":
                shown = self.app.get_key_display(binding)
                yield Choice(binding.action, binding.key, shown, binding.description, binding.tooltip)

    async def _ask_from_menu(self, action: str | None) -> None:
        if action is not None:
            await self.app.run_action(action, self)

    def action_order(self, kind: str, place: int | None = None) -> None:
        """Ask whether an order shall be given, to the node at a place if it is about one."""
        if not self._may_order():
            return
        situation, wanted = _situation(*self._source.step()), OrderKind(kind)
        if wanted is OrderKind.STEP_DOWN and situation.leader is None:
            self.monitor.tell("Nobody leads now, so nobody can step down.", warning=True)
            return
        chosen = self.chosen_place if place is None else place
        if wanted not in ON_A_NODE or chosen is None or (place is None and _is_needless(wanted, chosen, situation)):
            chosen = first_choice(wanted, situation).place
        self.app.push_screen(OrderDialog(wanted, chosen, situation), self._give)

    def action_token(self) -> None:
        """Stop the token if it goes round, else send it round."""
        if self._may_order():
            model, now = self._source.step()
            running = model.cluster(now).token is not None
            self.action_order(OrderKind.TOKEN_STOP if running else OrderKind.TOKEN_START)

    def action_drain(self) -> None:
        """Drain the chosen node, or undrain it if it drains."""
        if self._may_order():
            model, now = self._source.step()
            place = self.chosen_place
            draining = place is not None and drains(model.node(place, now))
            self.action_order(OrderKind.UNDRAIN if draining else OrderKind.DRAIN)

    def action_policy(self, policy: str = "") -> None:
        """Ask for the policy."""
        if self._may_order():
            self.app.push_screen(PolicyDialog(_situation(*self._source.step()), policy), self._give)

    def action_last_actions(self) -> None:
        """Show what operators did last."""
        self.app.push_screen(LastActions(self._source.node_index, self.monitor.time_of_day))
        self.call_after_refresh(self.monitor.repaint)

    def order_commands(self) -> Iterator[SystemCommand]:
        """Return the palette's entries for the nodes by name; none where nobody can be commanded."""
        if self._orders is None:
            return
        for place, node in enumerate(self._source.node_index.nodes):
            name = plain(node.name, 32)
            for kind, title in (
                (OrderKind.DEAF, f"Make {name} deaf for {DEAF_S} s…"),
                (OrderKind.DRAIN, f"Drain {name}…"),
                (OrderKind.UNDRAIN, f"Undrain {name}…"),
                (OrderKind.LEAD, f"Ask {name} to lead…"),
            ):
                yield SystemCommand(title, "An order, to be confirmed", partial(self.action_order, kind, place))
        for kind, title in (
            (OrderKind.TOKEN_START, "Send the token round…"),
            (OrderKind.TOKEN_STOP, "Stop the token…"),
            (OrderKind.STEP_DOWN, "Have the leader step down…"),
        ):
            yield SystemCommand(title, "An order, to be confirmed", partial(self.action_order, kind))
        for policy, name in POLICIES.items():
            choose = partial(self.action_policy, policy)
            yield SystemCommand(f"Choose the policy {name}…", "An order, to be confirmed", choose)

    def _may_order(self) -> bool:
        if self._orders is None:
            self.monitor.tell(NOBODY, warning=True)
        return self._orders is not None

    # --- Giving ------------------------------------------------------------------------------------------------------
    def _give(self, order: Order | None) -> None:
        """Give a confirmed order, unless the same one is under way."""
        if order is None or self._orders is None:
            return
        _, now = self._source.step()
        if not self._orders.begin(order, now):
            self.monitor.tell("The same order is under way already; wait for its answer.", warning=True)
            return
        work(self, partial(self._carry, self._orders, order), group=_GROUP)

    async def _carry(self, orders: OrderBook, order: Order) -> None:
        try:
            await orders.give(order)
        except GlimpseError as error:
            self.post_message(self.Given(order, error))
        else:
            self.post_message(self.Given(order, None))

    @on(Given)
    def _given(self, message: Given) -> None:
        order, error = message.order, message.error
        words = order.command, order.value, order.node
        if error is None:
            self.monitor.tell(f"You {done(*words)}.", title="Done")
        else:
            self.app.notify(
                objection(str(error)),
                title=f"Could not {to_do(*words)}",
                severity="error",
                markup=False,
                timeout=10,
            )


def _is_needless(kind: OrderKind, place: int, situation: Situation) -> bool:
    return bool(plan(kind, situation.nodes[place], situation).needless)


def _situation(model: Model, now: float) -> Situation:
    return Situation(model.cluster(now), model.nodes(now), model.node_index.timing.deaf_s)
