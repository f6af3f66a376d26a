"""The rule of the ledger: when a look may be spent, and how an owner's change meets the looks in flight.

Pure functions on one grant's state. The directory applies them inside a transaction, so that their order is the order
of its commits. left = granted - consumed, never below 0; no look is counted beyond what is granted.
"""

from dataclasses import dataclass, replace

from shared.config import MAX_VIEWS
from shared.errors import InvalidInput, LocalError, Refused, ViewRefused
from shared.wire.refusals import REFUSAL_TEXTS, RefusalCode


@dataclass(frozen=True, slots=True)
class LedgerState:
    """One grant as the ledger has it."""

    granted: int
    """Views granted in all, spent ones included."""
    consumed: int = 0
    """Views spent; only ever grows."""
    expires: float | None = None
    """Seconds since 1970 in the directory's clock; a look at that moment or later is refused. None for never."""
    revoked: bool = False
    """Final: a revoked grant never comes back."""
    version: int = 1
    """Version of the owner's record; only ever grows."""
    frozen: bool = False
    """The directory was restored from a backup and may have forgotten views; no look before the owner has confirmed."""

    def __post_init__(self) -> None:
        if min(self.granted, self.consumed) < 0 or self.version < 1:
            raise LocalError("a grant with a negative count or without a version")


def left(state: LedgerState) -> int:
    """Return the views left, also of a grant whose looks are refused for another reason."""
    return max(0, state.granted - state.consumed)


def refusal(state: LedgerState, now: float) -> RefusalCode | None:
    """Return why a look at `now` (seconds since 1970, the directory's clock) is refused, or None if it may be spent.

    Where several reasons hold, the one that asking for more views would not mend comes first.
    """
    if state.frozen:
        return RefusalCode.FROZEN
    if state.revoked:
        return RefusalCode.REVOKED
    if state.expires is not None and now >= state.expires:
        return RefusalCode.EXPIRED
    if left(state) == 0:
        return RefusalCode.NO_VIEWS
    return None


def spend(state: LedgerState, now: float) -> LedgerState:
    """Return the state with one more view spent. Raises `ViewRefused` with the reason, and then nothing is spent."""
    if (code := refusal(state, now)) is not None:
        raise ViewRefused(code, REFUSAL_TEXTS[code])
    return replace(state, consumed=state.consumed + 1)


def apply_change(
    state: LedgerState,
    new_version: int,
    granted: int,
    expires: float | None,
    revoked: bool,
    expected_version: int,
    expected_consumed: int,
) -> LedgerState:
    """Return the state after an owner's change, if the grant still stands where the owner saw it.

    Compare-and-set on (version, consumed): raises `Refused` with CONFLICT otherwise, with REVOKED for an attempt to
    undo a revocation, with INVALID for a version that does not grow or a total out of range. A total below what was
    consumed leaves 0. A frozen grant is thawed: the owner, who met the counts and signed anew, has confirmed it.
    """
    if (state.version, state.consumed) != (expected_version, expected_consumed):
        raise _refused(RefusalCode.CONFLICT)
    if new_version <= state.version or not 0 <= granted <= MAX_VIEWS:
        raise _refused(RefusalCode.INVALID)
    if state.revoked and not revoked:
        raise _refused(RefusalCode.REVOKED)
    return replace(state, version=new_version, granted=granted, expires=expires, revoked=revoked, frozen=False)


def freeze(state: LedgerState) -> LedgerState:
    """Return the state of a grant that must be confirmed by its owner before the next look."""
    return replace(state, frozen=True)


def granted_for_left(consumed: int, views_left: int) -> int:
    """Return the total to grant so that `views_left` are left after `consumed`.

    Raises `InvalidInput` where the total would be beyond `MAX_VIEWS`.
    """
    if views_left < 0 or consumed + views_left > MAX_VIEWS:
        room = max(0, MAX_VIEWS - consumed)
        raise InvalidInput(
            f"The number of views left must be between 0 and {room}: {MAX_VIEWS} in all, spent included."
        )
    return consumed + views_left


def _refused(code: RefusalCode) -> Refused:
    return Refused(code, REFUSAL_TEXTS[code])
