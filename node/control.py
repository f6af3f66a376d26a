"""The control plane of a node: the shell that drives its `NodeMachine` with datagrams, time and the directory.

One loop owns the machine. Messages and requests are fed as they arrive; what the machine wants sent, served or asked of
the directory is collected once per wake-up, so that many requests share few datagrams. Nothing is decided here.
"""

import logging
from collections.abc import Callable

import anyio
import anyio.lowlevel
import anyio.to_thread
import psutil
from anyio.abc import TaskGroup

from node.audit_log import AuditLog
from node.directory import Directory, LeaseRow
from node.directory import NodeRow as DirectoryRow
from node.directory.operators import choose_policy
from node.dispatch import Forget, NobodyServes, Serve
from node.faults import DeafnessChanged
from node.lease import (
    ClaimLease,
    LeaseAnswer,
    LeaseLost,
    LeaseReleased,
    LeaseRenewed,
    LeaseSeen,
    LeaseUnknown,
    LeaseWon,
    ReadLease,
    ReleaseLease,
    RenewLease,
)
from node.links import NodeLinks
from node.machine import Announce, AskLease, NodeAction, NodeEvent, NodeMachine, TakeIncarnation
from node.membership import MemberRow
from node.node_folder import Lives
from node.placement import Policy
from node.remembering import Remembering
from node.request_handler import RequestHandler
from node.roles import LeaderChanged, RoleChanged
from node.telemetry import Telemetry
from shared.cluster import Cluster
from shared.config import MAX_MESSAGE_BYTES, Timing
from shared.errors import GlimpseError, UserError
from shared.net.endpoint import Session
from shared.net.paths import shown_address
from shared.wire.codec import decode
from shared.wire.node_messages import AuditRecord, DirectoryMark, NodeMessage, RequestKey

log = logging.getLogger(__name__)

_LOAD_EVERY_S = 1.0
_AUDIT_EVERY_S = 10.0
"""The longest pause between exchanges of the audit log, which finds a record that became visible late."""
_NO_LEADER = "The cloud has no leader at the moment; your request waits"


class Control:
    """One node's machine, wired to sessions, the request handler, the directory and the audit log."""

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
        node = cluster.node(me)
        self._address = shown_address((node.host, node.port))
        self.machine = NodeMachine(me, names, timing=cluster.timing, incarnation=incarnation, now=clock())
        self.election, self.dispatch, self.faults = self.machine.election, self.machine.dispatch, self.machine.faults
        self.dispatch.on_happening = telemetry.happened
        self._wake = anyio.Event()
        self._audit_due = anyio.Event()
        self._lease_answers = True
        request_handler.dispatching = self

    @property
    def leader_heard_at(self) -> float | None:
        """When the leader was heard last, in seconds of the node's clock; None if never."""
        return self.machine.leader_heard_at

    @property
    def directory_ok(self) -> bool:
        """Whether the directory answers and can be written."""
        return self._directory.ok

    # --- From the sessions and the request handler -------------------------------------------------------------------
    def receive(self, session: Session, data: bytes) -> None:
        """Take a message from another node. Anybody else is ignored; a bad message raises `MalformedMessage`."""
        sender = self._links.name_of(session)
        if sender is None:
            return
        message: NodeMessage = decode(data, NodeMessage, cap_bytes=MAX_MESSAGE_BYTES)
        if isinstance(message, DirectoryMark):
            self._remembering.heard(sender, message)
            return
        now = self._clock()
        self._telemetry.heard(sender, message, now)
        self.machine.receive(sender, message, now)
        self._wake.set()

    def request_held(self, key: RequestKey) -> bool:
        """See `NodeMachine.request_held`."""
        self._wake.set()
        return self.machine.request_held(key, self._clock())

    def served(self, key: RequestKey) -> None:
        """See `NodeMachine.served`."""
        self._wake.set()
        self.machine.served(key, self._clock())

    def not_served(self, key: RequestKey, *, reachable: bool) -> bool:
        """See `NodeMachine.not_served`."""
        self._wake.set()
        return self.machine.not_served(key, self._clock(), reachable=reachable)

    def unwanted(self, key: RequestKey) -> bool:
        """See `NodeMachine.unwanted`."""
        self._wake.set()
        return self.machine.unwanted(key, self._clock())

    def is_wanted(self, key: RequestKey) -> bool:
        """See `NodeMachine.is_wanted`."""
        return self.machine.is_wanted(key)

    # --- From operators ----------------------------------------------------------------------------------------------
    def ordered(self, record: AuditRecord) -> None:
        """An order to this node is in its audit log, and obeyed if it was to be."""
        self._telemetry.audited(record)
        self._audit_due.set()
        self._wake.set()

    async def choose_policy(self, policy: Policy) -> None:
        """Choose a policy for the cluster: the other nodes read it from the directory within some heartbeats.

        Raises `Unavailable` or `StorageError` where the directory cannot be written; nothing is changed then.
        """
        await self._directory.write(choose_policy(policy.value))
        self.machine.policy_chosen(policy)
        self._wake.set()

    async def drain(self) -> None:
        """Give leadership away and let the others know; returns when it is on its way, and the last order on record."""
        self.election.drain(self._clock())
        self._wake.set()
        await anyio.sleep(self._timing.heartbeat_s)
        with anyio.move_on_after(self._timing.lease_s):
            await self._audit.exchange()

    # --- The loop ----------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Drive the machine until cancelled."""
        self._tasks.start_soon(self._feed_load)
        self._tasks.start_soon(self._exchange_audit)
        while True:
            self.machine.tick(self._clock())
            self._flush()
            wake = self._wake
            if not wake.is_set():
                with anyio.move_on_after(max(0.0, self.machine.next_deadline() - self._clock())):
                    await wake.wait()
            self._wake = anyio.Event()
            await anyio.lowlevel.checkpoint()

    def _flush(self) -> None:
        for event in self.machine.take_events():
            self._note(event)
        for action in self.machine.take_actions():
            self._do(action)
        self._telemetry.token(self.faults.token)
        for node, message in self.machine.take_sends():
            self._telemetry.sent(node, message)
            self._links.send(node, message)

    def _do(self, action: NodeAction) -> None:
        match action:
            case AskLease():
                self._telemetry.lease(action.action)
                self._tasks.start_soon(self._ask_lease, action)
            case Announce():
                self._tasks.start_soon(self._announce, action)
            case TakeIncarnation():
                self._tasks.start_soon(self._take_incarnation, action.above)
            case Serve(key):
                self._request_handler.serve(key)
            case Forget(key):
                self._request_handler.forget(key)
            case NobodyServes(key):
                self._request_handler.nobody_serves(key, _NO_LEADER)

    def _note(self, event: NodeEvent) -> None:
        if isinstance(event, DeafnessChanged):
            log.warning("the failure simulation", extra={"deaf": event.deaf})
            self._telemetry.deafness(event.deaf)
            self._set_deaf(event.deaf)
            return
        self._telemetry.elected(event, self.election.term)
        match event:
            case RoleChanged(previous, role, why):
                log.info("role", extra={"previous": previous.name, "role": role.name, "why": why.name})
            case LeaderChanged(leader, term):
                log.info("leader", extra={"leader": leader, "term": term})
            case _:
                log.info("election", extra={"event": repr(event)})

    # --- What is asked outside ---------------------------------------------------------------------------------------
    async def _ask_lease(self, asked: AskLease) -> None:
        """Do one action of the election; what the directory does not answer in time is unknown."""
        try:
            with anyio.fail_after(self._timing.lease_s):
                answer = await self._lease(asked)
        except (GlimpseError, TimeoutError) as error:
            if self._lease_answers:  # told once; status, metrics and the feed say how it is
                log.info("the directory does not answer for the lease", extra={"reason": str(error)})
            self._lease_answers = False
            answer = LeaseUnknown(getattr(asked.action, "sent_at", None))
        else:
            if not self._lease_answers:
                log.info("the directory answers for the lease again")
            self._lease_answers = True
        self._telemetry.lease(answer)
        self.machine.lease_answered(asked, answer, self._clock())
        self._wake.set()

    async def _lease(self, asked: AskLease) -> LeaseAnswer:
        holder, lease_s = f"{self._me}/{asked.incarnation:x}", self._timing.lease_s
        match asked.action:
            case ClaimLease(seen_term, sent_at):
                won = await self._directory.claim_lease(holder, seen_term, lease_s)
                return await self._lost(sent_at) if won is None else LeaseWon(won, sent_at)
            case RenewLease(term, sent_at):
                renewed = await self._directory.renew_lease(holder, term, lease_s)
                return LeaseRenewed(term, sent_at) if renewed else await self._lost(sent_at)
            case ReleaseLease(term):
                await self._directory.release_lease(holder, term)
                return LeaseReleased(term)
            case ReadLease(sent_at):
                row = await self._directory.read_lease(lease_s)
                return LeaseSeen(row.term, _node_of(row), sent_at)

    async def _lost(self, sent_at: float) -> LeaseLost:
        row = await self._directory.read_lease(self._timing.lease_s)
        holder = _node_of(row)
        return LeaseLost(row.term, holder, max(0.0, row.expires - row.now) if holder else 0.0, sent_at)

    async def _announce(self, asked: Announce) -> None:
        own = DirectoryRow(self._me, asked.incarnation, asked.hears, self._address, asked.term)
        try:
            with anyio.fail_after(self._timing.lease_s):
                found = await self._directory.announce_node(own)
        except (GlimpseError, TimeoutError):
            self.machine.directory_silent(self._clock())
        else:
            members = [MemberRow(row.name, row.heard_at, row.hears, row.incarnation) for row in found.nodes]
            self.machine.directory_read(members, _policy(found.policy), self._clock())
            if self._audit.is_behind(found.audited):
                self._audit_due.set()
        self._wake.set()

    async def _take_incarnation(self, above: int) -> None:
        """Take a higher incarnation where others know one: they ignore what this node says as an earlier life's."""
        try:
            incarnation = await anyio.to_thread.run_sync(self._lives.begin, above)
        except UserError as error:
            log.error("this node is ignored", extra={"reason": str(error)})  # noqa: TRY400 - no bug of ours
            self.machine.incarnation_not_taken(self._clock())
        else:
            log.warning("others knew a later life of this node", extra={"their": above, "now": incarnation})
            self.machine.incarnation_taken(incarnation, self._clock())
        self._wake.set()

    # --- What goes on beside the machine -----------------------------------------------------------------------------
    async def _feed_load(self) -> None:
        cores = psutil.cpu_count() or 1
        while True:
            load1 = await anyio.to_thread.run_sync(psutil.getloadavg)
            self.machine.own_load(load1[0], cores)
            await anyio.sleep(_LOAD_EVERY_S)

    async def _exchange_audit(self) -> None:
        """Put this node's records into the directory, and those of other nodes into its audit log."""
        while True:
            for record in await self._audit.exchange():
                self._telemetry.audited(record)
            with anyio.move_on_after(_AUDIT_EVERY_S):
                await self._audit_due.wait()
            self._audit_due = anyio.Event()


def _node_of(row: LeaseRow) -> str | None:
    """Return the node that has the lease, None where it is free."""
    return row.holder.partition("/")[0] if row.holder and not row.is_free else None


def _policy(chosen: str | None) -> Policy | None:
    """Return the policy that the directory names: the default if it names none, None for one of a newer program."""
    if chosen is None:
        return Policy.LEAST_COST
    try:
        return Policy(chosen)
    except ValueError:
        return None
