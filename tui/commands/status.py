"""`glimpse status` and `glimpse order`: what the nodes say of themselves, and what an operator tells them."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anyio
import click
import orjson

from shared.cluster import load_cluster
from shared.errors import InvalidInput
from tui.common.user_paths import find_cluster
from tui.common.wording import lasting, latency, plain
from tui.operator import Operator

_VERSION_CELLS: Final = 8
_TROUBLE_CELLS: Final = 300


async def status_of(cluster: Path | None) -> dict[str, Any]:
    """Return the state of a cluster."""
    file = find_cluster(cluster)
    async with Operator(load_cluster(file), file) as operator:
        return await operator.status()


async def watch_status(cluster: Path | None, every_s: float, deliver: Callable[[dict[str, Any]], None]) -> None:
    """Hand the state of a cluster to `deliver` again and again, until cancelled."""
    file = find_cluster(cluster)
    async with Operator(load_cluster(file), file) as operator:
        while True:
            deliver(await operator.status())
            await anyio.sleep(every_s)


def echo(status: dict[str, Any], *, as_json: bool) -> None:
    """Print one of the states that are watched: in the place of the last one on a terminal, else after it."""
    if as_json:
        click.echo(orjson.dumps(status))
        return
    if sys.stdout.isatty():
        click.clear()
    click.echo(show(status, as_json=False) + "\n")


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
    directory = status["directory"]
    return "\n".join(
        [
            f"leader {status['leader'] or 'none'}, term {status['term']}",
            _line("node", "role", "version", "up", "load1", "cost", "in flight", "done", "heard", "directory"),
            *(_node_line(node) for node in status["nodes"]),
            f"directory {directory['engine'] or 'unknown'}: {_summary(directory)}",
            *_troubles(status["nodes"]),
        ]
    )


def _line(name: str, role: str, version: str, up: str, *rest: str) -> str:
    """Return a line of the table: words to the left, numbers to the right; 80 cells with names of up to eight."""
    numbers = zip(rest, (7, 6, 11, 7, 8, 11), strict=True)
    return f"{name:8} {role:9} {version:8}{up:>6}" + "".join(f"{text:>{cells}}" for text, cells in numbers)


def _node_line(node: dict[str, Any]) -> str:
    if node["role"] == "down":
        return f"{node['name']:8} down"
    directory = node["directory"]
    return _line(
        node["name"],
        "deaf" if node["deaf"] else "draining" if node["draining"] else node["role"],
        plain(node["program"], _VERSION_CELLS) or "?",
        lasting(node["uptime_s"]),
        f"{node['load1']:.2f}",
        f"{node['cost']:.2f}",
        str(node["in_flight"]),
        str(node["requests_done"]),
        latency(None if (age_ms := node["heartbeat_age_ms"]) is None else age_ms / 1000),
        latency(directory["latency_ms"] / 1000) if directory["ok"] else "trouble",
    )


def _troubles(nodes: list[dict[str, Any]]) -> list[str]:
    """Return what is not as it should be, a line each."""
    lines = []
    for node in nodes:
        if "trouble" in node:
            lines.append(f"  {node['name']}: {plain(node['trouble'], _TROUBLE_CELLS)}")
        if node["role"] != "down" and not node["directory"]["ok"]:
            lines.append(f"  {node['name']}: {plain(_trouble(node['directory']), _TROUBLE_CELLS)}")
    versions = {node["program"] for node in nodes if node["role"] != "down"}
    if len(versions) > 1:
        lines.append("  The nodes run different versions of Glimpse; that is meant for the time of an upgrade only.")
    return lines


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
