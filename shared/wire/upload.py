"""The upload of an encrypt request: the owner's rights record, the sealed picture and perhaps a cover, in one object.

Layout: three lengths of 4 bytes, big endian (record, sealed picture, cover), then the three parts. A cover of length 0
means that the node takes one of its own.
"""

import struct
from dataclasses import dataclass
from typing import Final

from shared.config import MAX_ORIGINAL_BYTES, MAX_SEALED_BYTES, RIGHTS_RECORD_BYTES
from shared.errors import LocalError, MalformedMessage

_LENGTHS = struct.Struct(">III")
HEADER_BYTES: Final = _LENGTHS.size


@dataclass(frozen=True, slots=True)
class Upload:
    """What a node needs to hide a picture that it cannot see."""

    record: bytes
    sealed: bytes
    cover: bytes | None = None


def encode_upload(upload: Upload) -> bytes:
    """Return the upload as one object. Raises `LocalError` where a part is beyond its cap."""
    cover = upload.cover or b""
    _check(len(upload.record), len(upload.sealed), len(cover), LocalError)
    return _LENGTHS.pack(len(upload.record), len(upload.sealed), len(cover)) + upload.record + upload.sealed + cover


def decode_upload(data: bytes) -> Upload:
    """Return the parts of an upload. Raises `MalformedMessage` for anything that is none."""
    if len(data) < _LENGTHS.size:
        raise MalformedMessage("an upload shorter than its header")
    record, sealed, cover = _LENGTHS.unpack_from(data)
    _check(record, sealed, cover, MalformedMessage)
    if len(data) != _LENGTHS.size + record + sealed + cover:
        raise MalformedMessage("an upload whose parts do not add up")
    first, second = _LENGTHS.size + record, _LENGTHS.size + record + sealed
    return Upload(data[_LENGTHS.size : first], data[first:second], data[second:] if cover else None)


def _check(record: int, sealed: int, cover: int, error: type[LocalError] | type[MalformedMessage]) -> None:
    if not 0 < record <= RIGHTS_RECORD_BYTES:
        raise error(f"a rights record of {record} bytes, the cap is {RIGHTS_RECORD_BYTES}")
    if not 0 < sealed <= MAX_SEALED_BYTES:
        raise error(f"a sealed picture of {sealed} bytes, the cap is {MAX_SEALED_BYTES}")
    if cover > MAX_ORIGINAL_BYTES:
        raise error(f"a cover of {cover} bytes, the cap is {MAX_ORIGINAL_BYTES}")
