"""Secure multiplexers on a simulated network: a shell as thin as the real one, and its books."""

import random
from collections import Counter

from shared.config import LIMITS, LOCAL, Limits, Timing
from shared.secure.datagrams import Address
from shared.secure.events import Event, MessageReceived, SessionClosed, SessionOpened
from shared.secure.multiplexer import SecureMultiplexer
from tests.sim.world import SimNetwork, VirtualTime, Weather


class Host:
    """One multiplexer at one address."""

    def __init__(self, world: "SecureWorld", address: Address, key_seed: int, timing: Timing, limits: Limits) -> None:
        self.world = world
        self.address = address
        self.random = random.Random(f"{world.seed} {address} {world.time.now}")
        self.mux = SecureMultiplexer(
            key_seed.to_bytes(32, "big"), entropy=self.random.randbytes, timing=timing, limits=limits
        )
        self.events: list[Event] = []
        self.bytes_from: Counter[Address] = Counter()
        self.bytes_to: Counter[Address] = Counter()
        self._armed: float | None = None
        world.network.attach(address, self._on_datagram)

    @property
    def key(self) -> bytes:
        return self.mux.public_key

    @property
    def now(self) -> float:
        return self.world.time.now

    def connect(self, other: "Host") -> int:
        number = self.mux.connect(other.address, other.key, self.now)
        self.flush()
        return number

    def send(self, session: int, plaintext: bytes) -> None:
        self.mux.send(session, plaintext, self.now)
        self.flush()

    def close(self, session: int) -> None:
        self.mux.close(session, self.now)
        self.flush()

    def move(self, address: Address) -> None:
        """Go to another address, as behind a rebinding address translator."""
        self.world.network.detach(self.address)
        self.address = address
        self.world.network.attach(address, self._on_datagram)

    def crash(self) -> None:
        self.world.network.detach(self.address)
        self._armed = float("-inf")

    def messages(self) -> list[bytes]:
        return [event.plaintext for event in self.events if isinstance(event, MessageReceived)]

    def opened(self) -> list[SessionOpened]:
        return [event for event in self.events if isinstance(event, SessionOpened)]

    def closed(self) -> list[SessionClosed]:
        return [event for event in self.events if isinstance(event, SessionClosed)]

    def flush(self) -> None:
        for address, datagram in self.mux.take_datagrams():
            self.bytes_to[address] += len(datagram)
            self.world.network.send(self.address, address, datagram)
        self.events += self.mux.take_events()
        deadline = self.mux.next_deadline()
        if deadline is not None and (self._armed is None or deadline < self._armed):
            self._armed = deadline
            self.world.time.call_at(deadline, lambda: self._on_timer(deadline))

    def _on_timer(self, armed: float) -> None:
        if self._armed == armed:
            self._armed = None
            self.mux.tick(self.now)
            self.flush()

    def _on_datagram(self, source, payload) -> None:
        self.bytes_from[source] += len(payload)
        self.mux.receive(source, payload, self.now)
        self.flush()


class SecureWorld:
    """Virtual time, a seeded network and the hosts on it."""

    def __init__(self, seed: int, weather: Weather | None = None) -> None:
        self.seed = seed
        self.time = VirtualTime()
        self.network = SimNetwork(self.time, seed, weather or Weather())
        self.random = random.Random(seed)

    def host(
        self, number: int, *, timing: Timing = LOCAL, limits: Limits = LIMITS, key_seed: int | None = None
    ) -> Host:
        return Host(self, (f"10.0.0.{number}", 7000), number if key_seed is None else key_seed, timing, limits)

    def run(self, seconds: float) -> None:
        self.time.run_until(self.time.now + seconds)
