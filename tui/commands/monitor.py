"""`glimpse monitor`: the screens, with what feeds them running beside them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from shared.cluster import load_cluster
from shared.errors import InvalidInput
from shared.text import clean
from tui.client.host import describe
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

_LONG_BYTES: Final = 4 * 1024 * 1024
"""A recording that is longer takes so long to read that it is said."""


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
        tasks.start_soon(_heed_signals, app)
        await app.run_async()
        tasks.cancel_scope.cancel()
    if app.return_value:
        say(clean(app.return_value, max_chars=2_000))
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
    if await anyio.Path(path).is_file() and (await anyio.Path(path).stat()).st_size > _LONG_BYTES:
        say(f"Reading {path}…")
    recording = await anyio.to_thread.run_sync(read_recording, path)
    return ReplaySource(Player(recording))


async def _keep(source: FeedSource, app: GlimpseMonitor) -> None:
    """Keep the news coming; should that fail, the screens end with the reason instead of showing the past for good."""
    try:
        await source.run()
    except Exception as error:  # noqa: BLE001 - it is told to the person
        app.exit(return_code=1, result=f"The monitor failed ({describe(error)}); start it again.")


async def _heed_signals(app: GlimpseMonitor) -> None:
    """Close the screens when a signal asks for it, so that the terminal is as it was and a recording is whole."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP, signal.SIGINT) as signals:
        async for number in signals:
            app.exit(return_code=128 + number)
            return
