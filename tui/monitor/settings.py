"""What a person may set for the monitor: theme and keys. One TOML file, by the platform's rules."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_config_path

from shared.errors import InvalidInput

_MAX_FILE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """`keys` maps the id of an action, as the keys panel shows it, to one or more keys, with commas between them."""

    theme: str = "glimpse-dark"
    keys: dict[str, str] = field(default_factory=dict)


def settings_path() -> Path:
    """Return where the settings lie."""
    return user_config_path("glimpse") / "monitor.toml"


def load_settings(path: Path) -> MonitorSettings:
    """Read the settings; a file that is not there means the defaults. Raises `InvalidInput` that names the fault."""
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise InvalidInput(f"{path} is too long for a settings file; check it.")
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return MonitorSettings()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"The settings {path} cannot be read: {error}.") from None
    theme, keys = document.get("theme", "glimpse-dark"), document.get("keys", {})
    if unknown := document.keys() - {"theme", "keys"}:
        raise InvalidInput(f"The settings {path} name {min(unknown)!r}, which is not known; remove it.")
    if not isinstance(theme, str):
        raise InvalidInput(f"In {path}, theme must be the name of a theme in quotes.")
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        raise InvalidInput(f'In {path}, [keys] must hold lines like "monitor.pause" = "space".')
    return MonitorSettings(theme, {str(name): str(key) for name, key in keys.items()})
