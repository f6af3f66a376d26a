"""Stego images for tests: rewriting one as a peer does, and looking at how a PNG file is laid out."""

import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.identity import Identity
from shared.records import AnyRecord
from shared.sealed_record import open_record
from shared.stego import container

Picture = NDArray[np.uint8]


def rewrite_record(path: Path, record: bytes, *, image_id: bytes) -> None:
    """Write another record into a file, in place where that can be done; a peer keeps a journal besides."""
    edits = container.plan_rewrite(path, record, image_id=image_id)
    if edits is None:
        container.rewrite_whole(path, record, image_id=image_id)
    else:
        container.make_edits(path, edits)


def record_shown(path: Path, by: Identity, other: Identity) -> AnyRecord:
    """Return the record in the rights strip of a file, as one of its two parties reads it."""
    return open_record(container.read_record(path), by.session_private, other.public.session_key)


@dataclass(frozen=True)
class Layout:
    """What a file shows to who takes it apart without decoding pixels."""

    chunks: tuple[tuple[bytes, int], ...]
    """Kinds and lengths."""
    data: bytes
    """What the IDAT chunks hold together."""
    filters: bytes
    """The filter of each row."""


def layout_of(png: bytes) -> Layout:
    """Take a PNG of three bytes a pixel apart."""
    at, chunks, data = 8, [], b""
    while at < len(png):
        length, kind = int.from_bytes(png[at : at + 4], "big"), png[at + 4 : at + 8]
        chunks.append((kind, length))
        if kind == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += length + 12
    width = int.from_bytes(png[16:20], "big")
    return Layout(tuple(chunks), data, zlib.decompress(data)[:: 1 + 3 * width])


def pixels_of(file: bytes) -> Picture:
    """Return the red, green and blue of a picture file."""
    with Image.open(BytesIO(file)) as image:
        return np.array(image.convert("RGB"))


def saved(pixels: Picture, file_format: str = "PNG", **options: int | bool) -> bytes:
    """Return pixels as a file that Pillow writes."""
    out = BytesIO()
    Image.fromarray(pixels).save(out, file_format, **options)
    return out.getvalue()
