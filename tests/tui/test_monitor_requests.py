"""The tab Requests: figures for each node, latencies, what happened, single requests; filter, windows, pictures."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from shared.wire.feed_messages import Happening, RequestEvent
from shared.wire.node_messages import RequestKey
from tests.tui.fake_feed import BOOT_S, FakeCloud
from tests.tui.monitor_fixtures import make_monitor, on_home, opened, repainted, words
from tests.tui.quiet import running, settled, strips_of
from tui.monitor.dialogs.details import RequestDetails
from tui.monitor.model import Model
from tui.monitor.panels.filter_bar import FilterBar, FilterField
from tui.monitor.panels.request_list import RequestList
from tui.monitor.panels.sequence_chart import SequenceChart
from tui.monitor.panels.traffic import LatencyPanel, TrafficList
from tui.monitor.panes.requests import READABLE_S, RequestsPane
from tui.monitor.screens.home import MonitorScreen
from tui.monitor.widgets.histogram import Histogram
from tui.monitor.widgets.text_lines import TextLines

HOSTILE = "\x1b[2J\x07[red]x[/]\u202e"


def pane(app: Any) -> RequestsPane:
    return on_home(app, RequestsPane)


def part(app: Any, kind: Any) -> Any:
    return pane(app).query_one(kind)


def listed(app: Any) -> list[str]:
    """Return the ids of the requests that are listed."""
    return [request.request for request in part(app, RequestList).rows]


def event(
    cloud: FakeCloud,
    place: int,
    what: Happening,
    number: int,
    *,
    node: int | None = None,
    kind: int = 110,
    account: int | None = 7,
    latency_ms: float | None = None,
    code: str = "",
) -> None:
    """Let something happen to the request of a number."""
    request = f"{number:08x}"

    def told() -> RequestEvent:
        at_ms = round(1000 * (BOOT_S + cloud.now), 1)
        return RequestEvent(at_ms, what, node, kind, account, "0000abcd", request, latency_ms, code)

    cloud.nodes[place].telemetry.samples.happened(what, RequestKey(bytes(32), request + 24 * "0"), told)


def quiet() -> FakeCloud:
    """A cloud of whom nobody asks anything but what the test says."""
    return FakeCloud(requests_per_s=0.0)


def eventful() -> FakeCloud:
    """Four requests: one served, one that was moved and taken over, one refused after it came again, one under way."""
    cloud = quiet()

    def first() -> None:
        event(cloud, 1, Happening.HELD, 1)
        event(cloud, 0, Happening.ASSIGNED, 1, node=1)
        event(cloud, 1, Happening.SERVED, 1, latency_ms=8.0)
        event(cloud, 0, Happening.ASSIGNED, 2, node=1, kind=123, account=12)
        event(cloud, 0, Happening.HELD, 4, account=None)

    def second() -> None:
        event(cloud, 0, Happening.REASSIGNED, 2, node=1, kind=123, account=12)
        event(cloud, 2, Happening.TAKEN_OVER, 2, kind=123, account=12)
        event(cloud, 2, Happening.REPEATED, 3, kind=130, account=9)
        event(cloud, 2, Happening.REFUSED, 3, kind=130, account=9, latency_ms=3.0, code="no_views_left")

    cloud.at(2.0, first)
    cloud.at(3.0, second)
    return cloud


# --- Figures ---------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_rates_and_percentiles_of_each_node_and_of_all_are_shown():
    app = make_monitor("healthy", seconds=60.0)
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "3")
        heading, all_of_them, *nodes = words(part(app, TrafficList)).splitlines()
        assert heading.split()[:5] == ["Node", "Answers", "p50", "p90", "p99"]
        assert all_of_them.split()[:8] == ["all", "60/s", "8.1", "ms", "23", "ms", "44", "ms"]
        assert [line.split()[0] for line in nodes] == ["n1", "n2", "n3"]
        rates = [float(line.split()[1].removesuffix("/s")) for line in nodes]
        assert sum(rates) == pytest.approx(60, abs=2)
        traffic = app.source.model.traffic(app.source.cloud.now)
        for line, node in zip(nodes, traffic.nodes, strict=True):
            assert f"{node.latency.p99_ms:.0f} ms" in line
            served = node.count(Happening.SERVED).total + node.count(Happening.REFUSED).total
            assert f"{served:,}".replace(",", " ") in line


@pytest.mark.anyio
async def test_a_node_that_is_down_is_named_so_and_answers_nothing():
    app = make_monitor("one_down")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "3")
        line = words(part(app, TrafficList)).splitlines()[2]
        assert line.split()[:3] == ["n1", "down", "0/s"]


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_everything_that_happened_is_counted_in_all_and_at_the_chosen_node(size):
    app = make_monitor(eventful(), seconds=5.0)
    async with running(app, size=size) as pilot:
        await opened(pilot, "3")
        shown = " ".join(words(pane(app).query_one("#happened")).split())
        for said in (
            "all nodes",
            "came 2",
            "came again 1",
            "assigned 2",
            "reassigned 1",
            "taken over 1",
            "served 1",
            "refused 1",
            "given back 0",
            "too busy 0",
        ):
            assert said in shown, said
        part(app, TrafficList).focus()
        await pilot.press("down", "down")
        await repainted(pilot)
        shown = " ".join(words(pane(app).query_one("#happened")).split())
        assert "at n2" in shown
        assert "served 1" in shown
        assert "assigned 0" in shown


@pytest.mark.anyio
async def test_kinds_are_counted_beside_it_or_in_its_place():
    app = make_monitor("healthy")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "3")
        kinds = words(pane(app).query_one("#kinds"))
        for name in ("encrypt", "ask views", "grant", "spend view", "list users", "ack mail"):
            assert name in kinds
        await pilot.resize_terminal(80, 24)
        await repainted(pilot)
        assert not pane(app).query_one("#kinds").display
        await pilot.press("t")
        await repainted(pilot)
        assert not pane(app).query_one("#happened").display
        assert "encrypt" in words(pane(app).query_one("#kinds"))
        await pilot.press("t")
        await repainted(pilot)
        assert pane(app).query_one("#happened").display


# --- Latencies -------------------------------------------------------------------------------------------------------
def bars(app: Any) -> list[int]:
    """Return the columns in which the histogram has bars."""
    rows = words(part(app, Histogram)).splitlines()[:-1]
    ground = rows[-1]
    return [x for x, glyph in enumerate(ground) if glyph not in "▁ "]


@pytest.mark.anyio
async def test_the_histogram_has_the_same_scale_whatever_the_latencies():
    def answers(cloud: FakeCloud, latency_ms: float) -> None:
        for _ in range(50):
            cloud.nodes[1].telemetry.latency.add(latency_ms)

    app = make_monitor(quiet(), seconds=5.0)
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "3")
        ticks = words(part(app, Histogram)).splitlines()[-1]
        assert ticks.split() == ["1", "ms", "10", "ms", "0.1", "s", "1", "s", "10", "s"]
        assert "nothing answered" in words(part(app, LatencyPanel)).splitlines()[0]
        assert bars(app) == []
        answers(app.source.cloud, 1.0)
        await repainted(pilot, 1.0)
        assert bars(app) == [ticks.index("1 ms")]
        answers(app.source.cloud, 1000.0)
        await repainted(pilot, 1.0)
        assert bars(app) == [ticks.index("1 ms"), ticks.index(" 1 s") + 1]
        assert words(part(app, Histogram)).splitlines()[-1] == ticks
        assert "100/min, top 50%" in words(part(app, LatencyPanel)).splitlines()[0]
        await repainted(pilot, 61.0)
        assert bars(app) == []


@pytest.mark.anyio
async def test_the_histogram_is_that_of_the_chosen_node():
    app = make_monitor("healthy")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "3")
        assert "Latency all nodes" in words(part(app, LatencyPanel))
        everybody = words(part(app, LatencyPanel)).splitlines()[0]
        part(app, TrafficList).focus()
        await pilot.press("end")
        await repainted(pilot)
        assert "Latency at n3" in words(part(app, LatencyPanel))
        assert words(part(app, LatencyPanel)).splitlines()[0] != everybody


# --- Single requests -------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_requests_are_listed_with_whose_which_and_where_they_are():
    app = make_monitor(eventful(), seconds=5.0)
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "3")
        lines = {
            line.split()[1]: " ".join(line.split()[2:]) for line in words(part(app, RequestList)).splitlines()[1:5]
        }
        assert lines == {
            "00000001": "#7 encrypt served n2 8.0 ms",
            "00000002": "#12 grant taken over n2 › n3!",
            "00000003": "#9 spend view refused no_v… n3 1 3.0 ms",
            "00000004": "– encrypt waiting",
        }


@pytest.mark.anyio
async def test_that_only_one_in_so_many_is_followed_is_said_plainly():
    app = make_monitor("healthy")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "3")
        assert "only one in 2 is followed" in words(part(app, FilterBar))
        await pilot.resize_terminal(120, 40)
        await repainted(pilot, 0.4)
        assert "only one in 2 is followed; figures above count all" in words(part(app, FilterBar))
        for place in range(3):
            app.source.model.requests.one_in[place] = 1
        await pilot.press("f")
        await settled(pilot)
        assert "every request is followed" in words(part(app, FilterBar))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("#12", {"00000002"}),
        ("#1", set()),
        ("encrypt", {"00000001", "00000004"}),
        ("spend view", {"00000003"}),
        ("#7 encrypt", {"00000001"}),
        ("taken", {"00000002"}),
        ("no_views", {"00000003"}),
        ("00000004", {"00000004"}),
        ("[red]", set()),
        ("REFUSED", {"00000003"}),
    ],
)
async def test_a_filter_finds_by_account_kind_state_code_or_id(typed, found):
    app = make_monitor(eventful(), seconds=5.0)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "3")
        await pilot.press("slash")
        part(app, FilterField).value = typed
        await repainted(pilot)
        assert set(listed(app)) == found
        assert f"{len(found)} of 4" in words(part(app, FilterBar))
        if not found:
            assert "None of the requests is like that." in words(part(app, RequestList))


@pytest.mark.anyio
async def test_the_filter_is_typed_left_and_cleared_by_key():
    app = make_monitor(eventful(), seconds=5.0)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "3")
        assert part(app, RequestList).has_focus
        await pilot.press("slash", *"grant")
        await repainted(pilot)
        assert listed(app) == ["00000002"]
        await pilot.press("enter")
        assert part(app, RequestList).has_focus
        await pilot.press("slash", "escape")
        assert part(app, RequestList).has_focus
        assert part(app, FilterBar).text == "grant"
        await pilot.press("escape")
        await repainted(pilot)
        assert part(app, FilterBar).text == ""
        assert len(listed(app)) == 4


@pytest.mark.anyio
async def test_only_those_under_way_or_unusual_can_be_listed():
    app = make_monitor(eventful(), seconds=5.0)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "3")
        await pilot.press("f")
        await repainted(pilot)
        assert set(listed(app)) == {"00000002", "00000004"}
        assert "2 of 4 under way" in words(part(app, FilterBar))
        await pilot.press("f")
        await repainted(pilot)
        assert set(listed(app)) == {"00000002", "00000003"}
        assert "2 of 4 unusual" in words(part(app, FilterBar))
        await pilot.press("f")
        await repainted(pilot)
        assert len(listed(app)) == 4


@pytest.mark.anyio
async def test_the_chosen_node_lists_what_it_serves():
    app = make_monitor(eventful(), seconds=5.0)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "3")
        part(app, TrafficList).focus()
        await pilot.press("end")
        await repainted(pilot)
        assert set(listed(app)) == {"00000002", "00000003"}
        assert "2 of 4 at n3" in words(part(app, FilterBar))
        await pilot.press("up")
        await repainted(pilot)
        assert listed(app) == ["00000001"]
        await pilot.press("up", "f")
        await repainted(pilot)
        assert "No request at n1 is under way." in words(part(app, RequestList))
        await pilot.press("escape")
        await repainted(pilot)
        assert len(listed(app)) == 4
        assert part(app, TrafficList).current.place is None


@pytest.mark.anyio
async def test_before_the_first_request_it_is_said_how_to_make_some():
    app = make_monitor(quiet(), seconds=3.0)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "3")
        assert "No request has come since the monitor began." in words(part(app, RequestList))
        assert "followed" not in words(part(app, FilterBar))


@pytest.mark.anyio
async def test_the_first_row_is_always_the_newest_any_other_stays_under_the_cursor():
    app = make_monitor("healthy", seconds=10.0)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "3")
        newest = part(app, RequestList).current
        await repainted(pilot, 2.0)
        assert part(app, RequestList).cursor == 0
        assert part(app, RequestList).current != newest
        await pilot.press("down", "down")
        kept = part(app, RequestList).current.request
        await repainted(pilot, 2.0)
        assert part(app, RequestList).current.request == kept
        assert part(app, RequestList).cursor > 2


@pytest.mark.anyio
async def test_the_list_changes_no_more_often_than_it_can_be_read(monkeypatch):
    app = make_monitor("healthy", seconds=10.0)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "3")
        shown: list[float] = []
        monkeypatch.setattr(RequestList, "paint", lambda *_a, **_k: shown.append(app.source.cloud.now))
        for _ in range(20):
            app.source.pass_time(0.2)
            app.repaint()
        assert 5 <= len(shown) <= 10
        assert all(later - earlier >= READABLE_S - 0.01 for earlier, later in pairwise(shown))


@pytest.mark.anyio
async def test_another_model_is_shown_at_once():
    """After a jump in a recording the model is another one, at an earlier time."""
    app = make_monitor(eventful(), seconds=5.0)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "3")
        assert len(listed(app)) == 4
        empty = Model(app.source.node_index)
        app.source.model = empty
        app.repaint()
        await settled(pilot)
        assert listed(app) == []


@pytest.mark.anyio
async def test_a_request_of_which_nothing_more_is_heard_is_lost_sight_of_in_its_time():
    app = make_monitor(eventful(), seconds=5.0)
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "3")
        assert "waiting" in words(part(app, RequestList))
        await repainted(pilot, 61.0)
        assert "waiting" not in words(part(app, RequestList))
        assert words(part(app, RequestList)).count("lost sight of") == 2


# --- The window ------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_enter_opens_the_way_of_a_request_and_closes_it(size):
    app = make_monitor(eventful(), seconds=5.0)
    async with running(app, size=size) as pilot:
        await opened(pilot, "3")
        assert part(app, RequestList).select_key("0000abcd-00000002")
        await pilot.press("enter")
        await repainted(pilot)
        window = app.screen
        assert isinstance(window, RequestDetails)
        assert "grant taken over" in words(window.query_one(".heading"))
        facts = words(window.query_one(".facts"))
        for said in ("account #12, session key 0000abcd", "00000002", "twice to another node, never asked again"):
            assert said in facts, said
        chart = words(window.query_one(SequenceChart))
        assert "n1 gave it to n2" in chart
        assert "n1 took it from n2" in chart
        assert "n3 took it over" in chart
        assert "+1.0" in chart
        event(app.source.cloud, 2, Happening.SERVED, 2, kind=123, account=12, latency_ms=1900.0)
        await repainted(pilot, 1.0)
        assert "grant served" in words(window.query_one(".heading"))
        assert "n3 served it, 1.9 s after it came" in words(window.query_one(SequenceChart))
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, MonitorScreen)


# --- Costs and harm --------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_paint_asks_for_no_layout_and_what_did_not_change_is_not_painted_again(monkeypatch):
    app = make_monitor("healthy")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "3")
        await repainted(pilot)
        laid_out: list[int] = []
        painted: list[Any] = []
        monkeypatch.setattr(MonitorScreen, "_refresh_layout", lambda *_a, **_k: laid_out.append(1))
        for kind in (TextLines, Histogram, TrafficList, RequestList):
            monkeypatch.setattr(kind, "refresh", lambda self, *_a, **_k: painted.append(self))
        app.repaint()
        assert not painted
        app.source.pass_time(1.0)
        app.repaint()
        assert {type(widget) for widget in painted} >= {TextLines, Histogram, TrafficList, RequestList}
        assert not laid_out


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), (30, 8)])
async def test_hostile_words_are_shown_as_they_are_and_do_no_harm(size):
    cloud = quiet()
    for number, node in enumerate(cloud.node_index.nodes):
        object.__setattr__(node, "name", f"{number}{HOSTILE}")

    def happen() -> None:
        event(cloud, 1, Happening.REFUSED, 1, code=HOSTILE, kind=999)
        event(cloud, 1, Happening.ASSIGNED, 2, node=60, account=2**53)

    cloud.at(2.0, happen)
    app = make_monitor(cloud, seconds=5.0)
    async with running(app, size=size) as pilot:
        await opened(pilot, "3")
        for keys in ((), ("enter",), ("escape", "end", "enter"), ("escape", "slash", *"[b]"), ("escape", "escape")):
            if keys:
                await pilot.press(*keys)
            await repainted(pilot)
            shown = "\n".join(strip.text for strip in strips_of(app.screen))
            assert not any(char in "\x1b\x07\u202e" for char in shown)
        if size[0] >= 80:
            assert "kind 999" in words(part(app, RequestList))


@pytest.mark.anyio
async def test_nine_nodes_can_be_walked_through():
    app = make_monitor("nine")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "3")
        assert "n9" not in words(part(app, TrafficList))
        part(app, TrafficList).focus()
        await pilot.press("end")
        await repainted(pilot)
        assert "n9" in words(part(app, TrafficList))
        assert "Latency at n9" in words(part(app, LatencyPanel))
        await pilot.resize_terminal(120, 40)
        await repainted(pilot)
        assert all(f"n{number}" in words(part(app, TrafficList)) for number in range(1, 10))


# --- Pictures --------------------------------------------------------------------------------------------------------
async def on_tab(pilot: Any) -> None:
    await pilot.press("3")
    await settled(pilot)
    pilot.app.repaint()


@pytest.mark.parametrize("scenario", ["healthy", "nine"])
def test_scenes(snap, look, scenario):
    snap(make_monitor(scenario), look, before=on_tab, light=scenario == "healthy")


@pytest.mark.parametrize("scenario", ["one_down", "directory_gone", "nothing"])
def test_more_scenes(snap, scenario):
    snap(make_monitor(scenario), (80, 24), before=on_tab)


def test_requests_that_went_otherwise(snap):

    async def prepare(pilot: Any) -> None:
        await on_tab(pilot)
        await pilot.press("f", "f")
        await repainted(pilot)

    snap(make_monitor(eventful(), seconds=5.0), (80, 24), before=prepare)


def test_the_way_of_a_request(snap, look):

    async def prepare(pilot: Any) -> None:
        await on_tab(pilot)
        part(pilot.app, RequestList).select_key("0000abcd-00000002")
        await pilot.press("enter")
        await repainted(pilot)

    snap(make_monitor(eventful(), seconds=5.0), look, before=prepare)


def test_a_filter_that_finds_nothing(snap):
    async def prepare(pilot: Any) -> None:
        await on_tab(pilot)
        await pilot.press("slash", *"#99 grant")
        await repainted(pilot)

    snap(make_monitor("healthy"), (80, 24), before=prepare)


def test_kinds_in_a_small_terminal(snap):
    async def prepare(pilot: Any) -> None:
        await on_tab(pilot)
        await pilot.press("t")
        await repainted(pilot)

    snap(make_monitor("healthy"), (80, 24), before=prepare)


def test_a_narrow_terminal(snap):
    snap(make_monitor("healthy"), (60, 20), before=on_tab)


def test_a_large_terminal(snap):
    snap(make_monitor("healthy", seconds=60.0), (200, 60), before=on_tab)
