"""Hiding 10 KB and changing rights, beside stegano and Pillow.

stegano hides text, so it is given the base64 of the original, in a cover that is at hand; it neither seals nor writes a
rights record nor draws a cover, which all count in its favour.
"""

import base64
import os
import tempfile
from io import BytesIO
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

from shared.identity import Identity
from shared.rights import create_owner_record
from shared.sealed_record import seal_record
from shared.sealing import seal_picture
from shared.stego import container, payload, png, rights_strip
from shared.stego.covers import procedural_cover
from shared.stego.sizes import DEFAULT_TIER, TIERS, Size, tier_for
from tests import photos
from tests.bench.rows import Row, median_ms, medians_ms, not_measured, speed_up
from tests.stego_files import rewrite_record

ORIGINAL_BYTES = 10_000
SMALL, DEFAULT, LARGE = TIERS[0], DEFAULT_TIER, Size(4000, 3000)
IMAGE_ID = bytes(range(16))
BARS = {SMALL: 40.0, DEFAULT: 30.0}
EMBEDDING_TIER = Size(512, 512)
WHOLE_ROUNDS, FAST_ROUNDS, SLOW_ROUNDS, LARGE_ROUNDS = 9, 15, 5, 3


def rows() -> list[Row]:
    """Measure all of it."""
    original, identity = os.urandom(ORIGINAL_BYTES), Identity.generate()
    return [*whole_path(original, identity), *embedding(original), *rewriting()]


def whole_path(original: bytes, identity: Identity) -> list[Row]:
    """Seal, embed, write the PNG; the first row goes the way of the product itself."""
    assert tier_for(len(sealed_and_recorded(original, identity)[0])) == SMALL, "the shipped tier is the one of the bar"
    found = []
    covers = {tier: procedural_cover(tier, IMAGE_ID) for tier in (SMALL, DEFAULT)}
    for tier in covers:
        ours = (
            (lambda: shipped(original, identity)) if tier == SMALL else (lambda: at_tier(original, identity, DEFAULT))
        )
        times = medians_ms(
            {"ours": ours, "stegano": lambda tier=tier: with_stegano(original, tier, covers)}, WHOLE_ROUNDS
        )
        found.append(
            speed_up(
                f"hide 10 KB, {tier.width}x{tier.height}" + (" (the shipped tier)" if tier == SMALL else ""),
                times["ours"],
                "stegano + Pillow PNG",
                times["stegano"],
                BARS[tier],
            )
        )
    return [*found, not_measured("hide 10 KB", "stegpy", 6.0, "stegpy is not among the pinned packages")]


def sealed_and_recorded(original: bytes, identity: Identity) -> tuple[bytes, bytes]:
    """Seal a picture as its owner does and make the record that goes with it."""
    content_key, image_id = os.urandom(32), IMAGE_ID.hex()
    owner = identity.public.signing_key
    sealed = seal_picture(content_key, original, owner_key=owner, image_id=image_id, nonce=os.urandom(12))
    record = create_owner_record(identity, image_id=image_id, content_key=content_key)
    return sealed, seal_record(record, identity.session_private, identity.public.session_key)


def shipped(original: bytes, identity: Identity) -> bytes:
    """Hide a picture as Glimpse does."""
    sealed, record = sealed_and_recorded(original, identity)
    return container.hide(sealed, record, image_id=IMAGE_ID)


def at_tier(original: bytes, identity: Identity, tier: Size) -> bytes:
    """Do the same in a cover of another size than the payload calls for."""
    sealed, record = sealed_and_recorded(original, identity)
    return container.hide_in(procedural_cover(tier, IMAGE_ID), sealed, record, image_id=IMAGE_ID)


def with_stegano(original: bytes, tier: Size, covers: dict[Size, rights_strip.Pixels]) -> bytes:
    """Hide a picture's base64 with stegano and write the PNG as Pillow does by default."""
    return saved(stegano_hide(covers[tier], base64.b64encode(original).decode()))


def stegano_hide(pixels: rights_strip.Pixels, text: str) -> Image.Image:
    """Hide text with stegano."""
    return rights_strip._stegano_lsb().hide(Image.fromarray(pixels), text)


def saved(image: Image.Image, **options: int) -> bytes:
    """Write a PNG with Pillow."""
    out = BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


def embedding(original: bytes) -> list[Row]:
    """Embed alone, plain and keyed: 10 KB in 512x512."""
    cover, text = procedural_cover(EMBEDDING_TIER, IMAGE_ID), base64.b64encode(original)
    pixels = cover.copy()
    stegano = median_ms(lambda: stegano_hide(cover, text.decode()), SLOW_ROUNDS)
    # The writer of records is the plain one; it takes 10 KB here because its cap is out of the way.
    with patch.object(rights_strip, "RIGHTS_RECORD_BYTES", 1 << 20):
        plain = median_ms(lambda: rights_strip.write_first_record(pixels, text, IMAGE_ID), 200)
        taken = rights_strip.record_channels(text)
    written = np.asarray(stegano_hide(cover, text.decode()))
    assert np.array_equal((pixels & 1).reshape(-1)[:taken], (written & 1).reshape(-1)[:taken]), "the same low bits"
    keyed = median_ms(lambda: payload.embed(pixels.reshape(-1), original, IMAGE_ID), 100)
    return [
        speed_up("embed alone, plain, 10 KB in 512x512", plain, "stegano hide", stegano, 1000.0),
        speed_up("embed alone, keyed +-1, 10 KB in 512x512", keyed, "stegano hide", stegano, 50.0),
    ]


def rewriting() -> list[Row]:
    """Change the record of a stego image of 12 megapixels."""
    record, later = (f'{{"views_left":{count}}}'.ljust(700).encode() for count in (5, 4))
    cover = photos.large_jpeg().data
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.png"
        path.write_bytes(container.hide(cover, record, image_id=IMAGE_ID))
        if png.read_size(path.read_bytes()) != LARGE:
            path.write_bytes(twelve_megapixels(record))
        turns = iter(range(1 << 30))
        ours = median_ms(lambda: rewrite_record(path, (record, later)[next(turns) % 2], image_id=IMAGE_ID), FAST_ROUNDS)
        found = []
        for level, bar in ((6, 500.0), (1, None)):
            call = {"": lambda level=level: whole_image(path, later.decode(), level)}
            theirs = medians_ms(call, LARGE_ROUNDS, warm_up=False)[""]
            name = "whole image: stegano + Pillow" + (", its default" if bar else f" at level {level}")
            found.append(speed_up("change the rights of 12 MP", ours, name, theirs, bar))
    return found


def twelve_megapixels(record: bytes) -> bytes:
    """Return a stego image of 4000x3000, whatever tier its payload would take."""
    return container.hide_in(procedural_cover(LARGE, IMAGE_ID), os.urandom(4_000_000), record, image_id=IMAGE_ID)


def whole_image(path: Path, text: str, level: int) -> None:
    """Change the record by opening, hiding in and saving all of the picture. The file itself stays as it was."""
    with Image.open(path) as image:
        written = rights_strip._stegano_lsb().hide(image.copy(), text)
    other = path.with_suffix(".other")
    other.write_bytes(saved(written, compress_level=level))
