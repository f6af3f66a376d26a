"""The guided path of a newcomer: from the list of people to the first picture seen. No widget in here.

A step waits for one word of `Happened`; a word that comes early is remembered, so that whoever goes ahead of the path
is not told to do again what is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now, and the word that says it was done (None: the last step, which only the person ends)."""

    text: str
    done_by: str | None


STEPS: Final = (
    Step("Three people share pictures here. Choose Ada in the list, then press r to ask her for one.", "requested"),
    Step("Ada answers by herself in a moment: watch your request in the tab Requests (2).", "received"),
    Step(
        "It is here, hidden in a cover. Press 3 for Peer images, Enter, and choose Look; that costs one view.", "viewed"
    ),
    Step(
        "That look was counted before you saw it. Press 4 and n to share a picture of your own; Ben takes his time, Cem"
        " may be away. Press ? for all keys.",
        None,
    ),
)


class Guide:
    """Where a newcomer is on the path. `left` once the path was left; it does not come back."""

    def __init__(self, steps: tuple[Step, ...] = STEPS) -> None:
        self._steps = steps
        self._seen: set[str] = set()
        self.number = 0
        self.left = False

    @property
    def total(self) -> int:
        """How many steps there are."""
        return len(self._steps)

    @property
    def step(self) -> Step | None:
        """The step to take now, None once the path was left."""
        return None if self.left else self._steps[self.number]

    def happened(self, what: str) -> bool:
        """Take what the person did; return whether that led on."""
        self._seen.add(what)
        before = self.number
        while self._steps[self.number].done_by in self._seen:
            self.number += 1
        return self.number != before

    def leave(self) -> None:
        """Leave the path."""
        self.left = True
