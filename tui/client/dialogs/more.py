"""The dialog that asks for more views of an image that one holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.widgets import Input, Label, Static

from shared.config import MAX_NOTE_CHARS
from shared.text import clean
from tui.client.dialogs.request import USUAL_VIEWS, RequestForm
from tui.client.gallery import TileState, asked_words
from tui.client.widgets.views_field import ViewsField
from tui.common.dialog import Dialog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from tui.client.gallery import Tile

_SEND_AGAIN = "The image file no longer opens here; please send it again."


class AskForMoreDialog(Dialog[RequestForm]):
    """Asks how many more views of a tile's image are wanted, and takes a note to its owner."""

    HEADING = "Ask for more views"
    ACCEPT = "Ask"

    def __init__(self, tile: Tile) -> None:
        super().__init__()
        self._tile = tile

    def body(self) -> Iterable[Widget]:
        """Return what is asked for and of whom, then the fields."""
        tile = self._tile
        yield Static(f"“{tile.title}” by {tile.owner} #{tile.image.owner}", markup=False, classes="text")
        yield Static(tile.image.words, markup=False, classes="text muted")
        if asked := asked_words(tile):
            yield Static(f"{asked} This asks once more.", markup=False, classes="text", id="more-asked")
        yield Label("Views", classes="field")
        yield ViewsField(USUAL_VIEWS, id="more-views")
        yield Label("Note to the owner (may stay empty)", classes="field")
        note = _SEND_AGAIN if tile.state is TileState.DAMAGED else ""
        yield Input(
            note,
            placeholder="Why you ask",
            max_length=MAX_NOTE_CHARS,
            compact=True,
            id="more-note",
            select_on_focus=False,
        )

    def on_mount(self) -> None:
        """Begin with the number."""
        self.query_one(ViewsField).focus_number()

    def result(self) -> RequestForm | None:
        """Return the wish, once the number is one."""
        field = self.query_one(ViewsField)
        try:
            number = field.value()
        except ValueError as error:
            self.complain(str(error))
            field.focus_number()
            return None
        # What is pasted may hold what a note must not.
        note = clean(self.query_one("#more-note", Input).value.strip(), max_chars=MAX_NOTE_CHARS)
        return RequestForm(number, note)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_accept()
