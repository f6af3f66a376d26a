"""Passphrases of profiles: data keys, the file that holds one, key files under it."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared import data_key
from shared.data_key import SEALED_MAGIC, DataKey, is_sealed, unwrap, wrap
from shared.errors import InvalidInput, PassphraseNeeded, ProfileError, WrongPassphrase
from shared.keyfiles import is_locked_file, load_identity, rewrite_identity, save_identity, words_in
from tests.unit.rights_samples import OWNER, STRANGER

WORD = "correct horse battery staple"
NAME = "/p/ada/data-key"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_key, "SCRYPT_LOG2_N", data_key.MIN_SCRYPT_LOG2_N)


# --- Data keys -------------------------------------------------------------------------------------------------------
def test_what_is_sealed_opens_for_its_purpose_only() -> None:
    key = DataKey.generate()
    sealed = key.seal("content_key", b"secret")
    assert is_sealed(sealed)
    assert b"secret" not in sealed
    assert key.open("content_key", sealed) == b"secret"
    assert key.seal("content_key", b"secret") != sealed
    for purpose, data in (("ephemeral", sealed), ("content_key", sealed[:-1]), ("content_key", SEALED_MAGIC)):
        with pytest.raises(ProfileError):
            key.open(purpose, data)
    with pytest.raises(ProfileError):
        DataKey.generate().open("content_key", sealed)


def test_a_key_tells_nothing_of_itself() -> None:
    key = DataKey.generate()
    assert key.secret.hex() not in repr(key)
    assert key.id not in key.secret.hex()
    assert key.id == DataKey(key.secret).id != DataKey.generate().id


# --- The file --------------------------------------------------------------------------------------------------------
def test_a_key_comes_back_by_its_passphrase_only() -> None:
    key = DataKey.generate()
    data = wrap(key, WORD)
    assert unwrap(data, WORD, name=NAME) == (key, False)
    assert key.secret not in data
    for wrong in ("Correct horse battery staple", WORD + " ", "x"):
        with pytest.raises(WrongPassphrase, match=r"try again.*forgotten.*export"):
            unwrap(data, wrong, name=NAME)
    assert wrap(key, WORD) != data


def test_one_passphrase_from_two_keyboards() -> None:
    key = DataKey.generate()
    assert unwrap(wrap(key, "caf\u00e9"), "cafe\u0301", name=NAME)[0] == key


@pytest.mark.parametrize("word", ["", "x" * 1_025])
def test_a_passphrase_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(InvalidInput, match="1 to 1024"):
        wrap(DataKey.generate(), word)


def test_less_work_than_today_opens_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    key = DataKey.generate()
    data = wrap(key, WORD)
    monkeypatch.setattr(data_key, "SCRYPT_LOG2_N", data_key.MIN_SCRYPT_LOG2_N + 1)
    assert unwrap(data, WORD, name=NAME) == (key, True)


@pytest.mark.parametrize("place", range(0, 240, 7))
def test_damage_is_never_taken_for_a_wrong_passphrase(place: int) -> None:
    data = bytearray(wrap(DataKey.generate(), WORD))
    data[place % len(data)] ^= 1
    with pytest.raises(ProfileError, match=r"/p/ada/data-key (is damaged|was written)") as caught:
        unwrap(bytes(data), WORD, name=NAME)
    assert not isinstance(caught.value, WrongPassphrase)


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 4_000, b"\xff\xfe", b"null", b'{"glimpse":"identity"}'])
def test_another_file_in_its_place_is_one_sentence(data: bytes) -> None:
    with pytest.raises(ProfileError, match=r"is damaged.*export"):
        unwrap(data, WORD, name=NAME)


def test_one_of_a_newer_version_is_told_as_such() -> None:
    fields = json.loads(wrap(DataKey.generate(), WORD)) | {"version": 2, "kdf": "argon2id"}
    with pytest.raises(ProfileError, match="newer Glimpse; update"):
        unwrap(json.dumps(fields).encode(), WORD, name=NAME)


@pytest.mark.parametrize("log2_n", [-1, 0, 9, 21, 40, 2**70])
def test_a_crafted_work_factor_is_refused_at_once(log2_n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """N = 2^40 would ask for a petabyte."""
    fields = json.loads(wrap(DataKey.generate(), WORD)) | {"log2_n": log2_n}
    monkeypatch.setattr(data_key, "stretched", lambda *_: pytest.fail("the work was begun"))
    with pytest.raises(ProfileError, match="damaged"):
        unwrap(json.dumps(fields).encode(), WORD, name=NAME)


def test_the_function_is_loaded_when_it_is_needed() -> None:
    """Whoever has no passphrase does not pay for it at each start."""
    code = (
        "import sys, tui.peer.peer; from shared.passphrase import stretched;"
        "name = 'cryptography.hazmat.primitives.kdf.scrypt'; assert name not in sys.modules;"
        "stretched('x', b's' * 16, 10); assert name in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(Path.cwd())})


# --- Key files -------------------------------------------------------------------------------------------------------
def test_a_locked_key_file_opens_by_its_key_and_shows_its_words(tmp_path: Path) -> None:
    path, key = tmp_path / "identity", DataKey.generate()
    save_identity(path, OWNER, key)
    assert load_identity(path, key) == OWNER
    assert is_locked_file(path)
    assert words_in(path) == OWNER.public.words
    data = path.read_bytes()
    for secret in (OWNER.signing_private, OWNER.session_private):
        assert base64.b64encode(secret)[:40] not in data
    with pytest.raises(PassphraseNeeded):
        load_identity(path)
    with pytest.raises(ProfileError, match="another data key; restore the whole profile"):
        load_identity(path, DataKey.generate())


def test_a_key_file_is_locked_and_opened_in_place(tmp_path: Path) -> None:
    path, key = tmp_path / "identity", DataKey.generate()
    save_identity(path, OWNER)
    rewrite_identity(path, None, key)
    assert is_locked_file(path)
    rewrite_identity(path, key, None)
    assert not is_locked_file(path)
    assert load_identity(path) == load_identity(path, key) == OWNER
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_public_key_that_was_exchanged_is_damage(tmp_path: Path) -> None:
    path, key = tmp_path / "identity", DataKey.generate()
    save_identity(path, OWNER, key)
    fields = json.loads(path.read_bytes())
    for change in (
        {"public": base64.b64encode(STRANGER.public.signing_key).decode()},
        {"check": "0" * 16},
        {"sealed": "no base64"},
        {"public": ""},
    ):
        path.write_text(json.dumps(fields | change))
        with pytest.raises(ProfileError, match="damaged"):
            load_identity(path, key)
