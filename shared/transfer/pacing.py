"""A token bucket that spreads datagrams over time, in bursts large enough to be worth a wake-up."""

from typing import Final

QUANTUM_S: Final = 0.001
"""Timers are no finer than this: bursts hold at least what the rate allows in this time."""
MAX_QUANTUM_BYTES: Final = 64 * 1024
"""What one system call can send as a train of equal datagrams."""
BURST_S: Final = 0.005
"""What may be caught up after a late wake-up."""
BURST_DATAGRAMS: Final = 10
"""What may always leave at once (RFC 9002 section 7.7 recommends the initial window of ten datagrams)."""


class Pacer:
    """Counts the bytes that may leave now. Rates in bytes per second."""

    __slots__ = ("_at", "_datagram_bytes", "_least_burst_bytes", "_tokens")

    def __init__(self, *, datagram_bytes: int, now: float) -> None:
        self._datagram_bytes = datagram_bytes
        self._least_burst_bytes = max(min(BURST_DATAGRAMS * datagram_bytes, MAX_QUANTUM_BYTES), datagram_bytes)
        self._tokens = float(self._least_burst_bytes)
        self._at = now

    def allowance(self, now: float, rate: float) -> int:
        """Return how many datagrams may leave now; none while the next burst is too small to bother."""
        if now > self._at:
            most = max(self._least_burst_bytes, rate * BURST_S)
            self._tokens = min(self._tokens + rate * (now - self._at), most)
            self._at = now
        tokens = self._tokens + 1.0  # absorbs rounding at the deadline
        return int(tokens) // self._datagram_bytes if tokens >= self._quantum_bytes(rate) else 0

    def spend(self, spent_bytes: int) -> None:
        """Take what was sent; probes may overdraw."""
        self._tokens -= spent_bytes

    def ready_at(self, rate: float) -> float:
        """Return when the next burst may leave."""
        return self._at + max(self._quantum_bytes(rate) - self._tokens, 0.0) / rate

    def _quantum_bytes(self, rate: float) -> float:
        return max(min(rate * QUANTUM_S, MAX_QUANTUM_BYTES, self._least_burst_bytes), self._datagram_bytes)
