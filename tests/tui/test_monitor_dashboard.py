"""The monitor's frame and its dashboard: the sentence, the panels, what a key or a width changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import TabbedContent

from tests.tui.fake_feed import FakeCloud
from tests.tui.monitor_fixtures import FakeSource, make_monitor, repainted, words
from tests.tui.quiet import resized, running
from tui.monitor.model import Model
from tui.monitor.panels.cluster_header import ClusterHeader
from tui.monitor.panels.node_panel import NodePanel
from tui.monitor.panes.dashboard import DashboardPane
from tui.monitor.screens.home import TABS, MonitorScreen
from tui.monitor.settings import MonitorSettings, load_settings
from tui.monitor.widgets.charts import HeartbeatStrip, LoadChart


def header(app: Any) -> str:
    return words(app.screen.query_one(ClusterHeader))


def panel(app: Any, place: int) -> str:
    return words(app.screen.query_one(f"#node-{place}", NodePanel))


# --- The sentence ----------------------------------------------------------------------------------------------------
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        ("healthy", ["● n1 leads", "term 3", "since 08:00:00", "3 of 3 nodes up", "sqlite 0.5 ms", "4 clients"]),
        ("electing", ["◌ No leader for 1.6 s", "n1 does not answer", "2 of 3 nodes up"]),
        ("one_down", ["● n2 leads", "term 4", "since 08:00:09", "2 of 3 nodes up"]),
        ("two_down", ["● n2 leads", "1 of 3 nodes up"]),
        ("deaf", ["● n2 leads", "token: n1 10 s", "2 of 3 nodes up"]),
        (
            "directory_gone",
            [
                "◌ No leader for 10 s",
                "n1 no longer leads",
                "nobody can lead without the directory",
                "sqlite does not answer",
            ],
        ),
        ("nothing", ["○ Nothing answers since 08:00:09", "(10 s)", "Trying again by itself", "0 of 3 nodes up"]),
        ("nine", ["● n1 leads", "9 of 9 nodes up"]),
    ],
)
async def test_the_sentence_says_how_the_cluster_is(scenario, said):
    app = make_monitor(scenario)
    async with running(app, size=(120, 40)) as pilot:
        await repainted(pilot)
        for part in said:
            assert part in header(app)


@pytest.mark.anyio
@pytest.mark.parametrize("width", [60, 70, 80, 100])
@pytest.mark.parametrize("scenario", ["healthy", "electing", "deaf", "nothing"])
async def test_the_sentence_is_never_cut_in_the_middle_of_something(scenario, width):
    app = make_monitor(scenario)
    async with running(app, size=(width, 24)) as pilot:
        await repainted(pilot)
        assert "…" not in header(app)


@pytest.mark.anyio
async def test_a_narrow_panel_says_that_its_node_drains_rather_than_that_it_follows():
    app = make_monitor("draining")
    async with running(app, size=(80, 24)) as pilot:
        await repainted(pilot)
        assert "n3  DRAINING" in panel(app, 2)
        await resized(pilot, 120, 40)
        await repainted(pilot)
        assert "n3  FOLLOWER   DRAINING" in panel(app, 2)


@pytest.mark.anyio
async def test_before_anybody_is_heard_the_nodes_are_looked_for():
    app = make_monitor("healthy", seconds=0)
    async with running(app, size=(120, 40)) as pilot:
        await repainted(pilot)
        assert "Looking for 3 nodes…" in header(app)
        assert "NO WORD YET" in panel(app, 0)
        assert "has not been heard yet" in panel(app, 0)


@pytest.mark.anyio
async def test_who_is_answered_by_nobody_is_told_what_may_be_the_matter():
    """Nodes leave strangers without any answer, so a wrong key looks as nodes do that are not there."""
    cloud = FakeCloud()
    for node in cloud.nodes:
        node.alive = False
    app = make_monitor(cloud, seconds=0)
    async with running(app, size=(80, 24)) as pilot:
        await repainted(pilot, 2.0)
        assert "Looking for 3 nodes…" in header(app)
        assert "key" not in header(app)
        await repainted(pilot, 3.0)
        assert "Looking for 3 nodes…" in header(app)
        assert "Do they run, and do they know your key as an operator's?" in header(app)
        cloud.nodes[0].alive = True
        await repainted(pilot, 2.0)
        assert "key" not in header(app)


@pytest.mark.anyio
async def test_losing_everything_is_said_and_recovers_by_itself():
    app = make_monitor("healthy")
    async with running(app, size=(120, 40)) as pilot:
        cloud = app.source.cloud
        for node in cloud.nodes:
            node.alive = False
        await repainted(pilot, 2.0)
        assert "Nothing answers" in header(app)
        assert all("DOWN" in panel(app, place) for place in range(3))
        for node in cloud.nodes:
            node.alive = True
        await repainted(pilot, 2.0)
        assert "● n1 leads" in header(app)
        assert all("DOWN" not in panel(app, place) for place in range(3))


# --- Panels ----------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_panel_tells_all_about_its_node():
    app = make_monitor("healthy")
    async with running(app, size=(120, 40)) as pilot:
        await repainted(pilot)
        for part in (
            "n1",
            "LEADER",
            "127.0.0.1:47600",
            "up 1 min 50 s",
            "term 3",
            "incarnation …88000",
            "priority 1.51",
            "cost 4.33",
            "in flight 3",
            "requests",
            "worker ports 3",
            "traffic",
            "process 22 %",
            "memory 62 MB",
            "load 0.66",
            "of 2.00",
            "→ n2",
            "0.3 ms",
            "→ n3",
            "0.4 ms",
        ):
            assert part in panel(app, 0)
        assert "next in line" in panel(app, 1)
        assert "← n1" in panel(app, 1)
        assert "· n3" in panel(app, 1)
        assert "2nd in line" in panel(app, 2)


@pytest.mark.anyio
async def test_a_node_that_is_killed_is_shown_as_such_within_two_heartbeats_and_comes_back():
    app = make_monitor("healthy")
    async with running(app, size=(120, 40)) as pilot:
        app.source.cloud.kill(2)
        await repainted(pilot, 0.6)
        assert "FOLLOWER" in panel(app, 2)
        await repainted(pilot, 0.4)
        assert "DOWN" in panel(app, 2)
        assert "heard by n1, n2" in panel(app, 2)
        await repainted(pilot, 2.0)
        assert "heard by nobody" in panel(app, 2)
        assert "missed" in panel(app, 0)
        app.source.cloud.restart(2)
        await repainted(pilot, 0.4)
        assert "DOWN" not in panel(app, 2)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("scenario", "place", "said"),
    [
        ("one_down", 0, ["DOWN", "for 12 s", "heard by nobody"]),
        ("deaf", 0, ["DEAF", "10 s"]),
        ("draining", 2, ["FOLLOWER", "DRAINING"]),
        ("directory_gone", 1, ["FOLLOWER", "not fit to lead"]),
    ],
)
async def test_what_ails_a_node_is_said_in_its_panel(scenario, place, said):
    app = make_monitor(scenario)
    async with running(app, size=(120, 40)) as pilot:
        await repainted(pilot)
        for part in said:
            assert part in panel(app, place)


@pytest.mark.anyio
async def test_texts_of_a_node_are_shown_as_they_are_and_do_no_harm():
    app = make_monitor("healthy", seconds=0)
    async with running(app, size=(120, 40)) as pilot:
        app.source.model.trouble(1, "[bold]no\x1b[2J [/nothing]", 0.0)
        app.source.cloud.policy = "[red]\u202ex[/]"
        await repainted(pilot)
        assert "[bold]no\ufffd[2J [/nothing]" in panel(app, 1)
        await repainted(pilot, 1.0)
        assert "policy [red]\ufffdx[/]" in header(app)


@pytest.mark.anyio
async def test_a_node_that_carries_datagrams_for_peers_says_for_how_many():
    app = make_monitor("healthy")
    async with running(app, size=(120, 40)) as pilot:
        await repainted(pilot)
        assert "pairs" not in panel(app, 1)
        app.source.cloud.nodes[1].relay_pairs = 12
        await repainted(pilot, 0.4)
        assert "relays pairs 12" in panel(app, 1)


@pytest.mark.anyio
async def test_a_slowed_encoder_is_said():
    app = make_monitor("healthy")
    async with running(app, size=(120, 40)) as pilot:
        app.source.cloud.nodes[1].slowdown = 3.0
        await repainted(pilot, 0.4)
        assert "slowed to 1/3" in panel(app, 1)


@pytest.mark.anyio
async def test_the_measure_key_charts_something_else_on_a_common_scale():
    app = make_monitor("healthy")
    async with running(app, size=(80, 24)) as pilot:
        await repainted(pilot)
        assert "load" in panel(app, 0)
        titles = []
        for _ in range(4):
            await pilot.press("m")
            await repainted(pilot)
            scales = {chart._shown.scale for chart in app.screen.query(LoadChart) if chart.display}
            assert len(scales) == 1
            titles.append(
                next(title for title in ("requests/s", "in flight", "cpu %", "load ") if f"{title}" in caption(app))
            )
        assert titles == ["requests/s", "in flight", "cpu %", "load "]


def caption(app: Any) -> str:
    return words(next(widget for widget in app.screen.query(".caption") if widget.display))


@pytest.mark.anyio
async def test_charts_and_strips_move_with_time_and_ask_for_no_layout(monkeypatch):
    app = make_monitor("healthy")
    async with running(app, size=(120, 40)) as pilot:
        await repainted(pilot)
        laid_out = []
        monkeypatch.setattr(MonitorScreen, "_refresh_layout", lambda *_a, **_k: laid_out.append(1))
        before = panel(app, 1)
        await repainted(pilot, 3.0)
        after = panel(app, 1)
        assert before != after
        assert not laid_out


@pytest.mark.anyio
async def test_what_did_not_change_is_not_painted_again(monkeypatch):
    app = make_monitor("healthy")
    async with running(app, size=(120, 40)) as pilot:
        await repainted(pilot)
        await repainted(pilot)
        painted = []
        for kind in (LoadChart, HeartbeatStrip):
            monkeypatch.setattr(kind, "refresh", lambda self, *_a, **_k: painted.append(self))
        app.repaint()
        assert not painted
        app.source.pass_time(1.0)
        app.repaint()
        assert painted


# --- Widths ----------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("size", "nodes", "columns"), [((120, 40), 3, 3), ((80, 24), 3, 3), ((60, 40), 3, 1), ((120, 40), 9, 3)]
)
async def test_panels_stand_side_by_side_as_far_as_they_fit(size, nodes, columns):
    app = make_monitor(FakeCloud(nodes), seconds=2.0)
    async with running(app, size=size) as pilot:
        await repainted(pilot)
        panels = list(app.screen.query(NodePanel))
        assert len({known.region.x for known in panels}) == columns
        assert all(known.region.height >= 14 for known in panels)


@pytest.mark.anyio
async def test_many_nodes_can_be_walked_through_by_key():
    app = make_monitor("nine")
    async with running(app, size=(80, 24)) as pilot:
        await repainted(pilot)
        assert app.screen.query_one("#node-0").has_focus
        for _ in range(8):
            await pilot.press("tab")
        await repainted(pilot)
        last = app.screen.query_one("#node-8", NodePanel)
        assert last.has_focus
        assert last.region.bottom <= 24
        assert "n9" in words(last)


@pytest.mark.anyio
async def test_with_many_nodes_one_strip_stands_for_all_of_a_leader():
    app = make_monitor("nine")
    async with running(app, size=(120, 40)) as pilot:
        await repainted(pilot)
        assert "→ all" in panel(app, 0)
        assert "← n1" in panel(app, 1)
        app.source.cloud.kill(5)
        await repainted(pilot, 3.0)
        assert "×" in panel(app, 0)


@pytest.mark.anyio
async def test_higher_panels_show_more_charts():
    app = make_monitor("healthy")
    async with running(app, size=(120, 24)) as pilot:
        await repainted(pilot)
        assert [chart.display for chart in app.screen.query("#node-0 LoadChart")] == [True, False, False, False]
        await pilot.resize_terminal(120, 60)
        await repainted(pilot)
        assert [chart.display for chart in app.screen.query("#node-0 LoadChart")] == [True] * 4
        for title in ("load", "requests/s", "in flight", "cpu %"):
            assert title in panel(app, 0)


# --- The frame -------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_keys_and_clicks_lead_to_the_tabs():
    app = make_monitor("healthy")
    async with running(app, size=(80, 24)) as pilot:
        await repainted(pilot)
        tabs = app.screen.query_one("#tabs", TabbedContent)
        for key, (name, _) in zip("2341", (*TABS[1:], TABS[0]), strict=True):
            await pilot.press(key)
            await repainted(pilot)
            assert tabs.active == name
        for name, _ in TABS:
            await pilot.click(tabs.get_tab(name))
            await repainted(pilot)
            assert tabs.active == name


@pytest.mark.anyio
async def test_only_the_tab_that_is_seen_is_painted(monkeypatch):
    app = make_monitor("healthy")
    async with running(app, size=(80, 24)) as pilot:
        await repainted(pilot)
        painted = []
        monkeypatch.setattr(DashboardPane, "paint", lambda *_: painted.append(1))
        await pilot.press("4")
        await repainted(pilot)
        painted.clear()
        await repainted(pilot, 1.0)
        assert not painted
        await pilot.press("1")
        await repainted(pilot)
        assert painted


@pytest.mark.anyio
async def test_a_timer_paints_five_times_a_second(monkeypatch):
    intervals = []
    set_interval = MonitorScreen.set_interval

    def note(self, every, call=None, **options):
        intervals.append((every, call.__name__))
        return set_interval(self, 3_600, call, **options)

    monkeypatch.setattr(MonitorScreen, "set_interval", note)
    app = make_monitor("healthy")
    async with running(app, size=(80, 24)) as pilot:
        await repainted(pilot)
        assert (0.2, "paint") in intervals


@pytest.mark.anyio
async def test_all_keys_are_shown_on_demand_and_all_actions_are_in_the_palette():
    app = make_monitor("healthy")
    async with running(app, size=(120, 40)) as pilot:
        await repainted(pilot)
        await pilot.press("question_mark")
        await repainted(pilot)
        assert app.screen.query("HelpPanel")
        await pilot.press("question_mark")
        await repainted(pilot)
        assert not app.screen.query("HelpPanel")
        offered = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Dashboard", "Election", "Requests", "Events", "Measure", "Keys", "Quit"} <= offered
        assert not {"Play/pause", "Faster"} & offered


@pytest.mark.anyio
async def test_keys_can_be_mapped_anew():
    app = make_monitor("healthy", settings=MonitorSettings(keys={"dashboard.measure": "x"}))
    async with running(app, size=(80, 24)) as pilot:
        await repainted(pilot)
        await pilot.press("x")
        await repainted(pilot)
        assert "requests/s" in caption(app)


def test_settings_that_are_wrong_are_named(tmp_path: Path):
    from shared.errors import InvalidInput

    file = tmp_path / "monitor.toml"
    assert load_settings(file) == MonitorSettings()
    file.write_text('theme = "nord"\n[keys]\n"app.quit" = "x"\n')
    assert load_settings(file) == MonitorSettings("nord", {"app.quit": "x"})
    for text, said in (
        ("theme = 3", "theme"),
        ("[keys]\na = 1", "keys"),
        ("colour = 1", "colour"),
        ("=", "cannot be read"),
    ):
        file.write_text(text)
        with pytest.raises(InvalidInput, match=said):
            load_settings(file)


@pytest.mark.anyio
async def test_a_recording_that_is_made_or_has_ended_is_said():
    class Recorder:
        written_bytes = 1_234_567
        trouble = ""

    app = make_monitor("healthy")
    app.source.recorder = Recorder()
    async with running(app, size=(120, 24)) as pilot:
        await repainted(pilot)
        assert "● REC 1.2 MB" in header(app)
        app.source.recorder.trouble = "The recording has ended: No space left on device."
        await repainted(pilot)
        assert "recording ended" in header(app)


@pytest.mark.anyio
async def test_without_colours_everything_can_still_be_told(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = make_monitor("one_down")
    async with running(app, size=(120, 40)) as pilot:
        await repainted(pilot)
        assert os.environ["NO_COLOR"]
        for place, word in enumerate(("DOWN", "LEADER", "FOLLOWER")):
            assert word in panel(app, place)
        assert "×" in panel(app, 1)


# --- Pictures --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("scenario", ["healthy", "one_down", "nine"])
def test_scenes(snap, look, scenario):
    seconds = 60.0 if scenario == "healthy" else 20.0
    snap(make_monitor(scenario, seconds=seconds), look, light=scenario == "one_down")


@pytest.mark.parametrize("scenario", ["electing", "two_down", "deaf", "directory_gone", "draining", "nothing"])
def test_more_scenes(snap, scenario):
    snap(make_monitor(scenario, seconds=20.0), (80, 24))


def test_a_narrow_terminal(snap):
    snap(make_monitor("one_down"), (60, 40))


def test_a_large_terminal(snap):
    snap(make_monitor("healthy", seconds=60.0), (200, 60))


def test_before_anybody_is_heard(snap):
    snap(make_monitor("healthy", seconds=0.0), (80, 24))


def test_the_source_of_a_fake_cloud_is_a_source():
    source = FakeSource(FakeCloud())
    assert isinstance(source.step()[0], Model)
