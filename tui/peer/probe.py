"""Which nodes of a cluster answer just now, and in words why none does. Opens no profile and signs nobody in."""

import os
from dataclasses import dataclass
from enum import Enum, auto

import anyio

from shared.cluster import Cluster, NodeAddress
from shared.errors import GlimpseError
from shared.net.endpoint import Endpoint
from shared.net.icmp_probe import is_closed
from shared.net.path_probe import is_too_narrow, narrow_path
from shared.net.paths import is_loopback, shown_address
from shared.net.udp import Address

DEADLINE_S = 2.5
"""Longest wait for a node; the preset's handshake time-out where that is shorter."""
_GRACE_S = 0.5
_GRACE_FACTOR = 4.0
"""Once a node has answered, the others get so much longer than it took: one that is down must not hold up the news."""


@dataclass(frozen=True, slots=True)
class NodeStanding:
    """Names of the nodes that answered and of those that did not, in address order; `reason` where none did."""

    answering: tuple[str, ...]
    silent: tuple[str, ...]
    reason: str = ""


async def probe(cluster: Cluster) -> NodeStanding:
    """Try a handshake with every node at once, under a key made for this alone.

    Takes as long as the nodes do, at most some seconds. Never raises for what the network does.
    """
    answered: set[str] = set()
    endpoint = Endpoint(
        os.urandom(32),
        bind=(cluster.bind_host, 0),
        timing=cluster.timing,
        prologue=cluster.prologue,
    )
    try:
        async with endpoint:
            await _try_all(endpoint, cluster, answered)
    except GlimpseError as error:  # no socket to be had
        return NodeStanding((), tuple(node.name for node in cluster.nodes), str(error))
    silent = [node for node in cluster.nodes if node.name not in answered]
    return NodeStanding(
        tuple(node.name for node in cluster.nodes if node.name in answered),
        tuple(node.name for node in silent),
        "" if answered else await _why(silent),
    )


async def _try_all(endpoint: Endpoint, cluster: Cluster, answered: set[str]) -> None:
    wait_s = min(DEADLINE_S, cluster.timing.handshake_timeout_s)
    began = anyio.current_time()

    async def attempt(node: NodeAddress) -> None:
        try:
            await endpoint.connect_any(node.addresses, node.key, timeout_s=wait_s)
        except GlimpseError:
            return
        answered.add(node.name)
        now = anyio.current_time()
        grace.deadline = min(grace.deadline, now + max(_GRACE_S, _GRACE_FACTOR * (now - began)))

    with anyio.move_on_after(wait_s) as grace:
        async with anyio.create_task_group() as group:
            for node in cluster.nodes:
                group.start_soon(attempt, node)


async def _why(nodes: list[NodeAddress]) -> str:
    """Return what the machines of silent nodes, and the paths to them, tell, in a sentence that says what to do."""
    found: dict[Address, Silence] = {}

    async def ask(address: Address) -> None:
        found[address] = await silence_of(address)

    async with anyio.create_task_group() as group:
        for node in nodes:
            for address in node.addresses:
                group.start_soon(ask, address)
    for address, silence in found.items():
        if silence is Silence.NARROW:
            return narrow_path(address)
    kinds = [{found[address] for address in node.addresses} - {Silence.NO_WAY} for node in nodes]
    where = " or ".join(map(shown_address, nodes[0].addresses))
    if not any(kinds):
        hosts = " or ".join(nodes[0].hosts)
        return f"There is no way to {hosts}; check the network, and the addresses in the cluster file."
    if all(kind == {Silence.CLOSED} for kind in kinds):
        return f"Nothing runs at {where}; start the cluster with `glimpse up`, or ask its operator."
    if all(is_loopback(host) for node in nodes for host in node.hosts):
        return f"Something runs at {where}, but with other keys than the cluster file has; use a new copy of that file."
    return (
        f"Nothing that has the keys of the cluster file answers at {where}; check the network, and whether the file is"
        " the newest one."
    )


class Silence(Enum):
    """What is known of an address at which no node answers."""

    NO_WAY = auto()
    """No route leads there, or the name is not known."""
    CLOSED = auto()
    """The machine says that nothing listens there."""
    NARROW = auto()
    """Only small datagrams get there."""
    UNKNOWN = auto()


async def silence_of(address: Address) -> Silence:
    """Return what the machine at an address, and the path to it, tell; takes about a second."""
    try:
        if await is_closed(address):
            return Silence.CLOSED
    except OSError:
        return Silence.NO_WAY
    return Silence.NARROW if await is_too_narrow(address) else Silence.UNKNOWN
