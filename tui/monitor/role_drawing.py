"""The state machine of the election drawn with characters. Boxes have their places; arrows come from the table.

FOLLOWER, CLAIM and LEADER are as tall as the drawing, so that every arrow to or from them is a straight line; the three
roles of a node that looks for a leader stand between them, one below the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from node.roles import TRANSITIONS, Role

if TYPE_CHECKING:
    from collections.abc import Iterable

Edge = tuple[Role, Role]

COMPACT_LINES: Final = 7
FULL_LINES: Final = 13
_MIDDLE: Final = (Role.PROBE, Role.WAIT, Role.ELECT)
_WIDTHS: Final = {
    Role.FOLLOWER: 10,
    Role.PROBE: 7,
    Role.WAIT: 6,
    Role.ELECT: 7,
    Role.CLAIM: 7,
    Role.LEADER: 8,
}
_LEAST_GAP: Final = 3
_WIDEST_GAP: Final = 12
_GAPS: Final = 3
LEAST_CELLS: Final = 10 + 7 + 7 + 8 + _GAPS * _LEAST_GAP
AGAIN: Final = "↻"
"""Marks a role that something can happen to without another role."""


class Cell(NamedTuple):
    """One character: inside the box of a role, or part of the arrows of these edges, or blank."""

    char: str
    role: Role | None = None
    edges: frozenset[Edge] = frozenset()


_BLANK: Final = Cell(" ")
_PAIRS: Final = frozenset((source, target) for (source, _), target in TRANSITIONS.items())


@dataclass(frozen=True, slots=True)
class _Box:
    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def middle(self) -> int:
        return self.y + self.height // 2


def edges() -> frozenset[Edge]:
    """Return every pair of different roles between which there is a transition."""
    return frozenset((source, target) for source, target in _PAIRS if source is not target)


def exits(role: Role) -> tuple[tuple[Role, tuple[str, ...]], ...]:
    """Return where a role leads, and on what, in words; itself last where something leaves it as it is."""
    found: dict[Role, list[str]] = {}
    for (source, happened), target in TRANSITIONS.items():
        if source is role:
            found.setdefault(target, []).append(happened.value)
    ordered = sorted(found, key=lambda target: (target is role, list(Role).index(target)))
    return tuple((target, tuple(found[target])) for target in ordered)


@lru_cache(maxsize=16)
def drawing(width: int, *, full: bool) -> tuple[tuple[Cell, ...], ...]:
    """Return the drawing's rows, each at most `width` cells, cut off on the right where that is too narrow.

    It is `FULL_LINES` high, else `COMPACT_LINES`.
    """
    boxes = _boxes(min(_WIDEST_GAP, max(_LEAST_GAP, (width - LEAST_CELLS) // _GAPS + _LEAST_GAP)), 3 if full else 1)
    canvas: dict[tuple[int, int], Cell] = {}
    for pair in sorted({frozenset(edge) for edge in edges()}, key=lambda pair: sorted(role.name for role in pair)):
        _connect(canvas, boxes, pair, edges())
    for role, box in boxes.items():
        _fill(canvas, role, box, again=full and (role, role) in _PAIRS)
    height = boxes[Role.LEADER].bottom
    columns = min(width, boxes[Role.LEADER].right)
    return tuple(tuple(canvas.get((y, x), _BLANK) for x in range(columns)) for y in range(height))


def _boxes(gap: int, height: int) -> dict[Role, _Box]:
    """Return where the boxes stand. Below the middle ones are two lines for arrows: to CLAIM, and to LEADER."""
    middle_x = _WIDTHS[Role.FOLLOWER] + gap
    claim_x = middle_x + _WIDTHS[Role.PROBE] + gap
    leader_x = claim_x + _WIDTHS[Role.CLAIM] + gap
    below = len(_MIDDLE) * (height + 1) - 1
    boxes = {role: _Box(middle_x, number * (height + 1), _WIDTHS[role], height) for number, role in enumerate(_MIDDLE)}
    boxes[Role.FOLLOWER] = _Box(0, 0, _WIDTHS[Role.FOLLOWER], below + 2)
    boxes[Role.CLAIM] = _Box(claim_x, 0, _WIDTHS[Role.CLAIM], below + 1)
    boxes[Role.LEADER] = _Box(leader_x, 0, _WIDTHS[Role.LEADER], below + 2)
    return boxes


def _fill(canvas: dict[tuple[int, int], Cell], role: Role, box: _Box, *, again: bool) -> None:
    """Draw a box with its name in the middle, which all tall ones have at the height of the middle one."""
    name_y = box.middle if role in _MIDDLE else (box.y + _tall_middle(box, role))
    for y in range(box.y, box.bottom):
        text = f" {role.name}" if y == name_y else f" {AGAIN}" if again and y == name_y + 1 else ""
        for offset, char in enumerate(text.ljust(box.width)):
            canvas[y, box.x + offset] = Cell(char, role)


def _tall_middle(box: _Box, role: Role) -> int:
    """Return the line of the second middle box, seen from the top of a tall one."""
    return (box.height - (1 if role is Role.CLAIM else 2)) // 2


def _connect(
    canvas: dict[tuple[int, int], Cell], boxes: dict[Role, _Box], pair: frozenset[Role], known: frozenset[Edge]
) -> None:
    """Draw the arrows between two roles."""
    first, second = sorted(pair, key=lambda role: (boxes[role].x, boxes[role].y))
    there = frozenset({(first, second)} & known)
    back = frozenset({(second, first)} & known)
    one, other = boxes[first], boxes[second]
    if first in _MIDDLE and second in _MIDDLE:
        if _MIDDLE.index(second) - _MIDDLE.index(first) == 1:
            _step(canvas, one, there, back)
        else:
            _bypass(canvas, one, other, there, back)
        return
    _horizontal(canvas, _line_of(boxes, first, second), one.right, other.x - 1, there, back)


def _line_of(boxes: dict[Role, _Box], first: Role, second: Role) -> int:
    """Return the line on which the arrow between two roles lies."""
    for role in (first, second):
        if role in _MIDDLE:
            return boxes[role].middle
    if {first, second} == {Role.CLAIM, Role.LEADER}:
        return boxes[Role.WAIT].middle
    return boxes[Role.CLAIM].bottom - 1 if Role.CLAIM in (first, second) else boxes[Role.LEADER].bottom - 1


def _horizontal(
    canvas: dict[tuple[int, int], Cell], y: int, start: int, end: int, there: frozenset[Edge], back: frozenset[Edge]
) -> None:
    for x in range(start, end + 1):
        char, own = "─", there | back
        if x == end and there:
            char, own = "▶", there
        elif x == start and back:
            char, own = "◀", back
        _put(canvas, y, x, char, own)


def _step(canvas: dict[tuple[int, int], Cell], above: _Box, there: frozenset[Edge], back: frozenset[Edge]) -> None:
    """Draw the arrows between a middle box and the one right below it."""
    if there:
        _put(canvas, above.bottom, above.x + 1, "▼", there)
    if back:
        _put(canvas, above.bottom, above.x + 3, "▲", back)


def _bypass(
    canvas: dict[tuple[int, int], Cell], above: _Box, below: _Box, there: frozenset[Edge], back: frozenset[Edge]
) -> None:
    """Draw the arrows that pass beside the middle box between two others, which is narrower for that."""
    x = above.right - 1
    for y in range(above.bottom, below.y):
        char, own = "│", there | back
        if y == below.y - 1 and there:
            char, own = "▼", there
        elif y == above.bottom and back:
            char, own = "▲", back
        _put(canvas, y, x, char, own)


def _put(canvas: dict[tuple[int, int], Cell], y: int, x: int, char: str, own: Iterable[Edge]) -> None:
    """Draw a piece of an arrow; where two lines cross, the cell belongs to both."""
    before = canvas.get((y, x))
    if before is None:
        canvas[y, x] = Cell(char, None, frozenset(own))
    else:
        canvas[y, x] = Cell("┼", None, before.edges | frozenset(own))
