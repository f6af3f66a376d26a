"""The lane of heartbeats and the lease: a thread with an event loop of its own, which waits behind no request.

It has the socket for other nodes, a way of its own to the directory's lease, and the clock of the node's machine. So a
node whose other loop is busy for a while (`node.control`: requests, pictures, transfers) sends and answers heartbeats
all the same, and renews its lease. How long that vouches for the other loop, the machine decides: it is told when that
loop was seen at work (`NodeMachine.service_seen`), and stands aside where it was not.

Both loops use the machine under one lock, for some microseconds at a time. Nothing is decided here.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from threading import RLock, Thread

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import TaskGroup

from node.directory import Directory, LeaseRow
from node.directory import NodeRow as DirectoryRow
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
from node.roles import LeaderChanged, RoleChanged
from node.telemetry import Telemetry
from shared.cluster import Cluster
from shared.config import MAX_MESSAGE_BYTES, Timing
from shared.errors import GlimpseError, UserError
from shared.net.endpoint import Endpoint, EndpointStatistics, Session
from shared.net.lazy_timer import LATE_S, LazyTimer
from shared.net.paths import shown_address
from shared.wire.base import Message
from shared.wire.codec import decode
from shared.wire.node_messages import DirectoryMark, NodeMessage

log = logging.getLogger(__name__)

_ROUNDS = 3
"""Rounds of the event loop in which what has arrived is read before the machine is asked what is overdue, after the
process stood still. In time there is nothing to wait for: a loop reads its sockets before it looks at its timers."""
_TRAFFIC_EVERY_S = 1.0


class Lane:
    """The thread that drives one node's machine with datagrams of other nodes, time and the directory.

    `on_served`, `on_mark`, `on_audited` and `on_cluster` are called in the event loop in which `running` was entered.
    """

    def __init__(
        self,
        me: str,
        cluster: Cluster,
        incarnation: int,
        *,
        endpoint: Callable[[], Endpoint],
        directory: Directory,
        lives: Lives,
        telemetry: Telemetry,
        clock: Callable[[], float],
        set_deaf: Callable[[bool], None],
    ) -> None:
        """`endpoint` makes the endpoint for other nodes, in the lane's own thread; `set_deaf` silences the other one.

        `telemetry` is noted to under `lock`.
        """
        self.lock: RLock = telemetry.lock
        """To be held by whoever uses the machine."""
        self.machine = NodeMachine(
            me, [node.name for node in cluster.nodes], timing=cluster.timing, incarnation=incarnation, now=clock()
        )
        self.machine.dispatch.on_happening = telemetry.happened
        self.on_request_actions: Callable[[], None] = _ignore
        """The machine has actions about requests."""
        self.on_mark: Callable[[str, DirectoryMark], None] = _ignore
        """A node tells what it remembers of the directory."""
        self.on_audited: Callable[[int], None] = _ignore
        """The number of the newest record of an order, as the directory has it."""
        self.on_cluster: Callable[[int], None] = _ignore
        """The version of the newest cluster file, as the directory has it."""
        self.traffic = _NO_TRAFFIC
        """What went through the socket for other nodes, up to about a second ago: it is copied in this thread, where
        nothing counts on meanwhile, and not at every wake, of which a busy node has hundreds in a second."""
        self._me = me
        self._cluster = cluster
        self._timing: Timing = cluster.timing
        self._make_endpoint = endpoint
        self._directory = directory
        self._lives = lives
        self._telemetry = telemetry
        self._clock = clock
        self._set_deaf = set_deaf
        node = cluster.node(me)
        self._address = shown_address((node.host, node.port))
        self._armed_for = self._traffic_due = clock()
        self._lease_answers = True
        self._stopping = False
        self._home: asyncio.AbstractEventLoop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[None]
        self._endpoint: Endpoint
        self._links: NodeLinks
        self._tasks: TaskGroup
        self._wake: anyio.Event

    # --- From the event loop of requests -----------------------------------------------------------------------------
    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Drive the machine for the length of a `with` block. Raises what `Endpoint.__aenter__` raises."""
        self._home = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._home.create_future()
        self._ended = self._home.create_future()
        thread = Thread(target=self._in_thread, args=(opened,), name="lane", daemon=True)
        thread.start()
        try:
            await opened
            yield
        finally:
            self._stopping = True
            self.wake()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(thread.join)

    async def until_ended(self) -> None:
        """Return when the lane has stopped; raises whatever else ended it."""
        await asyncio.shield(self._ended)

    def wake(self) -> None:
        """Have the machine looked at now."""
        self._call(lambda: self._wake.set())

    def wake_before(self, deadline: float) -> None:
        """Have the machine looked at again by `deadline`, in seconds of the clock."""
        if deadline < self._armed_for:
            self.wake()

    def send(self, node: str, message: Message) -> None:
        """Send a message to a node, unreliably."""
        self._call(lambda: self._links.send(node, message))

    def _call(self, call: Callable[[], None]) -> None:
        """Run something in the lane's event loop, unless that has ended or not begun."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            log.debug("the lane has ended")

    # --- The thread --------------------------------------------------------------------------------------------------
    def _in_thread(self, opened: asyncio.Future[None]) -> None:
        error: BaseException | None = None
        try:
            anyio.run(self._main, opened)
        except BaseException as problem:  # noqa: BLE001 - it is raised again in the thread that waits for this one
            error = problem
        self._home.call_soon_threadsafe(_settle, opened if error and not opened.done() else self._ended, error)

    async def _main(self, opened: asyncio.Future[None]) -> None:
        self._wake = anyio.Event()
        async with self._make_endpoint() as endpoint:
            self._endpoint = endpoint
            self._links = NodeLinks(self._me, self._cluster, endpoint)
            endpoint.on_message = self._receive
            endpoint.on_session = self._links.opened
            endpoint.on_closed = lambda session, _reason: self._links.closed(session)
            self._loop = asyncio.get_running_loop()
            self._home.call_soon_threadsafe(_settle, opened, None)
            try:
                async with anyio.create_task_group() as self._tasks:
                    self._tasks.start_soon(self._links.keep)
                    await self._drive()
                    self._tasks.cancel_scope.cancel()
            finally:
                await self._directory.leave()

    async def _drive(self) -> None:
        timer = LazyTimer(lambda: self._wake.set(), self._clock)
        try:
            while not self._stopping:
                self._look()
                self._copy_traffic()
                timer.set(self._armed_for)
                await self._wake.wait()
                self._wake = anyio.Event()
                if self._clock() - self._armed_for > LATE_S:
                    for _ in range(_ROUNDS):
                        await anyio.lowlevel.checkpoint()
        finally:
            timer.stop()

    def _copy_traffic(self) -> None:
        now = self._clock()
        if now >= self._traffic_due:
            self._traffic_due = now + _TRAFFIC_EVERY_S
            self.traffic = self._endpoint.statistics()

    def _look(self) -> None:
        """Let time pass in the machine, and do what it wants."""
        machine = self.machine
        with self.lock:
            machine.tick(self._clock())
            events, actions, sends = machine.take_events(), machine.take_actions(), machine.take_sends()
            self._note(events, actions, sends)
            self._armed_for = machine.next_deadline()
            requests = machine.dispatch.has_actions
        for node, message in sends:
            self._links.send(node, message)
        for action in actions:
            self._tasks.start_soon(self._do, action)
        if requests:
            self._home.call_soon_threadsafe(self.on_request_actions)

    def _note(self, events: list[NodeEvent], actions: list[NodeAction], sends: list[tuple[str, NodeMessage]]) -> None:
        for event in events:
            self._note_event(event)
        for action in actions:
            if isinstance(action, AskLease):
                self._telemetry.lease(action.action)
        self._telemetry.token(self.machine.faults.token)
        for node, message in sends:
            self._telemetry.sent(node, message)

    def _note_event(self, event: NodeEvent) -> None:
        if isinstance(event, DeafnessChanged):
            log.warning("the failure simulation", extra={"deaf": event.deaf})
            self._telemetry.deafness(event.deaf)
            self._endpoint.pause(event.deaf)
            self._set_deaf(event.deaf)
            return
        self._telemetry.elected(event, self.machine.election.term)
        match event:
            case RoleChanged(previous, role, why):
                log.info("role", extra={"previous": previous.name, "role": role.name, "why": why.name})
            case LeaderChanged(leader, term):
                log.info("leader", extra={"leader": leader, "term": term})
            case _:
                log.info("election", extra={"event": repr(event)})

    def _receive(self, session: Session, data: bytes) -> None:
        """Take a message from another node. Anybody else is ignored; a bad message raises `MalformedMessage`."""
        sender = self._links.name_of(session)
        if sender is None:
            return
        message: NodeMessage = decode(data, NodeMessage, cap_bytes=MAX_MESSAGE_BYTES)
        if isinstance(message, DirectoryMark):
            self._home.call_soon_threadsafe(self.on_mark, sender, message)
            return
        with self.lock:
            now = self._clock()
            self._telemetry.heard(sender, message, now)
            self.machine.receive(sender, message, now)
        self._wake.set()

    # --- What is asked outside ---------------------------------------------------------------------------------------
    async def _do(self, action: NodeAction) -> None:
        match action:
            case AskLease():
                await self._ask_lease(action)
            case Announce():
                await self._announce(action)
            case TakeIncarnation():
                await self._take_incarnation(action.above)
        self._wake.set()

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
        with self.lock:
            self._telemetry.lease(answer)
            self.machine.lease_answered(asked, answer, self._clock())

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
            with self.lock:
                self.machine.directory_silent(self._clock())
            return
        members = [MemberRow(row.name, row.heard_at, row.hears, row.incarnation) for row in found.nodes]
        with self.lock:
            self.machine.directory_read(members, _policy(found.policy), self._clock())
        self._home.call_soon_threadsafe(self.on_audited, found.audited)
        self._home.call_soon_threadsafe(self.on_cluster, found.cluster)

    async def _take_incarnation(self, above: int) -> None:
        """Take a higher incarnation where others know one: they ignore what this node says as an earlier life's."""
        try:
            incarnation = await anyio.to_thread.run_sync(self._lives.begin, above)
        except UserError as error:
            log.error("this node is ignored", extra={"reason": str(error)})  # noqa: TRY400 - no bug of ours
            with self.lock:
                self.machine.incarnation_not_taken(self._clock())
        else:
            log.warning("others knew a later life of this node", extra={"their": above, "now": incarnation})
            with self.lock:
                self.machine.incarnation_taken(incarnation, self._clock())


_NO_TRAFFIC = EndpointStatistics(
    sessions=0,
    sending=0,
    receiving=0,
    queued=0,
    worker_ports=0,
    received_datagrams=0,
    received_bytes=0,
    sent_datagrams=0,
    sent_bytes=0,
    send_errors=0,
    dropped={},
)


def _settle(future: asyncio.Future[None], error: BaseException | None) -> None:
    """Tell whoever waits in the other thread."""
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _ignore(*_told: object) -> None:
    """Nobody wants to know yet."""


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
