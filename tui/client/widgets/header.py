"""The line at the top of the client: who one is, and how the cloud is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from tui.common.wording import latency, plain

if TYPE_CHECKING:
    from tui.peer.models import PeerStatus

_WORDS_FROM_CELLS = 110
"""Width from which the fingerprint words have room beside the rest."""


class StatusHeader(Widget):
    """Account on the left, connection on the right. `status` is None before a profile is open."""

    DEFAULT_CSS = """
    StatusHeader { height: 1; background: $panel; color: $foreground; padding: 0 1; }
    """
    status: reactive[PeerStatus | None] = reactive(None)

    def render(self) -> Table:
        """Return the line."""
        line = Table.grid(expand=True)
        line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        line.add_column(justify="right", no_wrap=True)
        line.add_row(self._person(), self._cloud())
        return line

    def _person(self) -> Text:
        shown = Text("Glimpse", style="bold")
        if self.status is None or self.status.me is None:
            return shown
        me = self.status.me
        shown.append(f"  {plain(me.name, 24)}", style="bold")
        shown.append(f" #{me.account}")
        if self.size.width >= _WORDS_FROM_CELLS:
            shown.append(f"  {me.words}", style="dim")
        return shown

    def _cloud(self) -> Text:
        status = self.status
        if status is None:
            return Text("")
        if not status.cloud_reachable:
            return Text("○ no cloud", style="bold")
        if not status.signed_in:
            return Text("◌ signing in…")
        if status.leader is None:
            return Text(f"◌ no leader  term {status.term}")
        return Text(f"● {plain(status.leader, 16)} leads  term {status.term}  {latency(status.latency_s)}")
