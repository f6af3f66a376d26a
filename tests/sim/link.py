"""A path with a bottleneck: finite speed, finite queue, distance, and everything else a network does to datagrams.

Several flows may send through one `Bottleneck`; its queue drops at the tail, as that of a plain router does.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.sim.world import VirtualTime


@dataclass
class LinkWeather:
    """What happens to datagrams beside queueing; probabilities per datagram."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    """Probability that a datagram is held back by up to `reordering_delay_s`."""
    reordering_delay_s: float = 0.005


class Bottleneck:
    """One direction of a path. Speed in bytes per second, queue in bytes, propagation in seconds."""

    def __init__(
        self,
        time: VirtualTime,
        *,
        seed: int,
        rate: float,
        queue_bytes: int,
        propagation_s: float,
        weather: LinkWeather | None = None,
    ) -> None:
        self.time = time
        self.random = random.Random(seed)
        self.rate = rate
        self.queue_bytes = queue_bytes
        self.propagation_s = propagation_s
        self.weather = weather or LinkWeather()
        self.free_at = 0.0
        self.offered = self.dropped = self.lost = 0
        self.queue_samples: list[tuple[float, float]] = []

    def queued_bytes(self) -> float:
        """What waits or is being sent now."""
        return max(self.free_at - self.time.now, 0.0) * self.rate

    def send(self, datagram: bytes, deliver: Callable[[bytes], None]) -> None:
        """Carry one datagram to `deliver`, or lose it."""
        self.offered += 1
        queued = self.queued_bytes()
        self.queue_samples.append((self.time.now, queued))
        if queued + len(datagram) > self.queue_bytes:
            self.dropped += 1
            return
        self.free_at = max(self.free_at, self.time.now) + len(datagram) / self.rate
        if self.random.random() < self.weather.loss:
            self.lost += 1
            return
        copies = 2 if self.random.random() < self.weather.duplication else 1
        for _ in range(copies):
            arrival = self.free_at + self.propagation_s
            if self.random.random() < self.weather.reordering:
                arrival += self.random.uniform(0, self.weather.reordering_delay_s)
            self.time.call_at(arrival, lambda: deliver(datagram))

    def mean_queue_share(self, since: float, until: float) -> float:
        """Mean fill of the queue as the datagrams found it, 0 to 1."""
        fills = [queued for when, queued in self.queue_samples if since <= when <= until]
        return sum(fills) / len(fills) / self.queue_bytes if fills else 0.0
