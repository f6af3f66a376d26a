"""Runs the monitor: the screens, and beside them what feeds them, in one loop; and an orderly end whatever ends them.

The first sentence is painted before the feed's machinery is loaded, so that the program answers at once.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.errors import GlimpseError, InvalidInput
from tui.common.starting import need_terminal
from tui.monitor.app import GlimpseMonitor
from tui.monitor.settings import load_settings, settings_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tui.monitor.source import FeedSource

RECORDINGS: Final = Path(__file__).parents[1] / "recordings"
"""Recordings that come with Glimpse, for lessons and for its tests."""
SUFFIX: Final = ".rec"
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_BY_SIGNAL = 128
"""Added to a signal's number, as shells do, it is the exit code of a program that the signal ended."""


@dataclass(slots=True)
class MonitorEnding:
    """How the monitor ended: its exit code, what is left to be said, and why it could not go on."""

    code: int = 0
    text: str = ""
    error: GlimpseError | None = None


def run_monitor(cluster: Path | None, record: Path | None, replay: Path | None, say: Callable[[str], None]) -> int:
    """Show a cluster, or a recording of one, in this terminal until the person closes it; return the exit code.

    Raises `InvalidInput` and `StorageError` for what cannot be shown or recorded.
    """
    if replay is not None and (record is not None or cluster is not None):
        raise InvalidInput("A recording is played by itself: leave --cluster and --record away.")
    need_terminal("the monitor", "glimpse status")
    if replay is not None:
        opening, sentence = partial(open_recording, replay), "Reading the recording…"
    else:
        opening, sentence = partial(open_live, cluster, record), "Looking for the nodes…"
    app = GlimpseMonitor(sentence=sentence, settings=load_settings(settings_path()))
    ending = asyncio.run(run_screens(app, opening))
    if ending.error is not None:
        raise ending.error
    if ending.text:
        say(ending.text)
    return ending.code


async def open_live(cluster: Path | None, record: Path | None) -> FeedSource:
    """Return the source for a cluster, with a recorder if there is to be a recording."""
    return await asyncio.to_thread(_live, cluster, record)


async def open_recording(path: Path) -> FeedSource:
    """Return the source for a recording."""
    return await asyncio.to_thread(_replayed, path)


async def run_screens(
    app: GlimpseMonitor, opening: Callable[[], Awaitable[FeedSource]], *, headless: bool = False
) -> MonitorEnding:
    """Run the monitor in the loop that runs already; `opening` finds the source once the first sentence is seen."""
    ending = MonitorEnding()
    async with asyncio.TaskGroup() as group:
        core = group.create_task(_keep(app, opening, ending))
        try:
            with _signals_heeded(app, ending):
                await app.run_async(headless=headless)
        finally:
            core.cancel()
    if ending.error is None and not ending.code:
        ending.code = app.return_code or 0
    recorder = app.source.recorder if app.opened else None
    if recorder is not None:
        ending.text = " ".join(filter(None, (ending.text, recorder.farewell())))
    return ending


async def _keep(app: GlimpseMonitor, opening: Callable[[], Awaitable[FeedSource]], ending: MonitorEnding) -> None:
    """Open the source and keep the news coming; should that fail, the screens end instead of showing the past."""
    await app.painted.wait()
    try:
        source = await opening()
        await asyncio.to_thread(_load_screens)
        app.enter(source)
        await source.run()
    except GlimpseError as error:
        ending.error = error
    except Exception as error:  # noqa: BLE001 - it is told to the person
        ending.code, ending.text = 1, f"The monitor failed ({_described(error)}); start it again."
    app.exit()


def _live(cluster: Path | None, record: Path | None) -> FeedSource:
    """Open what may take a while, such as a file on a slow disk; in a thread."""
    import time

    from shared.cluster import load_cluster
    from tui.common.user_paths import find_cluster
    from tui.monitor.node_index import NodeIndex
    from tui.monitor.recorder import Recorder
    from tui.monitor.source import LiveSource

    file = find_cluster(cluster)
    known = load_cluster(file)
    source = LiveSource(known, file)
    if record is not None:
        source.recorder = Recorder(record, NodeIndex.of(known), time.time())
    return source


def find_recording(given: Path) -> Path:
    """Return a recording's file: the one given or, by a bare name such as `election`, one that comes with Glimpse."""
    bundled = RECORDINGS / f"{given.name}{SUFFIX}"
    return bundled if not given.exists() and given.name == str(given) and bundled.exists() else given


def _replayed(path: Path) -> FeedSource:
    from tui.monitor.player import Player
    from tui.monitor.recording import read_recording
    from tui.monitor.source import ReplaySource

    return ReplaySource(Player(read_recording(find_recording(path))))


def _load_screens() -> None:
    import tui.monitor.screens.home  # noqa: F401 - loaded here, in a thread, the loop stays free


def _described(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) if isinstance(error, GlimpseError) else f"{type(error).__name__}: {error}"


@contextmanager
def _signals_heeded(app: GlimpseMonitor, ending: MonitorEnding) -> Iterator[None]:
    """Close the screens when a signal asks for it, so that the terminal is as it was and a recording is whole."""
    loop = asyncio.get_running_loop()

    def heed(number: int) -> None:
        ending.code = _BY_SIGNAL + number
        ignore()
        app.exit()

    def ignore() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, heed, number)
    try:
        yield
    finally:
        ignore()
