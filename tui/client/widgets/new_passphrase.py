"""Two fields for a new passphrase, and a word on how hard it is to guess."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual import on
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label, Static

from tui.client.exporting import Strength, strength

if TYPE_CHECKING:
    from textual.app import ComposeResult

_HINTS: Final[dict[Strength, str]] = {
    "weak": "Weak: take four or more words that do not belong together.",
    "fair": "Fair: one more word makes it strong.",
    "strong": "Strong. Nobody can open the {what} without it, nor can you.",
}


class NewPassphrase(Vertical):
    """Asks for a new passphrase, twice. `what` is opened by it; `why` says that there must be one; `label` names it."""

    DEFAULT_CSS = "NewPassphrase { height: auto; }"

    def __init__(self, what: str, why: str, *, label: str = "Passphrase") -> None:
        super().__init__()
        self._label = label
        self._what = what
        self._why = why

    def compose(self) -> ComposeResult:
        """Compose the fields and the hint."""
        yield Horizontal(Label(self._label), Input(password=True, id="passphrase"), classes="row")
        yield Horizontal(Label("Once more"), Input(password=True, id="again"), classes="row")
        yield Static("", id="strength", markup=False, classes="muted")

    @property
    def value(self) -> str:
        """What was typed first."""
        return self.query_one("#passphrase", Input).value

    def trouble(self) -> str:
        """Return what is wrong with what was typed, in a sentence, and go to the field; empty where nothing is."""
        again = self.query_one("#again", Input)
        if not self.value:
            return self._why
        if again.value == self.value:
            return ""
        again.focus()
        return "The two passphrases differ; type it once more." if again.value else "Type the passphrase once more."

    @on(Input.Changed, "#passphrase")
    def _hint(self, event: Input.Changed) -> None:
        hint = _HINTS[strength(event.value)].format(what=self._what) if event.value else ""
        self.query_one("#strength", Static).update(hint)
