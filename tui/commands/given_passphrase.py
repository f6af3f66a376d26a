"""Where every command that opens a profile takes its passphrase from."""

import os
import stat
from pathlib import Path
from typing import Final

from shared.errors import InvalidInput
from shared.passphrase import checked_passphrase

_VARIABLE: Final = "GLIMPSE_PASSPHRASE"
_MAX_FILE_BYTES: Final = 8_192


def given_passphrase(file: Path | None) -> str | None:
    """Return the passphrase in the first line of a file, else that of GLIMPSE_PASSPHRASE, None without either.

    The variable is taken out of the environment, so that no program that this one starts gets it. Raises `InvalidInput`
    for a file that cannot be read, that others may read, or that is empty.
    """
    named = os.environ.pop(_VARIABLE, None)
    if file is None:
        return None if named is None else checked_passphrase(named)
    try:
        with file.open("rb") as opened:
            mode, data = os.fstat(opened.fileno()).st_mode, opened.read(_MAX_FILE_BYTES)
        line = data.decode("utf-8").splitlines()[:1]
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(f"The passphrase file {file} cannot be read; its first line is the passphrase.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidInput(f"Others may read the passphrase file {file}; run: chmod 600 {file}")
    if not line or not line[0]:
        raise InvalidInput(f"The first line of the passphrase file {file} is empty; write the passphrase there.")
    return checked_passphrase(line[0])
