"""Which of the operators' actions are news, so that every monitor says what another operator has just done."""

from __future__ import annotations

import weakref
from itertools import takewhile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tui.monitor.model import Model
    from tui.monitor.model.actions import OperatorAction

NEWS_FOR_S: Final = 10.0
"""What happened longer ago is not said any more."""
SKEW_S: Final = 120.0
"""By so much the clocks of the nodes may differ from the monitor's. A record that is older was only found late."""

_Key = tuple[str, int, int]


class Announcing:
    """Remembers what was said. Times in seconds of the monitor's clock."""

    def __init__(self) -> None:
        self._said: frozenset[_Key] = frozenset()
        self._model: weakref.ref[Model] | None = None
        self._since = 0.0

    def news(self, model: Model, now: float, wall_offset_s: float) -> tuple[OperatorAction, ...]:
        """Return the actions that happened since the last call, oldest first.

        What was there before the monitor began, or before the place to which a recording was moved, is no news.
        """
        if self._model is None or self._model() is not model:
            self._model, self._since, self._said = weakref.ref(model), now, frozenset()
        oldest = max(self._since, now - NEWS_FOR_S)
        recent = list(takewhile(lambda action: action.at > oldest, model.actions.newest_first()))
        said, self._said = self._said, frozenset(_key(action) for action in recent)
        return tuple(
            action
            for action in sorted(recent, key=lambda action: action.at)
            if _key(action) not in said and now + wall_offset_s - action.record.at <= SKEW_S
        )


def _key(action: OperatorAction) -> _Key:
    return action.record.node, action.record.incarnation, action.record.number
