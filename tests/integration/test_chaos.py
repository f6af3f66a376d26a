"""A short run of the chaos harness: real nodes and peers under faults; nothing lost, doubled, won, stuck or different.

`make soak` is the long one. Nothing here depends on speed: a slow machine gets less done, and everything is waited for.
"""

import sys
from pathlib import Path

import pytest

from tests.chaos.run import Plan, run

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("chaos"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs a whole block of loopback addresses"),
]


async def test_a_short_run_loses_doubles_and_wins_nothing(tmp_path: Path) -> None:
    plan = Plan(
        seed=5,
        minutes=0.25,
        owners=1,
        viewers=2,
        images=2,
        actors=1,
        fault_pause_s=1.0,
        first=("backup", "copied-profile", "kill", "lost-answer", "read", "restore", "second-start", "terminate"),
        never=["full-disk", "clock", "rolling"],
    )
    result = await run(plan, tmp_path)
    assert result.well, "\n".join(result.as_text())
    assert sum(result.acknowledged.values()) > 0
