"""Stego images: a payload and a rights record hidden in a PNG that shows only its cover.

This is what the rest of Glimpse uses. Bytes that come in may come from strangers: everything that is wrong with them
is a `DamagedStego`, and what they can make us hold is bounded by the size of the largest cover.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from shared.config import MAX_STEGO_BYTES
from shared.errors import DamagedStego, InvalidInput, StorageError
from shared.files import replace_file
from shared.stego import payload as hidden
from shared.stego import png as files
from shared.stego.covers import COVERS, owner_cover, tier_for
from shared.stego.rights_strip import Pixels, write_first_record, write_record
from shared.stego.rights_strip import read_record as record_in

_HEAD_BYTES: Final = 64 * 1024
"""Holds everything up to IDAT 2 for every size that a stego image can have."""
_NOTHING: Final = "there is nothing to hide; choose a picture that is not empty."


def hide(payload: bytes, record: bytes, *, image_id: bytes, cover: bytes | None = None) -> bytes:
    """Return a PNG that shows the cover and holds `payload`, which should be ciphertext, and `record`, UTF-8 text.

    `cover` is a picture file of the owner's choice, scaled to what the payload needs; None takes a procedural one. The
    pixels depend on nothing but the arguments. Raises `UnusableImage` for a bad cover, `InvalidInput` for a payload
    that is empty or that no cover holds, `LocalError` for a record that does not fit its room.
    """
    if not payload:
        raise InvalidInput(_NOTHING)
    return hide_in(None if cover is None else owner_cover(cover, len(payload)), payload, record, image_id=image_id)


def hide_in(cover: Pixels | None, payload: bytes, record: bytes, *, image_id: bytes) -> bytes:
    """Do the same in the pixels of a cover that was made for this payload, which are changed; raises as `hide`."""
    if not payload:
        raise InvalidInput(_NOTHING)
    pixels = COVERS.cover(tier_for(len(payload))).copy() if cover is None else cover
    rows = files.Size(pixels.shape[1], pixels.shape[0]).strip_rows
    write_first_record(pixels[:rows], record)
    hidden.embed(pixels[rows:].reshape(-1), payload, image_id)
    return files.encode(pixels)


def reveal(png: bytes, *, image_id: bytes) -> bytes:
    """Return the payload, byte by byte what was hidden.

    Raises `DamagedStego` where nothing was hidden under this id, or where another program changed pixels.
    """
    pixels = files.decode(png)
    rows = files.Size(pixels.shape[1], pixels.shape[0]).strip_rows
    return hidden.extract(pixels[rows:].reshape(-1), image_id)


def read_record(png: bytes | Path) -> bytes:
    """Return the rights record. From a file in our layout only the beginning is read. Raises `DamagedStego`."""
    if isinstance(png, Path):
        with _opened(png, "rb") as file:
            head = file.read(_HEAD_BYTES)
            size = files.read_size(head)
            strip = files.read_strip(head, size)
            if strip is None:
                head += file.read(MAX_STEGO_BYTES + 1)
    else:
        head = png
        size = files.read_size(head)
        strip = files.read_strip(head, size)
    pixels = files.decode(head)[: size.strip_rows] if strip is None else files.strip_pixels(strip, size)
    return record_in(pixels)


def replace_record(png: bytes, record: bytes) -> bytes:
    """Return the same stego image with another record.

    Only the strip's bytes differ. Where another program recompressed the file without touching pixels, the result has
    our layout again. Raises `DamagedStego`, and `LocalError` for a record that does not fit.
    """
    if len(png) > MAX_STEGO_BYTES:
        raise files.damaged()
    size = files.read_size(png)
    strip, rest = files.read_strip(png, size), files.rest_chunk(png, size)
    tail = files.read_adler(png[-files.TAIL_BYTES :])
    if strip is None or rest is None or tail is None or not tail[1]:
        pixels = files.decode(png)
        pixels[: size.strip_rows] = write_record(pixels[: size.strip_rows], record)
        return files.encode(pixels)
    written = files.strip_bytes(write_record(files.strip_pixels(strip, size), record))
    adler = files.patch_adler(tail[0], strip, written, size.rest_bytes)
    head = png[: files.STRIP_CHUNK_AT] + files.strip_chunk(written)
    middle = memoryview(png)[size.rest_chunk_at : len(png) - files.TAIL_BYTES]
    return b"".join((head, middle, files.adler_chunk(adler), png[-12:]))


def rewrite_record(path: Path, record: bytes) -> None:
    """Write another record into a stego image's file, in place: a few KB however large the picture is.

    Not atomic. Interrupted in the middle it leaves a strip or a checksum that does not fit; calling it again with the
    record that was to be written repairs the file, so the caller keeps that record in its journal until this returns.
    The order of writes makes that certain: first the last checksum is marked as void, then the strip is written, and
    only when both are on the disk the new checksum. A void checksum, a torn strip, or a strip that holds the record
    already means that the whole picture is read once to compute the checksum anew.

    A file that another program recompressed is replaced by one in our layout (new file, renamed over the old one).
    Raises `DamagedStego`, `LocalError` for a record that does not fit, and `StorageError` where the disk fails.
    """
    with _opened(path, "r+b") as file:
        length = os.fstat(file.fileno()).st_size
        if length > MAX_STEGO_BYTES:
            raise files.damaged()
        if _rewrite_in_place(file, length, record):
            return
        file.seek(0)
        png = replace_record(file.read(MAX_STEGO_BYTES + 1), record)
    _replace_file(path, png)


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[BinaryIO]:
    try:
        with path.open(mode, buffering=0) as file:
            yield cast("BinaryIO", file)
    except FileNotFoundError as error:
        raise DamagedStego(f"The stego image {path.name!r} is gone; ask the owner for it again.") from error
    except OSError as error:
        raise StorageError(
            f"The stego image {path.name!r} cannot be read or written; check the disk and the permissions."
        ) from error


def _rewrite_in_place(file: BinaryIO, length: int, record: bytes) -> bool:
    """Patch strip and checksum of an open file; False where its layout is not ours and nothing was done."""
    head = file.read(_HEAD_BYTES)
    size = files.read_size(head)
    strip, intact = files.read_torn_strip(head, size)
    tail_at = length - files.TAIL_BYTES
    adler = files.read_adler(os.pread(file.fileno(), files.TAIL_BYTES, max(tail_at, 0)))
    if strip is None or adler is None or not files.is_rest_chunk(head, size, length):
        return False
    written = files.strip_bytes(write_record(files.strip_pixels(strip, size), record))
    if intact and adler[1] and written != strip:
        checksum = files.patch_adler(adler[0], strip, written, size.rest_bytes)
    else:
        rest_at = size.rest_chunk_at + 8
        rest = files.inflate_rest(os.pread(file.fileno(), tail_at - 4 - rest_at, rest_at), size)
        checksum = files.whole_adler(written, rest, size)
    fd, checksum_at = file.fileno(), tail_at + 8
    chunk = files.adler_chunk(checksum)[8:]
    _write_at(fd, bytes(byte ^ 0xFF for byte in chunk), checksum_at)
    _write_at(fd, files.strip_chunk(written), files.STRIP_CHUNK_AT)
    os.fsync(fd)
    _write_at(fd, chunk, checksum_at)
    os.fsync(fd)
    return True


def _write_at(fd: int, data: bytes, at: int) -> None:
    """Write all of `data`; the operating system may take it in parts."""
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, at)
        view, at = view[done:], at + done


def _replace_file(path: Path, data: bytes) -> None:
    try:
        replace_file(path, data)
    except OSError as error:
        raise StorageError(f"The stego image {path.name!r} cannot be written; check the disk and its space.") from error
