"""Ten thousand users on the screen: how long until they are painted, and until a keystroke has filtered them.

Both in a headless program of 120 x 40 cells, from the call to the first frame that shows the outcome, beside Textual's
own `DataTable` with the same rows.
"""

import asyncio
import statistics
from collections.abc import Callable
from time import perf_counter
from typing import Any

from rich.text import Text
from textual._compositor import CompositorUpdate
from textual.app import App, ComposeResult
from textual.screen import Screen
from textual.widgets import DataTable

from tests.bench import users_tab
from tests.bench.rows import Row
from tui.common.rowlist import Column, RowList
from tui.peer.models import User

USERS = 10_000
SIZE = (120, 40)
ROUNDS = 7
ROUNDS_OF_TABLE = 1
"""The table takes seconds for each."""
QUIET_ROUND_S, QUIET_ROUNDS = 0.05, 4
"""Without a frame for so long, a screen has come to rest."""
PAINT_BAR_S, FILTER_BAR_S = 0.3, 0.15
KEYSTROKES = ("1", "12", "1", "")
"""What the filter holds after each key: the last ones bring back thousands of rows."""
COLUMNS = (
    Column("name", "Name"),
    Column("words", "Fingerprint", 34),
    Column("images", "Images", 8, align="right"),
    Column("seen", "Last seen", 12),
)


def rows() -> list[Row]:
    """Measure all of it."""
    people = users()
    ours = asyncio.run(measure(ListApp, people, ROUNDS))
    theirs = asyncio.run(measure(TableApp, people, ROUNDS_OF_TABLE))
    return [
        row("list of 10 000 users: first paint", ours[0], theirs[0], PAINT_BAR_S),
        row("list of 10 000 users: filter, slowest keystroke", ours[1], theirs[1], FILTER_BAR_S),
        *users_tab.rows(people, PAINT_BAR_S, FILTER_BAR_S),
    ]


def row(what: str, ours: float, theirs: float, bar: float) -> Row:
    """Return a row for times in seconds whose bar is about ours itself."""
    return Row(what, ours, "s", "DataTable, s", theirs, ours, "at most", bar)


def users(count: int = USERS) -> list[User]:
    """Return people that look like a directory's, a third of them online."""
    return [
        User(
            number, f"Person {number * 7919 % count:05}", "amber-otter-north-lagoon", number % 3 == 0, number % 40, None
        )
        for number in range(count)
    ]


def cells(user: User) -> tuple[Text | str, ...]:
    """Return the texts of a row."""
    name = Text("● " if user.online else "○ ", "green" if user.online else "dim").append(user.name)
    return name, user.words, str(user.images), "never"


class BenchApp(App[None]):
    """A screen with nothing but what is measured, which notes when it sent its last frame."""

    sent: float = 0.0

    def fill(self, people: list[User]) -> None:
        """Show these people; in a sub-class."""
        raise NotImplementedError

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        """Make the bytes that a terminal would get, which a headless program leaves out, and note the time."""
        if isinstance(renderable, CompositorUpdate):
            renderable.render_segments(self.console)
        super()._display(screen, renderable)
        self.sent = perf_counter()

    async def timed(self, people: list[User]) -> float:
        """Return the seconds from showing these people to the last frame that came of it."""
        began = perf_counter()
        self.fill(people)
        seen, quiet = 0.0, 0
        while quiet < QUIET_ROUNDS:
            await asyncio.sleep(QUIET_ROUND_S)
            quiet = quiet + 1 if seen == self.sent else 0
            seen = self.sent
        return self.sent - began


class ListApp(BenchApp):
    """Our list."""

    def compose(self) -> ComposeResult:
        """Show it, empty."""
        yield RowList[User](
            COLUMNS,
            key=lambda user: str(user.account),
            cells=cells,
            sort_keys={"name": lambda user: user.name.casefold()},
            sort=("name", False),
        )

    def fill(self, people: list[User]) -> None:
        """Show these people."""
        self.query_one(RowList).set_rows(people)


class TableApp(BenchApp):
    """Textual's table."""

    def compose(self) -> ComposeResult:
        """Show it, empty."""
        yield DataTable[Any]()

    def on_mount(self) -> None:
        """Name its columns."""
        self.query_one(DataTable).add_columns(*(column.title for column in COLUMNS))

    def fill(self, people: list[User]) -> None:
        """Show these people."""
        table = self.query_one(DataTable)
        table.clear()
        table.add_rows(cells(user) for user in sorted(people, key=lambda user: user.name.casefold()))


async def measure(kind: Callable[[], BenchApp], people: list[User], rounds: int) -> tuple[float, float]:
    """Return the median seconds to the first paint of everybody, and to the slowest keystroke of a filter."""
    paints, filters = [], []
    for _ in range(rounds):
        app = kind()
        async with app.run_test(size=SIZE) as pilot:
            await pilot.pause()
            paints.append(await app.timed(people))
            filters.append(
                max([await app.timed([user for user in people if text in user.name]) for text in KEYSTROKES])
            )
    return statistics.median(paints), statistics.median(filters)
