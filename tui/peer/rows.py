"""What a row of each table of the store must look like, so that nothing that reads it later can stumble over it. Pure.

The store is an ordinary file: a bad disk, another program or an older Glimpse may have left anything in it. SQLite
itself takes text where a number is declared, so each value is looked at here.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from shared.config import PREVIEW_MAX_BYTES
from shared.errors import GlimpseError
from shared.records import decode_record
from shared.wire import operations as ops
from shared.wire.codec import decode

Check = Callable[[Any], bool]
Row = Mapping[str, Any]
_LETTER_CAP_BYTES = 16_384
_MAX_NUMBER = 2**53
_SURROGATE = re.compile("[\ud800-\udfff]")
"""What bytes that are no UTF-8 become when the store reads them as text."""
_ID = re.compile(r"[0-9a-f]{32}")
_RECEIPT = re.compile(r"([0-9a-f]{2}){1,32}")


def _text(value: Any) -> bool:
    return isinstance(value, str) and _SURROGATE.search(value) is None


def _id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _whole(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value <= _MAX_NUMBER


def _positive(value: Any) -> bool:
    return _whole(value) and value > 0


def _flag(value: Any) -> bool:
    return isinstance(value, int) and value in (0, 1)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _blob(value: Any) -> bool:
    return isinstance(value, bytes)


def _preview(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) <= PREVIEW_MAX_BYTES


def _bytes_of(size: int) -> Check:
    return lambda value: isinstance(value, bytes) and len(value) == size


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


TABLES: Mapping[str, Mapping[str, Check]] = {
    "facts": {"name": _text, "value": _text},
    "accounts": {
        "account": _positive,
        "name": _text,
        "signing_key": _bytes_of(32),
        "session_key": _bytes_of(32),
        "session_signature": _bytes_of(64),
        "first_seen": _number,
    },
    "own_images": {
        "image": _id,
        "title": _text,
        "format": _text,
        "width": _whole,
        "height": _whole,
        "size": _whole,
        "content_key": _blob,
        "created": _number,
        "ready": _flag,
        "withdrawn": _flag,
        "upload_sha256": _or_none(_bytes_of(32)),
        "upload_size": _whole,
        "receipt": _or_none(_bytes_of(32)),
    },
    "held": {
        "grant_id": _id,
        "image": _id,
        "owner": _positive,
        "owner_name": _text,
        "title": _text,
        "record": _blob,
        "version": _positive,
        "granted": _whole,
        "consumed": _whole,
        "expires": _or_none(_number),
        "revoked": _flag,
        "received": _flag,
        "sealed_sha256": _or_none(_bytes_of(32)),
        "look_s": _or_none(_number),
    },
    "pending_views": {"grant_id": _id, "view": _id, "ephemeral": _bytes_of(32), "since": _number},
    "asks": {"ask": _id, "incoming": _flag, "row": _blob, "created": _number},
    "outbox": {
        "request": _id,
        "kind": _text,
        "what": _text,
        "body": _blob,
        "since": _number,
        "attempts": _whole,
        "trouble": _text,
        "lane": _text,
        "signed": _or_none(_blob),
        "ask": _or_none(_id),
    },
    "offers": {"image": _id, "title": _text, "owner": _whole, "owner_name": _text, "words": _text},
    "mail_seen": {"mail": _text, "at": _number},
    "rewrites": {"path": _text, "edits": _blob},
    "given": {
        "grant_id": _id,
        "image": _id,
        "viewer": _positive,
        "record": _blob,
        "version": _positive,
        "consumed": _whole,
        "cloud_share": _or_none(_bytes_of(32)),
        "share_signature": _or_none(_bytes_of(64)),
        "wishes": _or_none(_blob),
    },
    "previews": {"image": _id, "preview": _preview, "mark": _id},
    "seen_views": {
        "view": _id,
        "image": _id,
        "viewer": _positive,
        "viewer_name": _text,
        "at": _number,
        "left": _whole,
        "grant_id": _or_none(_id),
        "consumed": _whole,
    },
}
"""Every table of the store but `set_aside`, which is read as it is: its columns, and what each may hold."""


def fault_of(table: str, row: Row) -> str | None:
    """Return in some words what is wrong with a row, None for one that is as it must be."""
    for column, check in TABLES[table].items():
        if not check(row[column]):
            return f"{column} is not what it must be"
    whole = _WHOLE_ROWS.get(table)
    try:
        return None if whole is None else whole(row)
    except GlimpseError as error:
        return str(error)


def _fact(row: Row) -> str | None:
    name, value = row["name"], row["value"]
    if name == "account" and not (value.isascii() and value.isdigit() and 1 <= int(value[:20]) <= _MAX_NUMBER):
        return "the account is no number"
    if name in ("device", "cluster") and not _id(value):
        return f"the {name} is no id"
    if name == "compared_epoch" and not (value.isascii() and value.isdigit() and int(value[:20]) <= _MAX_NUMBER):
        return "the epoch is no number"
    if name == "restored_at" and not _moment(value):
        return "the time of a restore is no time"
    if name == "receipt" and _RECEIPT.fullmatch(value) is None:
        return "the receipt is not in hexadecimal digits"
    return None


def _moment(text: str) -> bool:
    try:
        return _number(float(text))
    except ValueError:
        return False


def _own_image(row: Row) -> str | None:
    if row["ready"] and len(row["content_key"]) != 32:
        return "the key is not whole"
    return None


def _held(row: Row) -> str | None:
    record = decode_record(row["record"])
    if (record.grant_id, record.image_id) != (row["grant_id"], row["image"]):
        return "the rights record is about something else"
    if record.version != row["version"]:
        return "the version is not that of the rights record"
    if row["received"] and row["sealed_sha256"] is None:
        return "nothing says what the image file must hold"
    return None


def _ask(row: Row) -> str | None:
    letter: ops.AskArrived = decode(row["row"], ops.AskArrived, cap_bytes=_LETTER_CAP_BYTES)
    return None if letter.ask.ask == row["ask"] else "it is about another request"


def _rewrite(row: Row) -> str | None:
    try:
        msgspec.msgpack.decode(row["edits"], type=list[tuple[int, bytes, bytes]])
    except msgspec.MsgspecError:
        return "what is to be written does not read"
    return None


def _given(row: Row) -> str | None:
    record = decode_record(row["record"])
    if (record.grant_id, record.image_id) != (row["grant_id"], row["image"]):
        return "the rights record is about something else"
    return None


_WHOLE_ROWS: Mapping[str, Callable[[Row], str | None]] = {
    "facts": _fact,
    "own_images": _own_image,
    "held": _held,
    "asks": _ask,
    "rewrites": _rewrite,
    "given": _given,
}
