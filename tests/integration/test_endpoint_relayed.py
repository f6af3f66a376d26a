"""Endpoints whose datagrams a node carries: sessions, objects, and a change of paths in the middle of one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import anyio
import pytest

from node.meetings import Meetings
from node.relay_table import Party
from shared.config import LOCAL, REQUEST_LIMITS
from shared.errors import Unavailable
from shared.net.endpoint import Session
from shared.secure.relayed import is_relayed, wrap
from tests.integration.endpoints import PATIENT, Owner, Relay, Weather, opened, until

pytestmark = pytest.mark.anyio
HANDLE, OTHER_HANDLE = b"12345678", b"87654321"


@dataclass
class Three:
    """Two peers and a node that carries their datagrams."""

    left: Owner
    right: Owner
    node: Owner
    meetings: Meetings
    to_left: Session
    to_right: Session
    from_left: Session
    from_right: Session

    def bind(self, handle: bytes) -> tuple[str, int]:
        """Make a path through the node; return its address at the left one."""
        self.meetings.table.bind(
            handle,
            Party(1, self.left.endpoint.public_key, self.to_left),
            Party(2, self.right.endpoint.public_key, self.to_right),
            0.0,
        )
        self.right.endpoint.add_path(self.from_right, handle)
        return self.left.endpoint.add_path(self.from_left, handle)


@asynccontextmanager
async def three(**limits: float) -> AsyncIterator[Three]:
    async with opened() as left, opened() as right, opened() as node:
        meetings = Meetings(
            "n1",
            node.endpoint,
            timing=LOCAL,
            limits=replace(REQUEST_LIMITS, **limits),
            clock=anyio.current_time,
            entropy=bytes,
        )
        node.endpoint.on_relay = meetings.relay
        at = node.endpoint.local_address, node.endpoint.public_key
        sessions = [await peer.endpoint.connect(*at) for peer in (left, right)]
        await until(lambda: len(node.sessions) == 2)
        by_key = {session.remote_key: session for session in node.sessions}
        yield Three(
            left,
            right,
            node,
            meetings,
            by_key[left.endpoint.public_key],
            by_key[right.endpoint.public_key],
            *sessions,
        )


async def test_messages_and_objects_of_every_size_go_through_a_node():
    async with three() as they:
        session = await they.left.endpoint.connect_through(
            they.bind(HANDLE), they.right.endpoint.public_key, timeout_s=PATIENT.handshake_timeout_s
        )
        they.left.endpoint.post(session, bytes(1_100))
        await they.right.message_count(1)
        for size in (0, 1, 1_000, 16_384, 16_385, 400_000):
            data = bytes(index % 251 for index in range(size))
            await they.left.endpoint.send_object(session, b"%d" % size, data)
            assert await they.right.object_of(b"%d" % size) == data
        assert is_relayed(session.address)
        assert they.right.endpoint.worker_ports_in_use == they.left.endpoint.worker_ports_in_use == 0
        assert they.meetings.table.refused == {}


async def test_an_object_goes_on_when_its_session_goes_over_to_a_direct_way():
    """It is one transfer, offered once, and nothing of it is sent again but what was lost on the way."""
    async with three(relayed_bytes_per_s=400_000) as they:
        session = await they.left.endpoint.connect_through(
            they.bind(HANDLE), they.right.endpoint.public_key, timeout_s=PATIENT.handshake_timeout_s
        )
        data = bytes(index % 251 for index in range(4_000_000))

        def in_the_middle(received: int, total: int) -> None:
            if received > total / 10 and is_relayed(session.address):
                they.left.endpoint.roam(session, [they.right.endpoint.local_address])

        they.right.on_report = in_the_middle
        await they.left.endpoint.send_object(session, b"large", data)
        assert await they.right.object_of(b"large") == data
        assert len(they.right.offers) == 1
        assert session.address == they.right.endpoint.local_address
        carried = they.meetings.table.bytes
        assert carried < 0.6 * len(data), "most of it went directly"


async def test_the_end_of_the_session_with_a_node_is_told_and_another_way_is_taken():
    async with three() as they:
        session = await they.left.endpoint.connect_through(
            they.bind(HANDLE), they.right.endpoint.public_key, timeout_s=PATIENT.handshake_timeout_s
        )
        await until(lambda: any(other.roams for other in they.right.endpoint.sessions))
        silent: list[Session] = []
        they.left.endpoint.on_silent = silent.append
        they.meetings.table.unbind(HANDLE)
        they.left.endpoint.doubt_path(session)
        await until(lambda: silent)
        assert silent[0] is session
        they.left.endpoint.roam(session, [they.bind(OTHER_HANDLE)])
        await until(lambda: session.address[0].endswith(OTHER_HANDLE.hex()))
        they.left.endpoint.post(session, b"still here")
        await they.right.message_count(1)


async def test_what_comes_for_no_known_way_is_dropped_and_harms_nobody():
    async with three() as they:
        they.bind(HANDLE)
        for body in (b"", HANDLE, OTHER_HANDLE + bytes(50), HANDLE + bytes(5_000)[:1_160], HANDLE + bytes(50)):
            they.node.endpoint.relay(they.to_right, [body])
        with pytest.raises(Unavailable):
            await they.left.endpoint.connect_through(
                they.left.endpoint.add_path(they.from_left, OTHER_HANDLE),
                they.right.endpoint.public_key,
                timeout_s=0.05,
            )
        they.left.endpoint._mux.carry(they.from_left.number, [wrap(OTHER_HANDLE, bytes(50))], 0.0)
        they.node.endpoint.post(they.to_right, b"end")
        await they.right.message_count(1)
        dropped = they.right.endpoint.statistics().dropped
        assert (dropped["no such path"], dropped["malformed"]) == (4, 1)
        assert they.meetings.table.refused["no such pair"] >= 1


async def test_an_object_goes_on_through_a_node_when_its_direct_way_is_cut(monkeypatch: pytest.MonkeyPatch):
    """The sessions began directly, beyond one machine; it was offered anew, ten seconds later."""
    monkeypatch.setattr("shared.net.endpoint.is_loopback", lambda _host: False)
    async with three() as they:
        for peer in (they.left, they.right):
            peer.endpoint.roams_with = lambda key: key != they.node.endpoint.public_key
        weather = Weather()
        async with Relay(they.right.endpoint.local_address, weather, seed=1) as road:
            session = await they.left.endpoint.connect(road.address, they.right.endpoint.public_key)
            data = bytes(index % 251 for index in range(2_000_000))
            silent: list[Session] = []

            def ask_a_node(one: Session) -> None:
                silent.append(one)
                they.left.endpoint.roam(one, [they.bind(HANDLE)])

            def cut(received: int, total: int) -> None:
                if received > total / 10:
                    weather.loss = 1.0

            they.left.endpoint.on_silent = ask_a_node
            they.right.on_report = cut
            await they.left.endpoint.send_object(session, b"large", data)
            assert await they.right.object_of(b"large") == data
        assert silent == [session]
        assert is_relayed(session.address)
        assert len(they.right.offers) == 1
