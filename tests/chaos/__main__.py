"""`make soak`: `python -m tests.chaos [--minutes M] [--seed S ...] [--json] [--without FIX]`; see `docs/testing.md`.

Exit code 0 only if nothing was lost, doubled, shown without right, stuck or different at the end.
"""

import argparse
import asyncio
import contextlib
import json
import random
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos.run import Plan, Result, check_again, run
from tests.chaos.without import CONTROLS


def main() -> int:
    """Run each seed after the other; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Real nodes and peers under faults.")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long faults go on, per seed [1]")
    parser.add_argument("--seed", type=int, action="append", help="repeat for several [one by chance]")
    parser.add_argument("--owners", type=int, default=2)
    parser.add_argument("--viewers", type=int, default=3)
    parser.add_argument("--only", action="append", default=[], help="only this kind of fault; repeat for several")
    parser.add_argument("--never", action="append", default=[], help="not this kind of fault; repeat for several")
    parser.add_argument("--without", action="append", default=[], choices=sorted(CONTROLS), help="take a fix out")
    parser.add_argument("--patience", type=float, default=180.0, help="seconds for anything to come to rest [180]")
    parser.add_argument("--folder", type=Path, help="where everything is kept [a temporary folder, kept on failure]")
    parser.add_argument("--again", type=Path, help="check what an earlier run left in this folder, run nothing")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each seed")
    chosen = parser.parse_args()
    if chosen.again is not None:
        result = check_again(chosen.again)
        print("\n".join(result.as_text()))
        return 0 if result.well else 1
    seeds = chosen.seed or [random.SystemRandom().randrange(100_000)]
    all_well = True
    if chosen.folder is not None:
        chosen.folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        folder = Path(tempfile.mkdtemp(prefix=f"glimpse-chaos-{seed}-", dir=chosen.folder))
        plan = Plan(
            seed=seed,
            minutes=chosen.minutes,
            owners=chosen.owners,
            viewers=chosen.viewers,
            only=chosen.only,
            never=chosen.never,
            without=chosen.without,
            patience_s=chosen.patience,
        )
        result = asyncio.run(_until_ended(plan, folder))
        print(json.dumps(result.as_json()) if chosen.json else "\n".join(result.as_text()), flush=True)
        all_well = all_well and result.well
        if result.well and chosen.folder is None:
            result.clear()
    return 0 if all_well else 1


async def _until_ended(plan: Plan, folder: Path) -> Result:
    """Run; SIGTERM ends it as Ctrl+C does, with nothing left behind."""
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run(plan, folder)


if __name__ == "__main__":
    sys.exit(main())
