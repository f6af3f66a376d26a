"""Puts the numbered notices of one node in order, each once, and knows up to where they are all there."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from shared.wire.feed_messages import KEPT_NOTICES, FeedNotices, Notice


@dataclass(slots=True)
class NoticeOrder:
    """The notices of one node over all its lives. No clock: what is missing is asked for by `Watch.after`."""

    incarnation: int = 0
    after: int = 0
    """All notices of this life up to here were given out or are gone for good."""
    gone: int = 0
    """Notices that the node no longer had when they were missed, over all lives."""
    _early: dict[int, Notice] = field(default_factory=dict)
    _reconnected: bool = False

    def reconnected(self) -> None:
        """A new session to the node begins: whatever comes in it is of the node's present life.

        A node that lost its files, and the directory's memory of it with a restore, may count its lives from 1 again.
        """
        self._reconnected = True

    def take(self, message: FeedNotices) -> list[Notice]:
        """Return what can be given out now, in order. Notices of an earlier life are ignored."""
        if message.incarnation < self.incarnation and not self._reconnected:
            return []
        self._reconnected = False
        if message.incarnation != self.incarnation:
            self.incarnation, self.after = message.incarnation, 0
            self._early.clear()
        for notice in message.notices:
            if self.after < notice.number <= self.after + 2 * KEPT_NOTICES + message.oldest:
                self._early[notice.number] = notice
        ready: list[Notice] = []
        while self._early:
            if self.after + 1 in self._early:
                ready.append(self._early.pop(self.after + 1))
                self.after += 1
            elif self.after + 1 < message.oldest:
                self._skip(min(message.oldest, min(self._early)))
            else:
                break
        self._bound()
        return ready

    def _skip(self, to: int) -> None:
        self.gone += to - self.after - 1
        self.after = to - 1

    def _bound(self) -> None:
        """Keep no more than a node keeps, whatever it sends."""
        for number in _beyond(sorted(self._early), KEPT_NOTICES):
            del self._early[number]


def _beyond(numbers: list[int], kept: int) -> Iterable[int]:
    return numbers[kept:]
