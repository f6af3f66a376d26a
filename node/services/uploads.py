"""What an encryption makes a node hold, as far as that can be said before anything of it is pulled."""

from typing import Final

from shared.config import MAX_ORIGINAL_BYTES, MAX_SEALED_BYTES, RIGHTS_RECORD_BYTES
from shared.errors import LocalError, MalformedMessage, Refused
from shared.sealing import sealed_size
from shared.stego.sizes import cover_bytes
from shared.wire.operations import Encrypt
from shared.wire.refusals import RefusalCode
from shared.wire.upload import HEADER_BYTES, Upload, decode_upload

_BESIDE_BYTES: Final = HEADER_BYTES + RIGHTS_RECORD_BYTES
"""What an upload has at the most beside the sealed picture and a cover."""
_DRAWN_FILE_SHARE: Final = 0.4
"""A drawn cover with a payload is compressed to so much of its pixels at the most; one of the owner's choice perhaps
not at all."""


def most_bytes(operation: Encrypt) -> int:
    """Return what a node holds of an encryption while it waits for the network: the upload, later the stego image.

    Raises `Refused` for sizes that no upload has.
    """
    sealed = sealed_size(operation.original_size)
    if operation.upload_size > _BESIDE_BYTES + MAX_SEALED_BYTES + MAX_ORIGINAL_BYTES:
        raise _invalid("an upload is larger than a picture and a cover can be")
    has_cover = operation.upload_size > sealed + _BESIDE_BYTES
    try:
        pixels = cover_bytes(sealed, is_drawn=not has_cover)
    except LocalError as error:
        raise Refused(RefusalCode.INVALID, str(error)) from error
    return max(operation.upload_size, pixels if has_cover else int(_DRAWN_FILE_SHARE * pixels))


def opened(upload: bytes, operation: Encrypt) -> Upload:
    """Return the parts of the upload that belongs to an encryption.

    Raises `Refused` for one that is damaged, and for a picture that is larger than it was said to be: a node makes room
    for as much as it is told.
    """
    try:
        parts = decode_upload(upload)
    except MalformedMessage as error:
        raise _invalid(str(error)) from error
    if len(parts.sealed) > sealed_size(operation.original_size):
        raise _invalid("its picture is larger than was announced")
    return parts


def _invalid(why: str) -> Refused:
    return Refused(RefusalCode.INVALID, f"The upload is damaged: {why}.")
