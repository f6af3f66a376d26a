"""Small pictures for lists and details: fetched from the peer, decoded in threads, the last used ones kept."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import anyio

from shared.decoding.cancelling import cancellable
from shared.errors import GlimpseError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from PIL import Image

    from tui.peer import Peer

Kind = Literal["own", "cover", "preview"]

BOX_PX: Final = (256, 256)
"""Width and height of the largest thumbnail: what some 128 columns of quadrant blocks show, at most 192 KB each."""
KEPT: Final = 64
_MISSING_S: Final = 60.0
"""How long it is believed that there is no picture, or none that opens."""
_AWAY_S: Final = 5.0
"""The same where only the cloud was away."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a load brought: a picture for good, or None until `until` by the clock."""

    image: Image.Image | None
    until: float = float("inf")


class Thumbnails:
    """Pictures of at most `BOX_PX`, by kind and image id. The `kept` last used are remembered.

    Every method is for workers, returns None where there is no picture to show, and raises nothing but cancellation.
    What is asked for twice at a time is loaded once. `clock` gives seconds of any origin.
    """

    def __init__(self, peer: Peer, *, kept: int = KEPT, clock: Callable[[], float] = time.monotonic) -> None:
        self._peer = peer
        self._kept = max(1, kept)
        self._clock = clock
        self._found: OrderedDict[tuple[Kind, str], _Found] = OrderedDict()
        self._loading: dict[tuple[Kind, str], anyio.Event] = {}
        self._one_thread = anyio.Semaphore(1)

    async def own(self, image_id: str) -> Image.Image | None:
        """Return the picture that a person encrypted. Never spends a view: None for an image that is not one's own."""
        return await self._get("own", image_id, self._own)

    async def cover(self, image_id: str) -> Image.Image | None:
        """Return the cover of a stego image on this machine, held or own."""
        return await self._get("cover", image_id, self._cover)

    async def preview(self, image_id: str) -> Image.Image | None:
        """Return the public preview that an image's owner published."""
        return await self._get("preview", image_id, self._preview)

    def known(self, kind: Kind, image_id: str) -> Image.Image | None:
        """Return what was loaded before, asking nobody."""
        found = self._found.get((kind, image_id))
        return None if found is None else found.image

    def forget(self, image_id: str) -> None:
        """Drop all that is kept of an image, because it changed."""
        for key in [key for key in self._found if key[1] == image_id]:
            del self._found[key]

    # --- Keeping -----------------------------------------------------------------------------------------------------
    async def _get(
        self, kind: Kind, image_id: str, load: Callable[[str], Awaitable[Image.Image | None]]
    ) -> Image.Image | None:
        key = (kind, image_id)
        while (found := self._recall(key)) is None:
            if (loading := self._loading.get(key)) is not None:
                # Who loads may be cancelled; then whoever waited first loads in its place.
                await loading.wait()
                continue
            self._loading[key] = done = anyio.Event()
            try:
                self._keep(key, await self._load(image_id, load))
            finally:
                del self._loading[key]
                done.set()
        return found.image

    async def _load(self, image_id: str, load: Callable[[str], Awaitable[Image.Image | None]]) -> _Found:
        try:
            image = await load(image_id)
        except Unavailable:
            return _Found(None, self._clock() + _AWAY_S)
        except GlimpseError:
            image = None
        return _Found(None, self._clock() + _MISSING_S) if image is None else _Found(image)

    def _recall(self, key: tuple[Kind, str]) -> _Found | None:
        found = self._found.get(key)
        if found is None or found.until <= self._clock():
            return None
        self._found.move_to_end(key)
        return found

    def _keep(self, key: tuple[Kind, str], found: _Found) -> None:
        self._found[key] = found
        self._found.move_to_end(key)
        while len(self._found) > self._kept:
            self._found.popitem(last=False)

    # --- Loading -----------------------------------------------------------------------------------------------------
    async def _own(self, image_id: str) -> Image.Image | None:
        # An image id in a request is the word of the cloud. If it were one that somebody granted, opening it would
        # spend a view; so what counts is what this profile has encrypted itself.
        mine = await self._peer.my_images(local=True)
        if not any(image.image == image_id and image.path is not None for image in mine):
            return None
        view = await self._peer.view(image_id)
        return await self._decoded(_reduced, view.data)

    async def _cover(self, image_id: str) -> Image.Image | None:
        data = await self._peer.cover(image_id)
        return None if data is None else await self._decoded(_reduced, data)

    async def _preview(self, image_id: str) -> Image.Image | None:
        data = await self._peer.preview(image_id)
        return None if data is None else await self._decoded(_reduced_preview, data)

    async def _decoded(self, decode: Callable[[bytes], Image.Image], data: bytes) -> Image.Image:
        # One at a time: a page of thumbnails must not take all cores, nor unpack all its pictures at once.
        async with self._one_thread:
            return await cancellable(decode, data)


# Imported in a thread: what decodes brings numpy and Pillow along, which screens start without.
def _reduced(data: bytes) -> Image.Image:
    from tui.client.widgets.decoding import reduced

    return reduced(data, BOX_PX)


def _reduced_preview(data: bytes) -> Image.Image:
    from tui.client.widgets.decoding import reduced_preview

    return reduced_preview(data, BOX_PX)


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
            self._default = await cancellable(_default_image)
        return self._default


def _default_image() -> Image.Image:
    from shared.stego.covers import default_cover_png

    return _reduced(default_cover_png())
