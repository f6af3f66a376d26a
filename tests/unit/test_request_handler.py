"""The request handler between peers that fall silent, come back, or have their answer already, and dispatch."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from node.exchange import Pulls
from node.meetings import Meetings
from node.request_handler import RequestHandler
from node.services.common import Caller
from node.telemetry import Telemetry
from shared.config import LOCAL, REQUEST_LIMITS
from shared.errors import Refused, StorageError, Unavailable
from shared.net.handles import Session
from shared.wire.codec import decode
from shared.wire.node_messages import RequestKey
from shared.wire.operations import ListUsers
from shared.wire.peer_messages import Answer, AnyPeerMessage, NoLeader, Pull, Request
from shared.wire.refusals import FINAL_CODES, RefusalCode
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio
PEER = bytes(32)
LARGE = hashlib.sha256(b"an operation").digest()
PATIENT = replace(LOCAL, heartbeat_s=3_600.0)
"""A peer that says nothing is waited for so long that no test sees its end."""


@dataclass
class Told:
    """A dispatch that notes what it is told."""

    calls: list[tuple[str, RequestKey]] = field(default_factory=list)
    at_work: bool = False
    """What it says of a request that is wanted no more."""

    def request_held(self, key: RequestKey) -> bool:
        self.calls.append(("held", key))
        return True

    def served(self, key: RequestKey) -> None:
        self.calls.append(("served", key))

    def not_served(self, key: RequestKey, *, reachable: bool) -> bool:
        self.calls.append(("failed" if reachable else "failed, gone", key))
        return reachable

    def unwanted(self, key: RequestKey) -> bool:
        self.calls.append(("unwanted", key))
        return self.at_work

    def is_wanted(self, key: RequestKey) -> bool:
        return not self.at_work

    def taken(self) -> list[str]:
        names, self.calls = [name for name, _ in self.calls], []
        return names


@dataclass
class Posts:
    """An endpoint that notes what is posted."""

    messages: list[AnyPeerMessage] = field(default_factory=list)

    def post(self, _session: Session, data: bytes) -> None:
        self.messages.append(decode(data, AnyPeerMessage, cap_bytes=len(data)))


@dataclass
class Bench:
    request_handler: RequestHandler
    told: Told
    posts: Posts

    def take(self, session: Session, number: int) -> RequestKey:
        """A request whose operation has to be pulled."""
        request = Request(request=f"{number:032x}", large_sha256=LARGE, large_size=12)
        self.request_handler.take(session, request)
        return RequestKey(session.remote_key, request.request)

    async def pulling(self, key: RequestKey) -> None:
        """Serve a request up to where the node waits for its peer."""
        self.request_handler.serve(key)
        while not any(isinstance(message, Pull) for message in self.posts.messages):
            await anyio.lowlevel.checkpoint()

    async def done(self) -> None:
        while self.request_handler.in_flight:
            await self.request_handler.idle.wait()


@dataclass
class Knowing:
    """Services that know who asks, and serve nothing."""

    asks: Caller

    async def caller(self, _key: bytes, _host: str) -> Caller:
        return self.asks


@pytest.fixture
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """A request handler with the timers of its parameter, of `LOCAL` where it has none."""
    timing = getattr(request, "param", LOCAL)
    posts, told = Posts(), Told()
    endpoint = cast("Any", posts)
    telemetry = Telemetry("a", ["a", "b", "c"], LOCAL.heartbeat_s, lambda: 0.0)
    meetings = Meetings(
        "a", endpoint, timing=timing, limits=REQUEST_LIMITS, clock=lambda: 0.0, entropy=lambda size: bytes(size)
    )
    async with anyio.create_task_group() as tasks:
        request_handler = RequestHandler(
            endpoint,
            cast("Any", Knowing(Caller(PEER, "127.0.0.1", 7, "Ada", bytes(32)))),
            Pulls(endpoint, timing),
            tasks,
            meetings=meetings,
            telemetry=telemetry,
            clock=lambda: 0.0,
        )
        request_handler.dispatching = told
        yield Bench(request_handler, told, posts)
        tasks.cancel_scope.cancel()


def session(number: int = 1) -> Session:
    return Session(number, PEER, ("127.0.0.1", 1), initiator=False, opened_at=0.0)


def end(request_handler: RequestHandler, over: Session) -> None:
    over.alive = False
    request_handler.closed(over)


@pytest.mark.parametrize("bench", [PATIENT], indirect=True)
async def test_a_peer_that_has_its_answer_ends_the_wait_for_its_upload(bench: Bench) -> None:
    with anyio.fail_after(PATIENCE_S):
        here = session()
        key = bench.take(here, 1)
        await bench.pulling(key)
        bench.told.at_work = True
        bench.request_handler.unwanted(here, key[1])
        await bench.done()
    assert bench.told.taken() == ["held", "unwanted", "failed"]


async def test_what_is_held_and_wanted_no_more_is_let_go_of(bench: Bench) -> None:
    here = session()
    bench.request_handler.unwanted(here, bench.take(here, 1)[1])
    bench.request_handler.unwanted(here, f"{2:032x}")
    assert bench.told.taken() == ["held", "unwanted"]
    bench.take(here, 1)
    assert bench.told.taken() == ["held"], "its peer wants it after all"


async def test_only_who_sent_a_request_can_end_it(bench: Bench) -> None:
    key = bench.take(session(), 1)
    stranger = Session(2, bytes([1] * 32), ("127.0.0.1", 2), initiator=False, opened_at=0.0)
    bench.request_handler.unwanted(stranger, key[1])
    assert bench.told.taken() == ["held"]


async def test_requests_of_a_session_that_is_over_are_still_held(bench: Bench) -> None:
    """Whoever signs out may be gone before a node comes to it; let go of, they would stay online."""
    here = session(1)
    bench.take(here, 1)
    bench.told.taken()
    end(bench.request_handler, here)
    assert bench.told.calls == []


async def test_a_request_whose_peer_left_while_it_was_served_is_given_back_and_let_go_of(bench: Bench) -> None:
    here = session()
    key = bench.take(here, 1)
    await bench.pulling(key)
    end(bench.request_handler, here)
    await bench.done()
    assert bench.told.taken() == ["held", "failed, gone"], "dispatch must not give it to this node again"
    bench.request_handler.unwanted(here, key[1])
    assert bench.told.taken() == [], "it has been let go of"


@pytest.mark.parametrize("bench", [PATIENT], indirect=True)
async def test_nothing_is_pulled_from_a_stranger(bench: Bench) -> None:
    """Keys that nobody had registered announced long operations, and held the worker ports of every node with them."""
    bench.request_handler._services = cast("Any", Knowing(Caller(PEER, "127.0.0.1")))
    with anyio.fail_after(PATIENCE_S):
        bench.request_handler.serve(bench.take(session(), 1))
        await bench.done()
    [answer] = bench.posts.messages
    assert isinstance(answer, Answer)
    assert answer.code == RefusalCode.UNKNOWN_ACCOUNT


@dataclass
class Failing:
    """Services that cannot do anything, for one reason."""

    error: Exception

    async def caller(self, _key: bytes, _host: str) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "told", "answer"),
    [
        (StorageError("The directory's disk is full: make room."), ["held", "failed"], NoLeader),
        (Unavailable("The directory did not answer in time: try again."), ["held", "failed"], NoLeader),
        (KeyError("a defect"), ["held", "served"], Answer),
        (Refused("revoked", "The owner has taken it back."), ["held", "served"], Answer),
    ],
)
async def test_trouble_of_the_node_is_never_a_final_refusal(
    bench: Bench, error: Exception, told: list[str], answer: type
) -> None:
    """A full disk became the code `failed`, and the peer's outbox let go of a revocation that it met."""
    bench.request_handler._services = cast("Any", Failing(error))
    asker = session()
    bench.request_handler.take(asker, Request(request=f"{1:032x}", operation=ListUsers()))
    bench.request_handler.serve(RequestKey(asker.remote_key, f"{1:032x}"))
    await bench.done()
    assert bench.told.taken() == told
    [said] = bench.posts.messages
    assert type(said) is answer
    if isinstance(said, Answer):
        assert (said.code in FINAL_CODES) == isinstance(error, Refused)
    else:
        assert said.reason == str(error)
