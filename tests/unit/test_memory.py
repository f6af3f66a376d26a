"""What a node remembers of the directory, and the file in which it does."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.directory import Marks
from node.memory import NOTHING, Memory
from node.node_folder import Damaged, load_memory, memory_path, save_memory
from shared.errors import StorageError

NOW = Marks(commits=100, epoch=1, term=4, accounts=9)
LATER = Marks(commits=130, epoch=1, term=5, accounts=11)
CLUSTER = "c" * 32


def read(memory: Memory, found: Marks):
    return memory.read(memory.highest, found)


def test_a_first_start_finds_nothing() -> None:
    memory = Memory()
    assert memory.epoch == 0
    assert read(memory, NOW) is None
    assert memory.epoch == 1


@pytest.mark.parametrize("number", ["commits", "epoch", "term", "accounts"])
def test_a_directory_behind_in_any_number_was_restored(number: str) -> None:
    memory = Memory(LATER)
    behind = replace(LATER, **{number: getattr(LATER, number) - 1})
    found = read(memory, behind)
    assert found is not None
    assert (found.found, found.highest) == (behind, LATER)
    assert memory.restored is found
    assert memory.epoch == 0, "nothing is served from it"


def test_a_recovered_directory_is_served_again() -> None:
    memory = Memory(LATER)
    assert read(memory, NOW) is not None
    recovered = Marks(commits=1_000_130, epoch=2, term=5, accounts=1_011)
    assert read(memory, recovered) is None
    assert (memory.restored, memory.epoch) == (None, 2)


def test_a_restart_and_a_power_cut_are_no_restore() -> None:
    """The next life finds at least what the earlier ones had seen on the disk."""
    memory = Memory()
    for step in range(5):
        assert read(memory, replace(NOW, commits=100 + step)) is None
    assert read(Memory(memory.highest), replace(NOW, commits=104)) is None


def test_a_reading_is_remembered_once_a_later_one_confirms_it() -> None:
    """A commit that was seen a moment before it was on the disk may go with a power cut, and nobody had its answer."""
    memory = Memory()
    read(memory, NOW)
    read(memory, LATER)
    assert memory.highest == NOW
    assert read(memory, NOW) is None, "what was never confirmed may be gone"
    read(memory, LATER)
    read(memory, LATER)
    assert memory.highest == LATER


def test_a_node_that_stops_in_order_remembers_its_last_reading() -> None:
    memory = Memory()
    read(memory, LATER)
    memory.settle()
    assert memory.highest == LATER


def test_other_nodes_remember_for_one_that_lost_its_memory() -> None:
    memory = Memory()
    assert read(memory, NOW) is None
    memory.told(LATER)
    assert read(memory, NOW) is not None


def test_word_of_a_later_state_while_the_question_is_under_way_is_no_restore() -> None:
    """An answer was compared with what another node had seen after it was given: a busy cluster would have frozen
    every grant now and then."""
    memory = Memory()
    asked_with = memory.highest
    memory.told(LATER)
    assert memory.read(asked_with, NOW) is None
    assert read(memory, LATER) is None


def test_what_others_tell_only_raises() -> None:
    memory = Memory(LATER)
    memory.told(NOTHING)
    memory.told(replace(NOW, term=9))
    assert memory.highest == replace(LATER, term=9)


counts = st.integers(0, 2**53)


@given(st.builds(Marks, counts, counts, counts, counts))
def test_the_file_gives_back_what_was_kept(tmp_path_factory: pytest.TempPathFactory, marks: Marks) -> None:
    path = memory_path(tmp_path_factory.mktemp("node"), "n1")
    save_memory(path, CLUSTER, marks)
    assert load_memory(path, CLUSTER) == marks


def test_the_file_is_private_and_replaced_at_once(tmp_path: Path) -> None:
    path = memory_path(tmp_path, "n1")
    assert load_memory(path, CLUSTER) == NOTHING
    save_memory(path, CLUSTER, NOW)
    first = path.stat()
    save_memory(path, CLUSTER, LATER)
    assert load_memory(path, CLUSTER) == LATER
    assert path.stat().st_ino != first.st_ino
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["memory-n1.json"]


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b"null", b"\xff\xfe", b"{" * 9_000])
def test_a_damaged_file_is_said_to_be_so(tmp_path: Path, damage: bytes) -> None:
    path = memory_path(tmp_path, "n1")
    path.write_bytes(damage)
    with pytest.raises(Damaged):
        load_memory(path, CLUSTER)


def test_numbers_that_were_changed_and_files_of_other_clusters_are_not_believed(tmp_path: Path) -> None:
    path = memory_path(tmp_path, "n1")
    save_memory(path, CLUSTER, NOW)
    with pytest.raises(Damaged, match="another cluster"):
        load_memory(path, "d" * 32)
    path.write_bytes(path.read_bytes().replace(b'"commits":100', b'"commits":101'))
    with pytest.raises(Damaged, match="check sum"):
        load_memory(path, CLUSTER)


def test_a_folder_that_is_not_there_is_an_error_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        save_memory(memory_path(tmp_path / "gone", "n1"), CLUSTER, NOW)
