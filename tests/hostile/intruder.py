"""What every attacker has: a cluster to attack, keys, sessions to its nodes, perhaps an account."""

import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from shared.cluster import Cluster, load_cluster
from shared.identity import Identity
from shared.net.endpoint import Endpoint, Session
from shared.wire import operations as ops
from shared.wire.codec import decode
from shared.wire.labels import MAX_LABEL_BYTES, Label
from tui.peer.cloud import CloudLink, monotonic

PAUSE_S = 0.01
"""Between bursts of a flood, so that an attacker within the test's own process leaves it room."""


@dataclass
class Target:
    """The cluster that is attacked, and how hard."""

    folder: Path
    per_s: float
    """How much of a flood per second, over all nodes."""
    pictures: int = 25
    """How many pictures at once, where pictures are what is sent."""
    picture_bytes: int = 11_000_000
    sent: Counter[str] = field(default_factory=Counter)
    """What the attacker did, and got others to do."""

    @property
    def cluster(self) -> Cluster:
        return load_cluster(self.folder / "cluster.toml")

    @property
    def burst(self) -> int:
        """How much of a flood goes to one node between two pauses."""
        return max(int(self.per_s * PAUSE_S / len(self.cluster.nodes)), 1)


Run = Callable[[Target], Awaitable[None]]


@asynccontextmanager
async def intruder(target: Target, private: bytes) -> AsyncIterator[Endpoint]:
    """Open an endpoint under a key."""
    async with Endpoint(private, timing=target.cluster.timing, prologue=target.cluster.prologue) as endpoint:
        yield endpoint


async def sessions(target: Target, endpoint: Endpoint) -> list[Session]:
    """Open a session to every node."""
    return [await endpoint.connect((node.host, node.port), node.key) for node in target.cluster.nodes]


@asynccontextmanager
async def account(target: Target, name: str = "mallory") -> AsyncIterator[tuple[Identity, Endpoint, CloudLink]]:
    """Register an account, and be a client that keeps to no limit of its own."""
    identity = Identity.generate()
    async with intruder(target, identity.session_private) as endpoint, anyio.create_task_group() as tasks:
        cloud = CloudLink(target.cluster, endpoint, tasks, clock=monotonic)
        endpoint.on_message = cloud.receive
        endpoint.on_offer = lambda session, offer: cloud.offered(
            session, decode(offer.label, Label, cap_bytes=MAX_LABEL_BYTES), offer
        )
        endpoint.on_closed = lambda session, _reason: cloud.session_closed(session)
        cloud.start()
        await cloud.ask(_registration(target, identity, name), request=new_id(), wait_s=60.0)
        yield identity, endpoint, cloud
        tasks.cancel_scope.cancel()


def new_id() -> str:
    """Draw an id."""
    return os.urandom(16).hex()


def _registration(target: Target, identity: Identity, name: str) -> ops.Register:
    public = identity.public
    proof = identity.sign("register", target.cluster.cluster_id.encode(), name.encode(), public.session_key)
    return ops.Register(
        name=name,
        signing_key=public.signing_key,
        session_key=public.session_key,
        session_signature=public.session_signature,
        proof=proof,
    )
