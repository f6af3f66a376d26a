"""Objects between real endpoints: byte-exact, concurrent, refused, cancelled, queued, resumed."""

import gc
import hashlib
import random
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint

from shared.config import MAX_STEGO_BYTES, Limits
from shared.errors import LocalError, Refused, TransferCancelled, TransferFailed
from shared.net import receiving
from shared.net.driver import SendingDriver
from shared.net.endpoint import Endpoint, Incoming
from shared.net.partial_store import FolderPartials, MemoryPartials, PartialKey
from shared.transfer import PartialObject, Ranges
from tests.integration.endpoints import DEADLINE_S, PATIENT, Owner, idle, opened, pair, until

pytestmark = pytest.mark.anyio


def payload(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("gso", [True, False])
@pytest.mark.parametrize("datagram_bytes", [None, 1200])
@pytest.mark.parametrize(
    ("size", "ride_along_bytes"),
    [(0, 9), (1, 0), (1, 9), (9, 9), (10, 9), (10_000, 0), (10_000, 16_384), (16_384, 16_384), (5_000_000, 9)],
)
async def test_objects_arrive_byte_exact(size: int, ride_along_bytes: int, datagram_bytes: int | None, gso: bool):
    data = payload(size)
    async with pair(gso=gso, datagram_bytes=datagram_bytes, ride_along_bytes=ride_along_bytes) as (
        left,
        right,
        session,
    ):
        progress: list[tuple[int, int]] = []
        with anyio.fail_after(DEADLINE_S):
            await left.endpoint.send_object(session, b"it", data, progress=lambda *at: progress.append(at))
        assert await right.object_of(b"it") == data
        offer = right.offers[0]
        assert (offer.label, offer.size, offer.sha256) == (b"it", size, hashlib.sha256(data).digest())
        for reports in (progress, right.reports[0]):
            assert reports == sorted(set(reports)) or size == 0
            assert size == 0 or reports[-1] == (size, size)
        await until(lambda: idle(left, right))


@pytest.mark.parametrize("size", [9_000, 3_000_000])
async def test_nobody_keeps_an_object_that_is_here(size: int):
    """An upload and a stego image of many megabytes stayed until the linger time was over, or the garbage collector
    came by; the next ones came on top of them."""
    gc.disable()
    try:
        async with pair() as (left, right, session):
            held = [payload(size)]
            await left.endpoint.send_object(session, b"it", held[0])
            held.append(await right.object_of(b"it"))
            assert held[0] == held[1]
            right.incoming.clear()
            for which in (0, 1):  # the list and the question itself refer to it
                await until(lambda which=which: sys.getrefcount(held[which]) == 2)
    finally:
        gc.enable()


async def test_both_sides_may_have_different_ways_of_sending():
    async with opened(gso=True, datagram_bytes=1200) as left, opened(gso=False) as right:
        session = await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
        await left.endpoint.send_object(session, b"there", payload(1_000_000))
        assert await right.object_of(b"there") == payload(1_000_000)
        await right.endpoint.send_object(right.sessions[0], b"back", payload(1_000_000, 1))
        assert await left.object_of(b"back") == payload(1_000_000, 1)


async def test_a_transfer_has_a_worker_port_on_either_side():
    async with pair() as (left, right, session):
        seen = []
        right.on_report = lambda received, total: seen.append(
            (left.endpoint.worker_ports_in_use, right.endpoint.worker_ports_in_use)
        )
        await left.endpoint.send_object(session, b"it", payload(300_000))
        assert (1, 1) in seen
        parent_only = right.endpoint.local_address[1]
        assert parent_only == session.address[1]
        await until(lambda: idle(left, right))


async def test_many_transfers_at_once_in_both_directions():
    async with pair() as (left, right, session):
        left.endpoint.post(session, b"x")
        await right.message_count(1)
        back = right.sessions[0]
        sizes = [1, 999, 10_000, 70_000, 300_000, 1_500_000] * 3
        with anyio.fail_after(DEADLINE_S):
            async with anyio.create_task_group() as group:
                for number, size in enumerate(sizes):
                    label = b"%d" % number
                    group.start_soon(left.endpoint.send_object, session, label, payload(size, number))
                    group.start_soon(right.endpoint.send_object, back, label, payload(size, number + 100))
        for number, size in enumerate(sizes):
            label = b"%d" % number
            assert await right.object_of(label) == payload(size, number)
            assert await left.object_of(label) == payload(size, number + 100)
        await until(lambda: idle(left, right))


async def test_the_same_object_many_times_at_once_arrives_many_times():
    data = payload(200_000)
    async with pair() as (left, right, session):
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(left.endpoint.send_object, session, b"same", data)
        assert len(right.incoming) == 8
        for incoming in right.incoming:
            assert await incoming.wait() == data


async def test_messages_are_not_held_up_by_a_large_transfer():
    async with pair() as (left, right, session):
        rounds = 0
        async with anyio.create_task_group() as group:
            group.start_soon(left.endpoint.send_object, session, b"big", payload(20_000_000))
            await until(lambda: right.incoming and right.incoming[0].received)
            while not right.incoming[0].done:
                rounds += 1
                left.endpoint.post(session, b"x")
                await right.message_count(rounds)
        assert rounds >= 20


async def test_a_refusal_says_why():
    async with pair() as (left, right, session):
        right.accepts = lambda session, offer: False
        with pytest.raises(Refused, match="I have that one") as refusal:
            await left.endpoint.send_object(session, b"it", b"data")
        assert refusal.value.code == "held"
        right.endpoint.on_offer = lambda session, offer: None
        with pytest.raises(Refused):
            await left.endpoint.send_object(session, b"it", b"data")
        assert idle(left, right)


async def test_an_owner_that_fails_on_an_offer_refuses_it(caplog):
    def judge(session, offer) -> Incoming:
        raise KeyError("a bug")

    async with pair() as (left, right, session):
        right.endpoint.on_offer = judge
        with pytest.raises(Refused):
            await left.endpoint.send_object(session, b"it", b"data")
        assert right.endpoint.statistics().dropped["owner failed"] == 1
    assert any(record.exc_info for record in caplog.records)


async def test_what_is_too_long_is_a_local_error():
    async with pair() as (left, _right, session):
        with pytest.raises(LocalError):
            await left.endpoint.send_object(session, bytes(513), b"data")
        with pytest.raises(LocalError):
            await left.endpoint.send_object(session, b"", bytes(MAX_STEGO_BYTES + 1))


async def test_a_cancelled_sender_tells_the_receiver():
    async with pair(datagram_bytes=1200) as (left, right, session):
        async with anyio.create_task_group() as group:
            group.start_soon(left.endpoint.send_object, session, b"it", payload(20_000_000))
            await until(lambda: right.incoming and right.incoming[0].received > 100_000)
            group.cancel_scope.cancel()
        with anyio.fail_after(DEADLINE_S), pytest.raises(TransferCancelled):
            await right.incoming[0].wait()
        await until(lambda: idle(left, right))


@pytest.mark.parametrize("lost", ["message", "frame", "nothing"])
@pytest.mark.parametrize("goes_on", [True, False])
async def test_what_a_cancelled_sender_leaves_does_not_depend_on_which_word_comes_first(
    goes_on: bool, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end is told by a message in the session and a frame in the transfer. After the message the receiver dropped
    what it had, after the frame it kept it; and an owner's client that closed spoke of it as of an object that is
    taken back, so that now and then a picture began anew."""
    data, partials = payload(20_000_000), MemoryPartials()
    async with opened(datagram_bytes=1200) as left, opened(partials=partials) as right:
        session = await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
        async with anyio.create_task_group() as group:
            group.start_soon(partial(left.endpoint.send_object, session, b"it", data, goes_on=goes_on))
            await until(lambda: right.incoming and right.incoming[0].received > 100_000)
            if lost == "message":
                monkeypatch.setattr(left.endpoint._context, "post", lambda session, message: None)
            elif lost == "frame":
                for end in ("cancel", "give_up"):
                    monkeypatch.setattr(SendingDriver, end, SendingDriver.abandon)
            group.cancel_scope.cancel()
        with anyio.fail_after(DEADLINE_S), pytest.raises(TransferFailed if goes_on else TransferCancelled):
            await right.incoming[0].wait()
        await until(lambda: idle(left, right))
        key = PartialKey(hashlib.sha256(data).digest(), len(data), left.endpoint.public_key)
        kept = await partials.take(key)
        assert (kept is not None and kept.have.total >= right.incoming[0].received) == goes_on


async def test_a_receiver_that_cancels_tells_the_sender():
    async with pair(datagram_bytes=1200) as (left, right, session):
        right.on_report = lambda received, total: received > 100_000 and right.incoming[0].cancel()
        with anyio.fail_after(DEADLINE_S), pytest.raises(TransferCancelled):
            await left.endpoint.send_object(session, b"it", payload(20_000_000))
        with pytest.raises(TransferCancelled):
            await right.incoming[0].wait()
        assert right.incoming[0].received < 20_000_000
        await until(lambda: idle(left, right))


async def test_cancelling_at_once_or_at_the_end_is_harmless():
    async with pair() as (left, right, session):

        def offered(session, offer) -> Incoming:
            incoming = Incoming()
            incoming.cancel()
            return incoming

        accept, right.endpoint.on_offer = right.endpoint.on_offer, offered
        with pytest.raises(Refused):
            await left.endpoint.send_object(session, b"it", b"data")
        right.endpoint.on_offer = accept
        await left.endpoint.send_object(session, b"it", b"data")
        await right.object_of(b"it")
        right.incoming[0].cancel()
        assert await right.incoming[0].wait() == b"data"


async def test_beyond_the_worker_ports_transfers_wait_and_are_served():
    limits = Limits(worker_ports=2, worker_ports_per_peer=2)
    async with opened() as left, opened(limits=limits) as right:
        session = await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
        most = 0

        def look(received: int, total: int) -> None:
            nonlocal most
            most = max(most, right.endpoint.worker_ports_in_use)

        right.on_report = look
        with anyio.fail_after(DEADLINE_S):
            async with anyio.create_task_group() as group:
                for number in range(10):
                    group.start_soon(left.endpoint.send_object, session, b"%d" % number, payload(200_000, number))
        for number in range(10):
            assert await right.object_of(b"%d" % number) == payload(200_000, number)
        assert most == 2
        await until(lambda: idle(left, right))


async def test_a_full_queue_refuses():
    limits = Limits(worker_ports=1, worker_ports_per_peer=1, transfers=1, transfers_per_peer=1, queued_transfers=1)
    async with opened() as left, opened(limits=limits) as right:
        session = await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
        ends: list[str] = []

        async def send(number: int) -> None:
            try:
                await left.endpoint.send_object(session, b"%d" % number, payload(3_000_000, number))
            except Refused as refusal:
                ends.append(refusal.code)
            else:
                ends.append("sent")

        with anyio.fail_after(DEADLINE_S):
            async with anyio.create_task_group() as group:
                for number in range(6):
                    group.start_soon(send, number)
        assert set(ends) == {"sent", "busy"}
        assert ends.count("sent") >= 2


async def test_a_cancelled_transfer_leaves_the_queue():
    limits = Limits(worker_ports=1, worker_ports_per_peer=1)
    async with opened() as hog, opened() as left, opened(limits=limits) as right:
        to_right = right.endpoint.local_address, right.endpoint.public_key
        right.on_report = lambda received, total: hog.endpoint.pause(True)  # and so it keeps the only port

        async def send(owner: Owner, size: int, scope: anyio.CancelScope) -> None:
            session = await owner.endpoint.connect(*to_right)
            with scope:
                await owner.endpoint.send_object(session, b"it", payload(size))

        first, second = anyio.CancelScope(), anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(send, hog, 20_000_000, first)
            await until(lambda: right.incoming and right.incoming[0].received)
            group.start_soon(send, left, 20_000, second)
            await until(lambda: right.endpoint.statistics().queued == 1)
            second.cancel()
            await until(lambda: right.endpoint.statistics().queued == 0)
            assert not right.incoming[0].done
            hog.endpoint.pause(False)
            first.cancel()
        assert first.cancelled_caught
        assert second.cancelled_caught
        for incoming in right.incoming:
            with anyio.fail_after(DEADLINE_S), pytest.raises(TransferCancelled):
                await incoming.wait()
        await until(lambda: idle(hog, left, right))


async def _break_off(sender: Endpoint, receiver: Endpoint, data: bytes, breaking: Endpoint) -> None:
    """Send until a fifth has arrived, then close one of the endpoints, which is opened here."""
    right, stop, failed = Owner(receiver), anyio.Event(), anyio.Event()

    async def live(*, task_status: TaskStatus[None]) -> None:
        async with breaking:
            task_status.started()
            await stop.wait()

    async def send() -> None:
        session = await sender.connect(receiver.local_address, receiver.public_key)
        with pytest.raises(TransferFailed):
            await sender.send_object(session, b"it", data)
        failed.set()

    async with anyio.create_task_group() as group:
        await group.start(live)
        group.start_soon(send)
        await until(lambda: right.incoming and right.incoming[0].received > len(data) // 5)
        assert not right.incoming[0].done
        stop.set()
        await failed.wait()
        with anyio.fail_after(DEADLINE_S), pytest.raises(TransferFailed):
            await right.incoming[0].wait()


async def test_a_transfer_goes_on_after_the_receiver_restarts(tmp_path: Path):
    data, folder = payload(8_000_000), tmp_path / "parts"
    async with opened(datagram_bytes=1200) as left:
        before = Endpoint(b"r" * 32, timing=PATIENT, partials=FolderPartials(folder))
        await _break_off(left.endpoint, before, data, before)
        async with Endpoint(b"r" * 32, timing=PATIENT, partials=FolderPartials(folder)) as after:
            right, progress = Owner(after), []
            session = await left.endpoint.connect(after.local_address, after.public_key)
            await left.endpoint.send_object(session, b"again", data, progress=lambda *at: progress.append(at))
            assert await right.object_of(b"again") == data
            assert right.reports[0][0][0] > len(data) // 5
            assert progress[0][0] > len(data) // 5
            await until(lambda: idle(left, right))
        assert list(folder.iterdir()) == []


async def test_a_transfer_goes_on_after_the_sender_restarts():
    data = payload(8_000_000)
    async with opened() as right:
        before = Endpoint(b"l" * 32, timing=PATIENT, datagram_bytes=1200)
        await _break_off(before, right.endpoint, data, before)
        async with Endpoint(b"l" * 32, timing=PATIENT, datagram_bytes=1200) as after:
            right = Owner(right.endpoint)
            session = await after.connect(right.endpoint.local_address, right.endpoint.public_key)
            await after.send_object(session, b"again", data)
            assert await right.object_of(b"again") == data
            assert right.reports[0][0][0] > len(data) // 5


async def test_a_transfer_that_begins_anew_waits_for_what_the_last_one_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk may be slow: a sender that was back at once had everything sent again, from the last checkpoint on."""
    data, may_keep = payload(8_000_000), anyio.Event()
    monkeypatch.setattr(receiving, "FAREWELL_S", DEADLINE_S)

    class SlowPartials(MemoryPartials):
        async def keep(self, key: PartialKey, partial: PartialObject) -> None:
            await may_keep.wait()
            await super().keep(key, partial)

    async with opened(partials=SlowPartials()) as right:
        before = Endpoint(b"l" * 32, timing=PATIENT, datagram_bytes=1200)
        async with (
            Endpoint(b"l" * 32, timing=PATIENT, datagram_bytes=1200) as after,
            anyio.create_task_group() as group,
        ):
            async with before:
                session = await before.connect(right.endpoint.local_address, right.endpoint.public_key)
                with anyio.CancelScope() as scope:
                    right.on_report = lambda received, total: received > len(data) // 5 and scope.cancel()
                    await before.send_object(session, b"it", data, goes_on=True)
            right.on_report = lambda received, total: None
            session = await after.connect(right.endpoint.local_address, right.endpoint.public_key)
            group.start_soon(after.send_object, session, b"again", data)
            await until(lambda: len(right.incoming) == 2)
            for _ in range(20):
                await checkpoint()
            may_keep.set()
            assert await right.object_of(b"again") == data
        assert right.reports[1][0][0] > len(data) // 5


async def test_what_arrived_is_on_disk_while_the_transfer_runs(tmp_path: Path):
    """A receiver that is killed must find what it had: nothing may depend on an orderly end."""
    data = payload(20_000_000)
    store = FolderPartials(tmp_path / "parts")
    store.checkpoint_s = 0.01
    async with opened(seed=1, datagram_bytes=1200) as left, opened(partials=store) as right:
        session = await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
        async with anyio.create_task_group() as group:
            group.start_soon(left.endpoint.send_object, session, b"it", data)
            await until(lambda: list((tmp_path / "parts").glob("*.have")))
            assert not right.incoming[0].done
            partial = await FolderPartials(tmp_path / "parts").take(
                PartialKey(hashlib.sha256(data).digest(), len(data), left.endpoint.public_key)
            )
        assert partial is not None
        assert partial.have.total > 0
        for start, end in partial.have:
            assert partial.data[start:end] == data[start:end]
        assert await right.object_of(b"it") == data


async def test_an_object_that_is_held_already_is_not_sent():
    data = payload(2_000_000)
    partials = MemoryPartials()
    async with opened() as left, opened(partials=partials) as right:
        key = PartialKey(hashlib.sha256(data).digest(), len(data), left.endpoint.public_key)
        await partials.keep(key, PartialObject(len(data), key.sha256, bytearray(data), Ranges([(0, len(data))])))
        session = await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
        progress = []
        await left.endpoint.send_object(session, b"it", data, progress=lambda *at: progress.append(at))
        assert await right.object_of(b"it") == data
        assert progress == [(len(data), len(data))]
        assert left.endpoint.statistics().sent_bytes < 100_000


async def test_damaged_parts_are_found_out_and_sent_anew():
    data = payload(2_000_000)
    partials = MemoryPartials()
    async with opened() as left, opened(partials=partials) as right:
        key = PartialKey(hashlib.sha256(data).digest(), len(data), left.endpoint.public_key)
        session = await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
        await partials.keep(key, PartialObject(len(data), key.sha256, bytearray(data[:-1] + b"x"), Ranges([(0, 9)])))
        damaged = PartialObject(len(data), key.sha256, bytearray(len(data)), Ranges([(0, 1_000_000)]))
        await partials.keep(key, damaged)
        with pytest.raises(TransferFailed):
            await left.endpoint.send_object(session, b"first", data)
        with pytest.raises(TransferFailed):
            await right.object_of(b"first")
        await left.endpoint.send_object(session, b"second", data)
        assert await right.object_of(b"second") == data
