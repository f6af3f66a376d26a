"""Picture files to pixels fit for a screen. Synchronous and slow: for threads only, never for the event loop.

What does the work is imported when it is first needed, in the thread: screens start without numpy and Pillow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


def reduced(data: bytes, box_px: tuple[int, int]) -> Image.Image:
    """Return a picture file upright, opaque, in RGB, and no larger than `box_px` (width, height); never enlarged.

    Raises `UnusableImage` with what to do about it.
    """
    from tui.client.widgets import reducing

    return reducing.reduced(data, box_px)


def full(data: bytes) -> Image.Image:
    """Return a picture file upright, opaque and in RGB, with all its pixels. Raises `UnusableImage`."""
    from tui.client.widgets import reducing

    return reducing.full(data)


def reduced_preview(data: bytes, box_px: tuple[int, int]) -> Image.Image:
    """Return a preview that another peer published, no larger than `box_px`; never enlarged.

    Raises `MalformedMessage` for what no honest peer publishes.
    """
    from tui.client.widgets import reducing

    return reducing.reduced_preview(data, box_px)
