"""Notices of a node: numbered from its start, the last ones kept, log lines kept from crowding out the rest."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import orjson

from shared.config import MAX_MESSAGE_BYTES
from shared.text import clean
from shared.wire.feed_messages import KEPT_NOTICES, NOTICES_PER_MESSAGE, AnyNotice, LogNotice, Notice

MAX_LINE_CHARS = 160
LOG_LINES_PER_S = 4.0
LOG_LINES_BURST = 32
"""A log that is flooded, by a directory that is away for instance, must not push an election out of the ring."""
ROOM_BYTES = MAX_MESSAGE_BYTES - 132
"""For the notices of one message: what the fields around them take at most is left free."""


@dataclass(slots=True)
class EventLog:
    """A ring of the last `KEPT_NOTICES` notices. Times in seconds of the node's clock."""

    last: int = 0
    """Number of the newest; 0 before the first."""
    _ring: deque[Notice] = field(default_factory=lambda: deque(maxlen=KEPT_NOTICES))
    _lines: float = LOG_LINES_BURST
    _lines_at: float = 0.0
    _suppressed: int = 0

    @property
    def oldest(self) -> int:
        """Number of the oldest that is kept; one more than `last` if there is none."""
        return self.last + 1 - len(self._ring)

    def add(self, body: AnyNotice, now: float) -> None:
        """Keep a notice; the oldest goes where there is no room."""
        self.last += 1
        self._ring.append(Notice(self.last, round(1000 * now, 1), body))

    def add_line(self, level: str, source: str, text: str, now: float) -> None:
        """Keep a line of the log, unless there were too many lately."""
        self._lines = min(LOG_LINES_BURST, self._lines + LOG_LINES_PER_S * (now - self._lines_at))
        self._lines_at = now
        if self._lines < 1:
            self._suppressed += 1
            return
        self._lines -= 1
        more = f" ({self._suppressed} more lines before)" if self._suppressed else ""
        self._suppressed = 0
        line = clean(text, max_chars=MAX_LINE_CHARS - len(more)) + more
        self.add(LogNotice(level, clean(source, max_chars=24), line), now)

    def after(self, number: int, messages: int) -> Iterator[tuple[Notice, ...]]:
        """Yield what is kept behind `number`, in portions of which each fits a message, at most so many."""
        start = max(0, number + 1 - self.oldest)
        waiting = [self._ring[index] for index in range(start, len(self._ring))] if number < self.last else []
        for _ in range(messages):
            taken = _portion(waiting)
            if not taken:
                return
            yield tuple(waiting[:taken])
            del waiting[:taken]


def _portion(waiting: Sequence[Notice]) -> int:
    """Return how many of the first notices fit one message."""
    room = ROOM_BYTES
    for count, notice in enumerate(waiting[:NOTICES_PER_MESSAGE]):
        room -= len(orjson.dumps(msgspec.to_builtins(notice))) + 1
        if room < 0:
            return count
    return min(len(waiting), NOTICES_PER_MESSAGE)
