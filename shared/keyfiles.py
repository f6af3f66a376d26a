"""Keys on disk: identities of people and operators.

A key file belongs to its user and to nobody else (0600), is never overwritten, and is never read through a symbolic
link. An export for safe keeping is another thing: it is sealed under a passphrase (`shared.keyexport`).
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

from shared.errors import ProfileError, StorageError
from shared.files import create_file
from shared.identity import KEY_BYTES, Identity

MAX_KEY_FILE_BYTES: Final = 4_096
"""A key file is far shorter; a device or a huge file in its place is not read to its end."""

_KIND: Final = "identity"


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a key file holds. `check` finds damage; it protects nothing."""

    glimpse: Literal["identity"]
    version: Literal[1]
    keys: Annotated[list[str], msgspec.Meta(min_length=2, max_length=2)]
    check: str


def save_identity(path: Path, identity: Identity) -> None:
    """Write an identity to a new file of mode 0600 and wait until it is on disk.

    Raises `ProfileError` if the file exists already (it is never overwritten), `StorageError` if it cannot be written.
    """
    keys = [identity.signing_private, identity.session_private]
    texts = [base64.b64encode(key).decode("ascii") for key in keys]
    content = _KeyFile(glimpse=_KIND, version=1, keys=texts, check=_check(keys))
    data = orjson.dumps(msgspec.to_builtins(content), option=orjson.OPT_APPEND_NEWLINE)
    try:
        create_file(path, data)
    except FileExistsError:
        raise ProfileError(f"{path} exists already and is not overwritten; move it away first.") from None
    except OSError as error:
        raise StorageError(f"The key file {path} cannot be written: {error.strerror}.") from error


def load_identity(path: Path) -> Identity:
    """Return the identity in a key file.

    Raises `ProfileError` if the file is missing, damaged, a symbolic link, not one's own, or open to others; the text
    says what to do.
    """
    with _opened(path) as descriptor:
        _check_safe(path, os.fstat(descriptor))
        data = _read_all(path, descriptor)
    damaged = ProfileError(f"The key file {path} is damaged or no key file; restore it from a copy or an export.")
    try:
        content = msgspec.convert(orjson.loads(data), type=_KeyFile, strict=True)
        keys = [base64.b64decode(text, validate=True) for text in content.keys]
    except (ValueError, msgspec.ValidationError):
        raise damaged from None
    if any(len(key) != KEY_BYTES for key in keys) or content.check != _check(keys):
        raise damaged
    return Identity(*keys)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open without following a link, and without waiting for the other end of a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ProfileError(f"There is no key file {path}; restore it from a copy or import an export.") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ProfileError(f"{path} is a symbolic link; put the key file itself there.") from None
        raise ProfileError(f"The key file {path} cannot be read: {error.strerror}.") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _check_safe(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ProfileError(f"{path} is no regular file; put the key file itself there.")
    if status.st_uid != os.geteuid():
        raise ProfileError(f"The key file {path} belongs to somebody else; use a copy of your own (chown it).")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise ProfileError(f"Others may read or change the key file {path}; run: chmod 600 {path}")


def _read_all(path: Path, descriptor: int) -> bytes:
    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise ProfileError(f"The key file {path} cannot be read: {error.strerror}.") from error


def _check(keys: list[bytes]) -> str:
    return sha256(_KIND.encode() + b"".join(keys)).hexdigest()[:16]
