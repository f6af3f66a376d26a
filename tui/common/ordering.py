"""In which order rows stand, where the cursor goes when they change, and the keys that move it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from textual.binding import Binding

T = TypeVar("T")
Sort = tuple[str, bool]
"""Name of a sort key, and whether the order is descending."""
_KEYS: Final = (
    ("up,k", "{step}(-1)", "Up"),
    ("down,j", "{step}(1)", "Down"),
    ("home,g", "first", "First"),
    ("end,G", "last", "Last"),
    ("pageup,ctrl+u", "page(-1)", "Page up"),
    ("pagedown,ctrl+d", "page(1)", "Page down"),
)
"""Arrows, vim's letters, pages, both ends: keys, action and name; `step` is the action that moves by one row."""


def orders(names: Iterable[str], start: Sort | None, downwards: Collection[str] = ()) -> tuple[Sort | None, ...]:
    """Return the orders to go through: as given, if it starts so, then each key up and down, or down and up."""
    as_given: list[Sort | None] = [None] if start is None else []
    return (*as_given, *((name, descending) for name in names for descending in _directions(name in downwards)))


def sorted_by(name: str, now: Sort | None, downwards: Collection[str] = ()) -> Sort:
    """Return the order for who wants it by this key: the other way round if it is already."""
    first, second = _directions(name in downwards)
    return (name, second) if now == (name, first) else (name, first)


def _directions(downwards: bool) -> tuple[bool, bool]:
    return (True, False) if downwards else (False, True)


def in_order(rows: Sequence[T], sort: Sort | None, keys: Mapping[str, Callable[[T], Any]]) -> tuple[T, ...]:
    """Return the rows sorted; rows that are equal by the key keep the order in which they were given."""
    if sort is None:
        return tuple(rows)
    name, descending = sort
    return tuple(sorted(rows, key=keys[name], reverse=descending))


def successor(before: Sequence[T], cursor: int, rows: Sequence[T], key: Callable[[T], str]) -> int:
    """Return the index of the row that the cursor stood on, else of the nearest after it, else before it."""
    if cursor >= len(before):
        return 0
    current = key(before[cursor])
    for index, row in enumerate(rows):
        if key(row) == current:
            return index
    places: dict[str, int] = {}
    for index, row in enumerate(rows):
        places.setdefault(key(row), index)
    for row in (*before[cursor:], *reversed(before[:cursor])):
        place = places.get(key(row))
        if place is not None:
            return place
    return 0


def row_keys(prefix: str, step: str = "cursor") -> list[Binding]:
    """Return bindings with the ids `prefix.up`, `prefix.page_down` and so on; `step` is the action of a single row."""
    return [
        Binding(keys, action.format(step=step), name, id=f"{prefix}.{name.lower().replace(' ', '_')}", show=False)
        for keys, action, name in _KEYS
    ]
