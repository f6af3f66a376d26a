"""The form of rights records: JSON of at most `RIGHTS_RECORD_BYTES` bytes, in exactly one spelling each.

A record is written into the rights strip of a stego image, so its size is fixed for good: every field has a bound, and
the largest record fits. Decoding accepts nothing but the bytes that encoding makes; what a record means and whether it
holds is the business of `shared.rights`.
"""

from struct import Struct
from types import UnionType
from typing import Annotated, Final, Literal, TypeVar, cast

import msgspec
import orjson

from shared.config import MAX_VIEWS, RIGHTS_RECORD_BYTES
from shared.errors import LocalError, MalformedMessage
from shared.wire.base import Digest, Id128, Key, Signature

MAX_EXPIRES_S: Final = 1e11
MAX_LOOK_S: Final = 86_400
MAX_VERSION: Final = 2**53
"""Versions beyond this are not exact numbers in every JSON reader."""
_DOUBLE: Final = Struct(">d")
_NO_SIGNATURE: Final = bytes(64)

Version = Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)]
Total = Annotated[int, msgspec.Meta(ge=0, le=MAX_VIEWS)]
Expiry = Annotated[float, msgspec.Meta(gt=0, le=MAX_EXPIRES_S)]
LookLength = Annotated[float, msgspec.Meta(ge=1, le=MAX_LOOK_S)]
WrappedKey = Annotated[bytes, msgspec.Meta(min_length=48, max_length=48)]
"""A key of 32 bytes and a tag."""
SealedKey = Annotated[bytes, msgspec.Meta(min_length=80, max_length=80)]
"""An encapsulated key, a key or share of 32 bytes and a tag."""


class RightsRecord(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="grant",
    rename={
        "grant_id": "grant",
        "image_id": "image",
        "owner_key": "owner",
        "viewer_key": "viewer",
        "wrapped_key": "key",
        "key_commitment": "key_hash",
        "share_commitment": "share_hash",
    },
):
    """What one viewer may do with one image, signed by the owner. Make it with `shared.rights.create_grant`."""

    scheme: Literal[1] = 1
    grant_id: Id128
    image_id: Id128
    owner_key: Key
    """The owner's signing key."""
    viewer_key: Key
    """The viewer's signing key."""
    version: Version
    """Grows with every change of rights, from 1."""
    granted: Total
    """Views granted in all, spent ones included."""
    expires: Expiry | None
    """Seconds since 1970 in the directory's clock; None for never."""
    revoked: bool
    wrapped_key: WrappedKey
    """The content key, wrapped under both shares."""
    owner_share: SealedKey
    """The owner's share, sealed to the viewer's session key."""
    key_commitment: Digest
    share_commitment: Digest
    left: Total
    """Views left as last heard from the ledger: for display, not covered by the signature."""
    look_s: LookLength | None = None
    """Seconds that one look may last; None for as long as the right stands. Left out of the JSON where it is None."""
    signature: Signature = _NO_SIGNATURE

    def fixed(self) -> tuple[bytes, ...]:
        """Return what no change of rights can change, as bytes."""
        return (
            str(self.scheme).encode(),
            self.grant_id.encode(),
            self.image_id.encode(),
            self.owner_key,
            self.viewer_key,
            self.wrapped_key,
            self.owner_share,
            self.key_commitment,
            self.share_commitment,
        )


class OwnerRecord(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="owner",
    rename={"image_id": "image", "owner_key": "owner", "sealed_key": "key", "key_commitment": "key_hash"},
):
    """The record of the owner's own copy, before and beside any grant: the content key sealed to the owner."""

    scheme: Literal[1] = 1
    image_id: Id128
    owner_key: Key
    sealed_key: SealedKey
    key_commitment: Digest
    signature: Signature = _NO_SIGNATURE


AnyRecord = RightsRecord | OwnerRecord
_R = TypeVar("_R", bound=AnyRecord)


def parts_of(record: AnyRecord) -> tuple[bytes, ...]:
    """Return what the owner signs, field by field."""
    if isinstance(record, OwnerRecord):
        return (
            str(record.scheme).encode(),
            record.image_id.encode(),
            record.owner_key,
            record.sealed_key,
            record.key_commitment,
        )
    return (
        *record.fixed(),
        str(record.version).encode(),
        str(record.granted).encode(),
        b"" if record.expires is None else _DOUBLE.pack(record.expires),
        b"revoked" if record.revoked else b"",
        *(() if record.look_s is None else (_DOUBLE.pack(record.look_s),)),
    )


def encode_record(record: AnyRecord) -> bytes:
    """Return the record as JSON. Raises `LocalError` where it would outgrow its place in the strip."""
    fields = msgspec.to_builtins(record)
    if fields.get("look_s", 0) is None:
        del fields["look_s"]
    data = orjson.dumps(fields)
    if len(data) > RIGHTS_RECORD_BYTES:
        raise LocalError(f"a rights record of {len(data)} bytes, the cap is {RIGHTS_RECORD_BYTES}")
    return data


_IDS: Final = ("grant", "image")
_NAMES: Final = {
    str(kind.__struct_config__.tag): ("kind", *(field.encode_name for field in msgspec.structs.fields(kind)))
    for kind in (RightsRecord, OwnerRecord)
}
"""Names of a record's fields, by what kind it is."""


def pack_record(record: AnyRecord) -> bytes:
    """Return the record as a MessagePack list of its fields in order: half as many bytes as its JSON."""
    fields = msgspec.to_builtins(record, builtin_types=(bytes,))
    return msgspec.msgpack.encode([bytes.fromhex(value) if name in _IDS else value for name, value in fields.items()])


def unpack_record(data: bytes) -> AnyRecord:
    """Return the record that was packed. Raises `MalformedMessage` for anything else. Checks no signature."""
    try:
        values = msgspec.msgpack.decode(data, type=list)
        names = _NAMES.get(str(values[0]) if values else "", ())
        fields = {
            name: value.hex() if name in _IDS and isinstance(value, bytes) else value
            for name, value in zip(names, values, strict=True)
        }
        return cast("AnyRecord", msgspec.convert(fields, type=AnyRecord, strict=True, builtin_types=(bytes,)))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedMessage(f"not a rights record ({type(error).__name__})") from None


def decode_record(data: bytes) -> RightsRecord:
    """Return the rights record of a grant. Raises `MalformedMessage` for anything else. Checks no signature."""
    return _decode(data, RightsRecord)


def decode_any_record(data: bytes) -> AnyRecord:
    """Return whichever record it is. Raises `MalformedMessage` for anything else. Checks no signature."""
    return _decode(data, AnyRecord)


def _decode(data: bytes, expected: type[_R] | UnionType) -> _R:
    if len(data) > RIGHTS_RECORD_BYTES:
        raise MalformedMessage(f"a rights record of {len(data)} bytes, the cap is {RIGHTS_RECORD_BYTES}")
    try:
        record = cast("_R", msgspec.convert(orjson.loads(data), type=expected, strict=True))
    except (orjson.JSONDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise MalformedMessage(f"not a rights record ({type(error).__name__})") from None
    if encode_record(record) != bytes(data):
        raise MalformedMessage("a rights record in a spelling other than its own")
    return record
