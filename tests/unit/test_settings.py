"""The settings files of the screen programs: what is wrong in one is named, and what cannot be heeded is said."""

from pathlib import Path

import pytest

from shared.errors import InvalidInput
from tui.client.settings import ClientSettings, load_settings
from tui.common.keys import CLIENT_PACKAGES, MONITOR_PACKAGES
from tui.common.settings import complaints


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "client.toml") == ClientSettings("glimpse-dark", {}, "auto")


def test_everything_can_be_set(tmp_path: Path) -> None:
    file = tmp_path / "client.toml"
    lines = 'theme = "nord"\npictures = "half"\nhold = "never"\nshare_local_addresses = false\nrelay_only = true\n'
    file.write_text(f'{lines}[keys]\n"users.request" = "f2,r"\n')
    keys = {"users.request": "f2,r"}
    assert load_settings(file) == ClientSettings("nord", keys, "half", "never", False, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("theme = 3", "theme must be the name of a theme"),
        ("[keys]\na = 1", "keys. must hold lines like"),
        ("keys = 3", "keys. must hold lines like"),
        ("colour = 1", "names 'colour', which is not known"),
        ('pictures = "oil"', "pictures must be one of auto, cells, half"),
        ("pictures = []", "pictures must be one of"),
        ("relay_only = 1", "relay_only must be true or false"),
        ('share_local_addresses = "no"', "share_local_addresses must be true or false"),
        ("=", "cannot be read"),
        ("#" * 70_000, "too long"),
        ("a = " + "[" * 20_000, "nested too deeply"),
        ("a = " + "9" * 20_000, "cannot be read: it holds a number of thousands of digits"),
        ("theme = " + "9" * 5_000, "it holds a number of thousands of digits"),
        ("theme = " + "[" * 3_000, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "client.toml"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=said):
        load_settings(file)


def test_what_cannot_be_heeded_is_said() -> None:
    keys = {"users.reqest": "f2", "app.quit": "F2"}
    assert complaints("client", "nrod", {"nord"}, keys, CLIENT_PACKAGES) == [
        "client.toml names the theme 'nrod', which there is not; Ctrl+P shows all under Theme.",
        "client.toml sets keys for users.reqest, which is no action; see glimpse client --list-keys.",
        "client.toml sets 'F2', which is no key; write it as f2, r or ctrl+x.",
    ]
    assert complaints("monitor", "nord", {"nord"}, {"dashboard.measure": "f2"}, MONITOR_PACKAGES) == []
    assert complaints("monitor", "nord", {"nord"}, {"users.request": "f2"}, MONITOR_PACKAGES) != []
