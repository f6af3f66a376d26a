"""The first screen: from no profile, or one of several, to an open peer; the cluster, and why it does not answer."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from textual import events
from textual.widgets import Button, Input, Static

from shared.errors import ProfileError, Unavailable, WrongPassphrase
from shared.invitation import Invitation, InvitedNode
from tests.patience import PATIENCE_S
from tests.tui.fake_peer import FakeHost, FakePeer
from tests.tui.quiet import running, settled, strips_of
from tui.client.dialogs.account import LOST_WITHOUT_EXPORT, RegisteredDialog
from tui.client.dialogs.export_identity import ExportIdentityDialog
from tui.client.dialogs.import_identity import ExportInput, ImportIdentityDialog
from tui.client.dialogs.join import JoinDialog
from tui.client.dialogs.register import RegisterDialog
from tui.client.ports import Reach
from tui.client.screens import welcome
from tui.client.screens.home import HomeScreen
from tui.client.screens.welcome import Welcome
from tui.client.widgets.newcomer import Newcomer
from tui.client.widgets.profile_list import ProfileList
from tui.client.widgets.status_lines import ClusterLine
from tui.peer.models import Me
from tui.peer.profiles import ProfileSummary

WORDS = "amber basil cedar delta ember fable gravel harbor"
INVITATION = Invitation("ab" * 16, bytes(16), (InvitedNode("192.0.2.1", 47600, bytes(32)),)).code
ADA = ProfileSummary("ada", 7, "Ada", WORDS)
FOUND = [
    ADA,
    ProfileSummary("ben", 12, "Ben", "melon drum library picnic wizard mustard coconut crayon", held_by=4711),
    ProfileSummary("broken", None, "", "", None, "The key file /p/broken/identity is damaged; restore it from a copy."),
    ProfileSummary(
        "lost", 9, "Lou", "", None, "There is no key file /p/lost/identity; import an export.", key_lost=True
    ),
    ProfileSummary("new", None, "", WORDS),
]
AWAY = Reach((), ("n1", "n2", "n3"), "Nothing runs at 127.0.0.1:47600; start the cluster with `glimpse up`.")
EXPORT = "-----BEGIN GLIMPSE IDENTITY-----\nR0xJTQ==\n-----END GLIMPSE IDENTITY-----\n"
HOSTILE = "\x1b[31mred\x07 \u202egnirts [red]m[/red] [@click=app.quit]go[/] 👩‍👩‍👧‍👦" + "x" * 10_000


def text_of(app, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).render())


def shown(app) -> str:
    """Return all that is on the screen."""
    return "\n".join("".join(segment.text for segment in strip) for strip in strips_of(app.screen))


def opened(host: FakeHost) -> list[str]:
    return [asked[1] for asked in host.asked if asked[0] == "open"]


# --- The first start -------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_newcomer_types_a_name_and_is_home(make_client) -> None:
    host = FakeHost()
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        assert isinstance(app.focused, Input), "the field has the focus, so that typing begins at once"
        await pilot.press(*"Ada L", "enter")
        await settled(pilot)
        assert opened(host) == ["ada-l"]
        assert host.peers["ada-l"].calls("register") == [(("Ada L",), {})]
        assert isinstance(app.screen, RegisteredDialog)
        assert LOST_WITHOUT_EXPORT.replace("\n", " ") in " ".join(
            str(widget.render()) for widget in app.screen.query(Static)
        )
        for part in ("Ada L", "#7", "amber-basil-cedar-delta"):
            assert part in shown(app)
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)
        assert app.screen.peer is host.peers["ada-l"]
        assert ("close",) not in host.asked


@pytest.mark.anyio
async def test_the_same_with_the_mouse_and_an_export_at_once(make_client, tmp_path: Path) -> None:
    host = FakeHost()
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        app.screen.query_one("#name", Input).value = "Ada"
        await pilot.click("#create")
        await settled(pilot)
        await pilot.click("#accept")
        await settled(pilot)
        assert isinstance(app.screen, ExportIdentityDialog)
        for field, value in (("passphrase", "four words or more"), ("again", "four words or more")):
            app.screen.query_one(f"#{field}", Input).value = value
        app.screen.query_one("#path", Input).value = str(tmp_path / "e.txt")
        await pilot.click("#accept")
        await settled(pilot)
        assert host.peers["ada"].calls("export_identity") == [(("four words or more",), {})]
        assert (tmp_path / "e.txt").read_bytes().startswith(b"-----BEGIN")
        assert isinstance(app.screen, HomeScreen)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["", "   ", "\u202eevil"])
async def test_a_name_that_is_none_is_refused_before_anything_is_opened(make_client, name: str) -> None:
    host = FakeHost()
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        app.screen.query_one("#name", Input).value = name
        await pilot.press("enter")
        await settled(pilot)
        assert opened(host) == []
        assert "A name" in text_of(app, "#welcome-trouble")
        assert app.screen.query_one("#name", Input).value == name
        assert app.focused is app.screen.query_one("#name", Input)


@pytest.mark.anyio
async def test_a_registration_that_failed_keeps_the_name_and_can_be_tried_again(make_client) -> None:
    peer = FakePeer(account=None, signed_in=False, fail={"register": Unavailable("The cloud is busy; try again.")})
    host = FakeHost(peers={"ada": peer})
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(*"Ada", "enter")
        await settled(pilot)
        assert peer.calls("register") == [(("Ada",), {})]
        assert host.opened is None, "a peer without an account is closed again"
        assert "The cloud is busy" in text_of(app, "#welcome-trouble")
        assert app.screen.query_one("#name", Input).value == "Ada"
        host.found = [ProfileSummary("ada", None, "", WORDS)]  # the folder is there now
        del peer.fail["register"]
        await pilot.press("enter")
        await settled(pilot)
        assert opened(host) == ["ada", "ada"], "no second profile for the same name"
        assert isinstance(app.screen, RegisteredDialog)
        assert text_of(app.screen_stack[0].app, ".heading") == "Your account is ready"


@pytest.mark.anyio
async def test_without_the_cluster_one_hears_at_once_that_registering_needs_it(make_client) -> None:
    host = FakeHost(reached=AWAY)
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(*"Ada", "enter")
        await settled(pilot)
        assert opened(host) == []
        assert "Registering needs the cluster" in text_of(app, "#welcome-trouble")
        assert app.screen.query_one("#name", Input).value == "Ada"
        host.reached = Reach(("n1", "n2", "n3"), ())
        await pilot.press("f5")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert opened(host) == ["ada"]


async def until_asked(pilot, peer: FakePeer, method: str) -> None:
    """Wait until the peer is at something that the test lets last."""
    with anyio.fail_after(PATIENCE_S):
        while not peer.calls(method):
            await pilot.pause()


@pytest.mark.anyio
async def test_what_takes_long_can_be_broken_off(make_client) -> None:
    peer = FakePeer(account=None, signed_in=False, gates={"register": anyio.Event()})
    host = FakeHost(peers={"ada": peer})
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(*"Ada", "enter")
        await until_asked(pilot, peer, "register")
        assert text_of(app, "#welcome-busy") == "Registering…"
        assert app.screen.query_one(Newcomer).disabled
        await pilot.press("escape")
        await settled(pilot)
        assert host.opened is None
        assert text_of(app, "#welcome-busy") == ""
        assert app.focused is app.screen.query_one("#name", Input)
        assert app.screen.query_one("#name", Input).value == "Ada"


@pytest.mark.anyio
async def test_leaving_while_a_profile_is_being_opened_opens_no_home(make_client) -> None:
    """The host closes what it opens meanwhile: a home over a closed peer would fail at once."""
    peer = FakePeer(account=None, signed_in=False, gates={"register": anyio.Event(), "sign_out": anyio.Event()})
    host = FakeHost(peers={"ada": peer})
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(*"Ada", "enter")
        await until_asked(pilot, peer, "register")
        await pilot.press("ctrl+q")
        await until_asked(pilot, peer, "sign_out")
        peer.gates["register"].set()
        for _ in range(5):
            await pilot.pause()
        assert isinstance(app.screen, Welcome)
        peer.gates["sign_out"].set()
    assert app.return_code == 0


# --- Profiles that there are -----------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_profile_is_opened_by_key(make_client) -> None:
    host = FakeHost(peers={"ada": FakePeer(signed_in=False)}, found=FOUND)
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        for part in ("ada", "#7", WORDS, "open in process 4711", "damaged", "key lost", "not registered yet"):
            assert part in shown(app)
        await pilot.press("enter")
        await settled(pilot)
        assert opened(host) == ["ada"]
        assert isinstance(app.screen, HomeScreen)
        assert host.peers["ada"].calls("sign_in"), "the home signs in"


@pytest.mark.anyio
async def test_a_profile_is_opened_by_mouse(make_client) -> None:
    host = FakeHost(peers={"ada": FakePeer(signed_in=False)}, found=FOUND)
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.click("#open")
        await settled(pilot)
        assert opened(host) == ["ada"]
        assert isinstance(app.screen, HomeScreen)


@pytest.mark.anyio
async def test_what_a_line_cannot_say_stands_below_the_list(make_client) -> None:
    app = make_client(host=FakeHost(found=FOUND))
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        said = []
        for _ in FOUND:
            said.append(text_of(app, "#profile-details"))
            await pilot.press("j")
            await settled(pilot)
        assert WORDS in said[0]
        assert "process 4711; close that one first" in said[1]
        assert "restore it from a copy" in said[2]
        assert "import an export" in said[3]


@pytest.mark.anyio
async def test_a_profile_that_cannot_be_opened_says_why_and_the_list_stays(make_client) -> None:
    trouble = ProfileError("The profile ben is open in process 4711; close that one first.")
    host = FakeHost(found=FOUND, fail={"open": trouble})
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("j", "enter")
        await settled(pilot)
        assert opened(host) == ["ben"]
        assert text_of(app, "#welcome-trouble") == str(trouble)
        assert app.screen.query_one(ProfileList).rows.current == FOUND[1], "the cursor stays"
        assert app.focused is app.screen.query_one(ProfileList).rows
        host.fail.clear()
        host.peers["ada"] = FakePeer(signed_in=False)
        await pilot.press("k", "enter")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)


@pytest.mark.anyio
async def test_a_profile_in_which_nobody_registered_asks_for_the_name(make_client) -> None:
    host = FakeHost(found=FOUND)
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("G", "enter")
        await settled(pilot)
        assert isinstance(app.screen, RegisterDialog)
        assert "Nobody has registered in the profile new" in shown(app)
        assert host.opened is None, "nothing stays open while somebody thinks about a name"
        host.peers["new"].fail["register"] = Unavailable("No node answers; try again.")
        await pilot.press(*"Neo", "enter")
        await settled(pilot)
        assert "No node answers" in shown(app)
        assert app.screen.query_one("#name", Input).value == "Neo"
        del host.peers["new"].fail["register"]
        await pilot.press("enter")
        await settled(pilot)
        assert host.peers["new"].calls("register") == [(("Neo",), {})] * 2
        assert isinstance(app.screen, RegisteredDialog)
        await pilot.click("#cancel")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)


@pytest.mark.anyio
async def test_another_account_can_be_made(make_client) -> None:
    host = FakeHost(found=FOUND)
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("n")
        await settled(pilot)
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, Welcome)
        assert opened(host) == []
        await pilot.click("#new")
        await settled(pilot)
        await pilot.press(*"Ada", "enter")
        await settled(pilot)
        assert opened(host) == ["ada-2"], "the name is free, the folder is not"
        assert host.peers["ada-2"].calls("register") == [(("Ada",), {})]


@pytest.mark.anyio
async def test_the_register_dialog_says_at_once_that_no_node_answers(make_client) -> None:
    host = FakeHost(found=FOUND, reached=AWAY)
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("n")
        await settled(pilot)
        assert "Registering needs the cluster" in shown(app)
        await pilot.press(*"Ada", "enter")
        await settled(pilot)
        assert opened(host) == []
        assert isinstance(app.screen, RegisterDialog)


@pytest.mark.anyio
async def test_breaking_off_a_registration_in_its_dialog_closes_the_peer(make_client) -> None:
    peer = FakePeer(account=None, signed_in=False, gates={"register": anyio.Event()})
    host = FakeHost(found=FOUND, peers={"neo": peer})
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("n")
        await settled(pilot)
        await pilot.press(*"Neo", "enter")
        with anyio.fail_after(PATIENCE_S):
            while not peer.calls("register"):
                await pilot.pause()
        assert app.screen.query_one("#accept", Button).disabled
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, Welcome)
        assert host.opened is None


# --- A profile that was asked for ------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_new_profile_by_name_leads_to_its_registration(make_client) -> None:
    host = FakeHost()
    app = make_client(host=host, profile="work")
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, RegisterDialog)
        assert "profile work" in shown(app)
        await pilot.press(*"Ada", "enter")
        await settled(pilot)
        assert opened(host) == ["work", "work"]
        assert host.peers["work"].calls("register") == [(("Ada",), {})]


@pytest.mark.anyio
async def test_a_profile_that_was_asked_for_and_fails_leaves_the_choice(make_client) -> None:
    trouble = ProfileError("This profile belongs to another cluster; choose another profile or that cluster.")
    host = FakeHost(found=FOUND, fail={"open": trouble})
    app = make_client(host=host, profile="ada")
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        assert text_of(app, "#welcome-trouble") == str(trouble)
        assert list(app.screen.query_one(ProfileList).rows.rows) == FOUND


# --- Bringing an account back ----------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_an_account_is_imported_from_a_file(make_client, tmp_path: Path) -> None:
    file = tmp_path / "glimpse-ada.txt"
    file.write_text(EXPORT)
    host = FakeHost()
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.click("#restore")
        await settled(pilot)
        assert isinstance(app.screen, ImportIdentityDialog)
        app.screen.query_one("#source", Input).value = str(file)
        app.screen.query_one("#passphrase", Input).value = "four words"
        host.fail["restore"] = WrongPassphrase("The passphrase does not open this export; try again.")
        await pilot.click("#accept")
        await settled(pilot)
        assert "does not open this export" in text_of(app, ".complaint")
        assert app.screen.query_one("#source", Input).value == str(file), "nothing that was typed is lost"
        host.fail.clear()
        app.screen.query_one("#passphrase", Input).focus()
        await pilot.press("enter")
        await settled(pilot)
        asked = ("restore", "ada", EXPORT.encode(), "four words")
        assert [found for found in host.asked if found[0] == "restore"] == [asked, asked]
        assert opened(host) == ["ada"]
        assert isinstance(app.screen, RegisteredDialog)
        assert "Welcome back" in shown(app)
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)


@pytest.mark.anyio
async def test_an_export_can_be_pasted_and_gets_the_name_that_is_typed(make_client) -> None:
    host = FakeHost(found=[ADA])
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("i")
        await settled(pilot)
        app.screen.query_one(ExportInput).post_message(events.Paste(f"Dear Ada,\n{EXPORT}bye"))
        await settled(pilot)
        await pilot.press("tab", *"pw", "tab", *"Ada", "enter")
        await settled(pilot)
        [(_, profile, export, passphrase)] = [found for found in host.asked if found[0] == "restore"]
        assert (profile, passphrase) == ("ada-2", "pw")
        assert EXPORT.encode() in export
        assert opened(host) == ["ada-2"]


@pytest.mark.anyio
async def test_a_pasted_path_goes_into_the_field(make_client) -> None:
    app = make_client(host=FakeHost(found=[ADA]))
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("i")
        await settled(pilot)
        source = app.screen.query_one(ExportInput)
        source.post_message(events.Paste("'/mnt/my stick/e.txt'\n"))
        await settled(pilot)
        assert (source.value, source.pasted_export) == ("/mnt/my stick/e.txt", "")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("source", "passphrase", "words"),
    [
        ("", "pw", "Name the file"),
        ("e.txt", "", "Type the passphrase"),
        ("/nowhere/e.txt", "pw", "no file /nowhere/e.txt"),
        ("/dev/zero", "pw", "no file /dev/zero"),
    ],
)
async def test_an_import_says_what_is_missing(make_client, source: str, passphrase: str, words: str) -> None:
    host = FakeHost()
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.click("#restore")
        await settled(pilot)
        app.screen.query_one("#source", Input).value = source
        app.screen.query_one("#passphrase", Input).value = passphrase
        await pilot.press("enter")
        await settled(pilot)
        assert words in text_of(app, ".complaint")
        assert [found for found in host.asked if found[0] == "restore"] == []


@pytest.mark.anyio
async def test_a_profile_that_lost_its_key_gets_it_back(make_client) -> None:
    host = FakeHost(found=FOUND)
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("G", "k")
        await settled(pilot)
        assert str(app.screen.query_one("#open", Button).label) == "Restore"
        await pilot.press("enter")
        await settled(pilot)
        assert "Restore the profile lost" in shown(app)
        app.screen.query_one(ExportInput).post_message(events.Paste(EXPORT))
        await settled(pilot)
        await pilot.press("tab", *"pw", "enter")
        await settled(pilot)
        assert [found[:2] for found in host.asked if found[0] == "restore"] == [("restore", "lost")]
        assert opened(host) == ["lost"]


@pytest.mark.anyio
async def test_an_account_that_was_imported_while_no_node_answers_waits_in_the_list(make_client) -> None:
    host = FakeHost()
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.click("#restore")
        await settled(pilot)
        app.screen.query_one(ExportInput).post_message(events.Paste(EXPORT))
        app.screen.query_one("#passphrase", Input).value = "pw"
        await settled(pilot)
        host.fail["open"] = Unavailable("No node of the cloud answers; try again when the cloud is back.")
        host.found = [ProfileSummary("imported", None, "", WORDS)]
        await pilot.press("enter")
        await settled(pilot)
        assert "No node of the cloud answers" in text_of(app, "#welcome-trouble")
        assert list(app.screen.query_one(ProfileList).rows.rows) == host.found


# --- The cluster -----------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_the_cluster_is_asked_again_by_key_and_by_click(make_client) -> None:
    host = FakeHost(found=[ADA], reached=AWAY)
    app = make_client(host=host)
    async with running(app, size=(100, 24)) as pilot:
        await settled(pilot)
        assert "No node answers: Nothing runs at 127.0.0.1:47600" in text_of(app, "ClusterLine")
        asked = host.asked.count(("reach",))
        host.reached = Reach(("n1", "n3"), ("n2",))
        await pilot.press("r")
        await settled(pilot)
        assert text_of(app, "ClusterLine").startswith("● 2 of 3 nodes answer; not n2")
        host.reached = Reach((), (), "No cluster is known here; start one with `glimpse up`.")
        await pilot.click(ClusterLine)
        await settled(pilot)
        assert text_of(app, "ClusterLine").startswith("○ No cluster: No cluster is known here")
        assert host.asked.count(("reach",)) == asked + 2


@pytest.mark.anyio
async def test_the_cluster_is_asked_again_by_itself_until_something_else_is_in_front(make_client, monkeypatch) -> None:
    monkeypatch.setattr(welcome, "_AGAIN_S", 0.001)
    monkeypatch.setattr(welcome, "_STILL_S", 0.001)
    host = FakeHost(peers={"ada": FakePeer(signed_in=False)}, found=[ADA], reached=AWAY)
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        with anyio.fail_after(PATIENCE_S):
            while host.asked.count(("reach",)) < 5:
                await pilot.pause()
            host.reached = Reach(("n1",), ())
            while "1 of 1 node answer" not in text_of(app, "ClusterLine"):
                await pilot.pause()
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, HomeScreen)
        asked = host.asked.count(("reach",))
        await settled(pilot)
        assert host.asked.count(("reach",)) == asked


# --- Hostile words ---------------------------------------------------------------------------------------------------
@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_hostile_words_are_shown_harmlessly(make_client, size) -> None:
    profile = ProfileSummary("ada", 7, HOSTILE, HOSTILE)
    broken = ProfileSummary("ben", None, HOSTILE, "", None, HOSTILE)
    host = FakeHost(
        peers={"ada": FakePeer(account=Me(7, HOSTILE, HOSTILE), signed_in=False)},
        found=[profile, broken],
        cluster=HOSTILE,
        reached=Reach((), (HOSTILE,), HOSTILE),
    )
    app = make_client(host=host)
    async with running(app, size=size) as pilot:
        await settled(pilot)
        for key in ("j", "r"):
            harmless(app)
            await pilot.press(key)
            await settled(pilot)
        host.fail["open"] = Unavailable(HOSTILE)
        await pilot.press("enter")
        await settled(pilot)
        harmless(app)
        host.reached = Reach((HOSTILE,), (HOSTILE,))
        await pilot.press("r")
        await settled(pilot)
        harmless(app)
        assert app.screen.query_one(ProfileList).rows.region.height >= 2, "the list keeps its place"


def harmless(app) -> None:
    for line in shown(app).splitlines():
        assert not any(ord(char) < 32 or char in "\x7f\u202e\u200d" for char in line), line
    for strip in strips_of(app.screen):
        for segment in strip:
            style = segment.style
            assert style is None or not (style.meta or {}).get("@click"), segment


# --- Looks -----------------------------------------------------------------------------------------------------------
def test_first_start(snap, make_client, look) -> None:
    snap(make_client(host=FakeHost()), look, light=True)


def test_profiles(snap, make_client, look) -> None:
    snap(make_client(host=FakeHost(found=FOUND, reached=Reach(("n1", "n3"), ("n2",)))), look)


def test_no_node_answers_and_a_profile_is_damaged(snap, make_client) -> None:
    trouble = ProfileError("The key file /p/broken/identity is damaged or no key file; restore it from a copy.")
    host = FakeHost(found=FOUND, reached=AWAY, fail={"open": trouble})
    snap(make_client(host=host), (80, 24), press=("j", "j", "enter"))


def test_registering_without_the_cluster(snap, make_client) -> None:
    snap(make_client(host=FakeHost(reached=AWAY)), (80, 24), press=(*"Ada", "enter"))


def test_new_account(snap, make_client, look) -> None:
    snap(make_client(host=FakeHost(found=FOUND)), look, press=("n", *"Neo"))


def test_account_ready(snap, make_client, look) -> None:
    snap(make_client(host=FakeHost()), look, press=(*"Ada", "enter"))


def test_import(snap, make_client, look) -> None:
    snap(make_client(host=FakeHost(found=FOUND)), look, press=("i", "enter"))


def test_being_busy(snap, make_client) -> None:
    peer = FakePeer(account=None, signed_in=False, gates={"register": anyio.Event()})

    async def begin(pilot) -> None:
        await pilot.press(*"Ada", "enter")
        await until_asked(pilot, peer, "register")

    snap(make_client(host=FakeHost(peers={"ada": peer})), (80, 24), before=begin, waits=False)


# --- Invitations -----------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_newcomer_joins_by_the_code_of_an_invitation(make_client) -> None:
    host = FakeHost(cluster="", reached=Reach((), (), "No cluster is known here."))
    app = make_client(host=host)
    async with running(app, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.click("#join")
        await settled(pilot)
        assert isinstance(app.screen, JoinDialog)
        await pilot.press(*"nonsense", "enter")
        await settled(pilot)
        assert ("join", "nonsense") not in host.asked
        assert "no invitation" in shown(app)
        code = app.screen.query_one("#code", Input)
        code.value = INVITATION
        host.fail["join"] = Unavailable("No node of this invitation answers; check the network.")
        await pilot.press("enter")
        await settled(pilot)
        assert "No node of this invitation answers" in shown(app)
        assert code.value == INVITATION
        del host.fail["join"]
        host.reached, host.cluster = Reach(("n1",), ()), "joined/cluster.toml"
        await pilot.press("enter")
        await settled(pilot)
        assert host.asked.count(("join", INVITATION)) == 2
        assert isinstance(app.screen, Welcome)
        assert "joined/cluster.toml" in shown(app)
