"""What is typed while a screen is still being put together, kept until that screen takes it."""

from __future__ import annotations

from collections import deque
from typing import Final, TypeVar

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.timer import Timer

R = TypeVar("R")
_LOST_AFTER_S: Final = 0.5
"""A key goes its way in milliseconds, unless the widget that had it goes meanwhile."""


class InputBuffer(App[R]):
    """An app whose screens may say that they are not `ready`; what is typed meanwhile is meant for them.

    A screen that has such an attribute calls `take_up_early` when it is ready, and when it goes before it was.
    """

    def __init__(self) -> None:
        super().__init__()
        self._early: deque[events.Key | events.Paste] = deque()
        self._guard: Timer | None = None

    async def on_event(self, event: events.Event) -> None:
        """Keep what comes early, and what comes after it while it is kept."""
        early = bool(self._early) or not self._screen_is_ready
        if early and isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            self._early.append(event)
        else:
            await super().on_event(event)

    @property
    def _screen_is_ready(self) -> bool:
        return not self.screen_stack or getattr(self.screen, "ready", True)

    def take_up_early(self) -> None:
        """Hand on what was typed before the screen in front was ready."""
        self.call_next(self._type_early)

    async def _type_early(self) -> None:
        """Hand on one key, and the next when the first has gone its way: it may have moved the focus."""
        if self._guard is not None:
            self._guard.stop()
            self._guard = None
        if self._early and self._screen_is_ready:
            target = self.focused or self.screen
            await super().on_event(self._early.popleft())
            self._guard = self.set_timer(_LOST_AFTER_S, self._lost)
            self._follow(list(target.ancestors_with_self))

    def _follow(self, way: list[DOMNode]) -> None:
        """Go through the queues that a key goes through that nobody takes: from the focus up to the app."""
        if len(way) > 1:
            way[0].call_later(self._follow, way[1:])
        else:
            self.call_later(self._type_early)

    def _lost(self) -> None:
        self._guard = None
        self.call_later(self._type_early)
