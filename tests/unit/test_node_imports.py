"""What a node does without until it needs it, and where it is imported then."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

HEAVY = (
    "numpy",
    "PIL",
    "importlib.metadata",
    "importlib.resources",
    "email",
    "tempfile",
    "zipfile",
    "prometheus_client",
)

HIDE = """
import sys, threading
from pathlib import Path
import anyio
import node.server
from node.encoder import Encoder

class Told:
    def find_spec(self, name, path=None, target=None):
        if name in ("numpy", "PIL"):
            print(name, "in the event loop" if threading.current_thread() is threading.main_thread() else "in a thread")

cover = Path(sys.argv[1]).read_bytes() if sys.argv[1:] else None
sys.meta_path.insert(0, Told())
assert anyio.run(Encoder(1).hide, b"payload", b"{}", bytes(16), cover)
"""


def run(program: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_node_is_imported_without_what_only_pictures_and_the_rare_need() -> None:
    """Each of several hundred nodes that a run of the tests starts paid for all of it: half of its start."""
    assert run(f"import sys, node.server\nprint(*sorted(set({HEAVY!r}) & set(sys.modules)))") == [""]


@pytest.mark.parametrize("chosen", [False, True], ids=["a cover that is drawn", "a cover of the owner's choice"])
def test_the_first_picture_imports_what_it_needs_in_a_thread(tmp_path: Path, chosen: bool) -> None:
    """The event loop would stand still for it, which serves others meanwhile."""
    cover = tmp_path / "cover.png"
    Image.new("RGB", (400, 300), (90, 120, 150)).save(cover)
    assert sorted(run(HIDE, *([str(cover)] if chosen else []))) == ["PIL in a thread", "numpy in a thread"]
