"""A monitor over a fake cloud, for the tests of its screens: time stands still unless the test lets it pass."""

from __future__ import annotations

from datetime import UTC
from typing import Any, TypeVar

from textual.app import App
from textual.pilot import Pilot
from textual.widget import Widget

from tests.tui.fake_feed import SCENARIOS, SCENE_S, FakeCloud
from tests.tui.quiet import settled, strips_of
from tui.monitor.app import GlimpseMonitor
from tui.monitor.model import Model
from tui.monitor.screens.home import MonitorScreen
from tui.monitor.settings import MonitorSettings

W = TypeVar("W", bound=Widget)

WALL_S = 1_800_000_000.0
"""What the people's clock shows at the fake cloud's time 0: 2027-01-15 08:00 UTC."""


class FakeSource:
    """The source of a fake cloud: the screens see its model at its time, both of which the test moves on."""

    player: Any = None
    recorder: Any = None
    operator: Any = None
    wall_offset_s = WALL_S

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud
        self.node_index = cloud.node_index
        self.model = Model(cloud.node_index)
        self.steps = 0

    def step(self) -> tuple[Model, float]:
        self.steps += 1
        return self.model, self.cloud.now

    async def run(self) -> None:
        """Nothing comes by itself."""

    def pass_time(self, seconds: float) -> None:
        """Let time pass in the cloud, and the model hear of it."""
        self.cloud.feed(self.model, seconds)


def make_monitor(scenario: str | FakeCloud = "healthy", *, seconds: float = SCENE_S, **options: Any) -> GlimpseMonitor:
    """Return a monitor that shows a scenario after so many seconds. Its `source` is a `FakeSource`."""
    source = FakeSource(SCENARIOS[scenario]() if isinstance(scenario, str) else scenario)
    source.pass_time(seconds)
    settings = options.pop("settings", None) or MonitorSettings()
    return GlimpseMonitor(source, settings=settings, zone=UTC, **options)


async def repainted(pilot: Pilot[Any], seconds: float = 0.0) -> None:
    """Let time pass in the cloud, show it, and wait for the screen to come to rest."""
    app = pilot.app
    assert isinstance(app, GlimpseMonitor)
    assert isinstance(app.source, FakeSource)
    app.source.pass_time(seconds)
    app.repaint()
    await settled(pilot)


async def opened(pilot: Pilot[Any], tab: str) -> None:
    """Go to the tab that this key opens, and wait until it shows what has happened."""
    await repainted(pilot)
    await pilot.press(tab)
    await repainted(pilot)


def words(widget: Widget) -> str:
    """Return what a widget and those in it show, as text."""
    region = widget.region
    lines = strips_of(widget.screen)[region.y : region.bottom]
    return "\n".join(line.crop(region.x, region.right).text.lstrip("▏").rstrip() for line in lines)


def on_home(app: App[Any], kind: type[W]) -> W:
    """Return the only widget of a kind on the home screen, whatever window is in front of it."""
    return next(screen for screen in app.screen_stack if isinstance(screen, MonitorScreen)).query_one(kind)
