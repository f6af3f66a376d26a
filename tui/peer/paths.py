"""The paths to other people's peers: directly, or through a node, whichever answers first.

A direct path to where the cloud says that a peer is gets a head start. Then a node is asked for a meeting: it tells the
other peer, which knows the grant that the two share, and carries their datagrams from then on. In the session that
begins there both look for a direct path (`shared.secure.path_choice`). Where a path is lost, another node is asked for
the next one.
"""

import logging
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import anyio

from shared.config import MAX_MESSAGE_BYTES
from shared.errors import Explained, GlimpseError, InvalidInput, Refused, Unavailable
from shared.net.candidates import local_addresses, usable
from shared.net.endpoint import Address, Session
from shared.secure.path_choice import SEARCH_S
from shared.secure.relayed import is_relayed
from shared.text import clean
from shared.wire import operations as ops
from shared.wire.base import MAX_CANDIDATES, PathAddress
from shared.wire.codec import encode
from shared.wire.peer_messages import Meeting, MeetingAnswer
from shared.wire.refusals import RefusalCode
from tui.peer.asker import Asker
from tui.peer.context import Context
from tui.peer.models import PathFound
from tui.peer.single_flight import SingleFlight
from tui.peer.tending import attempt

log = logging.getLogger(__name__)

FOUND_S: Final = 5.0
"""How long a path to somebody who is online is looked for."""
_HEAD_START_S: Final = 0.1
"""By how much a direct path is tried ahead of one through a node: some round trips in one's own network. That costs the
cloud a request where the direct path is longer, and the first byte comes that much later where there is none."""
_RENEWALS: Final = 3
"""How often fresh addresses are exchanged: a node answers where it saw a peer before until it has seen it twice."""
_SPARE_AFTER_S: Final = 1.0
"""How long something has been on its way through a node before a path through another one is kept ready: most pictures
are through by then, or the session has gone over to a direct path."""
_SPARE_KEPT_S: Final = 100.0
"""After how long it is asked for anew: a node forgets a pair that is silent for two minutes."""
_FRESH_S: Final = 5.0
"""A session in which the other side was heard this lately is used again."""
_MEETINGS: Final = 3
"""How often a node is asked: the next one may be in touch with the other peer where the last one was not."""
_ASK_AGAIN_S: Final = 0.3
_SEEN_AFTER_S: Final = 0.5
"""How long after a keep-alive this peer knows at the latest where nodes see it."""
_MAIL_PAUSES_S: Final = (0.03, 0.05, 0.1, 0.2, 0.4)
"""When it is looked again whether mail has told of a grant that somebody looks for a path over."""
_HEARD_WITHIN_S: Final = 1.5
"""When a side that agreed to another path must have been heard on it."""
_REMEMBERED: Final = 256
_ASKED_AT_ONCE: Final = 16
"""Meetings that are looked into at a time; nodes repeat what is not answered."""
_NOT_NOW: Final = frozenset({RefusalCode.BUSY, RefusalCode.NOT_FOUND})

DIRECT: Final = "direct"

Find = Callable[[], Awaitable[Session]]


class Paths:
    """Finds paths to other peers, and answers those that look for one here."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cloud = Asker(context)
        self._opened: OrderedDict[Session, str] = OrderedDict()
        """Sessions that roam and that this side opened, and the grant that each was opened over."""
        self._searches: SingleFlight[bytes, Session] = SingleFlight()
        """By session key of the other side."""
        self._seeking: set[Session] = set()
        """Those for which another path is being looked for."""
        self._looking_into = 0
        self._move = anyio.Event()
        """Set, and replaced, when any session has moved."""
        self._last: OrderedDict[bytes, str] = OrderedDict()
        """How a session, or a picture, went to or from somebody last, by their session key."""

    # --- From here ---------------------------------------------------------------------------------------------------
    async def reach(self, other: ops.Account, grant: str, *, timeout_s: float = FOUND_S) -> Session:
        """Return an open session with the peer of the account on the other side of a grant.

        However many ask for one at a time, there is one search and one session. Raises `Unavailable` where the other
        side is away, or no path was found within `timeout_s` seconds, as `Explained` where that is known to be why
        there is no direct one.
        """
        if not other.is_there:
            raise Unavailable("The other side is away.")
        return await self._searches.ask(other.session_key, partial(self._find, other, grant, timeout_s))

    async def _find(self, other: ops.Account, grant: str, timeout_s: float) -> Session:
        """Return a session that is open and was heard lately, or open one on the first path that answers."""
        endpoint = self._context.endpoint
        for session in reversed(endpoint.sessions):
            if session.remote_key == other.session_key and session.roams and endpoint.silent_s(session) < _FRESH_S:
                return session
        found: list[Session] = []
        reasons: list[GlimpseError] = []
        direct = other.host is not None and other.port is not None and not self._context.relay_only
        with anyio.move_on_after(timeout_s):
            async with anyio.create_task_group() as group:

                async def race(find: Find, after_s: float) -> None:
                    await anyio.sleep(after_s)
                    try:
                        found.append(await find())
                        group.cancel_scope.cancel()
                    except GlimpseError as error:
                        reasons.append(error)

                if direct:
                    assert other.host is not None
                    assert other.port is not None
                    address = other.host, other.port
                    straight = partial(endpoint.connect, address, other.session_key, timeout_s=timeout_s)
                    group.start_soon(race, straight, 0.0)
                through = partial(self._through_a_node, other.session_key, grant, timeout_s)
                group.start_soon(race, through, _HEAD_START_S if direct else 0.0)
        if found:
            self._note(found[0], grant)
            return found[0]
        for error in reasons:
            if isinstance(error, Explained):
                raise error
        raise Unavailable(" ".join(map(str, reasons)) or "No path was found in time.")

    async def _through_a_node(self, key: bytes, grant: str, timeout_s: float) -> Session:
        path, _ = await self._meet(grant)
        return await self._context.endpoint.connect_through(path, key, timeout_s=timeout_s)

    def _note(self, session: Session, grant: str) -> None:
        """Remember over which grant a session was opened: over that another path can be asked for."""
        if session.roams:
            self._opened[session] = grant
            while len(self._opened) > _REMEMBERED:
                self._opened.popitem(last=False)

    async def _meet(self, grant: str, *, without: str = "") -> tuple[Address, list[Address]]:
        """Have a node bring this peer and the other one of a grant together; return the path, and where the other is.

        Any node but the one that is called `without`. Raises `Unavailable` where no node is in touch with it, `Refused`
        where the grant is over.
        """
        cloud, endpoint = self._context.cloud, self._context.endpoint
        for _ in range(_MEETINGS):
            try:
                wanted = ops.Meet(grant=grant, candidates=self.candidates())
                met = await self._cloud.query(wanted, ops.Met, at_once=_NOT_NOW, without=without)
            except Refused as refusal:
                raise Unavailable(str(refusal)) from refusal
            node = cloud.session_to(met.node)
            if met.handle is not None and node is not None:
                candidates = self._told(met.candidates)
                return endpoint.add_path(node, met.handle, candidates), candidates
            await anyio.sleep(_ASK_AGAIN_S)
        raise Unavailable("No node is in touch with the other side.")

    def candidates(self) -> tuple[PathAddress, ...]:
        """Return where this peer may be reached directly, as far as others may know: as nodes see it, and here."""
        context = self._context
        if context.relay_only:
            return ()
        found = list(context.cloud.seen_at())
        if context.share_local_addresses:
            found += local_addresses(context.endpoint.local_address)
        return tuple(PathAddress(*address) for address in dict.fromkeys(found))[:MAX_CANDIDATES]

    def _told(self, candidates: tuple[PathAddress, ...]) -> list[Address]:
        """Return which of the other side's addresses are probed: none where that would tell it this one's."""
        if self._context.relay_only:
            return []
        return usable(((told.host, told.port) for told in candidates), self._context.endpoint.local_address)

    # --- When a path is lost ------------------------------------------------------------------------------------------
    def silent(self, session: Session) -> None:
        """The other side answers on none of the paths of a session: a node is asked for one more, if that is for this
        side to do."""
        grant = self._opened.get(session)
        if grant is not None and session not in self._seeking and session.alive:
            self._seeking.add(session)
            self._context.tasks.start_soon(attempt, "another path", partial(self._seek, session, grant))

    async def _seek(self, session: Session, grant: str) -> None:
        try:
            path, candidates = await self._meet(grant)
            self._context.endpoint.roam(session, [path, *candidates])
            await self._close_if_forgotten(session)
        except GlimpseError as error:
            log.info("no other path was found", extra={"grant": grant, "reason": str(error)})
        finally:
            self._seeking.discard(session)

    @contextmanager
    def spare(self, session: Session, grant: str) -> Iterator[None]:
        """While something is on its way in a session, keep a second path ready where the one in use leads through a
        node: should that node die, the session goes on through another without having to ask."""
        scope = anyio.CancelScope()
        self._context.tasks.start_soon(attempt, "a second path", partial(self._keep_spare, session, grant, scope))
        try:
            yield
        finally:
            scope.cancel()

    async def _keep_spare(self, session: Session, grant: str, scope: anyio.CancelScope) -> None:
        spare_for, since = session.address, -math.inf
        with scope:
            while True:
                await anyio.sleep(_SPARE_AFTER_S)
                address, now = session.address, self._context.clock()
                node = self._context.endpoint.node_of_path(address)
                if node is None or (address == spare_for and now - since < _SPARE_KEPT_S):
                    continue
                spare_for, since = address, now
                try:
                    path, _ = await self._meet(grant, without=self._context.cloud.name_of(node))
                    self._context.endpoint.roam(session, [path])
                except GlimpseError as error:
                    log.info("no second path through a node", extra={"grant": grant, "reason": str(error)})

    async def _close_if_forgotten(self, session: Session) -> None:
        """Close a session in which nothing is heard although its other side has just agreed to another path.

        That side has begun anew, as after a crash. What was under way goes on in the next session.
        """
        endpoint = self._context.endpoint
        began_s = endpoint.silent_s(session)
        await anyio.sleep(_HEARD_WITHIN_S)
        if session.alive and endpoint.silent_s(session) >= began_s + _HEARD_WITHIN_S / 2:
            log.info("the other side has begun anew", extra={"session": session.number})
            endpoint.close_session(session)

    def moved(self, session: Session) -> None:
        """A session takes another path. Where that leads through a node again, one of the two may have another address
        outside, which nodes see by its next keep-alive: then the other side is told of it."""
        self._move.set()
        self._move = anyio.Event()
        self._context.cloud.in_use()  # nodes see a new address by the next keep-alive
        if session in self._opened and is_relayed(session.address):
            self._context.tasks.start_soon(attempt, "fresh addresses", partial(self._renew, session))

    async def _renew(self, session: Session) -> None:
        for _ in range(_RENEWALS):
            await anyio.sleep(self._context.timing.keep_alive_s + _SEEN_AFTER_S)
            if not session.alive or not is_relayed(session.address):
                return
            self.silent(session)

    def closed(self, session: Session) -> None:
        """A session is over."""
        self._opened.pop(session, None)
        if not self._context.cloud.is_node(session):
            self.note(session.remote_key, self.shown(session))

    # --- To here -----------------------------------------------------------------------------------------------------
    def asked(self, node: Session, meeting: Meeting) -> None:
        """Somebody looks for a path here, says a node. Only who shares a grant with this account is answered."""
        if self._looking_into < _ASKED_AT_ONCE:
            self._looking_into += 1
            self._context.tasks.start_soon(attempt, "meeting", partial(self._look_into, node, meeting))

    async def _look_into(self, node: Session, meeting: Meeting) -> None:
        try:
            if not await self._shares(meeting.grant, meeting.key):
                self._context.cloud.on_mail()  # which may tell of the grant at this very moment
                if not await self._shares_soon(meeting.grant, meeting.key):
                    return
        finally:
            self._looking_into -= 1
        endpoint = self._context.endpoint
        candidates = self._told(meeting.candidates)
        path = endpoint.add_path(node, meeting.handle, candidates)
        for session in endpoint.sessions:
            if session.roams and session.remote_key == meeting.key:
                endpoint.roam(session, [path, *candidates])
        answer = MeetingAnswer(handle=meeting.handle, candidates=self.candidates())
        endpoint.post(node, encode(answer, cap_bytes=MAX_MESSAGE_BYTES))

    async def _shares_soon(self, grant: str, key: bytes) -> bool:
        for pause_s in _MAIL_PAUSES_S:
            await anyio.sleep(pause_s)
            if await self._shares(grant, key):
                return True
        return False

    async def _shares(self, grant: str, key: bytes) -> bool:
        """Return whether this account gave this grant to, or holds it from, the account with this session key."""
        row = await self._context.store.run(
            lambda store: store.one(
                "SELECT 1 AS found FROM accounts WHERE session_key = :key AND account IN ("
                "SELECT owner FROM held WHERE grant_id = :grant UNION "
                "SELECT viewer FROM given WHERE grant_id = :grant)",
                key=key,
                grant=grant,
            )
        )
        return row is not None

    # --- Looking only ------------------------------------------------------------------------------------------------
    async def find(self, other: ops.Account) -> PathFound:
        """Find a path to another account's peer, and give a direct one some seconds.

        Raises `InvalidInput` where this account and the other one share no grant, for then nobody may look.
        """
        name = clean(other.name)
        grant = await self._shared_with(other.account)
        if grant is None:
            raise InvalidInput(
                f"You and {name} share no picture; a path is looked for once one of you has accepted a request."
            )
        began = self._context.clock()
        try:
            session = await self.reach(other, grant)
        except Unavailable as error:
            return PathFound(other.account, name, "", self._context.clock() - began, str(error))
        took_s = self._context.clock() - began
        with anyio.move_on_after(SEARCH_S):
            while is_relayed(session.address) and session.alive:
                await self._move.wait()
        return PathFound(other.account, name, self.shown(session), took_s)

    async def _shared_with(self, account: int) -> str | None:
        """Return a grant between this account and another one, if there is any; one that this account may still use
        first."""
        row = await self._context.store.run(
            lambda store: store.one(
                "SELECT grant_id FROM (SELECT grant_id, revoked FROM held WHERE owner = :account"
                " UNION ALL SELECT grant_id, 0 FROM given WHERE viewer = :account) ORDER BY revoked LIMIT 1",
                account=account,
            )
        )
        return None if row is None else str(row["grant_id"])

    # --- How it goes -------------------------------------------------------------------------------------------------
    def note(self, key: bytes, path: str) -> None:
        """Remember how it went to or from the person with this session key."""
        self._last[key] = path
        self._last.move_to_end(key)
        while len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)

    async def known(self) -> dict[int, str]:
        """Return how it goes, or went last since this peer was opened, to people that this device knows, by account."""
        cloud = self._context.cloud
        others = [session for session in self._context.endpoint.sessions if not cloud.is_node(session)]
        paths = self._last | {session.remote_key: self.shown(session) for session in others}
        if not paths:
            return {}
        rows = await self._context.store.run(lambda store: store.all("SELECT account, session_key FROM accounts"))
        return {int(row["account"]): paths[key] for row in rows if (key := row["session_key"]) in paths}

    def shown(self, session: Session) -> str:
        """Return how a session goes in a few words: `direct`, or through which node."""
        if not is_relayed(session.address):
            return DIRECT
        node = self._context.endpoint.node_of_path(session.address)
        name = "" if node is None else self._context.cloud.name_of(node)
        return f"through {name}" if name else "through a node"
