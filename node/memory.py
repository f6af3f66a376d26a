"""What a node remembers of the directory, by which one that was restored from a backup is found out.

A pure machine: it is told what the directory says and what other nodes remember, and decides. It needs no clock; the
one rule about order is that an answer of the directory is compared with what was remembered when the question was
*asked*, because the directory may have moved on, and another node told of it, while the answer was on its way.

A reading is remembered only once a later one has confirmed it. Some databases show a commit a moment before it is on
the disk, and one that a power cut then takes away was never acknowledged to anybody: its loss is no restore.
"""

from dataclasses import dataclass
from typing import Final

from node.directory.marks import Marks

NOTHING: Final = Marks(commits=0, epoch=0, term=0, accounts=0)
"""What a node remembers that has seen no directory yet: none is behind it."""


@dataclass(frozen=True, slots=True)
class Restored:
    """The directory is behind what is remembered: it was restored from a backup."""

    found: Marks
    highest: Marks


class Memory:
    """The furthest state of the directory that this node knows of, its own earlier lives' and other nodes' included."""

    def __init__(self, kept: Marks = NOTHING) -> None:
        """`kept` is what an earlier life of the node remembered."""
        self.highest = kept
        self.restored: Restored | None = None
        """Set while the directory is known to be restored and not yet recovered."""
        self._latest: Marks | None = None

    @property
    def epoch(self) -> int:
        """Epoch of the directory as it was read last; 0 before the first reading, and while it is not recovered."""
        return 0 if self._latest is None else self._latest.epoch

    def told(self, marks: Marks) -> None:
        """Another node remembers this."""
        self.highest = self.highest.furthest(marks)

    def read(self, asked_with: Marks, found: Marks, *, lost: bool = False) -> Restored | None:
        """Take a reading of the directory; `asked_with` is what was the highest when it was asked for.

        `lost` tells that it lacks commits of this very node, wherever its numbers stand: other nodes may have gone on
        in a restored directory. Returns that the directory was restored, if it was.
        """
        if lost or found.is_behind(asked_with):
            self.restored = Restored(found, asked_with)
            self._latest = None
            return self.restored
        if self._latest is not None and not found.is_behind(self._latest):
            self.highest = self.highest.furthest(self._latest)
        self._latest, self.restored = found, None
        return None

    def settle(self) -> None:
        """Remember the last reading as well: the node stops in order, and everything it saw is on the disk."""
        if self._latest is not None:
            self.highest = self.highest.furthest(self._latest)
