"""Endpoints on the loopback interface, an owner that accepts everything, and a relay with bad weather."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio
from anyio.lowlevel import checkpoint

from shared.config import LOCAL, Timing
from shared.errors import Refused
from shared.net.endpoint import Address, Endpoint, Incoming, IncomingOffer, Session
from tests.patience import PATIENCE_S

DEADLINE_S = PATIENCE_S
"""No condition is waited for longer than this; it only bounds a failing test."""
PATIENT = replace(LOCAL, transfer_idle_s=PATIENCE_S / 2, handshake_timeout_s=PATIENCE_S, handshake_retry_s=0.05)
"""Nothing is given up because the machine is busy."""
QUICK = replace(PATIENT, transfer_idle_s=1.0)
"""For tests of what is given up: that takes a second instead of ten."""


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop turn until the condition holds."""
    with anyio.fail_after(DEADLINE_S):
        while not condition():
            await checkpoint()


def key(seed: int) -> bytes:
    return random.Random(seed).randbytes(32)


@dataclass
class Owner:
    """Takes messages and objects, and notes everything."""

    endpoint: Endpoint
    accepts: Callable[[Session, IncomingOffer], bool] = lambda session, offer: True
    messages: list[tuple[Session, bytes]] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    closed: list[tuple[Session, str]] = field(default_factory=list)
    offers: list[IncomingOffer] = field(default_factory=list)
    incoming: list[Incoming] = field(default_factory=list)
    reports: list[list[tuple[int, int]]] = field(default_factory=list)
    on_report: Callable[[int, int], None] = lambda received, total: None
    something: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.endpoint.on_message = lambda session, data: self._note(self.messages, (session, data))
        self.endpoint.on_session = lambda session: self._note(self.sessions, session)
        self.endpoint.on_closed = lambda session, reason: self._note(self.closed, (session, reason))
        self.endpoint.on_offer = self._offered

    def _note(self, where: list, what: object) -> None:
        where.append(what)
        self.something.set()
        self.something = anyio.Event()

    def _offered(self, session: Session, offer: IncomingOffer) -> Incoming | None:
        self.offers.append(offer)
        if not self.accepts(session, offer):
            raise Refused("held", "I have that one.")
        reports: list[tuple[int, int]] = []
        self.reports.append(reports)

        def report(received: int, total: int) -> None:
            reports.append((received, total))
            self.on_report(received, total)

        incoming = Incoming(progress=report)
        self._note(self.incoming, incoming)
        return incoming

    async def message_count(self, count: int) -> None:
        """Wait for so many messages."""
        await self._wait(lambda: len(self.messages) >= count)

    async def object_of(self, label: bytes) -> bytes:
        """Wait for the object that was last offered under a label."""
        await self._wait(lambda: any(offer.label == label for offer in self.offers[: len(self.incoming)]))
        index = max(i for i, offer in enumerate(self.offers) if offer.label == label)
        with anyio.fail_after(DEADLINE_S):
            return await self.incoming[index].wait()

    async def _wait(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(DEADLINE_S):
            while not condition():
                await self.something.wait()


@asynccontextmanager
async def opened(seed: int | None = None, *, timing: Timing = PATIENT, **options: object) -> AsyncIterator[Owner]:
    """An open endpoint and its owner; the same seed is the same key."""
    private = os.urandom(32) if seed is None else key(seed)
    async with Endpoint(private, timing=timing, **options) as endpoint:  # type: ignore[arg-type]
        yield Owner(endpoint)


@asynccontextmanager
async def pair(timing: Timing = PATIENT, **options: object) -> AsyncIterator[tuple[Owner, Owner, Session]]:
    """Two endpoints with a session from the first to the second."""
    async with opened(timing=timing, **options) as left, opened(timing=timing, **options) as right:
        session = await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
        await until(lambda: left.endpoint.statistics().received_datagrams >= 2)  # the answer and the confirmation
        yield left, right, session


def idle(*owners: Owner) -> bool:
    """Whether nothing is left of any transfer."""
    return all(
        owner.endpoint.worker_ports_in_use == 0
        and owner.endpoint.statistics().sending == owner.endpoint.statistics().receiving == 0
        for owner in owners
    )


@dataclass
class Weather:
    """What a relay does to datagrams; probabilities each."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    garbling: float = 0.0


class _Side(asyncio.DatagramProtocol):
    def __init__(self, relay: "Relay", towards: int) -> None:
        self.relay = relay
        self.towards = towards

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.relay.passes(data, addr, self.towards)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there at the moment."""


class Relay:
    """Two sockets: the client talks to one, the server to the other. Written on asyncio alone, not on what it tests."""

    HOLD_S = 0.003

    def __init__(self, server: Address, weather: Weather, seed: int) -> None:
        self.server = server
        self.client: Address | None = None
        self.weather = weather
        self.random = random.Random(seed)
        self.dropped = 0
        self.transports: list[asyncio.DatagramTransport] = []

    async def __aenter__(self) -> "Relay":
        loop = asyncio.get_running_loop()
        for towards, host in ((1, "127.0.0.2"), (0, "127.0.0.3")):
            transport, _ = await loop.create_datagram_endpoint(
                lambda towards=towards: _Side(self, towards), local_addr=(host, 0)
            )
            self.transports.append(transport)
        return self

    async def __aexit__(self, *_: object) -> None:
        for transport in self.transports:
            transport.close()

    @property
    def address(self) -> Address:
        """Where clients find the server."""
        name: Address = self.transports[0].get_extra_info("sockname")
        return name

    async def move(self, host: str) -> None:
        """Give the client another address before the server, as a router or another network does; the one before it
        leads nowhere."""
        self.transports[1].close()
        self.transports[1], _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Side(self, 0), local_addr=(host, 0)
        )

    def passes(self, data: bytes, source: Address, towards: int) -> None:
        if towards == 1:
            self.client = source
        weather, draw = self.weather, self.random.random
        if draw() < weather.loss:
            self.dropped += 1
            return
        if draw() < weather.garbling:
            position = self.random.randrange(len(data))
            data = data[:position] + bytes((data[position] ^ 0x55,)) + data[position + 1 :]
        for _ in range(2 if draw() < weather.duplication else 1):
            if draw() < weather.reordering:
                asyncio.get_running_loop().call_later(self.HOLD_S * draw(), self._forward, data, towards)
            else:
                self._forward(data, towards)

    def _forward(self, data: bytes, towards: int) -> None:
        target = self.server if towards == 1 else self.client
        if target is not None and not self.transports[towards].is_closing():
            self.transports[towards].sendto(data, target)
