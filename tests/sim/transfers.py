"""Drives a sender and a receiver over simulated links, as the socket shell does over real ones."""

import hashlib
import random
from dataclasses import dataclass, field

from shared.errors import MalformedMessage
from shared.transfer import PartialObject, Ranges, ReceivingTransfer, SendingTransfer, TransferSettings, TransferState
from tests.sim.link import Bottleneck, LinkWeather
from tests.sim.world import VirtualTime


class PlainCipher:
    """No secrecy and a cheap checksum in place of a tag: what the simulations need of a cipher."""

    def __init__(self, token: bytes = b"transfer", overhead_bytes: int = 16) -> None:
        self.token = token
        self.overhead_bytes = overhead_bytes

    def seal(self, packet_number: int, header: bytes, plaintext: bytes | memoryview) -> bytes:
        return bytes(plaintext) + self._tag(packet_number, header)

    def open(self, packet_number: int, header: bytes, ciphertext: bytes | memoryview) -> bytes:
        if bytes(ciphertext[-self.overhead_bytes :]) != self._tag(packet_number, header):
            raise MalformedMessage("the tag is wrong")
        return bytes(ciphertext[: -self.overhead_bytes])

    def _tag(self, packet_number: int, header: bytes) -> bytes:
        return (packet_number.to_bytes(8, "big") + header)[: self.overhead_bytes]


def payload(size: int, seed: int = 0) -> bytes:
    """Bytes that differ everywhere."""
    return random.Random(seed).randbytes(size)


TRAIN_DATAGRAMS = 64


@dataclass
class Flow:
    """One transfer between two hosts: keeps the timers, counts what went over the wire."""

    time: VirtualTime
    forward: Bottleneck
    backward: Bottleneck
    data: bytes
    settings: TransferSettings = field(default_factory=TransferSettings)
    buffer_bytes: int = 4 * 1024 * 1024
    have: Ranges | None = None
    partial: PartialObject | None = None
    digest: bytes | None = None
    """What the receiver is told the hash is; the true one if not given."""
    sent_datagrams: int = 0
    ended_at: float | None = None
    arrived: list[tuple[float, int]] = field(default_factory=list)
    """When how many bytes were held by the receiver."""

    def start(self) -> None:
        """Open both sides now."""
        now = self.time.now
        self.sender = SendingTransfer(self.data, cipher=PlainCipher(), settings=self.settings, now=now, have=self.have)
        self.receiver = ReceivingTransfer(
            size=len(self.data),
            sha256=self.digest or hashlib.sha256(self.data).digest(),
            cipher=PlainCipher(),
            settings=self.settings,
            now=now,
            buffer_bytes=self.buffer_bytes,
            partial=self.partial,
        )
        self._armed: dict[str, float] = {}
        self.sender_gone = self.receiver_gone = False
        self.pump_receiver()
        self.pump_sender()

    def pump_sender(self) -> None:
        """Send what may be sent and arm the timer."""
        if self.sender_gone:
            return
        while datagrams := self.sender.take_datagrams(self.time.now, TRAIN_DATAGRAMS):
            self.sent_datagrams += len(datagrams)
            for datagram in datagrams:
                self.forward.send(datagram, self.to_receiver)
        if self.ended_at is None and self.sender.state is not TransferState.OPEN:
            self.ended_at = self.time.now
        self._arm("sender", self.sender, self.wake_sender)

    def pump_receiver(self) -> None:
        """Send acknowledgements and arm the timer."""
        if self.receiver_gone:
            return
        for datagram in self.receiver.take_datagrams(self.time.now, TRAIN_DATAGRAMS):
            self.backward.send(datagram, self.to_sender)
        self._arm("receiver", self.receiver, self.wake_receiver)

    def to_receiver(self, datagram: bytes) -> None:
        if not self.receiver_gone:
            self.receiver.receive(datagram, self.time.now)
            self.arrived.append((self.time.now, self.receiver.progress[0]))
            self.pump_receiver()

    def to_sender(self, datagram: bytes) -> None:
        if not self.sender_gone:
            self.sender.receive(datagram, self.time.now)
            self.pump_sender()

    def wake_sender(self) -> None:
        if not self.sender_gone:
            self.sender.tick(self.time.now)
            self.pump_sender()

    def wake_receiver(self) -> None:
        if not self.receiver_gone:
            self.receiver.tick(self.time.now)
            self.pump_receiver()

    def _arm(self, name: str, side: SendingTransfer | ReceivingTransfer, wake) -> None:
        deadline = side.next_deadline()
        if deadline is None:
            return
        armed = self._armed.get(name)
        if armed is not None and self.time.now < armed <= deadline:
            return

        def call() -> None:
            if self._armed.get(name) == deadline:
                del self._armed[name]
                wake()

        self._armed[name] = deadline
        self.time.call_at(deadline, call)

    def held_at(self, when: float) -> int:
        """Bytes that the receiver held at that time."""
        held = 0
        for at, count in self.arrived:
            if at > when:
                break
            held = count
        return held


def path(
    time: VirtualTime,
    *,
    seed: int = 0,
    rate: float = 2e6,
    queue_bytes: int = 80_000,
    rtt_s: float = 0.04,
    weather: LinkWeather | None = None,
) -> tuple[Bottleneck, Bottleneck]:
    """Both directions of a symmetric path; acknowledgements meet the same weather."""
    return tuple(  # type: ignore[return-value]
        Bottleneck(
            time, seed=seed * 2 + way, rate=rate, queue_bytes=queue_bytes, propagation_s=rtt_s / 2, weather=weather
        )
        for way in (0, 1)
    )


def run(flow: Flow, until: float = 300.0) -> None:
    """Start the flow and run until both sides are finished."""
    flow.start()
    while not (flow.sender.finished and flow.receiver.finished) and flow.time.step(until):
        pass
