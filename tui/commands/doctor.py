"""`glimpse doctor`: what lies between this machine, the nodes and a peer, and what to change, in plain words."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from shared.cluster import load_cluster
from shared.net.paths import shown_address
from shared.text import clean
from tui.common.user_paths import find_cluster
from tui.peer import Peer
from tui.peer.doctor import AddressFound, Examination, Mapping, examine

CLOCK_S: Final = 2.0
"""A clock that is off by less harms nothing: rights end by the directory's time."""

_TRANSLATORS: Final = {
    Mapping.NONE: "none: nodes see an address of this machine ({seen})",
    Mapping.ENDPOINT_INDEPENDENT: "one address for all ({seen}): direct paths to others can be opened",
    Mapping.DEPENDENT: "another address for each that is sent to ({seen}): direct paths only to those who can be"
    " reached as they are, all others through a node",
    Mapping.UNKNOWN: "not known: it takes two nodes that answer",
}


async def diagnose(
    cluster: Path | None, *, folder: Path | None = None, peer: int | None = None, passphrase: str | None = None
) -> dict[str, Any]:
    """Return what was found: the cluster's nodes from here and, with `peer`, the path to that account's peer.

    `folder` is the profile that looks for it. Raises `GlimpseError` where that profile, or the account, cannot be used.
    """
    file = find_cluster(cluster)
    told = _told(await examine(load_cluster(file)))
    if peer is not None:
        assert folder is not None
        async with _signed_in(folder, file, passphrase) as person:
            told["peer"] = asdict(await person.find_path(peer))
    told["advice"] = _advice(told)
    return told


@asynccontextmanager
async def _signed_in(folder: Path, cluster: Path, passphrase: str | None) -> AsyncIterator[Peer]:
    async with Peer(folder, cluster, passphrase=passphrase) as peer:
        await peer.sign_in()
        yield peer


def _told(found: Examination) -> dict[str, Any]:
    return {
        "nodes": [
            {
                "name": node.name,
                "answers": node.answers,
                "addresses": [_address(one) for one in node.addresses],
                "seen": None if node.seen is None else shown_address(node.seen),
            }
            for node in found.nodes
        ],
        "families": list(found.families),
        "translator": found.mapping.value,
        "seen": [shown_address(address) for address in found.seen],
        "clock_ahead_s": None if found.ahead_s is None else round(found.ahead_s, 3),
    }


def _address(found: AddressFound) -> dict[str, Any]:
    rtt_ms = None if found.rtt_ms is None else round(found.rtt_ms, 1)
    return {
        "address": shown_address(found.address),
        "hosts": list(found.hosts),
        "rtt_ms": rtt_ms,
        "trouble": found.trouble,
    }


def _advice(told: dict[str, Any]) -> list[str]:
    """Return what to change, most pressing first; nothing where all is well."""
    nodes = told["nodes"]
    advice = [
        f"{node['name']}, {one['address']}: {one['trouble']}"
        for node in nodes
        for one in node["addresses"]
        if one["trouble"]
    ]
    ahead_s = told["clock_ahead_s"]
    if ahead_s is not None and abs(ahead_s) >= CLOCK_S:
        which = "behind" if ahead_s > 0 else "ahead of"
        advice.append(
            f"This machine's clock is {abs(ahead_s):.0f} s {which} the cloud's; set it, or have it set by NTP."
        )
    if told["translator"] == Mapping.DEPENDENT.value:
        advice.append(
            "Pictures go through a node where no direct path can be opened; a router that forwards a port, or that"
            " keeps one address for all (RFC 4787), would spare that."
        )
    return advice


def is_well(told: dict[str, Any]) -> bool:
    """Whether every node answers and, where it was asked for, the peer was reached."""
    return all(node["answers"] for node in told["nodes"]) and told.get("peer", {}).get("path") != ""


def show(told: dict[str, Any], *, as_json: bool) -> str:
    """Return what was found as text or JSON."""
    if as_json:
        return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()
    lines = [_node_line(node, one) for node in told["nodes"] for one in node["addresses"]]
    families = " and ".join(told["families"]) or "none that others could reach"
    lines += [f"{'families':10}{families}", f"{'clock':10}{_clock(told['clock_ahead_s'])}"]
    seen = ", ".join(told["seen"])
    lines.append(f"{'router':10}{_TRANSLATORS[Mapping(told['translator'])].format(seen=seen)}")
    if (peer := told.get("peer")) is not None:
        lines.append(f"{'peer':10}{_peer_line(peer)}")
    lines += (
        ["", "What to change:", *(f"- {one}" for one in told["advice"])] if told["advice"] else ["", "All is well."]
    )
    return "\n".join(lines)


def _node_line(node: dict[str, Any], one: dict[str, Any]) -> str:
    hosts = ", ".join(host for host in one["hosts"] if host not in one["address"])
    where = f"{one['address']}" + (f" = {hosts}" if hosts else "")
    answer = "no answer" if one["rtt_ms"] is None else f"answers in {one['rtt_ms']:.1f} ms"
    return f"{node['name']:10}{where}: {answer}"


def _clock(ahead_s: float | None) -> str:
    if ahead_s is None:
        return "not known: no node told the cloud's time"
    if abs(ahead_s) < CLOCK_S:
        return "agrees with the cloud's"
    return f"{abs(ahead_s):.0f} s {'behind' if ahead_s > 0 else 'ahead of'} the cloud's"


def _peer_line(peer: dict[str, Any]) -> str:
    name = f"{clean(peer['name'])} #{peer['account']}"
    if not peer["path"]:
        return f"{name}: {peer['trouble']}"
    return f"{name}: {peer['path']}, found in {peer['took_s']:.2f} s"
