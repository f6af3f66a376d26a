"""What the client's dialogs share: the program around them, Enter for yes, and an accept that takes a while."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Button, Input

from shared.errors import GlimpseError
from tui.client.client_app import client_of
from tui.client.widgets.chips import Chips
from tui.common.dialog import Dialog
from tui.common.wording import plain
from tui.common.working import work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tui.client.client_app import ClientApp

R = TypeVar("R")
_MAX_TROUBLE_CELLS = 240


class ClientDialog(Dialog[R], Generic[R]):
    """A dialog of the client. Enter says yes from an input, and from words that one chooses among."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "accept_choice", "Accept", id="dialog.accept", show=False, tooltip="Say yes"),
    ]

    @property
    def client(self) -> ClientApp:
        """The program that this dialog belongs to."""
        return client_of(self)

    def action_accept_choice(self) -> None:
        """Say yes from words that one chooses among; elsewhere Enter has its own meaning or none."""
        if isinstance(self.focused, Chips):
            self.action_accept()

    @on(Input.Submitted)
    def _submit(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_accept()


class ActionDialog(ClientDialog[R], Generic[R]):
    """A dialog that runs an `action` when it is accepted, and stays open until that is done.

    It says why where the action failed, and keeps what was typed. Escape breaks the action off.
    """

    DOING = "…"
    """The label of the button that says yes while the action runs."""

    @dataclass
    class Done(Message, bubble=False):
        """From the worker: the action is done."""

        result: Any

    @dataclass
    class Failed(Message, bubble=False):
        """From the worker: the action failed; the text says what to do."""

        text: str

    def action(self) -> Callable[[], Awaitable[R]] | None:
        """Return what accepting means, to be run in a worker; None after `complain` where the fields are not fit."""
        raise NotImplementedError

    def result(self) -> None:
        """Start the action, unless one is under way."""
        if self.query_one("#accept", Button).disabled:
            return
        self.complain("")
        action = self.action()
        if action is not None:
            self._show_doing(self.DOING)
            work(self, partial(self._run_action, action), group="action", exclusive=True)

    async def _run_action(self, action: Callable[[], Awaitable[R]]) -> None:
        try:
            result = await action()
        except GlimpseError as error:
            self.post_message(self.Failed(str(error)))
        else:
            self.post_message(self.Done(result))

    @on(Done)
    def _done(self, message: Done) -> None:
        self.dismiss(message.result)

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        self._show_doing("")
        self.complain(plain(message.text, _MAX_TROUBLE_CELLS))

    def _show_doing(self, text: str) -> None:
        accept = self.query_one("#accept", Button)
        accept.disabled = bool(text)
        accept.label = text or self.ACCEPT
