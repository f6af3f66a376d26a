"""What a node tells of itself when it is asked: the state of the cloud to peers, its own to operators."""

from collections.abc import Callable
from typing import Final

import msgspec

from node.control import Control
from node.directory import Directory, directory_time
from node.exchange import send_answer
from node.following import Following
from node.node_stats import NodeSnapshot, NodeStats
from node.request_handler import RequestHandler
from node.services.operations import Services
from shared.config import MAX_MESSAGE_BYTES
from shared.errors import GlimpseError
from shared.net.endpoint import Endpoint, Session
from shared.version import VERSION
from shared.wire.base import PathAddress
from shared.wire.codec import encode
from shared.wire.peer_messages import (
    CloudState,
    ClusterQuery,
    DirectoryStatus,
    KeepAlive,
    NodeStatus,
    StatusQuery,
    StatusReport,
)

_DROP_REASONS: Final = 64
"""Most reasons for dropped datagrams that a status tells."""


class Reports:
    """Answers keep-alives and status queries."""

    def __init__(
        self,
        me: str,
        *,
        stats: NodeStats,
        control: Control,
        request_handler: RequestHandler,
        directory: Directory,
        services: Services,
        requests: Endpoint,
        operators: frozenset[bytes],
        following: Following,
        cluster_version: int,
        wall_clock: Callable[[], float],
    ) -> None:
        self._me = me
        self._control = control
        self._request_handler = request_handler
        self._stats = stats
        self._directory = directory
        self._services = services
        self._requests = requests
        self._operators = operators
        self._following = following
        self._cluster_version = cluster_version
        self._wall_clock = wall_clock

    async def keep_alive(self, session: Session, message: KeepAlive) -> None:
        """Refresh an account's presence and tell its peer how the cloud is."""
        signed_in, waiting, now, directory_ok = False, 0, 0.0, self._directory.ok
        other_device = False
        try:
            caller = await self._services.caller(session.remote_key, session.address[0])
            if caller.is_registered:
                view = await self._services.keep_alive(caller, message.device, message.port, lasts_s=message.lasts_s)
                signed_in, waiting, now, directory_ok = view.signed_in, view.mail_waiting, view.now, self._directory.ok
                other_device = view.other_device
                if signed_in:
                    self._request_handler.remember(session, caller)
                    if not other_device:
                        self._request_handler.note_present(session, caller.account)
            else:
                now = await self._directory.read(directory_time)
        except GlimpseError:
            # Presence is the directory's to know: while it is away, nobody is told to sign in again.
            signed_in, directory_ok = True, False
        election = self._control.election
        state = CloudState(
            node=self._me,
            leader=election.leader,
            term=election.term,
            directory_ok=directory_ok,
            signed_in=signed_in,
            mail_waiting=waiting,
            now=now,
            epoch=self._stats.remembering.epoch,
            other_device=other_device,
            seen=PathAddress(*session.address),
            cluster=self._following.version,
        )
        if session.alive:
            self._requests.post(session, encode(state, cap_bytes=MAX_MESSAGE_BYTES))

    async def status(self, session: Session, query: StatusQuery) -> None:
        """Answer a status query; operators only."""
        if session.remote_key not in self._operators:
            return
        await self._stats.ping()
        taken = self._stats.snapshot()
        own = msgspec.structs.replace(
            node_status(taken),
            cluster=self._cluster_version,
            program=VERSION,
            clock=round(self._wall_clock(), 3),
        )
        report = StatusReport(request=query.request, status=own, directory=directory_status(taken))
        await send_answer(self._requests, session, query.request, report)

    def cluster_file(self, session: Session, query: ClusterQuery) -> None:
        """Answer whoever asks for a part of a newer cluster file."""
        part = self._following.answer(query)
        if part is not None and session.alive:
            self._requests.post(session, encode(part, cap_bytes=MAX_MESSAGE_BYTES))


def node_status(taken: NodeSnapshot) -> NodeStatus:
    """Return a snapshot as an operator is told of it."""
    rtts = [link.rtt_s for link in taken.links if link.rtt_s is not None]
    age_s = taken.leader_heard_age_s
    return NodeStatus(
        name=taken.name,
        pid=taken.pid,
        role=taken.role.value,
        term=taken.term,
        leader=taken.leader,
        priority=taken.priority,
        cost=taken.cost,
        load1=taken.load1,
        cpu_percent=taken.cpu_percent,
        rss_mb=taken.rss_bytes / 2**20,
        in_flight=taken.in_flight,
        heartbeat_age_ms=None if age_s is None else 1000 * age_s,
        rtt_ms=1000 * sum(rtts) / len(rtts) if rtts else None,
        requests_done=taken.requests_done,
        worker_ports=taken.worker_ports,
        sessions=taken.sessions,
        deaf=taken.is_deaf,
        policy=taken.policy,
        uptime_s=taken.uptime_s,
        dropped={reason: taken.dropped[reason] for reason in sorted(taken.dropped)[:_DROP_REASONS]},
        draining=taken.draining,
        relay_pairs=taken.relay_pairs,
        relayed_bytes=taken.relayed_bytes,
        relay_refused=dict(taken.relay_refused),
    )


def directory_status(taken: NodeSnapshot) -> DirectoryStatus:
    """Return the directory as the node of a snapshot saw it last."""
    found = taken.directory
    return DirectoryStatus(
        engine=found.engine,
        ok=found.ok,
        latency_ms=found.latency_ms,
        error=found.error,
        writable=found.writable,
        ahead_s=round(found.ahead_s, 3),
        epoch=taken.epoch,
    )
