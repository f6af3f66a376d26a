"""What a peer tells the nodes about requests that nobody waits for any more."""

import itertools
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from shared.config import LOCAL
from shared.errors import Refused, Unavailable, ViewRefused
from shared.net.handles import Session
from shared.net.udp import Address
from shared.wire.base import PathAddress
from shared.wire.codec import decode, encode
from shared.wire.operations import ListUsers, Operation, SpendView, Users
from shared.wire.peer_messages import Answer, AnyPeerMessage, CloudState, Pull, Received, Request
from tests.patience import PATIENCE_S
from tui.peer import cloud as cloud_module
from tui.peer.cloud import CloudLink

pytestmark = pytest.mark.anyio
NAMES = ("a", "b", "c")
ASKED = f"{7:032x}"
LIST = ListUsers()
LOOK = SpendView(grant=ASKED, ephemeral_key=bytes(32), signature=bytes(64))


@dataclass(frozen=True)
class Node:
    name: str
    host: str = "127.0.0.1"
    port: int = 1

    @property
    def addresses(self) -> tuple[Address, ...]:
        return ((self.host, self.port),)

    @property
    def key(self) -> bytes:
        return self.name.encode() * 32


@dataclass
class Cluster:
    """Three nodes; peers repeat at once, or only long after any test."""

    retry_s: float

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(map(Node, NAMES))

    @property
    def timing(self) -> object:
        return replace(LOCAL, request_retry_s=self.retry_s, request_retry_max_s=self.retry_s)


@dataclass
class Posts:
    """An endpoint that notes what is posted, with the node that it goes to."""

    sent: list[tuple[str, AnyPeerMessage]] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def connect_any(self, addresses: Sequence[Address], key: bytes) -> Session:
        session = Session(next(self._numbers), key, addresses[0], initiator=True, opened_at=0.0)
        self.sessions[key[:1].decode()] = session
        return session

    def close_session(self, session: Session) -> None:
        self.closed.append(session.remote_key[:1].decode())

    def post(self, session: Session, data: bytes) -> None:
        self.sent.append((session.remote_key[:1].decode(), decode(data, AnyPeerMessage, cap_bytes=len(data))))

    def count(self, kind: type) -> int:
        return sum(isinstance(message, kind) for _, message in self.sent)

    def ended(self) -> list[tuple[str, str]]:
        """Nodes that were told of a request's end, and which."""
        return [(node, message.request) for node, message in self.sent if isinstance(message, Received)]


@dataclass
class Peer:
    cloud: CloudLink
    posts: Posts

    async def ask(
        self, answer: Answer, *, times_sent: int, operation: Operation = LIST, at_once: Collection[str] = ()
    ) -> None:
        """Ask, and let node a answer once the request went out so often to all."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._answer, answer, times_sent)
            await self.cloud.ask(operation, request=ASKED, at_once=at_once)

    async def _answer(self, answer: Answer, times_sent: int) -> None:
        while self.posts.count(Request) < times_sent * len(NAMES):
            await anyio.lowlevel.checkpoint()
        self.cloud.receive(self.posts.sessions["a"], encode(answer, cap_bytes=1000))


@pytest.fixture
async def peer(request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    posts = Posts()
    async with anyio.create_task_group() as tasks:
        cluster, endpoint = cast("Any", Cluster(request.param)), cast("Any", posts)
        cloud = CloudLink(cluster, endpoint, tasks, clock=anyio.current_time)
        cloud.start()
        while len(posts.sessions) < len(NAMES):
            await anyio.lowlevel.checkpoint()
        yield Peer(cloud, posts)
        tasks.cancel_scope.cancel()


PROMPT = pytest.mark.parametrize("peer", [0.001], indirect=True)
PATIENT = pytest.mark.parametrize("peer", [1000.0], indirect=True)
ANSWER = Answer(request=ASKED, outcome=Users([], 0))


@PROMPT
async def test_all_nodes_are_told_of_the_answer_to_what_was_repeated(peer: Peer) -> None:
    await peer.ask(ANSWER, times_sent=2)
    assert peer.posts.ended() == [(name, ASKED) for name in NAMES]


@PROMPT
async def test_a_refusal_ends_what_was_repeated_too(peer: Peer) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await peer.ask(Answer(request=ASKED, code="not_found", text="No."), times_sent=2)
    assert caught.group_contains(Refused)
    assert peer.posts.ended() == [(name, ASKED) for name in NAMES]


@PROMPT
@pytest.mark.parametrize(
    "code", ["failed", "no_directory", "not_ready", "mailbox_full", "frozen", "of_a_later_version"]
)
async def test_a_passing_refusal_is_asked_again_until_the_wait_is_over(peer: Peer, code: str) -> None:
    """A node with a full disk answered `failed`, which ended the request: a revocation that waited was dropped."""
    refusal = Answer(request=ASKED, code=code, text="The disk is full: make room.")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer._answer, refusal, 1)
        tasks.start_soon(peer._answer, ANSWER, 4)
        outcome, _ = await peer.cloud.ask(ListUsers(), request=ASKED, wait_s=1000.0)
    assert outcome == ANSWER.outcome


@PROMPT
async def test_a_passing_refusal_that_lasts_is_told_in_its_own_words(peer: Peer) -> None:
    refusal = Answer(request=ASKED, code="failed", text="The disk is full: make room.")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer._answer, refusal, 1)
        with pytest.raises(Unavailable, match=r"^The disk is full: make room.$"):
            await peer.cloud.ask(ListUsers(), request=ASKED, wait_s=0.2)


@PATIENT
@pytest.mark.parametrize(
    ("operation", "code", "kind"),
    [
        (LOOK, "frozen", ViewRefused),
        (LOOK, "revoked", ViewRefused),
        (LOOK, "no_views", ViewRefused),
        (LIST, "unknown_account", Refused),
        (LIST, "conflict", Refused),
        (LIST, "invalid", Refused),
    ],
)
async def test_what_waiting_does_not_change_is_told_at_once(peer: Peer, operation, code: str, kind: type) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await peer.ask(Answer(request=ASKED, code=code, text="No."), times_sent=1, operation=operation)
    assert caught.group_contains(kind)


@PATIENT
async def test_a_refusal_that_passes_is_told_at_once_to_who_wants_to_hear_it(peer: Peer) -> None:
    """Whoever can do something about it, as registering again after a restore, must not wait for the cloud to mend."""
    with pytest.raises(ExceptionGroup) as caught:
        await peer.ask(Answer(request=ASKED, code="busy", text="No."), times_sent=1, at_once={"busy"})
    assert caught.group_contains(Refused)


@PATIENT
async def test_what_was_answered_at_once_costs_no_word(peer: Peer) -> None:
    await peer.ask(ANSWER, times_sent=1)
    assert peer.posts.ended() == []


@PATIENT
async def test_who_pulls_what_nobody_waits_for_is_told(peer: Peer) -> None:
    peer.cloud.receive(peer.posts.sessions["b"], encode(Pull(request=ASKED, what="upload"), cap_bytes=1000))
    assert peer.posts.ended() == [("b", ASKED)]


@PATIENT
async def test_no_other_device_takes_the_place_of_one_that_has_not_signed_in(peer: Peer) -> None:
    """A client that came back after a crash found its own former presence, at another port, and raised the alarm that
    the account had just signed in on another device."""
    told: list[bool] = []
    peer.cloud.on_other_device = lambda: told.append(True)

    def hears_of_another() -> None:
        peer.cloud.keep_alive("d" * 32, 4000)
        state = CloudState(
            node="a", leader="a", term=1, directory_ok=True, signed_in=True, mail_waiting=0, now=1.0, other_device=True
        )
        peer.cloud.receive(peer.posts.sessions["a"], encode(state, cap_bytes=1000))

    hears_of_another()
    assert not told
    assert not peer.cloud.other_device
    peer.cloud.signed_in()
    hears_of_another()
    assert told == [True]
    assert peer.cloud.other_device


@PATIENT
async def test_a_node_that_answers_no_keep_alive_gets_a_new_session(peer: Peer) -> None:
    """A session in which the node had lost its peer seemed well, and was used for ever."""
    now = 100.0
    peer.cloud._clock = lambda: now
    first = dict(peer.posts.sessions)
    state = CloudState(node="b", leader="a", term=1, directory_ok=True, signed_in=True, mail_waiting=0, now=1.0)
    for _ in range(4):
        peer.cloud.keep_alive("d" * 32, 4000)
        for name in ("b", "c"):
            peer.cloud.receive(first[name], encode(state, cap_bytes=1000))
        now += LOCAL.presence_s
    assert peer.posts.closed == ["a"]
    with anyio.fail_after(PATIENCE_S):
        while peer.posts.sessions["a"] is first["a"]:
            await anyio.lowlevel.checkpoint()
    assert {name: peer.posts.sessions[name] for name in "bc"} == {name: first[name] for name in "bc"}


# --- Nodes that answer with what cannot be ---
@PATIENT
async def test_a_node_that_is_left_out_is_asked_no_more_and_the_others_are(peer: Peer) -> None:
    await peer.ask(Answer(request=ASKED, outcome=Users(rows=[], total=0)), times_sent=1)
    peer.cloud.leave_out(ASKED, "a test")
    peer.cloud.leave_out(ASKED, "a test")
    peer.cloud.leave_out(f"{9:032x}", "nobody answered this")
    assert peer.posts.closed == ["a"]
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    peer.posts.sent.clear()
    with anyio.move_on_after(0.05):
        await peer.cloud.ask(LIST, request=f"{8:032x}")
    assert {node for node, _ in peer.posts.sent} == {"b", "c"}


@PATIENT
async def test_a_node_that_was_left_out_long_enough_is_asked_again(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_module, "_LEFT_OUT_S", 0.05)
    first = peer.posts.sessions["a"]
    await peer.ask(Answer(request=ASKED, outcome=Users(rows=[], total=0)), times_sent=1)
    peer.cloud.leave_out(ASKED, "a test")
    with anyio.fail_after(PATIENCE_S):
        while peer.posts.sessions["a"] is first:  # noqa: ASYNC110 - nobody is told of a new session
            await anyio.sleep(0.01)


@PROMPT
async def test_what_is_repeated_is_the_same_message_and_is_encoded_once(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request was decoded and encoded again for each node and each repeat."""
    encoded: list[type] = []

    def counting(message: Any, *, cap_bytes: int) -> bytes:
        encoded.append(type(message))
        return encode(message, cap_bytes=cap_bytes)

    monkeypatch.setattr(cloud_module, "encode", counting)
    await peer.ask(ANSWER, times_sent=3)
    requests = [message for _, message in peer.posts.sent if isinstance(message, Request)]
    assert len(requests) >= 9
    assert set(map(repr, requests)) == {repr(Request(request=ASKED, operation=LIST))}
    assert encoded.count(Request) == encoded.count(ListUsers) == 1


async def test_a_peer_that_is_left_alone_says_less_and_less_and_each_time_for_how_long() -> None:
    """A silence that was longer than what the nodes had been told had them take it for gone."""
    now, posts, gaps = 0.0, Posts(), []
    async with anyio.create_task_group() as tasks:
        cluster, endpoint = cast("Any", Cluster(1000.0)), cast("Any", posts)
        endpoint.local_address = ("127.0.0.1", 4000)
        cloud = CloudLink(cluster, endpoint, tasks, clock=lambda: now)
        cloud.start()
        while len(posts.sessions) < len(NAMES):
            await anyio.lowlevel.checkpoint()
        said_at, lasts_s = 0.0, LOCAL.presence_s
        for _ in range(200):
            posts.sent.clear()
            if cloud.keep_alive_is_due:
                cloud.keep_alive("d" * 32, 4000)
                gaps.append(now - said_at)
                assert gaps[-1] + LOCAL.keep_alive_s < lasts_s, "presence lapsed"
                said_at, lasts_s = now, cast("Any", posts.sent[0][1]).lasts_s or LOCAL.presence_s
                for name, session in posts.sessions.items():
                    state = CloudState(name, None, 1, True, 0, 0.0, seen=PathAddress("203.0.113.1", 5_000))
                    cloud.receive(session, encode(state, cap_bytes=1000))
            assert cloud.reachable
            now += LOCAL.keep_alive_s
        assert gaps[-3:] == [LOCAL.idle_keep_alive_s] * 3
        cloud.in_use()
        now = said_at + LOCAL.keep_alive_s
        assert cloud.keep_alive_is_due
        tasks.cancel_scope.cancel()
