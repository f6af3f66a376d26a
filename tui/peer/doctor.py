"""What lies between this machine and the nodes of a cluster: names, families, ports, an address translator, clocks.

Opens no profile and signs nobody in. Nodes tell whoever is in session with them where they see that session come from;
what several of them see from one socket tells what an address translator does (RFC 4787 section 4.1).
"""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import anyio

from shared.cluster import Cluster, NodeAddress
from shared.config import MAX_MESSAGE_BYTES
from shared.errors import GlimpseError, Unavailable
from shared.net.candidates import is_here, local_addresses
from shared.net.endpoint import Address, Endpoint, Session
from shared.net.path_probe import narrow_path
from shared.net.reaching import resolve
from shared.wire.codec import decode, encode
from shared.wire.peer_messages import CloudState, KeepAlive, NodeToPeer
from tui.peer.probe import Silence, silence_of

_WAIT_S: Final = 3.0
"""Longest wait for a node to answer a handshake."""
_TELLS_S: Final = 2.0
"""How long a node that answers may take to tell where it sees this machine."""
_REPEAT_S: Final = 0.4


class Mapping(StrEnum):
    """What an address translator in front of this machine does, in the words of RFC 4787."""

    NONE = "none"
    """There is none: nodes see an address of this machine."""
    ENDPOINT_INDEPENDENT = "endpoint-independent"
    """One address outside, whoever is sent to: others can be told of it."""
    DEPENDENT = "address- or port-dependent"
    """Another address outside for each that is sent to: nobody else can use the one that a node sees."""
    UNKNOWN = "unknown"
    """Too few nodes told."""


@dataclass(slots=True)
class AddressFound:
    """One address of a node as the cluster file has it."""

    address: Address
    hosts: tuple[str, ...] = ()
    """Numeric hosts that the name stands for."""
    rtt_ms: float | None = None
    """How long the handshake took; None where nobody answered."""
    trouble: str = ""
    """Why nobody answered, and what to do."""


@dataclass(slots=True)
class NodeFound:
    """One node."""

    name: str
    addresses: list[AddressFound]
    seen: Address | None = None
    """Where it sees this machine."""
    ahead_s: float | None = None
    """By how much the directory's clock is ahead of this machine's, as the node told."""

    @property
    def answers(self) -> bool:
        """Whether it answered at any of its addresses."""
        return any(found.rtt_ms is not None for found in self.addresses)


@dataclass(slots=True)
class Examination:
    """What was found."""

    nodes: list[NodeFound]
    families: tuple[str, ...]
    """Address families in which this machine has an address that others could reach."""
    mapping: Mapping = Mapping.UNKNOWN
    seen: list[Address] = field(default_factory=list)
    """Every address at which a node sees this machine."""

    @property
    def ahead_s(self) -> float | None:
        """By how much the directory's clock is ahead of this machine's; None where nobody told."""
        return next((node.ahead_s for node in self.nodes if node.ahead_s is not None), None)


def mapping_of(seen: Sequence[Address], bound: Address, nodes: int) -> Mapping:
    """Return what a translator does, from where `nodes` nodes see one socket, which is bound to `bound`."""
    if not seen:
        return Mapping.UNKNOWN
    if all(is_here(host, bound) for host, _ in seen):
        return Mapping.NONE
    by_family = {":" in host: {one for one in seen if (":" in one[0]) == (":" in host)} for host, _ in seen}
    if any(len(addresses) > 1 for addresses in by_family.values()):
        return Mapping.DEPENDENT
    return Mapping.ENDPOINT_INDEPENDENT if nodes > 1 else Mapping.UNKNOWN


async def examine(cluster: Cluster) -> Examination:
    """Try every address of every node, and ask those that answer. Takes some seconds.

    Raises `Unavailable` where this machine gives no socket; never for what the network does.
    """
    doctor = _Doctor(cluster)
    async with doctor.endpoint:
        return await doctor.examine()


class _Doctor:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._told: dict[Session, tuple[CloudState, float]] = {}
        """What nodes said last, and when by this machine's clock."""
        self._news = anyio.Event()
        self.endpoint = Endpoint(
            os.urandom(32), bind=(cluster.bind_host, 0), timing=cluster.timing, prologue=cluster.prologue
        )
        self.endpoint.on_message = self._heard

    def _heard(self, session: Session, data: bytes) -> None:
        message: NodeToPeer = decode(data, NodeToPeer, cap_bytes=MAX_MESSAGE_BYTES)
        if isinstance(message, CloudState):
            self._told[session] = message, time.time()
            self._news.set()

    async def examine(self) -> Examination:
        bound = self.endpoint.local_address
        found = Examination([], families_of(local_addresses(bound)))
        async with anyio.create_task_group() as group:
            for node in self._cluster.nodes:
                entry = NodeFound(node.name, [AddressFound(address) for address in node.addresses])
                found.nodes.append(entry)
                group.start_soon(self._examine_node, node, entry)
        found.seen = list(dict.fromkeys(node.seen for node in found.nodes if node.seen is not None))
        told = sum(node.seen is not None for node in found.nodes)
        found.mapping = mapping_of(found.seen, bound, told)
        return found

    async def _examine_node(self, node: NodeAddress, entry: NodeFound) -> None:
        sessions: list[Session] = []
        async with anyio.create_task_group() as group:
            for found in entry.addresses:
                group.start_soon(self._try, found, node.key, sessions)
        if sessions:
            await self._ask(sessions[0], entry)

    async def _try(self, found: AddressFound, key: bytes, sessions: list[Session]) -> None:
        try:
            numeric = await resolve(found.address, self.endpoint.families)
        except Unavailable as error:
            found.trouble = str(error)
            return
        found.hosts = tuple(host for host, _ in numeric)
        began = anyio.current_time()
        try:
            session = await self.endpoint.connect_any(numeric, key, timeout_s=_WAIT_S)
        except GlimpseError:
            found.trouble = await _why_silent(found.address)
            return
        found.rtt_ms = 1000 * (anyio.current_time() - began)
        sessions.append(session)

    async def _ask(self, session: Session, entry: NodeFound) -> None:
        """Ask a node where it sees this machine and what time it is."""
        message = encode(KeepAlive(device=os.urandom(16).hex()), cap_bytes=MAX_MESSAGE_BYTES)
        asked_at = time.time()
        with anyio.move_on_after(_TELLS_S):
            while session not in self._told:
                asked_at = time.time()
                self._news = anyio.Event()
                self.endpoint.post(session, message)
                with anyio.move_on_after(_REPEAT_S):
                    await self._news.wait()
        if (told := self._told.get(session)) is None:
            return
        state, at = told
        if state.seen is not None:
            entry.seen = (state.seen.host, state.seen.port)
        if state.now:
            entry.ahead_s = state.now - (asked_at + at) / 2


async def _why_silent(address: Address) -> str:
    host, port = address
    match await silence_of(address):
        case Silence.NO_WAY:
            return f"No path leads to {host} from here; check this machine's network and the address."
        case Silence.CLOSED:
            return f"That machine says that nothing listens at UDP port {port}: start the node, or correct the port."
        case Silence.NARROW:
            return narrow_path(address)
        case _:
            return (
                f"No answer: the node is down, has another key than the cluster file says, or UDP port {port} is"
                " blocked by a firewall on the way."
            )


def families_of(addresses: Iterable[Address]) -> tuple[str, ...]:
    """Return the names of the families of numeric addresses."""
    found = {"IPv6" if ":" in host else "IPv4" for host, _ in addresses}
    return tuple(sorted(found))
