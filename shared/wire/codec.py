"""One validating codec: bytes become a typed message or a `MalformedMessage`, nothing in between.

orjson parses, msgspec checks types, caps and patterns; recursion and duplicate work are bounded by the size that is
checked first.
"""

from typing import Any, TypeVar, cast

import msgspec
import orjson

from shared.errors import LocalError, MalformedMessage
from shared.wire.base import Message

M = TypeVar("M")


def encode(message: Message, *, cap_bytes: int) -> bytes:
    """Return the message as JSON of at most `cap_bytes` bytes.

    Raises `LocalError` where it would be longer: the caller must send it as an object transfer, never cut it.
    """
    data = orjson.dumps(msgspec.to_builtins(message))
    if len(data) > cap_bytes:
        raise LocalError(f"{type(message).__name__} takes {len(data)} bytes, the cap is {cap_bytes}")
    return data


def decode(data: bytes | memoryview, expected: type[M] | Any, *, cap_bytes: int) -> M:
    """Return the message of one of the `expected` kinds that `data` holds.

    Raises `MalformedMessage` for everything else; the text names the first fault and quotes nothing of the data.
    """
    if len(data) > cap_bytes:
        raise MalformedMessage(f"a message of {len(data)} bytes, the cap is {cap_bytes}")
    try:
        return cast("M", msgspec.convert(orjson.loads(data), type=expected, strict=True))
    except (orjson.JSONDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise MalformedMessage(f"not a valid message ({type(error).__name__})") from None
