"""What the tests of screens share: a frozen clock, no animation, baselines in the top-level folder `snapshots`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from textual.app import App

from tests.tui.fake_peer import NOW, FakeHost, FakePeer
from tests.tui.quiet import drained, pressed, settled
from tui.client import debounce
from tui.client.app import GlimpseClient
from tui.client.settings import ClientSettings
from tui.monitor.app import GlimpseMonitor

_AT_ONCE_S = 0.001
"""Not 0: a timer of Textual divides by it."""
SIZES = {"80x24": (80, 24), "120x40": (120, 40)}
THEMES = {"dark": "glimpse-dark", "light": "glimpse-light"}
_SNAPSHOTS = Path(__file__).resolve().parents[2] / "snapshots"


@pytest.fixture(autouse=True)
def frozen_screen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No animation, no blinking cursor, no colours of the environment, settings and copies in the test's folder.

    What the client puts off for a moment is done at once, and waiting for rest does not go by the clock.
    """
    import textual.app
    import textual.constants
    import textual.pilot
    from textual.widgets import Input, TextArea

    for module in (textual.app, textual.pilot):
        monkeypatch.setattr(module, "wait_for_idle", drained)
    for name in ("TOGETHER_S", "PAINT_S", "REST_S", "TYPING_S"):
        monkeypatch.setattr(debounce, name, _AT_ONCE_S)
    # A toast stays until the test has looked at it, however busy the machine is.
    monkeypatch.setattr(App, "NOTIFICATION_TIMEOUT", 600)
    monkeypatch.setattr(textual.constants, "TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setattr(Input, "cursor_blink", False)
    monkeypatch.setattr(TextArea, "cursor_blink", False)
    for name in ("NO_COLOR", "COLORTERM", "TEXTUAL_THEME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CONFIG", "STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "xdg" / name.lower()))


@pytest.fixture(params=SIZES)
def look(request: pytest.FixtureRequest) -> tuple[int, int]:
    """Size of the terminal: a test that takes this runs at both sizes, and `snap` takes a picture in every theme."""
    return SIZES[request.param]


@pytest.fixture
def make_client() -> Callable[..., GlimpseClient]:
    """Return a function that makes a client over fakes: with a peer it opens its home, with a host the first screen."""

    def make(peer: FakePeer | None = None, *, host: FakeHost | None = None, **options: Any):
        if host is None:
            host = FakeHost(peers={"ada": peer or FakePeer()})
            options.setdefault("profile", "ada")
        settings = options.pop("settings", None) or ClientSettings()
        return GlimpseClient(host, settings=settings, wall=lambda: NOW, zone=UTC, **options)

    return make


class Taken(App[str]):
    """Stands in for a program of which the picture was taken before."""

    def __init__(self, picture: str) -> None:
        super().__init__()
        self._picture = picture

    def run(self, *_: Any, **__: Any) -> str:
        """Return the picture."""
        return self._picture


@pytest.fixture
def snap(
    snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[..., None]:
    """Compare a screen with its baseline: `snap(app, size, press=(...), before=async function of the pilot)`.

    With `look` there is a baseline for each theme: the program is told to change it, as a person can at any moment.
    `waits=False` is for a screen that is shown while something is under way.
    """
    from pytest_textual_snapshot import SVGImageExtension

    themes = list(THEMES) if "look" in request.fixturenames else [""]
    folder, baseline = _SNAPSHOTS / request.module.__name__.rpartition(".")[2], Baseline()
    monkeypatch.setattr(SVGImageExtension, "dirname", classmethod(lambda _cls, *, test_location: str(folder)))
    monkeypatch.setattr(SVGImageExtension, "get_snapshot_name", classmethod(baseline.name))

    def compare(
        app: App[Any],
        size: tuple[int, int],
        *,
        press: tuple[str, ...] = (),
        before: Callable[..., Any] | None = None,
        waits: bool = True,
    ) -> None:
        taken: dict[str, str] = {}

        async def prepare(pilot: Any) -> None:
            await settled(pilot)
            await pressed(pilot, *press)
            if before is not None:
                await before(pilot)
            for theme in themes:
                if taken:
                    app.theme = THEMES[theme]
                if isinstance(app, GlimpseMonitor):  # What happened since its last tick is to be seen.
                    await settled(pilot)
                    app.repaint()
                await (settled(pilot) if waits else pilot.pause())
                if theme != themes[-1]:
                    taken[theme] = app.export_screenshot(simplify=True)

        baseline.theme = themes[-1]
        alike = {themes[-1]: snap_compare(app, terminal_size=size, run_before=prepare)}
        for theme, picture in taken.items():
            baseline.theme = theme
            alike[theme] = snap_compare(Taken(picture))
        assert all(alike.values()), [theme for theme in alike if not alike[theme]]

    return compare


class Baseline:
    """How the file of a picture is called: like the test, with the theme behind the size."""

    def __init__(self) -> None:
        self.theme = ""

    def name(self, extension: type[Any], *, test_location: Any, index: Any = 0) -> str:
        """Return the name without its ending."""
        name: str = super(extension, extension).get_snapshot_name(test_location=test_location, index=0)
        for size in SIZES if self.theme else ():
            name = name.replace(size, f"{size}-{self.theme}")
        return name
