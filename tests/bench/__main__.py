"""`make bench`: every figure that is promised and can be measured here, beside what it is compared to in the same run.

`python -m tests.bench [--only SECTION ...] [--json FILE]`. Figures are medians of several runs. A bar that does not
hold is shown as such and does not stop the rest; the exit code is 1 only where something could not be run.
"""

import argparse
import json
import os
import platform
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import cast

from tests.bench.rows import Row
from tests.databases import ROOT

SECTIONS = {
    "start-up": "tests.bench.start_up:rows",
    "first paint": "tests.bench.first_paint:rows",
    "pictures": "tests.bench.screens:picture_rows",
    "users": "tests.bench.users:rows",
    "idle": "tests.bench.idle:rows",
    "hiding": "tests.bench.hiding:rows",
    "quality": "tests.bench.quality:rows",
    "transfer": "tests.bench.moving:rows",
    "paths": "tests.bench.paths:rows",
    "directory": "tests.bench.cloud:directory_rows",
    "election": "tests.bench.cloud:election_rows",
    "load": "tests.bench.load:rows",
    "crowded": "tests.bench.crowded:rows",
    "feed": "tests.bench.feed:rows",
    "monitor": "tests.bench.monitor:rows",
}
"""Where each section's rows come from; imported when it is its turn."""


def section(name: str) -> Callable[[], list[Row]]:
    """Return the function that measures a section."""
    module, _, function = SECTIONS[name].partition(":")
    return cast("Callable[[], list[Row]]", getattr(import_module(module), function))


def run_section(name: str) -> dict[str, object]:
    """Measure and print one section. What goes wrong in it is shown and noted."""
    load_before, began = os.getloadavg()[0], perf_counter()
    try:
        rows, error = section(name)(), None
    except Exception as problem:  # noqa: BLE001 - one section's failure leaves the others to be measured
        traceback.print_exc()
        rows, error = [], f"{type(problem).__name__}: {problem}"
    took = perf_counter() - began
    print(f"\n{name}  ({took:.0f} s, load average {load_before:.2f} before)")
    for row in rows:
        print(line(row))
    if error is not None:
        print(f"  could not be run: {error}")
    figures = {"seconds": round(took, 1), "load_average": load_before, "error": error}
    return figures | {"rows": [row.as_json() for row in rows]}


def line(row: Row) -> str:
    """Return a row as a line of the table."""
    if row.measured is None:
        beside = f" vs {row.against}" if row.against else ""
        return f"  -    {row.what}{beside}: {row.note}"
    mark = {True: "yes", False: "NO", None: ""}[row.holds]
    figure = f"{number(row.measured)} {row.unit}".strip()
    compared = "" if row.compared is None else f"{row.against} {number(row.compared)}"
    ratio = f"{number(row.ratio)} x" if row.ratio is not None and row.ratio != row.measured else ""
    bar = "" if row.bar is None else f"{row.sense} {number(row.bar)}"
    return f"  {mark:4} {row.what:50} {figure:>16}  {compared:42} {ratio:>9}  {bar:15} {row.note}".rstrip()


def number(value: float) -> str:
    """Return three digits of a figure, without an exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main() -> None:
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=SECTIONS, help="run this section; may be repeated")
    parser.add_argument("--json", type=Path, default=ROOT / "bench.json", help="where the figures go")
    arguments = parser.parse_args()
    began = perf_counter()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.release()}")
    results = {name: run_section(name) for name in arguments.only or SECTIONS}
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    at = datetime.now(UTC).isoformat(timespec="seconds")
    arguments.json.write_text(json.dumps({"at": at, "machine": machine, "sections": results}, indent=2, default=float))
    rows = [row for result in results.values() for row in cast("list[dict[str, object]]", result["rows"])]
    held = [row["holds"] for row in rows if row["holds"] is not None]
    print(
        f"\n{sum(map(bool, held))} of {len(held)} bars hold; {perf_counter() - began:.0f} s;"
        f" figures in {arguments.json.name}"
    )
    sys.exit(1 if any(result["error"] for result in results.values()) else 0)


if __name__ == "__main__":
    main()
