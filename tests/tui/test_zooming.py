"""Looking closely at a picture by keys and mouse."""

from __future__ import annotations

import pytest
from textual import events

from tests.tui.quiet import running, settled
from tests.tui.test_picture import Shows, colors, lines, noise, painter, plain
from tui.client.widgets.viewport import Viewport
from tui.client.widgets.zooming import ZoomablePicture
from tui.common.footer import Footer

__all__ = ["painter"]


class Zooms(Shows):
    """A picture to zoom into, with the footer that tells the keys."""

    def __init__(self) -> None:
        super().__init__(ZoomablePicture())

    def compose(self):
        yield from super().compose()
        yield Footer()

    def on_mount(self):
        self.picture.focus()


def parts(painter):
    return [tuple(round(edge) for edge in call[1]) for call in painter.calls]


def scrolled(kind, x, y):
    return kind(
        None, x=x, y=y, delta_x=0, delta_y=0, button=0, shift=False, meta=False, ctrl=False, screen_x=x, screen_y=y
    )


@pytest.mark.anyio
async def test_keys_zoom_move_and_show_the_whole_again(painter):
    app = Zooms()
    async with running(app, size=(40, 11)) as pilot:
        app.picture.show(noise(400, 200))
        await settled(pilot)
        for key in ("plus", "equals_sign", "l", "down", "h", "k", "minus", "0"):
            await pilot.press(key)
            await settled(pilot)
        whole, closer, twice, right, below, left, above, further, again = parts(painter)
        assert whole == again == (0, 0, 400, 200)
        assert closer == (67, 33, 333, 167)
        assert twice == (100, 50, 300, 150)
        assert right == (140, 50, 340, 150)
        assert below == (140, 70, 340, 170)
        assert left == (100, 70, 300, 170)
        assert above == twice
        assert further == closer


@pytest.mark.anyio
async def test_closer_shows_pixels_that_were_too_small_before():
    """A checkerboard of single pixels is grey as a whole, and black and white from near."""
    board = plain("black", (320, 160))
    for x in range(320):
        for y in range(160):
            if (x + y) % 2:
                board.putpixel((x, y), (255, 255, 255))
    app = Zooms()
    async with running(app, size=(40, 11)) as pilot:
        app.picture.show(board)
        await settled(pilot)
        assert all(90 < color.red < 170 for color in colors(app.picture)[5])
        await pilot.press(*["plus"] * 8)
        await settled(pilot)
        reds = {color.red for color in colors(app.picture)[5]}
        assert min(reds) < 64
        assert max(reds) > 192


@pytest.mark.anyio
async def test_the_wheel_zooms_where_the_mouse_is(painter):
    app = Zooms()
    async with running(app, size=(40, 11)) as pilot:
        app.picture.show(noise(400, 200))
        await settled(pilot)
        app.picture.post_message(scrolled(events.MouseScrollUp, 0, 0))
        await settled(pilot)
        left, top, *_ = parts(painter)[-1]
        assert left < 5
        assert top < 5
        app.picture.post_message(scrolled(events.MouseScrollDown, 0, 0))
        await settled(pilot)
        assert parts(painter)[-1] == (0, 0, 400, 200)


@pytest.mark.anyio
async def test_the_mouse_draws_the_picture_along(painter):
    app = Zooms()
    async with running(app, size=(40, 11)) as pilot:
        app.picture.show(noise(400, 200))
        await pilot.press("plus", "plus")
        await settled(pilot)
        await pilot.mouse_down(app.picture, offset=(20, 5))
        await pilot.hover(app.picture, offset=(24, 4))
        await pilot.mouse_up(app.picture, offset=(24, 4))
        await settled(pilot)
        # 200 pixels are seen in 40 columns, 100 in 10 rows: four to the right and one up.
        assert parts(painter)[-1] == (80, 60, 280, 160)
        await pilot.hover(app.picture, offset=(2, 2))
        await settled(pilot)
        assert parts(painter)[-1] == (80, 60, 280, 160)


@pytest.mark.anyio
async def test_the_footer_tells_the_keys_and_greys_what_does_nothing():
    app = Zooms()
    async with running(app, size=(90, 11)) as pilot:
        await settled(pilot)
        told = {binding.binding.id: binding for binding in app.screen.active_bindings.values()}
        assert not any(told[name].enabled for name in told if name and name.startswith("picture."))
        app.picture.show(noise())
        await settled(pilot)
        assert enabled(app) == {"picture.closer"}
        await pilot.press("plus")
        assert enabled(app) == {
            "picture.closer",
            "picture.further",
            "picture.whole",
            "picture.left",
            "picture.right",
            "picture.up",
            "picture.down",
        }
        await pilot.press(*["plus"] * 9)
        assert "picture.closer" not in enabled(app)
        assert app.picture.viewport.zoom == 16


def enabled(app):
    bindings = [active for active in app.screen.active_bindings.values() if active.enabled]
    return {active.binding.id for active in bindings if (active.binding.id or "").startswith("picture.")}


@pytest.mark.anyio
async def test_another_picture_is_seen_whole_and_cleared_keys_do_nothing(painter):
    app = Zooms()
    async with running(app, size=(40, 11)) as pilot:
        app.picture.show(noise(400, 200))
        await pilot.press("plus", "l")
        app.picture.show(noise(100, 100))
        await settled(pilot)
        assert painter.calls[-1][:2] == ((100, 100), (0, 0, 100, 100))
        assert app.picture.viewport == Viewport()
        app.picture.clear()
        built = len(painter.calls)
        await pilot.press("plus", "l", "0")
        app.picture.post_message(scrolled(events.MouseScrollUp, 3, 3))
        await settled(pilot)
        assert len(painter.calls) == built
        assert app.picture.image is None
        assert "no preview" in "".join(lines(app.picture))
