"""What is imported when: stegano only where a record is read or rewritten, OpenCV never."""

import os
import subprocess
import sys

TRAP = 'raise ImportError("libGL.so.1: cannot open shared object file")\n'
SCRIPT = """
import sys
from pathlib import Path
import shared.stego.container, shared.stego.covers, shared.stego.payload, shared.stego.pictures, shared.stego.png
import shared.stego.rights_strip, node.encoder
from shared.stego.container import hide, read_record, replace_record, reveal
png = hide(b"payload", b"{}", image_id=bytes(16))
assert reveal(png, image_id=bytes(16)) == b"payload"
assert not {"stegano", "cv2"} & set(sys.modules), "hiding and revealing need neither"
assert read_record(replace_record(png, b"[]", image_id=bytes(16))) == b"[]"
assert "stegano.lsb" in sys.modules
assert "cv2" not in sys.modules, "the stand-in is gone"
assert "libGL" not in Path("/proc/self/maps").read_text()
print("fine")
"""


def test_opencv_and_libgl_are_never_needed(tmp_path):
    """A `cv2` that fails as OpenCV does on a machine without libGL stands first on the path."""
    (tmp_path / "cv2.py").write_text(TRAP)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.stdout, result.stderr) == ("fine\n", "")


def test_an_opencv_that_is_there_already_is_left_alone():
    script = """
import sys, types
sys.modules["cv2"] = mine = types.ModuleType("cv2")
from shared.stego.rights_strip import _stegano_lsb
assert _stegano_lsb() is _stegano_lsb()
assert sys.modules["cv2"] is mine
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
