"""The small parts of sessions: cookies, replay window, buckets, deadlines, datagram types, keys."""

from dataclasses import replace

import pytest

from shared.config import LIMITS, LOCAL
from shared.errors import DatagramRefused, LocalError, RemoteError
from shared.rates import TokenBuckets, network_of
from shared.secure import session as session_module
from shared.secure.context import Deadlines
from shared.secure.datagrams import DATA_OVERHEAD_BYTES, DatagramType, Drop, FrameKind, peek, routing_header
from shared.secure.noise import HandshakeKeys
from shared.secure.session import WINDOW_PACKETS, ReplayWindow, SessionKeys
from shared.secure.transfer_keys import TransferCipher, TransferKeys
from shared.secure.unproven import CookieJar
from shared.transfer.frames import TRANSFER_DATAGRAM_TYPE, PacketCipher

HERE = ("192.0.2.1", 4000)
THERE = ("192.0.2.2", 4000)


def entropy():
    drawn = iter(range(1, 256))
    return lambda count: bytes([next(drawn)]) * count


class TestCookies:
    def test_holds_for_its_address_only(self):
        jar = CookieJar(entropy())
        cookie = jar.issue(HERE, 5.0)
        assert len(cookie) == 16
        assert jar.verify(cookie, HERE, 5.0)
        assert not jar.verify(cookie, THERE, 5.0)
        assert not jar.verify(cookie, (HERE[0], 4001), 5.0)
        assert not jar.verify(bytes(16), HERE, 5.0)

    def test_holds_through_the_next_slot_and_no_longer(self):
        jar = CookieJar(entropy(), slot_s=60.0)
        cookie = jar.issue(HERE, 59.0)
        jar.issue(THERE, 61.0)
        assert jar.verify(cookie, HERE, 119.9)
        assert not jar.verify(cookie, HERE, 120.0)

    def test_an_old_secret_is_forgotten(self):
        jar = CookieJar(entropy(), slot_s=60.0)
        for slot in range(10):
            jar.issue(HERE, slot * 60.0)
        assert len(jar._secrets) == 2
        assert jar.issue(HERE, 540.0) != CookieJar(entropy(), slot_s=60.0).issue(HERE, 540.0)

    def test_nothing_holds_before_anything_was_baked(self):
        assert not CookieJar(entropy()).verify(bytes(16), HERE, 0.0)


class TestReplayWindow:
    def test_each_number_once_in_any_order_within_the_window(self):
        window = ReplayWindow()
        assert WINDOW_PACKETS >= 1024
        for number in (5, 3, 4, 0, 100, 99):
            assert window.is_fresh(number)
            window.mark(number)
            assert not window.is_fresh(number)
        assert window.is_fresh(50)

    def test_what_fell_out_of_the_window_is_refused(self):
        window = ReplayWindow()
        window.mark(0)
        window.mark(WINDOW_PACKETS)
        assert not window.is_fresh(0)
        assert window.is_fresh(1)
        window.mark(10 * WINDOW_PACKETS)
        assert not window.is_fresh(WINDOW_PACKETS)
        assert window.is_fresh(9 * WINDOW_PACKETS + 1)

    def test_asking_changes_nothing(self):
        window = ReplayWindow()
        window.mark(3)
        assert window.is_fresh(2**63)
        assert window.is_fresh(2)
        assert not window.is_fresh(3)


def test_a_household_is_one_sender_whatever_its_port_or_the_end_of_its_ipv6_address():
    assert network_of("192.0.2.7") == network_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert network_of("2001:db8:1:2::7") == network_of("2001:db8:1:2:ffff::1%eth0") == "2001:db8:1:2::/64"
    assert network_of("2001:db8:1:3::7") != network_of("2001:db8:1:2::7")
    assert network_of("node.example") == "node.example"


class TestTokenBuckets:
    def test_a_burst_and_then_the_rate(self):
        buckets = TokenBuckets(10.0, capacity=4)
        assert sum(buckets.take(HERE, 0.0) for _ in range(100)) == 10
        assert sum(buckets.take(HERE, 0.5) for _ in range(100)) == 5
        assert buckets.take(THERE, 0.5)
        assert sum(buckets.take(HERE, 1000.0) for _ in range(100)) == 10

    def test_the_table_is_bounded(self):
        buckets = TokenBuckets(1.0, capacity=4)
        for port in range(100):
            assert buckets.take(("192.0.2.1", port), 0.0)
        assert len(buckets) == 4
        assert not buckets.take(("192.0.2.1", 99), 0.0)


class TestDeadlines:
    def test_due_ones_come_once_and_in_order(self):
        deadlines = Deadlines()
        deadlines.set(1, 3.0)
        deadlines.set(2, 1.0)
        deadlines.set(3, 2.0)
        deadlines.set(2, 2.5)
        deadlines.advance(1, 9.0)
        deadlines.advance(3, 1.5)
        deadlines.discard(9)
        assert deadlines.next() == 1.5
        assert list(deadlines.take_due(2.5)) == [3, 2]
        assert list(deadlines.take_due(2.5)) == []
        deadlines.discard(1)
        assert deadlines.next() is None

    def test_a_deadline_that_moves_often_does_not_fill_the_heap(self):
        deadlines = Deadlines()
        for step in range(10_000):
            deadlines.set(1, float(step))
        assert len(deadlines._heap) < 100
        assert deadlines.next() == 9999.0


class TestDatagrams:
    def test_peek_tells_type_and_routing_id(self):
        for kind in DatagramType:
            datagram = routing_header(kind, b"12345678") + b"rest"
            assert peek(datagram) == (kind, b"12345678")
            assert peek(memoryview(datagram)) == (kind, b"12345678")
        assert peek(b"") is None
        assert peek(b"\x01\x05123") is None
        assert peek(b"\x02\x0512345678") is None
        assert peek(b"\x01\x7f12345678") is None

    def test_numbers_on_the_wire_stay(self):
        assert {kind.name: int(kind) for kind in DatagramType} == {
            "INIT": 1,
            "RESPONSE": 2,
            "COOKIE": 3,
            "HINT": 4,
            "DATA": 5,
            "VERSIONS": 6,
            "TRANSFER": 16,
        }
        assert {kind.name: int(kind) for kind in FrameKind} == {"MESSAGE": 1, "PING": 2, "PONG": 3, "CLOSE": 4}
        assert DatagramType.TRANSFER == TRANSFER_DATAGRAM_TYPE


def both_ends(**knobs: int) -> tuple[SessionKeys, SessionKeys]:
    keys = HandshakeKeys(b"i" * 32, b"r" * 32, b"h" * 32)
    limits = replace(LIMITS, **knobs)
    return (
        SessionKeys(keys, 0.0, initiator=True, remote_id=b"responds", timing=LOCAL, limits=limits),
        SessionKeys(keys, 0.0, initiator=False, remote_id=b"initiate", timing=LOCAL, limits=limits),
    )


class TestSessionKeys:
    def test_frames_travel_both_ways_and_not_back(self):
        a, b = both_ends()
        datagram = a.seal(b"frame")
        assert peek(datagram) == (DatagramType.DATA, b"responds")
        assert len(datagram) == len(b"frame") + DATA_OVERHEAD_BYTES - 1
        assert b.open(datagram, 0.0) == b"frame"
        assert a.open(b.seal(b"back"), 0.0) == b"back"
        with pytest.raises(DatagramRefused, match=Drop.FORGED):
            a.open(a.seal(b"reflected"), 0.0)
        assert a.exporter == b.exporter
        assert a.exporter != b"\0" * 32

    def test_a_datagram_opens_once(self):
        a, b = both_ends()
        datagram = a.seal(b"frame")
        b.open(datagram, 0.0)
        with pytest.raises(DatagramRefused, match=Drop.REPLAYED):
            b.open(datagram, 0.0)

    def test_a_forged_high_number_does_not_move_the_window(self):
        a, b = both_ends()
        datagram = a.seal(b"frame")
        forged = datagram[:11] + (2**60).to_bytes(8, "big") + datagram[19:]
        with pytest.raises(DatagramRefused, match=Drop.FORGED):
            b.open(forged, 0.0)
        assert b.open(datagram, 0.0) == b"frame"

    def test_a_forged_epoch_does_not_move_the_epoch(self):
        a, b = both_ends()
        for epoch in (1, 2, 255, 128):
            datagram = bytearray(a.seal(b"frame"))
            datagram[10] = epoch
            with pytest.raises(DatagramRefused):
                b.open(bytes(datagram), 0.0)
        assert b.opening.epoch == 0
        assert b.open(a.seal(b"frame"), 0.0) == b"frame"

    def test_the_next_epoch_and_late_datagrams_of_the_previous_one(self):
        a, b = both_ends(rekey_packets=3)
        first = [a.seal(b"%d" % index) for index in range(3)]
        assert a.sealing.is_due(0.0)
        a.sealing.advance(1.0)
        second = a.seal(b"next")
        assert first[0][10] == 0
        assert second[10] == 1
        assert b.open(first[0], 1.0) == b"0"
        assert b.open(second, 1.0) == b"next"
        assert b.open(first[1], 1.0 + LOCAL.previous_epoch_s) == b"1"
        with pytest.raises(DatagramRefused, match=Drop.EPOCH):
            b.open(first[2], 1.1 + LOCAL.previous_epoch_s)

    def test_two_epochs_ahead_is_neither_possible_nor_accepted(self):
        a, b = both_ends(rekey_packets=1)
        a.seal(b"")
        a.sealing.advance(0.0)
        a.seal(b"")
        assert not a.sealing.is_due(1e9)
        with pytest.raises(LocalError):
            a.sealing.advance(0.0)
        a.sealing.confirmed = True
        a.sealing.advance(0.0)
        with pytest.raises(DatagramRefused, match=Drop.EPOCH):
            b.open(a.seal(b"x"), 0.0)

    def test_rekey_by_age(self):
        a, _ = both_ends()
        assert not a.sealing.is_due(LOCAL.rekey_age_s - 0.1)
        assert a.sealing.is_due(LOCAL.rekey_age_s)

    def test_a_key_has_a_hard_limit(self, monkeypatch):
        monkeypatch.setattr(session_module, "MAX_PACKETS_PER_KEY", 5)
        a, _ = both_ends()
        for _ in range(5):
            a.seal(b"x")
        with pytest.raises(LocalError):
            a.seal(b"x")

    def test_short_datagrams_are_malformed(self):
        a, b = both_ends()
        datagram = a.seal(b"x")
        for length in range(len(datagram)):
            with pytest.raises(DatagramRefused):
                b.open(datagram[:length], 0.0)


class TestTransferKeys:
    def test_both_ends_agree_and_everything_else_differs(self):
        exporter = bytes(range(32))
        keys = TransferKeys(exporter, 6, initiator_sends=True)
        sender: PacketCipher = keys.sender_cipher()
        receiver: PacketCipher = TransferKeys(exporter, 6, initiator_sends=True).receiver_cipher()
        assert sender.token == receiver.token == keys.token
        assert len(keys.token) == 8
        sealed = sender.seal(1, b"header", memoryview(b"data"))
        assert len(sealed) == 4 + sender.overhead_bytes
        assert receiver.open(1, b"header", memoryview(sealed)) == b"data"
        assert receiver.seal(1, b"header", b"data") != sealed
        others = [
            TransferKeys(exporter, 6, initiator_sends=False),
            TransferKeys(exporter, 7, initiator_sends=True),
            TransferKeys(bytes(32), 6, initiator_sends=True),
        ]
        assert len({keys.token, *(other.token for other in others)}) == 4
        for other in others:
            with pytest.raises(RemoteError):
                other.receiver_cipher().open(1, b"header", sealed)

    def test_number_header_text_and_direction_are_authenticated(self):
        keys = TransferKeys(bytes(32), 1, initiator_sends=False)
        sender, receiver = keys.sender_cipher(), keys.receiver_cipher()
        sealed = sender.seal(1, b"header", b"data")
        for number, header, text in ((2, b"header", sealed), (1, b"hEader", sealed), (1, b"header", sealed[:-1])):
            with pytest.raises(DatagramRefused, match=Drop.FORGED):
                receiver.open(number, header, text)
        for text in (b"", b"short"):
            with pytest.raises(DatagramRefused):
                receiver.open(1, b"header", text)
        with pytest.raises(DatagramRefused):
            sender.open(1, b"header", sealed)
        for number in (-1, 2**64):
            with pytest.raises(DatagramRefused):
                receiver.open(number, b"header", sealed)

    def test_ids_out_of_range_are_misuse(self):
        with pytest.raises(LocalError):
            TransferKeys(bytes(32), 2**64, initiator_sends=True)

    def test_the_overhead_is_that_of_the_cipher(self):
        assert TransferCipher.overhead_bytes == 16
