"""A recording on the screens: the bar, its keys and clicks, jumps; and the command that records and plays."""

from __future__ import annotations

import gzip
import os
import signal
from datetime import UTC
from pathlib import Path

import pytest
from click.testing import CliRunner

from shared.errors import InvalidInput
from tests.tui.fake_feed import FakeCloud, one_down
from tests.tui.quiet import running, settled
from tests.tui.test_monitor_dashboard import header, panel, words
from tui import cli
from tui.common.footer import Footer
from tui.monitor.app import GlimpseMonitor
from tui.monitor.panels.replay_bar import ReplayBar
from tui.monitor.player import Player
from tui.monitor.recorder import Recorder
from tui.monitor.recording import read_recording
from tui.monitor.run import open_live, open_recording, run_screens
from tui.monitor.screens.home import MonitorScreen
from tui.monitor.source import ReplaySource

BEGAN = 1_800_000_000.0


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Half a minute in which the leader is killed after 8 s."""
    cloud = one_down()
    recorder = Recorder(tmp_path / "half", cloud.node_index, BEGAN)
    for at, place, message in cloud.run(30.0):
        recorder.take(place, message, at)
    recorder.close()
    return tmp_path / "half"


@pytest.fixture
def app(recording: Path) -> GlimpseMonitor:
    """A monitor that plays it by a clock that stands still."""
    source = ReplaySource(Player(read_recording(recording)), clock=lambda: 0.0)
    return GlimpseMonitor(source, zone=UTC)


def bar(app: GlimpseMonitor) -> str:
    return words(app.screen.query_one(ReplayBar))


async def looked(pilot, app: GlimpseMonitor) -> None:
    app.repaint()
    await settled(pilot)


@pytest.mark.anyio
async def test_a_recording_says_that_it_is_one_and_where_it_is(app):
    async with running(app, size=(100, 30)) as pilot:
        await looked(pilot, app)
        assert "REPLAY" in header(app)
        assert "reading ahead" in bar(app)
        while app.source.player.index_some():
            pass
        await looked(pilot, app)
        assert "▶ 08:00:00" in bar(app)
        assert "1x" in bar(app)
        assert "0.0 s of 30 s" in bar(app)


@pytest.mark.anyio
async def test_keys_stop_hurry_and_move_it(app):
    player = app.source.player
    while player.index_some():
        pass
    async with running(app, size=(100, 30)) as pilot:
        await looked(pilot, app)
        await pilot.press("space")
        assert not player.playing
        await pilot.press("plus", "equals_sign", "plus", "minus")
        assert player.speed == 4
        await pilot.press("right", "right", "right", "left")
        await looked(pilot, app)
        assert player.position_s == pytest.approx(player.start_s + 10.0)
        assert "‖ 08:00:10" in bar(app)
        assert "4x" in bar(app)
        assert "● n2 leads" in header(app)
        assert "DOWN" in panel(app, 0)
        await pilot.press("shift+left")
        await looked(pilot, app)
        assert player.position_s == player.start_s
        assert "n1 leads" in header(app)
        await pilot.press("shift+right")
        await looked(pilot, app)
        assert player.position_s == player.end_s
        await pilot.press("space")
        assert (player.playing, player.position_s) == (True, player.start_s)
        before = player.position_s
        await pilot.press("full_stop")
        assert player.position_s > before
        assert not player.playing


@pytest.mark.anyio
async def test_a_click_on_the_track_goes_there(app):
    player = app.source.player
    while player.index_some():
        pass
    async with running(app, size=(100, 30)) as pilot:
        await looked(pilot, app)
        shown = bar(app)
        left, right = shown.index("●"), shown.rindex("─")
        await pilot.click(ReplayBar, offset=((left + right) // 2, 0))
        assert player.position_s == pytest.approx(player.start_s + 15.0, abs=0.8)
        await pilot.click(ReplayBar, offset=(right, 0))
        assert player.position_s == player.end_s
        position = player.position_s
        await pilot.click(ReplayBar, offset=(2, 0))
        await pilot.click(ReplayBar, offset=(99, 0))
        assert player.position_s == position


@pytest.mark.anyio
async def test_a_jump_that_has_to_wait_says_where_it_goes(app, monkeypatch):
    monkeypatch.setattr("tui.monitor.player.AT_ONCE_S", 5.0)
    async with running(app, size=(100, 30)) as pilot:
        await looked(pilot, app)
        await pilot.press("shift+right")
        await looked(pilot, app)
        assert "going to 08:00:30" in bar(app)
        while app.source.player.index_some():
            pass
        await looked(pilot, app)
        assert app.source.player.position_s == app.source.player.end_s
        assert "● n2 leads" in header(app)


@pytest.mark.anyio
async def test_a_recording_that_was_cut_off_says_so_at_its_end(recording):
    whole = recording.read_bytes()
    recording.write_bytes(whole[: len(whole) // 2])
    source = ReplaySource(Player(read_recording(recording)), clock=lambda: 0.0)
    app = GlimpseMonitor(source, zone=UTC)
    async with running(app, size=(120, 30)) as pilot:
        while source.player.index_some():
            pass
        await looked(pilot, app)
        assert "cut off" not in bar(app)
        source.player.seek(source.player.end_s)
        await looked(pilot, app)
        assert "cut off here" in bar(app)


@pytest.mark.anyio
@pytest.mark.parametrize("columns", [80, 120])
async def test_a_recording_that_is_damaged_further_on_says_where_at_its_end(recording, monkeypatch, columns):
    monkeypatch.setattr("tui.monitor.recording.BLOCK_BYTES", 20_000)
    lines = gzip.decompress(recording.read_bytes()).splitlines(keepends=True)
    number = len(lines) // 2
    recording.write_bytes(gzip.compress(b"".join([*lines[: number - 1], b"nonsense\n", *lines[number - 1 :]])))
    source = ReplaySource(Player(read_recording(recording)), clock=lambda: 0.0)
    app = GlimpseMonitor(source, zone=UTC)
    async with running(app, size=(columns, 30)) as pilot:
        while source.player.index_some():
            pass
        source.player.seek(source.player.end_s)
        await looked(pilot, app)
        assert f"damaged in line {number}" in bar(app)


@pytest.mark.anyio
async def test_what_moves_a_recording_is_in_the_palette(app):
    async with running(app, size=(100, 30)) as pilot:
        await looked(pilot, app)
        offered = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Play/pause", "Next message", "Faster", "Slower"} <= offered


@pytest.mark.anyio
@pytest.mark.parametrize("tab", "1234")
async def test_the_last_line_of_a_narrow_terminal_has_what_plays_a_recording_and_the_way_to_the_rest(app, tab):
    """Orders, which nobody obeys here, and two keys for the speed had displaced the keys to all keys and to the end."""
    async with running(app, size=(80, 24)) as pilot:
        await looked(pilot, app)
        await pilot.press(tab)
        await looked(pilot, app)
        shown = words(app.screen.query_one(Footer))
        for said in ("Play/pause", "Next message", "Speed", "Quit", "Keys"):
            assert said in shown
        assert "Orders" not in shown


@pytest.mark.anyio
@pytest.mark.parametrize("width", [50, 80])
async def test_the_bar_has_room_for_any_time(tmp_path, width):
    cloud = FakeCloud(requests_per_s=0.0)
    recorder = Recorder(tmp_path / "long", cloud.node_index, BEGAN)
    messages = list(cloud.run(1.0))
    for at, place, message in (*messages, (3_599.0, *messages[-1][1:])):
        recorder.take(place, message, at)
    recorder.close()
    player = Player(read_recording(tmp_path / "long"))
    while player.index_some():
        pass
    player.seek(player.end_s - 2.0)
    app = GlimpseMonitor(ReplaySource(player, clock=lambda: 0.0), zone=UTC)
    async with running(app, size=(width, 24)) as pilot:
        await looked(pilot, app)
        assert bar(app).endswith("59 min 57 s of 59 min 59 s")
        assert "…" not in bar(app)


# --- The command -----------------------------------------------------------------------------------------------------
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("opening", "said"),
    [
        (lambda tmp: open_recording(tmp / "none"), "There is no recording at"),
        (lambda tmp: open_recording(tmp / "damaged"), "damaged in line"),
        (lambda tmp: open_live(tmp / "none.toml", None), "There is no cluster file at"),
    ],
)
async def test_what_cannot_be_shown_closes_the_screens_and_says_why(recording, tmp_path, opening, said):
    whole = bytearray(recording.read_bytes())
    whole[len(whole) // 2] ^= 0x55
    (tmp_path / "damaged").write_bytes(whole)
    ending = await run_screens(GlimpseMonitor(), lambda: opening(tmp_path), headless=True)
    assert isinstance(ending.error, InvalidInput)
    assert said in str(ending.error)


def test_a_recording_is_played_without_a_cluster(tmp_path):
    result = CliRunner().invoke(cli.glimpse, ["monitor", "--replay", str(tmp_path), "--record", str(tmp_path)])
    assert isinstance(result.exception, InvalidInput)
    assert "leave --cluster and --record away" in str(result.exception)


@pytest.mark.anyio
async def test_the_first_sentence_is_painted_before_anything_is_opened(recording, monkeypatch):
    app = GlimpseMonitor(sentence="Reading the recording…", zone=UTC)
    seen = []

    async def opening():
        seen.append((app.opened, app.export_screenshot()))
        return await open_recording(recording)

    paint = MonitorScreen.paint

    def painted(self: MonitorScreen) -> None:
        paint(self)
        app.call_after_refresh(app.exit)

    monkeypatch.setattr(MonitorScreen, "paint", painted)
    ending = await run_screens(app, opening, headless=True)
    assert (ending.code, ending.error) == (0, None)
    ((opened, picture),) = seen
    assert not opened
    assert "Reading&#160;the&#160;recording…" in picture
    assert app.source.player is not None


@pytest.mark.anyio
async def test_a_source_that_breaks_closes_the_screens_and_says_so(recording):
    class Broken(ReplaySource):
        async def run(self) -> None:
            raise ZeroDivisionError("three")

    async def opening():
        return Broken(Player(read_recording(recording)))

    ending = await run_screens(GlimpseMonitor(), opening, headless=True)
    assert ending.code == 1
    assert ending.text == "The monitor failed (ZeroDivisionError: three); start it again."


@pytest.mark.anyio
async def test_a_signal_closes_the_screens_and_the_recording_is_whole(recording, tmp_path):
    class Recorded(ReplaySource):
        async def run(self) -> None:
            self.recorder.take(0, read_recording(recording).block(0)[0].message, 1.0)
            os.kill(os.getpid(), signal.SIGTERM)
            await self.recorder.run()

    async def opening():
        source = Recorded(Player(read_recording(recording)))
        source.recorder = Recorder(tmp_path / "new", source.node_index, BEGAN)
        return source

    ending = await run_screens(GlimpseMonitor(), opening, headless=True)
    assert ending.code == 128 + signal.SIGTERM
    assert f"in {tmp_path / 'new'}; play it with `glimpse monitor --replay" in ending.text
    assert read_recording(tmp_path / "new").messages == 1
    assert not read_recording(tmp_path / "new").cut_off


def test_actions_and_their_keys_can_be_listed():
    result = CliRunner().invoke(cli.glimpse, ["monitor", "--list-keys"])
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.output.splitlines()}
    assert {"dashboard.measure", "replay.toggle", "tab.election", "app.quit"} <= set(lines)
    assert "space" in lines["replay.toggle"]


def test_the_bar_of_a_recording(snap, recording):
    player = Player(read_recording(recording))
    while player.index_some():
        pass
    player.seek(player.start_s + 12.0)
    snap(GlimpseMonitor(ReplaySource(player, clock=lambda: 0.0), zone=UTC), (100, 30))
