"""`glimpse monitor`: the screens, with what feeds them running beside them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from shared.cluster import load_cluster
from shared.errors import GlimpseError, InvalidInput
from tui.client.wording import size
from tui.monitor.app import GlimpseMonitor
from tui.monitor.player import Player
from tui.monitor.recorder import Recorder
from tui.monitor.recording import read_recording
from tui.monitor.roster import Roster
from tui.monitor.settings import load_settings, settings_path
from tui.monitor.source import FeedSource, LiveSource, ReplaySource
from tui.places import find_cluster

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE_S = 0.5
"""A recording that takes longer to read is said to be read."""


async def monitor(cluster: Path | None, record: Path | None, replay: Path | None, say: Callable[[str], None]) -> int:
    """Show a cluster, or a recording of one, until the person closes it; return the exit code.

    Raises `InvalidInput` and `StorageError` for what cannot be shown or recorded, before any screen is opened.
    """
    if replay is not None and (record is not None or cluster is not None):
        raise InvalidInput("A recording is played by itself: leave --cluster and --record away.")
    settings = load_settings(settings_path())
    source = await _replayed(replay, say) if replay is not None else await _live(cluster, record)
    app = GlimpseMonitor(source, settings=settings)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_keep, source, app)
        await app.run_async()
        tasks.cancel_scope.cancel()
    if app.return_value:
        say(app.return_value)
    if source.recorder is not None:
        said = source.recorder.trouble or f"Recorded {size(source.recorder.written_bytes)}"
        say(f"{said} in {source.recorder.path}; play it with `glimpse monitor --replay {source.recorder.path}`.")
    return app.return_code or 0


async def _live(cluster: Path | None, record: Path | None) -> FeedSource:
    file = find_cluster(cluster)
    known = await anyio.to_thread.run_sync(load_cluster, file)
    recorder = None
    source = LiveSource(known, file)
    if record is not None:
        recorder = await anyio.to_thread.run_sync(Recorder, record, Roster.of(known), time.time())
        source.recorder = recorder
    return source


async def _replayed(path: Path, say: Callable[[str], None]) -> FeedSource:
    recording = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_say_later, f"Reading {path}…", say)
        recording = await anyio.to_thread.run_sync(read_recording, path)
        tasks.cancel_scope.cancel()
    assert recording is not None
    return ReplaySource(Player(recording))


async def _say_later(text: str, say: Callable[[str], None]) -> None:
    await anyio.sleep(_PATIENCE_S)
    say(text)


async def _keep(source: FeedSource, app: GlimpseMonitor) -> None:
    """Keep the news coming; if that fails, close the screens and say why."""
    try:
        await source.run()
    except GlimpseError as error:
        app.exit(return_code=1, result=str(error))
