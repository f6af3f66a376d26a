"""A node's incarnations grow, whatever the clock does."""

import stat
from pathlib import Path

import pytest

from node.node_folder import Lives
from shared.errors import StorageError, UserError
from shared.wire.node_messages import MAX_INCARNATION


def test_each_life_is_higher_than_all_before_and_than_what_others_know(tmp_path: Path) -> None:
    lives = Lives(tmp_path, "n1")
    assert lives.begin(0) == 1
    assert Lives(tmp_path, "n1").begin(0) == 2
    assert Lives(tmp_path, "n1").begin(1_700_000_000_000_000) == 1_700_000_000_000_001
    assert Lives(tmp_path, "n1").begin(5) == 1_700_000_000_000_002
    assert Lives(tmp_path, "n2").begin(0) == 1
    assert stat.S_IMODE(lives.path.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["node-n1.life", "node-n2.life"]


def test_a_start_that_was_cut_off_in_between_leaves_the_number_whole(tmp_path: Path) -> None:
    lives = Lives(tmp_path, "n1")
    lives.begin(6)
    lives.path.with_name("node-n1.life.new").write_bytes(b"9999999")
    assert lives.begin(0) == 8


@pytest.mark.parametrize("content", [b"", b"seven", b"\xff\xfe", str(MAX_INCARNATION).encode()])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    lives = Lives(tmp_path, "n1")
    lives.path.write_bytes(content)
    with pytest.raises(UserError, match="remove it"):
        lives.begin(0)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        Lives(tmp_path / "absent", "n1").begin(0)
