"""What both screen programs let a person set: one TOML file each, by the platform's rules, and what is wrong in it."""

from collections.abc import Container, Mapping
from pathlib import Path
from typing import TypeVar

from shared.files import read_toml

_T = TypeVar("_T")
THEME = "glimpse-dark"
"""The theme of whoever chooses none."""


def read_settings(path: Path, form: type[_T], *, example: str, **hints: str) -> _T:
    """Return what stands in a settings file as a `form`, a dataclass; a file that is not there means the defaults.

    Raises `InvalidInput` that names the fault. `example` is a line of `[keys]`; `hints` say what belongs in the fields
    that only this program has.
    """
    hints = {
        "theme": "theme must be the name of a theme in quotes",
        "keys": f"[keys] must hold lines like {example}",
        **hints,
    }
    try:
        return read_toml(path, form, what="settings file", hints=hints, strict=True)
    except FileNotFoundError:
        return form()


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
