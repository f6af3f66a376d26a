"""Background tasks of a peer that go on whatever happens to one item: no row, mail or message ends a peer."""

import logging
from collections.abc import Awaitable, Callable

import anyio

from shared.errors import GlimpseError

log = logging.getLogger(__name__)

_PAUSE_S = 1.0
_PAUSE_MAX_S = 30.0


async def tend(what: str, task: Callable[[], Awaitable[None]]) -> None:
    """Run a task that is meant to run for ever; where it fails, log it and begin again after a pause."""
    pause = _PAUSE_S
    while True:
        began = anyio.current_time()
        try:
            await task()
        except GlimpseError as error:
            log.warning("a background task failed", extra={"task": what, "reason": str(error)})
        except Exception:
            log.exception("a background task failed by a fault of this program", extra={"task": what})
        else:
            return
        pause = _PAUSE_S if anyio.current_time() - began > _PAUSE_MAX_S else min(2 * pause, _PAUSE_MAX_S)
        await anyio.sleep(pause)


async def attempt(what: str, task: Callable[[], Awaitable[object]]) -> None:
    """Run a task once, about one message or one transfer; where it fails, log it."""
    try:
        await task()
    except GlimpseError as error:
        log.warning("a background task failed", extra={"task": what, "reason": str(error)})
    except Exception:
        log.exception("a background task failed by a fault of this program", extra={"task": what})
