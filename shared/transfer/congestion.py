"""Congestion control: how much may be in flight, and how fast it is sent.

`DelayController` steers by delay, not by single losses, because a path that loses 5 % at random is not a full one:

- It measures in rounds, one round trip each: the least round-trip time of the round (jitter of processes and links only
  ever adds to it), the delivery rate, the share of datagrams lost.
- STARTUP doubles the window every round until the least round trip of a round shows a queue, or the delivery rate stops
  growing (as BBR does, Cardwell et al. 2016), or the path drops heavily.
- GROWTH adds to the window an amount that depends only on the rounds since the last back-off (the idea of H-TCP, Leith
  and Shorten 2004), so that flows which share a bottleneck grow alike whatever share they have.
- When the queue exceeds a bound, or losses exceed what chance explains, the window backs off to a fraction of what the
  path itself holds, delivery rate x least round trip (TCP Westwood, Mascolo et al. 2001): the queue drains at once, and
  every flow through it, a late one too, gets to see the bare round trip. Flows that grow alike and shrink in proportion
  converge to equal shares (Chiu and Jain 1989).

The queue bound is at least the scheduling slack: on a path of microseconds the processes at its ends delay datagrams by
milliseconds, and a window of rate x round trip would starve them.
"""

from collections import deque
from enum import Enum
from math import inf, sqrt
from typing import Final, Protocol

from shared.rtt import RttEstimator

MIN_WINDOW_DATAGRAMS: Final = 4
"""Never less in flight than this, so that losses are found by later datagrams and not by time alone."""
STARTUP_PACING_GAIN: Final = 2.0
GROWTH_PACING_GAIN: Final = 1.25
"""Above 1 so that pacing smooths bursts and the window decides the rate."""
BACK_OFF: Final = 0.85
"""Part of the bandwidth-delay product that is in flight after a back-off: below 1, so that the queue empties."""
GROWTH_PER_ROUND: Final = 0.5
"""By how many datagrams per round the growth itself grows: the window rises with the square of the rounds."""
QUEUE_BOUND_RTTS: Final = 0.25
"""Tolerated queueing delay in parts of the bare round trip, where that is more than the scheduling slack."""
LEARNED_BOUND: Final = 0.6
"""Part of the deepest queue seen at heavy loss that is tolerated from then on: a short buffer is not filled again."""
BOUND_RECOVERY: Final = 1.04
"""Growth of a learned bound at every back-off that needed no loss: what was learned from chance is unlearned."""
LOSS_TOLERATED: Final = 0.08
"""Share of lost datagrams that is always taken for chance; noise is allowed for on top."""
MAX_LOSS_TOLERATED: Final = 0.35
LOSS_OVER_RANDOM: Final = 1.5
"""Losses are heavy when they exceed those of the empty queue by this factor."""
LOSS_NOISE_DEVIATIONS: Final = 2.5
MIN_RTT_LIFETIME_S: Final = 10.0
"""A least round trip older than this is forgotten: routes change."""
STARTUP_GROWTH: Final = 1.25
STARTUP_DELAYED_SAMPLES: Final = 8
"""Round-trip samples in a row beyond the queue bound that end STARTUP within a round: by its end the window would
have doubled once more."""
STARTUP_FLAT_ROUNDS: Final = 3
RANDOM_LOSS_MEMORY_DATAGRAMS: Final = 1000
RANDOM_LOSS_LEAST_DATAGRAMS: Final = 40
PERSISTENT_CONGESTION_PTOS: Final = 3
"""Unanswered probes in a row after which everything known of the path is doubted (RFC 9002 section 7.6)."""


class CongestionController(Protocol):
    """Decides window and pace of one sender. Sizes in bytes, times in seconds of the caller's clock."""

    @property
    def congestion_window(self) -> int:
        """How much may be in flight."""

    @property
    def pacing_rate(self) -> float:
        """Bytes per second at which datagrams may leave, averaged over a few milliseconds."""

    def on_packets_acked(
        self,
        now: float,
        acked_bytes: int,
        rtt_s: float | None,
        window_used: bool,
        largest: int,
        next_number: int,
    ) -> None:
        """Learn of newly acknowledged datagrams.

        `rtt_s` is a fresh sample or None; `window_used` says that at least half of the window was in flight; `largest`
        is the largest packet number acknowledged so far and `next_number` the one that will be sent next.
        """

    def on_packets_lost(self, lost_bytes: int) -> None:
        """Learn of datagrams declared lost."""

    def on_pto(self, pto_count: int) -> None:
        """Learn that nothing was heard for a probe time-out."""


class Phase(Enum):
    """What the controller is doing."""

    STARTUP = "startup"
    DRAIN = "drain"
    GROWTH = "growth"


class MinimumRtt:
    """The least round trip of the last `MIN_RTT_LIFETIME_S`, kept in two half-lives."""

    __slots__ = ("_changed_at", "_older", "_younger")

    def __init__(self) -> None:
        self._older = self._younger = inf
        self._changed_at = -inf

    def sample(self, now: float, rtt_s: float) -> None:
        """Take one measured round trip."""
        if now - self._changed_at > MIN_RTT_LIFETIME_S / 2:
            self._older, self._younger, self._changed_at = self._younger, rtt_s, now
        elif rtt_s < self._younger:
            self._younger = rtt_s

    @property
    def seconds(self) -> float:
        """The least round trip; infinite before the first sample."""
        return min(self._older, self._younger)


class RandomLoss:
    """The share of datagrams that the path loses while the queue is empty, which no back-off would spare."""

    __slots__ = ("_lost", "_sent")

    def __init__(self) -> None:
        self._lost = self._sent = 0.0

    def sample(self, lost: float, sent: float) -> None:
        """Take the datagrams of a round that met an empty queue; older rounds fade."""
        if self._sent > RANDOM_LOSS_MEMORY_DATAGRAMS:
            self._lost, self._sent = self._lost / 2, self._sent / 2
        self._lost += lost
        self._sent += sent

    @property
    def share(self) -> float:
        """0 to 1; 0 while too little is known."""
        return min(self._lost / self._sent, 0.5) if self._sent >= RANDOM_LOSS_LEAST_DATAGRAMS else 0.0


class DelayController:
    """The controller described at the head of this module."""

    def __init__(
        self,
        *,
        datagram_bytes: int,
        initial_window_bytes: int,
        max_window_bytes: int,
        rtt: RttEstimator,
        slack_s: float,
    ) -> None:
        """`rtt` is the sender's estimate, which has every sample before this controller gets it."""
        self._datagram_bytes = datagram_bytes
        self._least_window = MIN_WINDOW_DATAGRAMS * datagram_bytes
        self._max_window = max_window_bytes
        self._slack_s = slack_s
        self._window = float(max(initial_window_bytes, datagram_bytes))
        self._rtt = rtt
        self._min_rtt = MinimumRtt()
        self._learned_bound_s = inf
        self._random_loss = RandomLoss()
        self.phase = Phase.STARTUP
        self._rounds_of_growth = 0
        self._best_rate = 0.0
        self._flat_rounds = self._delayed_samples = 0
        self._rates: deque[float] = deque(maxlen=3)
        self._round_end = 0
        self._round_began_at = inf  # the first round begins with the first acknowledgement
        self._round_acknowledged = self._round_lost = 0
        self._round_min_rtt_s, self._round_max_rtt_s = inf, 0.0
        self._round_window_used = False

    @property
    def congestion_window(self) -> int:
        """How much may be in flight, in bytes."""
        return int(self._window)

    @property
    def pacing_rate(self) -> float:
        """Bytes per second."""
        gain = STARTUP_PACING_GAIN if self.phase is Phase.STARTUP else GROWTH_PACING_GAIN
        return gain * self._window / max(self._rtt.smoothed_s, 1e-5)

    @property
    def min_rtt_s(self) -> float:
        """The bare round trip as far as it is known; the smoothed one before any sample."""
        return min(self._min_rtt.seconds, self._rtt.smoothed_s)

    @property
    def queue_bound_s(self) -> float:
        """Queueing delay above which the window backs off."""
        return min(max(self._slack_s, QUEUE_BOUND_RTTS * self.min_rtt_s), self._learned_bound_s)

    def on_packets_acked(
        self,
        now: float,
        acked_bytes: int,
        rtt_s: float | None,
        window_used: bool,
        largest: int,
        next_number: int,
    ) -> None:
        """See `CongestionController`."""
        if rtt_s is not None:
            self._sample_rtt(now, rtt_s)
        self._round_acknowledged += acked_bytes
        if window_used:
            self._round_window_used = True
            if self.phase is Phase.STARTUP:
                self._window += acked_bytes
            elif self.phase is Phase.GROWTH:
                growth = (1 + GROWTH_PER_ROUND * self._rounds_of_growth) * self._datagram_bytes
                growth = min(growth, self._window / 8 + self._datagram_bytes)
                self._window += growth * acked_bytes / self._window
            self._window = min(self._window, self._max_window)
        if largest >= self._round_end or self._startup_is_over():
            self._end_round(now)
            self._begin_round(now, next_number)

    def on_packets_lost(self, lost_bytes: int) -> None:
        """See `CongestionController`."""
        self._round_lost += lost_bytes

    def on_pto(self, pto_count: int) -> None:
        """See `CongestionController`."""
        if pto_count == PERSISTENT_CONGESTION_PTOS:
            self._window = float(self._least_window)
            self.phase = Phase.STARTUP
            self._best_rate, self._flat_rounds = 0.0, 0
            self._rates.clear()

    def _sample_rtt(self, now: float, rtt_s: float) -> None:
        self._min_rtt.sample(now, rtt_s)
        self._round_min_rtt_s = min(self._round_min_rtt_s, rtt_s)
        self._round_max_rtt_s = max(self._round_max_rtt_s, rtt_s)
        delayed = rtt_s - self._min_rtt.seconds > self.queue_bound_s
        self._delayed_samples = self._delayed_samples + 1 if delayed else 0

    def _startup_is_over(self) -> bool:
        return self.phase is Phase.STARTUP and self._delayed_samples >= STARTUP_DELAYED_SAMPLES

    def _begin_round(self, now: float, next_number: int) -> None:
        self._round_end = next_number
        self._round_began_at = now
        self._round_acknowledged = self._round_lost = 0
        self._round_min_rtt_s, self._round_max_rtt_s = inf, 0.0
        self._round_window_used = False

    def _end_round(self, now: float) -> None:
        elapsed = now - self._round_began_at
        rate = self._round_acknowledged / elapsed if 0 < elapsed < inf else 0.0
        if rate > 0:
            self._rates.append(rate)
        queue_s = self._round_min_rtt_s - self._min_rtt.seconds if self._round_min_rtt_s < inf else 0.0
        lost, delivered = self._round_lost / self._datagram_bytes, self._round_acknowledged / self._datagram_bytes
        if self.phase is Phase.GROWTH and self._rounds_of_growth == 0:  # these were sent while the queue drained
            self._random_loss.sample(lost, lost + delivered)
        heavy_loss = self._is_heavy(lost, lost + delivered)
        if heavy_loss and self._round_max_rtt_s > 0:
            deepest = self._round_max_rtt_s - self._min_rtt.seconds
            self._learned_bound_s = max(LEARNED_BOUND * deepest, self._slack_s / 5)
        if self.phase is Phase.DRAIN:
            self._resume_growth()
        elif heavy_loss or queue_s > self.queue_bound_s or self._startup_is_over() or self._is_flat(rate):
            if not heavy_loss:
                self._learned_bound_s *= BOUND_RECOVERY
            self._back_off()
        else:
            self._rounds_of_growth += 1

    def _is_heavy(self, lost: float, sent: float) -> bool:
        share = max(LOSS_TOLERATED, min(LOSS_OVER_RANDOM * self._random_loss.share, MAX_LOSS_TOLERATED))
        tolerated = share * sent
        return lost > tolerated + LOSS_NOISE_DEVIATIONS * sqrt(tolerated) + 1

    def _is_flat(self, rate: float) -> bool:
        """Whether, in STARTUP, the delivery rate has stopped growing although the window was used."""
        if self.phase is not Phase.STARTUP:
            return False
        if rate >= STARTUP_GROWTH * self._best_rate:
            self._best_rate, self._flat_rounds = rate, 0
        elif self._round_window_used:
            self._flat_rounds += 1
        return self._flat_rounds >= STARTUP_FLAT_ROUNDS

    def _bdp_bytes(self, extra_s: float) -> float:
        rate = max(self._rates, default=0.0) / (1 - self._random_loss.share)  # delivered, to sent
        return max(rate * (self.min_rtt_s + extra_s), self._least_window)

    def _back_off(self) -> None:
        """Let the queue drain for one round."""
        self._window = min(self._window, BACK_OFF * self._bdp_bytes(0.0) + self._datagram_bytes)
        self._window = max(self._window, self._least_window)
        self.phase = Phase.DRAIN

    def _resume_growth(self) -> None:
        """Go on from what keeps the path busy; on short paths part of the slack must be in flight too."""
        self._window = max(self._window, BACK_OFF * self._bdp_bytes(self._slack_s / 4))
        self.phase = Phase.GROWTH
        self._rounds_of_growth = 0
