"""Notices of rights from peer to peer: small enough, repeated until answered, taken from the owner only, bounded."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import anyio
import msgspec
import pytest

from shared.config import MAX_MESSAGE_BYTES, MAX_VIEWS
from shared.errors import IdentityChanged, RemoteError, Unavailable
from shared.identity import Identity
from shared.records import MAX_LOOK_S, MAX_VERSION, RightsRecord, decode_record, encode_record
from shared.rights import change_rights
from shared.wire.codec import decode, encode
from shared.wire.operations import Account
from shared.wire.peer_messages import PeerToPeer, RightsNotice, RightsNoticed
from tests.patience import PATIENCE_S
from tests.unit.rights_samples import GRANT, OWNER, STRANGER, VIEWER, grant_row, new_record
from tests.unit.test_holding import FIRST, SECOND, context
from tui.peer.context import Context
from tui.peer.events import KeyChanged, RightsHeard
from tui.peer.holding import Holding
from tui.peer.notices import IN_WORK_PER_SENDER, RATE_PER_S, SENDS, DirectNotices, notice_of
from tui.peer.people import People
from tui.peer.store import Store

__all__ = ["context"]
pytestmark = pytest.mark.anyio
OWNER_KEY, VIEWER_KEY = OWNER.public.session_key, VIEWER.public.session_key


@dataclass
class Wire:
    """Stands in for the endpoint, the people and the copies: notes what is posted, and may be deaf."""

    context: Context
    posted: list[Any] = field(default_factory=list)
    on_post: Any = None
    host: str | None = "127.0.0.1"

    def session(self, key: bytes) -> Any:
        return SimpleNamespace(remote_key=key, alive=True)

    async def reach(self, other: Account, _grant: str) -> Any:
        if other.host is None:
            raise Unavailable("The viewer's peer is away.")
        return self.session(other.session_key)

    def post(self, session: Any, data: bytes) -> None:
        message = decode(data, PeerToPeer, cap_bytes=MAX_MESSAGE_BYTES)
        self.posted.append(message)
        if self.on_post is not None:
            self.on_post(session, message)

    async def find(self, account: int) -> Account:
        public = VIEWER.public
        return Account(
            account=account,
            name="Ben",
            signing_key=public.signing_key,
            session_key=public.session_key,
            session_signature=public.session_signature,
            host=self.host,
            port=4000,
        )

    def comes_from(self, grant: str, key: bytes) -> bool:
        return (grant, key) == (GRANT, OWNER_KEY)


@pytest.fixture
def wire(context: Context) -> Wire:
    made = Wire(context)
    context.endpoint = cast("Any", made)
    return made


@pytest.fixture
def notices(context: Context, wire: Wire) -> DirectNotices:
    return DirectNotices(context, *(cast("Any", wire),) * 3, Holding(context))


async def until(holds: Any) -> None:
    with anyio.fail_after(PATIENCE_S):
        while True:
            if holds():
                return
            await anyio.sleep(0.005)


def largest() -> RightsRecord:
    record = change_rights(
        OWNER, new_record(granted=MAX_VIEWS), granted=MAX_VIEWS, expires=99_999_999_999.999, look_s=MAX_LOOK_S - 0.001
    )
    return msgspec.structs.replace(record, version=MAX_VERSION)


def test_the_notice_of_the_largest_record_fits_one_datagram() -> None:
    """The smallest was 1 210 bytes where 1 100 fit, and whoever sent it passed over that in silence."""
    record = largest()
    assert decode_record(encode_record(record)) == record
    data = encode(notice_of(record, 2**53), cap_bytes=MAX_MESSAGE_BYTES)
    assert len(data) < MAX_MESSAGE_BYTES
    assert isinstance(decode(data, PeerToPeer, cap_bytes=MAX_MESSAGE_BYTES), RightsNotice)


# --- The owner's side ------------------------------------------------------------------------------------------------
async def test_a_notice_is_repeated_until_it_is_answered(
    context: Context, wire: Wire, notices: DirectNotices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.peer.notices._PAUSES_S", (0.01, 0.01, 30.0, 30.0, 30.0))

    def answer(session: Any, _message: Any) -> None:
        if len(wire.posted) == 3:
            notices.answered(wire.session(OWNER_KEY), RightsNoticed(grant=GRANT, version=2))  # another's word
            notices.answered(session, RightsNoticed(grant="f" * 32, version=2))
            notices.answered(session, RightsNoticed(grant=GRANT, version=1))
            context.tasks.start_soon(later, session)

    async def later(session: Any) -> None:
        notices.answered(session, RightsNoticed(grant=GRANT, version=2))

    wire.on_post = answer
    with context.events.subscription() as events:
        notices.changed(msgspec.structs.replace(grant_row(SECOND, 1), viewer_name="Your bank"))
        with anyio.fail_after(PATIENCE_S):
            heard = await anext(aiter(events))
    assert heard == RightsHeard(SECOND.image_id, GRANT, "Ben", 5, False, VIEWER.public.words)
    assert wire.posted == [notice_of(SECOND, 1)] * 3


async def test_a_notice_that_nobody_answers_is_left_to_the_mail(
    wire: Wire, notices: DirectNotices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.peer.notices._PAUSES_S", (0.01,) * SENDS)
    notices.changed(grant_row(SECOND))
    await until(lambda: not notices._waiting)
    assert len(wire.posted) == SENDS


@pytest.mark.parametrize("how", ["away", "lost"])
async def test_a_viewer_that_is_away_is_left_to_the_mail(
    wire: Wire, notices: DirectNotices, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(*_: Any) -> Any:
        raise Unavailable("Nobody answers.")

    if how == "away":
        wire.host = None
    else:
        monkeypatch.setattr(wire, "reach", nobody)
    notices.changed(grant_row(SECOND))
    await until(lambda: not notices._waiting)
    assert wire.posted == []


async def test_of_two_changes_the_newer_one_is_told(wire: Wire, notices: DirectNotices) -> None:
    done = anyio.Event()
    wire.on_post = lambda _session, message: done.set() if message.version == 3 else None
    third = change_rights(OWNER, SECOND, granted=2)
    notices.changed(grant_row(third))
    notices.changed(grant_row(SECOND))
    with anyio.fail_after(PATIENCE_S):
        await done.wait()
    assert {message.version for message in wire.posted} == {3}


def meet(store: Store, account: int, name: str, person: Identity) -> None:
    """Note an account as a peer does that looked it up."""
    public = person.public
    store.put(
        "accounts",
        account=account,
        name=name,
        signing_key=public.signing_key,
        session_key=public.session_key,
        session_signature=public.session_signature,
        first_seen=1.0,
    )


# --- The viewer's side -----------------------------------------------------------------------------------------------
async def told(wire: Wire, notices: DirectNotices, notice: RightsNotice) -> None:
    """Hand in a notice of the owner, and wait until it is worked off."""
    notices.told(wire.session(OWNER_KEY), notice)
    await until(lambda: not notices._in_work)


async def test_a_notice_is_checked_applied_and_answered(context: Context, wire: Wire, notices: DirectNotices) -> None:
    holding = notices._holding
    await holding.take(grant_row(FIRST), FIRST)
    longest = change_rights(OWNER, FIRST, granted=6, expires=4e9, look_s=12.5)
    for _ in range(2):  # the second finds it known, and is answered all the same: the first answer may be lost
        await told(wire, notices, notice_of(longest, 2))
    right = await holding.right(GRANT)
    assert right is not None
    assert (right.record, right.consumed, right.left) == (longest, 2, 4)
    await told(wire, notices, notice_of(FIRST, 3))
    right = await holding.right(GRANT)
    assert right is not None
    assert (right.record.version, right.consumed) == (2, 3)
    assert wire.posted == [RightsNoticed(grant=GRANT, version=2)] * 3


@pytest.mark.parametrize("met", [True, False])
async def test_the_owner_is_named_as_the_key_is_known_here(
    context: Context, wire: Wire, notices: DirectNotices, met: bool
) -> None:
    """Names come with messages of nodes and peers; the key that signed the rights is the one thing that is proven."""
    if met:
        await context.store.run(lambda store: meet(store, 1, "Ada", OWNER))
    await notices._holding.take(grant_row(FIRST), FIRST)  # the row itself calls its owner Ada as well
    claimed = msgspec.json.decode(encode(notice_of(SECOND, 0), cap_bytes=MAX_MESSAGE_BYTES)) | {
        "owner_name": "Your bank",
        "name": "Your bank",
    }
    with context.events.subscription() as events:
        await told(wire, notices, decode(msgspec.json.encode(claimed), PeerToPeer, cap_bytes=MAX_MESSAGE_BYTES))
        with anyio.fail_after(PATIENCE_S):
            update = await anext(aiter(events))
    assert (update.left, update.owner_words) == (6, OWNER.public.words)
    assert update.owner_name == ("Ada" if met else "")


async def test_what_a_node_calls_an_owner_is_not_kept(context: Context, notices: DirectNotices) -> None:
    claimed = msgspec.structs.replace(grant_row(FIRST), owner_name="Your bank")
    await notices._holding.take(claimed, FIRST, "Ada")
    [row] = await context.store.run(lambda store: store.all("SELECT owner_name FROM held"))
    assert row["owner_name"] == "Ada"


async def test_a_changed_key_is_told_by_the_name_of_the_first(context: Context) -> None:
    """Whoever has taken an account over may call it what they like."""
    await context.store.run(lambda store: meet(store, 1, "Ada", OWNER))
    with context.events.subscription() as events:
        with pytest.raises(IdentityChanged, match=r"Account 1 \(Ada\)"):
            await People(context).check(1, STRANGER.public.signing_key)
        assert await anext(aiter(events)) == KeyChanged(1, "Ada")


async def test_an_account_that_is_known_by_another_key_lends_its_name_to_nobody(
    context: Context, wire: Wire, notices: DirectNotices
) -> None:
    await context.store.run(lambda store: meet(store, 1, "Ada", STRANGER))
    await notices._holding.take(grant_row(FIRST), FIRST)
    with context.events.subscription() as events:
        await told(wire, notices, notice_of(SECOND, 0))
        with anyio.fail_after(PATIENCE_S):
            update = await anext(aiter(events))
    assert (update.owner_name, update.owner_words) == ("", OWNER.public.words)


@pytest.mark.parametrize(
    "forged",
    [
        {"granted": 9},
        {"expires": 5e9},
        {"look_s": 99.0},
        {"signature": bytes(64)},
        {"version": 9},
        {"version": 2**53 + 1 - 1, "granted": 0},
        {"expires": 0.0},
    ],
)
async def test_a_forged_notice_changes_nothing_and_is_not_answered(
    wire: Wire, notices: DirectNotices, forged: dict[str, Any]
) -> None:
    holding = notices._holding
    await holding.take(grant_row(FIRST), FIRST)
    await told(wire, notices, msgspec.structs.replace(notice_of(SECOND, 3), **forged))
    right = await holding.right(GRANT)
    assert right is not None
    assert (right.record, right.consumed) == (FIRST, 0), "not even its count is believed"
    assert wire.posted == []
    assert notices.dropped == {"not taken over": 1}


async def test_a_notice_that_undoes_a_revocation_changes_nothing(wire: Wire, notices: DirectNotices) -> None:
    holding = notices._holding
    revoked = change_rights(OWNER, FIRST, revoked=True)
    await holding.take(grant_row(revoked), revoked)
    undone = change_rights(OWNER, SECOND, granted=9)
    await told(wire, notices, notice_of(undone, 0))
    right = await holding.right(GRANT)
    assert right is not None
    assert right.record == revoked
    assert wire.posted == []


async def test_only_the_owner_of_a_grant_is_heard(wire: Wire, notices: DirectNotices) -> None:
    await notices._holding.take(grant_row(FIRST), FIRST)
    for key, grant in ((STRANGER.public.session_key, GRANT), (OWNER_KEY, "f" * 32)):
        with pytest.raises(RemoteError):
            notices.told(wire.session(key), msgspec.structs.replace(notice_of(SECOND, 0), grant=grant))
    assert notices.dropped == {"not from the owner": 2}
    assert not notices._in_work


async def test_a_sender_that_floods_gets_so_many_in_work_and_so_many_a_second(
    wire: Wire, notices: DirectNotices
) -> None:
    await notices._holding.take(grant_row(FIRST), FIRST)
    for _ in range(1_000):
        notices.told(wire.session(OWNER_KEY), notice_of(SECOND, 1))
    assert notices._in_work[OWNER_KEY] == IN_WORK_PER_SENDER
    assert notices.dropped["too many at once"] == RATE_PER_S - IN_WORK_PER_SENDER
    assert notices.dropped["too many a second"] == 1_000 - RATE_PER_S
    await until(lambda: not notices._in_work)
    assert len(wire.posted) == IN_WORK_PER_SENDER
