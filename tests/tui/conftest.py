"""What the tests of screens share: a frozen clock, no animation, baselines in the top-level folder `snapshots`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet

from tests.tui.fake_peer import NOW, FakeHost, FakePeer
from tests.tui.quiet import QuietPilot, pressed, settled
from tui.client import debounce
from tui.client.app import GlimpseClient
from tui.client.settings import ClientSettings
from tui.monitor.app import GlimpseMonitor

_AT_ONCE_S = 0.001
"""Not 0: a timer of Textual divides by it."""
SIZES = {"80x24": (80, 24), "120x40": (120, 40)}
_SNAPSHOTS = Path(__file__).resolve().parents[2] / "snapshots"


_parse_rules = Stylesheet._parse_rules
_parsed: dict[tuple[Any, ...], list[RuleSet]] = {}


def parsed_once(sheet: Stylesheet, css: str, *options: Any, **more: Any) -> list[RuleSet]:
    """Parse a style sheet once for all programs of these tests; Textual does it once for each program.

    What it gives follows from the text, the variables of the theme and the options; nothing changes rules afterwards.
    """
    key = (css, options, tuple(more.items()), tuple(sheet._variables.items()))
    if key not in _parsed:
        _parsed[key] = _parse_rules(sheet, css, *options, **more)
    return _parsed[key]


@pytest.fixture(autouse=True)
def frozen_screen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No animation, no blinking cursor, no colours of the environment, settings and copies in the test's folder.

    What the client puts off for a moment is done at once.
    """
    import textual.constants
    from textual.widgets import Input, TextArea

    monkeypatch.setattr(Stylesheet, "_parse_rules", parsed_once)
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
    """Size of the terminal: a test that takes this runs at both sizes."""
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

    `waits=False` is for a screen that is shown while something is under way. With `light=True` there is a second
    baseline at the smaller size, for which the program changes to the light theme, as a person can at any moment.
    """
    from pytest_textual_snapshot import SVGImageExtension
    from syrupy.extensions.single_file import SingleFileSnapshotExtension

    folder, theme = _SNAPSHOTS / request.module.__name__.rpartition(".")[2], ""

    def name(_extension: type[Any], *, test_location: Any, index: Any = 0) -> str:
        """Return the test's name with the theme behind it. The index would number the pictures of one test."""
        return f"{SingleFileSnapshotExtension.get_snapshot_name(test_location=test_location, index=0)}{theme}"

    monkeypatch.setattr(SVGImageExtension, "dirname", classmethod(lambda _cls, *, test_location: str(folder)))
    monkeypatch.setattr(SVGImageExtension, "get_snapshot_name", classmethod(name))

    def compare(
        app: App[Any],
        size: tuple[int, int],
        *,
        press: tuple[str, ...] = (),
        before: Callable[..., Any] | None = None,
        waits: bool = True,
        light: bool = False,
    ) -> None:
        nonlocal theme
        light = light and size == SIZES["80x24"]
        dark_picture = ""

        async def rested(pilot: Any) -> None:
            if isinstance(app, GlimpseMonitor):  # What happened since its last tick is to be seen.
                await settled(pilot)
                app.repaint()
            await (settled(pilot) if waits else pilot.pause())

        async def prepare(given: Any) -> None:
            nonlocal dark_picture
            pilot = QuietPilot(given.app)
            await settled(pilot)
            await pressed(pilot, *press)
            if before is not None:
                await before(pilot)
            await rested(pilot)
            if light:
                dark_picture = app.export_screenshot(simplify=True)
                app.theme = "glimpse-light"
                await rested(pilot)

        theme = "-light" if light else ""
        alike = [snap_compare(app, terminal_size=size, run_before=prepare)]
        if light:
            theme = ""
            alike.append(snap_compare(Taken(dark_picture)))
        assert all(alike), alike

    return compare
