"""Encrypting from the tab My images: what is asked, what is sent, what is published, and how it is stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from textual.events import Paste
from textual.widgets import Button, Input

from shared.errors import Refused, Unavailable
from shared.text import is_clean
from tests.tui.fake_peer import FakePeer
from tests.tui.my_images_tab import HOSTILE, LAKE, Tab, home_of, open_tab, viewer
from tests.tui.quiet import settled
from tui.client.dialogs.encrypt import EncryptDialog
from tui.client.dialogs.pick_file import PickFileDialog
from tui.client.dialogs.sealing import SealingDialog
from tui.client.guide import Guide, Step
from tui.client.screens.home import HomeScreen
from tui.client.widgets.path_field import PathField
from tui.common.rowlist import RowList


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return home_of(tmp_path, monkeypatch)


@pytest.fixture
async def tab(make_client) -> AsyncIterator[Callable[..., Any]]:
    """Return a function that opens the tab of a peer."""
    async with AsyncExitStack() as stack:
        yield lambda *peer, **options: stack.enter_async_context(open_tab(make_client, *peer, **options))


# --- Encrypting ------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_picture_is_encrypted_by_keys_and_nothing_of_it_is_published(tab, pictures: Path) -> None:
    guide = Guide((Step("Encrypt", "encrypted"), Step("Done", None)))
    at = await tab(FakePeer(), guide=guide)
    await at.press("n")
    assert isinstance(at.screen, EncryptDialog)
    await at.press(*"~/Pictures/har", "tab")
    assert at.said("#encrypt-facts") == "PNG, 96 × 64\n24 KB"
    assert at.screen.query_one("#encrypt-title", Input).value == "harbour"
    await at.press("enter")
    assert at.peer.calls("encrypt") == [((str(pictures / "harbour.png"),), {"title": "harbour", "cover": None})]
    assert at.peer.calls("set_preview") == []
    assert isinstance(at.screen, HomeScreen)
    assert at.toasts == ["“harbour” is encrypted. Give somebody views of it with a."]
    assert guide.number == 1
    assert "harbour" in at.shown("mine-list")
    assert at.pilot.app.focused is at.pane.images


@pytest.mark.anyio
async def test_what_was_encrypted_is_the_current_image(tab) -> None:
    """The cursor stayed on an older image: `a`, as the toast says, gave views of that one."""
    at = await tab()
    await at.press("n", *"~/Pictures/har", "tab", "enter")
    assert at.pane.current is not None
    assert at.pane.current.title == "harbour"
    await at.press("g")
    await at.press("f5")
    assert at.pane.current.title == "Lake at dawn", "only once: then the cursor is the person's"


@pytest.mark.anyio
async def test_a_picture_is_encrypted_by_mouse_with_cover_and_preview(tab, pictures: Path) -> None:
    at = await tab(FakePeer())
    await at.click("#mine-encrypt", (3, 1))
    await at.click("#picture-browse")
    assert isinstance(at.screen, PickFileDialog)
    names = [entry.name for entry in at.screen.query_one(RowList).rows]
    await at.row("pick-list", names.index("mountain.jpg"))
    await at.click("#accept", (2, 1))
    await at.click("#cover-choice", (14, 0))
    await at.write("#cover-path", "~/Pictures/harbour.png")
    await at.click("#preview-choice", (9, 0))
    assert "Everybody sees" in at.said("#preview-note")
    await at.click("#accept", (2, 1))
    assert at.peer.calls("encrypt") == [
        ((str(pictures / "mountain.jpg"),), {"title": "mountain", "cover": str(pictures / "harbour.png")})
    ]
    assert at.peer.calls("set_preview") == [((f"{1:032x}", str(pictures / "mountain.jpg")), {})]


@pytest.mark.anyio
async def test_another_picture_may_stand_for_the_image(tab, pictures: Path) -> None:
    at = await tab()
    await at.press("n")
    await at.write("#picture-path", "~/Pictures/harbour.png")
    await at.click("#preview-choice", (24, 0))
    await at.press("enter")
    assert "Choose a picture" in at.said(".complaint")
    await at.write("#preview-path", "~/Pictures/zebra.webp")
    await at.press("enter")
    assert at.peer.calls("set_preview") == [((f"{5:032x}", str(pictures / "zebra.webp")), {})]


@pytest.mark.anyio
async def test_a_title_that_was_typed_is_kept_and_an_empty_one_is_the_files(tab) -> None:
    at = await tab()
    await at.press("n")
    await at.write("#encrypt-title", "My title")
    await at.write("#picture-path", "~/Pictures/harbour.png")
    assert at.screen.query_one("#encrypt-title", Input).value == "My title"
    await at.write("#encrypt-title", "  ")
    await at.press("enter")
    assert at.peer.calls("encrypt")[0][1]["title"] is None


@pytest.mark.anyio
async def test_enter_before_a_file_is_examined_waits_for_that(tab, monkeypatch: pytest.MonkeyPatch) -> None:
    at = await tab()
    await at.press("n")
    field = at.screen.query_one("#picture-path", PathField)
    field.value = "~/Pictures/harbour.png"
    await at.pilot.press("enter")
    await settled(at.pilot)
    assert len(at.peer.calls("encrypt")) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("~/Pictures/cut.png", "damaged"),
        ("~/Pictures/notes.txt", "choose a PNG, JPEG or WebP"),
        ("~/Pictures/gone.png", "does not exist"),
        ("~/Pictures", "is a folder"),
        ("", "type its path, or browse"),
    ],
)
async def test_what_cannot_be_encrypted_says_why_and_is_not_sent(tab, path: str, said: str) -> None:
    at = await tab()
    await at.press("n")
    await at.write("#picture-path", path)
    await at.press("enter")
    assert said in at.said(".complaint")
    assert isinstance(at.screen, EncryptDialog)
    await at.press("escape")
    assert at.peer.calls("encrypt") == []


@pytest.mark.anyio
async def test_a_cover_that_cannot_be_used_says_so(tab) -> None:
    at = await tab()
    await at.press("n")
    await at.write("#picture-path", "~/Pictures/harbour.png")
    await at.click("#cover-choice", (14, 0))
    await at.write("#cover-path", "~/Pictures/cut.png")
    await at.press("enter")
    assert at.said(".complaint").startswith("The cover: This file is damaged")
    await at.click("#cover-choice", (1, 0))
    assert at.said(".complaint") == ""
    await at.click("#accept", (2, 1))
    assert at.peer.calls("encrypt")[0][1]["cover"] is None


@pytest.mark.anyio
async def test_a_picture_that_tells_its_place_is_warned_of(tab) -> None:
    at = await tab()
    await at.press("n")
    notice = at.screen.query_one("#encrypt-place")
    assert "metadata" in at.said("#encrypt-place")
    await at.write("#picture-path", "~/Pictures/with place.jpg")
    assert at.said("#encrypt-place").startswith("Careful: this file tells where it was taken")
    assert notice.has_class("-warning")
    await at.write("#picture-path", "~/Pictures/harbour.png")
    assert at.said("#encrypt-place").startswith("No place")
    assert not notice.has_class("-warning")


@pytest.mark.anyio
async def test_a_file_dropped_on_the_tab_is_taken_for_one_to_encrypt(tab, pictures: Path) -> None:
    at = await tab()
    at.pilot.app.post_message(Paste("just some words"))
    await settled(at.pilot)
    assert isinstance(at.screen, HomeScreen)
    at.pilot.app.post_message(Paste(f"'{pictures / 'with place.jpg'}' "))
    await settled(at.pilot)
    assert isinstance(at.screen, EncryptDialog)
    assert at.screen.query_one("#encrypt-title", Input).value == "with place"
    at.pilot.app.post_message(Paste(f"file://{pictures / 'harbour.png'}"))
    await settled(at.pilot)
    await at.press("enter")
    assert at.peer.calls("encrypt")[0][0] == (str(pictures / "harbour.png"),)


# --- Progress and cancel ---------------------------------------------------------------------------------------------
async def sealing(at: Tab, **wishes: Any) -> None:
    await at.press("n")
    await at.write("#picture-path", "~/Pictures/harbour.png")
    if wishes.get("preview"):
        await at.click("#preview-choice", (9, 0))
    await at.click("#accept", (2, 1))


@pytest.mark.anyio
async def test_progress_is_seen_and_a_cancel_ends_the_work(tab) -> None:
    at = await tab()
    at.peer.gates["encrypt"] = anyio.Event()
    await sealing(at)
    assert isinstance(at.screen, SealingDialog)
    shown = at.said("#sealing-stages")
    assert "✓ Seal on this machine" in shown
    assert "▸ Send to a node" in shown
    assert "512 KB of 1.0 MB" in shown
    asked = len(at.peer.calls("my_images"))
    await at.press("escape")
    for _ in range(5):
        await at.pilot.pause()
    await settled(at.pilot)
    assert isinstance(at.screen, HomeScreen)
    assert at.toasts == ["Cancelled. Nothing of it was kept; the original is untouched."]
    # The work has ended: the gate that opens now finds nobody.
    at.peer.gates["encrypt"].set()
    await settled(at.pilot)
    assert len(at.peer.mine) == 4
    assert len(at.peer.calls("my_images")) > asked


@pytest.mark.anyio
async def test_a_failure_says_what_to_do_and_may_be_tried_again(tab) -> None:
    at = await tab()
    at.peer.fail["encrypt"] = Unavailable("No node of the cloud answers; try again when the cloud is back.")
    await sealing(at)
    assert "No node of the cloud answers" in at.said(".complaint")
    assert "Nothing of it was kept" in at.said(".complaint")
    assert "✗ Send to a node" in at.said("#sealing-stages")
    del at.peer.fail["encrypt"]
    await at.press("enter")
    await settled(at.pilot)
    assert len(at.peer.calls("encrypt")) == 2
    assert isinstance(at.screen, HomeScreen)


@pytest.mark.anyio
async def test_a_second_enter_cancels_nothing(tab) -> None:
    at = await tab()
    at.peer.gates["encrypt"] = anyio.Event()
    await at.press("4", "n", *"~/Pictures/harbour.png", "enter", "enter")
    assert isinstance(at.screen, SealingDialog)
    at.peer.gates["encrypt"].set()
    await settled(at.pilot)
    assert len(at.peer.calls("encrypt")) == 1
    assert "harbour" in at.shown("mine-list")


@pytest.mark.anyio
async def test_a_failure_may_be_left(tab) -> None:
    at = await tab()
    at.peer.fail["encrypt"] = Refused("not_allowed", "An account can have 10000 images; use another account for more.")
    await sealing(at)
    await at.press("escape")
    assert isinstance(at.screen, HomeScreen)
    assert len(at.peer.calls("encrypt")) == 1


@pytest.mark.anyio
async def test_an_image_whose_preview_failed_is_there_and_that_is_told(tab) -> None:
    at = await tab()
    at.peer.fail["set_preview"] = Unavailable("The cloud did not answer in time; try again when the cloud is back.")
    await sealing(at, preview=True)
    await settled(at.pilot)
    assert any("its preview is not published: The cloud did not answer" in toast for toast in at.toasts)
    assert "harbour" in at.shown("mine-list")


@pytest.mark.anyio
async def test_hostile_errors_and_results_are_shown_harmlessly(tab) -> None:
    at = await tab()
    at.peer.rights[LAKE] = [viewer(12, HOSTILE)]
    await at.look()
    at.peer.fail["encrypt"] = Refused("invalid", HOSTILE)
    await sealing(at)
    assert is_clean(at.said(".complaint"))
    assert at.screen.region.contains_region(at.screen.query_one("#accept", Button).region)
    await at.press("escape", "tab", "x", "tab", "enter")
    assert at.peer.calls("revoke") == [((LAKE, 12), {})]
    assert is_clean(at.toasts[-1])
