"""The control plane of a node: drives its machines with datagrams, time and the lease.

One loop owns the machines: election, dispatch, failure simulation, and what operators did and chose. Messages are fed
as they arrive; what the machines want sent, served or asked of the directory is collected once per wake-up, so that
many requests share few datagrams.
"""

import logging
import math
from collections.abc import Callable

import anyio
import anyio.lowlevel
import anyio.to_thread
import psutil
from anyio.abc import TaskGroup

from node.agreed import AgreedPolicy
from node.audit import Replication
from node.audit_log import AuditLog
from node.directory import Directory
from node.directory import NodeRow as DirectoryRow
from node.dispatch import Dispatch, Forget, Held, NobodyServes, Serve
from node.election import Election, ElectionEvent, LeaderChanged, RoleChanged
from node.faults import Faults
from node.lease import LeaseAnswer
from node.leasing import Leasing
from node.links import NodeLinks
from node.lives import Lives
from node.membership import MemberRow
from node.remembering import Remembering
from node.request_handler import RequestHandler
from node.telemetry import Telemetry
from shared.cluster import Cluster
from shared.config import MAX_MESSAGE_BYTES, Timing
from shared.errors import GlimpseError, StorageError, UserError
from shared.net.endpoint import Session
from shared.wire.codec import decode
from shared.wire.node_messages import AuditRecord, DirectoryMark, NodeMessage, RequestKey

log = logging.getLogger(__name__)

_LOAD_EVERY_S = 1.0
_ROWS_EVERY_HEARTBEATS = 2
_REFUTE_AGAIN_S = 5.0
"""Between attempts to note a higher incarnation on a disk that is full."""
_NO_LEADER = "The cloud has no leader at the moment; your request waits"


class Control:
    """One node's machines, wired to sessions, the request handler, the directory and the audit log."""

    def __init__(
        self,
        me: str,
        cluster: Cluster,
        incarnation: int,
        *,
        lives: Lives,
        directory: Directory,
        links: NodeLinks,
        request_handler: RequestHandler,
        audit: AuditLog,
        telemetry: Telemetry,
        tasks: TaskGroup,
        clock: Callable[[], float],
        set_deaf: Callable[[bool], None],
        remembering: Remembering,
    ) -> None:
        names = [node.name for node in cluster.nodes]
        now = clock()
        self._me = me
        self._timing: Timing = cluster.timing
        self._directory = directory
        self._links = links
        self._request_handler = request_handler
        self._tasks = tasks
        self._clock = clock
        self._set_deaf = set_deaf
        self._lives = lives
        self._audit = audit
        self._telemetry = telemetry
        self._remembering = remembering
        self._leasing = Leasing(me, incarnation, directory, cluster.timing.lease_s, self._lease_answered)
        node = cluster.node(me)
        self._address = f"{node.host}:{node.port}"
        self.election = Election(me, names, timing=cluster.timing, incarnation=incarnation, now=now)
        self.dispatch = Dispatch(me, names, timing=cluster.timing, now=now)
        self.faults = Faults(me, names, timing=cluster.timing, now=now)
        self.agreed = AgreedPolicy(me, names, timing=cluster.timing)
        self.replication = Replication(me, names, cluster.timing)
        self.replication.restore(audit.tail(), now)
        self.dispatch.on_happening = telemetry.happened
        self._machines = (self.election, self.dispatch, self.faults, self.agreed, self.replication)
        self.leader_heard_at: float | None = None
        self._wake = anyio.Event()
        self._states_at = -math.inf
        request_handler.dispatching = self

    # --- From the sessions and the request handler -------------------------------------------------------------------
    def receive(self, session: Session, data: bytes) -> None:
        """Take a message from another node. Anybody else is ignored; a bad message raises `MalformedMessage`."""
        sender = self._links.name_of(session)
        if sender is None:
            return
        message: NodeMessage = decode(data, NodeMessage, cap_bytes=MAX_MESSAGE_BYTES)
        now = self._clock()
        if sender == self.election.leader:
            self.leader_heard_at = now
        if isinstance(message, DirectoryMark):
            self._remembering.heard(sender, message)
            return
        self._telemetry.heard(sender, message, now)
        for machine in self._machines:
            machine.receive(sender, message, now)
        self._wake.set()

    def request_held(self, key: tuple[bytes, str]) -> bool:
        """A peer sent a request to this node; False if dispatch has no room for it."""
        held = self.dispatch.request_held(RequestKey(*key), self._clock())
        self._wake.set()
        return held is not Held.BUSY

    def served(self, key: tuple[bytes, str]) -> None:
        """The request handler has answered a request."""
        self.dispatch.served(RequestKey(*key), self._clock())
        self._wake.set()

    def failed_to_serve(self, key: tuple[bytes, str]) -> None:
        """The request handler could not serve a request."""
        self.dispatch.failed_to_serve(RequestKey(*key), self._clock())
        self._wake.set()

    def unwanted(self, key: tuple[bytes, str]) -> None:
        """The peer waits for a request no more."""
        self.dispatch.unwanted(RequestKey(*key), self._clock())
        self._wake.set()

    def peer_gone(self, key: tuple[bytes, str]) -> None:
        """A request that could not be served is held no more: the session in which it came is over."""
        self.dispatch.peer_gone(RequestKey(*key), self._clock())
        self._wake.set()

    def audited(self, record: AuditRecord, *, shared: bool) -> None:
        """An order to this node is in its audit log, and obeyed if it is to be: `shared` with the other nodes."""
        if shared:
            self.replication.made(record, self._clock())
        self._telemetry.audited(record)
        self._wake.set()

    async def drain(self) -> None:
        """Give leadership away and let the others know; returns when it is on its way."""
        self.election.drain(self._clock())
        self._wake.set()
        await anyio.sleep(self._timing.heartbeat_s)

    # --- The loop ----------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Drive the machines until cancelled."""
        self._tasks.start_soon(self._feed_load)
        self._tasks.start_soon(self._feed_rows)
        self._tasks.start_soon(self._refute)
        while True:
            now = self._clock()
            self._tick(now)
            self._flush()
            deadline = min(machine.next_deadline() for machine in self._machines)
            wake = self._wake
            if not wake.is_set():
                with anyio.move_on_after(max(0.0, deadline - self._clock())):
                    await wake.wait()
            self._wake = anyio.Event()
            await anyio.lowlevel.checkpoint()

    def _tick(self, now: float) -> None:
        self.election.tick(now)
        leads = self.election.is_leader(now)
        self.dispatch.leadership(self.election.leader, self.election.term, leads, now)
        self.faults.leadership(self.election.leader, self.election.term, leads, now)
        if now - self._states_at >= self._timing.heartbeat_s:
            self._states_at = now
            for state in self.election.node_states(now):
                alive = state.node == self._me or state.heard_age_s <= self._timing.suspect_s
                self.dispatch.node_state(state.node, state.load1, state.cores, state.in_flight, alive and state.fit)
        self.dispatch.policy = self.agreed.policy
        self.dispatch.tick(now)
        self.faults.tick(now)
        self.agreed.tick(now)
        self.replication.tick(now)

    def _flush(self) -> None:
        for event in self.election.take_events():
            self._note(event)
        for action in self.election.take_actions():
            self._telemetry.lease(action)
            self._tasks.start_soon(self._leasing.ask, action)
        for dispatched in self.dispatch.take_actions():
            match dispatched:
                case Serve(key):
                    self._request_handler.serve(key)
                case Forget(key):
                    self._request_handler.forget(key)
                case NobodyServes(key):
                    self._request_handler.nobody_serves(key, _NO_LEADER)
        for change in self.faults.take_events():
            log.warning("the failure simulation", extra={"deaf": change.deaf})
            self._telemetry.deafness(change.deaf)
            self._set_deaf(change.deaf)
        self._telemetry.token(self.faults.token)
        for record in self.replication.take_records():
            self._tasks.start_soon(self._write_audit, record)
        for node, message in self.election.take_sends():
            self._telemetry.sent(node, message)
            self._links.send(node, message)
        for machine in self._machines[1:]:
            for node, message in machine.take_sends():
                self._links.send(node, message)

    def _note(self, event: ElectionEvent) -> None:
        self._telemetry.elected(event, self.election.term)
        match event:
            case RoleChanged(previous, role, why):
                log.info("role", extra={"previous": previous.name, "role": role.name, "why": why.name})
            case LeaderChanged(leader, term):
                log.info("leader", extra={"leader": leader, "term": term})
            case _:
                log.info("election", extra={"event": repr(event)})

    def _lease_answered(self, answer: LeaseAnswer) -> None:
        self._telemetry.lease(answer)
        self.election.lease_answer(answer, self._clock())
        self._wake.set()

    async def _write_audit(self, record: AuditRecord) -> None:
        """Write what another node told of an operator's action."""
        try:
            await self._audit.write(record)
        except StorageError as error:
            log.error("a record of another node is not in the audit log", extra={"reason": str(error)})  # noqa: TRY400
            self.replication.not_written(record)
            return
        self.replication.written(record, self._clock())
        self._telemetry.audited(record)
        self._wake.set()

    # --- What the machines are fed -----------------------------------------------------------------------------------
    async def _feed_load(self) -> None:
        cores = psutil.cpu_count() or 1
        while True:
            load1 = await anyio.to_thread.run_sync(psutil.getloadavg)
            self.election.own_load(load1[0], cores, self.dispatch.in_flight)
            await anyio.sleep(_LOAD_EVERY_S)

    async def _feed_rows(self) -> None:
        every_s = _ROWS_EVERY_HEARTBEATS * self._timing.heartbeat_s
        while True:
            try:
                with anyio.fail_after(self._timing.lease_s):
                    await self._directory.announce_node(self._own_row())
                    rows = await self._directory.nodes()
            except (GlimpseError, TimeoutError):
                self.election.directory_away()
            else:
                for row in rows:
                    if row.name == self._me:
                        self.election.known_as(row.incarnation)
                self.election.node_rows([_member_row(row) for row in rows], self._clock())
            self._wake.set()
            await anyio.sleep(every_s)

    async def _refute(self) -> None:
        """Take a higher incarnation whenever others know one: they take what this node says for an earlier life's."""
        while True:
            await anyio.sleep(self._timing.heartbeat_s)
            if not (outlived := self.election.outlived):
                continue
            try:
                incarnation = await anyio.to_thread.run_sync(self._lives.begin, outlived)
            except UserError as error:
                log.error("this node is ignored", extra={"reason": str(error)})  # noqa: TRY400 - no bug of ours
                await anyio.sleep(_REFUTE_AGAIN_S)
                continue
            log.warning("others knew a later life of this node", extra={"their": outlived, "now": incarnation})
            self.election.live_on(incarnation, self._clock())
            self._leasing.incarnation = incarnation
            self._wake.set()

    def _own_row(self) -> DirectoryRow:
        hears = bool(self.election.membership.hears(self._clock()))
        return DirectoryRow(self._me, self.election.incarnation, hears, self._address, self.election.term)


def _member_row(row: DirectoryRow) -> MemberRow:
    """Return a row as the membership takes it: whom a node hears does not matter there, only whether anybody."""
    return MemberRow(row.name, row.heard_at, frozenset({"somebody"} if row.hears else ()))
