"""Which "there is no such thing" of the cloud is only for now: the one rule by which a refused outbox row is kept.

The directory deletes no account, image, grant or request. What this peer has known can be missing there only because
the directory was restored from a backup, and comes back: an account with its peer, an image and a grant with the peer
of their owner, a request with the peer of whoever asked. What this peer has never known may be a mistake of its user
and is refused at once, unless it waited here since before a restore.

    what waits                missing       is kept
    a grant                   the viewer    if this peer has met the account, or it was there when the grant was signed
                              the image     always: it is one's own, and made known again from here
    a change or revocation    the grant     if it is known here and not revoked, or was there when the change was signed
    a stego image             the viewer    if this peer has met the account and the picture is here
    a request for views       the image     for a week, if it was in a list, or is asked for or held
    an answer, a withdrawal   the request   never: it is noted here, and given when the request comes back
    the end of a look         the view      never: nobody misses it
"""

from typing import Final

import anyio.to_thread

from shared.errors import MalformedMessage
from shared.wire import operations as ops
from shared.wire.codec import decode
from tui.peer import files
from tui.peer.context import Context
from tui.peer.copies import COPY, CopyTask
from tui.peer.given import GivenGrants
from tui.peer.granting import GRANT, REVOCATION, RIGHTS, GiveIntent, RightsIntent, signed_operation
from tui.peer.outbox import FIRST_TRY_S, OPERATION, unpacked
from tui.peer.store import OutboxRow, Store
from tui.peer.view_requests import stored_ask

RESTORED_AT: Final = "restored_at"
"""Name of the fact that says when a restore was found, in seconds since 1970 by this machine's clock."""
_STILL_COMES_S: Final = 7 * 86_400.0
"""How long what only another person's peer can bring back is waited for, where this peer cannot know that it will."""
_EPOCH_HEARD_KEEP_ALIVES: Final = 3
"""Keep-alives for which what waited is kept at least: one of them tells of a restore, if there was any."""
ROW_CAP_BYTES: Final = 65_536
"""Of an operation that waits in the outbox."""
_MET = (
    "SELECT 1 FROM accounts WHERE account = :account UNION ALL SELECT 1 FROM given WHERE viewer = :account"
    " UNION ALL SELECT 1 FROM held WHERE owner = :account UNION ALL SELECT 1 FROM offers WHERE owner = :account"
    " UNION ALL SELECT 1 FROM seen_views WHERE viewer = :account LIMIT 1"
)
_SEEN_IMAGE = "SELECT 1 FROM offers WHERE image = :image UNION ALL SELECT 1 FROM held WHERE image = :image LIMIT 1"


class Missing:
    """Tells of rows that the cloud refused as `not_found` whether what they are about comes back."""

    def __init__(self, context: Context, given: GivenGrants) -> None:
        self._context = context
        self._given = given
        self._missed_at: dict[str, float] = {}
        """Rows that waited while the cloud was away and then met nothing: when they did so first."""

    async def comes_back(self, row: OutboxRow) -> bool:
        """Return whether a row that was refused as `not_found` is kept. Raises `Unreadable`."""
        if row.kind == GRANT:
            return await self._viewer_comes_back(row, unpacked(row, GiveIntent))
        if row.kind in (RIGHTS, REVOCATION):
            return await self._grant_comes_back(row, unpacked(row, RightsIntent))
        if row.kind == COPY:
            return await self._copy_can_go(unpacked(row, CopyTask))
        operation = operation_in(row)
        return isinstance(operation, ops.AskViews) and await self._image_comes_back(row, operation.image)

    def forget(self, row: OutboxRow) -> None:
        """Take note that a row has left the outbox."""
        self._missed_at.pop(row.request, None)

    async def _viewer_comes_back(self, row: OutboxRow, intent: GiveIntent) -> bool:
        if row.signed is not None or intent.listed or await self._has_met(intent.viewer):
            return True
        return await self._waited_since_before_a_restore(row)

    async def _grant_comes_back(self, row: OutboxRow, intent: RightsIntent) -> bool:
        if await self._given.standing(intent.image, intent.viewer) is not None:
            return True
        if row.signed is None:
            return False
        known = await self._given.find(signed_operation(row).grant)
        return known is None or not known.revoked

    async def _copy_can_go(self, task: CopyTask) -> bool:
        path = files.own_path(self._context.profile.images, task.image)
        return await anyio.to_thread.run_sync(path.exists) and await self._has_met(task.viewer)

    async def _image_comes_back(self, row: OutboxRow, image: str) -> bool:
        def is_known(store: Store) -> bool:
            if store.one(_SEEN_IMAGE, image=image) is not None:
                return True
            asks = store.all("SELECT row FROM asks WHERE incoming = 0")
            return any(ask is not None and ask.image == image for ask in (stored_ask(one["row"]) for one in asks))

        since = max(row.since, await self._restored_at() or row.since)
        if self._may_still_come(since) and await self._context.store.run(is_known):
            return True
        return await self._waited_since_before_a_restore(row)

    async def _has_met(self, account: int) -> bool:
        """Return whether this device has ever had to do with an account: it was there once."""

        def met(store: Store) -> bool:
            if store.one(_MET, account=account) is not None:
                return True
            asks = (stored_ask(one["row"]) for one in store.all("SELECT row FROM asks"))
            return any(ask is not None and account in (ask.owner, ask.viewer) for ask in asks)

        return await self._context.store.run(met)

    # --- What this peer never knew -----------------------------------------------------------------------------------
    async def _waited_since_before_a_restore(self, row: OutboxRow) -> bool:
        """Return whether a row may miss what was there when it was stored, in a directory that was restored since."""
        restored_at = await self._restored_at()
        if restored_at is not None and row.since <= restored_at and self._may_still_come(restored_at):
            return True
        return self._restore_may_be_untold(row)

    def _may_still_come(self, since: float) -> bool:
        return self._context.wall() < since + _STILL_COMES_S

    async def _restored_at(self) -> float | None:
        text = await self._context.store.run(lambda store: store.fact(RESTORED_AT))
        return None if text is None else float(text)

    def _restore_may_be_untold(self, row: OutboxRow) -> bool:
        """Return whether a row that waited may have met a restored directory before this peer was told of the
        restore."""
        context = self._context
        if context.wall() - row.since <= FIRST_TRY_S:
            return False  # its caller waits, and is told
        first = self._missed_at.setdefault(row.request, context.clock())
        return context.clock() - first < _EPOCH_HEARD_KEEP_ALIVES * context.timing.keep_alive_s


def operation_in(row: OutboxRow) -> ops.Operation | None:
    """Return the operation that a row of the outbox is, None for anything else."""
    if row.kind != OPERATION:
        return None
    try:
        operation: ops.Operation = decode(row.body, ops.Operation, cap_bytes=ROW_CAP_BYTES)
    except MalformedMessage:
        return None  # the outbox says so
    return operation
