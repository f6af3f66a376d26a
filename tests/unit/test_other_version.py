"""Programs that speak different versions of the protocol tell each other so."""

import socket
from contextlib import closing

import anyio
import anyio.to_thread
import pytest

from shared.config import LIMITS, LOCAL, MIN_PATH_DATAGRAM_BYTES, PROTOCOL_VERSION
from shared.errors import OtherVersion
from shared.identity import Identity
from shared.net.endpoint import Endpoint
from shared.secure.datagrams import Drop, read_versions
from shared.secure.events import CloseReason, SessionClosed
from shared.secure.multiplexer import SecureMultiplexer

HERE, THERE = ("192.0.2.1", 1), ("192.0.2.2", 2)
INIT, VERSIONS = 1, 6


def machine(number: int) -> SecureMultiplexer:
    drawn = iter(range(1, 1_000))
    return SecureMultiplexer(
        bytes([number]) * 32, entropy=lambda count: bytes([next(drawn) % 256]) * count, timing=LOCAL, limits=LIMITS
    )


def init(version: int, size: int = MIN_PATH_DATAGRAM_BYTES) -> bytes:
    return bytes((version, INIT)) + b"12345678" + bytes(size - 10)


def test_a_first_message_of_another_version_is_told_which_is_spoken() -> None:
    node = machine(1)
    node.receive(THERE, init(PROTOCOL_VERSION + 1), 0.0)
    [(address, answer)] = node.take_datagrams()
    assert address == THERE
    assert read_versions(answer) == (b"12345678", {PROTOCOL_VERSION})
    assert len(answer) < MIN_PATH_DATAGRAM_BYTES / 100
    assert node.dropped == {Drop.OTHER_VERSION: 1}


@pytest.mark.parametrize(
    "datagram",
    [
        init(PROTOCOL_VERSION + 1, MIN_PATH_DATAGRAM_BYTES - 1),
        init(0),
        bytes((PROTOCOL_VERSION + 1, 5)) + bytes(MIN_PATH_DATAGRAM_BYTES),
        bytes((0, VERSIONS)) + b"12345678",
        bytes((0, VERSIONS)) + b"12345678" + bytes(33),
        bytes((0, VERSIONS)),
        bytes((0,)),
        b"",
    ],
)
def test_nothing_else_of_another_version_is_answered(datagram: bytes) -> None:
    node = machine(1)
    node.receive(THERE, datagram, 0.0)
    assert node.take_datagrams() == []
    assert node.dropped == {Drop.MALFORMED: 1}


def test_a_flood_of_them_is_answered_at_the_rate_of_strangers() -> None:
    node = machine(1)
    for _ in range(10_000):
        node.receive(THERE, init(9), 0.0)
    assert len(node.take_datagrams()) <= LIMITS.unproven_rate_per_s
    assert node.dropped[Drop.RATE] > 0


@pytest.mark.parametrize(
    ("spoken", "reason"),
    [
        ((PROTOCOL_VERSION + 1, PROTOCOL_VERSION + 2), CloseReason.NEWER_VERSION),
        ((PROTOCOL_VERSION - 1,), CloseReason.OLDER_VERSION),
    ],
)
def test_a_handshake_that_cannot_be_read_there_is_given_up(spoken: tuple[int, ...], reason: CloseReason) -> None:
    peer = machine(1)
    number = peer.connect(THERE, machine(2).public_key, 0.0)
    [(_, first)] = peer.take_datagrams()
    connection_id = first[2:10]
    answer = bytes((0, VERSIONS)) + connection_id
    for ignored in (
        (THERE, answer + bytes((PROTOCOL_VERSION, 9))),  # it can be read there: this answers something else
        (HERE, answer + bytes(spoken)),
        (THERE, answer[:2] + b"87654321" + bytes(spoken)),
    ):
        peer.receive(*ignored, 0.1)
        assert peer.take_events() == []
    peer.receive(THERE, answer + bytes(spoken), 0.2)
    assert peer.take_events() == [SessionClosed(number, reason)]
    peer.tick(1_000.0)
    assert peer.take_datagrams() == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("version", "sentence"), [(9, "update Glimpse on this machine"), (0, "has to be updated there")]
)
async def test_who_connects_is_told_which_side_is_to_be_updated(version: int, sentence: str) -> None:
    """An answer of the other side is enough; nobody waits for the end of the handshake's time."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
        other.bind(("127.0.0.1", 0))

        def answer() -> None:
            datagram, address = other.recvfrom(65_536)
            other.sendto(bytes((0, VERSIONS)) + datagram[2:10] + bytes((version,)), address)

        async with (
            Endpoint(Identity.generate().session_private, timing=LOCAL, prologue=b"") as endpoint,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(anyio.to_thread.run_sync, answer)
            with pytest.raises(OtherVersion, match=sentence):
                await endpoint.connect(other.getsockname(), Identity.generate().public.session_key)
