"""Waiting for a screen to come to rest, without sleeping: all workers that end have ended, all messages are handled."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from textual.pilot import Pilot
from textual.strip import Strip
from textual.worker import WorkerCancelled, WorkerState

LASTING_GROUPS = frozenset({"listen", "watch"})
"""Workers that run as long as their screen does."""
_ROUNDS = 60


async def still(pilot: Pilot[Any]) -> None:
    """Return when a monitor shows the same three times in a row.

    It may need a second paint for what a first one made room for; no worker and no message tells of that.
    """
    shown: list[list[Strip]] = []
    for _ in range(_ROUNDS):
        pilot.app.repaint()
        await settled(pilot)
        shown.append(pilot.app.screen._compositor.render_strips())
        if len(shown) >= 3 and shown[-1] == shown[-2] == shown[-3]:
            return
    raise AssertionError("the monitor never shows the same for long")


async def settled(pilot: Pilot[Any]) -> None:
    """Return when nothing that ends is under way and two rounds in a row brought nothing new."""
    quiet = 0
    for _ in range(_ROUNDS):
        busy = [
            worker
            for worker in pilot.app.workers
            if worker.group not in LASTING_GROUPS and worker.state in (WorkerState.PENDING, WorkerState.RUNNING)
        ]
        if busy:
            quiet = 0
            # An exclusive worker that another took the place of is no failure.
            with suppress(WorkerCancelled):
                await pilot.app.workers.wait_for_complete(busy)
        await pilot.pause()
        quiet += not busy
        if quiet >= 2:
            return
    raise AssertionError(f"the screen does not come to rest: {busy}")
