"""The tab My images opened for a test: whose images there are, and how it is pressed, clicked and read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from textual.widgets import Input, Static

from tests.patience import PATIENCE_S
from tests.tui.conftest import NOW
from tests.tui.fake_peer import FakePeer
from tests.tui.picture_files import album, encoded
from tests.tui.quiet import notifications, pressed, running, settled
from tui.client.panes.my_images import MyImagesPane
from tui.client.screens.home import HomeScreen
from tui.common.rowlist import RowList
from tui.peer.models import MyImage, User, Viewer, ViewLogEntry

DAY = 86_400.0
LAKE, TOWER, GARDEN, OTHER = (letter * 32 for letter in "abcd")
WORDS = {12: "amber basil cedar delta ember fjord grove harbor", 15: "iris jolly kelp lemon maple north olive pearl"}


HOSTILE = "\x1b[31mred[/] [red]x[/red] [@click=app.quit]y\u202e\u200f\n\t👩‍👩‍👧" + "z" * 10_000
"""A title, a name or a reason from somebody who means harm."""


def mine(image: str, title: str, **changes: Any) -> MyImage:
    values: dict[str, Any] = {
        "image": image,
        "title": title,
        "format": "JPEG",
        "width": 4032,
        "height": 3024,
        "size": 3_400_000,
        "created": NOW - 0.3 * DAY,
        "path": Path("here.png"),
        "offered": True,
        "has_preview": False,
        "viewers": 0,
        "views_spent": 0,
    }
    return MyImage(**{**values, **changes})


def viewer(account: int, name: str, **changes: Any) -> Viewer:
    values: dict[str, Any] = {
        "grant": f"{account:032x}",
        "account": account,
        "name": name,
        "granted": 5,
        "consumed": 2,
        "left": 3,
        "expires": None,
        "revoked": False,
        "words": WORDS.get(account, "queen river sugar tango"),
    }
    return Viewer(**{**values, **changes})


def ada() -> FakePeer:
    """Return a peer with images in every state and viewers in every state."""
    return FakePeer(
        mine=[
            mine(LAKE, "Lake at dawn", viewers=4, views_spent=6, has_preview=True),
            mine(TOWER, "Water tower", width=800, height=1200, size=120_000, created=NOW - 2 * DAY),
            mine(GARDEN, "Garden", offered=False, viewers=1, created=NOW - 9 * DAY),
            mine(OTHER, "Made on the other machine", path=None, created=NOW - 30 * DAY),
        ],
        rights={
            LAKE: [
                viewer(12, "Ben"),
                viewer(15, "Cem", expires=NOW + 3 * DAY, look_s=20.0),
                viewer(21, "Dora", granted=1, left=0),
                viewer(30, "Emil", revoked=True, left=0),
            ]
        },
        looks={
            LAKE: [ViewLogEntry(12, "Ben", NOW - 600, 3, 27.4), ViewLogEntry(21, "Dora", NOW - DAY, 0)],
        },
        people=[
            User(12, "Ben", WORDS[12], True, 2, NOW),
            User(15, "Cem", WORDS[15], False, 0, NOW - DAY),
            User(7, "Ada", "amber-basil-cedar-delta", True, 4, NOW),
            User(40, "Benedikt", WORDS[12], True, 0, NOW),
        ],
        pictures={LAKE: encoded(), TOWER: encoded(size=(64, 96)), GARDEN: encoded()},
        previews={LAKE: encoded("JPEG", (48, 32))},
    )


def home_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the pictures in a home of the test's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return album(tmp_path / "Pictures")


class Tab:
    """The open tab."""

    def __init__(self, pilot: Any, peer: FakePeer) -> None:
        self.pilot = pilot
        self.peer = peer

    @property
    def screen(self) -> Any:
        return self.pilot.app.screen

    @property
    def pane(self) -> MyImagesPane:
        home = next(screen for screen in self.pilot.app.screen_stack if isinstance(screen, HomeScreen))
        return home.query_one(MyImagesPane)

    @property
    def toasts(self) -> list[str]:
        return [toast.message for toast in notifications(self.pilot.app)]

    def said(self, selector: str) -> str:
        return str(self.screen.query_one(selector, Static).render())

    def shown(self, name: str) -> str:
        rows = self.pane.query_one(f"#{name}", RowList)
        return "\n".join(strip.text for strip in rows.render_lines(rows.region.reset_offset))

    async def press(self, *keys: str) -> None:
        await pressed(self.pilot, *keys)
        await settled(self.pilot)

    async def click(self, selector: str, offset: tuple[int, int] | None = None) -> None:
        self.pilot.app.clear_notifications()
        await settled(self.pilot)
        assert await self.pilot.click(selector, offset=offset or (1, 0))
        await settled(self.pilot)

    async def row(self, name: str, index: int) -> None:
        await self.click(f"#{name}", (4, index + 1))

    async def write(self, selector: str, text: str) -> None:
        field = self.screen.query_one(selector, Input)
        field.focus()
        field.value = text
        field.cursor_position = len(text)
        await settled(self.pilot)

    async def look(self) -> None:
        """Have the pane look at the peer again."""
        self.pane.load()
        await settled(self.pilot)

    async def until(self, holds: Callable[[], Any]) -> None:
        """Let the screen go on until it is as it must become."""
        with anyio.fail_after(PATIENCE_S):
            while not holds():
                await self.pilot.pause()
        await settled(self.pilot)


@asynccontextmanager
async def open_tab(
    make_client: Callable[..., Any], peer: FakePeer | None = None, size: tuple[int, int] = (80, 24), **options: Any
) -> AsyncIterator[Tab]:
    """Open the tab of a peer, by default of `ada`."""
    peer = peer or ada()
    async with running(make_client(peer, **options), size=size, notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await settled(pilot)
        yield Tab(pilot, peer)
