"""How long the event loop stands still while a picture of 12 megapixels is opened, shown and looked at closely.

A task that wants to run every 5 ms notes how much later it does.
"""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from io import BytesIO
from time import perf_counter

from PIL import Image
from rich.color import ColorSystem
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from tests.bench.rows import Row
from tests.photos import large_jpeg, photo
from tests.tui.quiet import settled
from tui.client.widgets.decoding import full, reduced
from tui.client.widgets.zooming import ZoomablePicture

PICTURE_BAR_MS = 50.0
SIZE = (120, 36)
ROUNDS = 5
TICK_S = 0.005
ZOOM_KEYS = ("plus", "plus", "l", "plus", "j", "0")


class Painting(App[None]):
    """Renders every frame to the codes that a terminal with all colours gets, which headless programs leave out."""

    is_headless = False

    def on_mount(self) -> None:
        self.console._color_system = ColorSystem.TRUECOLOR


class Viewing(Painting):
    """A picture over the whole screen."""

    def compose(self) -> ComposeResult:
        yield ZoomablePicture()

    @property
    def picture(self) -> ZoomablePicture:
        return self.query_one(ZoomablePicture)


def picture_rows() -> list[Row]:
    """Measure all of it."""
    jpeg, png = large_jpeg().data, smooth_png()
    ours = asyncio.run(blocks(jpeg, png))
    megabytes = f"PNG of {len(png) / 1024**2:.0f} MB"
    notes = {what: megabytes if "PNG" in what else "" for what in ours}
    return [row(f"12 MP {what}: loop stands still", longest, notes[what]) for what, longest in ours.items()]


def row(what: str, longest_ms: list[float], note: str) -> Row:
    """Return a row about the longest block of each round: their median, the worst in the note."""
    typical = statistics.median(longest_ms)
    worst = f"worst of {len(longest_ms)}: {max(longest_ms):.0f} ms"
    notes = ", ".join(filter(None, (worst, note)))
    return Row(what, typical, "ms", "", None, typical, "at most", PICTURE_BAR_MS, notes)


def smooth_png() -> bytes:
    """Return a PNG of the photograph of `large_jpeg` without its noise, with which it would be too large to share."""
    with Image.open(BytesIO(photo("coffee.png"))) as image:
        enlarged = image.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
    out = BytesIO()
    enlarged.save(out, "PNG")
    return out.getvalue()


async def blocks(jpeg: bytes, png: bytes) -> dict[str, list[float]]:
    """Return the longest blocks of each round, in milliseconds, for each thing a person does."""
    app = Viewing()
    found: dict[str, list[float]] = {}
    async with app.run_test(size=SIZE) as pilot:
        app.picture.focus()
        await settled(pilot)

        async def show_reduced(data: bytes) -> None:
            app.picture.show(await asyncio.to_thread(reduced, data, app.picture.box_px))

        async def show_full(data: bytes) -> None:
            app.picture.show(await asyncio.to_thread(full, data))

        async def look_closely(_data: bytes) -> None:
            for key in ZOOM_KEYS:
                await pilot.press(key)
                await settled(pilot)

        doings = {
            "JPEG to show reduced": (show_reduced, jpeg),
            "PNG to show reduced": (show_reduced, png),
            "PNG to look at": (show_full, png),
            "JPEG to look at": (show_full, jpeg),
            "zoomed into and moved": (look_closely, jpeg),
        }
        for _ in range(ROUNDS):
            for what, (do, data) in doings.items():
                found.setdefault(what, []).append(await longest_block_ms(pilot, lambda do=do, data=data: do(data)))
    return found


async def longest_block_ms(pilot: Pilot[None], do: Callable[[], Awaitable[None]]) -> float:
    """Return how much too late a task was at worst that wants to run every 5 ms, until the screen is at rest again."""
    late: list[float] = [0.0]

    async def tick() -> None:
        wanted = perf_counter() + TICK_S
        while True:
            await asyncio.sleep(TICK_S)
            now = perf_counter()
            late.append(now - wanted)
            wanted = now + TICK_S

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await do()
    await settled(pilot)
    await asyncio.sleep(2 * TICK_S)
    ticking.cancel()
    return 1000 * max(late)
