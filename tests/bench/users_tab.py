"""The tab Users of the whole client with ten thousand people behind it, in a headless terminal of 120 x 40 cells.

The peer answers at once from memory, so that the figures are the screens' own. Every figure is the time until the frame
that shows the outcome is ready to be sent, its bytes for the terminal made as well.
"""

import asyncio
import statistics
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any

from textual._compositor import CompositorUpdate
from textual.pilot import Pilot

from tests.bench.rows import Row
from tests.tui.fake_peer import FakeHost, FakePeer
from tests.tui.quiet import settled
from tui.client.app import GlimpseClient
from tui.client.panes.users import UsersPane
from tui.client.screens.home import HomeScreen
from tui.common.starting import begin
from tui.peer.models import User

SIZE = (120, 40)
ROUNDS = 5
LIMIT_S = 30
FILTER = ("1", "2", "backspace", "backspace")
"""Keys that narrow the list to thousands, then hundreds, and bring all of them back."""


class Frames:
    """Notes when a client's frames are ready, until one shows what is waited for."""

    def __init__(self, app: GlimpseClient) -> None:
        self._app = app
        self._display = app._display
        self._shows: Callable[[], bool] = lambda: False
        self._ready = asyncio.Event()
        self._at = 0.0
        app._display = self._take  # type: ignore[method-assign]

    def _take(self, screen: Any, renderable: Any) -> None:
        if isinstance(renderable, CompositorUpdate):
            renderable.render_segments(self._app.console)
        self._display(screen, renderable)
        if not self._ready.is_set() and self._shows():
            self._at = perf_counter()
            self._ready.set()

    async def until(self, shows: Callable[[], bool], deed: Callable[[], Coroutine[Any, Any, None] | None]) -> float:
        """Return the seconds from a deed to the first frame after which `shows` is true."""
        self._ready.clear()
        self._shows = shows
        began = perf_counter()
        waiting = deed()
        if waiting is not None:
            await waiting
        async with asyncio.timeout(LIMIT_S):
            await self._ready.wait()
        return self._at - began


def rows(people: list[User], paint_bar_s: float, filter_bar_s: float) -> list[Row]:
    """Measure all of it, with these people in the cloud."""
    rounds = [asyncio.run(measure(people)) for _ in range(ROUNDS)]
    home, everybody, tab, key = (statistics.median(times) for times in zip(*rounds, strict=True))
    return [
        Row("tab of 10 000 users: first paint", tab, "s", ratio=tab, sense="at most", bar=paint_bar_s),
        Row("tab of 10 000 users: filter, slowest keystroke", key, "s", ratio=key, sense="at most", bar=filter_bar_s),
        Row("from an open profile to the first users", home, "s", note="all four tabs are built"),
        Row("from an open profile to all 10 000 users", everybody, "s", note="50 pages, one after another"),
    ]


async def measure(people: list[User]) -> tuple[float, float, float, float]:
    """Return the seconds to the first users, to everybody, to the tab's paint when it is opened, to a keystroke's.

    One of the people is the peer's own account, which is not listed.
    """
    peer = FakePeer(people=people)
    app = GlimpseClient(FakeHost())
    begin()  # As the program does: no garbage is looked for before the first paint, nor ever in what is there by then.
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        frames = Frames(app)
        began = perf_counter()
        home = await frames.until(lambda: any_shown(app), lambda: app.enter(peer))  # type: ignore[arg-type]
        await frames.until(lambda: len(users_of(app).people.rows) == len(people) - 1, lambda: None)
        everybody = perf_counter() - began
        await settled(pilot)
        return home, everybody, await opened(pilot, frames), max([await typed(pilot, frames, key) for key in FILTER])


async def opened(pilot: Pilot[Any], frames: Frames) -> float:
    """Return the seconds from the key for the tab to its paint, coming from another tab."""
    people = users_of(pilot.app).people
    await pilot.press("4")
    await settled(pilot)
    people.redraw()
    return await frames.until(lambda: any_shown(pilot.app), lambda: pilot.press("1"))


async def typed(pilot: Pilot[Any], frames: Frames, key: str) -> float:
    """Return the seconds from a key in the filter to the frame that shows who is left."""
    pane = users_of(pilot.app)
    pane.finder.focus()
    await settled(pilot)
    before = pane.people.rows
    seconds = await frames.until(
        lambda: pane.people.rows is not before and any_shown(pilot.app), lambda: pilot.press(key)
    )
    await settled(pilot)
    return seconds


def users_of(app: Any) -> UsersPane:
    """Return the tab."""
    return next(screen for screen in app.screen_stack if isinstance(screen, HomeScreen)).query_one(UsersPane)


def any_shown(app: Any) -> bool:
    """Return whether rows of users have been painted since they changed."""
    if not any(isinstance(screen, HomeScreen) for screen in app.screen_stack):
        return False
    panes = app.screen.query(UsersPane)
    return bool(panes) and bool(panes.first().query("#users-list")) and bool(panes.first().people._painter._rows)
