"""A profile with a passphrase: asked for before it opens, set, changed and removed where the account is shown."""

from __future__ import annotations

import pytest
from textual.widgets import Button, Input, Static

from shared.errors import StorageError, Unavailable
from tests.tui.fake_peer import ME, FakeHost, FakePeer
from tests.tui.quiet import notifications, pressed, running, settled, strips_of
from tui.client.dialogs.account import AccountDialog, RegisteredDialog
from tui.client.dialogs.export_identity import ExportIdentityDialog
from tui.client.dialogs.register import RegisterDialog
from tui.client.dialogs.remove_passphrase import RemovePassphraseDialog
from tui.client.dialogs.set_passphrase import SetPassphraseDialog
from tui.client.dialogs.unlock import UnlockDialog
from tui.client.screens.home import HomeScreen
from tui.client.screens.welcome import Welcome
from tui.peer.profiles import ProfileSummary

WORD = "four words or more"
ADA = ProfileSummary("ada", 7, "Ada", "amber basil cedar delta ember fable gravel harbor", locked=True)
BEN = ProfileSummary("ben", 12, "Ben", "melon drum library picnic wizard mustard coconut crayon")
LOW = (60, 15)


def shown(app) -> str:
    return "\n".join("".join(segment.text for segment in strip) for strip in strips_of(app.screen))


def complaint(app) -> str:
    return str(app.screen.query_one(".complaint", Static).render())


def locked_host(**options) -> FakeHost:
    return FakeHost(peers={"ada": FakePeer(signed_in=False, passphrase=WORD, **options)}, found=[ADA, BEN])


async def typed(app, pilot, **fields: str) -> None:
    """Put words into fields, and press Enter in the last of them."""
    for name, value in fields.items():
        app.screen.query_one(f"#{name}", Input).value = value
    app.screen.query_one(f"#{name}", Input).focus()
    await pilot.press("enter")
    await settled(pilot)


# --- Opening ---------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), LOW])
async def test_a_locked_profile_asks_until_the_passphrase_is_right(make_client, size) -> None:
    host = locked_host()
    app = make_client(host=host)
    async with running(app, size=size) as pilot:
        await settled(pilot)
        assert "locked" in shown(app), "the list says it before anything is opened"
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, UnlockDialog)
        assert isinstance(app.focused, Input)
        for part in ("ada", "Passphrase", "Open", "Cancel"):
            assert part in shown(app)
        await pilot.press("enter")
        await settled(pilot)
        assert "Type the passphrase" in complaint(app)
        await pilot.press(*"wrong", "enter")
        await settled(pilot)
        assert "does not open this profile; try again" in complaint(app)
        assert "wrong" not in shown(app)
        await pilot.press(*WORD, "enter")  # typing replaces what was wrong
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)
        assert host.asked[-3:] == [
            ("open", "ada", "wrong"),
            ("close",),
            ("open", "ada", WORD),
        ]


@pytest.mark.anyio
async def test_whoever_does_not_know_it_is_back_at_the_list(make_client) -> None:
    app = make_client(host=locked_host())
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, Welcome)
        assert app.screen.trouble == ""
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, UnlockDialog)


@pytest.mark.anyio
async def test_a_profile_named_at_the_start_asks_too(make_client) -> None:
    app = make_client(host=locked_host(), profile="ada")
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, UnlockDialog)
        await pilot.press(*WORD, "enter")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)


@pytest.mark.anyio
async def test_what_else_goes_wrong_is_said_in_the_dialog_and_keeps_what_was_typed(make_client) -> None:
    host = locked_host()
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        host.fail["open"] = Unavailable("No cluster is known here.")
        await typed(app, pilot, passphrase=WORD)
        assert "No cluster is known" in complaint(app)
        host.fail.clear()
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)


@pytest.mark.anyio
async def test_a_locked_profile_that_nobody_registered_in_is_registered_under_its_passphrase(make_client) -> None:
    host = FakeHost(peers={"ada": FakePeer(account=None, signed_in=False, passphrase=WORD)}, found=[ADA, BEN])
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        await typed(app, pilot, passphrase=WORD)
        assert isinstance(app.screen, RegisterDialog)
        await typed(app, pilot, name="Ada")
        assert isinstance(app.screen, RegisteredDialog)
        assert host.peers["ada"].calls("register") == [(("Ada",), {})]


@pytest.mark.anyio
async def test_a_key_that_comes_back_into_a_locked_profile_needs_its_passphrase(make_client, tmp_path) -> None:
    """The export has a passphrase of its own; both are told apart."""
    lost = ProfileSummary("ada", 7, "Ada", "", None, "There is no key file.", key_lost=True, locked=True)
    host = locked_host(account=None)
    host.found = [lost, BEN]
    app = make_client(host=host)
    (tmp_path / "export").write_text("-----BEGIN GLIMPSE IDENTITY-----\nR0xJTQ==\n-----END GLIMPSE IDENTITY-----\n")

    async def restore(profile: str, export: bytes, passphrase: str) -> None:  # the profile stays locked
        assert passphrase == "the export's"

    host.restore = restore  # type: ignore[method-assign]
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        await typed(app, pilot, source=str(tmp_path / "export"), passphrase="the export's")
        assert isinstance(app.screen, UnlockDialog)
        await typed(app, pilot, passphrase=WORD)
        assert isinstance(app.screen, RegisteredDialog)
        assert "locked by its own passphrase" in " ".join(shown(app).split())


@pytest.mark.anyio
async def test_a_key_that_comes_into_a_new_profile_is_said_not_to_be_locked(make_client, tmp_path) -> None:
    app = make_client(host=FakeHost())
    (tmp_path / "export").write_text("-----BEGIN GLIMPSE IDENTITY-----\nR0xJTQ==\n-----END GLIMPSE IDENTITY-----\n")
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.click("#restore")
        await settled(pilot)
        await typed(app, pilot, source=str(tmp_path / "export"), name="Ada", passphrase="the export's")
        assert isinstance(app.screen, RegisteredDialog)
        assert any("does not lock the profile" in str(each.render()) for each in app.screen.query(Static))


# --- Setting ---------------------------------------------------------------------------------------------------------
async def account(app, pilot) -> None:
    await settled(pilot)
    await pilot.press("i")
    await settled(pilot)
    assert isinstance(app.screen, AccountDialog)


def state(app) -> str:
    return str(app.screen.query_one("#locked", Static).render())


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), LOW])
async def test_it_is_set_changed_and_removed_by_keys(make_client, size) -> None:
    peer = FakePeer()
    app = make_client(peer)
    async with running(app, size=size, notifications=True) as pilot:
        await account(app, pilot)
        assert state(app).startswith("Not set")
        await pilot.press("x")
        await settled(pilot)
        assert isinstance(app.screen, AccountDialog), "there is nothing to remove"
        await pilot.press("p")
        await settled(pilot)
        assert isinstance(app.screen, SetPassphraseDialog)
        await pilot.press(*WORD, "tab", *WORD, "enter")
        await settled(pilot)
        assert isinstance(app.screen, AccountDialog)
        assert peer.passphrase == WORD
        assert state(app).startswith("Set")
        await pilot.press("p")
        await settled(pilot)
        await pilot.press(*"wrong", "tab", *"another", "tab", *"another", "enter")
        await settled(pilot)
        assert "does not open" in complaint(app)
        app.screen.query_one("#present", Input).focus()
        await typed(app, pilot, present=WORD)
        assert peer.passphrase == "another"
        await pilot.press("x")
        await settled(pilot)
        assert isinstance(app.screen, RemovePassphraseDialog)
        await typed(app, pilot, present="another")
        assert peer.passphrase is None
        assert state(app).startswith("Not set")
        assert [toast.title for toast in notifications(app)] == ["Locked", "Locked", "Not locked"]


@pytest.mark.anyio
async def test_the_same_by_mouse(make_client) -> None:
    peer = FakePeer(passphrase=WORD)
    app = make_client(peer, host=FakeHost(peers={"ada": peer}), profile="ada")
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await typed(app, pilot, passphrase=WORD)
        await account(app, pilot)
        await pilot.click("#set-passphrase")
        await settled(pilot)
        for field, value in (("present", WORD), ("passphrase", "another"), ("again", "another")):
            app.screen.query_one(f"#{field}", Input).value = value
        await pilot.click("#accept")
        await settled(pilot)
        assert peer.passphrase == "another"
        await pilot.click("#remove-passphrase")
        await settled(pilot)
        assert app.focused is app.screen.query_one("#cancel", Button), "what lays keys open is not Enter by mistake"
        await pilot.click("#cancel")
        await settled(pilot)
        assert peer.passphrase == "another"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("passphrase", "again", "words"),
    [("", "", "Type the new passphrase"), ("pw", "", "once more"), ("pw", "wp", "differ")],
)
async def test_what_is_missing_is_said(make_client, passphrase, again, words) -> None:
    peer = FakePeer()
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await account(app, pilot)
        await pilot.press("p")
        await settled(pilot)
        await typed(app, pilot, again=again, passphrase=passphrase)
        assert words in complaint(app)
        assert peer.calls("set_passphrase") == []


@pytest.mark.anyio
async def test_what_cannot_be_written_is_said_and_tried_again(make_client) -> None:
    peer = FakePeer(fail={"set_passphrase": StorageError("The disk of the profile ada is full; free some space.")})
    app = make_client(peer)
    async with running(app, size=(80, 24)) as pilot:
        await account(app, pilot)
        await pilot.press("p")
        await settled(pilot)
        await typed(app, pilot, again=WORD, passphrase=WORD)
        assert "is full" in complaint(app)
        peer.fail.clear()
        await pilot.press("enter")
        await settled(pilot)
        assert peer.passphrase == WORD


@pytest.mark.anyio
async def test_an_export_of_a_locked_profile_says_that_its_passphrase_is_its_own(make_client) -> None:
    for passphrase in (None, WORD):
        peer = FakePeer(account=ME, passphrase=passphrase)
        app = make_client(host=FakeHost(peers={"ada": peer}), profile="ada")
        async with running(app, size=(80, 24)) as pilot:
            await settled(pilot)
            if passphrase is not None:
                await typed(app, pilot, passphrase=passphrase)
            await account(app, pilot)
            await pilot.press("e")
            await settled(pilot)
            assert isinstance(app.screen, ExportIdentityDialog)
            said = " ".join(str(each.render()) for each in app.screen.query(Static))
            assert ("not the one of this profile" in said) == (passphrase is not None)


# --- Pictures --------------------------------------------------------------------------------------------------------
def test_unlock(snap, make_client) -> None:
    async def wrong(pilot) -> None:
        await typed(pilot.app, pilot, passphrase="wrong")

    snap(make_client(host=locked_host()), (80, 24), press=("enter",), before=wrong, light=True)


def test_unlock_low(snap, make_client) -> None:
    snap(make_client(host=locked_host()), LOW, press=("enter",))


def test_set(snap, make_client) -> None:
    snap(make_client(FakePeer()), (80, 24), press=("i", "p", *WORD))


@pytest.fixture
def snap_locked(snap, make_client):
    """Take a picture of a locked profile's client, after its passphrase and some keys were typed."""

    def taken(size: tuple[int, int], *keys: str) -> None:
        async def before(pilot) -> None:
            await typed(pilot.app, pilot, passphrase=WORD)
            await pressed(pilot, *keys)

        peer = FakePeer(passphrase=WORD)
        snap(make_client(host=FakeHost(peers={"ada": peer}), profile="ada"), size, before=before)

    return taken


def test_change_low(snap_locked) -> None:
    snap_locked(LOW, "i", "p")


def test_remove(snap_locked) -> None:
    snap_locked((80, 24), "i", "x")
