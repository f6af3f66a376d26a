"""The tab Election: the line, the state machine of a node, elections and their messages; keys, windows, pictures."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from node.roles import Input, Role
from shared.wire.feed_messages import LeaseNotice, RoleNotice
from tests.tui.fake_feed import FakeCloud, one_down
from tests.tui.monitor_fixtures import WALL_S, make_monitor, on_home, opened, repainted, words
from tests.tui.quiet import running, settled, strips_of
from tui.common.themes import DARK
from tui.monitor.app import GlimpseMonitor
from tui.monitor.dialogs.details import ElectionDetails, RoleDetails
from tui.monitor.panels.elections import ElectionList, MessageBars
from tui.monitor.panels.role_panel import RoleDiagram, RolePanel
from tui.monitor.panels.sequence_chart import LEGEND, SequenceChart, spacing
from tui.monitor.panels.succession import Succession, Timers
from tui.monitor.panes import election as election_pane
from tui.monitor.panes.election import ElectionPane
from tui.monitor.player import Player
from tui.monitor.recorder import Recorder
from tui.monitor.recording import read_recording
from tui.monitor.screens.home import MonitorScreen
from tui.monitor.settings import MonitorSettings
from tui.monitor.source import ReplaySource
from tui.monitor.widgets.text_lines import TextLines

HOSTILE = "\x1b[2J\x1b]0;title\x07[red]x[/red][@click=app.quit]y[/]\u202e"


def pane(app: Any) -> ElectionPane:
    return on_home(app, ElectionPane)


def part(app: Any, kind: type) -> Any:
    return pane(app).query_one(kind)


def rows(app: Any) -> list[str]:
    return [line.name for line in part(app, Succession).rows]


# --- The line --------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_the_line_is_shown_in_order_with_who_is_next_and_who_is_not_fit():
    app = make_monitor("one_down")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "2")
        assert rows(app) == ["n2", "n3", "n1"]
        shown = words(part(app, Succession)).splitlines()
        assert shown[0].split() == ["Line", "Node", "Role", "Cost", "1/load", "Heard"]
        assert shown[1].split()[:3] == ["lead", "n2", "LEADER"]
        assert shown[2].split()[:3] == ["next", "n3", "FOLLOWER"]
        assert shown[3].split()[:5] == ["–", "n1", "DOWN", "–", "–"]
        assert "term 4" in words(pane(app).query_one("#election-table > .caption"))


@pytest.mark.anyio
async def test_the_timers_of_the_cluster_are_told_where_there_is_room():
    app = make_monitor("healthy")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "2")
        told = " ".join(words(part(app, Timers)).split())
        for said in ("Every 250 ms", "silent for 1.0 s", "1.5 s after its last heartbeat", "60 ms later"):
            assert said in told
        await pilot.resize_terminal(80, 24)
        await repainted(pilot)
        assert not part(app, Timers).display


@pytest.mark.anyio
async def test_before_anybody_is_heard_there_is_nothing_and_it_is_said():
    app = make_monitor("healthy", seconds=0.0)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "2")
        assert "No node tells of the line now." in words(part(app, Succession))
        assert "No election yet." in words(part(app, ElectionList))
        assert "drawn here" in words(part(app, SequenceChart))
        assert "n1" in words(part(app, RolePanel))
        await pilot.press("enter", "l")
        await settled(pilot)
        assert isinstance(app.screen, MonitorScreen)
        await repainted(pilot, 3.0)
        assert rows(app) == ["n1", "n2", "n3"]


# --- The state machine -----------------------------------------------------------------------------------------------
def lit(app: Any) -> tuple[str | None, bool, str | None]:
    role, present, taken = part(app, RoleDiagram)._shown
    return (
        None if role is None else role.value,
        present,
        None if taken is None else f"{taken[0].value} {taken[1].value}",
    )


@pytest.mark.anyio
async def test_the_state_machine_lights_the_role_and_marks_the_last_transition_in_words():
    app = make_monitor("one_down")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "2")
        assert lit(app) == ("leader", True, "claim leader")
        shown = words(part(app, RolePanel))
        for said in (
            "n2  LEADER",
            "leads since 08:00:09",
            "claim → leader: lease won, term 4",
            "08:00:09.5  10 s ago",
            "→ follower on HEARTBEAT or NEW_LEADER",
            "CLAIM ━",
            "▶ LEADER",
        ):
            assert said in shown, said


@pytest.mark.anyio
async def test_a_node_that_never_changed_its_role_says_so():
    app = make_monitor("one_down")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "2")
        await pilot.press("l")
        await repainted(pilot)
        assert lit(app) == ("follower", True, None)
        shown = words(part(app, RolePanel))
        assert "It has told of no change of its role." in shown
        assert "follows n2 since 08:00:09" in shown
        for said in ("→ probe on another is first in line", "→ claim on first in line, CRASH_LEADER or YIELD"):
            assert said in shown


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("scenario", "place", "said", "present"),
    [
        ("one_down", 0, ("DOWN", "for 12 s"), False),
        ("deaf", 0, ("DEAF", "hears again in 10 s"), False),
        ("directory_gone", 0, ("FOLLOWER", "knows of no leader", "lease no longer trusted"), True),
        ("draining", 2, ("FOLLOWER", "DRAINING"), True),
        ("nothing", 1, ("DOWN",), False),
    ],
)
async def test_a_node_that_is_not_as_it_should_be_is_shown_as_it_is(scenario, place, said, present):
    app = make_monitor(scenario)
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "2")
        pane(app)._choose(place)
        await repainted(pilot)
        shown = words(part(app, RolePanel))
        for word in said:
            assert word in shown, word
        assert lit(app)[1] is present


@pytest.mark.anyio
async def test_a_change_of_role_is_seen_as_it_comes():
    app = make_monitor("electing")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "2")
        pane(app)._choose(1)
        await repainted(pilot)
        assert lit(app) == ("follower", True, None)
        await repainted(pilot, 0.6)
        assert lit(app) == ("leader", True, "claim leader")


@pytest.mark.anyio
async def test_a_new_life_of_a_node_has_no_last_transition():
    app = make_monitor("one_down")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "2")
        pane(app)._choose(0)
        await repainted(pilot)
        assert lit(app) == ("leader", False, "follower leader")
        app.source.cloud.restart(0)
        await repainted(pilot, 1.0)
        assert lit(app) == ("follower", True, None)


@pytest.mark.anyio
async def test_the_diagram_is_drawn_in_full_where_there_is_room():
    app = make_monitor("healthy")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "2")
        assert part(app, RoleDiagram).size.height == 7
        assert "↻" not in words(part(app, RoleDiagram))
        await pilot.resize_terminal(120, 40)
        await repainted(pilot)
        assert part(app, RoleDiagram).size.height == 13
        assert words(part(app, RoleDiagram)).count("↻") == 3
        for name in ("FOLLOWER", "PROBE", "ELECT", "WAIT", "CLAIM", "LEADER"):
            assert name in words(part(app, RoleDiagram))


@pytest.mark.anyio
async def test_in_a_narrow_terminal_the_state_machine_is_in_its_window():
    app = make_monitor("one_down")
    async with running(app, size=(60, 20)) as pilot:
        await opened(pilot, "2")
        assert not part(app, RolePanel).display
        assert len(rows(app)) == 3
        assert "n1 was heard last" in words(part(app, SequenceChart))
        part(app, Succession).focus()
        await pilot.press("enter")
        await repainted(pilot)
        assert "claim → leader: lease won" in words(app.screen.query_one(RolePanel))


@pytest.mark.anyio
async def test_a_window_that_is_being_taken_apart_is_painted_no_more():
    """The screen behind it goes on painting, as it does while the program ends."""
    app = make_monitor("one_down")
    async with running(app, size=(60, 20)) as pilot:
        await opened(pilot, "2")
        part(app, Succession).focus()
        await pilot.press("enter")
        await repainted(pilot)
        window = app.screen
        await window.remove()
        await window.query("*").remove()
        app.repaint()


@pytest.mark.anyio
async def test_where_there_is_little_room_the_reason_stands_before_the_time():
    app = make_monitor("directory_gone")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "2")
        assert "leader → follower: lease no longer trust" in words(part(app, RolePanel)).splitlines()[-1]


# --- Choosing a node -------------------------------------------------------------------------------------------------
@pytest.mark.anyio
@pytest.mark.parametrize(("forth", "back"), [("l", "h"), ("right", "left")])
async def test_keys_go_from_node_to_node_and_round(forth, back):
    app = make_monitor("healthy")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "2")
        seen = []
        for key in (forth, forth, forth, back, back):
            await pilot.press(key)
            await repainted(pilot)
            assert part(app, Succession).current.place == pane(app)._place
            seen.append(words(part(app, RolePanel)).split()[0])
        assert seen == ["n2", "n3", "n1", "n3", "n2"]


@pytest.mark.anyio
async def test_the_cursor_of_the_line_and_a_click_choose_a_node():
    app = make_monitor("healthy")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "2")
        part(app, Succession).focus()
        await pilot.press("down", "down")
        await repainted(pilot)
        assert "n3" in words(part(app, RolePanel)).splitlines()[0]
        await pilot.click(Succession, offset=(7, 2))
        await repainted(pilot)
        assert "n2" in words(part(app, RolePanel)).splitlines()[0]
        assert words(part(app, RolePanel)).split()[:2] == ["n2", "FOLLOWER"]


@pytest.mark.anyio
async def test_the_chosen_node_stays_chosen_when_the_line_changes():
    app = make_monitor("healthy")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "2")
        await pilot.press("l")
        app.source.cloud.kill(0)
        await repainted(pilot, 4.0)
        assert rows(app) == ["n2", "n3", "n1"]
        assert part(app, Succession).current.name == "n2"
        assert words(part(app, RolePanel)).split()[:2] == ["n2", "LEADER"]


# --- Elections -------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_an_election_is_drawn_with_its_messages_beside_bullys_number():
    app = make_monitor("one_down")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "2")
        row = words(part(app, ElectionList)).splitlines()[1].split()
        assert row == ["08:00:09", "n2", "4", "512", "ms", "2", "2–5"]
        assert "n2 leads term 4 after 512 ms; 1.7 s without n1" in words(
            pane(app).query_one("#election-chart > .caption")
        )
        ours, bully = words(part(app, MessageBars)).splitlines()
        assert ours.split()[:2] == ["messages", "2"]
        assert ours.endswith("NEW_LEADER 2")
        assert bully.split()[:2] == ["Bully", "2–5"]
        assert ours.count("█") == bully.count("█")
        assert ours.count("█") / (bully + ours).count("░") == pytest.approx(2 / 3, abs=0.05)
        chart = words(part(app, SequenceChart))
        for said in (
            "-1.200",
            "n1 was heard last",
            "+0.000",
            "n2 n3 know of no leader",
            "+0.500",
            "n2 claim: first in line",
            "+0.512",
            "n2 leader: lease won, term 4",
            "NEW_LEADER to n3, not heard by n1",
            "n3 follows n2",
        ):
            assert said in chart, said
        line = next(line for line in chart.splitlines() if "NEW_LEADER" in line)
        assert [char for char in line if char in "×●▶◀"] == ["×", "●", "▶"]


@pytest.mark.anyio
async def test_an_election_grows_while_it_is_under_way_and_is_then_won():
    app = make_monitor("electing")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "2")
        caption = pane(app).query_one("#election-chart > .caption")
        assert "under way for 0.4 s: leader silent" in words(caption)
        assert "now…" in words(part(app, ElectionList))
        assert "0.4 s so far" in words(part(app, SequenceChart))
        await repainted(pilot, 0.6)
        assert "n2 leads term 4 after 512 ms" in words(caption)
        assert "so far" not in words(part(app, SequenceChart))
        await repainted(pilot, 2.0)
        assert "not heard by n1" in words(part(app, SequenceChart))


@pytest.mark.anyio
async def test_who_looks_at_the_newest_election_sees_the_next_one_who_looks_at_another_stays():
    app = make_monitor("one_down", seconds=20.0)
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "2")
        app.source.cloud.restart(0)
        await repainted(pilot, 3.0)
        app.source.cloud.kill(1)
        await repainted(pilot, 4.0)
        assert [election.leader for election in part(app, ElectionList).rows] == [0, 1]
        assert part(app, ElectionList).current.leader == 0
        assert "n1 leads term 5" in words(pane(app).query_one("#election-chart > .caption"))
        await pilot.press("down")
        await repainted(pilot)
        assert "n2 leads term 4" in words(pane(app).query_one("#election-chart > .caption"))
        app.source.cloud.restart(1)
        await repainted(pilot, 3.0)
        app.source.cloud.kill(0)
        await repainted(pilot, 4.0)
        assert len(part(app, ElectionList).rows) == 3
        assert part(app, ElectionList).current.term == 4


@pytest.mark.anyio
async def test_an_election_that_nobody_won_says_so():
    app = make_monitor("directory_gone")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "2")
        assert "nobody" in words(part(app, ElectionList))
        assert "nobody won: lease no longer trusted" in words(pane(app).query_one("#election-chart > .caption"))
        assert words(part(app, MessageBars)).splitlines()[0].split()[:2] == ["messages", "0"]


@pytest.mark.anyio
async def test_a_long_election_can_be_scrolled_and_is_followed_while_it_grows():
    """Without a directory nodes try again and again: the newest steps are seen, unless one has scrolled up."""
    cloud = FakeCloud()
    app = make_monitor(cloud, seconds=5.0)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "2")
        node = cloud.nodes[1]
        for number in range(30):
            cloud.at(0.3 * number, lambda: cloud.role(node, Role.ELECT, Input.LINE_UNKNOWN))
            cloud.at(0.3 * number + 0.1, lambda: cloud.role(node, Role.FOLLOWER, Input.NOBODY_ANSWERED))
        await repainted(pilot, 3.0)
        chart = part(app, SequenceChart)
        assert chart.max_scroll_y > 0
        assert chart.scroll_offset.y == chart.max_scroll_y
        assert "so far" in words(chart)
        chart.focus()
        await pilot.press("home")
        await repainted(pilot, 3.0)
        assert chart.scroll_offset.y == 0
        assert "+0.000" in words(chart)
        await pilot.press("end")
        await repainted(pilot, 3.0)
        assert chart.scroll_offset.y == chart.max_scroll_y


@pytest.mark.anyio
async def test_a_long_election_is_drawn_less_often_than_it_is_painted(monkeypatch):
    """Hundreds of steps cost some ms to draw: too much, five times a second, for one that goes on for minutes."""
    cloud = FakeCloud()
    app = make_monitor(cloud, seconds=5.0)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "2")
        drawn: list[float] = []
        chart_lines = election_pane.chart_lines

        def counted(election: Any, *rest: Any) -> Any:
            drawn.append(cloud.now)
            return chart_lines(election, *rest)

        monkeypatch.setattr(election_pane, "chart_lines", counted)
        node = cloud.nodes[1]
        for number in range(160):
            cloud.at(0.05 * number, lambda: cloud.role(node, Role.ELECT, Input.LINE_UNKNOWN))
            cloud.at(0.05 * number + 0.02, lambda: cloud.role(node, Role.FOLLOWER, Input.NOBODY_ANSWERED))
        for _ in range(40):
            app.source.pass_time(0.2)
            app.repaint()
        few = [at for at in drawn if at < 7.0]
        many = [at for at in drawn if at > 9.0]
        assert len(few) >= 8
        assert 2 <= len(many) <= 6
        assert all(later - earlier >= 0.89 for earlier, later in pairwise(many))


@pytest.mark.parametrize(
    ("width", "lanes", "cells"), [(48, 3, 4), (72, 3, 7), (112, 3, 12), (48, 9, 3), (112, 9, 6), (5, 9, 3)]
)
def test_lanes_share_what_the_text_leaves(width, lanes, cells):
    assert spacing(width, lanes) == cells


# --- Windows ---------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_enter_opens_everything_about_an_election_and_closes_it(size):
    app = make_monitor("one_down")
    async with running(app, size=size) as pilot:
        await opened(pilot, "2")
        await pilot.press("enter")
        await repainted(pilot)
        assert isinstance(app.screen, ElectionDetails)
        facts = words(app.screen.query_one(".facts"))
        for said in (
            "08:00:09.0 by n2: leader silent",
            "n1 led term 3, heard last 1.2 s before",
            "n2, n3 within 512 ms",
            "2 messages (2 NEW_LEADER)",
            "2 to 5 messages with 3 nodes, best case to worst",
        ):
            assert said in facts, said
        assert words(app.screen.query_one(".legend")).strip() == LEGEND
        chart = app.screen.query_one(SequenceChart)
        assert chart.has_focus
        assert "n2 follower → claim" in words(chart)
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, MonitorScreen)
        assert part(app, ElectionList).has_focus


@pytest.mark.anyio
async def test_the_window_of_an_election_under_way_goes_on():
    app = make_monitor("electing")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "2")
        await pilot.press("enter")
        await repainted(pilot)
        assert "under way for 0.4 s" in words(app.screen.query_one(".heading"))
        await repainted(pilot, 1.0)
        assert "n2 leads term 4 after 512 ms" in words(app.screen.query_one(".heading"))
        assert "n2 leads, term 4" in words(app.screen.query_one(SequenceChart))
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, MonitorScreen)


@pytest.mark.anyio
async def test_enter_on_the_line_opens_the_state_machine_of_the_node():
    app = make_monitor("electing")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "2")
        part(app, Succession).focus()
        await pilot.press("down", "up", "enter")
        await repainted(pilot)
        window = app.screen
        assert isinstance(window, RoleDetails)
        assert "State machine of n2" in words(window.query_one(".heading"))
        shown = words(window.query_one(RolePanel))
        assert "→ probe on another is first in line" in shown
        assert window.query_one(RoleDiagram)._shown[0].value == "follower"
        await repainted(pilot, 1.0)
        assert window.query_one(RoleDiagram)._shown[0].value == "leader"
        assert "claim → leader: lease won" in words(window.query_one(RolePanel))
        await pilot.click(offset=(1, 12))
        await settled(pilot)
        assert isinstance(app.screen, MonitorScreen)


# --- Recordings ------------------------------------------------------------------------------------------------------
@pytest.fixture
def replayed(tmp_path: Path) -> GlimpseMonitor:
    """A monitor over a minute in which the leader is killed; the recording stands still."""
    cloud = one_down()
    recorder = Recorder(tmp_path / "minute", cloud.node_index, WALL_S)
    for at, place, message in cloud.run(60.0):
        recorder.take(place, message, at)
    recorder.close()
    player = Player(read_recording(tmp_path / "minute"))
    while player.index_some():
        pass
    player.seek(30.0)
    if player.playing:
        player.toggle()
    return GlimpseMonitor(ReplaySource(player, clock=lambda: 0.0), settings=MonitorSettings(theme=DARK.name))


@pytest.mark.anyio
async def test_in_a_recording_the_arrow_keys_move_it_and_letters_choose_the_node(replayed):
    app = replayed
    async with running(app, size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("2")
        await settled(pilot)
        assert part(app, Succession).current.name == "n2"
        await pilot.press("right")
        assert app.source.player.position_s == pytest.approx(35.0, abs=0.3)
        await pilot.press("left", "left")
        assert app.source.player.position_s == pytest.approx(25.0, abs=0.3)
        assert part(app, Succession).current.name == "n2"
        await pilot.press("l")
        await settled(pilot)
        assert part(app, Succession).current.name == "n3"


@pytest.mark.anyio
async def test_before_its_election_a_recording_shows_none(replayed):
    app = replayed
    async with running(app, size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("2")
        await settled(pilot)
        assert len(part(app, ElectionList).rows) == 1
        app.source.player.seek(5.0)
        app.repaint()
        await settled(pilot)
        assert not part(app, ElectionList).rows
        assert rows(app) == ["n1", "n2", "n3"]
        app.source.player.seek(9.3)
        app.repaint()
        await settled(pilot)
        assert "under way" in words(pane(app).query_one("#election-chart > .caption"))


# --- Costs and harm --------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_paint_asks_for_no_layout_and_what_did_not_change_is_not_painted_again(monkeypatch):
    app = make_monitor("one_down")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "2")
        await repainted(pilot)
        laid_out: list[int] = []
        painted: list[Any] = []
        monkeypatch.setattr(MonitorScreen, "_refresh_layout", lambda *_a, **_k: laid_out.append(1))
        for kind in (TextLines, SequenceChart, RoleDiagram, Succession, ElectionList):
            monkeypatch.setattr(kind, "refresh", lambda self, *_a, **_k: painted.append(self))
        app.repaint()
        assert not painted
        app.source.pass_time(1.0)
        app.repaint()
        assert {type(widget) for widget in painted} >= {TextLines, Succession}
        assert not any(isinstance(widget, SequenceChart | RoleDiagram | ElectionList) for widget in painted)
        assert not laid_out


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (30, 8)])
async def test_hostile_words_are_shown_as_they_are_and_do_no_harm(size):
    """Roles and kinds are checked on the wire, labels and names of recordings could hold anything."""
    cloud = one_down()
    for number, node in enumerate(cloud.node_index.nodes):
        object.__setattr__(node, "name", f"{number}{HOSTILE}")
    cloud.at(12.0, lambda: cloud.notice(1, RoleNotice("leader", "follower", HOSTILE, 4)))
    cloud.at(12.0, lambda: cloud.notice(1, LeaseNotice(HOSTILE, 4)))
    app = make_monitor(cloud)
    async with running(app, size=size) as pilot:
        await opened(pilot, "2")
        for keys in ((), ("l",), ("enter",), ("escape", "tab", "enter"), ("escape",)):
            if keys:
                await pilot.press(*keys)
            await repainted(pilot)
            shown = "\n".join(strip.text for strip in strips_of(app.screen))
            assert not any(char in "\x1b\x07\u202e" for char in shown)
        assert app.is_running


@pytest.mark.anyio
async def test_without_colours_everything_can_still_be_told(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = make_monitor("one_down")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "2")
        assert os.environ["NO_COLOR"]
        assert "━" in words(part(app, RoleDiagram))  # the arrow that was taken
        assert "n2  LEADER" in words(part(app, RolePanel))
        assert {"┃", "│", "╎"} <= set(words(part(app, SequenceChart)))


@pytest.mark.anyio
async def test_nine_nodes_are_all_in_the_line_and_have_lanes():
    cloud = FakeCloud(9)
    cloud.at(8.0, lambda: cloud.kill(0))
    app = make_monitor(cloud)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "2")
        assert rows(app) == [f"n{number}" for number in (2, 3, 4, 5, 6, 7, 8, 9, 1)]
        await pilot.press("h", "h")
        await repainted(pilot)
        assert words(part(app, RolePanel)).split()[0] == "n9"
        assert "n9" in words(part(app, Succession))
        heading = words(part(app, SequenceChart)).splitlines()[0]
        assert heading.split() == ["seconds", *(f"n{number}" for number in range(1, 10))]
        line = next(line for line in words(part(app, SequenceChart)).splitlines() if "▶" in line)
        assert line.count("▶") == 7
        assert line.count("×") == 1
        assert "8–71" in words(part(app, MessageBars))


# --- Pictures --------------------------------------------------------------------------------------------------------
async def on_tab(pilot: Any) -> None:
    await pilot.press("2")
    await settled(pilot)
    pilot.app.repaint()


@pytest.mark.parametrize("scenario", ["electing", "one_down", "nine"])
def test_scenes(snap, look, scenario):
    snap(make_monitor(scenario), look, before=on_tab, light=scenario == "one_down")


@pytest.mark.parametrize("scenario", ["healthy", "two_down", "deaf", "directory_gone", "nothing"])
def test_more_scenes(snap, scenario):
    snap(make_monitor(scenario), (80, 24), before=on_tab)


def test_nine_nodes_that_lost_their_leader(snap):
    cloud = FakeCloud(9)
    cloud.at(8.0, lambda: cloud.kill(0))
    snap(make_monitor(cloud), (120, 40), before=on_tab)


def test_everything_about_an_election(snap, look):

    async def prepare(pilot: Any) -> None:
        await on_tab(pilot)
        await pilot.press("enter")
        await repainted(pilot)

    snap(make_monitor("one_down"), look, before=prepare)


def test_a_state_machine_in_full_size(snap):
    async def prepare(pilot: Any) -> None:
        await on_tab(pilot)
        part(pilot.app, Succession).focus()
        await pilot.press("enter")
        await repainted(pilot)

    snap(make_monitor("one_down"), (80, 24), before=prepare)


def test_a_narrow_terminal(snap):
    snap(make_monitor("one_down"), (60, 20), before=on_tab)


def test_a_large_terminal(snap):
    snap(make_monitor("one_down"), (200, 60), before=on_tab)
