"""The kinds of operations by the names that people read: `encrypt`, `spend view`."""

from __future__ import annotations

import re
from functools import cache

from shared.wire import operations as wire
from shared.wire.base import Message


@cache
def operation_names() -> dict[int, str]:
    """Return the name of every operation by its kind."""
    kinds = (value for value in vars(wire).values() if isinstance(value, type) and issubclass(value, Message))
    names: dict[int, str] = {}
    for kind in kinds:
        tag = kind.__struct_config__.tag
        if isinstance(tag, int) and 100 <= tag < 150:
            names[tag] = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).lower()
    return names


def operation_name(kind: int) -> str:
    """Return the name of an operation; one that is not known is a dash."""
    return operation_names().get(kind, "–" if kind == 0 else f"kind {kind}")
