"""A notice that stays above the tabs until its person has read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

if TYPE_CHECKING:
    from textual.events import Click


class NoticeStrip(Static):
    """Hidden while there is nothing to read. `notice` is the text, which is shown as it is, without markup."""

    DEFAULT_CSS = """
    NoticeStrip { height: auto; max-height: 8; padding: 0 1; background: $warning; color: $background; display: none; }
    NoticeStrip.-shown { display: block; }
    """
    notice: reactive[str] = reactive("")

    class Read(Message):
        """The notice was clicked: it has been read."""

    def __init__(self) -> None:
        super().__init__(markup=False)

    def watch_notice(self, notice: str) -> None:
        """Come and go with the text."""
        self.set_class(bool(notice), "-shown")
        self.update(f"{notice} (y: I have read it)")

    def on_click(self, event: Click) -> None:
        """A click reads it, like the key."""
        event.stop()
        self.post_message(self.Read())
