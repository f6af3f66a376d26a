"""The control plane of a node, as its event loop of requests sees it: it feeds the node's machine with requests and
orders, and does what the machine decides about requests.

The machine is shared with the lane (`node.lane`), which gives it messages of other nodes, time and the directory. What
it wants served is collected once per turn of the event loop. Nothing is decided here.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import TaskGroup

from node.audit_log import AuditLog
from node.directory import Directory
from node.directory.operators import choose_policy
from node.dispatch import DispatchAction, Forget, NobodyServes, Serve
from node.lane import Lane
from node.machine import NodeMachine
from node.placement import Policy
from node.request_handler import RequestHandler
from node.telemetry import Telemetry
from node.usable_cores import usable_cores
from shared.config import Timing
from shared.wire.node_messages import AuditRecord, RequestKey

_LOAD_EVERY_S = 1.0
_AUDIT_EVERY_S = 10.0
"""The longest pause between exchanges of the audit log, which finds a record that became visible late."""
_SEEN_EVERY_HEARTBEATS = 0.5
"""How often the machine is told that this event loop is at work."""
_NO_LEADER = "The cloud has no leader at the moment; your request waits"


class Control:
    """One node's machine, wired to the request handler, the audit log and the orders of operators."""

    def __init__(
        self,
        lane: Lane,
        timing: Timing,
        *,
        directory: Directory,
        request_handler: RequestHandler,
        audit: AuditLog,
        telemetry: Telemetry,
        tasks: TaskGroup,
        clock: Callable[[], float],
    ) -> None:
        self._lane = lane
        self._timing = timing
        self._directory = directory
        self._request_handler = request_handler
        self._tasks = tasks
        self._clock = clock
        self._audit = audit
        self._telemetry = telemetry
        self.lock = lane.lock
        """To be held by whoever uses the machine or its parts."""
        self.machine: NodeMachine = lane.machine
        self.election, self.dispatch, self.faults = self.machine.election, self.machine.dispatch, self.machine.faults
        self._audit_due = anyio.Event()
        self._wake = anyio.Event()
        request_handler.dispatching = self
        lane.on_request_actions = lambda: self._wake.set()
        lane.on_audited = self._audited

    @property
    def leader_heard_at(self) -> float | None:
        """When the leader was heard last, in seconds of the node's clock; None if never."""
        return self.machine.leader_heard_at

    @property
    def directory_ok(self) -> bool:
        """Whether the directory answers and can be written."""
        return self._directory.ok

    # --- From the request handler ------------------------------------------------------------------------------------
    def request_held(self, key: RequestKey) -> bool:
        """See `NodeMachine.request_held`."""
        with self._fed() as machine:
            return machine.request_held(key, self._clock())

    def served(self, key: RequestKey) -> None:
        """See `NodeMachine.served`."""
        with self._fed() as machine:
            machine.served(key, self._clock())

    def not_served(self, key: RequestKey, *, reachable: bool) -> bool:
        """See `NodeMachine.not_served`."""
        with self._fed() as machine:
            return machine.not_served(key, self._clock(), reachable=reachable)

    def unwanted(self, key: RequestKey) -> bool:
        """See `NodeMachine.unwanted`."""
        with self._fed() as machine:
            return machine.unwanted(key, self._clock())

    def is_wanted(self, key: RequestKey) -> bool:
        """See `NodeMachine.is_wanted`."""
        with self.lock:
            return self.machine.is_wanted(key)

    @contextmanager
    def _fed(self) -> Iterator[NodeMachine]:
        """Hold the machine to feed it; what comes of it is done in the event loop's next turn."""
        with self.lock:
            yield self.machine
        self._wake.set()

    def _do_requests(self) -> None:
        """Do what the machine wants done about requests."""
        with self.lock:
            actions = self.machine.take_request_actions()
            deadline = self.machine.next_deadline()
        self._lane.wake_before(deadline)
        for action in actions:
            self._do(action)

    def _do(self, action: DispatchAction) -> None:
        match action:
            case Serve(key):
                self._request_handler.serve(key)
            case Forget(key):
                self._request_handler.forget(key)
            case NobodyServes(key):
                self._request_handler.nobody_serves(key, _NO_LEADER)

    # --- From operators ----------------------------------------------------------------------------------------------
    @contextmanager
    def ordering(self) -> Iterator[NodeMachine]:
        """Hold the machine to give it an order, which it sees to at once."""
        with self.lock:
            yield self.machine
        self._lane.wake()

    def ordered(self, record: AuditRecord) -> None:
        """An order to this node is in its audit log, and obeyed if it was to be."""
        self._telemetry.audited(record)
        self._audit_due.set()

    async def choose_policy(self, policy: Policy) -> None:
        """Choose a policy for the cluster: the other nodes read it from the directory within some heartbeats.

        Raises `Unavailable` or `StorageError` where the directory cannot be written; nothing is changed then.
        """
        await self._directory.write(choose_policy(policy.value))
        with self.lock:
            self.machine.policy_chosen(policy)

    async def drain(self) -> None:
        """Give leadership away and let the others know; returns when it is on its way, and the last order on record."""
        with self.ordering() as machine:
            machine.election.drain(self._clock())
        await anyio.sleep(self._timing.heartbeat_s)
        with anyio.move_on_after(self._timing.lease_s):
            await self._audit.exchange()

    # --- The loop ----------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Do what the machine wants done about requests, until cancelled."""
        self._tasks.start_soon(self._show_work)
        self._tasks.start_soon(self._feed_load)
        self._tasks.start_soon(self._exchange_audit)
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            self._do_requests()
            await anyio.lowlevel.checkpoint()

    # --- What goes on beside requests --------------------------------------------------------------------------------
    async def _show_work(self) -> None:
        """Tell the machine that this event loop is at work, and note how late it is."""
        pause_s = _SEEN_EVERY_HEARTBEATS * self._timing.heartbeat_s
        while True:
            now = self._clock()
            with self.lock:
                self.machine.service_seen(now)
            await anyio.sleep(pause_s)
            self._telemetry.lateness.add(1000 * max(0.0, self._clock() - now - pause_s))

    async def _feed_load(self) -> None:
        cores = await anyio.to_thread.run_sync(usable_cores)
        while True:
            with self.lock:
                self.machine.own_load(os.getloadavg()[0], cores)
            await anyio.sleep(_LOAD_EVERY_S)

    def _audited(self, newest: int) -> None:
        if self._audit.is_behind(newest):
            self._audit_due.set()

    async def _exchange_audit(self) -> None:
        """Put this node's records into the directory, and those of other nodes into its audit log."""
        while True:
            for record in await self._audit.exchange():
                self._telemetry.audited(record)
            with anyio.move_on_after(_AUDIT_EVERY_S):
                await self._audit_due.wait()
            self._audit_due = anyio.Event()
