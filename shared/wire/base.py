"""The common root of all messages and the field types that carry their caps.

Messages are JSON objects with an integer kind under `k`. Kinds are append-only: a number, once given, is never given
again, so an old node never mistakes one message for another. Fields that a newer side adds must have a default;
unknown fields are ignored.

Every text, list and byte string has a cap here or at its field. A cap bounds what one hostile datagram can make a
process hold or do; it is not a suggestion.
"""

from typing import Annotated

import msgspec

from shared.config import MAX_NAME_CHARS, MAX_NOTE_CHARS, MAX_TITLE_CHARS, MAX_VIEWS


class Message(msgspec.Struct, frozen=True, tag_field="k", kw_only=True, omit_defaults=True):
    """Root of every message. Subclasses give their kind as an integer `tag`."""


NodeName = Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
Title = Annotated[str, msgspec.Meta(max_length=MAX_TITLE_CHARS)]
Note = Annotated[str, msgspec.Meta(max_length=MAX_NOTE_CHARS)]
Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
"""An X25519 or Ed25519 public key, 32 bytes."""
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
"""SHA-256."""
Id128 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]
"""A 128-bit identifier as 32 lower-case hexadecimal digits: images, grants, requests, views, mail."""
AccountId = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
"""The number that the directory gave an account at registration."""
Views = Annotated[int, msgspec.Meta(ge=1, le=MAX_VIEWS)]
ViewsOrNone = Annotated[int, msgspec.Meta(ge=0, le=MAX_VIEWS)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Timestamp = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
"""Seconds since 1970 in the directory's clock."""

MAX_CANDIDATES = 8
"""Addresses that one peer tells another: a hostile one could otherwise have the other probe any number of hosts."""


class PathAddress(msgspec.Struct, frozen=True):
    """Where a peer may be reached: a numeric host of either family and a UDP port."""

    host: Annotated[str, msgspec.Meta(max_length=64)]
    port: Port


Candidates = Annotated[tuple[PathAddress, ...], msgspec.Meta(max_length=MAX_CANDIDATES)]
RelayHandle = Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
"""Names a pair of peers at the node that carries their datagrams."""
