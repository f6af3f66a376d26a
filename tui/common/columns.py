"""Columns of a list, and how a width is shared out among them. Pure arithmetic, in terminal cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

EDGE = 1
"""Blank cells before the first column and after the last."""
GAP = 2
"""Blank cells between two columns."""
NARROWEST = 4
"""Cells below which a flexible column does not shrink while there is another way."""

Align = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, and what it claims of the width."""

    key: str
    """Name of the sort key, where the list has one of that name."""
    title: str
    width: int | None = None
    """Cells; None for a column that takes its share of what the others leave, by `flex`."""
    flex: int = 1
    align: Align = "left"
    hide_below: int = 0
    """The column is left out where the list is narrower than this many cells."""
    descending_first: bool = False
    """Whether its sort key goes downwards first, as for numbers of which people want to see the largest."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a column stands: it is number `index` of all columns, and covers `width` cells from `x` on."""

    index: int
    column: Column
    x: int
    width: int

    def covers(self, x: int) -> bool:
        """Return whether the slot or the gap after it lies at this cell."""
        return self.x <= x < self.x + self.width + GAP


def lay_out(columns: Sequence[Column], width: int) -> tuple[Slot, ...]:
    """Return the slots of the columns that are shown at a width; together they never exceed it.

    Flexible columns shrink first, to `NARROWEST`; then all of them shrink in proportion; where not even one cell is
    left for each, the last ones are left out.
    """
    shown = [(index, column) for index, column in enumerate(columns) if width >= column.hide_below]
    while shown and _room(len(shown), width) < len(shown):
        shown.pop()
    widths = _widths([column for _, column in shown], _room(len(shown), width))
    starts = accumulate((taken + GAP for taken in widths), initial=EDGE)
    return tuple(Slot(*item, x, taken) for item, x, taken in zip(shown, starts, widths, strict=False))


def _room(count: int, width: int) -> int:
    """Return the cells that so many columns can share."""
    return width - 2 * EDGE - GAP * (count - 1)


def _widths(columns: Sequence[Column], room: int) -> list[int]:
    """Return the width of each column; there is at least one cell for each."""
    flexible = [column.flex for column in columns if column.width is None]
    left = room - sum(column.width or 0 for column in columns)
    if left < NARROWEST * len(flexible):
        wanted = [NARROWEST if column.width is None else column.width for column in columns]
        return _shares(room, wanted, 1)
    shares = iter(_shares(left, flexible, NARROWEST))
    return [next(shares) if column.width is None else column.width for column in columns]


def _shares(total: int, weights: Sequence[int], least: int) -> list[int]:
    """Share out cells by weight, with no share below the least; `total` has room for that."""
    raised: set[int] = set()
    while True:
        others = [number for number in range(len(weights)) if number not in raised]
        parts = _distribute(total - least * len(raised), [weights[number] for number in others])
        by_number = dict(zip(others, parts, strict=True))
        small = {number for number, part in by_number.items() if part < least}
        if not small:
            return [by_number.get(number, least) for number in range(len(weights))]
        raised |= small


def _distribute(total: int, weights: Sequence[int]) -> list[int]:
    """Divide whole cells in proportion to weights, without losing one to rounding."""
    sums = list(accumulate((max(weight, 1) for weight in weights), initial=0))
    return [total * end // sums[-1] - total * start // sums[-1] for start, end in pairwise(sums)]
