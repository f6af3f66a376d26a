"""What the election asks of the directory's lease, and what the directory answers.

The lease is one row: term, holder, expiry in the directory's own time. Claiming is a compare-and-set: `term = term + 1`
where the seen term still stands and the row is free, the claimant's own, or expired. The holder is a node and its
incarnation, so that a restarted node does not inherit its earlier life's lease.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClaimLease:
    """Compare and set the lease from `seen_term` to the next term."""

    seen_term: int
    sent_at: float
    """When it was asked for, in seconds of the node's clock; comes back in the answer."""


@dataclass(frozen=True, slots=True)
class RenewLease:
    """Extend the lease of `term`, if it is still this node's."""

    term: int
    sent_at: float


@dataclass(frozen=True, slots=True)
class ReleaseLease:
    """Give the lease of `term` up, if it is still this node's. The answer, if any, is `LeaseReleased`."""

    term: int


LeaseAction = ClaimLease | RenewLease | ReleaseLease


@dataclass(frozen=True, slots=True)
class LeaseWon:
    """The claim sent at `sent_at` won `term`."""

    term: int
    sent_at: float


@dataclass(frozen=True, slots=True)
class LeaseRenewed:
    """The renewal sent at `sent_at` was granted."""

    term: int
    sent_at: float


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """A claim or renewal was refused: the row shows `term` and `holder`."""

    term: int
    holder: str | None
    free_in_s: float | None = None
    """When the lease ends unless renewed, by the directory's time; None if the directory did not say."""
    sent_at: float | None = None
    """The `sent_at` of what was refused, where the caller knows it."""


@dataclass(frozen=True, slots=True)
class LeaseUnknown:
    """The directory did not answer in time: the claim or renewal may or may not have happened."""

    sent_at: float | None = None


@dataclass(frozen=True, slots=True)
class LeaseReleased:
    """The lease of `term` is free or another's."""

    term: int


LeaseAnswer = LeaseWon | LeaseRenewed | LeaseLost | LeaseUnknown | LeaseReleased
