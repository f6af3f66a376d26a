"""What the tests of screens share: a frozen clock, no animation, baselines in the top-level folder `snapshots`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from textual.app import App

from tests.tui.fake_peer import FakeHost, FakePeer
from tests.tui.quiet import drained, pressed, settled, still
from tui.client import pauses
from tui.client.app import GlimpseClient
from tui.client.settings import ClientSettings
from tui.monitor.app import GlimpseMonitor

NOW = 1_800_000_000.0
"""The moment at which every picture is taken: 2027-01-15 08:00 UTC."""
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
        monkeypatch.setattr(pauses, name, _AT_ONCE_S)
    monkeypatch.setattr(textual.constants, "TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setattr(Input, "cursor_blink", False)
    monkeypatch.setattr(TextArea, "cursor_blink", False)
    for name in ("NO_COLOR", "COLORTERM", "TEXTUAL_THEME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CONFIG", "STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "xdg" / name.lower()))


@pytest.fixture(params=[(size, theme) for size in SIZES for theme in THEMES], ids="-".join)
def look(request: pytest.FixtureRequest) -> tuple[tuple[int, int], str]:
    """Size and theme: a test that takes this runs once for each of the four looks."""
    size, theme = request.param
    return SIZES[size], THEMES[theme]


@pytest.fixture
def make_client() -> Callable[..., GlimpseClient]:
    """Return a function that makes a client over fakes: with a peer it opens its home, with a host the first screen."""

    def make(
        peer: FakePeer | None = None, *, host: FakeHost | None = None, theme: str = "glimpse-dark", **options: Any
    ):
        if host is None:
            host = FakeHost(peers={"ada": peer or FakePeer()})
            options.setdefault("profile", "ada")
        settings = options.pop("settings", None) or ClientSettings(theme=theme)
        return GlimpseClient(host, settings=settings, wall=lambda: NOW, zone=UTC, **options)

    return make


@pytest.fixture
def snap(
    snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[..., None]:
    """Compare a screen with its baseline: `snap(app, size, press=(...), before=async function of the pilot)`.

    `waits=False` is for a screen that is shown while something is under way.
    """
    import pytest_textual_snapshot

    folder = str(_SNAPSHOTS / request.module.__name__.rpartition(".")[2])
    dirname = classmethod(lambda _cls, *, test_location: folder)
    monkeypatch.setattr(pytest_textual_snapshot.SVGImageExtension, "dirname", dirname)

    def compare(
        app: App[Any],
        size: tuple[int, int],
        *,
        press: tuple[str, ...] = (),
        before: Callable[..., Any] | None = None,
        waits: bool = True,
    ) -> None:
        async def prepare(pilot: Any) -> None:
            await settled(pilot)
            await pressed(pilot, *press)
            if before is not None:
                await before(pilot)
            await (settled(pilot) if waits else pilot.pause())
            if waits and isinstance(app, GlimpseMonitor):
                await still(pilot)

        assert snap_compare(app, terminal_size=size, run_before=prepare)

    return compare
