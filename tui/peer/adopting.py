"""Pictures of one's own that come from elsewhere: another device of the account, a backup, an attempt cut short.

Every stego image of one's own holds the owner's record, with the content key sealed to the owner. So the file alone,
with the account's keys, is enough: what the store of this profile does not know is read from it.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from shared.config import MAX_STEGO_BYTES
from shared.decoding.cancelling import cancellable
from shared.errors import BadSeal, DamagedStego, GlimpseError, InvalidInput, RemoteError, StorageError
from shared.files import TEMPORARY_SUFFIX
from shared.identity import Identity
from shared.records import OwnerRecord
from shared.rights import unlock_own
from shared.sealed_record import open_record
from shared.sealing import open_picture
from shared.stego import container, pictures
from shared.text import clean
from shared.wire import operations as ops
from tui.peer import files
from tui.peer.context import Context
from tui.peer.events import PictureAdopted
from tui.peer.store import Store

log = logging.getLogger(__name__)

ELSEWHERE = (
    "This picture of yours is not on this device. Copy its file (own-….png in the folder images of the profile that"
    " has it) to this device and adopt it in My images."
)
NO_STEGO = (
    "This file holds no picture of Glimpse, or another program changed it; choose the file as it left the device that"
    " made it."
)

NOT_YOURS = (
    "This is no file of a picture of yours, so it does not open here: a copy that was made for a viewer is without its"
    " owner's key. Choose your own file of the picture, or ask its owner for views of it."
)


@dataclass(frozen=True, slots=True)
class _Own:
    """A picture of one's own, read from its stego image."""

    image: str
    content_key: bytes
    info: pictures.PictureInfo
    png: bytes
    made: float
    """When the file was last written, in seconds since 1970."""


class Adopting:
    """Takes stego images of one's own into the profile."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._found: list[Path] = []
        self.looked = anyio.Event()
        """What lay in the profile's folder at the start has been looked at."""

    # --- What lies in the profile's folder ---------------------------------------------------------------------------
    async def begin(self) -> None:
        """Clear away what a killed process had begun to write, and note which files there are. Before anything else."""
        self._found = await anyio.to_thread.run_sync(_listed, self._context.profile.images)

    async def run(self) -> None:
        """Adopt the pictures of one's own among the files that the store does not know."""
        try:
            known = await self._context.store.run(lambda s: s.all("SELECT image FROM own_images WHERE ready = 1"))
            names = {files.own_path(self._context.profile.images, str(row["image"])).name for row in known}
            for path in self._found:
                if path.name not in names and not path.name.startswith("held-"):
                    await self._look_at(path)
        except GlimpseError as error:
            log.warning("the pictures in the profile could not be looked through", extra={"reason": str(error)})
        finally:
            self.looked.set()

    async def _look_at(self, path: Path) -> None:
        try:
            own = await cancellable(_read_own, path, self._context.identity)
            if await self._was_given_up(own.image):
                log.info("what was left of an encryption that was given up is removed", extra={"file": path.name})
                await anyio.to_thread.run_sync(path.unlink, True)
                return
            await self._take(own, lies_at=path)
            target = files.own_path(self._context.profile.images, own.image)
            if path != target:
                await anyio.to_thread.run_sync(path.unlink, True)
        except (GlimpseError, OSError) as error:
            log.warning("a file is no picture of this account", extra={"file": path.name, "reason": str(error)})

    async def _was_given_up(self, image: str) -> bool:
        row = await self._context.store.run(
            lambda s: s.one("SELECT 1 FROM own_images WHERE image = :i AND ready = 0 AND withdrawn = 1", i=image)
        )
        return row is not None

    # --- A file that its owner names ---------------------------------------------------------------------------------
    async def adopt(self, path: Path) -> str:
        """Copy a stego image of one's own into the profile, and return the image's id. The file stays where it is.

        Raises `InvalidInput` with a sentence for a file that cannot be read, that is no stego image or a damaged one,
        or that is somebody else's; `StorageError` when the disk is full. One that is here already is written anew.
        """
        own = await cancellable(_read_own, path, self._context.identity)
        await self._take(own)
        return own.image

    async def _take(self, own: _Own, *, lies_at: Path | None = None) -> None:
        context = self._context
        target = files.own_path(context.profile.images, own.image)
        if lies_at != target:
            async with context.files:
                await files.write_whole(target, own.png)
        info = own.info
        await context.store.run(
            lambda s: s.do(
                "INSERT INTO own_images (image, title, format, width, height, size, content_key, created, ready)"
                " VALUES (:image, '', :format, :width, :height, :size, :content_key, :created, 1)"
                " ON CONFLICT (image) DO UPDATE SET format = :format, width = :width, height = :height, size = :size,"
                " content_key = :content_key, ready = 1",
                image=own.image,
                format=info.format,
                width=info.width,
                height=info.height,
                size=info.bytes,
                content_key=own.content_key,
                created=own.made,
            )
        )
        context.events.emit(PictureAdopted(own.image))

    async def learn(self, rows: dict[str, ops.ImageRow]) -> None:
        """Take titles and times of adopted pictures over from what the cloud lists."""
        store = self._context.store
        untitled = await store.run(lambda s: s.all("SELECT image FROM own_images WHERE ready = 1 AND title = ''"))
        found = [row for one in untitled if (row := rows.get(str(one["image"]))) is not None and row.title]

        def write(store: Store) -> None:
            for row in found:
                store.do(
                    "UPDATE own_images SET title = :title, created = :created WHERE image = :image",
                    title=clean(row.title),
                    created=row.created,
                    image=row.image,
                )

        if found:
            await store.run(write)


def _listed(folder: Path) -> list[Path]:
    """Return the PNG files of a folder; files that were only written in part are removed."""
    found = []
    for path in sorted(folder.iterdir()):
        try:
            if path.suffix == TEMPORARY_SUFFIX:
                path.unlink()
            elif path.suffix == ".png" and path.is_file() and not path.is_symlink():
                found.append(path)
        except OSError as error:
            log.warning("a file cannot be looked at", extra={"file": path.name, "reason": str(error)})
    return found


def _read_own(path: Path, identity: Identity) -> _Own:
    """Read a picture of one's own from its stego image. Raises `InvalidInput`, whatever the file is."""
    try:
        if not path.is_file():
            raise InvalidInput(f"There is no file {path.name}; choose another.")
        status = path.stat()
        if status.st_size > MAX_STEGO_BYTES:
            raise InvalidInput(NO_STEGO)
        png = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path.name} cannot be read: {error.strerror}.") from error
    record = _own_record(png, identity)
    try:
        content_key = unlock_own(record, identity)
        sealed = container.reveal(png, image_id=bytes.fromhex(record.image_id))
        original = open_picture(content_key, sealed, owner_key=record.owner_key, image_id=record.image_id)
        info = pictures.inspect(original)
    except (RemoteError, DamagedStego) as error:
        raise InvalidInput(
            "This file is a picture of yours, but it was changed or cut off and does not open; choose an undamaged copy"
            " of it."
        ) from error
    return _Own(record.image_id, content_key, info, png, status.st_mtime)


def _own_record(png: bytes, identity: Identity) -> OwnerRecord:
    """Return the record of one's own file. One that is sealed for others does not say whose it is."""
    try:
        record = open_record(container.read_record(png), identity.session_private, identity.public.session_key)
    except BadSeal:
        record = None
    except (RemoteError, DamagedStego, StorageError) as error:
        raise InvalidInput(NO_STEGO) from error
    if isinstance(record, OwnerRecord) and record.owner_key == identity.public.signing_key:
        return record
    raise InvalidInput(NOT_YOURS)
