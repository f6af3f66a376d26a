"""Puts buckets of time into columns of cells, so that the picture glides instead of flickering.

Which buckets share a column depends on their numbers alone: from paint to paint a column keeps what it holds and moves
to the left as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def columns(first: int, buckets: Sequence[T], width: int, at_least: int | None = None) -> list[Sequence[T]]:
    """Return `width` columns, oldest first, the last one holding the newest bucket; `first` is the oldest's number.

    As many buckets share a column as it takes for the newest `at_least` of them (None: all) to be seen. Columns for
    which there is nothing are empty.
    """
    if width <= 0:
        return []
    each = max(1, -(-(len(buckets) if at_least is None else at_least) // width))
    last_column = (first + len(buckets) - 1) // each
    found: list[Sequence[T]] = []
    for column in range(last_column - width + 1, last_column + 1):
        start = column * each - first
        found.append(buckets[max(0, start) : max(0, start + each)])
    return found
