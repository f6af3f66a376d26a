"""The picker of picture files: by keys, by mouse, by paste; what it shows of a folder and of the picture in it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from textual.events import Paste
from textual.widgets import Checkbox, Static

from shared.text import is_clean
from tests.tui.picture_files import album, write
from tests.tui.quiet import running, settled
from tui.client import debounce
from tui.client.dialogs.pick_file import PickFileDialog
from tui.client.folders import FolderEntry, Listing
from tui.client.widgets.path_field import PathField
from tui.client.widgets.picture import Picture
from tui.common.rowlist import RowList

ALL = ["..", "2026", "Holidays", "cut.png", "harbour.png", "Lake at dawn.png", "mountain.jpg", "with place.jpg"]


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with pictures."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_PICTURES_DIR", raising=False)
    return album(tmp_path / "Pictures")


class Picker:
    """An open picker and what it was closed with."""

    def __init__(self, pilot: Any, dialog: PickFileDialog) -> None:
        self.pilot = pilot
        self.dialog = dialog
        self.results: list[Path | None] = []

    @property
    def names(self) -> list[str]:
        return [entry.name for entry in self.dialog.query_one(RowList).rows]

    @property
    def current(self) -> str:
        return self.dialog.query_one(RowList).current.name

    @property
    def text(self) -> str:
        return self.dialog.query_one(PathField).value

    def said(self, selector: str) -> str:
        return str(self.dialog.query_one(selector, Static).render())

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await settled(self.pilot)

    async def paste(self, text: str) -> None:
        self.pilot.app.post_message(Paste(text))
        await settled(self.pilot)

    async def click(self, name: str) -> None:
        await self.pilot.click("#pick-list", offset=(3, self.names.index(name) + 1))
        await settled(self.pilot)


@pytest.fixture
async def picker(make_client) -> AsyncIterator[Callable[..., Any]]:
    """Return a function that opens the picker at a folder or file."""
    async with AsyncExitStack() as stack:

        async def opened(start: Path | None = None, size: tuple[int, int] = (80, 24)) -> Picker:
            pilot = await stack.enter_async_context(running(make_client(), size=size))
            await settled(pilot)
            found = Picker(pilot, PickFileDialog(start))
            pilot.app.push_screen(found.dialog, found.results.append)
            await settled(pilot)
            return found

        yield opened


# --- What is listed --------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_it_begins_at_the_persons_pictures_and_shows_folders_and_pictures(picker) -> None:
    found = await picker()
    assert found.text == "~/Pictures/"
    assert found.names == [*ALL, "zebra.webp"]
    assert found.said("#pick-count") == "6 pictures, 2 folders"


@pytest.mark.anyio
async def test_it_begins_at_a_file_that_was_chosen_before(picker, pictures: Path) -> None:
    found = await picker(pictures / "mountain.jpg")
    assert found.current == "mountain.jpg"
    assert found.said("#pick-facts") == "JPEG, 96 × 64\n1.5 MB"


@pytest.mark.anyio
async def test_without_a_folder_of_pictures_it_begins_at_home(picker, pictures: Path) -> None:
    pictures.rename(pictures.with_name("Elsewhere"))
    found = await picker(pictures / "gone.png")
    assert found.text == "~/"
    assert "Elsewhere" in found.names


@pytest.mark.anyio
async def test_hidden_files_are_shown_on_demand(picker) -> None:
    found = await picker()
    await found.pilot.click(Checkbox)
    await settled(found.pilot)
    assert [name for name in found.names if name.startswith(".")] == ["..", ".cache", ".secret.png"]
    found.dialog.query_one(RowList).focus()
    await found.press("full_stop")
    assert found.names == [*ALL, "zebra.webp"]
    found.dialog.query_one(PathField).focus()
    await found.press(".", "s")
    assert found.names == [".secret.png"]


@pytest.mark.anyio
async def test_a_folder_that_cannot_be_read_says_why(picker, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await picker()
    scan = os.scandir

    def refuse(folder: Any) -> Any:
        if str(folder).endswith("2026"):
            raise PermissionError
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    await found.press("down", "enter")
    assert found.text == "~/Pictures/2026/"
    assert "may not be read" in found.said("#pick-count")
    await found.press("enter")
    assert found.text == "~/Pictures/"


@pytest.mark.anyio
async def test_links_are_followed(picker, pictures: Path) -> None:
    (pictures / "2026" / "link.png").symlink_to(pictures / "harbour.png")
    (pictures / "2026" / "back").symlink_to(pictures)
    found = await picker(pictures / "2026")
    assert found.names == ["..", "back", "link.png"]
    await found.press(*"link", "enter")
    assert found.results == [pictures / "2026" / "link.png"]


# --- Choosing --------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_part_of_a_name_and_enter_choose_a_picture(picker, pictures: Path) -> None:
    found = await picker()
    await found.press(*"DAWN")
    assert found.names == ["Lake at dawn.png"]
    assert found.dialog.query_one(Picture).image is not None
    await found.press("enter")
    assert found.results == [pictures / "Lake at dawn.png"]


@pytest.mark.anyio
async def test_a_name_that_begins_so_goes_before_one_that_only_has_it(picker) -> None:
    found = await picker()
    await found.press("h")
    assert found.names == ["Holidays", "harbour.png", "with place.jpg"]
    await found.press("a", "r")
    assert found.current == "harbour.png"
    await found.press("backspace", "backspace", "backspace", "m")
    assert found.names == ["mountain.jpg"]


@pytest.mark.anyio
async def test_folders_are_entered_and_left_by_keys_with_the_cursor_where_one_was(picker, pictures: Path) -> None:
    found = await picker()
    await found.press("down", "down")
    assert found.current == "Holidays"
    await found.press("enter")
    assert (found.text, found.names) == ("~/Pictures/Holidays/", ["..", "sea.png"])
    await found.press("enter")
    assert (found.text, found.current) == ("~/Pictures/", "Holidays")
    found.dialog.query_one(RowList).focus()
    await found.press("l")
    assert found.text == "~/Pictures/Holidays/"
    await found.press("backspace")
    await found.press("h")
    assert (found.text, found.current) == ("~/", "Pictures")
    await found.press("right")
    await found.press("j", "j", "j", "j", "enter")
    assert found.results == [pictures / "harbour.png"]


@pytest.mark.anyio
async def test_all_is_done_by_mouse_as_well(picker, pictures: Path) -> None:
    found = await picker()
    await found.click("Holidays")
    assert found.current == "Holidays"
    await found.click("Holidays")
    await found.click("sea.png")
    assert found.said("#pick-facts") == "PNG, 96 × 64\n24 KB"
    await found.pilot.click("#accept")
    await settled(found.pilot)
    assert found.results == [pictures / "Holidays" / "sea.png"]


@pytest.mark.anyio
async def test_a_letter_on_the_list_begins_a_name_unless_it_moves_the_cursor(picker) -> None:
    found = await picker()
    found.dialog.query_one(RowList).focus()
    await found.press("j")
    assert (found.current, found.text) == ("2026", "~/Pictures/")
    await found.press("z", "e")
    assert (found.current, found.text) == ("zebra.webp", "~/Pictures/ze")


@pytest.mark.anyio
@pytest.mark.parametrize("quoted", ["'{}' ", "{}\n", "file://{}"])
async def test_a_dropped_file_is_chosen_by_enter(picker, pictures: Path, quoted: str) -> None:
    found = await picker()
    found.dialog.query_one(RowList).focus()
    await found.paste(quoted.format(pictures / "Holidays" / "sea.png"))
    assert found.text == str(pictures / "Holidays" / "sea.png")
    assert found.names == ["sea.png"]
    await found.press("enter")
    assert found.results == [pictures / "Holidays" / "sea.png"]


@pytest.mark.anyio
async def test_a_path_is_completed_and_a_typed_folder_entered(picker) -> None:
    found = await picker()
    await found.press("H", "o", "tab")
    assert (found.text, found.names) == ("~/Pictures/Holidays/", ["..", "sea.png"])
    await found.press("home", "ctrl+k", *"~/Pictures", "enter")
    assert (found.text, found.names[0]) == ("~/Pictures/", "..")


@pytest.mark.anyio
async def test_a_picture_of_another_name_can_be_typed_and_what_is_not_there_is_told(picker, pictures: Path) -> None:
    write(pictures / "scan")
    found = await picker()
    await found.press(*"nothing", "enter")
    assert found.results == []
    assert "no such picture" in found.said(".complaint")
    await found.press(*["backspace"] * 7, *"scan", "enter")
    assert found.results == [pictures / "scan"]


@pytest.mark.anyio
async def test_a_damaged_picture_says_so_and_cannot_be_chosen(picker) -> None:
    found = await picker()
    await found.press(*"cut")
    assert "damaged" in found.said("#pick-facts")
    await found.press("enter")
    assert found.results == []
    assert "damaged" in found.said(".complaint")
    await found.press("escape")
    assert found.results == [None]


@pytest.mark.anyio
async def test_a_picture_that_tells_its_place_is_marked(picker) -> None:
    found = await picker()
    await found.press(*"place")
    assert found.said("#pick-facts").endswith("tells where it was taken")


# --- Much, and hostile -----------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_held_arrow_key_reads_no_picture_on_its_way(picker, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(debounce, "REST_S", 3600)
    monkeypatch.setattr("tui.client.dialogs.pick_file.examine", lambda path, _box: read.append(path))
    found = await picker()
    await found.pilot.press(*["down"] * 7)
    await found.pilot.pause()
    assert (found.current, read) == ("with place.jpg", [])


@pytest.mark.anyio
async def test_fifty_thousand_pictures_are_filtered_and_only_what_is_seen_is_drawn(
    picker, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"img_{number:05}.png" for number in range(50_000)]
    many = Listing(pictures, tuple(FolderEntry(name, name, is_folder=False) for name in names))
    monkeypatch.setattr("tui.client.widgets.path_field.listing", lambda _folder: many)
    drawn: list[str] = []
    cells = PickFileDialog._cells
    monkeypatch.setattr(PickFileDialog, "_cells", lambda self, entry: drawn.append(entry.name) or cells(self, entry))
    found = await picker()
    assert found.said("#pick-count") == "50 000 pictures, 0 folders"
    await found.press(*"_4999")
    assert found.names == [f"img_4999{digit}.png" for digit in range(10)]
    assert 0 < len(drawn) < 200


@pytest.mark.anyio
async def test_hostile_names_are_shown_harmlessly_and_still_open(picker, pictures: Path) -> None:
    folder = pictures / "a\x1b[31mb[red]\u202e"
    folder.mkdir()
    name = "[@click=app.quit]x\x07" + "y" * 150 + "👩‍👩‍👧.png"
    write(folder / name)
    write(folder / "undecodable-\udcff.png")
    found = await picker()
    await found.click(folder.name)
    await found.click(folder.name)
    assert is_clean(found.text)
    assert sorted(found.names) == sorted(["..", name, "undecodable-\udcff.png"])
    rows = found.dialog.query_one(RowList)
    lines = rows.render_lines(rows.region.reset_offset)
    assert all(is_clean(strip.text) for strip in lines)
    assert {strip.cell_length for strip in lines} == {rows.region.width}
    assert "[@click=app.quit]x" in "".join(strip.text for strip in lines)
    await found.click(name)
    await found.click(name)
    assert found.results == [folder / name]


# --- How it looks ----------------------------------------------------------------------------------------------------
def opened(start: Path, *keys: str) -> Callable[..., Any]:
    async def before(pilot: Any) -> None:
        pilot.app.push_screen(PickFileDialog(start))
        await settled(pilot)
        await pilot.press(*keys)

    return before


def test_picker(snap, make_client, look, pictures: Path) -> None:
    snap(make_client(), look, press=("4",), before=opened(pictures / "harbour.png"))


def test_picker_with_a_damaged_picture(snap, make_client, pictures: Path) -> None:
    snap(make_client(), (80, 24), press=("4",), before=opened(pictures / "cut.png", "enter"))


def test_picker_where_nothing_is_found(snap, make_client, pictures: Path) -> None:
    snap(make_client(), (80, 24), press=("4",), before=opened(pictures, "q", "q", "enter"))
