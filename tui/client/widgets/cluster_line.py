"""The line that says whether the cluster answers, and why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from tui.common.wording import counted, plain

if TYPE_CHECKING:
    from tui.client.ports import Reach

_MAX_REASON_CELLS = 400


class ClusterLine(Static):
    """Shows `reach`, None while that is being found out. A click asks for another try."""

    reach: reactive[Reach | None] = reactive(None)
    place: reactive[str] = reactive("")
    """Where the cluster file lies, for people."""

    class Asked(Message):
        """The person wants to know how it is now."""

    def on_mount(self) -> None:
        """Say that it is not known yet."""
        self._show()

    def watch_reach(self) -> None:
        """Say how it is now."""
        self._show()

    def watch_place(self) -> None:
        """Say which cluster that is."""
        self._show()

    def on_click(self) -> None:
        """Ask for another try."""
        self.post_message(self.Asked())

    def _show(self) -> None:
        self.update(told(self.reach, self.place))
        self.set_class(self.reach is not None and not self.reach.reachable, "-away")


def told(reach: Reach | None, place: str) -> Text:
    """Return how the cluster answers, in words."""
    if reach is None:
        return Text("◌ Looking for the cluster…", no_wrap=True, overflow="ellipsis")
    if not reach.reachable:
        what = "No node answers" if reach.silent else "No cluster"
        return Text(f"○ {what}: {plain(reach.reason, _MAX_REASON_CELLS)}")
    total = len(reach.answering) + len(reach.silent)
    line = Text(f"● {len(reach.answering)} of {counted(total, 'node')} answer", no_wrap=True, overflow="ellipsis")
    if reach.silent:
        line.append(f"; not {plain(', '.join(reach.silent), 60)}")
    if place:
        line.append(f"  {plain(place, 120)}", style="dim")
    return line
