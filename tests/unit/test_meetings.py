"""A node that brings peers together: the other one is told until it answers, and only what it agreed to is carried."""

from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, cast

import anyio
import pytest

from node.meetings import Meetings
from node.services.common import Caller
from shared.config import LOCAL, MAX_MESSAGE_BYTES, REQUEST_LIMITS
from shared.errors import Refused
from shared.net.endpoint import Session
from shared.secure.datagrams import ROUTING_BYTES
from shared.wire.base import PathAddress
from shared.wire.codec import decode
from shared.wire.peer_messages import Meeting, MeetingAnswer
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio
GRANT = "1" * 32
HERE, THERE = (PathAddress("203.0.113.1", 5_000),), (PathAddress("203.0.113.2", 6_000),)


def session(name: str) -> Session:
    return Session(ord(name), name.encode() * 32, ("127.0.0.1", ord(name)), initiator=False, opened_at=0.0)


ADA, BEN = session("a"), session("b")
CALLER = Caller(ADA.remote_key, "203.0.113.1", 1, "Ada", bytes(32))


@dataclass
class Posts:
    """Stands in for the endpoint."""

    told: list[tuple[Session, Meeting]] = field(default_factory=list)
    carried: list[tuple[Session, bytes]] = field(default_factory=list)
    on_told: Any = None

    def post(self, to: Session, data: bytes) -> None:
        self.told.append((to, decode(data, Meeting, cap_bytes=MAX_MESSAGE_BYTES)))
        if self.on_told is not None:
            self.on_told(to, self.told[-1][1])

    def relay(self, to: Session, bodies: list[bytes]) -> None:
        self.carried += [(to, body) for body in bodies]


@pytest.fixture
def posts() -> Posts:
    return Posts()


def meetings(posts: Posts, **limits: float) -> Meetings:
    numbers = count(1)
    made = Meetings(
        "n1",
        cast("Any", posts),
        timing=replace(LOCAL, heartbeat_s=0.001),
        limits=replace(REQUEST_LIMITS, **limits),
        clock=lambda: 0.0,
        entropy=lambda size: next(numbers).to_bytes(size, "big"),
    )
    made.session_of = lambda account: BEN if account == 2 else None
    return made


async def test_the_other_peer_is_told_again_until_it_answers_and_both_are_carried(posts: Posts) -> None:
    made = meetings(posts)

    def answer_the_third(to: Session, told: Meeting) -> None:
        if len(posts.told) == 3:
            made.answered(session("e"), MeetingAnswer(handle=told.handle))  # another's word
            made.answered(BEN, MeetingAnswer(handle=bytes(8)))
            made.answered(to, MeetingAnswer(handle=told.handle, candidates=THERE))

    posts.on_told = answer_the_third
    with anyio.fail_after(PATIENCE_S):
        met = await made.meet(ADA, CALLER, 2, GRANT, HERE)
    assert (met.node, met.candidates) == ("n1", THERE)
    assert met.handle is not None
    assert posts.told[:3] == [(BEN, Meeting(handle=met.handle, grant=GRANT, key=ADA.remote_key, candidates=HERE))] * 3
    datagram = met.handle + bytes(ROUTING_BYTES)
    made.relay(ADA, [datagram])
    made.relay(BEN, [datagram])
    made.relay(session("e"), [datagram])
    assert posts.carried == [(BEN, datagram), (ADA, datagram)]
    assert made.pairs == 1


async def test_nobody_is_carried_to_who_does_not_answer(posts: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.meetings.ANSWER_S", 0.02)
    made = meetings(posts)
    met = await made.meet(ADA, CALLER, 2, GRANT, HERE)
    assert met.handle is None
    made.relay(ADA, [posts.told[0][1].handle + bytes(ROUTING_BYTES)])
    assert posts.carried == []
    assert made.pairs == 0


async def test_who_is_in_touch_with_no_one_here_is_told_so_at_once(posts: Posts) -> None:
    met = await meetings(posts).meet(ADA, CALLER, 3, GRANT, HERE)
    assert (met.handle, met.node, posts.told) == (None, "n1", [])


async def test_an_account_looks_for_paths_so_often_and_no_more(posts: Posts) -> None:
    made = meetings(posts, meetings_burst=2.0)
    for _ in range(2):
        await made.meet(ADA, CALLER, 3, GRANT, HERE)
    with pytest.raises(Refused):
        await made.meet(ADA, CALLER, 3, GRANT, HERE)
    assert (await made.meet(ADA, replace(CALLER, account=9), 3, GRANT, HERE)).handle is None


@pytest.mark.parametrize("body", [b"", bytes(8), bytes(17), bytes(2_000)])
async def test_what_cannot_be_carried_is_dropped_and_counted(posts: Posts, body: bytes) -> None:
    made = meetings(posts)
    made.relay(ADA, [body])
    assert (posts.carried, made.table.refused) == ([], {"malformed": 1})
