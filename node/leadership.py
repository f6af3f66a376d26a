"""The term that this node leads: how long its lease is trusted, what was renewed when, and how it is given up.

Trust counts from the moment the claim or renewal was *sent*, never from the answer: the directory's lease began later,
so it ends later than the trust in it.
"""

from dataclasses import dataclass, field

from shared.config import Timing

_NEVER = float("-inf")
_KEPT_BEATS = 16
"""Heartbeats whose acks still count; older ones prove nothing that anybody asks for."""
_RENEWAL_PATIENCE_HEARTBEATS = 2
"""A renewal without an answer is repeated after this; before, it would only queue up behind a slow directory."""


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
    resignation: Resignation | None = None
    sequence: int = 0
    _renewal_sent_at: float | None = None
    _beats: dict[int, float] = field(default_factory=dict)

    def trust_from(self, sent_at: float) -> float:
        """Return until when a claim or renewal sent at `sent_at` may be trusted if it was granted."""
        return sent_at + self.timing.lease_trust_s

    def begin(self, term: int, sent_at: float, now: float) -> None:
        """The claim sent at `sent_at` won `term`."""
        self.term, self.since, self.trusted_until = term, now, self.trust_from(sent_at)
        self._renewal_sent_at = None

    def renewed(self, sent_at: float) -> None:
        """The renewal sent at `sent_at` was granted."""
        self.trusted_until = max(self.trusted_until, self.trust_from(sent_at))
        self._renewal_sent_at = None

    def end(self) -> None:
        """This node no longer leads, whatever the row in the directory says."""
        self.trusted_until = _NEVER

    def beat(self, now: float) -> int:
        """Number the heartbeat that is sent now."""
        self.sequence += 1
        self._beats[self.sequence] = now
        self._beats.pop(self.sequence - _KEPT_BEATS, None)
        return self.sequence

    def beat_sent_at(self, sequence: int) -> float | None:
        """Return when a heartbeat was sent, if it was one of the last."""
        return self._beats.get(sequence)

    def wants_renewal(self, now: float) -> bool:
        """Return whether to send a renewal now, and note that it was sent."""
        patience_s = _RENEWAL_PATIENCE_HEARTBEATS * self.timing.heartbeat_s
        if self._renewal_sent_at is not None and now - self._renewal_sent_at < patience_s:
            return False
        self._renewal_sent_at = now
        return True

    def resign(self, successor: str | None, now: float) -> None:
        """Remember to tell the others that this leadership is given up."""
        self.resignation = Resignation(self.term, successor, now + self.timing.ok_timeout_s)
