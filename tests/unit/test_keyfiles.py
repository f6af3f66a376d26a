"""Key files: written once, for their user only, and read with suspicion."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from shared.errors import ProfileError, StorageError
from shared.keyfiles import load_identity, save_identity
from tests.unit.rights_samples import OWNER, STRANGER


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_identity(tmp_path / "identity", OWNER)
    return tmp_path / "identity"


def test_an_identity_comes_back(path: Path) -> None:
    assert load_identity(path) == OWNER


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_the_file_is_its_users_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        save_identity(tmp_path / "identity", OWNER)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "identity").stat().st_mode) == 0o600


def test_a_file_is_never_overwritten(path: Path) -> None:
    with pytest.raises(ProfileError, match="not overwritten"):
        save_identity(path, STRANGER)
    assert load_identity(path) == OWNER


@pytest.mark.parametrize("dangling", [True, False])
def test_nothing_is_written_through_a_link(tmp_path: Path, dangling: bool) -> None:
    target = tmp_path / "target"
    if not dangling:
        target.write_bytes(b"precious")
    (tmp_path / "identity").symlink_to(target)
    with pytest.raises(ProfileError, match="not overwritten"):
        save_identity(tmp_path / "identity", OWNER)
    assert target.exists() is not dangling
    assert dangling or target.read_bytes() == b"precious"


def test_nothing_is_read_through_a_link(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(ProfileError, match="symbolic link"):
        load_identity(tmp_path / "link")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o666])
def test_a_file_that_others_may_use_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(ProfileError, match="chmod 600"):
        load_identity(path)
    path.chmod(0o600)
    assert load_identity(path) == OWNER


def test_a_file_of_somebody_else_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(ProfileError, match="somebody else"):
        load_identity(path)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="import an export"):
        load_identity(tmp_path / "identity")


def test_a_folder_or_a_pipe_is_no_key_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for place in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ProfileError, match="no regular file"):
            load_identity(place)


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _without_check(data: bytes) -> bytes:
    document = orjson.loads(data)
    del document["check"]
    return orjson.dumps(document)


def _other_key(data: bytes) -> bytes:
    document = orjson.loads(data)
    document["keys"].reverse()
    return orjson.dumps(document)


def _one_key(data: bytes) -> bytes:
    document = orjson.loads(data)
    document["keys"].pop()
    return orjson.dumps(document)


def _no_base64(data: bytes) -> bytes:
    document = orjson.loads(data)
    document["keys"][0] = "not base64!"
    return orjson.dumps(document)


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        _without_check,
        _other_key,
        _one_key,
        _no_base64,
        lambda _: b"",
        lambda _: b"null",
        lambda _: b"\xff" * 40,
        lambda data: data * 40,
    ],
)
def test_a_damaged_file_is_told_as_such(path: Path, damage: Callable[[bytes], bytes]) -> None:
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ProfileError, match="damaged"):
        load_identity(path)


def test_another_kind_of_file_is_not_taken_for_an_identity(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"identity"', b'"secret-key"'))
    with pytest.raises(ProfileError, match="no key file"):
        load_identity(path)


def test_a_full_disk_leaves_no_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-written key file would block the profile: it could be neither read nor overwritten."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            save_identity(tmp_path / "identity", OWNER)
    assert not (tmp_path / "identity").exists()
    save_identity(tmp_path / "identity", OWNER)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        save_identity(tmp_path / "missing" / "identity", OWNER)


def test_errors_never_quote_the_keys(path: Path) -> None:
    document = orjson.loads(path.read_bytes())
    path.write_bytes(orjson.dumps(document | {"version": 2}))
    with pytest.raises(ProfileError) as caught:
        load_identity(path)
    assert not [key for key in document["keys"] if key in str(caught.value)]
