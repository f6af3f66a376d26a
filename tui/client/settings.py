"""What a person may set for the client: theme, keys, how pictures are drawn."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from platformdirs import user_config_path

from tui.common.settings import THEME, read_settings

Pictures = Literal["auto", "cells", "half"]
Hold = Literal["away", "never"]


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """`keys` maps the id of an action, as `--list-keys` tells it, to one or more keys, with commas between them."""

    theme: str = THEME
    keys: dict[str, str] = field(default_factory=dict)
    pictures: Pictures = "auto"
    """`auto`: true pixels where the terminal has them; `cells`: quadrant blocks; `half`: half blocks."""
    hold: Hold = "away"
    """`away`: the cloud holds pictures, sealed, for people who cannot be reached; `never`: they wait here."""
    share_local_addresses: bool = True
    """Whether people with whom there is a grant are told the addresses of this machine in its own network."""
    relay_only: bool = False
    """Whether nobody is told where this machine is: pictures then go through a node, slower and at its limits."""


def settings_path() -> Path:
    """Return where the settings lie."""
    return user_config_path("glimpse") / "client.toml"


def load_settings(path: Path) -> ClientSettings:
    """Read the settings; a file that is not there means the defaults. Raises `InvalidInput` that names the fault."""
    pictures = f"pictures must be one of {', '.join(get_args(Pictures))}"
    hold = f"hold must be one of {', '.join(get_args(Hold))}"
    flags = {name: f"{name} must be true or false" for name in ("share_local_addresses", "relay_only")}
    return read_settings(path, ClientSettings, example='"users.request" = "r"', pictures=pictures, hold=hold, **flags)
