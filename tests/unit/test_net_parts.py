"""Control messages, alarms, paths and the handle of an object that is being received."""

import asyncio
import time

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import MalformedMessage, RemoteError, TransferCancelled, TransferFailed
from shared.net import control
from shared.net.handles import Incoming
from shared.net.lazy_timer import LazyTimer
from shared.net.paths import is_loopback, largest_datagram_bytes, transfer_settings
from shared.net.udp import UdpSocket
from shared.transfer import Ranges, SendingTransfer, TransferSettings
from shared.transfer.flow import charge_bytes
from tests.sim.transfers import PlainCipher

MESSAGES = [
    control.OfferMessage(transfer=2**53, label=bytes(512), size=2**53, sha256=bytes(32)),
    control.Accept(transfer=1, port=65_535, datagram_bytes=65_000, have=bytes(600)),
    control.Queued(transfer=1),
    control.Complete(transfer=1),
    control.Refuse(transfer=1, code="c" * 32, text="é" * 200),
    control.Cancel(transfer=1, by_sender=True, failed=True, text="é" * 200),
    control.Alive(),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_control_messages_fit_and_come_back(message: control.ControlMessage):
    encoded = control.encode_control(message)
    assert encoded[:1] == control.FOR_TRANSFERS
    assert len(encoded) <= control.MAX_CONTROL_BYTES + 1 <= 1164
    assert control.decode_control(encoded[1:]) == message


@given(st.binary(max_size=200) | st.sampled_from(MESSAGES).map(lambda one: control.encode_control(one)[1:-1]))
def test_garbage_is_malformed_or_a_message(data: bytes):
    try:
        message = control.decode_control(data)
    except RemoteError:
        return
    assert control.decode_control(control.encode_control(message)[1:]) == message


@pytest.mark.parametrize(
    "data",
    [
        b'{"k":241,"transfer":1,"port":70000,"datagram_bytes":1200}',
        b'{"k":241,"transfer":1,"port":1,"datagram_bytes":100}',
        b'{"k":240,"transfer":-1,"label":"","size":1,"sha256":""}',
        b'{"k":249}',
        b"[" * 1000,
        b" " * 5000,
    ],
)
def test_what_exceeds_a_cap_is_malformed(data: bytes):
    with pytest.raises(MalformedMessage):
        control.decode_control(data)


def test_ranges_that_are_too_many_are_cut_to_fit():
    have = Ranges((index * 3000, index * 3000 + 1000 + index) for index in range(1000))
    message = control.Accept(transfer=1, port=1, datagram_bytes=1200, have=have.encode(control.MAX_RANGES_BYTES))
    assert control.decode_control(control.encode_control(message)[1:]) == message


def test_loopback_hosts_get_large_datagrams_as_far_as_the_buffer_goes():
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.9.1", "::1", "10.0.0.1", "::2", "no", "fe80::1%2")] == [
        True,
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    assert largest_datagram_bytes("127.0.0.1", 8 * 2**20) == 60_000
    assert largest_datagram_bytes("10.0.0.1", 8 * 2**20) == 1200
    for buffer_bytes in (4_608, 100_000, 212_992, 425_984, 2**20):
        size = largest_datagram_bytes("127.0.0.1", buffer_bytes)
        assert size == 1200 or 24 * charge_bytes(size) <= buffer_bytes


def test_the_first_flight_fits_the_receivers_buffer():
    from shared.config import PRESETS

    for timing in PRESETS.values():
        for buffer_bytes in (425_984, 8 * 2**20):
            size = largest_datagram_bytes("127.0.0.1", buffer_bytes)
            settings = transfer_settings(timing, size)
            if size > 1200:
                assert settings.initial_window_bytes // size * charge_bytes(size) <= buffer_bytes


def test_an_alarm_rings_once_at_the_last_deadline_set():
    async def main() -> None:
        now, rung, second = 0.0, [], asyncio.Event()

        def ring() -> None:
            rung.append(now)
            if len(rung) == 2:
                second.set()

        alarm = LazyTimer(ring, lambda: now)
        alarm.set(5.0)
        alarm.set(0.0)  # earlier than before
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert rung == [0.0]
        alarm.set(0.0)
        alarm.set(None)
        alarm.set(0.001)  # later: the timer of the first one rings into the void
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert rung == [0.0]
        now = 1.0
        await second.wait()
        assert rung == [0.0, 1.0]
        alarm.set(2.0)
        alarm.stop()
        assert alarm._handle is None

    asyncio.run(main())


def test_what_has_arrived_is_read_before_a_timer_that_the_stopped_process_missed():
    """A machine that slept longer than a time-out dropped transfers whose next datagrams lay in its socket."""

    async def main() -> None:
        happened: list[str] = []
        fired = asyncio.Event()

        def fire() -> None:
            happened.append("timer")
            fired.set()

        async def read(receiver: UdpSocket) -> None:
            await receiver.receive_batch()
            happened.append("datagram")

        sender, receiver = UdpSocket(("127.0.0.1", 0)), UdpSocket(("127.0.0.1", 0))
        try:
            reading = asyncio.create_task(read(receiver))
            await asyncio.sleep(0)
            LazyTimer(fire, time.monotonic).set(time.monotonic() + 0.001)
            sender.send_run(receiver.local_address, [b"there"])
            time.sleep(0.2)  # noqa: ASYNC251 - the whole process stands still
            await fired.wait()
            await reading
        finally:
            sender.close()
            receiver.close()
        assert happened == ["datagram", "timer"]

    asyncio.run(main())


def test_incoming_objects_settle_once():
    async def main() -> None:
        reports: list[tuple[int, int]] = []
        cancels: list[int] = []
        incoming = Incoming(progress=lambda *at: reports.append(at))
        incoming.begin(10, lambda: cancels.append(1))
        for received in (0, 3, 3, 2, 10):
            incoming.report(received)
        assert reports == [(3, 10), (10, 10)]
        incoming.settle(b"object")
        incoming.settle(TransferFailed("late"))
        incoming.cancel()
        assert await incoming.wait() == b"object"
        assert cancels == []

        incoming = Incoming()
        incoming.begin(10, lambda: cancels.append(1))
        incoming.cancel()
        incoming.cancel()
        incoming.report(4)
        assert cancels == [1]
        with pytest.raises(TransferCancelled):
            await incoming.wait()

    anyio.run(main)


def test_a_sender_asks_at_once_over_another_path():
    """The pause before its next probe may have grown beyond the receiver's patience by then."""
    settings = TransferSettings()
    sender = SendingTransfer(bytes(5_000), cipher=PlainCipher(), settings=settings, now=0.0)
    while sender.take_datagrams(0.0, 64):
        pass
    now = 0.0
    while now < 0.5:
        deadline = sender.next_deadline()
        assert deadline is not None
        now = deadline
        sender.tick(now)
        sender.take_datagrams(now, 64)
    assert sender.take_datagrams(now + 0.01, 64) == []
    sender.path_changed(now + 0.01)
    assert len(sender.take_datagrams(now + 0.01, 64)) == 2
