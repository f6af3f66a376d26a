"""Orders to the nodes: what can be ordered, the way through which it goes, and what other operators ordered.

An order is under way once at a time. What it means for people, and its words, are in `tui.monitor.order_words`."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import TYPE_CHECKING, Final, Protocol

from shared.errors import Unavailable

if TYPE_CHECKING:
    from shared.wire.node_messages import AuditRecord
    from tui.monitor.model import Model
    from tui.monitor.model.events import OperatorAction

DEAF_S: Final = 20
EXPECTED_FOR_S: Final = 30.0
"""How long the record of an own order is waited for; it usually comes with the answer."""
NOBODY: Final = "A recording has nobody to command; open the monitor without --replay to give orders."


class OrderKind(StrEnum):
    """What an operator can have done from the monitor. The value names it in key bindings."""

    DEAF = "deaf"
    TOKEN_START = "token_start"  # noqa: S105 - the token of the failure simulation
    TOKEN_STOP = "token_stop"  # noqa: S105
    DRAIN = "drain"
    UNDRAIN = "undrain"
    STEP_DOWN = "step_down"
    LEAD = "lead"
    POLICY = "policy"


ON_A_NODE: Final = (OrderKind.DEAF, OrderKind.DRAIN, OrderKind.UNDRAIN, OrderKind.LEAD)
"""Orders for which a node is chosen; step down concerns the leader, the others the whole cluster."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order to one node, as `OperatorCommand` has it."""

    node: str
    command: str
    number: float = 0.0
    text: str = ""

    @property
    def value(self) -> str:
        """What the node writes to its audit log beside the order's name."""
        return f"{self.number:g}" if self.command == "deaf" else self.text


def order_for(kind: OrderKind, node: str, *, policy: str = "") -> Order:
    """Return the order of a kind to a node; one for the whole cluster, any node takes."""
    match kind:
        case OrderKind.DEAF:
            return Order(node, "deaf", number=DEAF_S)
        case OrderKind.TOKEN_START:
            return Order(node, "token", text="start")
        case OrderKind.TOKEN_STOP:
            return Order(node, "token", text="stop")
        case OrderKind.POLICY:
            return Order(node, "policy", text=policy)
        case _:
            return Order(node, kind.value)


class Commander(Protocol):
    """Who brings orders to the nodes: `tui.operator.Operator`."""

    @property
    def words(self) -> str:
        """How audit logs name this operator."""
        ...

    async def command(self, name: str, command: str, *, number: float = 0.0, text: str = "") -> None:
        """Give one node an order. Raises `InvalidInput` with its objection, `Unavailable` if it does not answer."""
        ...


class OrderBook:
    """The orders of this monitor. `begin` one, then `give` it. Times in seconds of the monitor's clock."""

    def __init__(self, commander: Commander) -> None:
        self._commander = commander
        self._under_way: set[Order] = set()
        self._expected: list[tuple[float, Order]] = []

    def begin(self, order: Order, now: float) -> bool:
        """Take it that an order is to be given; False if the same one is under way already."""
        if order in self._under_way:
            return False
        self._under_way.add(order)
        self._expected = [(until, known) for until, known in self._expected if now <= until]
        self._expected.append((now + EXPECTED_FOR_S, order))
        return True

    async def give(self, order: Order) -> None:
        """Give an order that was begun. Raises `InvalidInput` with the node's objection, `Unavailable`."""
        try:
            await self._commander.command(order.node, order.command, number=order.number, text=order.text)
        except Unavailable:
            # Should it have been obeyed after all, its record is news to this monitor too.
            self._expected = [(until, known) for until, known in self._expected if known != order]
            raise
        finally:
            self._under_way.discard(order)

    def caused(self, record: AuditRecord, now: float) -> bool:
        """Return whether a record is of an order that this monitor gave; true once for each."""
        if record.operator != self._commander.words:
            return False
        for index, (until, order) in enumerate(self._expected):
            if now <= until and (order.node, order.command, order.value) == (record.node, record.order, record.value):
                del self._expected[index]
                return True
        return False


NEWS_FOR_S: Final = 10.0
"""What happened longer ago is not said any more."""
SKEW_S: Final = 120.0
"""By so much the clocks of the nodes may differ from the monitor's. A record that is older was only found late."""

_Key = tuple[str, int, int]


class Announcing:
    """Remembers what was said. Times in seconds of the monitor's clock."""

    def __init__(self) -> None:
        self._said: frozenset[_Key] = frozenset()
        self._model: weakref.ref[Model] | None = None
        self._since = 0.0

    def news(self, model: Model, now: float, wall_offset_s: float) -> tuple[OperatorAction, ...]:
        """Return the actions that happened since the last call, oldest first.

        What was there before the monitor began, or before the position to which a recording was moved, is no news.
        """
        if self._model is None or self._model() is not model:
            self._model, self._since, self._said = weakref.ref(model), now, frozenset()
        oldest = max(self._since, now - NEWS_FOR_S)
        recent = list(takewhile(lambda action: action.at > oldest, model.actions.newest_first()))
        said, self._said = self._said, frozenset(_key(action) for action in recent)
        return tuple(
            action
            for action in sorted(recent, key=lambda action: action.at)
            if _key(action) not in said and now + wall_offset_s - action.record.at <= SKEW_S
        )


def _key(action: OperatorAction) -> _Key:
    return action.record.node, action.record.incarnation, action.record.number
