"""What this owner's peer knows of the grants it gave, kept so that a directory which forgot can be told.

For each grant: the newest record that this account signed, the highest count of views that was told, and what the
cloud needs to make the grant anew. All of it only grows: a higher version replaces a lower one, counts rise, and a
revocation stays. Also the views of one's own images as mail told of them, for the log of a directory that forgot them.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace

import anyio.to_thread
import msgspec

from shared.errors import RemoteError, Unavailable
from shared.records import RightsRecord, decode_record, encode_record
from shared.rights import change_rights, verify_record
from shared.text import clean
from shared.wire import operations as ops
from tui.peer.comparing import GrantSide
from tui.peer.context import Context
from tui.peer.store import Store

log = logging.getLogger(__name__)

_SEEN_VIEWS = 100_000
"""Views kept for the log; the oldest go first. The directory has them all unless it forgot."""
_KEPT = (
    "SELECT grant_id, image, viewer, record, version, consumed, wishes, cloud_share IS NOT NULL AS remakeable"
    " FROM given"
)
_PRUNE = (
    "DELETE FROM seen_views WHERE view IN (SELECT view FROM seen_views ORDER BY at LIMIT"
    " max(0, (SELECT COUNT(*) FROM seen_views) - :most))"
)


class GivenGrants:
    """The grants that this account gave, as this device knows them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.on_doubt: Callable[[], None] = lambda: None
        """Called when the directory was found to know less than this peer."""

    # --- Knowing more ------------------------------------------------------------------------------------------------
    async def remember(self, row: ops.GrantRow, *, share: bytes | None = None, signature: bytes | None = None) -> None:
        """Keep a grant as the directory confirmed it just now; with what it was made from, if it is new.

        Raises `RemoteError` where the record is not this account's own word.
        """
        side = await anyio.to_thread.run_sync(self._checked, row)
        held = await self.find(row.grant)
        await self._context.store.run(lambda store: _keep(store, side, share, signature))
        if held is not None and (held.version > side.version or held.consumed > side.consumed):
            self.on_doubt()

    async def learn(self, sides: Iterable[GrantSide]) -> None:
        """Keep what the directory knows of grants, as `checked` has let it pass."""
        news = list(sides)
        if not news:
            return

        def keep(store: Store) -> None:
            for side in news:
                _keep(store, side, None, None)

        await self._context.store.run(keep)

    async def checked(self, rows: Iterable[ops.GrantRow]) -> list[GrantSide]:
        """Return the rows whose records are this account's own word about these grants; others are logged."""
        listed = list(rows)

        def check() -> list[GrantSide]:
            sound = []
            for row in listed:
                try:
                    sound.append(self._checked(row))
                except RemoteError as error:
                    log.warning("a grant is not one's own word", extra={"grant": row.grant, "reason": str(error)})
            return sound

        return await anyio.to_thread.run_sync(check)

    def _checked(self, row: ops.GrantRow) -> GrantSide:
        record = decode_record(row.record)
        verify_record(record)
        if (record.grant_id, record.image_id) != (row.grant, row.image):
            raise RemoteError("a rights record about another grant than its row")
        if record.owner_key != self._context.identity.public.signing_key:
            raise RemoteError("a rights record that this account did not sign")
        side = _side(record, row.viewer, row.record, row.consumed, frozen=row.frozen)
        return replace(side, wishes=row.wishes)

    async def saw_view(self, image: str, view: ops.ViewRow) -> None:
        """Keep a view that mail, or the log, told of, and the count that it came to."""
        await self.saw_views(image, [view])

    async def saw_views(self, image: str, views: Iterable[ops.ViewRow]) -> None:
        """Keep views of one image that the directory told of."""
        told = list(views)

        def keep(store: Store) -> None:
            if sum(_keep_view(store, image, view) for view in told):
                store.do(_PRUNE, most=_SEEN_VIEWS)

        await self._context.store.run(keep)

    # --- What is known -----------------------------------------------------------------------------------------------
    async def known(self) -> list[GrantSide]:
        """Return all that is known. A row that cannot be read is left out and logged."""
        rows = await self._context.store.run(lambda store: store.all(_KEPT))
        return await anyio.to_thread.run_sync(lambda: [side for side in map(_stored, rows) if side is not None])

    async def find(self, grant: str) -> GrantSide | None:
        """Return what is known of one grant."""
        row = await self._context.store.run(lambda store: store.one(f"{_KEPT} WHERE grant_id = :grant", grant=grant))
        return None if row is None else _stored(row)

    async def made_from(self, grant: str) -> tuple[bytes, bytes] | None:
        """Return the cloud's share and the owner's word for it, None where another device has them."""
        row = await self._context.store.run(
            lambda store: store.one("SELECT cloud_share, share_signature FROM given WHERE grant_id = :g", g=grant)
        )
        if row is None or row["cloud_share"] is None or row["share_signature"] is None:
            return None
        return bytes(row["cloud_share"]), bytes(row["share_signature"])

    async def sums(self) -> ops.GivenSums:
        """Return all that is known added up as the directory adds it up; nothing is frozen in here."""
        row = await self._context.store.run(
            lambda store: store.one(
                "SELECT COUNT(*) AS grants, COALESCE(SUM(version), 0) AS versions,"
                " COALESCE(SUM(consumed), 0) AS consumed FROM given"
            )
        )
        assert row is not None
        return ops.GivenSums(grants=row["grants"], versions=row["versions"], consumed=row["consumed"], frozen=0)

    async def standing(self, image: str, viewer: int) -> str | None:
        """Return the grant for `viewer` on an image that is not revoked, as far as this device knows."""
        for side in await self._for_viewer(image, viewer):
            if not side.revoked:
                return side.grant
        return None

    async def trust(self, image: str, viewer: int, row: ops.GrantRow | None, *, ends: bool = False) -> None:
        """Check a grant as the directory has it, before it is changed: None where it has none.

        A change must not be signed on top of what the directory forgot: it would give views back. Raises `Unavailable`
        where this peer knows more, and has the two compared; the change goes on after that. Only a revocation (`ends`)
        of a grant that is there waits for nothing. A frozen grant that this device never saw may be changed: that is
        how its owner decides on what no device can prove.
        """
        known = await self._for_viewer(image, viewer)
        if row is None:
            doubt = any(not side.revoked for side in known)
        else:
            mine = next((side for side in known if side.grant == row.grant), None)
            doubt = (
                mine is not None
                and not ends
                and (row.frozen or mine.version > row.version or mine.consumed > row.consumed or mine.revoked)
            )
        if doubt:
            self.on_doubt()
            raise Unavailable(
                "The cloud knows less of these rights than this device, as after a restore from a backup; the change"
                " goes on as soon as they are compared."
            )

    async def end_others(self, image: str, viewer: int, ended: str) -> list[GrantSide]:
        """Note as revoked whatever else stands for `viewer` on an image as far as this device knows, beside the grant
        `ended`, which the directory has revoked just now. Return all those others, as they are known from now on."""
        sides = [side for side in await self._for_viewer(image, viewer) if side.grant != ended]
        ends = [self._revoked(side) for side in sides if not side.revoked]

        def keep(store: Store) -> None:
            for side in ends:
                _keep(store, side, None, None)

        if ends:
            await self._context.store.run(keep)
            self.on_doubt()
        return [*ends, *(side for side in sides if side.revoked)]

    def _revoked(self, side: GrantSide) -> GrantSide:
        record = change_rights(self._context.identity, decode_record(side.record), revoked=True)
        return replace(side, record=encode_record(record), version=record.version, revoked=True, wishes=())

    async def viewer_key(self, image: str, grant: str | None, viewer: int) -> bytes | None:
        """Return the key that a grant was signed for; without the grant the key first seen for the account that the
        cloud names, None where neither is known."""
        side = None if grant is None else await self.find(grant)
        if side is not None and side.image == image:
            return decode_record(side.record).viewer_key
        return await self.key_of(viewer)

    async def key_of(self, viewer: int) -> bytes | None:
        """Return the key first seen for an account: who registers again after a restore may get another number."""
        row = await self._context.store.run(
            lambda store: store.one("SELECT signing_key FROM accounts WHERE account = :account", account=viewer)
        )
        return None if row is None else bytes(row["signing_key"])

    async def _for_viewer(self, image: str, viewer: int) -> list[GrantSide]:
        key = await self.key_of(viewer)
        return [side for side in await self._of_image(image) if is_for(side.viewer, side.record, viewer, key)]

    async def _of_image(self, image: str) -> list[GrantSide]:
        rows = await self._context.store.run(lambda store: store.all(f"{_KEPT} WHERE image = :image", image=image))
        return [side for side in map(_stored, rows) if side is not None]

    # --- The log -----------------------------------------------------------------------------------------------------
    async def logged(self, image: str, rows: list[ops.ViewRow]) -> list[ops.ViewRow]:
        """Return the directory's log of an image, newest first, with the views that it forgot; both are kept."""
        await self.saw_views(image, rows)
        seen = await self._context.store.run(
            lambda store: store.all("SELECT * FROM seen_views WHERE image = :image", image=image)
        )
        listed = {row.view for row in rows}
        forgotten = [
            ops.ViewRow(
                view=str(row["view"]),
                viewer=int(row["viewer"]),
                viewer_name=str(row["viewer_name"]),
                at=float(row["at"]),
                left=int(row["left"]),
                taken=True,
                grant=row["grant_id"],
                consumed=int(row["consumed"]),
            )
            for row in seen
            if row["view"] not in listed
        ]
        return sorted([*rows, *forgotten], key=lambda row: -row.at)


def is_for(number: int, record: bytes, viewer: int, key: bytes | None) -> bool:
    """Tell whether a grant, held by account `number` under this record, is for `viewer`, whose key is `key` if known.

    Raises `RemoteError` for a record that cannot be read.
    """
    return number == viewer or (key is not None and decode_record(record).viewer_key == key)


def _side(record: RightsRecord, viewer: int, data: bytes, consumed: int, *, frozen: bool) -> GrantSide:
    return GrantSide(
        record.grant_id, record.image_id, viewer, data, record.version, consumed, record.revoked, frozen=frozen
    )


def _stored(row: sqlite3.Row) -> GrantSide | None:
    try:
        record = decode_record(bytes(row["record"]))
        side = _side(record, int(row["viewer"]), bytes(row["record"]), int(row["consumed"]), frozen=False)
    except (RemoteError, TypeError, ValueError) as error:
        log.warning("a grant in the store cannot be read", extra={"grant": str(row[0]), "reason": str(error)})
        return None
    return replace(side, remakeable=bool(row["remakeable"]), wishes=_stored_wishes(row["wishes"]))


def _stored_wishes(data: bytes | None) -> tuple[ops.WishDone, ...]:
    """Return wishes as they were stored; none where that cannot be read."""
    try:
        return () if data is None else msgspec.json.decode(data, type=ops.WishesDone)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return ()


def _keep(store: Store, side: GrantSide, share: bytes | None, signature: bytes | None) -> None:
    """Merge what is told of a grant into the store: nothing that is known goes down."""
    row = store.one(f"{_KEPT} WHERE grant_id = :grant", grant=side.grant)
    held = None if row is None else _stored(row)
    newer = held is None or side.version >= held.version
    if held is not None and held.revoked and not side.revoked:
        newer = False
    best = side if newer or held is None else held
    wishes = best.wishes  # another record may contain others, so that they are replaced together with it
    if held is not None and held.record == best.record and not wishes:
        wishes = held.wishes
    store.do(
        "INSERT INTO given (grant_id, image, viewer, record, version, consumed, cloud_share, share_signature, wishes)"
        " VALUES (:grant, :image, :viewer, :record, :version, :consumed, :cloud_share, :signature, :wishes)"
        " ON CONFLICT (grant_id) DO UPDATE SET image = :image, viewer = :viewer, record = :record, version = :version,"
        " consumed = max(:consumed, CASE typeof(consumed) WHEN 'integer' THEN consumed ELSE 0 END),"
        " wishes = :wishes, cloud_share = COALESCE(cloud_share, :cloud_share),"
        " share_signature = COALESCE(share_signature, :signature)",
        grant=side.grant,
        image=side.image,
        viewer=side.viewer,
        record=best.record,
        version=best.version,
        consumed=side.consumed,
        cloud_share=share,
        signature=signature,
        wishes=msgspec.json.encode(wishes) if wishes else None,
    )


def _keep_view(store: Store, image: str, view: ops.ViewRow) -> int:
    """Keep a view and the count it came to; return 1 for a view that was not known."""
    new = store.do(
        "INSERT OR IGNORE INTO seen_views (view, image, viewer, viewer_name, at, left, grant_id, consumed)"
        " VALUES (:view, :image, :viewer, :name, :at, :left, :grant, :consumed)",
        view=view.view,
        image=image,
        viewer=view.viewer,
        name=clean(view.viewer_name),
        at=view.at,
        left=view.left,
        grant=view.grant,
        consumed=view.consumed,
    )
    if view.grant is not None:
        store.do(
            "UPDATE given SET consumed = max(consumed, :consumed) WHERE grant_id = :grant",
            consumed=view.consumed,
            grant=view.grant,
        )
    return new
