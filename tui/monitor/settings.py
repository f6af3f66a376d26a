"""What a person may set for the monitor: theme and keys."""

from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_config_path

from tui.common.settings import THEME, read_settings


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """`keys` maps the id of an action, as `--list-keys` tells it, to one or more keys, with commas between them."""

    theme: str = THEME
    keys: dict[str, str] = field(default_factory=dict)


def settings_path() -> Path:
    """Return where the settings lie."""
    return user_config_path("glimpse") / "monitor.toml"


def load_settings(path: Path) -> MonitorSettings:
    """Read the settings; a file that is not there means the defaults. Raises `InvalidInput` that names the fault."""
    return read_settings(path, MonitorSettings, example='"dashboard.measure" = "m"')
