"""Stego images on their way, as far as progress was heard of: by grant, forgotten when nothing more is heard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tui.client.time_left import TimeLeft

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.peer.events import CopyProgress

STALE_S: Final = 15.0
"""How long a transfer counts as going on after its last news: one that broke off tells nobody."""


@dataclass(frozen=True, slots=True)
class _Progress:
    sending: bool
    share: float
    heard: float
    left: TimeLeft
    path: str


class Transfers:
    """What is on its way. `clock` gives seconds of any origin."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[str, _Progress] = {}

    def hear(self, event: CopyProgress) -> None:
        """Take the latest news of a transfer."""
        now = self._clock()
        self._known = {grant: progress for grant, progress in self._known.items() if now - progress.heard < STALE_S}
        share = min(1.0, event.done / event.total) if event.total > 0 else 0.0
        before = self._known.get(event.grant)
        left = TimeLeft() if before is None or before.sending is not event.sending else before.left
        left.note(event.done, event.total, now)
        self._known[event.grant] = _Progress(event.sending, share, now, left, event.path)

    def end(self, grant: str) -> None:
        """Forget a transfer that is over."""
        self._known.pop(grant, None)

    def share(self, grant: str, *, sending: bool) -> float | None:
        """Return how much of a grant's stego image has gone that way, from 0 to 1; None where none is on its way."""
        progress = self._current(grant, sending=sending)
        return None if progress is None else progress.share

    def path(self, grant: str, *, sending: bool) -> str:
        """Return how a grant's stego image goes between two peers, in a few words; empty where that is not known."""
        progress = self._current(grant, sending=sending)
        return "" if progress is None else progress.path

    def left_s(self, grant: str, *, sending: bool) -> float | None:
        """Return how many seconds it will still take, None where that is not known."""
        progress = self._current(grant, sending=sending)
        return None if progress is None else progress.left.seconds(self._clock())

    def _current(self, grant: str, *, sending: bool) -> _Progress | None:
        progress = self._known.get(grant)
        if progress is None or progress.sending is not sending or self._clock() - progress.heard >= STALE_S:
            return None
        return progress
