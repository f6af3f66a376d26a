"""How tests wait for what must come, and how long."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio

PATIENCE_S: Final = 60.0
"""Only a test that fails waits so long, however busy the machine is. It bounds no speed: where something must be fast,
that is measured in `tests/bench`, or in simulated time."""

_LOOK_AGAIN_S: Final = 0.05


async def until(
    call: Callable[[], Awaitable[Any]], holds: Callable[[Any], object], *, limit_s: float = PATIENCE_S
) -> Any:
    """Ask again and again until the answer is as it must become, and return it."""
    with anyio.fail_after(limit_s):
        while True:
            found = await call()
            if holds(found):
                return found
            await anyio.sleep(_LOOK_AGAIN_S)


def wait_until(holds: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
    """Look again and again until something holds."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(_LOOK_AGAIN_S)
