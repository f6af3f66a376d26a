"""What goes between a process that wants a picture decoded and the child that does it: fixed structures and pixels.

To the child: a `Task`, the length of the file, the file. Back: an `Answer`, and where pixels were asked for, three
bytes for each, row by row. The child is taken for hostile once it has seen a hostile picture, so nothing in an answer
has a length of its own: all of it follows from the task. Only the standard library is needed here, as a child starts
in a tenth of the time without anything else.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from shared.config import DECODE_CPU_S, DECODE_MEMORY_BYTES

_TASK: Final = struct.Struct(">4sII??HHIIIQQ")
TASK_BYTES: Final = _TASK.size
_ANSWER: Final = struct.Struct(">BBII")
ANSWER_BYTES: Final = _ANSWER.size
READY: Final = b"R"
"""The first byte from a child: it has started and waits for tasks."""


class Status(IntEnum):
    """How a task ended."""

    DONE = 0
    DAMAGED = 1
    ANIMATED = 2
    TOO_MUCH_MEMORY = 3


class Place(IntEnum):
    """Whether a picture's metadata says where it was taken."""

    NO = 0
    YES = 1
    UNREAD = 2
    """It does not read."""


@dataclass(frozen=True, slots=True)
class Task:
    """A picture file to decode. What stands in it was read by `checks` and must be what the decoder finds.

    `box` is a width and a height that the result must fit, never enlarged; `size` what it must have exactly; neither
    leaves it as it is. `upright` turns it as its metadata says. Pixels come back opaque, in RGB: white stands behind
    what is transparent, unless `solid`, by which that makes a picture damaged.
    """

    format: str
    width: int
    height: int
    box: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    upright: bool = False
    solid: bool = False
    pixels: bool = True
    place: bool = False
    cpu_s: int = DECODE_CPU_S
    memory_bytes: int = DECODE_MEMORY_BYTES

    def pack(self, file_bytes: int) -> bytes:
        """Return the task as it goes to the child, for a file of this length."""
        (wide, high), exact = self.size or self.box or (0, 0), self.size is not None
        wishes = self.pixels | self.place << 1
        return _TASK.pack(
            self.format.encode(),
            self.width,
            self.height,
            self.upright,
            self.solid,
            exact,
            wishes,
            wide,
            high,
            self.cpu_s,
            self.memory_bytes,
            file_bytes,
        )

    @classmethod
    def unpack(cls, data: bytes) -> tuple[Self, int]:
        """Return a task and the length of its file."""
        kind, width, height, upright, solid, exact, wishes, wide, high, cpu_s, memory, length = _TASK.unpack(data)
        asked = (wide, high) if wide else None
        task = cls(
            kind.rstrip(b"\0").decode(),
            width,
            height,
            box=None if exact else asked,
            size=asked if exact else None,
            upright=upright,
            solid=solid,
            pixels=bool(wishes & 1),
            place=bool(wishes & 2),
            cpu_s=cpu_s,
            memory_bytes=memory,
        )
        return task, length

    def allows(self, width: int, height: int) -> bool:
        """Say whether a result may have this size: what a hostile child can make its parent hold follows from it."""
        if not self.pixels:
            return True
        if self.size is not None:
            return (width, height) == self.size
        stored = (self.width, self.height)
        turned = self.upright and (width, height) == stored[::-1]
        if self.box is None:
            return (width, height) == stored or turned
        longest, shortest = max(stored), min(stored)
        return (
            0 < width <= self.box[0]
            and 0 < height <= self.box[1]
            and max(width, height) <= longest
            and min(width, height) <= shortest
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """How a task ended: the size of the pixels that follow, or for an animated picture the number of frames."""

    status: Status
    width: int = 0
    height: int = 0
    place: Place = Place.NO

    def pack(self) -> bytes:
        """Return the answer as it goes to the parent."""
        return _ANSWER.pack(self.status, self.place, self.width, self.height)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Return an answer. Raises `ValueError` for bytes that are none."""
        status, place, width, height = _ANSWER.unpack(data)
        return cls(Status(status), width, height, Place(place))
