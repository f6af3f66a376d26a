"""All that an operator can order, each with its key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on

from tui.common.dialog import Dialog
from tui.common.rowlist import Column, RowList
from tui.monitor.widgets.palette import Palette

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual import events
    from textual.widget import Widget


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
