"""Exports of identities: whole ones open with their passphrase; the rest is told apart by what went wrong."""

import base64
from hashlib import sha256

import pytest

from shared.errors import InvalidInput, ProfileError, WrongPassphrase
from shared.keyexport import MAX_SCRYPT_LOG2_N, MIN_SCRYPT_LOG2_N, SCRYPT_LOG2_N, export_identity, import_identity
from tests.unit.rights_samples import OWNER, Entropy

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def exported() -> bytes:
    return export_identity(OWNER, PASSPHRASE, entropy=Entropy(), scrypt_log2_n=MIN_SCRYPT_LOG2_N)


def block_of(exported: bytes) -> bytearray:
    lines = exported.decode().splitlines()
    return bytearray(base64.b64decode("".join(lines[1:-1])))


def armoured(block: bytes) -> bytes:
    """Armour a block as the export does, with a checksum that is right."""
    whole = bytes(block[:-8]) + sha256(bytes(block[:-8])).digest()[:8]
    return b"-----BEGIN GLIMPSE IDENTITY-----\n" + base64.b64encode(whole) + b"\n-----END GLIMPSE IDENTITY-----\n"


def test_an_identity_comes_back(exported: bytes) -> None:
    assert import_identity(exported, PASSPHRASE) == OWNER
    assert OWNER.signing_private not in block_of(exported)


def test_the_default_work_factor_is_the_one_in_use() -> None:
    exported = export_identity(OWNER, PASSPHRASE)
    assert block_of(exported)[5] == SCRYPT_LOG2_N
    assert import_identity(exported, PASSPHRASE) == OWNER


@pytest.mark.parametrize("passphrase", ["", "Correct horse battery staple", PASSPHRASE + " "])
def test_a_wrong_passphrase_is_told_as_such(exported: bytes, passphrase: str) -> None:
    with pytest.raises(WrongPassphrase):
        import_identity(exported, passphrase)


def test_one_passphrase_from_two_keyboards() -> None:
    exported = export_identity(OWNER, "caf\u00e9", scrypt_log2_n=MIN_SCRYPT_LOG2_N)
    assert import_identity(exported, "cafe\u0301") == OWNER


def test_an_empty_passphrase_is_refused() -> None:
    with pytest.raises(InvalidInput):
        export_identity(OWNER, "")


@pytest.mark.parametrize("log2_n", [0, MIN_SCRYPT_LOG2_N - 1, MAX_SCRYPT_LOG2_N + 1, 255])
def test_no_export_is_made_that_could_not_be_read(log2_n: int) -> None:
    with pytest.raises(InvalidInput):
        export_identity(OWNER, PASSPHRASE, scrypt_log2_n=log2_n)


def test_two_exports_share_nothing() -> None:
    first, second = (export_identity(OWNER, PASSPHRASE, scrypt_log2_n=MIN_SCRYPT_LOG2_N) for _ in range(2))
    assert block_of(first)[8:36] != block_of(second)[8:36]
    assert block_of(first)[36:] != block_of(second)[36:]


def test_what_mail_does_to_text_does_no_harm(exported: bytes) -> None:
    quoted = b"Keep this!\r\n\r\n" + exported.replace(b"\n", b"  \r\n\t") + b"\r\n--\r\nsent from afar"
    assert import_identity(quoted, PASSPHRASE) == OWNER


@pytest.mark.parametrize("place", range(0, 124, 3))
def test_a_damaged_copy_is_never_taken_for_a_wrong_passphrase(exported: bytes, place: int) -> None:
    block = block_of(exported)
    block[place] ^= 4
    text = b"-----BEGIN GLIMPSE IDENTITY-----\n" + base64.b64encode(block) + b"\n-----END GLIMPSE IDENTITY-----\n"
    with pytest.raises(ProfileError, match="damaged") as caught:
        import_identity(text, PASSPHRASE)
    assert not isinstance(caught.value, WrongPassphrase)


def test_a_cut_copy_is_told_as_damaged(exported: bytes) -> None:
    lines = exported.splitlines(keepends=True)
    for text in (b"".join(lines[:-1]), b"".join(lines[:2] + lines[3:]), exported.replace(b"A", b"!"), exported[:-10]):
        with pytest.raises(ProfileError, match="damaged"):
            import_identity(text, PASSPHRASE)


@pytest.mark.parametrize("text", [b"", b"hello", b"\x89PNG\r\n", b"-----BEGIN PRIVATE KEY-----", b"x" * 5_000])
def test_another_file_is_told_as_such(text: bytes) -> None:
    with pytest.raises(ProfileError) as caught:
        import_identity(text, PASSPHRASE)
    assert not isinstance(caught.value, WrongPassphrase)


@pytest.mark.parametrize(
    ("place", "value"), [(5, 0), (5, 9), (5, 21), (5, 40), (5, 255), (6, 255), (6, 1), (7, 0), (7, 200)]
)
def test_a_crafted_work_factor_is_refused_at_once(
    exported: bytes, place: int, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crafted file with N = 2^40 must not make the program ask for a petabyte."""
    block = block_of(exported)
    block[place] = value

    def derived(*_parameters: object) -> None:
        pytest.fail("the work was begun")

    monkeypatch.setattr("shared.keyexport.stretched", derived)
    with pytest.raises(ProfileError, match="more work"):
        import_identity(armoured(block), PASSPHRASE)


@pytest.mark.parametrize(("place", "value"), [(0, 0), (4, 0), (4, 2)])
def test_another_version_is_told_as_such(exported: bytes, place: int, value: int) -> None:
    block = block_of(exported)
    block[place] = value
    with pytest.raises(ProfileError, match="another version"):
        import_identity(armoured(block), PASSPHRASE)


@pytest.mark.parametrize("place", [8, 24, 36, 99])
def test_forged_parts_behind_a_right_checksum_do_not_open(exported: bytes, place: int) -> None:
    block = block_of(exported)
    block[place] ^= 1
    with pytest.raises(WrongPassphrase):
        import_identity(armoured(block), PASSPHRASE)
