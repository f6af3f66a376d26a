"""Hostile datagrams: a valid frame or MalformedMessage from the codec, and machines that only count."""

import hashlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.errors import MalformedMessage
from shared.transfer import ReceivingTransfer, SendingTransfer, TransferSettings, TransferState
from shared.transfer.frames import (
    MAX_ACK_RANGES,
    FailureCode,
    PacketSealer,
    decode_ack,
    decode_failure,
    encode_ack,
    encode_failure,
)
from shared.transfer.ranges import Ranges
from tests.sim.transfers import PlainCipher, payload

SIZE = 20_000
DATA = payload(SIZE)
SETTINGS = TransferSettings(datagram_bytes=300, initial_window_bytes=3000)

kind = st.integers(0, 8)
number32 = st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1))
number64 = st.one_of(st.integers(0, 40), st.integers(0, 2**64 - 1))
ack = st.builds(
    lambda delay, largest, window, ranges: (
        b"\x03"
        + delay.to_bytes(4, "big")
        + largest.to_bytes(8, "big")
        + window.to_bytes(4, "big")
        + bytes(((len(ranges) + 1) // 2 & 0xFF,))
        + b"".join(number.to_bytes(4, "big") for number in ranges)
    ),
    number32,
    number64,
    number32,
    st.lists(number32, min_size=1, max_size=9),
)
data_frame = st.builds(
    lambda offset, awaited, body: b"\x01" + offset.to_bytes(4, "big") + awaited.to_bytes(4, "big") + body,
    st.one_of(st.integers(0, SIZE + 5), number32),
    number32,
    st.binary(max_size=40),
)
frame = st.one_of(st.binary(max_size=60), ack, data_frame, st.builds(lambda k, b: bytes((k,)) + b, kind, st.binary()))


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 50)), min_size=1, max_size=60), st.floats(0, 2))
def test_acks_survive_the_wire(pairs, delay_s):
    intervals = Ranges((start, start + length) for start, length in pairs).newest(MAX_ACK_RANGES)
    decoded_delay_s, window, decoded = decode_ack(encode_ack(delay_s, 77, intervals))
    assert decoded == intervals
    assert window == 77
    assert abs(decoded_delay_s - delay_s) < 2e-6


@given(st.one_of(ack, st.binary(max_size=400)))
def test_ack_or_malformed(data):
    try:
        _, _, intervals = decode_ack(data)
    except MalformedMessage:
        return
    assert 1 <= len(intervals) <= MAX_ACK_RANGES
    assert all(0 <= start < end for start, end in intervals)
    assert all(lower[1] < upper[0] for upper, lower in pairwise(intervals))


@given(st.text(max_size=300))
def test_reasons_are_cut_and_made_harmless(reason):
    frame = encode_failure(FailureCode.GAVE_UP, reason)
    code, text = decode_failure(frame)
    assert code is FailureCode.GAVE_UP
    assert len(frame) <= 202
    assert text.isprintable()


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_forged_datagrams_change_nothing(datagrams):
    sender = SendingTransfer(DATA, cipher=PlainCipher(), settings=SETTINGS, now=0.0)
    receiver = ReceivingTransfer(
        size=SIZE, sha256=bytes(32), cipher=PlainCipher(), settings=SETTINGS, now=0.0, buffer_bytes=200_000
    )
    for datagram in datagrams:
        for side in (sender, receiver):
            side.receive(memoryview(datagram), 0.0)
            side.receive(side._sealer.prefix + datagram, 0.0)
    assert receiver.progress == (0, SIZE)
    assert receiver.take_datagrams(0.0, 10) == []
    assert sender.statistics.bad == 2 * len(datagrams)
    assert sender.state is receiver.state is TransferState.OPEN


@given(st.lists(frame, max_size=40), st.integers(0, 100), st.booleans())
def test_a_hostile_receiver_cannot_hurt_the_sender(frames, jump, clock_moves):
    sender = SendingTransfer(DATA, cipher=PlainCipher(), settings=SETTINGS, now=0.0)
    other = PacketSealer(PlainCipher())
    now = 0.0
    for index, content in enumerate(frames):
        if index == 5:
            other.next_packet_number += jump
        sender.receive(other.seal(content), now)
        sent = sender.take_datagrams(now, 50)
        assert len(sent) <= 50
        assert all(len(datagram) <= SETTINGS.datagram_bytes for datagram in sent)
        if clock_moves:
            now += 0.01
            sender.tick(now)
    assert sender.progress[0] <= SIZE
    assert sender.statistics.bytes_in_flight <= sender.statistics.sent * SETTINGS.datagram_bytes


@given(st.lists(frame, max_size=40))
def test_a_hostile_sender_cannot_hurt_the_receiver(frames):
    receiver = ReceivingTransfer(
        size=SIZE,
        sha256=hashlib.sha256(DATA).digest(),
        cipher=PlainCipher(),
        settings=SETTINGS,
        now=0.0,
        buffer_bytes=200_000,
    )
    other = PacketSealer(PlainCipher())
    for content in frames:
        receiver.receive(other.seal(content), 0.0)
        for datagram in receiver.take_datagrams(0.0, 50):
            assert len(datagram) <= 400
    assert len(receiver.partial.data) == SIZE
    assert receiver.partial.have.end <= SIZE
    assert receiver.state is not TransferState.DONE
