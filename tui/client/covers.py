"""Covers of held images, and the default image where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.to_thread

from tui.client.thumbnails import BOX_PX, Thumbnails
from tui.client.widgets.decoding import reduced

if TYPE_CHECKING:
    from PIL import Image


class Covers:
    """What stands for a picture that is not looked at."""

    def __init__(self, thumbnails: Thumbnails) -> None:
        self._thumbnails = thumbnails
        self._default: Image.Image | None = None

    async def get(self, image_id: str) -> Image.Image:
        """Return an image's cover; the default image while it is not here, or where its file does not decode."""
        cover = await self._thumbnails.cover(image_id)
        return await self._stand_in() if cover is None else cover

    def known(self, image_id: str) -> Image.Image | None:
        """Return what `get` would return, if that was loaded before; asks nobody."""
        return self._thumbnails.known("cover", image_id) or self._default

    def forget(self, image_id: str) -> None:
        """Drop what is kept of an image, because it changed."""
        self._thumbnails.forget(image_id)

    async def _stand_in(self) -> Image.Image:
        if self._default is None:
            self._default = await anyio.to_thread.run_sync(_default_image)
        return self._default


def _default_image() -> Image.Image:
    # Imported here, in a thread: it brings numpy and Pillow along, which screens start without.
    from shared.stego.covers import default_cover_png

    return reduced(default_cover_png(), BOX_PX)
