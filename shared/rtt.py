"""The estimate of a round-trip time that sessions and transfers share (RFC 9002 section 5)."""

from typing import Final

SMOOTHING_GAIN: Final = 1 / 8
"""Weight of a new sample in the smoothed round-trip time."""
VARIATION_GAIN: Final = 1 / 4
GRANULARITY_S: Final = 0.001
"""Timers are no finer than this."""


class RttEstimator:
    """Smoothed round-trip time and its variation, in seconds; `initial_rtt_s` until there is a sample."""

    __slots__ = ("is_measured", "latest_s", "min_s", "smoothed_s", "variation_s")

    def __init__(self, initial_rtt_s: float) -> None:
        self.smoothed_s = initial_rtt_s
        self.variation_s = initial_rtt_s / 2
        self.latest_s = initial_rtt_s
        self.min_s = initial_rtt_s
        self.is_measured = False

    def sample(self, raw_s: float, ack_delay_s: float = 0.0) -> float:
        """Take one sample and return it without the other side's delay, as far as that is plausible."""
        if not self.is_measured:
            self.is_measured = True
            self.min_s = self.latest_s = self.smoothed_s = raw_s
            self.variation_s = raw_s / 2
            return raw_s
        self.min_s = min(self.min_s, raw_s)
        adjusted = raw_s - ack_delay_s if raw_s - ack_delay_s >= self.min_s else raw_s
        self.variation_s += VARIATION_GAIN * (abs(self.smoothed_s - adjusted) - self.variation_s)
        self.smoothed_s += SMOOTHING_GAIN * (adjusted - self.smoothed_s)
        self.latest_s = adjusted
        return adjusted

    def pto_s(self, max_ack_delay_s: float) -> float:
        """Return the probe timeout: how long to wait for an acknowledgement before probing (RFC 9002 section 6.2.1)."""
        return self.smoothed_s + max(4 * self.variation_s, GRANULARITY_S) + max_ack_delay_s
