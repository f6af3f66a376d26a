"""Waiting for a screen to come to rest, by what is left to do and never by the clock or by how busy the machine is.

Also what a test reads of a screen for which Textual has no public way: its inside is used by tests here only.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from textual.app import App, ScreenStackError
from textual.events import Key, MouseScrollDown
from textual.keys import KEY_NAME_REPLACEMENTS, REPLACED_KEYS, key_to_character
from textual.notifications import Notification
from textual.pilot import Pilot
from textual.screen import Screen
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget
from textual.worker import Worker, WorkerCancelled, WorkerState

LASTING_GROUPS = frozenset({"listen", "watch"})
"""Workers that run as long as their screen does."""
SOON_S = 0.3
"""A timer that fires once, no later than this, belongs to what is under way; a later one is somebody's patience."""
_ROUNDS = 100
_FRAMES = 10
"""A screen that holds its paint back for a while, as the palette does, has more to paint after any number of frames."""
_PASSES = 100_000


class QuietPilot(Pilot[Any]):
    """A pilot that returns when what it did has had its effect.

    Textual's own waits until the process uses little of the processor, which on a busy machine is over before the work
    has begun, and on an idle one takes 40 ms for each key.
    """

    async def press(self, *keys: str) -> None:
        """Press keys, each when the effect of the one before, or of what the test did, is there."""
        await drained(self.app)
        for key in keys:
            self.app.post_message(_key_event(key))
            await drained(self.app)
            await self.app.animator.wait_until_complete()
            await self.pause()

    async def wheel(self, target: Widget | type[Widget], *, offset: tuple[int, int] = (0, 0)) -> None:
        """Turn the wheel down by a notch over a widget."""
        await self._post_mouse_events([MouseScrollDown], target, offset=offset, button=0)

    async def pause(self, delay: float | None = None) -> None:
        """Return when nothing in the loop can go on before a timer fires, a thread ends or bytes arrive."""
        with suppress(ScreenStackError):  # a key may have ended the program
            await super().pause(delay or 0)
        await drained(self.app)


@asynccontextmanager
async def running(app: App[Any], **options: Any) -> AsyncIterator[QuietPilot]:
    """Run a program without a terminal; the options are those of `App.run_test`."""
    async with app.run_test(**options) as pilot:
        quiet = QuietPilot(pilot.app)
        await quiet.pause()
        yield quiet


def _key_event(key: str) -> Key:
    """Return what a terminal sends for a key, which is given by its name or by the character on it."""
    if len(key) > 1 or key.isalnum():
        return Key(key, key_to_character(REPLACED_KEYS.get(key, key)))
    name = unicodedata.name(key).lower().replace("-", "_").replace(" ", "_")
    return Key(KEY_NAME_REPLACEMENTS.get(name, name), key)


async def drained(app: App[Any]) -> None:
    """Return when nothing in the loop can go on before a timer fires, a thread ends or bytes arrive.

    What the screen would lay out and paint with its next frame is done at once.
    """
    for _ in range(_FRAMES):
        await _loop_idle()
        if not app.screen_stack or not _has_to_paint(app.screen):
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
        await drained(pilot.app)
        under_way = [*_ending_workers(pilot), *_timers_soon(pilot)]
        for each in under_way:
            await _ended(each)
        await pilot.pause(0)
        await drained(pilot.app)
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
    await pilot.pause(0)
    await drained(pilot.app)


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


def notifications(app: App[Any]) -> list[Notification]:
    """Return what the program says in its corner now, oldest first."""
    return list(app._notifications)


def strips_of(screen: Screen[Any]) -> list[Strip]:
    """Return the lines of a screen, all of its widgets together."""
    return screen._compositor.render_strips()
