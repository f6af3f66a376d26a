"""Encrypting a picture: sealed here, hidden by a node that never sees it, checked when it comes back."""

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from shared.config import MAX_TITLE_CHARS, PREVIEW_MAX_BYTES
from shared.decoding.cancelling import cancellable
from shared.errors import DamagedStego, GlimpseError, InvalidInput, RemoteError, Unavailable
from shared.rights import create_owner_record
from shared.sealed_record import seal_record
from shared.sealing import seal_picture
from shared.stego import container, covers, pictures
from shared.text import is_clean
from shared.wire import operations as ops
from shared.wire.upload import Upload, encode_upload
from tui.peer import files
from tui.peer.context import Context
from tui.peer.mending import sound_receipt
from tui.peer.models import MyImage
from tui.peer.previews import Previews

log = logging.getLogger(__name__)

_WAIT_S = 60.0
_FORGOTTEN_S = 3600.0
"""When an attempt that did not end well can no longer have become an image of the cloud."""
_LOOK_S = (1.0, 15.0)
"""The first and the longest pause between looks at what became of an attempt that was just given up."""
_LOOKED_FOR_S = 300.0
"""How long it is looked for; a node that got all of it has long finished by then. Later `settle` sees to it."""
Progress = Callable[[str, int, int], None]
"""Stage (`reading`, `sealing`, `sending`, `hiding`, `receiving`, `checking`), bytes done, bytes in all."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    info: pictures.PictureInfo
    sealed: bytes
    upload: bytes
    content_key: bytes


class Encrypting:
    """Makes stego images of one's own pictures."""

    def __init__(self, context: Context, looked: anyio.Event) -> None:
        """`looked` is set once the pictures that lie in the profile were looked at: one of them may be an attempt that
        came to its end, and is kept."""
        self._context = context
        self._looked = looked
        self._settle_earlier = False
        self._under_way: set[str] = set()
        self._given_up: dict[str, float] = {}
        """Attempts of this session that nobody waits for any more, and when they were given up, by `clock`."""
        self._another = anyio.Event()
        self._previews = Previews(context)

    async def encrypt(self, path: Path, title: str | None, cover: Path | None, progress: Progress | None) -> MyImage:
        """Seal, send, receive, check, keep. Nothing of it stays if it fails; the original is never touched."""
        context = self._context
        context.need_account()
        shown = _title(path, title)
        report = progress or (lambda _stage, _done, _total: None)
        image = context.new_id()
        self._under_way.add(image)
        try:
            report("sealing", 0, 1)
            prepared = await cancellable(self._prepare, path, cover, image)
            await self._note(image)
            return await self._attempt(image, prepared, shown, report)
        finally:
            self._under_way.discard(image)

    async def _attempt(self, image: str, prepared: _Prepared, title: str, report: Progress) -> MyImage:
        """Have a sealed picture hidden; what came of it in the cloud is withdrawn if it is not kept here."""
        try:
            return await self._hide(image, prepared, title, report)
        except BaseException:
            self._given_up[image] = self._context.clock()
            self._another.set()
            raise

    async def _hide(self, image: str, prepared: _Prepared, title: str, report: Progress) -> MyImage:
        context = self._context
        info = prepared.info
        operation = ops.Encrypt(
            image=image,
            title=title,
            format=info.format,
            width=info.width,
            height=info.height,
            original_size=info.bytes,
            upload_size=len(prepared.upload),
            upload_sha256=hashlib.sha256(prepared.upload).digest(),
        )
        outcome, stego = await context.cloud.ask(
            operation, request=context.new_id(), wait_s=_WAIT_S, upload=prepared.upload, progress=report
        )
        if not isinstance(outcome, ops.Encrypted) or outcome.image != image or stego is None:
            raise RemoteError("the cloud answered an encryption with something else")
        report("checking", 0, 1)
        await cancellable(_check, stego, image, prepared.sealed)
        target = files.own_path(context.profile.images, image)
        await files.write_whole(target, stego)
        await context.store.run(
            lambda s: s.put(
                "own_images",
                image=image,
                title=title,
                format=info.format,
                width=info.width,
                height=info.height,
                size=info.bytes,
                content_key=prepared.content_key,
                created=outcome.created,
                ready=1,
                upload_sha256=operation.upload_sha256,
                upload_size=operation.upload_size,
                receipt=sound_receipt(outcome.receipt),
            )
        )
        report("checking", 1, 1)
        return MyImage(
            image,
            title,
            info.format,
            info.width,
            info.height,
            info.bytes,
            outcome.created,
            target,
            offered=True,
            has_preview=False,
            viewers=0,
            views_spent=0,
        )

    # --- Attempts that ended otherwise -------------------------------------------------------------------------------
    async def _note(self, image: str) -> None:
        """Note the id of an attempt before the cloud hears of it. No key and no word of the picture is kept."""
        now = self._context.wall()
        await self._context.store.run(
            lambda s: s.put(
                "own_images",
                image=image,
                title="",
                format="",
                width=0,
                height=0,
                size=0,
                content_key=b"",
                created=now,
                ready=0,
            )
        )

    async def settle(self, known: Iterable[ops.ImageRow]) -> set[str]:
        """Return the ids of attempts that have not become images, and withdraw those that the cloud offers even so.

        A node may have finished what was cancelled here, or what a crash cut short. Without the key, which is gone,
        nobody could open such an image. `known` are all of this account's images in the cloud. Until the profile was
        looked through, nothing is withdrawn: an attempt whose file lies there is being adopted.
        """
        may_withdraw, under_way = self._looked.is_set(), frozenset(self._under_way)
        attempts = await self._attempts()  # after that: one that became an image meanwhile is not among them
        if not may_withdraw:
            return set(attempts)
        offered = {row.image: row.offered for row in known}
        for image in attempts.keys() - under_way:
            if offered.get(image):
                await self._withdrawn(image)
            elif image not in offered and self._context.wall() - attempts[image] > _FORGOTTEN_S:
                await self._forget(image)
        return set(attempts)

    def settle_soon(self) -> None:
        """The cloud is there: withdraw what attempts of earlier, killed processes may have become."""
        self._settle_earlier = True
        self._another.set()

    async def run(self) -> None:
        """Withdraw what attempts that were given up become, as soon as the cloud offers it, until cancelled.

        A node finishes what it has got; without this, others would see it and ask for it until the owner looks again.
        """
        await self._looked.wait()
        while True:
            await self._another.wait()
            await self._recall()
            pause = _LOOK_S[0]
            while self._given_up:
                self._another = anyio.Event()
                await self._withdraw_given_up()
                if self._given_up:
                    with anyio.move_on_after(pause):
                        await self._another.wait()
                    await self._recall()
                    pause = _LOOK_S[0] if self._another.is_set() else min(2 * pause, _LOOK_S[1])
            self._another = anyio.Event()

    async def _recall(self) -> None:
        """Take attempts of earlier processes for given up, once whenever `settle_soon` was called."""
        if not self._settle_earlier or self._context.account is None:
            return
        self._settle_earlier = False
        now = self._context.clock()
        for image in (await self._attempts(settled=False)).keys() - self._under_way:
            self._given_up.setdefault(image, now)

    async def _withdraw_given_up(self) -> None:
        attempts = await self._attempts()  # without one that was kept at the very moment it was given up
        for image, since in tuple(self._given_up.items()):
            if image in attempts:
                await self._remove_file(image)
            late = self._context.clock() - since > _LOOKED_FOR_S
            if image not in attempts or await self._withdrawn(image) or late:
                del self._given_up[image]

    async def _attempts(self, *, settled: bool = True) -> dict[str, float]:
        """Return the ids of attempts that have not become images, and when they began, in seconds since 1970.

        With `settled` false, only those that are not known to be withdrawn.
        """
        rows = await self._context.store.run(
            lambda s: s.all("SELECT image, created FROM own_images WHERE ready = 0 AND withdrawn <= :w", w=int(settled))
        )
        return {str(row["image"]): float(row["created"]) for row in rows}

    async def _withdrawn(self, image: str) -> bool:
        """Withdraw what became of an attempt; return whether that is done, which it cannot be before it is there."""
        try:
            await self._context.cloud.ask(ops.WithdrawImage(image=image), request=self._context.new_id())
            await self._context.store.run(
                lambda s: s.do("UPDATE own_images SET withdrawn = 1 WHERE image = :image AND ready = 0", image=image)
            )
        except GlimpseError as error:
            log.debug("what became of an encryption is not withdrawn yet", extra={"reason": str(error)})
            return False
        return True

    async def _remove_file(self, image: str) -> None:
        """Remove the stego image of an attempt that was given up after it had been written."""
        path = files.own_path(self._context.profile.images, image)
        try:
            await anyio.to_thread.run_sync(path.unlink, True)
        except OSError as error:
            log.warning("what is left of an encryption stays", extra={"file": path.name, "reason": str(error)})

    async def _forget(self, image: str) -> None:
        await self._context.store.run(lambda s: s.do("DELETE FROM own_images WHERE image = :i AND ready = 0", i=image))

    # --- Previews ----------------------------------------------------------------------------------------------------
    async def set_preview(self, image: str, picture: Path | bytes | None) -> None:
        """Let others see a low-resolution preview of an image, made from a picture or its file; None takes it back."""
        preview = None
        if picture is not None:
            preview = await cancellable(_preview_of, picture)
            if len(preview) > PREVIEW_MAX_BYTES:
                raise InvalidInput("This picture gives too large a preview; choose another.")
        await self._previews.publish(image, preview)

    def _prepare(self, path: Path, cover: Path | None, image: str) -> _Prepared:
        context = self._context
        original = pictures.read_picture(path)
        info = pictures.inspect(original)
        content_key = context.entropy(32)
        owner = context.identity.public.signing_key
        sealed = seal_picture(content_key, original, owner_key=owner, image_id=image, nonce=context.entropy(12))
        record = create_owner_record(context.identity, image_id=image, content_key=content_key)
        cover_data = None
        if cover is not None:
            cover_data = pictures.read_picture(cover)
            covers.check_owner_cover(cover_data, len(sealed))
        text = seal_record(record, context.identity.session_private, context.identity.public.session_key)
        upload = encode_upload(Upload(text, sealed, cover_data))
        return _Prepared(info, sealed, upload, content_key)


def _preview_of(picture: Path | bytes) -> bytes:
    return pictures.make_preview(pictures.read_picture(picture) if isinstance(picture, Path) else picture)


def _title(path: Path, title: str | None) -> str:
    shown = path.stem[:MAX_TITLE_CHARS] if title is None else title.strip()
    if title is None and not is_clean(shown):
        shown = "untitled"
    if len(shown) > MAX_TITLE_CHARS or not is_clean(shown):
        raise InvalidInput(f"A title has at most {MAX_TITLE_CHARS} characters and none that control a terminal.")
    return shown


def _check(stego: bytes, image: str, sealed: bytes) -> None:
    try:
        held = container.reveal(stego, image_id=bytes.fromhex(image))
    except DamagedStego as error:
        raise Unavailable("The stego image came back damaged; encrypt the picture again.") from error
    if held != sealed:
        raise Unavailable("The stego image does not hold this picture; encrypt it again.")
