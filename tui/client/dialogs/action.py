"""A dialog whose yes takes a while: it stays until the deed is done, and says why where it could not be."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from textual import on
from textual.message import Message
from textual.widgets import Button, Input

from shared.errors import GlimpseError
from tui.common.dialog import Dialog
from tui.common.wording import plain
from tui.common.working import work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

R = TypeVar("R")
_MAX_TROUBLE_CELLS = 240


class ActionDialog(Dialog[R], Generic[R]):
    """Sub-classes give a `deed`. What was typed stays when it fails; Escape breaks it off."""

    DOING = "…"
    """What is said meanwhile."""

    class Done(Message, bubble=False):
        """The deed is done."""

        def __init__(self, result: Any) -> None:
            super().__init__()
            self.result = result

    class Failed(Message, bubble=False):
        """The deed could not be done; the text says what to do."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def deed(self) -> Callable[[], Awaitable[R]] | None:
        """Return what accepting means, to be run in a worker; None after `complain` where the fields are not fit."""
        raise NotImplementedError

    def result(self) -> None:
        """Start the deed, unless one is under way; the dialog goes when it is done."""
        if self.query_one("#accept", Button).disabled:
            return
        self.complain("")
        deed = self.deed()
        if deed is not None:
            self._show_doing(self.DOING)
            work(self, partial(self._do, deed), group="deed", exclusive=True)

    async def _do(self, deed: Callable[[], Awaitable[R]]) -> None:
        try:
            result = await deed()
        except GlimpseError as error:
            self.post_message(self.Failed(str(error)))
        else:
            self.post_message(self.Done(result))

    @on(Input.Submitted)
    def _submit(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_accept()

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
