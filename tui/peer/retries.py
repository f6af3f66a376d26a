"""When what has failed is tried again: a pause of its own for each thing, which doubles.

Pure. Times and pauses in seconds of any clock that does not go back.
"""

import math
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Pause:
    ends_at: float
    length_s: float


class Retries(Generic[K]):
    """Pauses between tries, by whatever names the things that are tried."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._pauses: dict[K, _Pause] = {}

    def failed(self, name: K, now: float) -> float:
        """Note that a try failed; return when the next one is due."""
        before = self._pauses.get(name)
        length_s = self._first_s if before is None else min(2 * before.length_s, self._longest_s)
        self._pauses[name] = _Pause(now + length_s, length_s)
        return now + length_s

    def due_at(self, name: K) -> float:
        """Return when a thing may be tried: long ago for one that has not failed."""
        pause = self._pauses.get(name)
        return -math.inf if pause is None else pause.ends_at

    def next(self) -> float:
        """Return when the first of all that failed is due; never where none has."""
        return min((pause.ends_at for pause in self._pauses.values()), default=math.inf)

    def due(self, now: float) -> list[K]:
        """Return what failed and may be tried again by now."""
        return [name for name, pause in self._pauses.items() if pause.ends_at <= now]

    def forget(self, name: K) -> None:
        """Let a thing be tried at once, because it went well or because something has changed."""
        self._pauses.pop(name, None)

    def keep(self, names: Collection[K]) -> None:
        """Forget all but these."""
        for name in self._pauses.keys() - set(names):
            del self._pauses[name]

    def forget_all(self) -> None:
        """Let everything be tried at once."""
        self._pauses.clear()
