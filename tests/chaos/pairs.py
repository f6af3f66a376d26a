"""What an owner's acknowledged changes allow one viewer on one image: every state that they can have led to.

Pure. An acknowledged change happened once; one whose caller died before the answer happened once or never; one that was
refused did not happen. From this follow, for the end, how many grants there are, how many views the last one allows in
all, and whether it stands. A directory that is none of these states lost a change, or made one twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

MAYBE, SURE, NEVER = "maybe", "sure", "never"
_SAME_TIME_S = 0.01
_STATES = 4_096
"""More possible states than this mean that too many answers are unknown for the pair to say anything."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that the owner asked for. `line` is where the journal begins it."""

    line: int
    certainty: str
    give: int | None = None
    """So many views, as a new grant or as more of the one that stands."""
    left: int | None = None
    """So many views left."""
    revoke: bool = False
    expires: float | None = None
    """A new expiry, None where it stays."""
    ask: str | None = None
    """The request that this answers: it is answered with views at most once."""
    met: int | None = None
    """The count that the change met, where the answer told it."""


@dataclass(frozen=True, slots=True)
class Right:
    """One possible state: the `generation`-th grant, which allows `low` to `high` views in all."""

    generation: int = 0
    low: int = 0
    high: int = 0
    stands: bool = False
    expires: float | None = None
    peak: int = 0
    """The most that this grant ever allowed."""
    before: int = 0
    """The most that the grants before it allowed together."""
    answered: frozenset[str] = frozenset()

    @property
    def most_shown(self) -> int:
        """How often the picture can have been shown by right, over all grants."""
        return self.before + self.peak


@dataclass(frozen=True, slots=True)
class Row:
    """A grant as the directory has it at the end."""

    grant: str
    granted: int
    consumed: int
    revoked: bool
    expires: float | None


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind` is lost, doubled or differ."""

    kind: str
    text: str


def possible(changes: Iterable[Change], consumed: list[int]) -> set[Right]:
    """Return all states that the changes can have led to; `consumed` are the counts of the grants, oldest first."""
    states = {Right()}
    for change in changes:
        states = after(states, change, consumed)
    return states


def after(states: set[Right], change: Change, consumed: list[int]) -> set[Right]:
    """Return the states after one more change."""
    if change.certainty == NEVER:
        return states
    changed = {applied(state, change, consumed) for state in states}
    if change.certainty == MAYBE:
        changed |= states
    if len(changed) > _STATES:
        raise OverflowError(f"more than {_STATES} possible states")
    return changed


def applied(right: Right, change: Change, consumed: list[int]) -> Right:
    """Return what a change makes of a state. What meets no grant that stands changes nothing."""
    if change.ask is not None:
        if change.ask in right.answered:
            return right
        right = replace(right, answered=right.answered | {change.ask})
    if change.give is not None:
        return _given(right, change)
    if not right.stands:
        return right
    if change.revoke:
        return replace(right, stands=False)
    if change.left is not None:
        right = _set_left(right, change.left, change.met, consumed)
    return right if change.expires is None else replace(right, expires=change.expires)


def _given(right: Right, change: Change) -> Right:
    views = change.give or 0
    if right.stands:
        high = right.high + views
        expires = right.expires if change.expires is None else change.expires
        return replace(right, low=right.low + views, high=high, peak=max(right.peak, high), expires=expires)
    return replace(
        right,
        generation=right.generation + 1,
        low=views,
        high=views,
        stands=True,
        expires=change.expires,
        before=right.before + right.peak,
        peak=views,
    )


def _set_left(right: Right, left: int, met: int | None, consumed: list[int]) -> Right:
    if met is not None:
        low = high = met + left
    else:
        spent = consumed[right.generation - 1] if right.generation <= len(consumed) else right.high
        low, high = left, left + spent
    return replace(right, low=low, high=high, peak=max(right.peak, high))


def compare(states: set[Right], rows: list[Row]) -> Finding | None:
    """Return what is wrong with a directory that has these grants, oldest first; None where a state explains it."""
    if any(_explains(state, rows) for state in states):
        return None
    generations = {state.generation for state in states}
    if len(rows) > max(generations):
        return Finding("doubled", f"{len(rows)} grants where at most {max(generations)} were given")
    if len(rows) < min(generations):
        return Finding("lost", f"{len(rows)} grants where at least {min(generations)} were given")
    last = rows[-1]
    like = [state for state in states if state.generation == len(rows)] or list(states)
    if not last.revoked and not any(state.stands for state in like):
        return Finding("lost", f"grant {last.grant[:8]} stands although it was revoked")
    if last.revoked and all(state.stands for state in like):
        return Finding("doubled", f"grant {last.grant[:8]} is revoked although nobody asked for it")
    low, high = min(state.low for state in like), max(state.high for state in like)
    if last.granted > high:
        return Finding("doubled", f"grant {last.grant[:8]} allows {last.granted} views, {high} were given at most")
    if last.granted < low:
        return Finding("lost", f"grant {last.grant[:8]} allows {last.granted} views, {low} were given at least")
    known = sorted({str(state.expires) for state in like})
    return Finding(
        "lost", f"grant {last.grant[:8]} has {last.granted} views and expiry {last.expires}, possible: {known}"
    )


def _explains(state: Right, rows: list[Row]) -> bool:
    if state.generation != len(rows):
        return False
    if not rows:
        return True
    last = rows[-1]
    if last.revoked == state.stands or not all(row.revoked for row in rows[:-1]):
        return False
    if not state.low <= last.granted <= state.high:
        return False
    if state.expires is None or last.expires is None:
        return state.expires is last.expires
    return abs(state.expires - last.expires) < _SAME_TIME_S
