"""What both screen programs let a person set: one TOML file each, by the platform's rules, and what is wrong in it."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import InvalidInput

_MAX_FILE_BYTES = 64 * 1024
THEME = "glimpse-dark"
"""The theme of whoever chooses none."""


@dataclass(frozen=True, slots=True)
class Written:
    """What stands in a settings file, or the defaults. `chosen` has a value for each of the choices."""

    theme: str
    keys: dict[str, str]
    chosen: dict[str, str]


def read_settings(path: Path, *, example: str, choices: Mapping[str, Sequence[str]] | None = None) -> Written:
    """Read a file with `theme`, `[keys]` and the `choices` of a program, of which the first value is the default.

    A file that is not there means the defaults. Raises `InvalidInput` that names the fault; `example` is a keys line.
    """
    choices = choices or {}
    document = _document(path)
    theme, keys = document.pop("theme", THEME), document.pop("keys", {})
    chosen = {name: document.pop(name, values[0]) for name, values in choices.items()}
    if document:
        raise InvalidInput(f"The settings {path} name {min(document)!r}, which is not known; remove it.")
    if not isinstance(theme, str):
        raise InvalidInput(f"In {path}, theme must be the name of a theme in quotes.")
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        raise InvalidInput(f"In {path}, [keys] must hold lines like {example}.")
    for name, value in chosen.items():
        if value not in choices[name]:
            raise InvalidInput(f"In {path}, {name} must be one of {', '.join(choices[name])}.")
    return Written(theme, {str(name): str(key) for name, key in keys.items()}, chosen)


def _document(path: Path) -> dict[str, Any]:
    import tomllib  # the first screen is painted sooner where there is no file

    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise InvalidInput(f"{path} is too long for a settings file; check it.")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"The settings {path} cannot be read: {error}.") from None


def complaints(
    program: str, theme: str, themes: Container[str], keys: Mapping[str, str], packages: tuple[str, ...]
) -> list[str]:
    """Return what of a person's settings for `program` could not be heeded, in sentences. Slow: for threads."""
    file, said = f"{program}.toml", []
    if theme not in themes:
        said.append(f"{file} names the theme {theme!r}, which there is not; Ctrl+P shows all under Theme.")
    if keys:
        from tui.common.keys import unknown, unusable

        if names := unknown(set(keys), packages):
            listing = f"glimpse {program} --list-keys"
            said.append(f"{file} sets keys for {', '.join(names)}, which is no action; see {listing}.")
        if wrong := unusable(keys):
            said.append(f"{file} sets {', '.join(map(repr, wrong))}, which is no key; write it as f2, r or ctrl+x.")
    return said
