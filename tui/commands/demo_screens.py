"""`glimpse demo`: a cluster and sample people behind the client, all in a temporary folder that goes with it."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from tui.client.guide import Guide
from tui.client.run import ClientEnding, run_screens, say
from tui.client.settings import load_settings, settings_path
from tui.client.widgets.graphics import probe
from tui.commands.sample_people import sample_people
from tui.commands.up import running, set_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.client.settings import ClientSettings
    from tui.client.widgets.graphics import Graphics


def demo_screens(directory_url: str | None, keep: bool, tell: Callable[[str], None]) -> int:
    """Run the demo in this terminal until the client is left; return the exit code. All it started ends with it."""
    settings = load_settings(settings_path())
    folder = Path(tempfile.mkdtemp(prefix="glimpse-demo-"))
    try:
        # The terminal is asked what it can show before anything else reads from it.
        ending = anyio.run(partial(_run, folder, directory_url, settings, probe(settings.pictures), tell))
    finally:
        if keep:
            tell(f"kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    say(ending)
    return ending.code


async def _run(
    folder: Path,
    directory_url: str | None,
    settings: ClientSettings,
    graphics: Graphics | None,
    tell: Callable[[str], None],
) -> ClientEnding:
    tell("Starting three nodes and three people with pictures…")
    place = await anyio.to_thread.run_sync(lambda: set_up(folder / "cluster", directory_url=directory_url))
    died: list[str] = []
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(place, died=lambda name, _code: died.append(name)))
        await stack.enter_async_context(sample_people(folder / "people", place.file))
        ending = await run_screens(
            None, place.file, root=folder / "profiles", settings=settings, graphics=graphics, guide=Guide()
        )
        tell("Ending the nodes and people of the demo…")
    if died and not ending.text:
        ending.text = f"Of the nodes, {', '.join(sorted(died))} ended before the demo did."
    return ending
