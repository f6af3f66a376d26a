"""What an attacker does, each as one coroutine that goes on until it is cancelled. Floods are bounded in their rate."""

import hashlib
import os
import socket
from contextlib import suppress
from dataclasses import dataclass

import anyio

from node.settings import load_node_settings
from shared.config import MAX_MESSAGE_BYTES, MIN_PATH_DATAGRAM_BYTES
from shared.errors import GlimpseError
from shared.net.endpoint import Session
from shared.secure.datagrams import DatagramType, routing_header
from shared.wire import node_messages
from shared.wire import operations as ops
from shared.wire.codec import decode, encode
from shared.wire.labels import MAX_LABEL_BYTES, OperationObject
from shared.wire.peer_messages import NodeToPeer, Pull, Request
from tests.hostile.attacker import attack
from tests.hostile.intruder import PAUSE_S, Run, Target, account, intruder, new_id, sessions

STOLEN_TERM = 2**53
_STRANGERS = 4
_LARGE_BYTES = 2_000_000


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
        await anyio.sleep(PAUSE_S)


async def strangers(target: Target) -> None:
    """Keys that nobody registered announce long operations; what is pulled of them they send as slowly as they can."""
    async with anyio.create_task_group() as group:
        for _ in range(_STRANGERS):
            group.start_soon(_stranger, target)


async def _stranger(target: Target) -> None:
    data = os.urandom(_LARGE_BYTES)
    async with intruder(target, os.urandom(32)) as endpoint, anyio.create_task_group() as group:

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
        open_sessions, digest = await sessions(target, endpoint), hashlib.sha256(data).digest()
        while True:
            endpoint.pause(False)
            for session in open_sessions:
                message = Request(request=new_id(), large_sha256=digest, large_size=len(data))
                endpoint.post(session, encode(message, cap_bytes=MAX_MESSAGE_BYTES))
                target.sent["announced"] += 1
            await anyio.sleep(0.2)


async def ends_in_batches(target: Target) -> None:
    """Sessions that say something of a transfer and end, in one batch of datagrams."""
    while True:
        with suppress(GlimpseError):
            async with intruder(target, os.urandom(32)) as endpoint:
                for session in await sessions(target, endpoint):
                    endpoint._mux.send(session.number, b"\x01{}", 0.0)
                    endpoint.close_session(session)
                    target.sent["ended"] += 1
        await anyio.sleep(PAUSE_S)


# --- With an account and a modified client ---------------------------------------------------------------------------
async def list_flood(target: Target) -> None:
    """One account that asks every node for the list of users, without waiting for an answer."""
    async with account(target) as (_, endpoint, _):
        open_sessions, burst = await sessions(target, endpoint), target.burst
        while True:
            for session in open_sessions:
                for _ in range(burst):
                    message = Request(request=new_id(), operation=ops.ListUsers())
                    endpoint.post(session, encode(message, cap_bytes=MAX_MESSAGE_BYTES))
                    target.sent["lists"] += 1
            await anyio.sleep(PAUSE_S)


# --- With a stolen node key ------------------------------------------------------------------------------------------
async def stolen_term(target: Target) -> None:
    """Messages under the key of a node, of a term that no claim of the lease could ever reach."""
    thief, *others = target.cluster.nodes[::-1]
    private = load_node_settings(target.folder / f"node-{thief.name}.toml").private_key
    async with intruder(target, private) as endpoint:
        while True:
            for node in others:
                with suppress(GlimpseError):
                    session = await endpoint.connect((node.host, node.node_port), node.key)
                    message = node_messages.Decline(term=STOLEN_TERM, incarnation=STOLEN_TERM)
                    endpoint.post(session, encode(message, cap_bytes=MAX_MESSAGE_BYTES))
                    target.sent["terms"] += 1
            await anyio.sleep(0.2)


@dataclass(frozen=True)
class Attack:
    """What is done, and what an honest person beside it is promised."""

    run: Run
    cheap_times: float = 2.0
    """How many times as long as before a cheap request may take, at the 99th percentile."""
    until: str = ""
    """What of `Target.sent` must have happened before the attack ends."""


ATTACKS: dict[str, Attack] = {
    "first_messages": Attack(first_messages, cheap_times=5.0),
    "strangers": Attack(strangers),
    "ends_in_batches": Attack(ends_in_batches),
    "list_flood": Attack(list_flood),
    "hostile_covers": Attack(attack("hostile_covers"), until="covers refused"),
    "hostile_shares": Attack(attack("hostile_shares"), until="looks told that it cannot be shown"),
    "many_pictures": Attack(attack("many_pictures"), until="rounds"),
    "stolen_term": Attack(stolen_term),
}
