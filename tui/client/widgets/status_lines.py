"""The lines that say how things are: account and cloud, whether the cluster answers, what is amiss, what to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from tui.common.wording import counted, latency, plain

if TYPE_CHECKING:
    from textual.events import Click

    from tui.client.ports import Reach
    from tui.peer.models import PeerStatus

_WORDS_FROM_CELLS: Final = 110
"""Width from which the fingerprint words have room beside the rest."""
_MAX_REASON_CELLS: Final = 400


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
        self.update(cluster_words(self.reach, self.place))
        self.set_class(self.reach is not None and not self.reach.reachable, "-away")


def cluster_words(reach: Reach | None, place: str) -> Text:
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


class OfflineBanner(Static):
    """Hidden while the cloud is there and there is room on the disk.

    `waiting` is the number of items in the outbox, `trouble` what is wrong with this machine: why nothing can be stored
    on it, or why it reaches no node.
    """

    DEFAULT_CSS = """
    OfflineBanner {
        height: auto; max-height: 3; padding: 0 1; background: $warning; color: $background; display: none;
    }
    OfflineBanner.-shown { display: block; }
    """
    away: reactive[bool] = reactive(False)
    waiting: reactive[int] = reactive(0)
    trouble: reactive[str] = reactive("")

    def watch_away(self, _away: bool) -> None:
        """Come and go with the cloud."""
        self._show()

    def watch_trouble(self, _trouble: str) -> None:
        """Come and go with the room on the disk."""
        self._show()

    def _show(self) -> None:
        self.set_class(self.away or bool(self.trouble), "-shown")
        self.update(self._text())

    def watch_waiting(self, _waiting: int) -> None:
        """Say the new number."""
        self.update(self._text())

    def on_resize(self) -> None:
        """Say as much as there is room for."""
        self.update(self._text())

    def _text(self) -> Text:
        if self.trouble:
            return Text(self.trouble)  # what to do stands at its end: it is told on as many lines as it needs
        what = f"{counted(self.waiting, 'item')} waiting in the outbox (o)" if self.waiting else "nothing is waiting"
        said = f"The cloud does not answer: {what}. Trying again"
        whole = f"{said} by itself; pictures of your own still open."
        fits = cell_len(whole) <= self.content_size.width
        return Text(whole if fits else f"{said}.", no_wrap=True, overflow="ellipsis")


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
