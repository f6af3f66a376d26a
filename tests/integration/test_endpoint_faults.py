"""Transfers in bad weather, behind firewalls, with forged datagrams and with sides that vanish."""

import random
import socket
import time
from collections.abc import Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint

from shared.config import Limits
from shared.errors import TransferCancelled, TransferFailed
from shared.net.control import Cancel, OfferMessage
from shared.net.pace import SLOW_WINDOWS
from shared.net.receiving import IDLE_SHARE
from shared.net.udp import Batch, UdpSocket
from tests.integration.endpoints import DEADLINE_S, PATIENT, QUICK, Owner, Relay, Weather, idle, opened, pair, until

pytestmark = pytest.mark.anyio


def payload(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def spoil_worker_sockets(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Batch], Batch]) -> None:
    """Let `spoil` change what arrives at any socket, the handshakes of parents excepted."""
    receive_now = UdpSocket.receive_now

    def spoiled(self: UdpSocket) -> Batch:
        return spoil(receive_now(self))

    monkeypatch.setattr(UdpSocket, "receive_now", spoiled)


@pytest.mark.parametrize("seed", range(6))
async def test_worker_ports_in_bad_weather(monkeypatch: pytest.MonkeyPatch, seed: int):
    """Loss, repetition, reordering and damage of every kind of datagram, control messages included."""
    weather = random.Random(seed)
    dropped = 0

    def spoil(batch: Batch) -> Batch:
        nonlocal dropped
        spoiled: Batch = []
        for address, datagram in batch:
            fate = weather.random()
            if fate < 0.05:
                dropped += 1
            elif fate < 0.08:
                spoiled += [(address, datagram)] * 2
            elif fate < 0.10:
                spoiled.insert(weather.randrange(len(spoiled) + 1), (address, datagram))
            elif fate < 0.11:
                spoiled.append((address, datagram[: weather.randrange(len(datagram))]))
            elif fate < 0.12:
                position = weather.randrange(len(datagram))
                broken = datagram[:position] + bytes((datagram[position] ^ 1,)) + datagram[position + 1 :]
                spoiled.append((address, broken))
            else:
                spoiled.append((address, datagram))
        return spoiled

    async with opened(datagram_bytes=1200) as left, opened() as right:
        spoil_worker_sockets(monkeypatch, spoil)
        session = await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
        with anyio.fail_after(DEADLINE_S):
            for size in (1, 10_000, 1_000_000):
                await left.endpoint.send_object(session, b"%d" % size, payload(size, seed))
        for size in (1, 10_000, 1_000_000):
            assert await right.object_of(b"%d" % size) == payload(size, seed)
        assert dropped > 0
        monkeypatch.undo()
        await until(lambda: idle(left, right))


@pytest.mark.parametrize("blocked", ["sender", "receiver", "both"])
async def test_a_blocked_worker_port_is_no_obstacle(blocked: str):
    async with pair() as (left, right, session):
        left.endpoint.block_worker_ports(blocked in ("sender", "both"))
        right.endpoint.block_worker_ports(blocked in ("receiver", "both"))
        with anyio.fail_after(DEADLINE_S):
            async with anyio.create_task_group() as group:
                for number in range(3):
                    group.start_soon(left.endpoint.send_object, session, b"%d" % number, payload(900_000, number))
        for number in range(3):
            assert await right.object_of(b"%d" % number) == payload(900_000, number)
        assert left.endpoint.statistics().dropped.get("simulated failure", 0) + right.endpoint.statistics().dropped.get(
            "simulated failure", 0
        )
        await until(lambda: idle(left, right))


async def test_worker_ports_that_close_midway_are_no_obstacle():
    async with pair(datagram_bytes=1200) as (left, right, session):
        right.on_report = lambda received, total: received > 1_000_000 and right.endpoint.block_worker_ports(True)
        with anyio.fail_after(DEADLINE_S):
            await left.endpoint.send_object(session, b"it", payload(5_000_000))
        assert await right.object_of(b"it") == payload(5_000_000)


@pytest.mark.parametrize("seed", range(3))
async def test_through_a_lossy_relay_that_knows_only_the_parent_ports(seed: int):
    """As behind a translating router: worker ports cannot be reached, and everything that gets through is at risk."""
    weather = Weather(loss=0.05, duplication=0.03, reordering=0.05, garbling=0.01)
    async with (
        opened() as left,
        opened() as right,
        Relay(right.endpoint.local_address, weather, seed) as relay,
    ):
        with anyio.fail_after(DEADLINE_S):
            session = await left.endpoint.connect(relay.address, right.endpoint.public_key)
            await left.endpoint.send_object(session, b"there", payload(1_000_000, seed))
            assert await right.object_of(b"there") == payload(1_000_000, seed)
            await right.endpoint.send_object(right.sessions[0], b"back", payload(300_000, seed))
            assert await left.object_of(b"back") == payload(300_000, seed)
        assert relay.dropped > 0


@pytest.mark.parametrize("host", ["127.0.0.3", "127.0.0.5"], ids=["another-port", "another-host"])
@pytest.mark.parametrize("direction", ["there", "back"])
async def test_a_transfer_follows_a_side_that_moves(host: str, direction: str):
    """It went on to the address that it had begun with, until it was given up."""
    async with (
        opened(datagram_bytes=1200) as left,
        opened(datagram_bytes=1200) as right,
        Relay(right.endpoint.local_address, Weather(), 1) as relay,
    ):
        left.endpoint.block_worker_ports(True)
        right.endpoint.block_worker_ports(True)
        session = await left.endpoint.connect(relay.address, right.endpoint.public_key)
        await until(lambda: right.sessions)
        sender, receiver, way = (left, right, session) if direction == "there" else (right, left, right.sessions[0])
        half = anyio.Event()
        receiver.on_report = lambda received, total: half.set() if received > total / 2 else None
        with anyio.fail_after(DEADLINE_S):
            async with anyio.create_task_group() as group:
                group.start_soon(sender.endpoint.send_object, way, b"it", payload(6_000_000))
                await half.wait()
                await relay.move(host)
            assert await receiver.object_of(b"it") == payload(6_000_000)
        assert right.sessions[0].address[0] == host


async def test_a_long_answer_reaches_who_moved_before_the_question():
    async with (
        opened(datagram_bytes=1200) as left,
        opened(datagram_bytes=1200) as right,
        Relay(right.endpoint.local_address, Weather(), 1) as relay,
    ):
        session = await left.endpoint.connect(relay.address, right.endpoint.public_key)
        left.endpoint.post(session, b"before")
        await right.message_count(1)
        await relay.move("127.0.0.5")
        left.endpoint.post(session, b"question")
        await right.message_count(2)
        with anyio.fail_after(DEADLINE_S):
            await right.endpoint.send_object(right.sessions[0], b"answer", payload(1_000_000))
        assert await left.object_of(b"answer") == payload(1_000_000)


@pytest.mark.parametrize("when", ["before it begins", "in its middle"])
async def test_a_new_session_ends_what_stands_still_in_the_one_before(when: str):
    """Whoever was killed left a transfer behind that held a port until it had been idle for long enough."""
    async with opened() as right, opened(seed=9) as dead:
        await dead.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
        await until(lambda: right.sessions)
        gone, failed = anyio.Event(), anyio.Event()

        def die(received: int, total: int) -> None:
            dead.endpoint.pause(True)
            gone.set()

        async def answer() -> None:
            with pytest.raises(TransferFailed, match="the other side has begun anew"):
                await right.endpoint.send_object(right.sessions[0], b"answer", payload(5_000_000))
            failed.set()

        if when == "in its middle":
            dead.on_report = die
        else:
            die(0, 0)
        with anyio.fail_after(DEADLINE_S):
            async with anyio.create_task_group() as group:
                group.start_soon(answer)
                await gone.wait()
                async with opened(seed=9) as again:
                    await again.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
                    await failed.wait()
        assert right.endpoint.worker_ports_in_use == 0


async def test_garbage_at_worker_and_parent_ports_changes_nothing():
    randomness = random.Random(2)
    async with pair(datagram_bytes=1200) as (left, right, session):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.1", 0))
            stranger.setblocking(False)
            thrown = 0

            def throw(received: int, total: int) -> None:
                nonlocal thrown
                driver = next(iter(right.endpoint._context.routes.values()))
                token = driver.machine._sealer.prefix
                for port in (driver._port.number, right.endpoint.local_address[1]):
                    for head in (b"", token, token + bytes(7) + b"\x09"):
                        garbage = head + randomness.randbytes(randomness.choice((0, 1, 20, 1182)))
                        stranger.sendto(garbage, ("127.0.0.1", port))
                        thrown += 1

            right.on_report = throw
            await left.endpoint.send_object(session, b"it", payload(2_000_000))
        assert await right.object_of(b"it") == payload(2_000_000)
        assert thrown > 20
        await until(lambda: idle(left, right))


async def test_a_sender_that_vanishes_leaves_nothing_behind():
    async with pair(QUICK, datagram_bytes=1200) as (left, right, session):
        right.on_report = lambda received, total: received > 200_000 and left.endpoint.pause(True)
        with anyio.fail_after(DEADLINE_S), pytest.raises(TransferFailed):
            await left.endpoint.send_object(session, b"it", payload(5_000_000))
        with anyio.fail_after(DEADLINE_S), pytest.raises(TransferFailed):
            await right.incoming[0].wait()
        await until(lambda: idle(left, right))
        right.on_report = lambda received, total: None
        left.endpoint.pause(False)
        left.endpoint._context.timing = right.endpoint._context.timing = PATIENT
        await left.endpoint.send_object(session, b"again", payload(5_000_000))
        assert await right.object_of(b"again") == payload(5_000_000)
        assert right.reports[1][0][0] > 200_000


@pytest.mark.parametrize("ride_along_bytes", [0, 1000])
async def test_an_offer_that_nobody_hears_fails(ride_along_bytes: int):
    async with pair(QUICK, ride_along_bytes=ride_along_bytes) as (left, right, session):
        right.endpoint.pause(True)
        with anyio.fail_after(DEADLINE_S), pytest.raises(TransferFailed, match=r"does not answer|nothing was heard"):
            await left.endpoint.send_object(session, b"it", b"data")
        assert idle(left, right)


async def test_a_session_that_ends_fails_its_transfers():
    async with pair(datagram_bytes=1200) as (left, right, session):
        right.on_report = lambda received, total: received > 200_000 and left.endpoint.close_session(session)
        with anyio.fail_after(DEADLINE_S), pytest.raises(TransferFailed):
            await left.endpoint.send_object(session, b"it", payload(5_000_000))
        with anyio.fail_after(DEADLINE_S), pytest.raises(TransferFailed):
            await right.incoming[0].wait()
        await until(lambda: idle(left, right))
        with pytest.raises(TransferFailed):
            await left.endpoint.send_object(session, b"it", b"data")


async def test_a_repeated_offer_gets_the_same_answer_and_asks_nobody():
    async with pair() as (left, right, session):
        await left.endpoint.send_object(session, b"it", b"data")
        await right.object_of(b"it")
        offer = right.offers[0]
        again = OfferMessage(transfer=offer.transfer_id, label=b"it", size=offer.size, sha256=offer.sha256)
        for _ in range(3):
            left.endpoint._post_control(session, again)
        right.endpoint._receiving._final_answers.clear()  # as if it were long ago
        left.endpoint._post_control(session, again)
        left.endpoint.post(session, b"end")
        await right.message_count(1)
        assert len(right.offers) == 1


async def test_offers_under_numbers_of_the_other_side_are_malformed():
    async with pair() as (left, right, session):
        digest = bytes(32)
        left.endpoint._post_control(session, OfferMessage(transfer=1, label=b"", size=1, sha256=digest))
        left.endpoint._post_control(session, OfferMessage(transfer=2**53, label=b"", size=2**53, sha256=digest))
        left.endpoint._post_control(session, Cancel(transfer=40, by_sender=True))
        left.endpoint._post_control(session, Cancel(transfer=41, by_sender=False))
        left.endpoint.post(session, b"end")
        await right.message_count(1)
        assert right.endpoint.statistics().dropped["malformed message"] == 1
        assert right.offers == []


async def test_a_small_object_that_must_wait_is_offered_anew():
    """It left with its offer before it could know that the receiver has no place for it."""
    limits = Limits(transfers=1, transfers_per_peer=1)
    async with opened() as left, opened(limits=limits) as right:
        session = await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
        with anyio.fail_after(DEADLINE_S):
            async with anyio.create_task_group() as group:
                group.start_soon(left.endpoint.send_object, session, b"big", payload(10_000_000))
                await until(lambda: right.incoming and right.incoming[0].received)
                for number in range(4):
                    group.start_soon(left.endpoint.send_object, session, b"%d" % number, payload(5000, number))
        for number in range(4):
            assert await right.object_of(b"%d" % number) == payload(5000, number)
        assert len(right.offers) > 5
        await until(lambda: idle(left, right))


@pytest.mark.parametrize("seed", range(10))
async def test_small_objects_in_bad_weather(monkeypatch: pytest.MonkeyPatch, seed: int):
    """Offers and the objects that ride along overtake and lose each other."""
    weather = random.Random(seed)

    def spoil(batch: Batch) -> Batch:
        kept = [item for item in batch if weather.random() > 0.1]
        weather.shuffle(kept)
        return kept

    async with opened(datagram_bytes=1200) as left, opened() as right:
        session = await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
        spoil_worker_sockets(monkeypatch, spoil)
        with anyio.fail_after(DEADLINE_S):
            async with anyio.create_task_group() as group:
                for number in range(20):
                    size = 1 + 700 * number
                    group.start_soon(left.endpoint.send_object, session, b"%d" % number, payload(size, number))
        for number in range(20):
            assert await right.object_of(b"%d" % number) == payload(1 + 700 * number, number)
        monkeypatch.undo()
        await until(lambda: idle(left, right))


async def test_an_offer_that_was_cancelled_is_not_waited_for():
    """The acceptance of an offer whose sender has gone on is answered with a cancellation."""
    async with pair() as (left, right, session):
        left.endpoint._post_control(session, OfferMessage(transfer=0, label=b"", size=9, sha256=bytes(32)))
        await until(lambda: right.incoming)
        with anyio.fail_after(DEADLINE_S), pytest.raises(TransferCancelled, match="ended the transfer"):
            await right.incoming[0].wait()
        await until(lambda: idle(left, right))


async def test_an_idle_transfer_makes_room_for_those_who_wait():
    limits, ahead_s = Limits(worker_ports=1, worker_ports_per_peer=1), 0.0
    async with (
        opened(timing=QUICK) as dead,
        opened() as left,
        opened(limits=limits, clock=lambda: time.monotonic() + ahead_s) as right,
    ):
        session = await dead.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
        right.on_report = lambda received, total: dead.endpoint.pause(True)
        async with anyio.create_task_group() as group:
            group.start_soon(_fails, dead, session)
            await until(lambda: right.incoming and right.incoming[0].received)
            right.on_report = lambda received, total: None
            other = await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
            for _ in range(100):  # what the dead one sent before is read
                await checkpoint()
            ahead_s = PATIENT.transfer_idle_s / IDLE_SHARE
            with anyio.fail_after(DEADLINE_S):
                await left.endpoint.send_object(other, b"it", payload(100_000))
            with pytest.raises(TransferFailed, match="stood still"):
                await right.incoming[0].wait()


@pytest.mark.parametrize("others_wait", [True, False])
async def test_a_sender_that_only_drips_makes_room_for_those_who_wait_and_ends_in_any_case(others_wait: bool):
    """A datagram every two seconds was enough to hold a worker port for ever: four keys held all of a node's."""
    rates = {"least_transfer_bytes_per_s": 1e9, "slow_transfer_bytes_per_s": 1e9}  # so that any drip is slow
    limits, ahead_s = Limits(worker_ports=1, worker_ports_per_peer=1, **rates), 0.0
    window_s = PATIENT.transfer_idle_s / 2
    async with (
        opened() as hog,
        opened() as left,
        opened(limits=limits, clock=lambda: time.monotonic() + ahead_s) as right,
    ):
        session = await hog.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
        other = await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
        right.on_report = lambda received, total: hog.endpoint.pause(total > 1_000_000)
        async with anyio.create_task_group() as group:
            group.start_soon(_fails, hog, session, 50_000_000)
            await until(lambda: right.incoming and right.incoming[0].received)
            if others_wait:
                group.start_soon(left.endpoint.send_object, other, b"it", payload(100_000))
                await until(lambda: right.endpoint.statistics().queued == 1)
            for _ in range(1 if others_wait else SLOW_WINDOWS):  # a little comes in each
                received = right.incoming[0].received
                hog.endpoint.pause(False)
                await until(lambda received=received: right.incoming[0].received > received)
                ahead_s += window_s
                next(iter(right.endpoint._context.routes.values())).moved_at = right.endpoint._clock()
                right.endpoint._receiving.measure()
            hog.endpoint.pause(False)
            with anyio.fail_after(DEADLINE_S), pytest.raises(TransferFailed, match="slow"):
                await right.incoming[0].wait()
        if others_wait:
            assert await right.object_of(b"it") == payload(100_000)


async def _fails(owner: Owner, session, size: int = 5_000_000) -> None:
    with pytest.raises(TransferFailed):
        await owner.endpoint.send_object(session, b"it", payload(size))


async def test_a_full_send_buffer_only_delays(monkeypatch: pytest.MonkeyPatch):
    """Every third train finds the buffer full: the rest waits, nothing is lost or mixed up."""
    send_run, calls = UdpSocket.send_run, 0

    def full_now_and_then(self: UdpSocket, address, datagrams: list[bytes]) -> int:
        nonlocal calls
        calls += 1
        return send_run(self, address, datagrams) if calls % 3 else send_run(self, address, datagrams[: calls % 2])

    monkeypatch.setattr(UdpSocket, "send_run", full_now_and_then)
    async with pair(datagram_bytes=1200) as (left, right, session):
        with anyio.fail_after(DEADLINE_S):
            await left.endpoint.send_object(session, b"it", payload(2_000_000))
        assert await right.object_of(b"it") == payload(2_000_000)
        await until(lambda: idle(left, right))
