"""What this peer knows of the rights that it holds: for each grant (record version, consumed), both only ever growing.

Mail, an owner's notice, an answer of the ledger and a list of grants all tell of the same two numbers, in any order.
The higher version and the higher count hold; what is left is computed from them and stored nowhere. The rights strip of
a stego image displays them. What the disk does not take is known all the same, and written at the next occasion.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

from shared.decoding.cancelling import cancellable
from shared.errors import GlimpseError, MalformedMessage, RemoteError, Unavailable
from shared.identity import words_of
from shared.ledger import LedgerState, refusal
from shared.records import RightsRecord, decode_record, encode_record
from shared.rights import supersedes, verify_record, with_left
from shared.sealed_record import seal_record
from shared.stego import container
from shared.text import clean
from shared.wire import operations as ops
from shared.wire.refusals import RefusalCode
from tui.peer import files
from tui.peer.context import Context
from tui.peer.events import RightsUpdated
from tui.peer.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Right:
    """A right that this peer holds, as far as it knows."""

    image: str
    title: str
    record: RightsRecord
    """The owner's newest word that is known here; its signature holds."""
    consumed: int
    """Views spent, the highest count that anybody told."""
    received: bool
    """Whether the stego image is here."""
    owner_name: str = ""
    """The name that this device knows for the key that signed the record; empty for a key that it has not met."""

    @property
    def left(self) -> int:
        """Views left, whatever the expiry."""
        return 0 if self.record.revoked else max(0, self.record.granted - self.consumed)

    def refusal(self, now: float) -> RefusalCode | None:
        """Return why a look at `now` (the directory's clock) would be refused, None where nothing known speaks so."""
        record = self.record
        state = LedgerState(
            record.granted, self.consumed, expires=record.expires, revoked=record.revoked, version=record.version
        )
        return refusal(state, now)


@dataclass(frozen=True, slots=True)
class _News:
    """What was told of a grant and may not be in the store yet."""

    record: RightsRecord | None
    consumed: int

    def with_(self, record: RightsRecord | None, consumed: int) -> "_News":
        """Return both together."""
        newest = self.record
        if newest is None or (record is not None and record.version > newest.version):
            newest = record
        return _News(newest, max(self.consumed, consumed))


class Holding:
    """Keeps what is known of the rights on others' images."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._unwritten: dict[str, _News] = {}
        """By grant: told, and not in the store or not in the rights strip yet."""

    async def right(self, grant: str) -> Right | None:
        """Return what is known of a grant, None for one that is not held, or whose record can no longer be read."""
        found = await self._context.store.run(lambda store: _read(store, grant))
        return None if found is None else self._with_news(grant, found)

    def consumed(self, grant: str, stored: int) -> int:
        """Return the views spent on a grant of which the store says `stored`."""
        news = self._unwritten.get(grant)
        return stored if news is None else max(stored, news.consumed)

    async def take(self, row: ops.GrantRow, record: RightsRecord, owner_name: str = "") -> None:
        """Take over a grant as the cloud tells it; `record` is the row's, and known to be its owner's word.

        `owner_name` is what this device knows the owner by; the row's own name for it proves nothing.

        Raises `RemoteError` for a record that cannot be a later word on what is held, `StorageError` or `ProfileError`
        where it could not be written: a grant that is held already is known in its new state all the same.
        """
        if await self.right(row.grant) is None:
            await self._context.store.run(lambda store: _insert(store, row, record, owner_name))
            if (right := await self.right(row.grant)) is not None:
                self._tell(row.grant, right)
        else:
            await self.learn(row.grant, record=record, consumed=row.consumed)

    async def learn(self, grant: str, *, record: RightsRecord | None = None, consumed: int = 0) -> Right | None:
        """Take over a record, a count, or both; return what is known then, None where the grant is not held.

        Raises as `take` does.
        """
        held = await self.right(grant)
        if held is None:
            return None
        if record is not None and not supersedes(held.record, record):
            record = None
        self._unwritten[grant] = self._unwritten.get(grant, _News(None, 0)).with_(record, consumed)
        await self._write(grant, held)
        return await self.right(grant)

    async def own_up(self, rows: Iterable[ops.GrantRow]) -> None:
        """Tell the directory, once for each of these grants as it listed them, where it is behind what is known here.

        Only a restored directory is. Nobody may ever look again at a grant that was revoked since, or that has no views
        left, and a look would be the other way to tell. What the cloud does not take now is told at the next sign-in.
        """
        for row in rows:
            try:
                right = await self.right(row.grant)
                if right is None or (right.record.version <= row.version and right.consumed <= row.consumed):
                    continue
                told = ops.KnownCount(
                    grant=row.grant,
                    version=right.record.version,
                    consumed=right.consumed,
                    record=encode_record(right.record) if right.record.version > row.version else None,
                )
                await self._context.cloud.ask(told, request=self._context.new_id())
            except Unavailable as error:
                log.info("what is known of rights is told later", extra={"reason": str(error)})
                return
            except GlimpseError as error:
                log.warning("the cloud was not told of a right", extra={"grant": row.grant, "reason": str(error)})

    async def tell(self, grant: str) -> None:
        """Tell whoever listens how a right stands: something changed that neither record nor count says.

        Of a revoked right nothing more is told: its viewer would hear of the revocation again.
        """
        if (right := await self.right(grant)) is not None and not right.record.revoked:
            self._tell(grant, right)

    async def mend(self) -> None:
        """Try again to write what could not be written before; never raises for that."""
        for grant in list(self._unwritten):
            try:
                await self._write(grant)
            except GlimpseError as error:
                log.warning("rights are still not written", extra={"grant": grant, "reason": str(error)})

    # --- Inside ------------------------------------------------------------------------------------------------------
    def _with_news(self, grant: str, right: Right) -> Right:
        news = self._unwritten.get(grant)
        if news is None:
            return right
        newer = news.record is not None and news.record.version > right.record.version
        record = news.record if newer and news.record is not None else right.record
        return replace(right, record=record, consumed=max(right.consumed, news.consumed))

    async def _write(self, grant: str, held: Right | None = None) -> None:
        """Bring the store and the rights strip to what is known; what fails stays noted.

        `held` is what was known before there was news: whoever shows the picture hears of a revocation also where the
        disk does not take it.
        """
        news = self._unwritten.get(grant)
        if news is None:
            return
        try:
            before, after = await self._context.store.run(lambda store: _merge(store, grant, news))
        except GlimpseError:
            if held is not None and (known := self._with_news(grant, held)) != held:
                self._tell(grant, known)
            raise
        if after is not None:
            over = before is not None and before.record.revoked
            if before != after and not over:
                self._tell(grant, after)
            if after.received:
                await self._display(grant, after)
        if self._unwritten.get(grant) is news:
            del self._unwritten[grant]

    async def _display(self, grant: str, right: Right) -> None:
        """Write the rights into the strip of the stego image, where it displays others."""
        context = self._context
        path = files.held_path(context.profile.images, grant)
        owner_key = await context.store.run(lambda store: _owner_key(store, grant))
        if owner_key is None:
            log.warning(
                "the owner of a grant is not known here; its image displays older rights", extra={"grant": grant}
            )
            return
        shown = seal_record(with_left(right.record, right.left), context.identity.session_private, owner_key)

        def stands() -> bool:
            try:
                return container.read_record(path) == shown
            except (GlimpseError, OSError):
                return False

        async with context.files:
            if not await cancellable(stands):
                await files.rewrite_rights(context.store, path, shown, image=right.image)

    def _tell(self, grant: str, right: Right) -> None:
        record = right.record
        self._context.news(
            RightsUpdated(
                right.image,
                grant,
                right.left,
                record.revoked,
                right.title,
                expires=record.expires,
                look_s=record.look_s,
                owner_name=right.owner_name,
                owner_words=words_of(record.owner_key),
            )
        )


def belongs(record: RightsRecord, row: ops.GrantRow, viewer_key: bytes) -> None:
    """Check that a record is its owner's word on just this grant, for this viewer. Raises `RemoteError` if not."""
    verify_record(record)
    if (record.grant_id, record.image_id, record.viewer_key) != (row.grant, row.image, viewer_key):
        raise MalformedMessage("a rights record that does not belong to this grant")


def _read(store: Store, grant: str) -> Right | None:
    row = store.one(
        "SELECT image, title, record, consumed, received, accounts.name AS name, signing_key FROM held"
        " LEFT JOIN accounts ON account = owner WHERE grant_id = :g",
        g=grant,
    )
    if row is None:
        return None
    try:
        record = decode_record(bytes(row["record"]))
    except RemoteError:
        log.warning("a stored rights record cannot be read; the cloud is asked for it again", extra={"grant": grant})
        return None
    name = clean(str(row["name"])) if row["signing_key"] == record.owner_key else ""
    return Right(str(row["image"]), str(row["title"]), record, int(row["consumed"]), bool(row["received"]), name)


def _owner_key(store: Store, grant: str) -> bytes | None:
    """Return the session key of a grant's owner."""
    row = store.one(
        "SELECT session_key FROM accounts JOIN held ON held.owner = accounts.account WHERE grant_id = :g", g=grant
    )
    return None if row is None else bytes(row["session_key"])


def _insert(store: Store, row: ops.GrantRow, record: RightsRecord, owner_name: str) -> None:
    store.do(
        "INSERT INTO held (grant_id, image, owner, owner_name, title, record, version, granted, consumed,"
        " expires, revoked, look_s) VALUES (:g, :image, :owner, :owner_name, :title, :record, :version, :granted,"
        " :consumed, :expires, :revoked, :look_s) ON CONFLICT (grant_id) DO UPDATE SET record = :record,"
        " version = :version, granted = :granted, consumed = max(consumed, :consumed), expires = :expires,"
        " revoked = :revoked, look_s = :look_s WHERE version <= :version",
        g=row.grant,
        image=row.image,
        owner=row.owner,
        owner_name=owner_name,
        title=clean(row.title),
        record=row.record,
        version=record.version,
        granted=record.granted,
        consumed=row.consumed,
        expires=record.expires,
        revoked=int(record.revoked),
        look_s=record.look_s,
    )


def _merge(store: Store, grant: str, news: _News) -> tuple[Right | None, Right | None]:
    """Raise a grant's row to what is known, in one transaction; return it before and after."""
    before = _read(store, grant)
    if before is None:
        return None, None
    record = news.record
    if record is not None and record.version > before.record.version:
        store.do(
            "UPDATE held SET record = :record, version = :version, granted = :granted, expires = :expires,"
            " revoked = :revoked, look_s = :look_s WHERE grant_id = :g",
            g=grant,
            record=encode_record(record),
            version=record.version,
            granted=record.granted,
            expires=record.expires,
            revoked=int(record.revoked),
            look_s=record.look_s,
        )
    store.do("UPDATE held SET consumed = max(consumed, :consumed) WHERE grant_id = :g", g=grant, consumed=news.consumed)
    return before, _read(store, grant)
