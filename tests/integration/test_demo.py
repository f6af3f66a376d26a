"""The scripted demo: the ten use cases on real photographs, three node processes, three people's processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.slow]


def test_the_ten_use_cases_hold(directory_url: str, tmp_path: Path) -> None:
    """On both directories, with a killed node and people who come and go; the stats of the reference's report."""
    url_file = tmp_path / "url"
    url_file.touch(mode=0o600)
    url_file.write_text(directory_url)
    options = ["--directory-file", str(url_file)] if directory_url.startswith("mysql") else []
    result = subprocess.run(
        [sys.executable, "-m", "tui.cli", "demo", "--script", *options],
        capture_output=True,
        text=True,
        timeout=280,  # below the limit of a test, and far above what it takes
        check=False,
        env=dict(os.environ),
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    steps = [line.split()[1] for line in lines if line.startswith("ok ")]
    assert steps == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "+", "9", "+", "10"]
    assert lines[-1].startswith("all ten use cases held")
    assert result.stderr == ""
