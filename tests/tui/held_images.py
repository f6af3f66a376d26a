"""Held images for tests: in every state, with covers that are cheap to draw."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from tests.tui.conftest import NOW
from tests.tui.fake_peer import FakePeer
from tui.peer.models import PeerImage

WORDS = "amber basil cedar delta ember fjord grove harbor"
DAY = 86_400


def bands(colors: tuple[str, ...], size: tuple[int, int] = (96, 60)) -> bytes:
    """Return a PNG of a few upright bands, which take few segments in a terminal."""
    image = Image.new("RGB", size, colors[0])
    for number, color in enumerate(colors[1:], start=1):
        image.paste(color, (size[0] * number // len(colors), 0, size[0], size[1]))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


COVER = bands(("#27496d", "#0c7b93", "#00a8cc", "#f5b461"))
PICTURE = bands(("#5b2a86", "#7785ac", "#9ac6c5", "#a5e6ba"), (120, 80))


def held(number: int, **changes: Any) -> PeerImage:
    """Return an image that may be looked at, with what the test wants otherwise."""
    image = PeerImage(
        f"{number:032x}",
        f"{number + 0x100:032x}",
        f"Picture {number}",
        12,
        "Bea",
        WORDS,
        5,
        3,
        None,
        False,
        Path("held.png"),
    )
    return replace(image, **changes)


def holding(*images: PeerImage) -> FakePeer:
    """Return a peer that holds these images; each opens to `PICTURE`."""
    return FakePeer(
        held=list(images),
        covers={image.image: COVER for image in images if image.path is not None},
        pictures={image.image: PICTURE for image in images},
    )


def in_every_state() -> FakePeer:
    """Return a peer with an image in each state that the peer itself knows of."""
    return holding(
        held(1, title="Lighthouse at dusk", granted=3, left=1, expires=NOW + 2 * DAY + 60, reached="through n2"),
        held(2, title="Harbour"),
        held(3, title="On the ridge above the valley in winter", owner=13, owner_name="Cem", path=None),
        held(4, title="Cats", left=0),
        held(5, title="Old town", expires=NOW - 60),
        held(6, title="Secret", revoked=True),
    )
