"""One's own account: shown, copied, exported under a passphrase."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from textual.widgets import Button, Input, Static

from shared.errors import InvalidInput, ProfileError, StorageError
from tests.tui.fake_peer import FakePeer
from tests.tui.quiet import notifications, running, settled, strips_of
from tui.client.dialogs.account import AccountDialog
from tui.client.dialogs.export_identity import ExportIdentityDialog
from tui.client.exporting import default_place, read_export, strength, write_export
from tui.client.screens.home import HomeScreen
from tui.peer.models import Me

WORDS = "melon drum library picnic wizard mustard coconut crayon"


def shown(app) -> str:
    return "\n".join("".join(segment.text for segment in strip) for strip in strips_of(app.screen))


def complaint(app) -> str:
    """Return what the dialog has to object, however its lines are broken."""
    return str(app.screen.query_one(".complaint", Static).render())


async def export_dialog(app, pilot) -> None:
    """Go to the export by keys alone."""
    await settled(pilot)
    await pilot.press("i")
    await settled(pilot)
    assert isinstance(app.screen, AccountDialog)
    await pilot.press("e")
    await settled(pilot)
    assert isinstance(app.screen, ExportIdentityDialog)


def fill(app, passphrase: str, again: str, path: str) -> None:
    for field, value in (("passphrase", passphrase), ("again", again), ("path", path)):
        app.screen.query_one(f"#{field}", Input).value = value


@pytest.mark.anyio
async def test_id_and_words_are_shown_and_copied_by_key(make_client, tmp_path: Path) -> None:
    app = make_client(FakePeer(account=Me(7, "Ada", WORDS)))
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("i")
        await settled(pilot)
        for part in ("Ada", "#7", *WORDS.split()):
            assert part in shown(app)
        for key, copied in (("c", "7"), ("w", WORDS)):
            await pilot.press(key)
            await settled(pilot)
            assert app.clipboard == copied
            assert (tmp_path / "xdg" / "state" / "glimpse" / "copied.txt").read_text() == copied + "\n"
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)


@pytest.mark.anyio
async def test_another_device_of_the_account_is_told_of_where_the_account_is_shown(make_client) -> None:
    """A toast goes by; who looks at the account later sees it still."""
    for there in (False, True):
        app = make_client(FakePeer(other_device=there))
        async with running(app, size=(80, 24)) as pilot:
            await settled(pilot)
            await pilot.press("i")
            await settled(pilot)
            found = app.screen.query("#other-device")
            assert len(found) == there
            assert all("another device" in str(line.render()) for line in found)


@pytest.mark.anyio
async def test_id_and_words_are_copied_by_mouse(make_client) -> None:
    app = make_client(FakePeer(account=Me(7, "Ada", WORDS)))
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("i")
        await settled(pilot)
        for button, copied in (("#copy-id", "7"), ("#copy-words", WORDS)):
            await pilot.click(button)
            await settled(pilot)
            assert app.clipboard == copied
        await pilot.click("#cancel")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)


@pytest.mark.anyio
async def test_an_export_is_written_privately_and_said(make_client, tmp_path: Path) -> None:
    peer = FakePeer()
    app = make_client(peer)
    async with running(app, size=(80, 24), notifications=True) as pilot:
        await export_dialog(app, pilot)
        fill(app, "four words or more", "four words or more", str(tmp_path / "e.txt"))
        await pilot.press("enter")
        await settled(pilot)
        assert peer.calls("export_identity") == [(("four words or more",), {})]
        assert stat.S_IMODE((tmp_path / "e.txt").stat().st_mode) == 0o600
        assert isinstance(app.screen, AccountDialog)
        assert [str(tmp_path / "e.txt") in toast.message for toast in notifications(app)] == [True]


@pytest.mark.anyio
async def test_an_export_never_overwrites(make_client, tmp_path: Path) -> None:
    app = make_client()
    (tmp_path / "e.txt").write_text("precious")
    async with running(app, size=(80, 24)) as pilot:
        await export_dialog(app, pilot)
        fill(app, "pw", "pw", str(tmp_path / "e.txt"))
        await pilot.click("#accept")
        await settled(pilot)
        assert "not overwritten" in complaint(app)
        assert app.screen.query_one("#passphrase", Input).value == "pw", "what was typed stays"
        assert (tmp_path / "e.txt").read_text() == "precious"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("passphrase", "again", "path", "words"),
    [
        ("", "", "e.txt", "needs a passphrase"),
        ("pw", "", "e.txt", "once more"),
        ("pw", "wp", "e.txt", "differ"),
        ("pw", "pw", "  ", "Name the file"),
    ],
)
async def test_an_export_says_what_is_missing(make_client, passphrase, again, path, words) -> None:
    peer = FakePeer()
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await export_dialog(app, pilot)
        fill(app, passphrase, again, path)
        await pilot.press("enter")
        await settled(pilot)
        assert words in complaint(app)
        assert peer.calls("export_identity") == []


@pytest.mark.anyio
async def test_an_export_that_fails_can_be_tried_again(make_client, tmp_path: Path) -> None:
    peer = FakePeer(fail={"export_identity": StorageError("The disk is full; free some space.")})
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await export_dialog(app, pilot)
        fill(app, "pw", "pw", str(tmp_path / "e.txt"))
        await pilot.press("enter")
        await settled(pilot)
        assert "The disk is full" in complaint(app)
        assert not app.screen.query_one("#accept", Button).disabled
        peer.fail.clear()
        await pilot.press("enter")
        await settled(pilot)
        assert (tmp_path / "e.txt").exists()


@pytest.mark.anyio
async def test_the_passphrase_is_never_shown_and_its_strength_is(make_client) -> None:
    app = make_client()
    async with running(app, size=(80, 24)) as pilot:
        await export_dialog(app, pilot)
        for word, hint in (("secret", "Weak"), (" battery staple", "Fair"), (" horse", "Strong")):
            await pilot.press(*word)
            await settled(pilot)
            assert hint in str(app.screen.query_one("#strength", Static).render())
        for part in ("secret", "battery", "staple", "horse"):
            assert part not in shown(app)


@pytest.mark.parametrize(
    ("passphrase", "found"),
    [
        ("", "weak"),
        ("password", "weak"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", "weak"),
        ("12345678", "weak"),
        ("word word word word word", "weak"),
        ("correct horse battery", "fair"),
        ("correct horse battery staple", "strong"),
        ("xK4#qZ9!vB2@", "strong"),
        ("Äpfel Birnen Çay 東京 9", "strong"),
    ],
)
def test_how_hard_a_passphrase_is_to_guess(passphrase: str, found: str) -> None:
    assert strength(passphrase) == found


def test_where_an_export_goes_unless_told_otherwise() -> None:
    assert default_place("Zoë M.") == "~/glimpse-zoe-m.txt"
    assert default_place("日本") == "~/glimpse-profile.txt"


def test_an_export_follows_no_link_and_leaves_nothing_half_written(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(InvalidInput, match="not overwritten"):
        write_export(tmp_path / "link", b"x")
    assert not (tmp_path / "victim").exists()
    with pytest.raises(StorageError, match="choose another place"):
        write_export(tmp_path / "no" / "folder", b"x")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space"):
        write_export(tmp_path / "e.txt", b"x")
    assert not (tmp_path / "e.txt").exists()


def test_a_folder_is_not_called_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="is a folder"):
        read_export(tmp_path)
    with pytest.raises(ProfileError, match="There is no file"):
        read_export(tmp_path / "none")


def test_a_file_that_is_too_long_for_an_export_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(10_000_000_000)
    assert len(read_export(tmp_path / "huge")) < 10_000


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["\x1b[31mred [red]m[/red]" + "x" * 10_000, "[@click=app.quit]go[/]"])
async def test_hostile_names_are_shown_harmlessly(make_client, name: str) -> None:
    app = make_client(FakePeer(account=Me(7, name, name)))
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("i")
        await settled(pilot)
        assert "\x1b" not in shown(app)
        assert "[/" in shown(app), "markup is text"
        buttons = app.screen.query_one("#accept", Button).region
        assert buttons.bottom <= 24, "the buttons are in reach"


# --- Looks -----------------------------------------------------------------------------------------------------------
def test_account(snap, make_client, look) -> None:
    snap(make_client(FakePeer(account=Me(7, "Ada", WORDS))), look, press=("i",))


def test_export(snap, make_client, look) -> None:
    app = make_client()

    async def begin(pilot) -> None:
        await export_dialog(app, pilot)
        await pilot.press(*"correct horse battery")

    snap(app, look, before=begin)


def test_export_that_cannot_be_written(snap, make_client) -> None:
    app = make_client()

    async def begin(pilot) -> None:
        await export_dialog(app, pilot)
        fill(app, "correct horse battery staple", "correct horse battery staple", "/nowhere/e.txt")
        await pilot.press("enter")

    snap(app, (80, 24), before=begin)
