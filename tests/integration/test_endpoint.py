"""Sessions and messages between real endpoints on the loopback interface."""

import logging
import random
import socket

import anyio
import pytest
from anyio.lowlevel import checkpoint

from shared.config import MAX_MESSAGE_BYTES, Limits
from shared.errors import InvalidInput, LocalError, MalformedMessage, Unavailable
from shared.net.control import Alive
from shared.net.endpoint import Endpoint
from shared.net.udp import Batch
from tests.integration.endpoints import PATIENT, Relay, Weather, key, opened, pair, until

pytestmark = pytest.mark.anyio


async def test_messages_go_both_ways_over_one_session():
    async with pair() as (left, right, session):
        left.endpoint.post(session, b"there")
        await right.message_count(1)
        back, message = right.messages[0]
        assert message == b"there"
        assert back.remote_key == left.endpoint.public_key
        assert back.address == left.endpoint.local_address
        assert (session.initiator, back.initiator) == (True, False)
        right.endpoint.post(back, b"and back")
        await left.message_count(1)
        assert left.messages == [(session, b"and back")]


async def test_connect_uses_an_open_session_again_from_either_side():
    async with pair() as (left, right, session):
        assert await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key) is session
        left.endpoint.post(session, b"x")
        await right.message_count(1)
        back = await right.endpoint.connect(left.endpoint.local_address, left.endpoint.public_key)
        assert back is right.sessions[0]
        assert left.endpoint.statistics().sessions == 1


async def test_connections_at_once_share_one_handshake():
    async with opened() as left, opened() as right:
        found = []

        async def connect() -> None:
            found.append(await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key))

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(connect)
        assert len(set(found)) == 1
        assert right.sessions[0].remote_key == left.endpoint.public_key


async def test_thousands_of_messages_arrive_in_bursts():
    async with pair() as (left, right, session):
        for start in range(0, 2000, 100):
            for number in range(start, start + 100):
                left.endpoint.post(session, number.to_bytes(4, "big") * 20)
            await right.message_count(start + 100)
        assert [int.from_bytes(data[:4], "big") for _, data in right.messages] == list(range(2000))


async def test_the_longest_message_fits_and_a_longer_one_is_a_local_error():
    async with pair() as (left, right, session):
        left.endpoint.post(session, bytes(MAX_MESSAGE_BYTES))
        await right.message_count(1)
        with pytest.raises(LocalError):
            left.endpoint.post(session, bytes(MAX_MESSAGE_BYTES + 1))


async def test_nobody_there_is_unavailable():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        async with opened() as left:
            with pytest.raises(Unavailable):
                await left.endpoint.connect(silent.getsockname(), key(5), timeout_s=0.1)
            assert left.endpoint.statistics().sessions == 0


async def test_a_closed_port_is_unavailable_and_harms_nobody():
    async with pair() as (left, right, session):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(("127.0.0.1", 0))
            address = gone.getsockname()
        with pytest.raises(Unavailable):
            await left.endpoint.connect(address, key(5), timeout_s=0.1)
        left.endpoint.post(session, b"still here")
        await right.message_count(1)


async def test_a_wrong_key_is_unavailable_and_no_key_is_invalid():
    async with opened() as left, opened() as right:
        with pytest.raises(Unavailable):
            await left.endpoint.connect(right.endpoint.local_address, key(77)[:31] + b"\x40", timeout_s=0.1)
        with pytest.raises(InvalidInput):
            await left.endpoint.connect(right.endpoint.local_address, b"short")


async def test_another_cluster_is_unavailable():
    async with opened(prologue=b"one") as left, opened(prologue=b"two") as right:
        with pytest.raises(Unavailable):
            await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key, timeout_s=0.1)


async def test_host_names_and_ipv6_work():
    async with opened(bind=("::1", 0)) as left, opened(bind=("::1", 0)) as right:
        port = right.endpoint.local_address[1]
        session = await left.endpoint.connect(("0:0:0:0:0:0:0:1", port), right.endpoint.public_key)
        assert session.address == ("::1", port)
        left.endpoint.post(session, b"six")
        await right.message_count(1)
        await left.endpoint.send_object(session, b"label", bytes(100_000))
        assert await right.object_of(b"label") == bytes(100_000)
    async with opened(bind=("localhost", 0)) as left, opened() as right:
        session = await left.endpoint.connect(("localhost", right.endpoint.local_address[1]), right.endpoint.public_key)
        assert session.address == right.endpoint.local_address


async def test_an_address_in_use_is_unavailable():
    async with opened() as left:
        with pytest.raises(Unavailable, match="cannot be used"):
            await Endpoint(key(1), bind=left.endpoint.local_address, timing=PATIENT).__aenter__()


async def test_closing_a_session_is_told_to_the_other_side():
    async with pair() as (left, right, session):
        left.endpoint.post(session, b"x")
        await right.message_count(1)
        left.endpoint.close_session(session)
        await until(lambda: right.closed and left.closed)
        assert not session.alive
        assert not right.closed[0][0].alive
        left.endpoint.post(session, b"lost")
        assert left.endpoint.statistics().dropped["session over"] == 1


async def test_a_word_about_a_transfer_that_comes_together_with_the_end_of_its_session(caplog):
    """Both in one batch: the word was looked at when the session was over already, and by that fault the end of the
    session was lost. Its transfers stood still until they timed out, and it was listed for ever."""
    async with pair() as (left, right, session):
        left.endpoint.post(session, b"x")
        await right.message_count(1)
        batch: Batch = []
        right.endpoint._parent.on_batch = batch.extend
        left.endpoint._post_control(session, Alive())
        left.endpoint.close_session(session)
        await until(lambda: len(batch) >= 2)
        right.endpoint._parent.on_batch = right.endpoint._receive
        right.endpoint._receive(batch)
        await until(lambda: right.closed)
        assert right.endpoint.sessions == []
        assert not caplog.records


async def test_leaving_the_endpoint_closes_its_sessions():
    async with opened() as right:
        async with opened() as left:
            session = await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
            left.endpoint.post(session, b"x")
            await right.message_count(1)
        assert not session.alive
        await until(lambda: right.closed)
        with pytest.raises(Unavailable):
            await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)


async def test_a_restarted_peer_is_back_with_a_new_session():
    """The reference lost whoever was connected when the other side restarted."""
    async with opened() as left:
        async with opened(seed=3) as right:
            address = right.endpoint.local_address
            session = await left.endpoint.connect(address, right.endpoint.public_key)
            left.endpoint.post(session, b"before")
            await right.message_count(1)
            right.endpoint.pause(True)  # so that it leaves without a word, as if it had been killed
        async with opened(seed=3, bind=address) as right:
            left.endpoint.post(session, b"lost")
            await until(lambda: left.closed and len(left.sessions) == 2)
            assert left.closed == [(session, "replaced")]
            left.endpoint.post(left.sessions[1], b"after")
            await right.message_count(1)
            assert right.messages[0][1] == b"after"


async def test_a_deaf_endpoint_hears_and_says_nothing():
    async with pair() as (left, right, session):
        right.endpoint.pause(True)
        left.endpoint.post(session, b"lost")
        await until(lambda: right.endpoint.statistics().dropped.get("simulated failure"))
        right.endpoint.pause(False)
        left.endpoint.post(session, b"heard")
        await right.message_count(1)
        assert [data for _, data in right.messages] == [b"heard"]


async def test_garbage_costs_a_counter():
    """One malformed datagram ended the reference's main loop."""
    randomness = random.Random(1)
    async with pair() as (left, right, session):
        left.endpoint.post(session, b"x")
        await right.message_count(1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setblocking(False)
            sent = 0
            for size in (0, 1, 2, 9, 10, 11, 30, 48, 1200, 20_000):
                for head in (
                    b"",
                    b"\x01\x01",
                    b"\x01\x02",
                    b"\x01\x03",
                    b"\x01\x04",
                    b"\x01\x05",
                    b"\x01\x10",
                    b"\x02\x05",
                ):
                    stranger.sendto((head + randomness.randbytes(size))[: max(size, 0)], right.endpoint.local_address)
                    sent += 1
            await until(lambda: right.endpoint.statistics().received_datagrams > sent)
        dropped = right.endpoint.statistics().dropped
        assert sum(dropped.values()) == sent
        assert dropped["unknown transfer"] > 0
        left.endpoint.post(session, b"still here")
        await right.message_count(2)


async def test_a_callback_that_fails_is_logged_and_harms_nobody(caplog):
    async with pair() as (left, right, session):

        def take(_session, message: bytes) -> None:
            if message == b"bug":
                raise ValueError("a bug")
            if message == b"bad":
                raise MalformedMessage("not a message")
            right.messages.append((_session, message))

        right.endpoint.on_message = take
        with caplog.at_level(logging.ERROR):
            for message in (b"bug", b"bad", b"good"):
                left.endpoint.post(session, message)
            await until(lambda: right.messages)
        dropped = right.endpoint.statistics().dropped
        assert (dropped["owner failed"], dropped["malformed message"]) == (1, 1)
        assert [record.exc_info[0] for record in caplog.records] == [ValueError]


async def test_a_session_that_ends_in_a_batch_costs_no_other_its_events(caplog):
    """A control message and a CLOSE in one batch: the session was asked for when it was gone already, the rest of
    the batch was lost, and the sessions of other peers in it were deaf for good."""
    async with opened() as left, opened() as right, opened() as third:
        to_right = right.endpoint.local_address, right.endpoint.public_key
        ending = await left.endpoint.connect(*to_right)
        staying = await third.endpoint.connect(*to_right)
        await until(lambda: len(right.sessions) == 2)
        batch: list = []
        right.endpoint._parent.on_batch = batch.extend
        left.endpoint._post_control(ending, Alive())
        left.endpoint.close_session(ending)
        await until(lambda: len(batch) >= 2)
        third.endpoint.post(staying, b"hear me")
        await until(lambda: len(batch) >= 3)
        right.endpoint._parent.on_batch = right.endpoint._receive
        right.endpoint._receive(batch)
        assert [data for _, data in right.messages] == [b"hear me"]
        assert [session.remote_key for session in right.endpoint.sessions] == [third.endpoint.public_key]
        assert [session.remote_key for session, _ in right.closed] == [left.endpoint.public_key]
        again = await left.endpoint.connect(*to_right)
        left.endpoint.post(again, b"back")
        await right.message_count(2)
    assert not caplog.records


async def test_control_messages_that_make_no_sense_are_counted():
    async with pair() as (left, right, session):
        mux = left.endpoint._mux
        for junk in (b"\x01", b"\x01{}", b"\x01" + b"[" * 1000, b"\x03x", b"", b'\x01{"k":241,"transfer":5}'):
            mux.send(session.number, junk, 0.0)
        left.endpoint.post(session, b"end")
        await right.message_count(1)
        dropped = right.endpoint.statistics().dropped
        assert dropped["malformed message"] == 4
        assert dropped["malformed"] == 2


async def test_sessions_survive_bad_weather():
    async with opened() as left, opened() as right:
        weather = Weather(loss=0.2, duplication=0.1, reordering=0.2, garbling=0.05)
        async with Relay(right.endpoint.local_address, weather, seed=4) as relay:
            session = await left.endpoint.connect(relay.address, right.endpoint.public_key)
            posted = 0
            while len(right.messages) < 200:
                left.endpoint.post(session, posted.to_bytes(4, "big"))
                posted += 1
                assert posted < 20_000
                await checkpoint()
            numbers = [int.from_bytes(data, "big") for _, data in right.messages]
            assert len(set(numbers)) == len(numbers)  # at most once, however often the relay repeats them
            assert max(numbers) < posted
            assert relay.dropped > 0


async def test_sessions_are_capped_per_key():
    limits = Limits(sessions_per_key=2)
    async with opened(limits=limits) as right:
        for _ in range(4):
            async with opened(seed=9) as left:
                await left.endpoint.connect(right.endpoint.local_address, right.endpoint.public_key)
                await until(lambda: right.endpoint.statistics().sessions >= 1)
                left.endpoint.pause(True)
        await until(lambda: len(right.sessions) == 4)
        assert right.endpoint.statistics().sessions == 2
