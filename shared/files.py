"""Writing and reading whole files: replaced at once or not at all, on the disk afterwards, and never through a link."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from shared.errors import InvalidInput

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644
TEMPORARY_SUFFIX: Final = ".part"
"""Added to the name of a file that is being written; what a crash leaves of one may be deleted."""
MAX_TOML_BYTES: Final = 64 * 1024
"""A configuration is far shorter; a huge file or a device in its place is not read to its end."""
_FIELD: Final = re.compile(r" - at `\$\.(\w+)")
_T = TypeVar("_T")


# --- Writing ---------------------------------------------------------------------------------------------------------
def replace_file(path: Path, data: bytes, *, mode: int = PRIVATE) -> None:
    """Put `data` in the place of a file, or make it; returns once it is on the disk.

    Raises `OSError`; the old file is then as it was, and nothing is left beside it. One writer at a time.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    temporary.unlink(missing_ok=True)
    _write_new(temporary, data, mode)
    try:
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    flush_to_disk(path.parent)


def create_file(path: Path, data: bytes, *, mode: int = PRIVATE) -> None:
    """Write `data` to a new file; returns once it is on the disk.

    Raises `FileExistsError` if there is anything of that name, be it a link to nowhere, and another `OSError` if the
    file cannot be written; then nothing of it is left.
    """
    _write_new(path, data, mode)
    flush_to_disk(path.parent)


def flush_to_disk(path: Path) -> None:
    """Return once a finished file, or a folder's list of files, is on the disk. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise


# --- TOML ------------------------------------------------------------------------------------------------------------
def read_toml(
    path: Path,
    form: type[_T],
    *,
    what: str,
    hints: Mapping[str, str] | None = None,
    remedy: str = "",
    strict: bool = False,
) -> _T:
    """Return what stands in a TOML file as a `form`, which is a dataclass.

    `what` is what messages call the file, such as "cluster file"; `hints` say for a field what belongs there, and
    `remedy` what to do where something else is wrong with one; `strict` refuses fields that `form` does not have.
    Raises `FileNotFoundError`, and `InvalidInput` with one sentence where the file is too long, cannot be read, is no
    TOML, or does not hold what `form` asks for.
    """
    return toml_from(_toml_bytes(path, what), form, where=path, what=what, hints=hints, remedy=remedy, strict=strict)


def toml_from(
    data: bytes,
    form: type[_T],
    *,
    where: Path | str,
    what: str,
    hints: Mapping[str, str] | None = None,
    remedy: str = "",
    strict: bool = False,
) -> _T:
    """Return what the bytes of a TOML file hold, as `read_toml` does; `where` is what messages call their place."""
    import msgspec  # not before the first screen of the client is painted

    document = toml_document(data, where, what)
    if strict and (unknown := document.keys() - form.__dataclass_fields__.keys()):  # type: ignore[attr-defined]
        raise InvalidInput(f"The {what} {where} names {min(unknown)!r}, which is not known; remove it.")
    try:
        return msgspec.convert(document, type=form)
    except msgspec.ValidationError as error:
        found = _FIELD.search(str(error))
        hint = (hints or {}).get(found[1]) if found else None
        fault = hint or (f"{error}; {remedy}" if remedy else error)
        raise InvalidInput(f"In the {what} {where}, {fault}.") from None


def _toml_bytes(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_TOML_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InvalidInput(f"The {what} {path} cannot be read: {error.strerror}.") from None


def toml_document(data: bytes, where: Path | str, what: str) -> dict[str, Any]:
    """Return the tables and values in the bytes of a TOML file. Raises `InvalidInput` as `read_toml` does."""
    import msgspec

    if len(data) > MAX_TOML_BYTES:
        raise InvalidInput(f"{where} is too long for a {what}; check the path.")
    try:
        document: dict[str, Any] = msgspec.toml.decode(data)
    except RecursionError:
        raise InvalidInput(f"The {what} {where} cannot be read: it is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The {what} {where} cannot be read: {error}.") from None
    except ValueError:  # Python reads no more than 4300 digits
        raise InvalidInput(f"The {what} {where} cannot be read: it holds a number of thousands of digits.") from None
    return document
