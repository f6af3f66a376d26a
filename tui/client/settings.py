"""What a person may set for the client: theme, keys, how pictures are drawn. One TOML file, by the platform's rules."""

from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_config_path

from shared.errors import InvalidInput

_MAX_FILE_BYTES = 64 * 1024
PICTURES = ("auto", "cells", "half")


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """`keys` maps the id of an action, as the keys panel shows it, to one or more keys, with commas between them."""

    theme: str = "glimpse-dark"
    keys: dict[str, str] = field(default_factory=dict)
    pictures: str = "auto"
    """`auto`: true pixels where the terminal has them; `cells`: quadrant blocks; `half`: half blocks."""


def settings_path() -> Path:
    """Return where the settings lie."""
    return user_config_path("glimpse") / "client.toml"


def load_settings(path: Path) -> ClientSettings:
    """Read the settings; a file that is not there means the defaults. Raises `InvalidInput` that names the fault."""
    import tomllib  # the first screen is painted sooner where there is no file

    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise InvalidInput(f"{path} is too long for a settings file; check it.")
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ClientSettings()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"The settings {path} cannot be read: {error}.") from None
    theme, keys, pictures = (
        document.get("theme", "glimpse-dark"),
        document.get("keys", {}),
        document.get("pictures", "auto"),
    )
    if unknown := document.keys() - {"theme", "keys", "pictures"}:
        raise InvalidInput(f"The settings {path} name {min(unknown)!r}, which is not known; remove it.")
    if not isinstance(theme, str):
        raise InvalidInput(f"In {path}, theme must be the name of a theme in quotes.")
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        raise InvalidInput(f'In {path}, [keys] must hold lines like "users.request" = "r".')
    if pictures not in PICTURES:
        raise InvalidInput(f"In {path}, pictures must be one of {', '.join(PICTURES)}.")
    return ClientSettings(theme, {str(name): str(key) for name, key in keys.items()}, pictures)
