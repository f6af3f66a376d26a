"""What a node tells of itself: the state of the cloud to peers, status and obedience to operators."""

import os
import time
from collections.abc import Callable

import psutil

from node.control import Control
from node.coordination import cost, priority
from node.desk import Desk, send_answer
from node.directory import Directory
from node.encoder import Encoder
from node.placement import Policy
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
    OperatorAnswer,
    OperatorCommand,
    StatusQuery,
    StatusReport,
)  # fmt: skip

_MAX_DEAF_S = 600.0
_MAX_SLOWDOWN = 100.0


class Reports:
    """Answers keep-alives, status queries and operators' commands."""

    def __init__(
        self, me: str, *, control: Control, desk: Desk, directory: Directory, encoder: Encoder, services: Services,
        requests: Endpoint, nodes: Endpoint, operators: frozenset[bytes], clock: Callable[[], float],
        stop: Callable[[], None],
    ) -> None:  # fmt: skip
        self._me = me
        self._control = control
        self._desk = desk
        self._directory = directory
        self._encoder = encoder
        self._services = services
        self._requests = requests
        self._nodes = nodes
        self._operators = operators
        self._clock = clock
        self._stop = stop
        self._started = clock()
        self._process = psutil.Process()
        self._process.cpu_percent()

    def is_operator(self, session: Session) -> bool:
        """Return whether a session is an operator's."""
        return session.remote_key in self._operators

    async def keep_alive(self, session: Session, message: KeepAlive) -> None:
        """Refresh an account's presence and tell its peer how the cloud is."""
        signed_in, waiting, now, directory_ok = False, 0, time.time(), self._directory.ok
        try:
            caller = await self._services.caller(session.remote_key, session.address[0])
            if caller.account is not None:
                view = await self._services.keep_alive(caller, message.device)
                signed_in, waiting, now, directory_ok = view.signed_in, view.mail_waiting, view.now, True
                if signed_in:
                    self._desk.remember(session, caller)
        except GlimpseError:
            # Presence is the directory's to know: while it is away, nobody is told to sign in again.
            signed_in, directory_ok = True, False
        election = self._control.election
        state = CloudState(
            node=self._me, leader=election.leader, term=election.term, directory_ok=directory_ok, signed_in=signed_in,
            mail_waiting=waiting, now=now,
        )  # fmt: skip
        if session.alive:
            self._requests.post(session, encode(state, cap_bytes=MAX_MESSAGE_BYTES))

    async def status(self, session: Session, query: StatusQuery) -> None:
        """Answer a status query; operators only."""
        if not self.is_operator(session):
            return
        latency, error = None, ""
        try:
            latency = 1000 * await self._directory.ping()
        except GlimpseError as fault:
            error = str(fault)
        directory = DirectoryStatus(
            engine=self._directory.engine, ok=latency is not None, latency_ms=latency, error=error[:400]
        )
        await send_answer(
            self._requests, session, query.request,
            StatusReport(request=query.request, status=self._own_status(), directory=directory),
        )  # fmt: skip

    def _own_status(self) -> NodeStatus:
        control, now = self._control, self._clock()
        election = control.election
        own = next(state for state in election.node_states(now) if state.node == self._me)
        leader = election.leader
        heard = control.leader_heard_at
        rtts = [election.membership.rtt_s(node) for node in election.membership.others]
        known = [rtt for rtt in rtts if rtt is not None]
        dropped = dict(self._requests.statistics().dropped)
        return NodeStatus(
            name=self._me, pid=os.getpid(), role=election.role.name.lower(), term=election.term, leader=leader,
            priority=priority(own.load1), cost=cost(own.load1, own.cores, control.dispatch.in_flight), load1=own.load1,
            cpu_percent=self._process.cpu_percent(), rss_mb=self._process.memory_info().rss / 2**20,
            in_flight=control.dispatch.in_flight,
            heartbeat_age_ms=0.0 if leader == self._me else None if heard is None else 1000 * (now - heard),
            rtt_ms=1000 * sum(known) / len(known) if known else None, requests_done=self._desk.requests_done,
            worker_ports=self._requests.worker_ports_in_use, sessions=self._requests.statistics().sessions,
            deaf=control.faults.is_deaf(now), policy=control.dispatch.policy.value, uptime_s=now - self._started,
            dropped={key: dropped[key] for key in sorted(dropped)[:64]},
        )  # fmt: skip

    def command(self, session: Session, order: OperatorCommand) -> None:
        """Carry out an operator's order and say so."""
        if not self.is_operator(session):
            return
        text = self._obey(order)
        answer = OperatorAnswer(request=order.request, ok=not text, text=text)
        self._requests.post(session, encode(answer, cap_bytes=MAX_MESSAGE_BYTES))

    def _obey(self, order: OperatorCommand) -> str:
        """Return an empty text, or why the order cannot be carried out."""
        control, now = self._control, self._clock()
        match order.command:
            case "deaf":
                if not 0 < order.number <= _MAX_DEAF_S:
                    return f"A node can be deaf for up to {_MAX_DEAF_S:.0f} s."
                control.faults.make_deaf(now, order.number)
            case "token":
                (control.faults.stop_token if order.text == "stop" else control.faults.start_token)(now)
            case "policy":
                try:
                    control.dispatch.policy = Policy(order.text)
                except ValueError:
                    return f"The policies are {', '.join(Policy)}."
            case "lead":
                control.election.request_leadership(now)
            case "slow":
                if not 1 <= order.number <= _MAX_SLOWDOWN:
                    return f"An encoder can be slowed 1 to {_MAX_SLOWDOWN:.0f} times."
                self._encoder.slowdown = order.number
            case _:
                self._stop()
        control.changed()
        return ""
