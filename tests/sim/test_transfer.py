"""Whole transfers over simulated paths: what arrives, how they end, and what is left for the next time."""

import hashlib

import pytest

from shared.errors import LocalError
from shared.transfer import (
    PartialObject,
    Ranges,
    ReceivingTransfer,
    SendingTransfer,
    TransferSettings,
    TransferState,
)
from shared.transfer import receiver as receiver_module
from shared.transfer.flow import charge_bytes
from shared.transfer.frames import DATA, DATA_HEAD, PING, PacketSealer, encode_ack
from tests.sim.link import LinkWeather
from tests.sim.transfers import Flow, PlainCipher, path, payload, run
from tests.sim.world import VirtualTime

ROUGH = LinkWeather(loss=0.08, duplication=0.05, reordering=0.1, reordering_delay_s=0.01)


def flow_over(size: int, *, seed: int = 0, weather: LinkWeather | None = None, **flow) -> Flow:
    time = VirtualTime()
    link = {name: flow.pop(name) for name in ("rate", "queue_bytes", "rtt_s") if name in flow}
    forward, backward = path(time, seed=seed, weather=weather, **link)
    return Flow(time, forward, backward, payload(size, seed), **flow)


def assert_delivered(flow: Flow) -> None:
    assert flow.sender.state is TransferState.DONE, flow.sender.failure
    assert flow.receiver.state is TransferState.DONE, flow.receiver.failure
    assert flow.receiver.object() == flow.data
    assert flow.sender.progress == flow.receiver.progress == (len(flow.data), len(flow.data))
    assert flow.sender.finished
    assert flow.receiver.finished


@pytest.mark.parametrize("block", range(6))
def test_every_byte_arrives_on_rough_paths(block):
    """Sizes around the borders of chunks and windows; loss, duplicates and reordering in both directions."""
    for seed in range(block * 60, block * 60 + 60):
        size = (1, 1160, 1161, 1162, 9_999, 60_000, 100_001)[seed % 7] + seed
        flow = flow_over(size, seed=seed, weather=ROUGH)
        run(flow)
        assert_delivered(flow)


@pytest.mark.parametrize("datagram_bytes", [128, 1452, 8_900, 65_000])
def test_every_byte_arrives_in_datagrams_of_any_size(datagram_bytes):
    settings = TransferSettings(datagram_bytes=datagram_bytes)
    flow = flow_over(400_000, weather=ROUGH, settings=settings, queue_bytes=400_000)
    run(flow)
    assert_delivered(flow)


def test_a_small_object_takes_one_round_trip():
    flow = flow_over(10_240, rtt_s=0.040)
    run(flow)
    assert_delivered(flow)
    transmission_s = flow.sent_datagrams * 1200 / flow.forward.rate
    assert flow.ended_at == pytest.approx(0.040 + transmission_s, abs=0.001)


def test_both_sides_stop_speaking_once_the_last_word_is_heard():
    flow = flow_over(10_240, rtt_s=0.02)
    run(flow)
    before = flow.forward.offered + flow.backward.offered
    flow.time.run_until(100.0)
    assert flow.forward.offered + flow.backward.offered == before
    assert flow.sender.next_deadline() is None
    assert flow.receiver.next_deadline() is None


def test_full_datagrams_are_equal_and_the_short_one_comes_last():
    sender = SendingTransfer(payload(5_000), cipher=PlainCipher(), settings=TransferSettings(), now=0.0)
    lengths = [len(datagram) for datagram in sender.take_datagrams(0.0, 64)]
    assert lengths[:-1] == [1200] * (len(lengths) - 1)
    assert lengths[-1] < 1200


@pytest.mark.parametrize("end", ["done", "cancel", "give_up", "idle"])
def test_a_transfer_that_has_ended_keeps_nothing_of_its_object(end):
    """Both sides live on for a second and more, to say so again; an object of 45 MB stayed in memory for as long."""
    flow = flow_over(1_000_000)
    flow.start()
    data = bytearray(flow.data)
    flow.sender._data = memoryview(data)
    flow.time.run_until(0.1)
    assert flow.sender.state is TransferState.OPEN
    if end == "done":
        while flow.sender.state is TransferState.OPEN:
            assert flow.time.step(300.0)
    elif end == "idle":
        flow.sender.tick(3_600.0)
    else:
        getattr(flow.sender, end)("over", flow.time.now)
    data.append(0)  # raises `BufferError` while anybody looks at it
    received = flow.receiver._data
    flow.receiver.let_go()
    received.append(0)


# --- Ends that are not the good one ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_a_wrong_hash_fails_both_sides_and_leaves_nothing(seed):
    flow = flow_over(50_000, seed=seed, weather=LinkWeather(loss=0.1), digest=bytes(32))
    run(flow)
    assert flow.sender.state is flow.receiver.state is TransferState.FAILED
    assert "hash" in (flow.receiver.failure or "")
    assert "hash" in (flow.sender.failure or "")
    assert flow.receiver.partial.have == Ranges()
    assert flow.receiver.partial.data == bytearray(50_000)
    with pytest.raises(LocalError):
        flow.receiver.object()


@pytest.mark.parametrize(
    ("how", "verb", "state"),
    [("cancel", "cancelled", TransferState.CANCELLED), ("give_up", "gave up", TransferState.FAILED)],
)
@pytest.mark.parametrize("who", ["sender", "receiver"])
@pytest.mark.parametrize("seed", range(10))
def test_either_side_can_end_it(who, seed, how, verb, state):
    flow = flow_over(2_000_000, seed=seed, weather=LinkWeather(loss=0.1))
    flow.start()
    flow.time.run_until(0.3)
    getattr(getattr(flow, who), how)("no longer\x1b[2J wanted", flow.time.now)
    flow.wake_sender()
    flow.wake_receiver()
    flow.time.run_until(1.5)
    assert flow.sender.state is flow.receiver.state is state
    told = flow.receiver if who == "sender" else flow.sender
    assert told.failure == f"the {who} {verb}: no longer?[2J wanted"
    assert flow.sender.finished
    assert flow.receiver.finished
    assert 0 < flow.receiver.partial.have.total < 2_000_000


def test_cancelling_what_has_ended_changes_nothing():
    flow = flow_over(1_000)
    run(flow)
    for side in (flow.sender, flow.receiver):
        side.cancel("too late", flow.time.now)
        side.give_up("too late", flow.time.now)
    assert_delivered(flow)


def test_silence_ends_both_sides_in_time():
    flow = flow_over(2_000_000, settings=TransferSettings(idle_timeout_s=4.0))
    flow.start()
    flow.time.run_until(0.3)
    flow.forward.weather = flow.backward.weather = LinkWeather(loss=1.0)
    flow.time.run_until(4.2)
    assert flow.sender.state is flow.receiver.state is TransferState.OPEN
    flow.time.run_until(4.5)
    assert flow.sender.state is flow.receiver.state is TransferState.FAILED
    assert flow.sender.failure == "nothing was heard from the receiver for 4 s"
    assert flow.receiver.failure == "nothing was heard from the sender for 4 s"
    assert flow.sender.finished
    assert flow.receiver.finished
    assert flow.receiver.partial.have.total > 0


def test_a_side_that_answers_and_takes_nothing_does_not_hold_the_transfer_open():
    """Acknowledging pings only: the sender hears something all the time and must end nevertheless."""
    settings = TransferSettings(idle_timeout_s=1.0, stall_timeouts=3)
    sender = SendingTransfer(payload(5_000_000), cipher=PlainCipher(), settings=settings, now=0.0)
    other = PacketSealer(PlainCipher())
    now = 0.0
    sender.take_datagrams(now, 64)
    while sender.state is TransferState.OPEN and now < 10.0:
        sender.receive(other.seal(encode_ack(0.0, 1, [(0, 1)])), now)
        sender.tick(now)
        sender.take_datagrams(now, 64)
        now += 0.1
    assert sender.state is TransferState.FAILED
    assert now == pytest.approx(3.0, abs=0.3)
    assert sender.failure == "nothing of the object arrived for 3 s"


def test_an_outage_shorter_than_the_time_out_is_survived():
    flow = flow_over(2_000_000)
    flow.start()
    flow.time.run_until(0.3)
    flow.forward.weather = flow.backward.weather = LinkWeather(loss=1.0)
    flow.time.run_until(6.0)
    flow.forward.weather = flow.backward.weather = LinkWeather()
    while not (flow.sender.finished and flow.receiver.finished) and flow.time.step(60.0):
        pass
    assert_delivered(flow)
    assert flow.ended_at < 10.0


@pytest.mark.parametrize("lost_s", [0.05, 0.3, 1.0])
def test_a_lost_last_word_is_said_again(lost_s):
    """The receiver is done at once; its confirmations are lost for a while."""
    flow = flow_over(8_000)
    flow.backward.weather = LinkWeather(loss=1.0)
    flow.start()
    flow.time.run_until(lost_s)
    assert flow.receiver.state is TransferState.DONE
    assert flow.sender.state is TransferState.OPEN
    assert not flow.receiver.finished
    flow.backward.weather = LinkWeather()
    while not (flow.sender.finished and flow.receiver.finished) and flow.time.step(60.0):
        pass
    assert_delivered(flow)
    assert flow.ended_at < lost_s * 2 + 0.3


def test_lingering_is_bounded():
    flow = flow_over(8_000)
    flow.backward.weather = LinkWeather(loss=1.0)
    run(flow, until=4.0)
    flow.time.run_until(4.0)
    assert flow.receiver.state is TransferState.DONE
    assert flow.receiver.finished
    assert flow.receiver.next_deadline() is None


# --- Resumption ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("datagram_bytes", [1200, 900])
def test_a_later_transfer_sends_only_what_is_missing(seed, datagram_bytes):
    """Either side restarts: new machines on both ends, with what the receiver kept and told. The chunks may change."""
    first = flow_over(1_000_000, seed=seed, weather=ROUGH)
    first.start()
    first.time.run_until(0.35)
    kept = first.receiver.partial
    assert 100_000 < kept.have.total < 900_000
    told = Ranges.decode(kept.have.encode(600), limit=kept.size, cap_bytes=600)
    stored = PartialObject(kept.size, kept.sha256, bytearray(kept.data), kept.have)
    settings = TransferSettings(datagram_bytes=datagram_bytes)
    second = flow_over(1_000_000, seed=seed, have=told, partial=stored, settings=settings)
    run(second)
    assert_delivered(second)
    chunk = datagram_bytes - 18 - 9 - 16
    needed = (1_000_000 - told.total) / chunk
    assert second.sent_datagrams < needed + 2 * len(told) + second.sender.statistics.retransmitted + 5


def test_nothing_but_the_confirmation_is_missing():
    data = payload(100_000)
    everything = Ranges([(0, 100_000)])
    stored = PartialObject(100_000, hashlib.sha256(data).digest(), bytearray(data), everything)
    flow = flow_over(100_000, have=everything, partial=stored)
    run(flow)
    assert_delivered(flow)
    assert flow.sent_datagrams <= 3


def test_a_damaged_partial_is_found_by_the_hash():
    data = payload(100_000)
    damaged = bytearray(data)
    damaged[10] ^= 1
    have = Ranges([(0, 50_000)])
    stored = PartialObject(100_000, hashlib.sha256(data).digest(), damaged, have)
    flow = flow_over(100_000, have=have, partial=stored)
    run(flow)
    assert flow.sender.state is flow.receiver.state is TransferState.FAILED
    assert flow.receiver.partial.have == Ranges()


@pytest.mark.parametrize(
    "partial",
    [
        PartialObject(9, bytes(32), bytearray(9), Ranges()),
        PartialObject(10, bytes(31) + b"x", bytearray(10), Ranges()),
        PartialObject(10, bytes(32), bytearray(9), Ranges()),
        PartialObject(10, bytes(32), bytearray(10), Ranges([(5, 11)])),
    ],
)
def test_a_partial_of_another_object_is_refused(partial):
    with pytest.raises(LocalError):
        ReceivingTransfer(
            size=10,
            sha256=bytes(32),
            cipher=PlainCipher(),
            settings=TransferSettings(),
            now=0.0,
            buffer_bytes=200_000,
            partial=partial,
        )


# --- Flow control and bounds -----------------------------------------------------------------------------------------


class BufferedFlow(Flow):
    """A receiver behind a socket buffer that is charged as the kernel charges it, and read now and then."""

    reading_interval_s = 0.020
    pauses: tuple[float, ...] = ()
    pause_s = 0.4

    def start(self) -> None:
        self.waiting: list[bytes] = []
        self.charged = self.overruns = self.deepest = 0
        super().start()
        self.time.call_later(self.reading_interval_s, self.read)

    def to_receiver(self, datagram: bytes) -> None:
        charge = charge_bytes(len(datagram))
        if self.charged + charge > self.buffer_bytes:
            self.overruns += 1
            return
        self.charged += charge
        self.deepest = max(self.deepest, self.charged)
        self.waiting.append(datagram)

    def read(self) -> None:
        batch, self.waiting, self.charged = self.waiting, [], 0
        for datagram in batch:
            self.receiver.receive(datagram, self.time.now)
        self.pump_receiver()
        paused = any(0 <= self.time.now - pause < self.reading_interval_s for pause in self.pauses)
        self.time.call_later(self.pause_s if paused else self.reading_interval_s, self.read)


@pytest.mark.parametrize("buffer_bytes", [12_000, 40_000, 212_992])
def test_a_socket_buffer_is_never_overrun(buffer_bytes):
    time = VirtualTime()
    forward, backward = path(time, rate=20e6, queue_bytes=10_000_000, rtt_s=0.001)
    flow = BufferedFlow(
        time,
        forward,
        backward,
        payload(600_000),
        buffer_bytes=buffer_bytes,
        settings=TransferSettings(initial_window_bytes=min(buffer_bytes // 4, 65_536)),
    )
    flow.pauses = (0.1, 0.7)
    run(flow)
    assert_delivered(flow)
    assert flow.overruns == 0
    assert flow.deepest > buffer_bytes // 4  # and it is made use of


def test_islands_are_capped(monkeypatch):
    """A sender of every other byte costs a bounded number of intervals, and the rest is not acknowledged."""
    monkeypatch.setattr(receiver_module, "MAX_HELD_INTERVALS", 50)
    receiver = ReceivingTransfer(
        size=10_000,
        sha256=bytes(32),
        cipher=PlainCipher(),
        settings=TransferSettings(),
        now=0.0,
        buffer_bytes=200_000,
    )
    other = PacketSealer(PlainCipher())
    late = other.seal(bytes((PING,)))
    for offset in range(0, 1000, 2):
        receiver.receive(other.seal(DATA_HEAD.pack(DATA, offset, 0) + b"x"), 0.0)
    assert receiver.progress == (50, 10_000)
    assert receiver.statistics.received == 50
    assert receiver.statistics.bad == 450
    # An older number that arrives late is acknowledged with what was taken; it once ended the transfer with a fault.
    receiver.receive(late, 0.0)
    [ack] = receiver.take_datagrams(0.0, 1)
    assert len(ack) > 0


def test_what_is_held_is_never_written_again():
    """Bytes may have been hashed already: a sender that changes them later must not change the object."""
    data = payload(2_000)
    receiver = ReceivingTransfer(
        size=2_000,
        sha256=hashlib.sha256(data).digest(),
        cipher=PlainCipher(),
        settings=TransferSettings(),
        now=0.0,
        buffer_bytes=200_000,
    )
    other = PacketSealer(PlainCipher())
    receiver.receive(other.seal(DATA_HEAD.pack(DATA, 500, 0) + data[500:1000]), 0.0)
    receiver.receive(other.seal(DATA_HEAD.pack(DATA, 0, 1) + data[:500] + bytes(500) + data[1000:1500]), 0.0)
    receiver.receive(other.seal(DATA_HEAD.pack(DATA, 1500, 2) + data[1500:]), 0.0)
    assert receiver.state is TransferState.DONE
    assert receiver.object() == data


def test_replayed_datagrams_count_once():
    sender = SendingTransfer(payload(5_000), cipher=PlainCipher(), settings=TransferSettings(), now=0.0)
    receiver = ReceivingTransfer(
        size=5_000,
        sha256=bytes(32),
        cipher=PlainCipher(),
        settings=TransferSettings(),
        now=0.0,
        buffer_bytes=200_000,
    )
    datagram = sender.take_datagrams(0.0, 1)[0]
    for _ in range(5):
        receiver.receive(datagram, 0.0)
    assert receiver.statistics.received == 1
    assert receiver.statistics.duplicates == 4


def test_acknowledging_what_was_never_sent_is_counted_and_ignored():
    sender = SendingTransfer(payload(50_000), cipher=PlainCipher(), settings=TransferSettings(), now=0.0)
    sent = len(sender.take_datagrams(0.0, 5))
    other = PacketSealer(PlainCipher())
    sender.receive(other.seal(encode_ack(0.0, 50, [(0, sent + 1)])), 0.01)
    assert sender.statistics.bad == 1
    assert sender.progress == (0, 50_000)


def test_confirming_before_anything_was_sent_ends_the_transfer_only():
    """An optimistic receiver fools nobody but itself."""
    sender = SendingTransfer(payload(50_000), cipher=PlainCipher(), settings=TransferSettings(), now=0.0)
    sender.receive(PacketSealer(PlainCipher()).seal(b"\x04"), 0.0)
    assert sender.state is TransferState.DONE


def test_acknowledgements_are_coalesced():
    flow = flow_over(200_000)
    sender = SendingTransfer(flow.data, cipher=PlainCipher(), settings=flow.settings, now=0.0)
    receiver = ReceivingTransfer(
        size=200_000,
        sha256=bytes(32),
        cipher=PlainCipher(),
        settings=flow.settings,
        now=0.0,
        buffer_bytes=200_000,
    )
    for datagram in (batch := sender.take_datagrams(0.0, 8)):
        receiver.receive(datagram, 0.001)
    assert len(batch) == 8
    assert len(receiver.take_datagrams(0.001, 10)) == 1
    assert receiver.take_datagrams(0.001, 10) == []
    single = sender.take_datagrams(0.01, 1)
    receiver.receive(single[0], 0.011)
    assert receiver.take_datagrams(0.011, 10) == []
    deadline = receiver.next_deadline()
    assert deadline == pytest.approx(0.012)
    receiver.tick(deadline)
    assert len(receiver.take_datagrams(deadline, 10)) == 1


@pytest.mark.parametrize("size", [0, 2**32])
def test_impossible_sizes_are_mistakes(size):
    with pytest.raises(LocalError):
        ReceivingTransfer(
            size=size, sha256=bytes(32), cipher=PlainCipher(), settings=TransferSettings(), now=0.0, buffer_bytes=9_000
        )


def test_an_empty_object_and_tiny_datagrams_are_mistakes():
    with pytest.raises(LocalError):
        SendingTransfer(b"", cipher=PlainCipher(), settings=TransferSettings(), now=0.0)
    with pytest.raises(LocalError):
        TransferSettings(datagram_bytes=100)
