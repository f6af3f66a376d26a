"""What an attacker does, each as one coroutine that goes on until it is cancelled. Floods are bounded in their rate."""

import hashlib
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from node.settings import load_node_settings
from shared.cluster import Cluster, load_cluster
from shared.config import MAX_MESSAGE_BYTES, MIN_PATH_DATAGRAM_BYTES
from shared.errors import GlimpseError
from shared.identity import Identity
from shared.net.endpoint import Endpoint, Session
from shared.secure.datagrams import DatagramType, routing_header
from shared.wire import node_messages
from shared.wire import operations as ops
from shared.wire.codec import decode, encode
from shared.wire.labels import MAX_LABEL_BYTES, OperationObject
from shared.wire.peer_messages import NodeToPeer, Pull, Request
from tui.peer.cloud import CloudLink, monotonic

STOLEN_TERM = 2**53
_STRANGERS = 4
_LARGE_BYTES = 2_000_000
_PAUSE_S = 0.01
"""Between bursts of a flood, so that an attacker within the test's own process leaves it room."""


@dataclass
class Target:
    """The cluster that is attacked."""

    folder: Path
    per_s: float
    """How much of a flood per second, over all nodes."""
    sent: Counter[str] = field(default_factory=Counter)
    """What the attacker did, and got others to do."""

    @property
    def cluster(self) -> Cluster:
        return load_cluster(self.folder / "cluster.toml")

    @property
    def burst(self) -> int:
        """How much of a flood goes to one node between two pauses."""
        return max(int(self.per_s * _PAUSE_S / len(self.cluster.nodes)), 1)


Attack = Callable[[Target], Awaitable[None]]


@asynccontextmanager
async def _intruder(target: Target, private: bytes) -> AsyncIterator[Endpoint]:
    async with Endpoint(private, timing=target.cluster.timing, prologue=target.cluster.prologue) as endpoint:
        yield endpoint


async def _sessions(target: Target, endpoint: Endpoint) -> list[Session]:
    return [await endpoint.connect((node.host, node.port), node.key) for node in target.cluster.nodes]


def _id() -> str:
    return os.urandom(16).hex()


# --- From outside, without an account --------------------------------------------------------------------------------
async def first_messages(target: Target) -> None:
    """First messages that cannot be read, from one host and ever other ports."""
    nodes, burst = target.cluster.nodes, target.burst
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
            attacker.bind(("127.0.0.9", 0))
            for node in nodes:
                for _ in range(burst):
                    head = routing_header(DatagramType.INIT, os.urandom(8))
                    attacker.sendto(head + os.urandom(MIN_PATH_DATAGRAM_BYTES - len(head)), (node.host, node.port))
                    target.sent["first messages"] += 1
        await anyio.sleep(_PAUSE_S)


async def strangers(target: Target) -> None:
    """Keys that nobody registered announce long operations; what is pulled of them they send as slowly as they can."""
    async with anyio.create_task_group() as group:
        for _ in range(_STRANGERS):
            group.start_soon(_stranger, target)


async def _stranger(target: Target) -> None:
    data = os.urandom(_LARGE_BYTES)
    async with _intruder(target, os.urandom(32)) as endpoint, anyio.create_task_group() as group:

        async def drip(session: Session, request: str) -> None:
            target.sent["pulled"] += 1
            label = encode(OperationObject(request=request), cap_bytes=MAX_LABEL_BYTES)
            with suppress(GlimpseError):
                await endpoint.send_object(session, label, data, progress=lambda _done, _total: endpoint.pause(True))

        def take(session: Session, data: bytes) -> None:
            message: NodeToPeer = decode(data, NodeToPeer, cap_bytes=MAX_MESSAGE_BYTES)
            if isinstance(message, Pull):
                group.start_soon(drip, session, message.request)

        endpoint.on_message = take
        sessions, digest = await _sessions(target, endpoint), hashlib.sha256(data).digest()
        while True:
            endpoint.pause(False)
            for session in sessions:
                message = Request(request=_id(), large_sha256=digest, large_size=len(data))
                endpoint.post(session, encode(message, cap_bytes=MAX_MESSAGE_BYTES))
                target.sent["announced"] += 1
            await anyio.sleep(0.2)


async def ends_in_batches(target: Target) -> None:
    """Sessions that say something of a transfer and end, in one batch of datagrams."""
    while True:
        with suppress(GlimpseError):
            async with _intruder(target, os.urandom(32)) as endpoint:
                for session in await _sessions(target, endpoint):
                    endpoint._mux.send(session.number, b"\x01{}", 0.0)
                    endpoint.close_session(session)
                    target.sent["ended"] += 1
        await anyio.sleep(_PAUSE_S)


# --- With an account and a modified client ---------------------------------------------------------------------------
async def list_flood(target: Target) -> None:
    """One account that asks every node for the list of users, without waiting for an answer."""
    identity = Identity.generate()
    async with _intruder(target, identity.session_private) as endpoint, anyio.create_task_group() as tasks:
        cloud = CloudLink(target.cluster, endpoint, tasks, clock=monotonic)
        endpoint.on_message = cloud.receive
        endpoint.on_closed = lambda session, _reason: cloud.session_closed(session)
        cloud.start()
        await cloud.ask(_registration(target, identity), request=_id(), wait_s=60.0)
        sessions, burst = await _sessions(target, endpoint), target.burst
        while True:
            for session in sessions:
                for _ in range(burst):
                    message = Request(request=_id(), operation=ops.ListUsers())
                    endpoint.post(session, encode(message, cap_bytes=MAX_MESSAGE_BYTES))
                    target.sent["lists"] += 1
            await anyio.sleep(_PAUSE_S)


def _registration(target: Target, identity: Identity) -> ops.Register:
    public = identity.public
    proof = identity.sign("register", target.cluster.cluster_id.encode(), b"mallory", public.session_key)
    return ops.Register(
        name="mallory",
        signing_key=public.signing_key,
        session_key=public.session_key,
        session_signature=public.session_signature,
        proof=proof,
    )


# --- With a stolen node key ------------------------------------------------------------------------------------------
async def stolen_term(target: Target) -> None:
    """Messages under the key of a node, of a term that no claim of the lease could ever reach."""
    thief, *others = target.cluster.nodes[::-1]
    private = load_node_settings(target.folder / f"node-{thief.name}.toml").private_key
    async with _intruder(target, private) as endpoint:
        while True:
            for node in others:
                with suppress(GlimpseError):
                    session = await endpoint.connect((node.host, node.node_port), node.key)
                    message = node_messages.Decline(term=STOLEN_TERM, incarnation=STOLEN_TERM)
                    endpoint.post(session, encode(message, cap_bytes=MAX_MESSAGE_BYTES))
                    target.sent["terms"] += 1
            await anyio.sleep(0.2)


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack for attack in (first_messages, strangers, ends_in_batches, list_flood, stolen_term)
}
