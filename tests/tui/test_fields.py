"""The fields that several dialogs have: a choice in a line, a number of views, an expiry, a path."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from textual import on
from textual.app import App, ComposeResult
from textual.events import Paste
from textual.widgets import Input

from shared.config import MAX_VIEWS
from tests.tui.conftest import NOW
from tests.tui.quiet import running, settled
from tui.client.widgets.chips import Chips
from tui.client.widgets.expiry import ExpiryField, moment_of
from tui.client.widgets.look_field import LookField
from tui.client.widgets.path_field import PathField
from tui.client.widgets.views_field import ViewsField

HOUR, DAY = 3600.0, 86_400.0


class Fields(App[None]):
    """Shows widgets and notes their messages."""

    def __init__(self, *widgets: Any) -> None:
        super().__init__()
        self.widgets = widgets
        self.heard: list[Any] = []

    def compose(self) -> ComposeResult:
        yield from self.widgets

    @on(Chips.Chosen)
    @on(ViewsField.Changed)
    @on(Input.Changed)
    @on(Input.Submitted)
    def note(self, message: Any) -> None:
        self.heard.append(message)

    def last(self, kind: type) -> Any:
        return [message for message in self.heard if isinstance(message, kind)][-1]


# --- Chips -----------------------------------------------------------------------------------------------------------
def chips(value: str = "b") -> Chips:
    return Chips([("a", "one"), ("b", "two"), ("c", "three")], value=value)


@pytest.mark.anyio
async def test_a_word_is_chosen_by_arrow_keys_and_stays_within_the_line() -> None:
    app = Fields(chips())
    async with running(app) as pilot:
        chosen = []
        await pilot.press("tab")
        for key in ("right", "right", "left", "h", "h", "l", "end", "home"):
            await pilot.press(key)
            chosen.append(app.widgets[0].value)
        assert chosen == ["c", "c", "b", "a", "a", "b", "c", "a"]
        assert [message.value for message in app.heard] == ["c", "b", "a", "b", "c", "a"]
        assert not any(message.clicked for message in app.heard)


@pytest.mark.anyio
async def test_a_word_is_chosen_by_a_click_and_the_gap_between_chooses_none() -> None:
    app = Fields(chips())
    async with running(app) as pilot:
        await pilot.click(Chips, offset=(5, 0))
        assert app.heard == []
        await pilot.click(Chips, offset=(12, 0))
        assert (app.widgets[0].value, app.last(Chips.Chosen).clicked) == ("c", True)


@pytest.mark.anyio
async def test_no_word_may_be_chosen_and_a_key_that_is_none_chooses_none() -> None:
    app = Fields(chips("nothing"))
    async with running(app) as pilot:
        field = app.widgets[0]
        field.value = "neither"
        assert field.value == ""
        await pilot.press("tab", "left")
        assert field.value == "a"


# --- Number of views -------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_number_of_views_is_typed_stepped_and_chosen() -> None:
    app = Fields(ViewsField(3))
    async with running(app) as pilot:
        field = app.widgets[0]
        assert field.value() == 3
        field.focus_number()
        await pilot.press("up", "up")
        assert (field.value(), field.query_one(Chips).value) == (5, "5")
        await pilot.press("down", "backspace", "1", "7", "x", "-")
        assert (field.value(), field.query_one(Chips).value) == (17, "")
        await pilot.press("tab", "end")
        assert field.value() == 10
        await pilot.click(Chips, offset=(1, 0))
        assert field.value() == 1
        assert app.last(ViewsField.Changed).number == 1
        # What is inside stays inside: a dialog hears of the number, not of its parts.
        assert not any(isinstance(message, Input.Changed | Chips.Chosen) for message in app.heard)


@pytest.mark.anyio
async def test_a_number_outside_its_bounds_is_refused_with_the_bounds() -> None:
    app = Fields(ViewsField(1))
    async with running(app) as pilot:
        field = app.widgets[0]
        field.focus_number()
        await pilot.press("down")
        assert field.value() == 1
        for text in ("", "0"):
            field.query_one(Input).value = text
            with pytest.raises(ValueError, match=f"between 1 and {MAX_VIEWS}"):
                field.value()
        field.set(10**9)
        assert field.value() == MAX_VIEWS
        await pilot.press("up")
        assert field.value() == MAX_VIEWS


@pytest.mark.anyio
async def test_none_left_is_a_number_where_rights_are_changed() -> None:
    app = Fields(ViewsField(2, least=0))
    async with running(app) as pilot:
        field = app.widgets[0]
        await pilot.click(Chips, offset=(1, 0))
        assert field.value() == 0
        field.focus_number()
        await pilot.press("enter")
        assert app.last(Input.Submitted).value == "0"


# --- Expiry ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2027-01-22 18:00", datetime(2027, 1, 22, 18, tzinfo=UTC)),
        ("2027-01-22T18:00", datetime(2027, 1, 22, 18, tzinfo=UTC)),
        ("  2027-01-22  ", datetime(2027, 1, 23, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_by_the_persons_clock(text: str, moment: datetime) -> None:
    assert moment_of(text, UTC) == moment.timestamp()
    east = timezone(timedelta(hours=5))
    assert moment_of(text, east) == moment.timestamp() - 5 * HOUR


def test_the_last_day_before_the_clocks_change_ends_at_its_own_midnight() -> None:
    zone = ZoneInfo("Europe/Vienna")
    assert moment_of("2027-03-27", zone) == datetime(2027, 3, 28, tzinfo=zone).timestamp()


@pytest.mark.parametrize("text", ["", "soon", "2027-13-01", "2027-01-22 25:00", "22.1.2027", "2027-01-22 18:00 x"])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="2027-01-31 18:00"):
        moment_of(text, UTC)


@pytest.mark.anyio
async def test_a_look_has_no_limit_or_a_preset_or_what_is_typed() -> None:
    app = Fields(LookField())
    async with running(app) as pilot:
        field = app.widgets[0]
        chips = field.query_one(Chips)
        assert (field.value(), chips.value) == (None, "none")
        await pilot.press(*"4x5")
        assert (field.value(), chips.value) == (45, "")
        await pilot.press("up", "up", "down")
        assert field.value() == 46
        await pilot.press("enter")
        assert app.last(Input.Submitted).value == "46"
        await pilot.press("tab", "right", "right")
        assert (field.value(), chips.value, field.query_one(Input).value) == (10, "10", "10")
        await pilot.press("home")
        assert (field.value(), field.query_one(Input).value) == (None, "")
        for text in ("0", "86401"):
            field.query_one(Input).value = text
            with pytest.raises(ValueError, match="between 1 and 86400"):
                field.value()


@pytest.mark.anyio
async def test_a_length_that_stands_is_kept_to_the_millisecond() -> None:
    app = Fields(LookField(12.3456789))
    async with running(app):
        assert app.widgets[0].value() == 12.3456789


@pytest.mark.anyio
async def test_an_expiry_is_never_a_span_or_a_date() -> None:
    app = Fields(ExpiryField(zone=UTC))
    async with running(app) as pilot:
        field = app.widgets[0]
        await pilot.press("tab")
        found = [field.value(NOW, UTC)]
        for _ in range(4):
            await pilot.press("right")
            found.append(field.value(NOW, UTC))
        assert found == [None, NOW + HOUR, NOW + DAY, NOW + 7 * DAY, NOW + 30 * DAY]
        assert not field.query_one(Input).region
        await pilot.press("right", "tab", *"2027-02-01")
        assert field.query_one(Input).region
        assert field.value(NOW, UTC) == datetime(2027, 2, 2, tzinfo=UTC).timestamp()
        await pilot.press("enter")
        assert app.last(Input.Submitted).value == "2027-02-01"


@pytest.mark.anyio
async def test_a_click_on_date_goes_to_the_date() -> None:
    app = Fields(ExpiryField(zone=UTC))
    async with running(app) as pilot:
        await pilot.click(Chips, offset=(42, 0))
        await pilot.press(*"2027-02-01 12:00")
        assert app.widgets[0].value(NOW, UTC) == datetime(2027, 2, 1, 12, tzinfo=UTC).timestamp()


@pytest.mark.anyio
async def test_enter_on_date_goes_to_the_date() -> None:
    """By keys alone one stayed on the word `date`: what one typed then went nowhere."""
    app = Fields(ExpiryField(zone=UTC))
    async with running(app) as pilot:
        await pilot.press("tab", "enter", "end", "enter", *"2027-02-01 12:00")
        assert app.widgets[0].value(NOW, UTC) == datetime(2027, 2, 1, 12, tzinfo=UTC).timestamp()


@pytest.mark.anyio
async def test_a_moment_that_stands_is_kept_to_the_second_and_a_past_one_refused() -> None:
    stands = NOW + 123.456
    app = Fields(ExpiryField(stands, zone=UTC))
    async with running(app) as pilot:
        field = app.widgets[0]
        assert field.query_one(Chips).value == "date"
        assert field.query_one(Input).value == "2027-01-15 08:02"
        assert field.value(NOW, UTC) == stands
        with pytest.raises(ValueError, match="has passed"):
            field.value(stands, UTC)
        field.query_one(Input).value = "2027-01-15 08:00"
        with pytest.raises(ValueError, match="has passed"):
            field.value(NOW, UTC)
        field.query_one(Input).value = "9999-12-30"
        with pytest.raises(ValueError, match="too far"):
            field.value(NOW, UTC)
        field.query_one(Chips).focus()
        await pilot.press("home")
        assert field.value(NOW, UTC) is None


# --- Path ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in ("lake.jpg", "lake-2.jpg", "Hill.png", ".hidden.png", "notes.txt", "tab\tbed.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "Holidays").mkdir()
    (tmp_path / "Holidays" / "sea.webp").write_bytes(b"")
    return tmp_path


async def typed(pilot: Any, field: PathField, text: str, *keys: str) -> str:
    field.value = text
    field.cursor_position = len(text)
    field.focus()
    await settled(pilot)
    await pilot.press(*keys)
    await settled(pilot)
    return field.value


@pytest.mark.anyio
async def test_tab_completes_a_path_as_far_as_it_is_certain(pictures: Path) -> None:
    field = PathField(home=pictures, here=pictures)
    async with running(Fields(field, Input(id="next"))) as pilot:
        assert await typed(pilot, field, "la", "tab") == "lake"
        assert await typed(pilot, field, "lake.", "tab") == "lake.jpg"
        assert await typed(pilot, field, "~/holi", "tab") == "~/Holidays/"
        assert await typed(pilot, field, "~/Holidays/", "tab") == "~/Holidays/sea.webp"
        assert await typed(pilot, field, f"{pictures}/.h", "tab") == f"{pictures}/.hidden.png"
        assert await typed(pilot, field, "~", "tab") == "~/"
        # A text file and a name that would disturb a terminal are not offered.
        assert await typed(pilot, field, "no", "tab") == "no"


@pytest.mark.anyio
async def test_tab_goes_on_where_there_is_nothing_to_complete(pictures: Path) -> None:
    field, after = PathField(home=pictures, here=pictures), Input(id="next")
    async with running(Fields(field, after)) as pilot:
        for text, keys in (("lake.jpg", ()), ("nowhere/x", ()), ("", ()), ("la", ("home",)), ("tab", ())):
            await typed(pilot, field, text, *keys, "tab")
            assert (pilot.app.focused, field.value) == (after, text)


@pytest.mark.anyio
async def test_the_right_key_takes_what_is_suggested(pictures: Path) -> None:
    field = PathField(home=pictures, here=pictures)
    async with running(Fields(field)) as pilot:
        field.focus()
        await pilot.press(*"~/Ho")
        await settled(pilot)
        await pilot.press("right")
        assert field.value == "~/Holidays/"
        assert field.path == pictures / "Holidays"


@pytest.mark.anyio
async def test_a_pasted_path_replaces_the_text_and_a_word_does_not(pictures: Path) -> None:
    field = PathField(home=pictures, here=pictures)
    async with running(Fields(field)) as pilot:
        field.focus()
        field.value = "/else/where"
        field.cursor_position = len(field.value)
        pilot.app.post_message(Paste("'/home/ada/My lake.jpg' \n"))
        await settled(pilot)
        assert field.value == "/home/ada/My lake.jpg"
        pilot.app.post_message(Paste("file:///home/ada/hill%20top.png"))
        await settled(pilot)
        assert field.value == "/home/ada/hill top.png"
        pilot.app.post_message(Paste("2"))
        await settled(pilot)
        assert field.value == "/home/ada/hill top.png2"
        pilot.app.post_message(Paste("/x/\x1b]0;owned\x07"))
        await settled(pilot)
        assert field.value == "/home/ada/hill top.png2"


@pytest.mark.anyio
async def test_a_name_that_cannot_be_written_is_kept_and_shown_harmlessly(tmp_path: Path) -> None:
    odd = tmp_path / "od\udcffd \x1b[31m.png"
    field = PathField(home=tmp_path, here=tmp_path)
    async with running(Fields(field)) as pilot:
        field.put(odd)
        assert field.path == odd
        assert field.value == "~/od\ufffdd \ufffd[31m.png"
        await typed(pilot, field, field.value + "x")
        assert field.path != odd
        field.put(None)
        assert field.path is None
