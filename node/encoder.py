"""Hiding pictures off the event loop.

Threads do the work: numpy, the compressor, AES and the hashes release the interpreter's lock, and a process would have
to be handed the picture and hand back the PNG. A cover of the owner's choice is a picture file from a stranger: a child
process with limits decodes it first (`shared.decoding`), while no turn of a thread is taken, so that one that takes
long holds up other such covers and nobody else.
"""

from contextlib import nullcontext
from time import perf_counter
from typing import TYPE_CHECKING, Final

import anyio
from anyio import CapacityLimiter, to_thread

from shared.decoding.cancelling import cancellable
from shared.errors import LocalError, Refused
from shared.stego.sizes import cover_bytes
from shared.wire.refusals import RefusalCode

if TYPE_CHECKING:
    from shared.stego.rights_strip import Pixels

_LARGE_BYTES: Final = 8_000_000
"""Covers whose pixels take this much and more: of sealed pictures from half a megabyte on."""


class Encoder:
    """Hides payloads with at most `workers` at work at a time; further ones wait their turn in order of arrival.

    Of large ones one is hidden at a time, so that what they take is bounded by one, and small ones pass meanwhile.

    `slowdown` is the failure simulation's knob: 1.0 works at full speed, 3.0 rests twice as long as each item took
    before it is handed over, which makes the node a third as fast. `in_flight` counts what waits or is worked on,
    `encoded` what was finished without fault.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise LocalError(f"an encoder needs at least one worker, not {workers}")
        self.workers = workers
        self.slowdown = 1.0
        self.in_flight = 0
        self.encoded = 0
        self._turns = anyio.Semaphore(workers)
        self._covers = anyio.Semaphore(workers)
        """Covers that are decoded or wait to be used."""
        self._one_large = anyio.Semaphore(1)
        """Held for a picture whose pixels take up to 48 MB, and its file as much again: a node has room for one."""
        self._threads = CapacityLimiter(workers)

    async def hide(self, payload: bytes, record: bytes, image_id: bytes, cover: bytes | None) -> bytes:
        """Return the stego image. See `shared.stego.container.hide`.

        All arguments come from a peer, so what is wrong with them is a refusal that the node answers: raises `Refused`
        with the code INVALID and a text that says what to do.
        """
        self.in_flight += 1
        try:
            is_large = cover_bytes(len(payload), is_drawn=cover is None) >= _LARGE_BYTES
            async with self._one_large if is_large else nullcontext():
                if cover is None:
                    png = await self._hide(payload, record, image_id, None)
                else:
                    async with self._covers:
                        pixels = await cancellable(_owner_cover, cover, len(payload))
                        del cover  # up to 11 MB that are of no more use
                        png = await self._hide(payload, record, image_id, pixels)
        except LocalError as error:
            raise Refused(RefusalCode.INVALID, str(error)) from error
        finally:
            self.in_flight -= 1
        self.encoded += 1
        return png

    async def _hide(self, payload: bytes, record: bytes, image_id: bytes, cover: "Pixels | None") -> bytes:
        async with self._turns:
            png, work_s = await to_thread.run_sync(_timed_hide, payload, record, image_id, cover, limiter=self._threads)
            if self.slowdown > 1.0:
                await anyio.sleep(work_s * (self.slowdown - 1.0))
        return png


# What works on pixels is imported in the threads, by the first picture: numpy is a seventh of what a node's start would
# cost, and many a node starts and ends without one.
def _owner_cover(picture: bytes, payload_bytes: int) -> "Pixels":
    """See `shared.stego.covers.owner_cover`."""
    from shared.stego.covers import owner_cover

    return owner_cover(picture, payload_bytes)


def _timed_hide(payload: bytes, record: bytes, image_id: bytes, cover: "Pixels | None") -> tuple[bytes, float]:
    """Return the PNG and the seconds that it took."""
    from shared.stego import container

    started = perf_counter()
    png = container.hide_in(cover, payload, record, image_id=image_id)
    return png, perf_counter() - started
