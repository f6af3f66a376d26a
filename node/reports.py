"""What a node tells of itself when it is asked: the state of the cloud to peers, its own to operators."""

import os
from collections.abc import Callable

from node.control import Control
from node.coordination import cost, priority
from node.directory import Directory
from node.exchange import send_answer
from node.node_stats import NodeStats
from node.request_handler import RequestHandler
from node.services.operations import Services
from shared.config import MAX_MESSAGE_BYTES
from shared.errors import GlimpseError
from shared.net.endpoint import Endpoint, Session
from shared.wire.codec import encode
from shared.wire.peer_messages import (
    CloudState,
    DirectoryStatus,
    KeepAlive,
    NodeStatus,
    StatusQuery,
    StatusReport,
)


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
        clock: Callable[[], float],
    ) -> None:
        self._me = me
        self._control = control
        self._request_handler = request_handler
        self._stats = stats
        self._directory = directory
        self._services = services
        self._requests = requests
        self._operators = operators
        self._clock = clock

    def is_operator(self, session: Session) -> bool:
        """Return whether a session is an operator's."""
        return session.remote_key in self._operators

    async def keep_alive(self, session: Session, message: KeepAlive) -> None:
        """Refresh an account's presence and tell its peer how the cloud is."""
        signed_in, waiting, now, directory_ok = False, 0, 0.0, self._directory.ok
        other_device = False
        try:
            caller = await self._services.caller(session.remote_key, session.address[0])
            if caller.is_registered:
                view = await self._services.keep_alive(caller, message.device, message.port)
                signed_in, waiting, now, directory_ok = view.signed_in, view.mail_waiting, view.now, self._directory.ok
                other_device = view.other_device
                if signed_in:
                    self._request_handler.remember(session, caller)
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
        )
        if session.alive:
            self._requests.post(session, encode(state, cap_bytes=MAX_MESSAGE_BYTES))

    async def status(self, session: Session, query: StatusQuery) -> None:
        """Answer a status query; operators only."""
        if not self.is_operator(session):
            return
        seen = await self._stats.ping()
        directory = DirectoryStatus(
            engine=seen.engine,
            ok=seen.ok,
            latency_ms=seen.latency_ms,
            error=seen.error,
            writable=seen.writable,
            ahead_s=round(seen.ahead_s, 3),
            epoch=self._stats.remembering.epoch,
        )
        await send_answer(
            self._requests,
            session,
            query.request,
            StatusReport(request=query.request, status=self._own_status(), directory=directory),
        )

    def _own_status(self) -> NodeStatus:
        control, stats, now = self._control, self._stats, self._clock()
        election = control.election
        own = stats.own(now)
        stats.read_process()
        leader = election.leader
        heard = control.leader_heard_at
        rtts = list(stats.rtts_s().values())
        dropped = stats.dropped()
        return NodeStatus(
            name=self._me,
            pid=os.getpid(),
            role=election.role.name.lower(),
            term=election.term,
            leader=leader,
            priority=priority(own.load1),
            cost=cost(own.load1, own.cores, control.dispatch.in_flight),
            load1=own.load1,
            cpu_percent=stats.cpu_percent,
            rss_mb=stats.rss_mb,
            in_flight=control.dispatch.in_flight,
            heartbeat_age_ms=0.0 if leader == self._me else None if heard is None else 1000 * (now - heard),
            rtt_ms=1000 * sum(rtts) / len(rtts) if rtts else None,
            requests_done=self._request_handler.requests_done,
            worker_ports=self._requests.worker_ports_in_use,
            sessions=self._requests.statistics().sessions,
            deaf=control.faults.is_deaf(now),
            policy=control.dispatch.policy.value,
            uptime_s=stats.uptime_s,
            dropped={key: dropped[key] for key in sorted(dropped)[:64]},
            draining=election.draining,
        )
