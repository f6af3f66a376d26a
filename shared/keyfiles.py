"""Keys on disk: identities of people and operators.

A key file belongs to its user and to nobody else (0600), is never replaced by other keys, and is never read through a
symbolic link. In a profile that is locked by a passphrase the keys in it are encrypted under the profile's data key
(`shared.data_key`). An export for safe keeping is another thing: it has a passphrase of its own (`shared.keyexport`).
"""

import base64
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import orjson

from shared.data_key import DataKey
from shared.errors import PassphraseNeeded, ProfileError, StorageError
from shared.files import create_file, replace_file
from shared.identity import KEY_BYTES, Identity, words_of

MAX_KEY_FILE_BYTES: Final = 4_096
"""A key file is far shorter; a device or a huge file in its place is not read to its end."""

_KIND: Final = "identity"


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a key file holds. `check` finds damage; it protects nothing."""

    glimpse: Literal["identity"]
    version: Literal[1]
    keys: Annotated[list[str], msgspec.Meta(min_length=2, max_length=2)]
    check: str


class _LockedKeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the key file of a locked profile holds; the public key is there so that its words can be shown."""

    glimpse: Literal["identity"]
    version: Literal[2]
    public: str
    sealed: str
    check: str


def save_identity(path: Path, identity: Identity, key: DataKey | None = None) -> None:
    """Write an identity to a new file of mode 0600, encrypted if there is a `key`; wait until it is on disk.

    Raises `ProfileError` if the file exists already (it is never overwritten), `StorageError` if it cannot be written.
    """
    try:
        create_file(path, _encoded(identity, key))
    except FileExistsError:
        raise ProfileError(f"{path} exists already and is not overwritten; move it away first.") from None
    except OSError as error:
        raise _not_written(path, error) from error


def rewrite_identity(path: Path, key: DataKey | None, new_key: DataKey | None) -> None:
    """Write the same identity once more, encrypted under `new_key` or, without one, in clear; all of it or nothing.

    Raises as `load_identity` does, and `StorageError` if it cannot be written.
    """
    identity = load_identity(path, key)
    try:
        replace_file(path, _encoded(identity, new_key))
    except OSError as error:
        raise _not_written(path, error) from error


def load_identity(path: Path, key: DataKey | None = None) -> Identity:
    """Return the identity in a key file, whether it is encrypted under `key` or in clear.

    Raises `PassphraseNeeded` for one that is encrypted where there is no key, `ProfileError` if the file is missing,
    damaged, a symbolic link, not one's own, or open to others; the text says what to do.
    """
    content = _content(path)
    if isinstance(content, _KeyFile):
        return Identity(*_bytes_of(path, content))
    if key is None:
        raise PassphraseNeeded(f"The key file {path} is locked by a passphrase, which is needed to open it.")
    public, sealed = _bytes_of(path, content)
    try:
        keys = key.open(_KIND, sealed)
    except ProfileError:
        raise ProfileError(
            f"The keys in {path} were encrypted under another data key; restore the whole profile from one copy, or"
            " import an export of the account into a new profile."
        ) from None
    identity = Identity(keys[:KEY_BYTES], keys[KEY_BYTES:])
    if identity.public.signing_key != public:
        raise _damaged(path)
    return identity


def is_locked_file(path: Path) -> bool:
    """Return whether the keys in a key file are encrypted. Raises as `load_identity` does."""
    return isinstance(_content(path), _LockedKeyFile)


def words_in(path: Path) -> str:
    """Return the fingerprint words of the identity in a key file, locked or not. Raises as `load_identity` does.

    Nothing proves those of a locked file before it is opened.
    """
    content = _content(path)
    if isinstance(content, _LockedKeyFile):
        return words_of(_bytes_of(path, content)[0])
    return Identity(*_bytes_of(path, content)).public.words


def read_private(path: Path, what: str = "key file") -> bytes:
    """Return at most `MAX_KEY_FILE_BYTES` of a file that is its user's alone; `what` is what messages call it.

    Raises `ProfileError` if the file is missing, a symbolic link, not one's own, or open to others.
    """
    with _opened(path, what) as descriptor:
        _check_safe(path, what, os.fstat(descriptor))
        return _read_all(path, what, descriptor)


# --- Inside ----------------------------------------------------------------------------------------------------------
def _encoded(identity: Identity, key: DataKey | None) -> bytes:
    keys = [identity.signing_private, identity.session_private]
    content: _KeyFile | _LockedKeyFile
    if key is None:
        content = _KeyFile(glimpse=_KIND, version=1, keys=[_text(each) for each in keys], check=_check(keys))
    else:
        public, sealed = identity.public.signing_key, key.seal(_KIND, b"".join(keys))
        check = _check([public, sealed])
        content = _LockedKeyFile(glimpse=_KIND, version=2, public=_text(public), sealed=_text(sealed), check=check)
    return orjson.dumps(msgspec.to_builtins(content), option=orjson.OPT_APPEND_NEWLINE)


def _content(path: Path) -> _KeyFile | _LockedKeyFile:
    data = read_private(path)
    try:
        fields = orjson.loads(data)
        is_locked = isinstance(fields, dict) and fields.get("version") == 2
        form: type[_KeyFile | _LockedKeyFile] = _LockedKeyFile if is_locked else _KeyFile
        return msgspec.convert(fields, type=form, strict=True)
    except (ValueError, msgspec.ValidationError):
        raise _damaged(path) from None


def _bytes_of(path: Path, content: _KeyFile | _LockedKeyFile) -> list[bytes]:
    """Return both private keys, or the public key and the encrypted ones. Raises `ProfileError` if they are damaged."""
    texts = content.keys if isinstance(content, _KeyFile) else [content.public, content.sealed]
    try:
        parts = [base64.b64decode(text, validate=True) for text in texts]
    except ValueError:
        raise _damaged(path) from None
    keys = parts if isinstance(content, _KeyFile) else parts[:1]
    if any(len(part) != KEY_BYTES for part in keys) or content.check != _check(parts):
        raise _damaged(path)
    return parts


def _damaged(path: Path) -> ProfileError:
    return ProfileError(f"The key file {path} is damaged or no key file; restore it from a copy or an export.")


def _not_written(path: Path, error: OSError) -> StorageError:
    return StorageError(f"The key file {path} cannot be written: {error.strerror}.")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


@contextmanager
def _opened(path: Path, what: str) -> Iterator[int]:
    """Open without following a link, and without waiting for the other end of a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ProfileError(f"There is no {what} {path}; restore it from a copy or import an export.") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ProfileError(f"{path} is a symbolic link; put the file itself there.") from None
        raise ProfileError(f"The {what} {path} cannot be read: {error.strerror}.") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _check_safe(path: Path, what: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ProfileError(f"{path} is no regular file; put the file itself there.")
    if status.st_uid != os.geteuid():
        raise ProfileError(f"The {what} {path} belongs to somebody else; use a copy of your own (chown it).")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise ProfileError(f"Others may read or change the {what} {path}; run: chmod 600 {path}")


def _read_all(path: Path, what: str, descriptor: int) -> bytes:
    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise ProfileError(f"The {what} {path} cannot be read: {error.strerror}.") from error


def _check(keys: list[bytes]) -> str:
    return sha256(_KIND.encode() + b"".join(keys)).hexdigest()[:16]
