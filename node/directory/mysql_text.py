"""Statements as text: `:name` parameters filled in as SQL literals.

The server's own prepared statements would need a round trip each and cannot be sent several at a time, so values are
written into the text. What can be written is narrow on purpose: numbers, byte strings as hexadecimal, and text whose
quotes and backslashes are escaped under a character set and SQL mode that the connection has fixed.
"""

import math
import re
from collections.abc import Mapping
from functools import lru_cache

from asyncmy.converters import escape_string

from node.directory.interface import StatementFailed, Value

_TOKEN = re.compile(r"'(?:[^']|'')*'|:(?P<name>[A-Za-z_]\w*)")


@lru_cache(maxsize=512)
def _split(sql: str) -> tuple[tuple[str, str | None], ...]:
    """Split a statement into (text, name of the parameter that follows it); quoted text is left whole."""
    pieces: list[tuple[str, str | None]] = []
    start = 0
    for match in _TOKEN.finditer(sql):
        if match["name"] is not None:
            pieces.append((sql[start : match.start()], match["name"]))
            start = match.end()
    pieces.append((sql[start:], None))
    return tuple(pieces)


def literal(value: Value) -> str:
    """Write one value. Raises StatementFailed for what a column cannot hold."""
    match value:
        case None:
            return "NULL"
        case str():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise StatementFailed("A text holds half of a surrogate pair.") from None
            return f"'{escape_string(value)}'"
        case bool() | int():
            return str(int(value))
        case float():
            if not math.isfinite(value):
                raise StatementFailed("A number is infinite or none at all.")
            return repr(value) if "e" in repr(value) else f"{value!r}e0"
        case bytes() | bytearray() | memoryview():
            return f"x'{value.hex()}'"
    raise StatementFailed(f"A parameter of the type {type(value).__name__} cannot be stored.")


def render(sql: str, parameters: Mapping[str, Value]) -> str:
    """Fill a statement's parameters in. Raises StatementFailed if one is missing."""
    parts = []
    for text, name in _split(sql):
        parts.append(text)
        if name is not None:
            if name not in parameters:
                raise StatementFailed(f"A statement lacks its parameter {name!r}.")
            parts.append(literal(parameters[name]))
    return "".join(parts)
