"""Stego images on their way from an owner's peer to a viewer's peer, each with the viewer's own rights record."""

import hashlib
import logging
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from shared.net.endpoint import Incoming, Offer, Session

from shared.config import MAX_STEGO_BYTES
from shared.errors import GlimpseError, MalformedMessage, Refused, TransferCancelled, TransferFailed, Unavailable
from shared.records import decode_record, encode_record
from shared.rights import with_left
from shared.stego import container
from shared.wire.codec import encode
from shared.wire.labels import MAX_LABEL_BYTES, CopyObject
from tui.peer import files
from tui.peer.context import Context
from tui.peer.events import CopyProgress, ImageReceived
from tui.peer.outbox import Outbox, packed
from tui.peer.people import People
from tui.peer.store import OutboxRow

log = logging.getLogger(__name__)

COPY = "copy"


class CopyTask(msgspec.Struct, frozen=True):
    """A copy that a viewer should have."""

    grant: str
    image: str
    viewer: int
    record: bytes
    left: int


class Copies:
    """Sends copies as an owner, takes them as a viewer."""

    def __init__(self, context: Context, people: People, outbox: Outbox) -> None:
        self._context = context
        self._people = people
        self._outbox = outbox
        self._taking: set[str] = set()
        outbox.handle(COPY, self._deliver)

    # --- As the owner ------------------------------------------------------------------------------------------------
    async def queue(self, task: CopyTask) -> None:
        """Store that a viewer should have a copy; it goes as soon as both are online."""
        request = hashlib.sha256(b"copy" + bytes.fromhex(task.grant)).digest()[:16].hex()
        body, since = packed(task), self._context.wall()
        await self._context.store.run(
            lambda store: store.do(
                "INSERT OR IGNORE INTO outbox (request, kind, what, body, since)"
                " VALUES (:request, :kind, 'stego image', :body, :since)",
                request=request, kind=COPY, body=body, since=since,
            )
        )  # fmt: skip
        self._outbox.wake()

    async def _deliver(self, row: OutboxRow, wait_s: float) -> None:
        context = self._context
        task = msgspec.json.decode(row.body, type=CopyTask)
        viewer = await self._people.find(task.viewer, wait_s=wait_s)
        if viewer.host is None or viewer.port is None:
            raise Unavailable(f"{viewer.name} is away; the image goes when both are online.")
        path = files.own_path(context.profile.images, task.image)
        data = await anyio.to_thread.run_sync(_copy_of, path, task)
        session = await context.endpoint.connect((viewer.host, viewer.port), viewer.session_key)
        label = encode(CopyObject(grant=task.grant, image=task.image), cap_bytes=MAX_LABEL_BYTES)

        def report(done: int, total: int) -> None:
            context.events.emit(CopyProgress(task.grant, sending=True, done=done, total=total))

        try:
            await context.endpoint.send_object(session, label, data, progress=report)
        except Refused as refusal:
            if refusal.code == "held":
                return
            raise Unavailable(f"{viewer.name} cannot take the image now: {refusal}") from refusal
        except TransferCancelled as error:
            raise Unavailable(f"{viewer.name} stopped the transfer; it goes on later.") from error

    # --- As the viewer -----------------------------------------------------------------------------------------------
    def offered(self, session: Session, label: CopyObject, offer: Offer) -> Incoming | None:
        """Accept a copy; whether it is one that was granted is checked before it is kept."""
        if offer.size > MAX_STEGO_BYTES or label.grant in self._taking:
            raise Refused("not_ready", "This image is being received.")
        self._taking.add(label.grant)
        total = offer.size

        def report(done: int, _total: int) -> None:
            self._context.events.emit(CopyProgress(label.grant, sending=False, done=done, total=total))

        incoming = Incoming(progress=report)
        self._context.tasks.start_soon(self._take, session, label, incoming)
        return incoming

    async def granted(self, session_key: bytes, grant: str) -> str | None:
        """Return why a copy from this sender is not welcome: "held", "not_ready", or None if it is."""
        row = await self._context.store.run(
            lambda store: store.one(
                "SELECT held.received AS received, accounts.session_key AS session_key FROM held"
                " JOIN accounts ON accounts.account = held.owner WHERE grant_id = :grant",
                grant=grant,
            )
        )
        if row is None or row["session_key"] != session_key:
            return "not_ready"
        return "held" if row["received"] else None

    async def _take(self, session: Session, label: CopyObject, incoming: Incoming) -> None:
        try:
            if (unwelcome := await self.granted(session.remote_key, label.grant)) is not None:
                incoming.cancel()
                log.info("an image was not taken", extra={"grant": label.grant, "reason": unwelcome})
                if unwelcome == "not_ready":
                    self._context.cloud.on_mail()
                return
            data = await incoming.wait()
            await self._keep(label, data)
        except (GlimpseError, TransferFailed) as error:
            log.info("an image was not received", extra={"grant": label.grant, "reason": str(error)})
        finally:
            self._taking.discard(label.grant)

    async def _keep(self, label: CopyObject, data: bytes) -> None:
        context = self._context
        row = await context.store.run(
            lambda store: store.one("SELECT record, granted, consumed FROM held WHERE grant_id = :g", g=label.grant)
        )
        if row is None:
            raise MalformedMessage("an image without a grant")
        sealed = await anyio.to_thread.run_sync(lambda: container.reveal(data, image_id=bytes.fromhex(label.image)))
        digest = hashlib.sha256(sealed).digest()
        path = files.held_path(context.profile.images, label.grant)
        record = decode_record(bytes(row["record"]))
        left = max(0, row["granted"] - row["consumed"])
        current = await anyio.to_thread.run_sync(
            lambda: container.replace_record(data, encode_record(with_left(record, left)))
        )
        await files.write_whole(path, current)
        await context.store.run(
            lambda store: store.do(
                "UPDATE held SET received = 1, sealed_sha256 = :digest WHERE grant_id = :grant",
                digest=digest, grant=label.grant,
            )
        )  # fmt: skip
        context.events.emit(ImageReceived(label.image, label.grant))


def _copy_of(path: Path, task: CopyTask) -> bytes:
    try:
        png = path.read_bytes()
    except OSError:
        raise Refused(
            "not_found", "The stego image is no longer in this profile; encrypt the picture again and share that."
        ) from None
    return container.replace_record(png, encode_record(with_left(decode_record(task.record), task.left)))
