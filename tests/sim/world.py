"""A virtual clock and a seeded network: the world in which the pure machines are tested.

Time starts at 0 and moves only from event to event. Everything that happens follows from the seed, so a failing seed
is a complete bug report.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field


class VirtualTime:
    """A clock that jumps to the next scheduled call."""

    def __init__(self) -> None:
        self.now = 0.0
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def call_at(self, when: float, call: Callable[[], None]) -> None:
        """Run `call` at virtual time `when`, not before now; calls of one instant keep their order."""
        heapq.heappush(self._calls, (max(when, self.now), next(self._order), call))

    def call_later(self, delay: float, call: Callable[[], None]) -> None:
        """Run `call` after `delay` virtual seconds."""
        self.call_at(self.now + delay, call)

    def step(self, until: float) -> bool:
        """Run the next call that is due by `until`; False if there is none."""
        if not self._calls or self._calls[0][0] > until:
            return False
        self.now, _, call = heapq.heappop(self._calls)
        call()
        return True

    def run_until(self, until: float) -> None:
        """Run everything that is due by `until` and set the clock there."""
        while self.step(until):
            pass
        self.now = max(self.now, until)


@dataclass
class Weather:
    """What the network does to datagrams. Delays in seconds, the rest as probabilities per datagram."""

    loss: float = 0.0
    duplication: float = 0.0
    delay_min: float = 0.0005
    delay_max: float = 0.002
    reordering: float = 0.0
    """Probability that a datagram is held back by up to ten times `delay_max`."""


@dataclass
class SimNetwork:
    """Datagrams between named hosts; a payload is any object and arrives as it was sent, late, twice or never."""

    time: VirtualTime
    seed: int
    weather: Weather = field(default_factory=Weather)
    sent: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._handlers: dict[Hashable, Callable[[Hashable, object], None]] = {}
        self._cut: set[tuple[Hashable, Hashable]] = set()

    def attach(self, host: Hashable, handler: Callable[[Hashable, object], None]) -> None:
        """Deliver what is sent to `host` to `handler(source, payload)`."""
        self._handlers[host] = handler

    def detach(self, host: Hashable) -> None:
        """Lose what is sent to `host` from now on, what is under way included."""
        self._handlers.pop(host, None)

    def cut(self, source: Hashable, target: Hashable) -> None:
        """Lose datagrams from `source` to `target`, in that direction only."""
        self._cut.add((source, target))

    def heal(self) -> None:
        """Undo every cut."""
        self._cut.clear()

    def send(self, source: Hashable, target: Hashable, payload: object) -> None:
        """Send one datagram."""
        self.sent += 1
        if (source, target) in self._cut or self.random.random() < self.weather.loss:
            return
        copies = 2 if self.random.random() < self.weather.duplication else 1
        for _ in range(copies):
            delay = self.random.uniform(self.weather.delay_min, self.weather.delay_max)
            if self.random.random() < self.weather.reordering:
                delay += self.random.uniform(0, 10 * self.weather.delay_max)
            self.time.call_later(delay, lambda: self._deliver(source, target, payload))

    def _deliver(self, source: Hashable, target: Hashable, payload: object) -> None:
        if (source, target) not in self._cut and (handler := self._handlers.get(target)) is not None:
            handler(source, payload)
