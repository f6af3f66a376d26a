"""Looking at pictures: one's own free, others' for a view that the ledger counts before anything is shown."""

import hashlib
import sqlite3
from pathlib import Path

import anyio
import anyio.to_thread
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from shared.config import VIEW_REPEAT_S
from shared.errors import DamagedStego, RemoteError, Unavailable, ViewRefused
from shared.records import decode_record
from shared.rights import open_owner_share, unlock
from shared.sealing import open_picture
from shared.stego import container
from shared.viewkeys import open_share, spend_signature
from shared.wire import operations as ops
from tui.peer import files
from tui.peer.context import Context
from tui.peer.copies import Copies
from tui.peer.events import RightsUpdated
from tui.peer.models import View


class Viewing:
    """Opens pictures."""

    def __init__(self, context: Context, copies: Copies) -> None:
        self._context = context
        self._copies = copies

    async def view(self, image: str) -> View:
        """Open a picture. For another's image this spends one view, unless an earlier look was never finished.

        Raises `ViewRefused` with the ledger's reason, `Unavailable` without the cloud (nothing is spent and nothing is
        queued), `DamagedStego` before anything is spent if the file is not what arrived.
        """
        row = await self._context.store.run(
            lambda s: s.one("SELECT * FROM own_images WHERE image = :image AND ready = 1", image=image)
        )
        if row is not None:
            return await self._own(image, row["title"], bytes(row["content_key"]))
        held = await self._context.store.run(
            lambda s: s.one(
                "SELECT * FROM held WHERE image = :image ORDER BY revoked, received DESC, rowid DESC", image=image
            )
        )
        if held is None:
            raise ViewRefused("not_found", "You hold no such image; ask its owner for it.")
        if not held["received"]:
            raise ViewRefused(
                "not_ready", "The image is still on its way; its owner's peer sends it when both are online."
            )
        return await self._granted(held)

    async def stego_path(self, image: str) -> Path | None:
        """Return where the stego image of a picture lies, None if this profile does not have it."""
        folder = self._context.profile.images
        row = await self._context.store.run(
            lambda s: s.one(
                "SELECT grant_id, 0 AS own FROM held WHERE image = :image AND received = 1"
                " UNION ALL SELECT image, 1 FROM own_images WHERE image = :image AND ready = 1"
                " ORDER BY own DESC LIMIT 1",
                image=image,
            )
        )
        if row is None:
            return None
        return files.own_path(folder, image) if row["own"] else files.held_path(folder, str(row["grant_id"]))

    async def _own(self, image: str, title: str, content_key: bytes) -> View:
        path = files.own_path(self._context.profile.images, image)
        async with self._context.files:
            sealed = await _reveal(path, image)
        owner = self._context.identity.public.signing_key
        data = await anyio.to_thread.run_sync(
            lambda: open_picture(content_key, sealed, owner_key=owner, image_id=image)
        )
        return View(image, title, data, None)

    async def _granted(self, held: sqlite3.Row) -> View:
        context = self._context
        grant, image = str(held["grant_id"]), str(held["image"])
        sealed = await self._sealed(held)
        record = decode_record(bytes(held["record"]))
        open_owner_share(record, context.identity)  # a record that is not for these keys must cost no view
        view, ephemeral, resumed = await self._begin(grant)
        try:
            spent = await self._spend(grant, view, ephemeral)
        except ViewRefused as refusal:
            if not (resumed and refusal.code == "repeat_over"):
                raise
            # The earlier look was finished after all, or too long ago: this one is a new look.
            view, ephemeral, _ = await self._begin(grant)
            spent = await self._spend(grant, view, ephemeral)
        share = open_share(
            _raw(ephemeral), spent.sealed_share, cluster_id=context.cluster.cluster_id, grant_id=grant, view_id=view
        )
        content_key = unlock(record, context.identity, share)
        data = await anyio.to_thread.run_sync(
            lambda: open_picture(content_key, sealed, owner_key=record.owner_key, image_id=image)
        )
        await self._taken(view)
        await self._count(held, spent.left)
        return View(image, str(held["title"]), data, spent.left)

    async def _sealed(self, held: sqlite3.Row) -> bytes:
        """Return what a held image hides. Where that is not what arrived, the copy counts as missing from now on."""
        path = files.held_path(self._context.profile.images, held["grant_id"])
        try:
            async with self._context.files:
                return await _reveal(path, str(held["image"]), bytes(held["sealed_sha256"]))
        except DamagedStego:
            await self._copies.miss(str(held["grant_id"]))
            raise

    async def _begin(self, grant: str) -> tuple[str, X25519PrivateKey, bool]:
        """Return the id and key of a look that was begun and not finished (True), or begin one; on disk either way."""
        now = self._context.wall()
        row = await self._context.store.run(
            lambda s: s.one("SELECT view, ephemeral, since FROM pending_views WHERE grant_id = :g", g=grant)
        )
        if row is not None and now - row["since"] < VIEW_REPEAT_S - 60:
            return str(row["view"]), X25519PrivateKey.from_private_bytes(bytes(row["ephemeral"])), True
        view, ephemeral = self._context.new_id(), X25519PrivateKey.from_private_bytes(self._context.entropy(32))
        raw = _raw(ephemeral)
        await self._context.store.run(
            lambda s: s.put("pending_views", grant_id=grant, view=view, ephemeral=raw, since=now)
        )
        return view, ephemeral, False

    async def _spend(self, grant: str, view: str, ephemeral: X25519PrivateKey) -> ops.ViewSpent:
        context = self._context
        public = ephemeral.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        signature = spend_signature(context.identity, context.cluster.cluster_id, grant, view, public)
        operation = ops.SpendView(grant=grant, ephemeral_key=public, signature=signature)
        try:
            outcome, _ = await context.cloud.ask(operation, request=view)
        except ViewRefused as refusal:
            await self._forget(grant)
            await self._refused(grant, refusal.code)
            raise
        except Unavailable as error:
            raise Unavailable(f"Views need the cloud. {error}") from error
        if not isinstance(outcome, ops.ViewSpent) or (outcome.view, outcome.grant) != (view, grant):
            raise RemoteError("the cloud answered a view with something else")
        return outcome

    async def _taken(self, view: str) -> None:
        try:
            await self._context.cloud.ask(ops.TakenView(view=view), request=self._context.new_id())
        except Unavailable as error:
            raise Unavailable(
                "The view is counted, but the cloud went away before the picture could be shown;"
                " open it again within ten minutes, it costs no other view."
            ) from error

    async def _count(self, held: sqlite3.Row, left: int) -> None:
        grant = str(held["grant_id"])
        await self._context.store.run(
            lambda s: s.do(
                "UPDATE held SET consumed = granted - :left WHERE grant_id = :g AND granted >= :left",
                left=left,
                g=grant,
            )
        )
        await self._forget(grant)
        path = files.held_path(self._context.profile.images, grant)
        async with self._context.files:
            await files.rewrite_rights(self._context.store, path, decode_record(bytes(held["record"])), left)
        self._context.events.emit(RightsUpdated(str(held["image"]), grant, left, revoked=False))

    async def _forget(self, grant: str) -> None:
        await self._context.store.run(lambda s: s.do("DELETE FROM pending_views WHERE grant_id = :g", g=grant))

    async def _refused(self, grant: str, code: str) -> None:
        if code == "no_views":
            await self._context.store.run(
                lambda s: s.do("UPDATE held SET consumed = max(granted, consumed) WHERE grant_id = :g", g=grant)
            )


async def _reveal(path: Path, image: str, digest: bytes | None = None) -> bytes:
    """Return what a stego image hides. Raises `DamagedStego`, also where that has not the digest given."""

    def read() -> bytes:
        try:
            png = path.read_bytes()
        except OSError:
            raise DamagedStego("The image file is gone from this profile; ask its owner to send it again.") from None
        sealed = container.reveal(png, image_id=bytes.fromhex(image))
        if digest is not None and hashlib.sha256(sealed).digest() != digest:
            raise DamagedStego("The image file was changed since it arrived; ask its owner to send it again.")
        return sealed

    return await anyio.to_thread.run_sync(read)


def _raw(key: X25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
