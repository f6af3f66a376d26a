"""A node's own file: keys that only its owner may read, and the limits that an operator sets."""

from pathlib import Path

import pytest

from node.settings import Bind, NodeSettings, change_node_settings, load_node_settings, save_node_settings
from shared.config import REQUEST_LIMITS
from shared.errors import InvalidInput

SETTINGS = NodeSettings(b"k" * 32, b"s" * 32, "sqlite:///d.sqlite")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "node-n1.toml"
    save_node_settings(path, SETTINGS)
    return path


def test_what_is_saved_is_loaded_with_the_limits_of_this_version(file: Path) -> None:
    assert load_node_settings(file) == SETTINGS
    assert load_node_settings(file).limits == REQUEST_LIMITS
    assert "limits" not in file.read_text(), "a later version may have better ones"


def test_an_operator_sets_limits(file: Path) -> None:
    file.write_text(file.read_text() + "[limits]\nrequests_per_s = 5\nregistrations_burst = 3\n")
    limits = load_node_settings(file).limits
    assert (limits.requests_per_s, limits.registrations_burst) == (5, 3)
    assert limits.requests_burst == REQUEST_LIMITS.requests_burst


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("requests_per_s = 0", "more than 0"),
        ('upload_bytes = "much"', "Expected `int`"),
        ("requests_per_s = " + "9" * 5_000, "cannot be read: it holds a number of thousands of digits"),
        ("requests_per_s = " + "[" * 3_000, "nested too deeply"),
    ],
)
def test_a_limit_that_cannot_be_says_so(file: Path, line: str, says: str) -> None:
    file.write_text(file.read_text() + f"[limits]\n{line}\n")
    with pytest.raises(InvalidInput, match=says):
        load_node_settings(file)


def test_a_file_that_others_may_read_is_refused(file: Path) -> None:
    file.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        load_node_settings(file)


def test_a_node_may_listen_elsewhere_than_others_are_told(file: Path) -> None:
    assert "bind" not in file.read_text()
    file.write_text(file.read_text() + '[bind]\nhost = "::"\nnode_port = 7002\n')
    assert load_node_settings(file).bind == Bind("::", 0, 7002)


@pytest.mark.parametrize(
    ("line", "says"), [('host = "eth0"', "an address of this machine"), ("port = 70000", "between 1 and 65535")]
)
def test_a_place_to_listen_that_cannot_be_says_so(file: Path, line: str, says: str) -> None:
    file.write_text(file.read_text() + f"[bind]\n{line}\n")
    with pytest.raises(InvalidInput, match=says):
        load_node_settings(file)


def test_what_is_changed_leaves_the_rest_as_it_was(file: Path) -> None:
    """A replaced share key stays as a former one, by which what an old backup brings back can be read."""
    file.write_text(file.read_text() + "[limits]\nrequests_per_s = 5\n")
    change_node_settings(file, directory_url="sqlite:///e.sqlite", private_key=b"p" * 32)
    change_node_settings(file, next_share_key=b"t" * 32)
    assert load_node_settings(file).next_share_key == b"t" * 32
    for key in (b"t" * 32, b"t" * 32, b"u" * 32):
        change_node_settings(file, share_key=key)
    found = load_node_settings(file)
    assert (found.private_key, found.directory_url, found.limits.requests_per_s) == (b"p" * 32, "sqlite:///e.sqlite", 5)
    assert (found.share_key, found.former_share_keys) == (b"u" * 32, (b"t" * 32, b"s" * 32))
    assert found.next_share_key is None
    assert file.stat().st_mode & 0o777 == 0o600
