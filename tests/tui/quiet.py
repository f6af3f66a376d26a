"""Waiting for a screen to come to rest, by what is left to do and never by the clock or by how busy the machine is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from textual._context import active_app
from textual.pilot import Pilot
from textual.screen import Screen
from textual.timer import Timer
from textual.worker import Worker, WorkerCancelled, WorkerState

LASTING_GROUPS = frozenset({"listen", "watch"})
"""Workers that run as long as their screen does."""
SOON_S = 0.3
"""A timer that fires once, no later than this, belongs to what is under way; a later one is somebody's patience."""
_ROUNDS = 100
_FRAMES = 10
"""A screen that holds its paint back for a while, as the palette does, has more to paint after any number of frames."""
_PASSES = 100_000


async def drained(*_seconds: float, **_limits: float) -> None:
    """Return when nothing in the loop can go on before a timer fires, a thread ends or bytes arrive.

    It stands in for Textual's wait until the process uses little of the processor, which on a busy machine is over
    before the work has begun. What the screen would lay out and paint with its next frame is done at once.
    """
    for _ in range(_FRAMES):
        await _loop_idle()
        app = active_app.get(None)
        if app is None or not app._screen_stack or not _has_to_paint(app.screen):
            return
        app.screen._on_timer_update()


async def _loop_idle() -> None:
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    idle = 0
    for _ in range(_PASSES):
        await asyncio.sleep(0)
        idle = 0 if ready else idle + 1
        if idle >= 2:
            return
    raise AssertionError("something in the loop goes round for ever")


async def settled(pilot: Pilot[Any]) -> None:
    """Return when nothing that ends is under way and two rounds in a row brought nothing new."""
    quiet = 0
    for _ in range(_ROUNDS):
        await drained()
        under_way = [*_ending_workers(pilot), *_timers_soon(pilot)]
        for each in under_way:
            await _ended(each)
        await pilot.pause()
        await drained()
        quiet = 0 if under_way or _has_to_paint(pilot.app.screen) else quiet + 1
        if quiet >= 2:
            return
    raise AssertionError(f"the screen does not come to rest: {under_way}")


async def pressed(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys as a person does, who waits for what one brings before the next."""
    for key in keys:
        await pilot.press(key)
        await settled(pilot)


async def resized(pilot: Pilot[Any], width: int, height: int) -> None:
    """Give the terminal another size and return when the screen has it, whatever else is under way."""
    await pilot.resize_terminal(width, height)
    for timer in _timers_soon(pilot):
        await _ended(timer)
    await pilot.pause()


def _ending_workers(pilot: Pilot[Any]) -> Iterator[Worker[Any]]:
    for worker in pilot.app.workers:
        if worker.group not in LASTING_GROUPS and worker.state in (WorkerState.PENDING, WorkerState.RUNNING):
            yield worker


def _timers_soon(pilot: Pilot[Any]) -> Iterator[asyncio.Task[None]]:
    screens = pilot.app.screen_stack
    for pump in [pilot.app, *(pump for screen in screens for pump in screen.walk_children(with_self=True))]:
        for timer in list(pump._timers):
            if timer._repeat == 0 and timer._interval <= SOON_S and _runs(timer):
                assert timer._task is not None
                yield timer._task


def _runs(timer: Timer) -> bool:
    return timer._task is not None and not timer._task.done() and timer._active.is_set()


async def _ended(work: Worker[Any] | asyncio.Task[None]) -> None:
    if isinstance(work, Worker):
        # An exclusive worker that another took the place of is no failure.
        with suppress(WorkerCancelled):
            await work.wait()
    else:
        await asyncio.wait([work])


def _has_to_paint(screen: Screen[Any]) -> bool:
    return bool(
        screen._layout_required
        or screen._scroll_required
        or screen._repaint_required
        or screen._recompose_required
        or screen._dirty_widgets
        or screen._callbacks
    )
