"""The tab My images: what it shows, what it asks of the peer, and that nothing is undone by mistake."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Button, Input

from shared.errors import InvalidInput, Refused, Unavailable
from shared.text import is_clean
from tests.tui.conftest import NOW
from tests.tui.fake_peer import FakePeer
from tests.tui.my_images_tab import (
    DAY,
    GARDEN,
    HOSTILE,
    LAKE,
    OTHER,
    TOWER,
    WORDS,
    ada,
    home_of,
    mine,
    open_tab,
    viewer,
)
from tests.tui.picture_files import encoded
from tui.client import sharing
from tui.client.dialogs.add_viewer import AddViewerDialog
from tui.client.dialogs.change_rights import ChangeRightsDialog
from tui.client.dialogs.confirm import ConfirmDialog
from tui.client.dialogs.pick_file import PickFileDialog
from tui.client.dialogs.preview import PreviewDialog
from tui.client.dialogs.viewer import ViewerScreen as ViewerScreen
from tui.client.dialogs.views_log import ViewsLogDialog
from tui.client.screens.home import HomeScreen
from tui.client.widgets.picture import Picture
from tui.common.rowlist import RowList
from tui.peer.events import CloudChanged, CopyProgress, PictureAdopted, ViewSpentEvent
from tui.peer.models import User, ViewLogEntry


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return home_of(tmp_path, monkeypatch)


@pytest.fixture
async def tab(make_client) -> AsyncIterator[Callable[..., Any]]:
    """Return a function that opens the tab of a peer."""
    async with AsyncExitStack() as stack:
        yield lambda *peer, **options: stack.enter_async_context(open_tab(make_client, *peer, **options))


# --- What is shown ---------------------------------------------------------------------------------------------------
@pytest.mark.anyio
@pytest.mark.parametrize("width", [60, 70])
async def test_where_it_is_tight_the_viewers_names_and_the_buttons_come_before_the_picture(tab, width: int) -> None:
    at = await tab(size=(width, 24))
    assert at.pane.query_one("#image-picture").display == (width == 70)
    assert all(name in at.shown("image-viewers") for name in ("Ben", "Cem", "Dora", "Emil"))
    assert at.pane.query_one("#image-log").region.right <= width


def whole(at: Any, widget: Any) -> bool:
    """Tell whether all of a widget is seen."""
    place = at.screen.find_widget(widget)
    return bool(place.visible_region == place.region)


@pytest.mark.anyio
@pytest.mark.parametrize("keys", [("n",), ("a",), ("tab", "e")], ids=["encrypt", "add", "change"])
async def test_in_a_small_terminal_every_field_of_a_dialog_is_reached_whole(tab, keys: tuple[str, ...]) -> None:
    """In 60 by 15 cells a dialog was cut off below: fields took what was typed unseen, and no button was there."""
    peer = ada()
    peer.rights[LAKE] = [replace(row, frozen=True) for row in peer.rights[LAKE]]
    at = await tab(peer, size=(60, 15))
    await at.press(*keys)
    box, seen = at.screen.query_one(".dialog"), set()
    for _ in range(20):
        field = at.screen.focused
        await at.until(lambda field=field: whole(at, field))
        assert box.region.contains_region(field.region)
        seen.add(field)
        await at.press("tab")
    assert seen >= set(box.query("Input, Chips, Button")) - set(box.query(".-more *, ExpiryField Input"))
    await at.press("pageup", "pageup")
    await at.until(lambda: box.scroll_y == 0)
    await at.press("pagedown", "pagedown", "pagedown", "pagedown")
    await at.until(lambda: box.scroll_y == box.max_scroll_y > 0)


@pytest.mark.anyio
async def test_in_a_small_terminal_it_is_seen_why_a_dialog_stays(tab) -> None:
    at = await tab(size=(60, 15))
    await at.press("tab", "e")
    await at.write("#change-views Input", "")
    await at.press("enter")
    complaint = at.screen.query_one(".complaint")
    await at.until(lambda: whole(at, complaint))
    assert "must lie between" in at.said(".complaint")


@pytest.mark.anyio
async def test_images_stand_with_their_counts_and_the_viewers_of_the_current_one(tab) -> None:
    at = await tab()
    assert at.peer.calls("my_images")[0] == ((), {"local": True})
    assert ((), {"local": False}) in at.peer.calls("my_images")
    lines = at.shown("mine-list").splitlines()
    assert lines[1].split() == ["Lake", "at", "dawn", "3.2", "MB", "4", "6", "on", "7", "h", "ago"]
    assert "withdrawn Garden" in lines[3]
    assert "elsewhere Made" in lines[4]
    assert at.peer.calls("viewers") == [((LAKE,), {})]
    viewers = at.shown("image-viewers").splitlines()
    assert viewers[1].split() == ["Ben", "#12", "3", "of", "5", "–", "no", "expiry"]
    assert viewers[2].split()[2:] == ["3", "of", "5", "20", "s", "expires", "in", "3", "d"]
    assert viewers[3].split()[2:] == ["0", "of", "1", "–", "used", "up"]
    assert viewers[4].split()[2:] == ["0", "of", "5", "–", "revoked"]
    assert at.pane.query_one(Picture).image is not None


@pytest.mark.anyio
async def test_the_details_follow_the_cursor(tab) -> None:
    at = await tab()
    await at.press("j")
    assert at.peer.calls("viewers")[-1] == ((TOWER,), {})
    assert "Nobody yet" in at.shown("image-viewers")
    assert at.said("#image-facts").startswith("Water tower · JPEG 800×1200, 117 KB")
    await at.press("j")
    assert "rights keeps them" in at.said("#image-facts")
    await at.press("j")
    assert at.pane.query_one(Picture).placeholder == "not on this machine"
    assert {call[0] for call in at.peer.calls("view")} == {(LAKE,), (TOWER,), (GARDEN,)}


@pytest.mark.anyio
async def test_what_only_the_cloud_knows_is_not_shown_as_zero_while_it_is_away(tab) -> None:
    peer = ada()
    peer.reachable = False
    peer.fail["viewers"] = Unavailable("The cloud did not answer in time; try again when the cloud is back.")
    at = await tab(peer)
    lines = at.shown("mine-list").splitlines()
    assert lines[1].split() == ["Lake", "at", "dawn", "3.2", "MB", "–", "–", "–", "7", "h", "ago"]
    assert not any("elsewhere" in line for line in lines)
    assert "which is away" in " ".join(at.shown("image-viewers").split())
    # It comes: everything is known. It goes: what it told stays.
    peer.reachable = True
    del peer.fail["viewers"]
    peer.emit(CloudChanged(reachable=True, leader="n1", term=3))
    await at.until(lambda: "elsewhere" in at.shown("mine-list"))
    peer.reachable = False
    await at.look()
    assert "elsewhere" in at.shown("mine-list")
    assert at.shown("mine-list").splitlines()[1].split()[5:7] == ["4", "6"]


@pytest.mark.anyio
async def test_a_look_by_somebody_is_counted_at_once(tab) -> None:
    at = await tab()
    at.peer.mine[0] = replace(at.peer.mine[0], views_spent=7)
    at.peer.rights[LAKE][0] = viewer(12, "Ben", consumed=3, left=2)
    at.peer.emit(ViewSpentEvent(LAKE, "Ben", NOW, 2))
    await at.until(lambda: at.shown("mine-list").splitlines()[1].split()[6] == "7")
    assert at.shown("image-viewers").splitlines()[1].split()[2] == "2"


@pytest.mark.anyio
async def test_a_copy_on_its_way_to_a_viewer_is_seen_and_forgotten_when_it_is_there(tab) -> None:
    at = await tab()
    grant = at.peer.rights[LAKE][1].grant
    at.peer.emit(CopyProgress(at.peer.rights[LAKE][0].grant, sending=False, done=45, total=100))
    at.peer.emit(CopyProgress(grant, sending=True, done=45, total=100))
    await at.until(lambda: "sending" in at.shown("image-viewers"))
    lines = at.shown("image-viewers").splitlines()
    assert lines[2].split()[-2:] == ["sending", "45%"]
    assert "sending" not in lines[1]
    at.peer.emit(CopyProgress(grant, sending=True, done=100, total=100))
    await at.until(lambda: "sending" not in at.shown("image-viewers"))


# --- Rights ----------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_rights_are_changed_by_keys(tab) -> None:
    at = await tab()
    await at.press("tab", "e")
    assert isinstance(at.screen, ChangeRightsDialog)
    assert "Granted 5, spent 2, left 3; no expiry." in at.said("#change-standing")
    await at.press("backspace", "9", "tab", "tab", "right", "right", "tab", "tab", "enter")
    assert at.peer.calls("set_views") == [((LAKE, 12, 9), {"expires": NOW + DAY, "no_expiry": False})]
    assert at.toasts == ["Ben #12 has 9 views left now; 1 view spent so far."]
    assert at.peer.calls("viewers")[-1] == ((LAKE,), {})


@pytest.mark.anyio
async def test_only_the_expiry_is_changed_by_mouse(tab) -> None:
    at = await tab()
    await at.row("image-viewers", 1)
    await at.click("#image-change")
    await at.click("#change-expiry Chips", (2, 0))
    await at.click("#accept", (2, 1))
    assert at.peer.calls("set_views") == [((LAKE, 15, None), {"expires": None, "no_expiry": True})]


@pytest.mark.anyio
async def test_a_change_of_nothing_is_not_sent(tab) -> None:
    at = await tab()
    await at.press("tab", "j", "e", "enter")
    assert "Nothing is changed yet" in at.said(".complaint")
    await at.write("#change-expiry Input", "2026-01-01")
    await at.press("enter")
    assert "has passed" in at.said(".complaint")
    await at.press("escape")
    assert at.peer.calls("set_views") == []


@pytest.mark.anyio
async def test_rights_that_wait_after_a_restore_are_confirmed_as_they_stand(tab) -> None:
    """Which views a restored cloud forgot only the owner can say, also where the number shown is the right one."""
    peer = ada()
    peer.rights[LAKE] = [replace(row, frozen=True) for row in peer.rights[LAKE]]
    at = await tab(peer)
    assert {sharing.state(row, NOW) for row in peer.rights[LAKE] if not row.revoked} == {"to confirm"}
    await at.press("tab", "e")
    assert "confirms these rights" in at.said("#change-frozen")
    await at.press("enter")
    assert at.peer.calls("set_views")[0][0] == (LAKE, 12, 3)


@pytest.mark.anyio
async def test_a_change_that_fails_leaves_what_was_typed(tab) -> None:
    at = await tab()
    at.peer.fail["set_views"] = Refused("not_found", "This person has no rights on the image that could be changed.")
    await at.press("tab", "e", "up", "enter")
    assert isinstance(at.screen, ChangeRightsDialog)
    assert "no rights on the image" in at.said(".complaint")
    assert at.screen.query_one("#change-views Input", Input).value == "4"


@pytest.mark.anyio
async def test_a_change_made_while_the_cloud_is_away_is_told_to_wait(tab) -> None:
    at = await tab()
    at.peer.reachable = False
    await at.press("tab", "e", "up", "enter")
    assert at.toasts == ["The cloud is away: the change waits in the outbox and goes out by itself."]


@pytest.mark.anyio
async def test_how_long_each_look_may_last_is_changed_and_taken_back(tab) -> None:
    at = await tab()
    await at.press("tab", "e")
    assert isinstance(at.screen, ChangeRightsDialog)
    await at.write("#change-look Input", "0")
    await at.press("enter")
    assert "between 1 and 86400" in at.said(".complaint")
    await at.write("#change-look Input", "45")
    await at.press("enter")
    assert at.peer.calls("set_views") == [((LAKE, 12, None), {"expires": None, "no_expiry": False, "look_s": 45.0})]


@pytest.mark.anyio
async def test_a_length_of_a_look_that_stands_is_kept_and_taken_back(tab) -> None:
    peer = ada()
    peer.rights[LAKE] = [replace(row, look_s=45.5) for row in peer.rights[LAKE]]
    at = await tab(peer)
    await at.press("tab", "e")
    assert at.screen.query_one("#change-look Input", Input).value == "45.5"
    await at.press("enter")
    assert "Nothing is changed yet" in at.said(".complaint")
    await at.click("#change-look Chips", (2, 0))
    await at.click("#accept", (2, 1))
    assert at.peer.calls("set_views") == [((LAKE, 12, None), {"expires": None, "no_expiry": False, "look_s": None})]


@pytest.mark.anyio
async def test_rights_are_revoked_only_after_a_yes(tab) -> None:
    at = await tab()
    await at.press("tab", "x")
    assert isinstance(at.screen, ConfirmDialog)
    await at.press("enter")
    assert at.peer.calls("revoke") == []
    await at.press("x", "tab", "enter")
    assert at.peer.calls("revoke") == [((LAKE, 12), {})]
    assert at.toasts == [
        "Ben #12 can begin no look any more; 1 view had been spent. A picture that is open there closes as soon as"
        " their client hears of it."
    ]
    await at.row("image-viewers", 2)
    await at.click("#image-revoke")
    await at.click("#accept", (2, 1))
    assert at.peer.calls("revoke")[-1] == ((LAKE, 21), {})


@pytest.mark.anyio
async def test_a_key_right_after_the_cursor_moved_touches_no_rights_on_another_image(tab) -> None:
    """`j` and `x` in one burst took the viewer from the list of the image from which the cursor came."""
    at = await tab()
    at.pane.images.action_cursor(1)
    at.pane.action_revoke()
    await at.press()
    assert isinstance(at.screen, HomeScreen)
    assert at.toasts == ["Nobody may look at this image yet; press a to give somebody views."]


@pytest.mark.anyio
async def test_revoked_rights_are_neither_changed_nor_revoked_again(tab) -> None:
    at = await tab()
    await at.press("tab", "G", "e", "x", "enter")
    assert isinstance(at.screen, HomeScreen)
    assert all("revoked for good" in toast for toast in at.toasts)
    assert len(at.toasts) == 3


@pytest.mark.anyio
async def test_a_viewer_is_added_by_keys_and_enter_on_the_name_gives_nothing_yet(tab) -> None:
    at = await tab()
    await at.press("a")
    assert isinstance(at.screen, AddViewerDialog)
    assert "Ada" not in str(at.screen.query_one(RowList).rows)
    await at.press(*"bene")
    assert at.peer.calls("users")[-1] == (("bene",), {"page": 0})
    await at.press("enter")
    assert at.peer.calls("grant") == []
    assert "Benedikt #40 has no rights on it yet" in at.said("#add-told")
    assert WORDS[12] in at.said("#add-told")
    await at.press("up")
    await at.write("#add-look Input", "20")
    await at.press("enter")
    assert at.peer.calls("grant") == [((LAKE, 40, 4), {"expires": None, "look_s": 20.0})]
    assert at.toasts == ["Benedikt #40 was given 4 views; the image goes out when both of you are online."]


@pytest.mark.anyio
async def test_a_viewer_is_added_by_mouse_to_what_stands(tab) -> None:
    at = await tab()
    await at.click("#image-add")
    await at.row("add-people", 1)
    assert "Cem #15 has 3 of 5 left, expires in 3 d: this adds to them. Each look stays at 20 s" in at.said("#add-told")
    await at.click("#add-views Chips", (1, 0))
    await at.click("#add-expiry Chips", (9, 0))
    await at.click("#accept", (2, 1))
    assert at.peer.calls("grant") == [((LAKE, 15, 1), {"expires": NOW + 3600})]


@pytest.mark.anyio
async def test_views_are_not_added_to_rights_that_expired_without_a_new_date(tab) -> None:
    """Added to rights that had expired, without a date, the views could not be used by anybody."""
    peer = ada()
    peer.rights[LAKE] = [viewer(12, "Ben", expires=NOW - 60)]
    at = await tab(peer)
    await at.press("a", *"ben", "enter", "enter")
    assert at.peer.calls("grant") == []
    assert "choose a new expiry" in at.said(".complaint")


@pytest.mark.anyio
async def test_nobody_is_given_anything_where_nobody_was_found(tab) -> None:
    at = await tab()
    await at.press("a", *"zzz", "enter", "enter")
    assert "Choose who may look" in at.said(".complaint")
    at.peer.fail["users"] = Unavailable("The cloud did not answer in time; try again when the cloud is back.")
    await at.write("#add-find", "#12")
    assert at.peer.calls("users")[-1] == (("12",), {"page": 0})
    assert "did not answer" in at.screen.query_one(RowList).empty
    await at.press("escape")
    assert at.peer.calls("grant") == []


@pytest.mark.anyio
async def test_the_log_tells_who_looked_newest_first(tab) -> None:
    at = await tab()
    await at.press("l")
    assert isinstance(at.screen, ViewsLogDialog)
    assert at.peer.calls("views_log") == [((LAKE,), {})]
    rows = at.screen.query_one(RowList)
    lines = [strip.text.split() for strip in rows.render_lines(rows.region.reset_offset)]
    assert lines[1] == ["2027-01-15", "07:50", "10", "min", "ago", "Ben", "#12", "27", "s", "3"]
    assert lines[2][5:] == ["Dora", "#21", "–", "0"]
    assert at.said("#log-count") == "2 views by 2 people"
    await at.press("escape", "j")
    await at.click("#image-log")
    assert at.screen.query_one(RowList).empty == "Nobody has looked yet."
    await at.click("#accept", (2, 1))
    assert isinstance(at.screen, HomeScreen)


@pytest.mark.anyio
async def test_the_log_tells_of_a_view_whose_picture_could_not_be_shown(tab) -> None:
    at = await tab()
    at.peer.looks[LAKE] = [ViewLogEntry(12, "Ben", NOW - 600, 3, 0.0)]
    await at.press("l")
    rows = at.screen.query_one(RowList)
    assert "not seen" in rows.render_lines(rows.region.reset_offset)[1].text


@pytest.mark.anyio
async def test_a_log_that_is_not_known_says_why(tab) -> None:
    at = await tab()
    at.peer.fail["views_log"] = Unavailable("The cloud did not answer in time; try again when the cloud is back.")
    await at.press("l")
    assert "did not answer" in at.said(".complaint")


# --- The image itself ------------------------------------------------------------------------------------------------
@pytest.mark.anyio
@pytest.mark.parametrize("how", ["enter", "v", "click"])
async def test_ones_own_picture_opens_for_nothing(tab, how: str) -> None:
    at = await tab()
    await at.press("j")
    at.peer.asked.clear()
    if how == "click":
        await at.row("mine-list", 1)
    else:
        await at.press(how)
    assert at.peer.calls("view") == [((TOWER,), {})]
    assert isinstance(at.screen, ViewerScreen)


@pytest.mark.anyio
async def test_an_image_of_another_device_is_not_looked_for_here(tab) -> None:
    at = await tab()
    await at.press("G")
    at.peer.asked.clear()
    await at.press("enter")
    assert at.peer.calls("view") == []
    [said] = at.toasts
    assert said.startswith("This device does not hold the image. Copy its file")
    assert "press b" in said
    assert "Not on this device" in at.said("#image-facts")


@pytest.mark.anyio
async def test_the_file_of_a_picture_from_another_device_is_adopted(tab, pictures: Path) -> None:
    """A second device listed pictures that it could never open."""
    at = await tab()
    await at.press("G", "b")
    assert isinstance(at.screen, PickFileDialog)
    file = pictures / "harbour.png"
    at.screen.query_one("#pick-path", Input).value = str(file)
    await at.press("enter")
    assert at.peer.calls("adopt") == [((str(file),), {})]
    assert at.toasts == ["“Made on the other machine” opens on this device now."]
    assert at.pane.current.path == file
    assert "Not on this device" not in at.said("#image-facts")
    await at.until(lambda: at.pane.query_one(Picture).image is not None)


@pytest.mark.anyio
async def test_a_file_that_cannot_be_adopted_is_said_to_be_so(tab, pictures: Path) -> None:
    peer = ada()
    peer.fail["adopt"] = InvalidInput("This picture is not yours, so it does not open here.")
    at = await tab(peer)
    await at.press("b")
    at.screen.query_one("#pick-path", Input).value = str(pictures / "harbour.png")
    await at.press("enter")
    assert at.toasts == ["This picture is not yours, so it does not open here."]


@pytest.mark.anyio
async def test_an_adopted_picture_is_looked_for_at_once(tab) -> None:
    at = await tab()
    before = len(at.peer.calls("my_images"))
    at.peer.emit(PictureAdopted(OTHER))
    await at.press("j")
    assert len(at.peer.calls("my_images")) > before


@pytest.mark.anyio
async def test_a_preview_is_set_from_the_picture_and_taken_back(tab) -> None:
    at = await tab()
    await at.press("j", "p")
    assert isinstance(at.screen, PreviewDialog)
    assert "title and size only" in at.said("#preview-said")
    await at.press("enter", "right")
    assert at.screen.query_one("#preview-picture", Picture).image is not None
    assert at.peer.calls("set_preview") == []
    await at.click("#accept", (2, 1))
    assert at.peer.calls("set_preview") == [((TOWER, at.peer.pictures[TOWER]), {})]
    assert at.shown("mine-list").splitlines()[2].split()[-4] == "on"
    await at.press("k", "p")
    assert at.peer.calls("preview")[-1] == ((LAKE,), {})
    assert "sees now" in at.said("#preview-said")
    await at.click("#preview-of", (2, 0))
    await at.click("#accept", (2, 1))
    assert at.peer.calls("set_preview")[-1] == ((LAKE, None), {})


@pytest.mark.anyio
async def test_a_preview_of_another_picture_is_shown_before_it_is_published(tab, pictures: Path) -> None:
    at = await tab()
    await at.press("p")
    await at.click("#preview-of", (30, 0))
    await at.click("#accept", (2, 1))
    assert "Choose a picture" in at.said(".complaint")
    await at.write("#preview-from", "~/Pictures/cut.png")
    assert "damaged" in at.said(".complaint")
    await at.press("enter")
    assert at.peer.calls("set_preview") == []
    await at.write("#preview-from", "~/Pictures/zebra.webp")
    assert at.screen.query_one("#preview-picture", Picture).image.size == (96, 64)
    await at.press("enter")
    assert at.peer.calls("set_preview") == [((LAKE, str(pictures / "zebra.webp")), {})]


@pytest.mark.anyio
async def test_an_image_is_withdrawn_only_after_a_yes(tab) -> None:
    at = await tab()
    await at.press("w")
    assert "4 people keep their rights" in at.said(".dialog .text")
    await at.press("enter")
    assert at.peer.calls("withdraw") == []
    await at.press("w", "tab", "enter")
    assert at.peer.calls("withdraw") == [((LAKE,), {})]
    assert "withdrawn Lake" in at.shown("mine-list")
    await at.press("w")
    assert "withdrawn already" in at.toasts[-1]


@pytest.mark.anyio
async def test_the_id_of_an_image_is_copied(tab) -> None:
    at = await tab()
    await at.press("c")
    assert at.pilot.app.clipboard == LAKE


@pytest.mark.anyio
async def test_without_an_image_the_keys_say_what_to_do(tab) -> None:
    at = await tab(FakePeer())
    await at.press("v", "a", "l", "p", "w", "c", "e", "x")
    assert isinstance(at.screen, HomeScreen)
    assert len(at.toasts) == 8
    assert at.pilot.app.focused.id == "mine-encrypt"


@pytest.mark.anyio
async def test_a_refusal_is_shown_as_it_is(tab) -> None:
    at = await tab()
    at.peer.fail["withdraw"] = Refused("not_found", "The cloud knows no such image; look at the list again.")
    await at.press("w", "tab", "enter")
    assert at.toasts == ["The cloud knows no such image; look at the list again."]


# --- Hostile ---------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_hostile_titles_and_names_are_shown_harmlessly_everywhere(tab, size: tuple[int, int]) -> None:
    peer = FakePeer(
        mine=[mine(LAKE, HOSTILE, viewers=1)],
        rights={LAKE: [viewer(12, HOSTILE, words=HOSTILE)]},
        looks={LAKE: [ViewLogEntry(12, HOSTILE, NOW, 1)]},
        people=[User(12, HOSTILE, HOSTILE, True, 1, NOW)],
        pictures={LAKE: encoded()},
        previews={LAKE: b"\x1b[31m"},
    )
    at = await tab(peer, size)
    for keys in ((), ("a",), ("l",), ("p",), ("w",), ("e",), ("x",), ("n",)):
        await at.press(*keys)
        assert isinstance(at.screen, HomeScreen) is not bool(keys)
        for widget in at.screen.query("*"):
            if widget.region and not widget.children:
                lines = widget.render_lines(widget.region.reset_offset)
                assert all(is_clean(strip.text) for strip in lines), widget
                assert not any("@click" in str(segment.style) for strip in lines for segment in strip), widget
        if keys:
            accept = at.screen.query_one("#accept", Button)
            assert at.screen.region.contains_region(accept.region), keys
            await at.press("escape")
            assert isinstance(at.screen, HomeScreen)
