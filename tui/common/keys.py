"""All actions that a person can put on other keys: read from the screens, dialogs and widgets themselves."""

from __future__ import annotations

import pkgutil
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import KEY_NAME_REPLACEMENTS, KEY_TO_UNICODE_NAME, Keys

CLIENT_PACKAGES = ("tui.client", "tui.common")
MONITOR_PACKAGES = ("tui.monitor", "tui.common")
_MODIFIERS = frozenset({"alt", "ctrl", "hyper", "meta", "shift", "super"})
_NAMED = frozenset({key.value for key in Keys} | set(KEY_NAME_REPLACEMENTS.values()) | set(KEY_TO_UNICODE_NAME))


@dataclass(frozen=True, slots=True)
class Action:
    """The id that the settings know an action by, its keys (with commas between them), and what it does."""

    id: str
    keys: str
    what: str


def actions(packages: tuple[str, ...] = CLIENT_PACKAGES) -> list[Action]:
    """Return every action with an id in these packages, by id. Imports all screens, which takes a moment."""
    for package in packages:
        _import_all(package)
    found: dict[str, Action] = {}
    for node in _descendants(DOMNode):
        if node.__module__.startswith(packages):
            for binding in node.__dict__.get("BINDINGS", ()):
                if isinstance(binding, Binding) and binding.id:
                    found.setdefault(
                        binding.id, Action(binding.id, binding.key, binding.tooltip or binding.description)
                    )
    return [found[name] for name in sorted(found)]


def unknown(names: set[str], packages: tuple[str, ...] = CLIENT_PACKAGES) -> list[str]:
    """Return which of the ids that somebody set keys for belong to no action in these packages."""
    return sorted(names - {action.id for action in actions(packages)})


def unusable(keys: Mapping[str, str]) -> list[str]:
    """Return which of the keys that somebody set no terminal sends; `''` where an action was given none."""
    found = {key.strip() for listed in keys.values() for key in listed.split(",")}
    return sorted(key for key in found if not _is_key(key))


def _is_key(key: str) -> bool:
    *modifiers, last = key.split("+") if len(key) > 1 else [key]
    if not set(modifiers) <= _MODIFIERS:
        return False
    return len(last) == 1 or last in _NAMED or _is_character(last)


def _is_character(name: str) -> bool:
    try:
        unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return False
    return name.islower()


def _import_all(package: str) -> None:
    for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
        import_module(module.name)


def _descendants(kind: type[DOMNode]) -> Iterator[type[DOMNode]]:
    for child in kind.__subclasses__():
        yield child
        yield from _descendants(child)
