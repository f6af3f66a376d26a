"""Stego images: a payload and a rights record hidden in a PNG that shows only its cover.

This is what the rest of Glimpse uses. Bytes that come in may come from strangers: everything that is wrong with them
is a `DamagedStego`, and what they can make us hold is bounded by the size of the largest cover.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from shared.config import MAX_STEGO_BYTES
from shared.errors import DamagedStego, InvalidInput, StorageError
from shared.files import replace_file
from shared.stego import payload as hidden
from shared.stego import png as files
from shared.stego.covers import owner_cover, procedural_cover
from shared.stego.rewriting import Edit, Memory, edits_for, top_rows
from shared.stego.rights_strip import Pixels, write_first_record, write_record
from shared.stego.rights_strip import read_record as record_in
from shared.stego.sizes import Size, tier_for

_NOTHING: Final = "there is nothing to hide; choose a picture that is not empty."


def hide(payload: bytes, record: bytes, *, image_id: bytes, cover: bytes | None = None) -> bytes:
    """Return a PNG that shows the cover and holds `payload`, which should be ciphertext, and `record`, UTF-8 text.

    `cover` is a picture file of the owner's choice, scaled to what the payload needs; None draws one for this image.
    The pixels depend on nothing but the arguments. Raises `UnusableImage` for a bad cover, `InvalidInput` for a payload
    that is empty or that no cover holds, `LocalError` for a record that does not fit its room.
    """
    if not payload:
        raise InvalidInput(_NOTHING)
    return hide_in(None if cover is None else owner_cover(cover, len(payload)), payload, record, image_id=image_id)


def hide_in(cover: Pixels | None, payload: bytes, record: bytes, *, image_id: bytes) -> bytes:
    """Do the same in the pixels of a cover that was made for this payload, which are changed; raises as `hide`."""
    if not payload:
        raise InvalidInput(_NOTHING)
    pixels = procedural_cover(tier_for(len(payload)), image_id) if cover is None else cover
    rows = Size(pixels.shape[1], pixels.shape[0]).strip_rows
    write_first_record(pixels[:rows], record, image_id)
    hidden.embed(pixels[rows:].reshape(-1), payload, image_id)
    return files.encode(pixels)


def reveal(png: bytes, *, image_id: bytes) -> bytes:
    """Return the payload, byte by byte what was hidden.

    Raises `DamagedStego` where nothing was hidden under this id, or where another program changed pixels.
    """
    pixels = files.decode(png)
    rows = Size(pixels.shape[1], pixels.shape[0]).strip_rows
    return hidden.extract(pixels[rows:].reshape(-1), image_id)


def read_record(png: bytes | Path) -> bytes:
    """Return the rights record. Of most files only the beginning is read. Raises `DamagedStego`."""
    if not isinstance(png, Path):
        strip = top_rows(Memory(png))
        return record_in(_strip_of(png) if strip is None else strip)
    with _opened(png, "rb") as file:
        strip = top_rows(_OpenFile(file))
        return record_in(_strip_of(file.read(MAX_STEGO_BYTES + 1)) if strip is None else strip)


def replace_record(png: bytes, record: bytes, *, image_id: bytes) -> bytes:
    """Return the same stego image with another record.

    Only a few bytes differ. A file that another program wrote anew without touching pixels may get our layout again.
    Raises `DamagedStego`, and `LocalError` for a record that does not fit.
    """
    if len(png) > MAX_STEGO_BYTES:
        raise files.damaged()
    edits = edits_for(Memory(png), record, image_id)
    if edits is None:
        pixels = files.decode(png)
        strip = pixels[: Size(pixels.shape[1], pixels.shape[0]).strip_rows]
        strip[:] = write_record(strip, record, image_id)
        return files.encode(pixels)
    changed = bytearray(png)
    for edit in edits:
        changed[edit.at : edit.at + len(edit.new)] = edit.new
    return bytes(changed)


# --- In a file -------------------------------------------------------------------------------------------------------
def plan_rewrite(path: Path, record: bytes, *, image_id: bytes) -> list[Edit] | None:
    """Return what `make_edits` has to write for another record: a few KB however large the picture is.

    Returns None for a file whose layout does not allow that, as other programs write it: `rewrite_whole` replaces it by
    one in ours. Raises `DamagedStego`, `LocalError` for a record that does not fit, `StorageError` if the disk fails.
    """
    with _opened(path, "rb") as file:
        source = _OpenFile(file)
        if source.length > MAX_STEGO_BYTES:
            raise files.damaged()
        return edits_for(source, record, image_id)


def make_edits(path: Path, edits: Sequence[Edit]) -> None:
    """Write edits of a stego image's file in place; returns once they are on the disk.

    Not atomic: interrupted in the middle it leaves a file that does not open, and the same edits, made again, complete
    it. So whoever calls this keeps them until it has returned. Raises `DamagedStego` for a file that has something else
    in these places than what was there or is to be there, and `StorageError` where the disk fails.
    """
    with _opened(path, "r+b") as file:
        descriptor = file.fileno()
        for edit in edits:
            found = os.pread(descriptor, len(edit.old), edit.at)
            if len(found) != len(edit.old) or any(
                byte not in both for byte, *both in zip(found, edit.old, edit.new, strict=True)
            ):
                raise files.damaged()
        for edit in edits:
            _write_at(descriptor, edit.new, edit.at)
        os.fsync(descriptor)


def rewrite_whole(path: Path, record: bytes, *, image_id: bytes) -> None:
    """Replace a stego image's file by one with another record: a new file, renamed over the old one.

    Raises as `plan_rewrite` does.
    """
    with _opened(path, "rb") as file:
        png = file.read(MAX_STEGO_BYTES + 1)
    data = replace_record(png, record, image_id=image_id)
    try:
        replace_file(path, data)
    except OSError as error:
        raise StorageError(f"The stego image {path.name!r} cannot be written; check the disk and its space.") from error


@dataclass(frozen=True, slots=True)
class _OpenFile:
    """An open file as a source."""

    file: BinaryIO

    @property
    def length(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    def read(self, at: int, count: int) -> bytes:
        return os.pread(self.file.fileno(), count, at)


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[BinaryIO]:
    try:
        with path.open(mode, buffering=0) as file:
            yield cast("BinaryIO", file)
    except FileNotFoundError as error:
        raise DamagedStego(f"The stego image {path.name!r} is gone; ask the owner for it again.") from error
    except OSError as error:
        raise StorageError(
            f"The stego image {path.name!r} cannot be read or written ({error.strerror}); check the disk and the"
            " permissions."
        ) from error


def _strip_of(png: bytes) -> Pixels:
    """Return the rows that hold the record from a file of any layout."""
    pixels = files.decode(png)
    return pixels[: Size(pixels.shape[1], pixels.shape[0]).strip_rows]


def _write_at(fd: int, data: bytes, at: int) -> None:
    """Write all of `data`; the operating system may take it in parts."""
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, at)
        view, at = view[done:], at + done
