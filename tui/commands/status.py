"""`glimpse status` and `glimpse order`: what the nodes say of themselves, and what an operator tells them."""

from pathlib import Path
from typing import Any

import orjson

from shared.cluster import load_cluster
from shared.errors import InvalidInput
from tui.common.user_paths import find_cluster
from tui.operator import Operator


async def status_of(cluster: Path | None) -> dict[str, Any]:
    """Return the state of a cluster."""
    file = find_cluster(cluster)
    async with Operator(load_cluster(file), file) as operator:
        return await operator.status()


async def give_order(cluster: Path | None, name: str, order: str, value: str) -> None:
    """Give one node an order. Raises `InvalidInput` for a value that does not fit it."""
    file = find_cluster(cluster)
    number = 0.0
    if order in ("deaf", "slow"):
        try:
            number = float(value)
        except ValueError:
            raise InvalidInput(f"The order {order} needs a number.") from None
    elif value and order not in ("policy", "token"):
        raise InvalidInput(f"The order {order} takes no value.")
    async with Operator(load_cluster(file), file) as operator:
        await operator.command(name, order, number=number, text=value if order in ("policy", "token") else "")


def show(status: dict[str, Any], *, as_json: bool) -> str:
    """Return the state as text or JSON."""
    if as_json:
        return orjson.dumps(status, option=orjson.OPT_INDENT_2).decode()
    lines = [f"leader {status['leader'] or 'none'}, term {status['term']}"]
    troubles = []
    lines.append(f"{'node':8}{'role':10}{'load1':>7}{'cost':>7}{'in flight':>11}{'done':>8}{'heard ms':>10}")
    for node in status["nodes"]:
        if node["role"] == "down":
            lines.append(f"{node['name']:8}down")
            if "trouble" in node:
                troubles.append(f"  {node['name']}: {node['trouble']}")
            continue
        role = "draining" if node["draining"] else node["role"]
        heard = "-" if node["heartbeat_age_ms"] is None else f"{node['heartbeat_age_ms']:.0f}"
        lines.append(
            f"{node['name']:8}{role:10}{node['load1']:7.2f}{node['cost']:7.2f}{node['in_flight']:11d}"
            f"{node['requests_done']:8d}{heard:>10}"
        )
        if not node["directory"]["ok"]:
            troubles.append(f"  {node['name']}: {_trouble(node['directory'])}")
    directory = status["directory"]
    lines.append(f"directory {directory['engine'] or 'unknown'}: {_summary(directory)}")
    return "\n".join(lines + troubles)


def _summary(directory: dict[str, Any]) -> str:
    if not directory["ok"]:
        return "does not answer" if directory["latency_ms"] is None else "cannot be written"
    late = f", its time runs {directory['ahead_s']:.0f} s ahead of the clock" if directory["ahead_s"] else ""
    epoch = directory.get("epoch", 0)
    restored = f", restored from a backup (epoch {epoch})" if epoch > 1 else ""
    return f"{directory['latency_ms']:.1f} ms{late}{restored}"


def _trouble(directory: dict[str, Any]) -> str:
    """Return what is wrong between one node and the directory, as that node says."""
    what = "cannot write" if not directory["writable"] else "gets no answer"
    return f"{what}. {directory['error']}".rstrip()
