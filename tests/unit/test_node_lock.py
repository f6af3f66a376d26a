"""A node runs once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from node.lock import running_once
from shared.errors import StorageError, UserError


def test_a_second_start_names_the_process_that_runs(tmp_path: Path) -> None:
    again = pytest.raises(UserError, match=f"as process {os.getpid()}")
    with running_once(tmp_path, "n1"), again, running_once(tmp_path, "n1"):
        pass


def test_other_nodes_and_the_next_start_are_free(tmp_path: Path) -> None:
    with running_once(tmp_path, "n1"), running_once(tmp_path, "n2"):
        pass
    with running_once(tmp_path, "n1"):
        pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_ended_leaves_no_lock(tmp_path: Path, number: signal.Signals) -> None:
    """The number in the file outlives its process; only the lock counts."""
    code = (
        "import os, pathlib, sys; from node.lock import running_once\n"
        "with running_once(pathlib.Path(sys.argv[1]), 'n1'): os.kill(os.getpid(), int(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(int(number))]
    assert subprocess.run(command, check=False).returncode == -number
    with running_once(tmp_path, "n1"):
        pass


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be made"), running_once(tmp_path / "absent", "n1"):
        pass
