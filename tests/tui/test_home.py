"""The frame around the four tabs: header, banner, tabs, quitting."""

from __future__ import annotations

import pytest

from tests.tui.quiet import settled

pytestmark = pytest.mark.anyio


async def test_the_home_opens_and_closes(make_client) -> None:
    app = make_client()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        print(app.screen)
