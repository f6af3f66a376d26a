"""Runs the client: the screens and the peer side by side in one loop, and an orderly end whatever ends them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.text import clean
from tui.client.app import GlimpseClient
from tui.client.host import LocalHost, describe
from tui.client.settings import load_settings, settings_path
from tui.common.starting import need_terminal
from tui.common.user_paths import profiles_root
from tui.peer.profiles import profile_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from tui.client.guide import Guide
    from tui.client.settings import ClientSettings
    from tui.client.widgets.graphics import Graphics

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_SHUTDOWN_LIMIT_S = 8.0
"""Seconds from a signal to the end of the process at the latest; a goodbye takes two at most."""
_BY_SIGNAL = 128
"""Added to a signal's number, as shells do, it is the exit code of a program that the signal ended."""


@dataclass(slots=True)
class ClientEnding:
    """How the client ended: exit code, and what is to be said in the terminal."""

    code: int = 0
    text: str = ""


def run_client(
    profile: str | None, cluster: Path | None, *, root: Path | None = None, passphrase: str | None = None
) -> int:
    """Run the client in this terminal until it is left; return the exit code.

    Opens `profile`, made if it is new, or the only one there is; with none or several the first screen asks. `root` is
    the folder of the profiles. `passphrase` is tried before a locked profile's is asked for. Exit code 1 after a
    failure, 128 + n after signal n. Raises `InvalidInput` for settings that cannot be used.
    """
    need_terminal("the client", "glimpse agent")
    settings = load_settings(settings_path())
    folder = root or profiles_root()
    ending = asyncio.run(
        run_screens(
            profile or only_profile(folder),
            cluster,
            root=folder,
            settings=settings,
            graphics=_graphics(settings),
            passphrase=passphrase,
        )
    )
    say(ending)
    return ending.code


def only_profile(root: Path) -> str | None:
    """Return the profile that there is no choice about; None with none or several."""
    names = profile_names(root)
    return names[0] if len(names) == 1 else None


def say(ending: ClientEnding) -> None:
    """Write what the client leaves to be said: news to standard output, failures to standard error."""
    if ending.text:
        print(clean(ending.text, max_chars=2_000), file=sys.stderr if ending.code else sys.stdout)


async def run_screens(
    profile: str | None,
    cluster: Path | None,
    *,
    root: Path,
    settings: ClientSettings,
    graphics: Graphics | None = None,
    guide: Guide | None = None,
    passphrase: str | None = None,
) -> ClientEnding:
    """Run the client in the loop that runs already, and return how it ended; the peer is closed by then.

    A signal that asks the process to end closes the peer first, and says goodbye to the cloud.
    """
    ending = ClientEnding()

    def fail(text: str) -> None:
        ending.code, ending.text = 1, text
        app.exit(return_code=1)

    host = LocalHost(
        root,
        cluster,
        on_failure=fail,
        passphrase=passphrase,
        holds_copies=settings.hold != "never",
        share_local_addresses=settings.share_local_addresses,
        relay_only=settings.relay_only,
    )
    app = GlimpseClient(host, settings=settings, graphics=graphics, profile=profile, guide=guide)
    async with asyncio.TaskGroup() as group:
        core = group.create_task(_guard(host, fail))
        try:
            with _signals_handled(group, host, app, ending):
                rest = await app.run_async()
        finally:
            await host.close()
            core.cancel()
    if not ending.code:
        ending.code, ending.text = app.return_code or 0, " ".join(filter(None, (rest, host.log_trouble)))
    return ending


async def _guard(host: LocalHost, fail: Callable[[str], None]) -> None:
    """Run the host; should it fail, the screens end with the reason instead of waiting for it for good."""
    try:
        await host.run()
    except Exception as error:  # noqa: BLE001 - it is told to the person
        fail(f"The client failed ({describe(error)}); start it again.")


@contextmanager
def _signals_handled(
    group: asyncio.TaskGroup, host: LocalHost, app: GlimpseClient, ending: ClientEnding
) -> Iterator[None]:
    """Close the peer and then the screens when a signal asks for it. A second signal ends the process at once.

    The process ends after `_SHUTDOWN_LIMIT_S` whatever it still waits for.
    """
    loop = asyncio.get_running_loop()

    async def leave(code: int) -> None:
        ending.code, app.leaving = code, True
        await host.close()
        app.exit(return_code=code)

    def handle(number: int, _frame: FrameType | None) -> None:
        for other in _SIGNALS:
            signal.signal(other, signal.SIG_DFL)
        if _terminal_is_gone():
            _discard_output()
        code = _BY_SIGNAL + number
        last = threading.Timer(_SHUTDOWN_LIMIT_S, os._exit, (code,))
        last.daemon = True
        last.start()
        loop.call_soon_threadsafe(lambda: group.create_task(leave(code)))

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminal_is_gone() -> bool:
    if sys.__stdin__ is None or not sys.__stdin__.isatty():
        return True
    try:
        termios.tcgetattr(sys.__stdin__.fileno())
    except (OSError, ValueError, termios.error):
        return True
    return False


def _discard_output() -> None:
    """Send further output to the null device: a write to a terminal that is gone would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    for output in (1, 2):
        os.dup2(nowhere, output)
    os.close(nowhere)


def _graphics(settings: ClientSettings) -> Graphics | None:
    from tui.client.widgets.graphics import probe

    return probe(settings.pictures)
