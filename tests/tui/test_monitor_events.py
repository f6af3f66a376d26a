"""The tab Events: the log, its filter, the whole text of one event, copies and files; hostile words, pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Button, Input, Static

from tests.tui.fake_feed import FakeCloud
from tests.tui.monitor_fixtures import make_monitor, on_home, opened, repainted, words
from tests.tui.quiet import notifications, running, settled, strips_of
from tui.common.clipboard import Clipboard
from tui.monitor import event_export
from tui.monitor.dialogs.save_events import SaveEvents
from tui.monitor.model import Model
from tui.monitor.model.events import MAX_EVENTS, Level, Topic
from tui.monitor.panels.event_list import EventList
from tui.monitor.panels.filter_bar import FilterBar, FilterField
from tui.monitor.panes import events as events_module
from tui.monitor.panes.events import EventsPane
from tui.monitor.screens.home import MonitorScreen
from tui.monitor.widgets.text_lines import TextLines

HOSTILE = (
    "\x1b[2J\x1b]0;title\x07\x1b[31m [red]x[/red][@click=app.quit]quit[/] \u202egnp.exe\u200f \n\r\t é日本👨\u200d👩"
)


def pane(app: Any) -> EventsPane:
    return on_home(app, EventsPane)


def events(app: Any) -> EventList:
    return pane(app).query_one(EventList)


def texts(app: Any) -> list[str]:
    return [event.text for event in events(app).rows]


def bar(app: Any) -> str:
    return words(pane(app).query_one(FilterBar))


def toasts(app: Any) -> list[str]:
    return [toast.message for toast in notifications(app)]


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What was given to the terminal's clipboard. The file beside it is `copied.txt` in the test's folder."""
    given: list[str] = []
    monkeypatch.setattr("textual.app.App.copy_to_clipboard", lambda _self, text: given.append(text))
    monkeypatch.setattr(events_module, "Clipboard", lambda: Clipboard(tmp_path / "copied.txt"))
    return given


# --- The log ---------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_events_stand_in_order_of_time_with_the_newest_under_the_cursor():
    app = make_monitor("one_down")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "4")
        times = [event.at for event in events(app).rows]
        assert times == sorted(times)
        assert events(app).current is events(app).rows[-1]
        assert events(app).has_focus
        shown = words(events(app))
        for said in (
            "08:00:08.6  ERROR  feed       n1       does not answer",
            "08:00:09.0  WARN   leader     n2       knows of no leader, term 3",
            "08:00:09.5  info   role       n2       claim → leader (lease won), term 4",
        ):
            assert said in shown, said
        assert "cluster  n2 leads term 4" in shown


@pytest.mark.anyio
async def test_what_happens_is_seen_as_it_comes_unless_one_has_gone_up():
    app = make_monitor("healthy")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        assert "newest" in bar(app)
        for number in range(20):
            app.source.cloud.log(1, "info", f"line {number}")
        await repainted(pilot, 1.0)
        assert events(app).current.text == "node.request_handler: line 19"
        assert "line 19" in words(events(app))
        await pilot.press("up", "up", "up")
        await repainted(pilot)
        kept = events(app).current
        assert "3 below: G" in bar(app)
        app.source.cloud.log(1, "info", "one more")
        await repainted(pilot, 1.0)
        assert events(app).current is kept
        assert "4 below: G" in bar(app)
        await pilot.press("G")
        await repainted(pilot)
        assert events(app).current.text == "node.request_handler: one more"
        app.source.cloud.log(1, "info", "and another")
        await repainted(pilot, 1.0)
        assert events(app).current.text == "node.request_handler: and another"


@pytest.mark.anyio
async def test_the_whole_text_of_an_event_is_seen_below():
    app = make_monitor("healthy")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        app.source.cloud.log(2, "error", " ".join(f"word{number}" for number in range(18)))
        await repainted(pilot, 1.0)
        assert "word17" not in words(events(app))
        below = words(pane(app).query_one("#event-text"))
        assert "n3" in below
        assert "error, log" in below
        assert "word0" in below
        assert "word17" in below
        await pilot.press("up")
        await repainted(pilot)
        assert "word17" not in words(pane(app).query_one("#event-text"))


@pytest.mark.anyio
async def test_the_log_is_bounded_and_says_what_it_dropped():
    app = make_monitor("healthy")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "4")
        log = app.source.model.events
        for number in range(MAX_EVENTS + 500):
            log.add(20.0 + number / 1000, Level.INFO, Topic.LOG, 0, f"line {number}")
        await repainted(pilot, 0.4)
        assert len(events(app).rows) <= MAX_EVENTS
        assert log.dropped > 0
        assert f"{log.dropped:,} older ones dropped".replace(",", " ") in bar(app)
        assert events(app).current.text == f"line {MAX_EVENTS + 499}"


@pytest.mark.anyio
async def test_before_anything_has_happened_that_is_said():
    app = make_monitor("healthy", seconds=0.0)
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        assert "Nothing has happened yet." in words(events(app))
        for key in ("c", "C", "w"):
            await pilot.press(key)
            await settled(pilot)
        assert isinstance(app.screen, MonitorScreen)
        assert toasts(app) == ["There is no event to copy."] * 2 + ["There is no event to save."]


@pytest.mark.anyio
async def test_another_model_is_shown_at_once_from_its_end():
    """After a jump in a recording the model is another one, whose numbers mean other events."""
    app = make_monitor("one_down")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        await pilot.press("g")
        another = Model(app.source.node_index)
        while another.events.version < app.source.model.events.version:
            another.events.add(1.0, Level.INFO, Topic.LOG, 0, f"other {another.events.version}")
        app.source.model = another
        app.repaint()
        await settled(pilot)
        assert texts(app)[0] == "other 0"
        assert events(app).current is events(app).rows[-1]


# --- Filter ----------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_levels_are_gone_through_by_key():
    app = make_monitor("one_down")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "4")
        seen = []
        for _ in range(4):
            lowest = min(event.level for event in events(app).rows)
            seen.append((lowest.name, bar(app).split("  ")[-2 if "below" in bar(app) else -1].strip()))
            await pilot.press("l")
            await repainted(pilot)
        assert [name for name, _ in seen] == ["INFO", "WARNING", "ERROR", "DEBUG"]
        assert "info and above" in bar(app)
        await pilot.press("l")
        await repainted(pilot)
        assert "warning and above" in bar(app)


@pytest.mark.anyio
async def test_nodes_and_topics_are_gone_through_by_key():
    app = make_monitor("one_down")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "4")
        for place in range(3):
            await pilot.press("n")
            await repainted(pilot)
            assert {event.place for event in events(app).rows} == {place}
            assert f"info and above, n{place + 1}" in bar(app)
        await pilot.press("n")
        await repainted(pilot)
        assert {event.place for event in events(app).rows} == {0, 1, 2, None}
        for topic in Topic:
            await pilot.press("t")
            await repainted(pilot)
            assert {event.topic for event in events(app).rows} <= {topic}
            assert f"above, {topic.value}" in bar(app)
        await pilot.press("t")
        await repainted(pilot)
        assert len({event.topic for event in events(app).rows}) > 2


@pytest.mark.anyio
async def test_words_are_found_and_the_filter_is_cleared():
    app = make_monitor("one_down")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        everything = len(texts(app))
        await pilot.press("slash", *"LEASE won")
        await repainted(pilot)
        assert set(texts(app)) == {
            "won the lease, term 3",
            "claim → leader (lease won), term 4",
            "won the lease, term 4",
            "follower → leader (lease won), term 3",
        } & set(texts(app))
        assert texts(app)
        await pilot.press("enter")
        assert events(app).has_focus
        await pilot.press("slash")
        pane(app).query_one(FilterField).value = "[no such thing]"
        await repainted(pilot)
        assert "None of 24 events is like that." in words(events(app))
        await pilot.press("escape", "escape")
        await repainted(pilot)
        assert len(texts(app)) == everything
        assert pane(app).query_one(FilterBar).text == ""


@pytest.mark.anyio
async def test_the_cursor_stays_on_its_event_when_the_filter_still_shows_it():
    app = make_monitor("one_down")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        kept = next(event for event in events(app).rows if event.level is Level.ERROR)
        events(app).select_key(str(kept.number))
        await pilot.press("l")
        await repainted(pilot)
        assert events(app).current == kept


# --- Copies ----------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_an_event_is_copied_to_the_clipboard_and_to_a_file(copied, tmp_path):
    app = make_monitor("one_down")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        kept = next(event for event in events(app).rows if event.level is Level.ERROR)
        events(app).select_key(str(kept.number))
        await pilot.press("c")
        await settled(pilot)
        line = "2027-01-15 08:00:08.600+00:00  ERROR    feed       n1  does not answer"
        assert copied == [line]
        assert (tmp_path / "copied.txt").read_text(encoding="utf-8") == line + "\n"
        assert toasts(app) == [f"Event copied; also in {tmp_path / 'copied.txt'}"]


@pytest.mark.anyio
async def test_all_that_is_shown_is_copied_up_to_what_a_terminal_takes(copied, monkeypatch):
    app = make_monitor("one_down")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        await pilot.press("l", "C")
        await settled(pilot)
        lines = copied[-1].splitlines()
        assert len(lines) == len(texts(app)) == 3
        assert [line.split("  ")[-1] for line in lines] == texts(app)
        monkeypatch.setattr(events_module, "CLIPBOARD_BYTES", 170)
        await pilot.press("C")
        await settled(pilot)
        assert copied[-1].splitlines() == lines[-2:]
        assert toasts(app)[-1].startswith("The newest 2 of 3 events copied")


@pytest.mark.anyio
async def test_a_copy_whose_file_cannot_be_written_is_a_copy_all_the_same(copied, tmp_path):
    (tmp_path / "copied.txt").mkdir()
    app = make_monitor("one_down")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        await pilot.press("c")
        await settled(pilot)
        assert len(copied) == 1
        assert toasts(app) == ["Event copied"]


# --- Files -----------------------------------------------------------------------------------------------------------
async def dialog(pilot: Any) -> SaveEvents:
    await pilot.press("w")
    await settled(pilot)
    assert isinstance(pilot.app.screen, SaveEvents)
    return pilot.app.screen


async def type_path(pilot: Any, path: Path | str) -> None:
    pilot.app.screen.query_one("#save-path", Input).value = str(path)
    await pilot.press("enter")
    await settled(pilot)


@pytest.mark.anyio
async def test_what_is_shown_is_saved_to_a_new_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    app = make_monitor("one_down")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        await pilot.press("l")
        await repainted(pilot)
        window = await dialog(pilot)
        assert "3 events, warning and above, to a new file:" in words(window.query_one(".dialog"))
        assert window.query_one("#save-path", Input).value == "~/glimpse-events-20270115-080009.txt"
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, MonitorScreen)
        path = tmp_path / "glimpse-events-20270115-080009.txt"
        assert toasts(app) == [f"The events were saved to {path}."]
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        assert head == "# Glimpse monitor: 3 of 24 events, warning and above"
        assert [line.split("  ")[-1] for line in lines] == texts(app)
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.anyio
async def test_nothing_is_overwritten_and_what_goes_wrong_is_said_where_it_can_be_put_right(tmp_path):
    there = tmp_path / "there.txt"
    there.write_text("old")
    app = make_monitor("one_down")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        window = await dialog(pilot)
        for path, said in (
            (there, "exists already and is not overwritten"),
            (tmp_path / "no" / "x.txt", "cannot be written"),
            ("", "Name the file"),
        ):
            await type_path(pilot, path)
            assert app.screen is window
            assert said in " ".join(str(window.query_one(".complaint", Static).render()).split())
        assert there.read_text() == "old"
        await type_path(pilot, tmp_path / "new.txt")
        assert isinstance(app.screen, MonitorScreen)
        assert (tmp_path / "new.txt").exists()


@pytest.mark.anyio
async def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    app = make_monitor("one_down")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        window = await dialog(pilot)
        monkeypatch.setattr("os.fsync", full)
        await type_path(pilot, tmp_path / "new.txt")
        assert "No space left on device" in str(window.query_one(".complaint", Static).render())
        monkeypatch.undo()
        assert not list(tmp_path.glob("new*"))


@pytest.mark.anyio
async def test_saving_is_begun_once_however_often_one_presses(tmp_path, monkeypatch):
    saved: list[Path] = []
    monkeypatch.setattr("tui.monitor.dialogs.save_events.save_text", lambda path, _text: saved.append(path))
    app = make_monitor("one_down")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        window = await dialog(pilot)
        window.query_one("#save-path", Input).value = str(tmp_path / "new.txt")
        button = window.query_one("#accept", Button)
        for _ in range(3):
            button.press()
        await settled(pilot)
        assert saved == [tmp_path / "new.txt"]


@pytest.mark.anyio
async def test_saving_can_be_given_up(tmp_path):
    app = make_monitor("one_down")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        await dialog(pilot)
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, MonitorScreen)
        assert not toasts(app)


@pytest.mark.anyio
async def test_what_is_saved_is_what_was_shown_when_one_asked(tmp_path):
    app = make_monitor("one_down")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        await dialog(pilot)
        app.source.cloud.log(1, "error", "later")
        await repainted(pilot, 1.0)
        await type_path(pilot, tmp_path / "new.txt")
        assert "later" not in (tmp_path / "new.txt").read_text(encoding="utf-8")


# --- Costs and harm --------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_paint_asks_for_no_layout_and_without_news_for_nothing_at_all(monkeypatch):
    app = make_monitor("one_down")
    async with running(app, size=(120, 40)) as pilot:
        await opened(pilot, "4")
        await repainted(pilot)
        laid_out: list[int] = []
        painted: list[Any] = []
        monkeypatch.setattr(MonitorScreen, "_refresh_layout", lambda *_a, **_k: laid_out.append(1))
        for kind in (TextLines, EventList):
            monkeypatch.setattr(kind, "refresh", lambda self, *_a, **_k: painted.append(self))
        app.repaint()
        assert not painted
        app.source.pass_time(1.0)
        app.repaint()
        assert not [widget for widget in painted if widget in pane(app).walk_children()]
        app.source.cloud.log(1, "info", "news")
        app.source.pass_time(0.4)
        app.repaint()
        assert events(app) in painted
        assert not laid_out


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (24, 8)])
async def test_hostile_lines_are_shown_copied_and_saved_as_harmless_text(size, copied, tmp_path):
    cloud = FakeCloud(requests_per_s=0.0)
    cloud.at(2.0, lambda: cloud.log(1, "critical", HOSTILE, HOSTILE[:24]))
    cloud.at(2.0, lambda: cloud.order(1, "stop", HOSTILE, obeyed=False, text=HOSTILE))
    object.__setattr__(cloud.node_index.nodes[1], "name", HOSTILE)
    app = make_monitor(cloud, seconds=5.0)
    async with running(app, size=size) as pilot:
        await opened(pilot, "4")
        await pilot.press("up")
        await repainted(pilot)
        shown = "\n".join(strip.text for strip in strips_of(app.screen))
        await pilot.press("C")
        await settled(pilot)
        await dialog(pilot)
        await type_path(pilot, tmp_path / "new.txt")
        saved = (tmp_path / "new.txt").read_text(encoding="utf-8")
        for text in (shown, *copied, saved):
            assert not any((ord(char) < 32 and char != "\n") or char in "\u202e\u200f\u200d" for char in text)
        assert "[@click=app.quit]quit[/]" in saved
        assert app.is_running
        if size[0] >= 80:
            assert "[red]x" in shown


@pytest.mark.anyio
async def test_without_colours_levels_can_still_be_told(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = make_monitor("one_down")
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, "4")
        assert os.environ["NO_COLOR"]
        assert {"ERROR", "WARN", "info"} <= set(words(events(app)).split())


# --- Pictures --------------------------------------------------------------------------------------------------------
async def on_tab(pilot: Any) -> None:
    await pilot.press("4")
    await settled(pilot)
    pilot.app.repaint()


def test_events(snap, look):
    snap(make_monitor("one_down"), look, before=on_tab, light=True)


@pytest.mark.parametrize("scenario", ["deaf", "directory_gone"])
def test_more_scenes(snap, scenario):
    snap(make_monitor(scenario), (80, 24), before=on_tab)


def test_hostile_lines(snap):
    cloud = FakeCloud()
    cloud.at(12.0, lambda: cloud.log(1, "critical", HOSTILE))
    cloud.at(12.0, lambda: cloud.order(1, "deaf", HOSTILE[:20]))
    snap(make_monitor(cloud), (80, 24), before=on_tab)


def test_saving(snap, look):

    async def prepare(pilot: Any) -> None:
        await on_tab(pilot)
        await pilot.press("l", "w")

    snap(make_monitor("one_down"), look, before=prepare)


def test_saving_where_there_is_a_file(snap, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.txt").touch()
    monkeypatch.setattr(event_export.Path, "cwd", classmethod(lambda cls: cls("/home/ada")))
    monkeypatch.setattr(event_export, "create_file", _taken)

    async def prepare(pilot: Any) -> None:
        await on_tab(pilot)
        await dialog(pilot)
        await type_path(pilot, "there.txt")

    snap(make_monitor("one_down"), (80, 24), before=prepare)


def _taken(*_arguments: object) -> int:
    raise FileExistsError


def test_a_filter_that_finds_nothing(snap):
    async def prepare(pilot: Any) -> None:
        await on_tab(pilot)
        await pilot.press("n", "slash", *"xyzzy")

    snap(make_monitor("one_down"), (80, 24), before=prepare)


def test_a_narrow_terminal(snap):
    snap(make_monitor("one_down"), (40, 20), before=on_tab)
