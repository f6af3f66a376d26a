"""The lease: what is asked of the directory's row, what it answers, and the term that a node leads under it.

The lease is one row: term, holder, expiry in the directory's own time. Claiming is a compare-and-set: `term = term + 1`
where the seen term still stands and the row is free, the claimant's own, or expired. The holder is a node and its
incarnation, so that a restarted node does not inherit its earlier life's lease.

Trust counts from the moment the claim or renewal was *sent*, never from the answer: the directory's lease began later,
so it ends later than the trust in it. A leader whose trust has run out does nothing that a leader does, but it may hold
its office a little longer while it waits for an answer: where this machine or the directory was late, nobody else has
claimed the row, and a renewal of a lease that ran out unclaimed is granted.
"""

from dataclasses import dataclass, field

from shared.config import Timing

_NEVER = float("-inf")
_KEPT_HEARTBEATS = 16
"""Heartbeats whose acks still count; older ones prove nothing that anybody asks for."""
_RENEWAL_PATIENCE_HEARTBEATS = 2
"""A renewal without an answer is repeated after this; before, it would only queue up behind a slow directory."""


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


@dataclass(frozen=True, slots=True)
class ReadLease:
    """Read the row: a message told of a term or of a leader that this node has not seen there."""

    sent_at: float


LeaseAction = ClaimLease | RenewLease | ReleaseLease | ReadLease


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


@dataclass(frozen=True, slots=True)
class LeaseSeen:
    """The row shows `term` and `holder`, None where the lease is free."""

    term: int
    holder: str | None
    sent_at: float


LeaseAnswer = LeaseWon | LeaseRenewed | LeaseLost | LeaseUnknown | LeaseReleased | LeaseSeen


@dataclass(frozen=True, slots=True)
class Resignation:
    """A leadership given up, to be told to the others once the lease is released, or at `due` if nobody says so."""

    term: int
    successor: str | None
    due: float


@dataclass(slots=True)
class Leadership:
    """The lease of one node, over all its leaderships. Times in seconds of the node's clock."""

    timing: Timing
    term: int = 0
    since: float = _NEVER
    claimed_at: float = _NEVER
    """When the last claim was sent."""
    trusted_until: float = _NEVER
    lapsed_at: float | None = None
    """When this node found that it trusts its lease no more, and began to wait for an answer that restores trust."""
    resignation: Resignation | None = None
    sequence: int = 0
    _renewal_sent_at: float | None = None
    _unanswered: bool = False
    """The directory gave no answer to the renewal that was sent last."""
    _sent_at: dict[int, float] = field(default_factory=dict)

    def trust_from(self, sent_at: float) -> float:
        """Return until when a claim or renewal sent at `sent_at` may be trusted if it was granted."""
        return sent_at + self.timing.lease_trust_s

    def begin(self, term: int, sent_at: float, now: float) -> None:
        """The claim sent at `sent_at` won `term`."""
        self.term, self.since, self.trusted_until = term, now, self.trust_from(sent_at)
        self._renewal_sent_at = self.lapsed_at = None
        self._unanswered = False

    def renewed(self, sent_at: float) -> None:
        """The renewal sent at `sent_at` was granted."""
        self.trusted_until = max(self.trusted_until, self.trust_from(sent_at))
        self._renewal_sent_at = None
        self._unanswered = False

    def not_answered(self, sent_at: float | None) -> None:
        """The directory did not answer the renewal sent at `sent_at`. Where a later one is under way, that is waited
        for."""
        if sent_at is not None and sent_at == self._renewal_sent_at:
            self._unanswered = True

    def is_over(self, now: float) -> bool:
        """Return whether the trust has run out and is not to be waited for: the directory gave no answer to the last
        renewal, or a whole lease has passed since."""
        if now < self.trusted_until:
            self.lapsed_at = None
            return False
        if self.lapsed_at is None:
            self.lapsed_at = now
        return self._unanswered or now >= self.lapsed_at + self.timing.lease_s

    def next_deadline(self) -> float:
        """Return when `is_over` may change unless something else happens."""
        return self.trusted_until if self.lapsed_at is None else self.lapsed_at + self.timing.lease_s

    def end(self) -> None:
        """This node no longer leads, whatever the row in the directory says."""
        self.trusted_until = _NEVER

    def number_heartbeat(self, now: float) -> int:
        """Number the heartbeat that is sent now."""
        self.sequence += 1
        self._sent_at[self.sequence] = now
        self._sent_at.pop(self.sequence - _KEPT_HEARTBEATS, None)
        return self.sequence

    def heartbeat_sent_at(self, sequence: int) -> float | None:
        """Return when a heartbeat was sent, if it was one of the last."""
        return self._sent_at.get(sequence)

    def wants_renewal(self, now: float) -> bool:
        """Return whether to send a renewal now, and note that it was sent."""
        patience_s = _RENEWAL_PATIENCE_HEARTBEATS * self.timing.heartbeat_s
        if self._renewal_sent_at is not None and now - self._renewal_sent_at < patience_s:
            return False
        self._renewal_sent_at = now
        self._unanswered = False
        return True

    def resign(self, successor: str | None, now: float) -> None:
        """Remember to tell the others that this leadership is given up."""
        self.resignation = Resignation(self.term, successor, now + self.timing.ok_timeout_s)
