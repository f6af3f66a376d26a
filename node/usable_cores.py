"""How many cores a node may use: the machine's, less what its affinity and its control groups take away.

In a container the machine's own number would make a node think that it has room where it has none. Control groups are
described in the kernel's documentation: admin-guide/cgroup-v2 (`cpu.max`) and scheduler/sched-bwc (`cpu.cfs_quota_us`).
"""

import math
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/")


def usable_cores(root: Path = _ROOT) -> int:
    """Return the number of cores that this process may keep busy, rounded up; at least 1.

    `root` is where the file systems `proc` and `sys` are.
    """
    cores = float(os.cpu_count() or 1)
    if sys.platform == "linux":
        cores = min(cores, len(os.sched_getaffinity(0)))
    return max(1, math.ceil(min([cores, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Yield how many cores each control group above this process grants, where it grants only some."""
    groups = root / "sys/fs/cgroup"
    for controllers, path in _memberships(root):
        for group in [path, *path.parents]:
            place = group.relative_to("/")
            with suppress(OSError, ValueError, ZeroDivisionError):
                if controllers:
                    quota = _number(groups / "cpu" / place / "cpu.cfs_quota_us")
                    period = _number(groups / "cpu" / place / "cpu.cfs_period_us")
                else:
                    quota, period = map(float, (groups / place / "cpu.max").read_text(encoding="ascii").split())
                if quota > 0:
                    yield quota / period


def _memberships(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the groups that may limit this process: those with the controller `cpu`, and that of version 2."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if (not controllers or "cpu" in controllers.split(",")) and path.startswith("/"):
            yield controllers, Path(path)


def _number(file: Path) -> float:
    return float(file.read_text(encoding="ascii"))
