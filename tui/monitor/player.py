"""Plays a recording: a clock that can be stopped, hurried and set, and the model as it stood at every moment.

The model that is shown at a position is the one that was built by the same messages and the same looks at them
(`OBSERVE_EVERY_S`), however the position was reached. To jump, the nearest earlier copy of the model is taken and fed
on from there; copies are made every so often (`KEPT_EVERY_S`, `KEPT_EVERY`), ahead of time by `index_some`. No clock in
here.

However close together its messages stand, no call feeds more of them than fit between two frames of the screens.
"""

from __future__ import annotations

import pickle
import zlib
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from tui.monitor.model import Model

if TYPE_CHECKING:
    from tui.monitor.recording import RecordedFrame, Recording

OBSERVE_EVERY_S: Final = 0.2
KEPT_EVERY_S: Final = 20.0
KEPT_EVERY: Final = 5_000
"""Seconds and messages between two copies of the model; feeding a model on for so long takes a quarter of a second."""
KEPT: Final = 500
"""Copies of some 30 KB that the length of a recording gives reason for, and as many by its messages: in a longer one
they are further apart."""
AT_ONCE_S: Final = 60.0
AT_ONCE: Final = 5_000
"""So much of a recording, in seconds and messages, is fed to a model without asking back: some tenths of a second."""
STEP: Final = 2_000
"""Messages fed in one step of the screens at the most: a tenth of a second."""
SPEEDS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_SLICE_MESSAGES: Final = 150


class _Cursor:
    """A model on its way through a recording."""

    def __init__(self, recording: Recording) -> None:
        self.model = Model(recording.node_index)
        self.position_s = recording.start_s
        self._recording = recording
        self._looks = 0
        self._block = 0
        self._index = 0
        self._messages: tuple[RecordedFrame, ...] = recording.block(0)

    def saved(self) -> bytes:
        """Return a copy to go on from later."""
        state = (self.model, self.position_s, self._looks, self._block, self._index)
        return zlib.compress(pickle.dumps(state, pickle.HIGHEST_PROTOCOL), 1)

    def restore(self, saved: bytes) -> None:
        """Go on from a copy, which this program made and kept in its memory."""
        state = pickle.loads(zlib.decompress(saved))  # noqa: S301 - never leaves this process
        self.model, self.position_s, self._looks, self._block, self._index = state
        self._messages = self._recording.block(self._block) if self._block < self._recording.blocks else ()

    @property
    def fed(self) -> int:
        """Messages fed so far."""
        return self._recording.before(self._block) + self._index

    @property
    def next_at(self) -> float | None:
        """When the next message comes; None behind the last one."""
        while self._index >= len(self._messages):
            if self._block + 1 >= self._recording.blocks:
                return None
            self._block, self._index = self._block + 1, 0
            self._messages = self._recording.block(self._block)
        return self._messages[self._index].at

    def go(self, position_s: float, *, at_most: int | None = None) -> bool:
        """Feed the model up to a position, or `at_most` messages; return whether the position was reached."""
        fed = 0
        while True:
            message_at = self.next_at
            look_at = self._recording.start_s + (self._looks + 1) * OBSERVE_EVERY_S
            due = look_at if message_at is None else min(look_at, message_at)
            if due > position_s:
                self.position_s = max(self.position_s, position_s)
                return True
            if at_most is not None and fed >= at_most:
                return False
            self.position_s = due
            if message_at is not None and message_at <= look_at:
                told = self._messages[self._index]
                self._index += 1
                self.model.take(told.place, told.message, told.at)
                fed += 1
            else:
                self._looks += 1
                self.model.observe(look_at)


class Player:
    """Plays `recording` from its start. Positions in seconds of the recording's clock."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.playing = True
        self.speed = 1.0
        self._cursor = _Cursor(recording)
        self._cursor.go(recording.start_s, at_most=STEP)
        self._ahead = _Cursor(recording)
        self._kept: list[tuple[float, bytes]] = [(recording.start_s, self._ahead.saved())]
        self._kept_fed = 0
        """Messages fed to the last copy."""
        self._kept_every_s = max(KEPT_EVERY_S, (recording.end_s - recording.start_s) / KEPT)
        self._kept_every = max(KEPT_EVERY, recording.messages // KEPT)
        self._indexed = False
        self.going_to_s: float | None = None
        """A position far ahead that is gone to as soon as `index_some` has come there; None if there is none."""

    # --- What is shown -----------------------------------------------------------------------------------------------
    @property
    def model(self) -> Model:
        """The model at the position. Another object after a jump."""
        return self._cursor.model

    @property
    def position_s(self) -> float:
        """Where the recording is."""
        return self._cursor.position_s

    @property
    def start_s(self) -> float:
        """Where it begins."""
        return self.recording.start_s

    @property
    def end_s(self) -> float:
        """Where it ends."""
        return self.recording.end_s

    @property
    def ended(self) -> bool:
        """Whether the position is at the end."""
        return self.position_s >= self.end_s

    @property
    def indexed_share(self) -> float:
        """How much of the recording has been gone through ahead of time, 0 to 1."""
        if self._indexed or self.end_s <= self.start_s:
            return 1.0
        return (self._ahead.position_s - self.start_s) / (self.end_s - self.start_s)

    # --- Playing -----------------------------------------------------------------------------------------------------
    def advance(self, seconds: float) -> None:
        """Let so much time pass, at the present speed, if it plays. It pauses at the end."""
        if not self.playing or self.going_to_s is not None:
            return
        if self._cursor.go(min(self.end_s, self.position_s + seconds * self.speed), at_most=STEP) and self.ended:
            self.playing = False

    def toggle(self) -> None:
        """Play or pause; at the end, play from the start again."""
        if not self.playing and self.ended:
            self.seek(self.start_s)
        self.playing = not self.playing

    def faster(self) -> None:
        """Take the next higher speed."""
        self.speed = next((speed for speed in SPEEDS if speed > self.speed), SPEEDS[-1])

    def slower(self) -> None:
        """Take the next lower speed."""
        self.speed = next((speed for speed in reversed(SPEEDS) if speed < self.speed), SPEEDS[0])

    def step_message(self) -> None:
        """Pause, and go on to the next message."""
        self.playing = False
        next_at = self._cursor.next_at
        if next_at is not None:
            self._cursor.go(next_at, at_most=1)

    def seek(self, position_s: float) -> None:
        """Go to a position, wherever it is; outside the recording means its nearer end.

        Where that is far beyond what `index_some` has gone through, it is gone to later: see `going_to_s`.
        """
        wanted = min(self.end_s, max(self.start_s, position_s))
        self.going_to_s = None
        if not self._indexed and self._is_far(wanted):
            self.going_to_s = wanted
        else:
            self._go(wanted)

    def index_some(self, at_most: int = _SLICE_MESSAGES) -> bool:
        """Go on through the recording ahead of time, by some messages; return whether there is more to go through."""
        if self._indexed:
            return False
        due = self._kept[-1][0] + self._kept_every_s
        reached = self._ahead.go(min(due, self.end_s), at_most=at_most)
        if reached or self._ahead.fed - self._kept_fed >= self._kept_every:
            self._kept.append((self._ahead.position_s, self._ahead.saved()))
            self._kept_fed = self._ahead.fed
            self._indexed = reached and self._ahead.position_s >= self.end_s
            if self.going_to_s is not None and (self._indexed or self._ahead.position_s > self.going_to_s):
                wanted, self.going_to_s = self.going_to_s, None
                self._go(wanted)
        return not self._indexed

    def _is_far(self, wanted: float) -> bool:
        """Whether a position is further from all that is known than can be gone at once."""
        from_s, fed = max((self.position_s, self._cursor.fed), (self._kept[-1][0], self._kept_fed))
        return wanted - from_s > AT_ONCE_S or self.recording.messages_until(wanted) - fed > AT_ONCE

    def _go(self, wanted: float) -> None:
        kept_at, saved = self._kept[bisect_right(self._kept, wanted, key=_first) - 1]
        if wanted < self.position_s or kept_at > self.position_s:
            self._cursor.restore(saved)
        self._cursor.go(wanted)


def _first(item: tuple[float, bytes]) -> float:
    return item[0]
