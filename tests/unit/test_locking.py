"""A profile under a passphrase: what lies on the disk, every way to open it, and what a crash leaves."""

import base64
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from shared import data_key
from shared.config import MAX_REPLY_OBJECT_BYTES, PREVIEW_MAX_BYTES
from shared.data_key import DataKey
from shared.errors import InvalidInput, PassphraseNeeded, ProfileError, StorageError, WrongPassphrase
from shared.keyexport import import_identity
from shared.keyfiles import is_locked_file, load_identity
from shared.net.partial_store import MIN_KEPT_BYTES
from shared.wire.codec import encode
from shared.wire.operations import PreviewAnswer
from shared.wire.peer_messages import Answer
from tests.disks import fill
from tests.unit.locking_killed import NEW
from tests.unit.profiles_made import (
    KEY,
    LISTS,
    ME,
    MY_IMAGE,
    NOWHERE,
    PASSPHRASE,
    QUICK_LOG2_N,
    change,
    make_profile,
    rows,
)
from tests.unit.test_profiles import HOLD
from tui.peer import Peer, at_rest
from tui.peer.locking import remove_passphrase, set_passphrase
from tui.peer.outbox import Outbox
from tui.peer.profile import Profile
from tui.peer.profiles import list_profiles
from tui.peer.store import Store

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_key, "SCRYPT_LOG2_N", QUICK_LOG2_N)


def secrets() -> list[bytes]:
    """Return what must not lie in a locked profile, in every spelling that files have."""
    made = rows()
    found = [ME.signing_private, ME.session_private, KEY.secret]
    found += [
        made[table][column]
        for table, columns in at_rest.COLUMNS.items()
        if table in made
        for column in columns
        if made[table].get(column)
    ]
    return [spelling for each in found for spelling in (each, each.hex().encode(), base64.b64encode(each)[:40])]


def lying_open(folder: Path) -> list[str]:
    """Return the files of a profile in which something secret can be read."""
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(secret in path.read_bytes() for secret in secrets())
    ]


def stored(folder: Path, key: DataKey | None) -> dict[str, list[dict[str, object]]]:
    """Return the rows of every table with something secret, in clear."""
    store = Store(folder / "store.sqlite", key=key)
    try:
        assert store.found == []
        return {table: [dict(row) for row in store.all(f"SELECT * FROM {table}")] for table in at_rest.COLUMNS}
    finally:
        store.close()


def opened(folder: Path, word: str | None) -> dict[str, list[dict[str, object]]]:
    """Open a profile as a peer does; return its secret rows."""
    with Profile(folder) as profile:
        assert profile.identity(word) == ME
        return stored(folder, profile.data_key)


# --- On the disk -----------------------------------------------------------------------------------------------------
async def test_a_copy_of_a_locked_profile_is_worth_nothing_without_its_passphrase(tmp_path: Path) -> None:
    """A backup tool copies every file; while the profile is open, the log of its store as well."""
    profile = tmp_path / "profile"
    make_profile(profile)
    assert set(lying_open(profile)) == {"identity", "store.sqlite"}, "the test looks for what is there"
    before = opened(profile, None)
    async with Peer(profile, NOWHERE) as peer:
        assert not peer.status().locked
        await peer.set_passphrase(PASSPHRASE)
        assert peer.status().locked
        assert lying_open(profile) == [], "not even in what SQLite has not used again"
        await peer.request("ab" * 16, 1, note="a word in the outbox")
        shutil.copytree(profile, tmp_path / "copy")
    for folder in (profile, tmp_path / "copy"):
        assert not any(b"a word in the outbox" in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    with pytest.raises(PassphraseNeeded, match="profile is locked; give its passphrase with --passphrase-file"):
        async with Peer(profile, NOWHERE):
            pass
    with pytest.raises(WrongPassphrase):
        async with Peer(profile, NOWHERE, passphrase="no"):
            pass
    async with Peer(profile, NOWHERE, passphrase=PASSPHRASE) as peer:
        assert len(await peer.outbox()) == 2
        assert [image.image for image in await peer.my_images(local=True)] == [MY_IMAGE]
        await peer.remove_passphrase(PASSPHRASE)
        assert not peer.status().locked
    after = opened(profile, None)
    assert after["outbox"].pop()["body"]
    assert after == before
    assert not (profile / "data-key").exists()


async def test_every_secret_column_is_encrypted_and_rows_read_as_ever(tmp_path: Path) -> None:
    make_profile(tmp_path / "locked", locked=True)
    make_profile(tmp_path / "open")
    locked, clear = stored(tmp_path / "locked", KEY), stored(tmp_path / "open", None)
    for table, columns in at_rest.COLUMNS.items():
        for column in columns:
            assert [row[column] for row in locked[table]] == [row[column] for row in clear[table]]
    assert lying_open(tmp_path / "locked") == []


async def test_what_was_set_aside_is_encrypted_too(tmp_path: Path) -> None:
    """A row that is set aside is kept with all that it held, keys among them."""
    path = make_profile(tmp_path / "profile", locked=True)
    change(path, "UPDATE own_images SET width = 'broad'")
    with Profile(tmp_path / "profile") as profile:
        profile.identity(PASSPHRASE)
        store = Store(profile.store_path, key=profile.data_key)
        [row] = store.all("SELECT row FROM set_aside")
        assert rows()["own_images"]["content_key"].hex() in row["row"]
        assert lying_open(tmp_path / "profile") == []
        await remove_passphrase(profile, store, PASSPHRASE)
        assert store.all("SELECT row FROM set_aside")[0]["row"] == row["row"]
        await set_passphrase(profile, store, NEW)
        store.close()
    assert lying_open(tmp_path / "profile") == []


async def test_a_new_profile_is_locked_from_the_beginning(tmp_path: Path) -> None:
    async with Peer(tmp_path / "profile", NOWHERE, passphrase=PASSPHRASE) as peer:
        assert peer.status().locked
        assert is_locked_file(tmp_path / "profile" / "identity")
    async with Peer(tmp_path / "profile", NOWHERE, passphrase=PASSPHRASE):
        pass


async def test_a_profile_that_is_not_locked_opens_with_a_passphrase_and_stays_so(tmp_path: Path) -> None:
    make_profile(tmp_path / "profile")
    async with Peer(tmp_path / "profile", NOWHERE, passphrase=PASSPHRASE) as peer:
        assert not peer.status().locked
        for name in LISTS:
            await getattr(peer, name)(**({"local": True} if name in ("my_images", "requests") else {}))


def test_a_preview_of_others_is_never_kept_on_the_disk() -> None:
    """Answers that arrive in part are kept, unless they are so short that they are asked for again sooner."""
    answer = Answer(request="0" * 32, outcome=PreviewAnswer(image=MY_IMAGE, preview=b"\xff" * PREVIEW_MAX_BYTES))
    assert len(encode(answer, cap_bytes=MAX_REPLY_OBJECT_BYTES)) < MIN_KEPT_BYTES


# --- Changing --------------------------------------------------------------------------------------------------------
async def test_a_change_takes_the_present_passphrase_and_rewrites_one_small_file(tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    make_profile(profile, locked=True)
    async with Peer(profile, NOWHERE, passphrase=PASSPHRASE) as peer:
        before = {path.name: path.read_bytes() for path in profile.iterdir() if path.is_file()}
        for old, error in ((None, PassphraseNeeded), ("wrong", WrongPassphrase)):
            with pytest.raises(error):
                await peer.set_passphrase(NEW, old=old)
        with pytest.raises(WrongPassphrase):
            await peer.remove_passphrase("wrong")
        with pytest.raises(InvalidInput):
            await peer.set_passphrase("", old=PASSPHRASE)
        assert {path.name: path.read_bytes() for path in profile.iterdir() if path.is_file()} == before
        await peer.set_passphrase(NEW, old=PASSPHRASE)
        after = {path.name: path.read_bytes() for path in profile.iterdir() if path.is_file()}
        assert {name for name in after if after[name] != before.get(name)} == {"data-key"}
        assert len(after["data-key"]) < 500
    with pytest.raises(WrongPassphrase):
        opened(profile, PASSPHRASE)
    assert opened(profile, NEW) == stored(profile, KEY)


async def test_there_is_nothing_to_remove_and_no_old_one_where_there_is_none(tmp_path: Path) -> None:
    make_profile(tmp_path / "profile")
    async with Peer(tmp_path / "profile", NOWHERE) as peer:
        with pytest.raises(ProfileError, match="has no passphrase"):
            await peer.remove_passphrase("x")
        with pytest.raises(ProfileError, match="no passphrase yet"):
            await peer.set_passphrase(NEW, old="x")


async def test_less_work_than_today_is_made_good_when_the_profile_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_profile(tmp_path / "profile", locked=True)
    monkeypatch.setattr(data_key, "SCRYPT_LOG2_N", QUICK_LOG2_N + 1)
    before = (tmp_path / "profile" / "data-key").read_bytes()
    opened(tmp_path / "profile", PASSPHRASE)
    after = (tmp_path / "profile" / "data-key").read_bytes()
    assert b'"log2_n":11' in after != before
    opened(tmp_path / "profile", PASSPHRASE)
    assert (tmp_path / "profile" / "data-key").read_bytes() == after


async def test_what_others_write_meanwhile_is_under_the_key_that_holds_then(tmp_path: Path) -> None:
    make_profile(tmp_path / "profile")
    async with Peer(tmp_path / "profile", NOWHERE) as peer:
        box: Outbox = peer._outbox

        async def write() -> None:
            for number in range(60):
                await box.put("operation", "request", b"secret word", f"{number:032x}")
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            group.start_soon(write)
            await peer.set_passphrase(PASSPHRASE)
            await peer.remove_passphrase(PASSPHRASE)
            await peer.set_passphrase(NEW)
    found = opened(tmp_path / "profile", NEW)
    assert [row["body"] for row in found["outbox"]].count(b"secret word") == 60
    store = (tmp_path / "profile" / "store.sqlite").read_bytes()
    assert b"secret word" not in store


@pytest.mark.parametrize("kind", ["set", "change", "remove"])
async def test_a_process_that_is_killed_at_any_step_loses_nothing(tmp_path: Path, kind: str) -> None:
    make_profile(tmp_path / "profile", locked=kind != "set")
    (tmp_path / "tries").mkdir()
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-m", "tests.unit.locking_killed", kind, tmp_path / "profile", tmp_path / "tries"]
    done = await anyio.run_process([str(part) for part in command], env=environment)
    tries = int(done.stdout)
    assert tries > 12, "there are steps to be killed at"
    before = stored(tmp_path / "profile", None if kind == "set" else KEY)
    words = {"set": (None, NEW), "change": (PASSPHRASE, NEW), "remove": (PASSPHRASE, None)}[kind]
    ends = []
    for number in range(tries):
        folder = tmp_path / "tries" / str(number)
        is_locked = (folder / "data-key").exists()
        for word in words:
            if (word is None) == is_locked:
                continue
            try:
                found = opened(folder, word)
            except WrongPassphrase:
                continue
            ends.append(word)
            assert found == before, number
            assert not is_locked or lying_open(folder) == [], number
            break
        else:
            pytest.fail(f"after step {number} no passphrase opens it")
    assert ends == sorted(ends, key=words.index), "once it is changed it stays so"
    assert (ends[0], ends[-1]) == words


# --- What is in the way ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("removes", [False, True])
async def test_a_full_disk_leaves_the_profile_as_it_was(small_disk: Path, removes: bool) -> None:
    profile = small_disk / "profile"
    make_profile(profile, locked=removes)
    word = PASSPHRASE if removes else None
    before = opened(profile, word)
    async with Peer(profile, NOWHERE, passphrase=word) as peer:
        fill(small_disk)
        with pytest.raises(StorageError, match=r"space|full"):
            await (peer.remove_passphrase(PASSPHRASE) if removes else peer.set_passphrase(NEW))
        assert peer.status().locked == removes
    (small_disk / "ballast").unlink()
    assert opened(profile, word) == before
    assert not removes or lying_open(profile) == []


@pytest.mark.parametrize("failing", ["store", "identity", "everything"])
async def test_a_step_that_fails_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """Where even that fails, the next opening, by the new passphrase, brings the change to its end."""
    profile = tmp_path / "profile"
    make_profile(profile)
    before = opened(profile, None)

    def full(_: object, key: DataKey | None) -> None:
        if key is not None or failing == "everything":
            raise StorageError("The disk is full.")

    async with Peer(profile, NOWHERE) as peer:
        with monkeypatch.context() as now:
            now.setattr(*(Profile, "rewrite_identity") if failing == "identity" else (Store, "_change_key"), full)
            with pytest.raises(StorageError, match="disk is full"):
                await peer.set_passphrase(NEW)
        assert peer.status().locked == (failing == "everything")
    assert opened(profile, NEW if failing == "everything" else None) == before
    assert bool(lying_open(profile)) == (failing != "everything")


async def test_a_medium_for_reading_opens_and_changes_nothing(small_disk: Path) -> None:
    make_profile(small_disk / "profile", locked=True)
    await anyio.run_process(["mount", "-o", "remount,ro", str(small_disk)])
    async with Peer(small_disk / "profile", NOWHERE, passphrase=PASSPHRASE) as peer:
        assert peer.status().trouble
        assert [image.image for image in await peer.my_images(local=True)] == [MY_IMAGE]
        for call in (peer.set_passphrase(NEW, old=PASSPHRASE), peer.remove_passphrase(PASSPHRASE)):
            with pytest.raises(StorageError, match="until then nothing can be stored"):
                await call


def test_a_profile_that_another_program_has_open_says_which(tmp_path: Path) -> None:
    make_profile(tmp_path / "profile", locked=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "profile")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ProfileError, match=f"open in process {other.pid}"):
            opened(tmp_path / "profile", PASSPHRASE)
        other.communicate(b"")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("cut", "data-key is damaged"),
        ("gone", "data-key is gone"),
        ("link", "symbolic link"),
        ("others", "chmod 600"),
        ("another", "under another data key; restore the whole profile"),
        ("store", "data key that the profile does not have; restore the whole profile"),
    ],
)
async def test_what_does_not_belong_together_is_one_sentence(tmp_path: Path, damage: str, words: str) -> None:
    profile = tmp_path / "profile"
    make_profile(profile, locked=True)
    file = profile / "data-key"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-30])
    elif damage == "gone":
        file.unlink()
    elif damage == "link":
        file.rename(tmp_path / "elsewhere")
        file.symlink_to(tmp_path / "elsewhere")
    elif damage == "others":
        file.chmod(0o644)
    elif damage == "another":
        file.write_bytes(data_key.wrap(DataKey.generate(), PASSPHRASE))
    else:
        make_profile(tmp_path / "other", locked=True)
        store = Store(tmp_path / "other" / "store.sqlite", key=KEY)
        await store.change_key(None)
        await store.change_key(DataKey.generate())
        store.close()
        shutil.copy(tmp_path / "other" / "store.sqlite", profile / "store.sqlite")
    with pytest.raises(ProfileError, match=words) as caught:
        async with Peer(profile, NOWHERE, passphrase=PASSPHRASE):
            pass
    assert str(caught.value).count(". ") == 0


async def test_a_store_under_another_key_loses_nothing_by_being_tried(tmp_path: Path) -> None:
    """Every row of it looks damaged, and would be set aside for good."""
    make_profile(tmp_path / "profile", locked=True)
    before = (tmp_path / "profile" / "store.sqlite").read_bytes()
    for key in (None, DataKey.generate()):
        with pytest.raises(ProfileError, match="does not have"):
            Store(tmp_path / "profile" / "store.sqlite", key=key)
    assert stored(tmp_path / "profile", KEY)
    assert len(before) == (tmp_path / "profile" / "store.sqlite").stat().st_size


# --- Exports and keys that come back ---------------------------------------------------------------------------------
async def test_an_export_of_a_locked_profile_opens_by_its_own_passphrase(tmp_path: Path) -> None:
    make_profile(tmp_path / "profile", locked=True)
    async with Peer(tmp_path / "profile", NOWHERE, passphrase=PASSPHRASE) as peer:
        export = peer.export_identity("the export's")
    assert import_identity(export, "the export's") == ME
    with pytest.raises(WrongPassphrase, match="does not open this export"):
        import_identity(export, PASSPHRASE)
    Peer.import_identity(tmp_path / "new", export, "the export's")
    assert load_identity(tmp_path / "new" / "identity") == ME
    assert not list_profiles(tmp_path)[0].locked


async def test_a_key_that_comes_back_into_a_locked_profile_is_encrypted_when_it_opens(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_profile(tmp_path / "profile", locked=True)
    async with Peer(tmp_path / "profile", NOWHERE, passphrase=PASSPHRASE) as peer:
        export = peer.export_identity("the export's")
    (tmp_path / "profile" / "identity").unlink()
    [summary] = list_profiles(tmp_path)
    assert (summary.key_lost, summary.locked) == (True, True)
    Peer.import_identity(tmp_path / "profile", export, "the export's")
    with caplog.at_level(logging.WARNING):
        opened(tmp_path / "profile", PASSPHRASE)
    assert lying_open(tmp_path / "profile") == []
    assert not caplog.records


async def test_the_list_of_profiles_tells_a_locked_one_without_opening_it(tmp_path: Path) -> None:
    make_profile(tmp_path / "ada", locked=True)
    [summary] = list_profiles(tmp_path)
    assert (summary.account, summary.shown_name, summary.words) == (1, "Me", ME.public.words)
    assert summary.locked
    assert summary.trouble == ""
