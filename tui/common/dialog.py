"""What all dialogs share: a framed box, buttons, Escape for no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar, cast

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import Button, Label, Static

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.app import ComposeResult
    from textual.widget import Widget

    from tui.common.input_buffer import InputBuffer

R = TypeVar("R")
_READY_AT_LATEST_S: Final = 1.0
"""Keys are held back no longer than this, even if the first paint is late."""


def is_shown(screen: Screen[Any]) -> bool:
    """Whether a screen can be painted: not before all its parts are there, nor while they are taken away."""
    return screen.is_mounted and screen.display  # a screen that is being removed has no display


class Dialog(ModalScreen[R | None], Generic[R]):
    """A question in front of everything else. It is dismissed with its result, or with None for no.

    Sub-classes give `HEADING`, `ACCEPT` (the label of the button that says yes), a `body`, and `result`, which
    returns None after `complain` where the input is not fit yet.
    """

    HEADING: ClassVar[str] = ""
    ACCEPT: ClassVar[str] = "OK"
    CANCEL: ClassVar[str] = "Cancel"
    """The label of the button that says no; empty for none, where there is nothing to decide."""
    DANGEROUS: ClassVar[bool] = False
    """What cannot be undone has a red button, and Cancel is what Enter means at first."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="dialog.cancel"),
        Binding("pageup,ctrl+up", "turn(-1)", "Up", id="dialog.up", show=False, tooltip="Show what is further up"),
        Binding("pagedown,ctrl+down", "turn(1)", "Down", id="dialog.down", show=False, tooltip="Show what is below"),
    ]
    HORIZONTAL_BREAKPOINTS = [(0, "-slim"), (70, "-roomy")]  # noqa: RUF012 - so it is declared by Textual
    """In a slim terminal names stand over their fields."""

    ready = False
    """Whether it takes keys: it is laid out, and a field or a button has the focus."""

    def compose(self) -> ComposeResult:
        """Compose heading, body, complaint and buttons."""
        with Vertical(classes="dialog"):
            yield Label(self.heading(), classes="heading", markup=False)
            yield from self.body()
            yield Static("", classes="complaint", markup=False)
            with Horizontal(classes="buttons"):
                if self.CANCEL:
                    yield Button(self.CANCEL, id="cancel")
                yield Button(self.ACCEPT, id="accept", variant="error" if self.DANGEROUS else "primary")

    def heading(self) -> str:
        """Return the title; the default is `HEADING`."""
        return self.HEADING

    def body(self) -> Iterable[Widget]:
        """Return what stands between heading and buttons."""
        return ()

    def result(self) -> R | None:
        """Return what the dialog is accepted with, None if it cannot be yet."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Put the focus on the first field, or on the safe button."""
        if self.DANGEROUS:
            self.query_one("#cancel", Button).focus()
        self.call_after_refresh(self._become_ready)
        self.set_timer(_READY_AT_LATEST_S, self._become_ready)

    def on_unmount(self) -> None:
        """Hand keys that were held back to the screen behind."""
        self._become_ready()

    def _become_ready(self) -> None:
        if not self.ready:
            self.ready = True
            cast("InputBuffer[Any]", self.app).take_up_early()

    def complain(self, text: str) -> None:
        """Say under the fields what is wrong with them."""
        complaint = self.query_one(".complaint", Static)
        complaint.update(text)
        if text:
            self.call_after_refresh(complaint.scroll_visible, animate=False)  # a low terminal may not show it

    def action_turn(self, pages: int) -> None:
        """Show another part of a dialog that is higher than the terminal."""
        box = self.query_one(".dialog")
        box.scroll_relative(y=pages * max(1, box.size.height - 2), animate=False)

    @on(Button.Pressed, "#accept")
    def action_accept(self) -> None:
        """Say yes, if the fields allow it."""
        result = self.result()
        if result is not None:
            self.dismiss(result)

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Say no."""
        self.dismiss(None)
