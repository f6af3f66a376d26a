"""What is told of the profiles on this machine without opening, locking or making anything."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import ProfileError
from tui.peer.profile import Profile, profile_folder
from tui.peer.profiles import ProfileSummary, folder_name, list_profiles, profile_names
from tui.peer.store import Store

HOLD = """
import sys
from pathlib import Path
from tui.peer.profiles import folder_name
from tui.peer.profile import Profile, profile_folder
with Profile(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def made(root: Path, name: str, account: int | None = 7, shown_name: str = "Ada") -> str:
    """Make a profile as a peer does; return its fingerprint words."""
    with Profile(root / name) as profile:
        words = profile.identity().public.words
        store = Store(profile.store_path)
        if account is not None:
            store.set_fact("account", str(account))
            store.set_fact("name", shown_name)
        store.close()
    return words


def contents(root: Path) -> dict[str, tuple[int, float, int]]:
    """Return every file with size, time of change and mode."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_size, status.st_mtime, status.st_mode)
    return found


def test_profiles_are_told_by_name_and_nothing_is_changed(tmp_path: Path) -> None:
    words = {name: made(tmp_path, name) for name in ("zoe", "ada")}
    made(tmp_path, "new", account=None)
    before = contents(tmp_path)
    found = list_profiles(tmp_path)
    assert contents(tmp_path) == before
    assert [summary.name for summary in found] == ["ada", "new", "zoe"]
    assert found[0] == ProfileSummary("ada", 7, "Ada", words["ada"])
    assert (found[1].account, found[1].shown_name, found[1].trouble) == (None, "", "")


def test_no_folder_means_no_profiles_and_makes_none(tmp_path: Path) -> None:
    assert list_profiles(tmp_path / "nowhere") == []
    assert not (tmp_path / "nowhere").exists()


def test_what_is_no_profile_is_left_out(tmp_path: Path) -> None:
    for name in (".hidden", "has blank", "-dash", "x" * 49):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "fine").mkdir()
    assert profile_names(tmp_path) == ["fine"]
    assert list_profiles(tmp_path) == [ProfileSummary("fine")]


def test_what_is_in_the_write_ahead_log_counts(tmp_path: Path) -> None:
    """While a client runs, and after one that crashed, the newest facts are not in the file itself."""
    made(tmp_path, "ada", account=None)
    store = Store(tmp_path / "ada" / "store.sqlite")
    store.set_fact("account", "9")
    store.set_fact("name", "Ada")
    try:
        assert [(row.account, row.shown_name) for row in list_profiles(tmp_path)] == [(9, "Ada")]
        crashed = tmp_path / "crashed"
        crashed.mkdir()
        shutil.copytree(tmp_path / "ada", crashed / "ada")
        assert [(row.account, row.shown_name) for row in list_profiles(crashed)] == [(9, "Ada")]
    finally:
        store.close()


def test_who_holds_a_profile_is_told_while_it_does(tmp_path: Path) -> None:
    made(tmp_path, "ada")
    assert list_profiles(tmp_path)[0].held_by is None, "the number in the lock file is of one that closed it"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "ada")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert list_profiles(tmp_path)[0].held_by == other.pid
        with pytest.raises(ProfileError, match=f"open in process {other.pid}"), Profile(tmp_path / "ada"):
            pass
        other.communicate("")
    assert list_profiles(tmp_path)[0].held_by is None
    with Profile(tmp_path / "ada"):
        assert list_profiles(tmp_path)[0].held_by == os.getpid()


@pytest.mark.parametrize("number", ["", "no number", "-1", "0", "99999999999999999999", "1"])
def test_a_lock_file_that_says_nonsense_means_nobody(tmp_path: Path, number: str) -> None:
    made(tmp_path, "ada")
    (tmp_path / "ada" / "lock").write_text(number)
    assert list_profiles(tmp_path)[0].held_by is None


def test_damaged_profiles_say_what_is_wrong_and_hide_nothing_else(tmp_path: Path) -> None:
    words = {name: made(tmp_path, name) for name in ("bad-key", "bad-store", "fine", "old-mode")}
    (tmp_path / "bad-key" / "identity").write_text("{}")
    (tmp_path / "bad-store" / "store.sqlite").write_bytes(b"no database at all" * 100)
    (tmp_path / "old-mode" / "identity").chmod(0o644)
    bad_key, bad_store, fine, old_mode = list_profiles(tmp_path)
    assert "damaged" in bad_key.trouble
    assert (bad_key.account, bad_key.words, bad_key.key_lost) == (7, "", False)
    assert "cannot be read" in bad_store.trouble
    assert (bad_store.account, bad_store.words) == (None, words["bad-store"])
    assert fine == ProfileSummary("fine", 7, "Ada", words["fine"])
    assert "chmod 600" in old_mode.trouble


def test_a_store_with_odd_facts_is_trouble_not_a_crash(tmp_path: Path) -> None:
    made(tmp_path, "ada")
    store = Store(tmp_path / "ada" / "store.sqlite")
    store.set_fact("account", "seven")
    store.close()
    assert "cannot be read" in list_profiles(tmp_path)[0].trouble


def test_a_lost_key_is_told_and_no_new_one_takes_its_place(tmp_path: Path) -> None:
    """A fresh key in a profile that has an account would be refused by the cloud, and the old one never asked for."""
    made(tmp_path, "ada")
    (tmp_path / "ada" / "identity").unlink()
    found = list_profiles(tmp_path)[0]
    assert found.key_lost
    assert "import an export" in found.trouble
    with Profile(tmp_path / "ada") as profile, pytest.raises(ProfileError, match="import an export"):
        profile.identity()
    assert not (tmp_path / "ada" / "identity").exists()


@pytest.mark.parametrize(
    ("name", "taken", "folder"),
    [
        ("Ada", (), "ada"),
        ("Zoë Müller", ("zoe-muller", "ZOE-MULLER-2"), "zoe-muller-3"),
        ("  ../../etc/passwd ", (), "etc-passwd"),
        ("日本語", ("profile",), "profile-2"),
        (".hidden", (), "hidden"),
        ("x" * 48, ("x" * 40,), "x" * 40 + "-2"),
        ("👩‍👩‍👧 \x1b[31m", (), "31m"),
    ],
)
def test_a_folder_s_name_is_made_from_what_was_typed(name: str, taken: tuple[str, ...], folder: str) -> None:
    found = folder_name(name, taken)
    assert found == folder
    assert profile_folder(Path("root"), found) == Path("root") / folder
