"""How often what is to be read may change by itself: less often than the screen is painted."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.monitor.model import Model


class Pace:
    """Says when to show something anew: at once if something else is wanted, else every `every_s` seconds."""

    def __init__(self, every_s: float) -> None:
        self.another_model = True
        """Whether what was due last came from another model than the time before."""
        self._every_s = every_s
        self._at = 0.0
        self._wanted: object = None
        self._of: weakref.ref[Model] | None = None

    def due(self, model: Model, now: float, wanted: object) -> bool:
        """Return whether it is time, and take it that it is shown now if so. `wanted` is what a person has chosen."""
        same_model = self._of is not None and self._of() is model
        if same_model and wanted == self._wanted and 0 <= now - self._at < self._every_s:
            return False
        self.another_model = not same_model
        self._of, self._at, self._wanted = weakref.ref(model), now, wanted
        return True

    def forget(self) -> None:
        """Make it due."""
        self._at = float("inf")
