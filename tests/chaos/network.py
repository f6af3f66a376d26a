"""Where the parties of a run are, and what becomes of a datagram on its way from one to another.

Each party has two loopback addresses: a private one, which its sockets are bound to, and a public one, which the relay
holds and which is the only one that others know. A port has the same number on both, so the relay translates addresses
as a home router does and knows nothing of the protocol.
"""

import random
import socket
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
"""The project's folder; processes of a run are started in it."""
CLAIM_PORT = 20_000


@dataclass(frozen=True, slots=True)
class Net:
    """The addresses of one run: 127.`block`.party.1 is public, 127.`block`.party.2 private."""

    block: int

    def public(self, party: int) -> str:
        """Return the address under which others know a party."""
        return f"127.{self.block}.{party}.1"

    def private(self, party: int) -> str:
        """Return the address that a party's own sockets are bound to."""
        return f"127.{self.block}.{party}.2"

    def party_of(self, host: str) -> int | None:
        """Return whose private address this is."""
        parts = host.split(".")
        if parts[:2] != ["127", str(self.block)] or parts[3] != "2":
            return None
        return int(parts[2])


def claim_net() -> tuple[Net, socket.socket]:
    """Return addresses that no other run on this machine uses, and the socket that holds the claim."""
    blocks = list(range(16, 250))
    random.SystemRandom().shuffle(blocks)
    for block in blocks:
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind((f"127.{block}.0.1", CLAIM_PORT))
        except OSError:
            claim.close()
            continue
        return Net(block), claim
    raise OSError("no block of loopback addresses is free")


@dataclass(frozen=True, slots=True)
class Weather:
    """What the ways do to a datagram. Probabilities from 0 to 1, times in seconds."""

    loss: float = 0.0
    duplication: float = 0.0
    corruption: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    """Spread of the delay: with more than a few milliseconds of it datagrams overtake each other."""
    burst: float = 0.0
    """Probability that a datagram begins a burst of losses on its way."""


CALM = Weather()
WEATHERS = (
    Weather(loss=0.01, duplication=0.02, corruption=0.005, delay_s=0.001, jitter_s=0.004),
    Weather(loss=0.05, duplication=0.05, corruption=0.01, delay_s=0.002, jitter_s=0.03),
    Weather(loss=0.02, duplication=0.2, corruption=0.02, delay_s=0.0, jitter_s=0.08),
    Weather(loss=0.12, duplication=0.05, corruption=0.02, delay_s=0.01, jitter_s=0.02, burst=0.01),
    Weather(loss=0.0, duplication=0.0, corruption=0.0, delay_s=0.03, jitter_s=0.01),
)
BURST = 8
"""Datagrams lost in a burst."""
_NEVER = 1 << 30
_NONE = range(0)


@dataclass(slots=True)
class Ways:
    """The state of all ways between parties; decides the fate of each datagram from a seeded random source."""

    rng: random.Random
    weather: Weather = CALM
    cut: set[tuple[int, int]] = field(default_factory=set)
    """Directed ways that let nothing through."""
    traps: dict[int, int] = field(default_factory=dict)
    """Party to number of bytes: as soon as a larger datagram has come to it from a node, its own way up is cut."""
    deafening: dict[int, range] = field(default_factory=dict)
    """Party to sizes in bytes: as soon as it has sent a datagram of such a size to a node, nothing comes down to it."""
    nodes: frozenset[int] = frozenset()
    bursts: dict[tuple[int, int], int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def fate(self, source: int, target: int, data: bytes) -> list[tuple[float, bytes]]:
        """Return what arrives of a datagram: copies with their delays in seconds, none if it is lost."""
        way = (source, target)
        if way in self.cut:
            return self._none("cut")
        self._spring_traps(source, target, len(data))
        weather, rng = self.weather, self.rng
        if self.bursts.get(way, 0) > 0:
            self.bursts[way] -= 1
            return self._none("lost")
        if rng.random() < weather.burst:
            self.bursts[way] = BURST
        if rng.random() < weather.loss:
            return self._none("lost")
        self._count("passed")
        copies = [data]
        if rng.random() < weather.duplication:
            self._count("doubled")
            copies.append(data)
        if rng.random() < weather.corruption:
            self._count("corrupted")
            copies[0] = self._corrupted(data)
        return [(weather.delay_s + rng.random() * weather.jitter_s, copy) for copy in copies]

    def isolate(self, party: int, others: frozenset[int]) -> None:
        """Cut a party off from others, both ways."""
        for other in others - {party}:
            self.cut |= {(party, other), (other, party)}

    def heal(self) -> None:
        """Undo all cuts and traps; the weather stays."""
        self.cut.clear()
        self.traps.clear()
        self.deafening.clear()

    def heal_party(self, party: int) -> None:
        """Undo the cuts and traps of one party."""
        self.cut -= {way for way in self.cut if party in way}
        self.traps.pop(party, None)
        self.deafening.pop(party, None)

    def _spring_traps(self, source: int, target: int, size: int) -> None:
        if source in self.nodes and size > self.traps.get(target, _NEVER):
            self.cut |= {(target, node) for node in self.nodes}
            del self.traps[target]
            self._count("trapped")
        if target in self.nodes and size in self.deafening.get(source, _NONE):
            self.cut |= {(node, source) for node in self.nodes}
            del self.deafening[source]
            self._count("trapped")

    def _corrupted(self, data: bytes) -> bytes:
        changed = bytearray(data)
        if len(changed) > 1 and self.rng.random() < 0.2:
            return bytes(changed[: self.rng.randrange(1, len(changed))])
        if changed:
            changed[self.rng.randrange(len(changed))] ^= 1 << self.rng.randrange(8)
        return bytes(changed)

    def _none(self, why: str) -> list[tuple[float, bytes]]:
        self._count(why)
        return []

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
