"""The public previews of one's own images, kept so that a directory which forgot them gets them again.

What is kept of an image is the preview that this device published last, or that it took one back. Another device may
have decided otherwise since: where the cloud's list of images says so, what is kept here is forgotten, for a preview
that its owner took back must not come back by itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shared.wire import operations as ops
from tui.peer.asker import Asker
from tui.peer.context import Context
from tui.peer.store import Store

TAKEN_BACK = b""
"""What is kept where the preview was taken back."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What this device decided last about the preview of an image; every decision has a `mark` of its own."""

    preview: bytes
    mark: str


class Previews:
    """Publishes previews, and keeps them in the store."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cloud = Asker(context)

    async def publish(self, image: str, preview: bytes | None) -> None:
        """Publish a preview, a JPEG, or take it back with None. Raises `Refused`, `Unavailable` without the cloud.

        It is noted as taken back before the cloud is asked, and as published once the cloud has it.
        """
        if preview is None:
            await self._keep(image, TAKEN_BACK)
        await self._send(image, preview)
        if preview is not None:
            await self._keep(image, preview)

    async def marks(self) -> dict[str, str]:
        """Return the marks of all that is kept, by image: to be asked for before the cloud lists the images."""
        rows = await self._context.store.run(lambda s: s.all("SELECT image, mark FROM previews"))
        return {str(row["image"]): str(row["mark"]) for row in rows}

    async def saw(self, rows: Iterable[ops.ImageRow], marks: Mapping[str, str]) -> None:
        """Forget what another device has decided otherwise about, as the cloud lists it.

        `marks` are those from before the cloud was asked: what was decided since is in no list yet.
        """
        has = {row.image: row.has_preview for row in rows}

        def forget(store: Store) -> None:
            for row in store.all("SELECT image, mark, length(preview) > 0 AS published FROM previews"):
                image = str(row["image"])
                is_known = marks.get(image) == row["mark"]
                if is_known and image in has and has[image] != bool(row["published"]):
                    store.do("DELETE FROM previews WHERE image = :image", image=image)

        await self._context.store.run(forget)

    async def mend(self, image: str, *, has_preview: bool) -> Kept | None:
        """Bring a restored directory to what is kept of an image; return what it lacked, None for nothing."""
        kept = await self._kept(image)
        if kept is None or not await self._differs(image, kept, has_preview=has_preview):
            return None
        while True:
            await self._send(image, kept.preview or None)
            latest = await self._kept(image)
            if latest is None or latest.mark == kept.mark:
                return kept
            kept = latest  # its owner decided otherwise at that moment, and that holds

    async def _differs(self, image: str, kept: Kept, *, has_preview: bool) -> bool:
        if not has_preview or not kept.preview:
            return has_preview != bool(kept.preview)
        return (await self._cloud.query(ops.GetPreview(image=image), ops.PreviewAnswer)).preview != kept.preview

    async def _send(self, image: str, preview: bytes | None) -> None:
        await self._cloud.ask(ops.SetPreview(image=image, preview=preview))

    async def _kept(self, image: str) -> Kept | None:
        row = await self._context.store.run(lambda s: s.one("SELECT * FROM previews WHERE image = :i", i=image))
        return None if row is None else Kept(bytes(row["preview"]), str(row["mark"]))

    async def _keep(self, image: str, preview: bytes) -> None:
        mark = self._context.new_id()
        await self._context.store.run(lambda s: s.put("previews", image=image, preview=preview, mark=mark))
