"""How far an encryption is, from what the peer reports of it. Pure: told of stages and bytes, asked for lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from tui.common.wording import size

SEALING, SENDING, HIDING, RECEIVING, CHECKING = "sealing", "sending", "hiding", "receiving", "checking"
STAGES: Final = {
    SEALING: "Seal on this machine",
    SENDING: "Send to a node",
    HIDING: "Hide in the cover",
    RECEIVING: "Receive the stego image",
    CHECKING: "Check what came back",
}
PUBLISHING: Final = "publishing"
_PUBLISH: Final = "Publish the preview"


class StageState(Enum):
    """Where a stage stands; the value is its mark."""

    WAITING = "·"
    UNDER_WAY = "▸"
    DONE = "✓"
    FAILED = "✗"


@dataclass(frozen=True, slots=True)
class Line:
    """One stage: `share` is the part of it that is done, from 0 to 1, None where that is not known."""

    name: str
    state: StageState
    share: float | None = None
    detail: str = ""


@dataclass(slots=True)
class Stages:
    """The stages of one encryption, in order; `publishes` adds that of the preview."""

    publishes: bool = False
    stage: str = SEALING
    again: bool = False
    """Whether a node had to be replaced, so that sending began anew."""
    failed: bool = False
    """Whether it ended in the present stage."""
    _done: int = field(default=0, repr=False)
    _total: int = field(default=0, repr=False)

    @property
    def names(self) -> dict[str, str]:
        """The stages with what they are called."""
        return {**STAGES, PUBLISHING: _PUBLISH} if self.publishes else STAGES

    @property
    def is_transfer(self) -> bool:
        """Whether bytes are on their way in the present stage."""
        return self.stage in (SENDING, RECEIVING) and self._total > 0

    def report(self, stage: str, done: int, total: int) -> bool:
        """Take a report of the peer: bytes done, and in all. Return whether the stage became another one.

        When everything is sent, hiding begins; of that nobody reports. Unknown stages change nothing.
        """
        if stage not in self.names:
            return False
        if stage == SENDING and total and done >= total:
            stage = HIDING
        order = list(self.names)
        before = self.stage
        if stage == SENDING and order.index(before) > order.index(SENDING):
            self.again = True
        self.stage, self._done, self._total = stage, done, total
        return stage != before

    def lines(self) -> list[Line]:
        """Return all stages as they stand."""
        order = list(self.names)
        now = order.index(self.stage)
        return [
            self._under_way(self.names[stage])
            if index == now
            else Line(self.names[stage], StageState.DONE if index < now else StageState.WAITING)
            for index, stage in enumerate(order)
        ]

    def _under_way(self, name: str) -> Line:
        if self.failed:
            return Line(name, StageState.FAILED)
        if not self.is_transfer:
            return Line(name, StageState.UNDER_WAY)
        share = min(1.0, self._done / self._total)
        return Line(name, StageState.UNDER_WAY, share, f"{size(self._done)} of {size(self._total)}")
