"""Address translators in a simulated network, in the words of RFC 4787.

A realm is a network with machines that reach each other by their hosts. What goes to another host leaves by the realm's
translator, if it has one, which is a machine of the realm outside: translators can be nested (double NAT, as with a
provider's own).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from shared.secure.datagrams import Address
from tests.sim.world import VirtualTime, Weather

Handler = Callable[[Address, bytes], None]


class Depends(Enum):
    """What a mapping, or the filter on what comes in, depends on."""

    NOTHING = "endpoint-independent"
    ADDRESS = "address-dependent"
    PORT = "address-and-port-dependent"


@dataclass(frozen=True)
class Kind:
    """How a translator behaves."""

    mapping: Depends = Depends.NOTHING
    filtering: Depends = Depends.PORT
    hairpin: bool = False
    """Whether machines behind it reach each other at its outer address."""
    timeout_s: float = 120.0
    """A mapping ends when nothing was sent from inside for so long."""
    only_to: frozenset[str] = frozenset()
    """Hosts that UDP gets through to; all if empty."""


class Port(Protocol):
    """What takes datagrams at a host of a realm."""

    def deliver(self, source: Address, target: Address, datagram: bytes) -> None:
        """Take a datagram for a port of this host."""


@dataclass
class Realm:
    """A network: the internet, a home, a provider's own."""

    time: VirtualTime
    random: random.Random
    weather: Weather
    translator: "Translator | None" = None
    hosts: dict[str, Port] = field(default_factory=dict)

    def send(self, source: Address, target: Address, datagram: bytes) -> None:
        """Send from a machine of this realm, late or never."""
        if self.random.random() < self.weather.loss:
            return
        for _ in range(2 if self.random.random() < self.weather.duplication else 1):
            delay_s = self.random.uniform(self.weather.delay_min, self.weather.delay_max)
            self.time.call_later(delay_s, lambda: self._arrive(source, target, datagram))

    def _arrive(self, source: Address, target: Address, datagram: bytes) -> None:
        if (port := self.hosts.get(target[0])) is not None:
            port.deliver(source, target, datagram)
        elif self.translator is not None:
            self.translator.leave(source, target, datagram)


@dataclass
class Machine:
    """A machine with one socket."""

    realm: Realm
    address: Address
    handler: Handler

    def __post_init__(self) -> None:
        self.realm.hosts[self.address[0]] = self

    def deliver(self, source: Address, target: Address, datagram: bytes) -> None:
        """See `Port`."""
        if target[1] == self.address[1]:
            self.handler(source, datagram)


@dataclass
class _Mapping:
    inside: Address
    port: int
    used_at: float
    sent_to: set[Address] = field(default_factory=set)


class Translator:
    """A router that lends a realm its own address outside."""

    def __init__(self, kind: Kind, host: str, outside: Realm, inside: Realm) -> None:
        self.kind = kind
        self.host = host
        self.outside = outside
        self.inside = inside
        self._mappings: dict[tuple[Address, object], _Mapping] = {}
        self._by_port: dict[int, _Mapping] = {}
        inside.translator = self
        outside.hosts[host] = self

    @property
    def _now(self) -> float:
        return self.outside.time.now

    def forget(self) -> None:
        """Lose all mappings, as when it is switched off and on."""
        self._mappings.clear()
        self._by_port.clear()

    def leave(self, source: Address, target: Address, datagram: bytes) -> None:
        """Take a datagram from inside, and send it on from the port that is mapped to its source."""
        if self.kind.only_to and target[0] not in self.kind.only_to:
            return
        mapping = self._mapped(source, target)
        mapping.used_at = self._now
        mapping.sent_to.add(target)
        mapped = self.host, mapping.port
        if target[0] != self.host:
            self.outside.send(mapped, target, datagram)
        elif self.kind.hairpin:
            self.deliver(mapped, target, datagram)

    def deliver(self, source: Address, target: Address, datagram: bytes) -> None:
        """Take a datagram from outside, and hand it to whom its port is mapped to, if that may hear from there."""
        mapping = self._by_port.get(target[1])
        if mapping is None or self._is_over(mapping) or not self._lets_in(mapping, source):
            return
        self.inside.send(source, mapping.inside, datagram)

    def _lets_in(self, mapping: _Mapping, source: Address) -> bool:
        match self.kind.filtering:
            case Depends.NOTHING:
                return True
            case Depends.ADDRESS:
                return any(host == source[0] for host, _ in mapping.sent_to)
            case Depends.PORT:
                return source in mapping.sent_to

    def _mapped(self, source: Address, target: Address) -> _Mapping:
        of = {Depends.NOTHING: None, Depends.ADDRESS: target[0], Depends.PORT: target}[self.kind.mapping]
        mapping = self._mappings.get((source, of))
        if mapping is None or self._is_over(mapping):
            port = self.outside.random.randrange(1_024, 65_536)
            while port in self._by_port:
                port = self.outside.random.randrange(1_024, 65_536)
            mapping = self._mappings[source, of] = self._by_port[port] = _Mapping(source, port, self._now)
        return mapping

    def _is_over(self, mapping: _Mapping) -> bool:
        return self._now >= mapping.used_at + self.kind.timeout_s
