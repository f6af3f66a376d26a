"""One snapshot of a node, gathered from its parts: what status, feed and metrics tell is all read from it."""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.to_thread
import psutil

from node.control import Control
from node.coordination import CoordinationTable, cost, priority
from node.directory import Directory, RoomTaken, how_far_ahead, room_taken
from node.encoder import Encoder
from node.histogram import Histogram
from node.lane import Lane
from node.remembering import Remembering
from node.request_handler import RequestHandler
from node.roles import Role
from node.telemetry import KindTotals, Telemetry
from shared.cluster import NodeAddress
from shared.errors import GlimpseError
from shared.net.endpoint import Endpoint
from shared.text import clean

log = logging.getLogger(__name__)

_PROCESS_EVERY_S = 1.0
_ROOM_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class DirectoryStats:
    """The directory as this node saw it last."""

    engine: str
    ok: bool
    """It answered, and what was last written to it was committed."""
    latency_ms: float | None
    error: str = ""
    writable: bool = True
    """Whether the last write was committed."""
    ahead_s: float = 0.0
    """How far directory time stands before the database's clock, which was set back."""


@dataclass(frozen=True, slots=True)
class LinkSnapshot:
    """Signs of life between this node and one other; counts of heartbeats and pulses."""

    node: str
    sent: int
    acked: int
    unacked: int
    heard: int
    missed: int
    pulses_sent: int
    pulses_heard: int
    heard_age_s: float | None
    """Since it was last heard at all; None if never."""
    rtt_s: float | None
    """Round trip of the last acknowledged heartbeat, as far as this node led lately enough to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSnapshot:
    """A node at one moment. Durations and ages in seconds, counts since this life of the node began."""

    at: float
    """By the node's monotonic clock."""
    wall_offset_s: float
    """Add it to a moment of the node's clock to get seconds since 1970."""
    uptime_s: float
    name: str
    nodes: tuple[str, ...]
    """All nodes of the cluster in address order."""
    pid: int
    port: int
    incarnation: int

    role: Role
    term: int
    leader: str | None
    leader_since: float | None
    """By the node's clock."""
    leader_heard_age_s: float | None
    """0 where this node leads, None where it has heard no leader."""
    leads: bool
    """It leads and trusts its lease."""
    fit: bool
    draining: bool
    is_deaf: bool
    """The failure simulation silences it now."""
    deaf_s: float
    """How long it is silenced from now on, or from a moment that was announced; else 0."""
    token_holder: str | None
    token_s: float
    policy: str
    leaderships: int
    """Leaderships that it has seen begin."""
    table: CoordinationTable
    table_age_s: float
    links: tuple[LinkSnapshot, ...]

    heartbeat_gaps: Histogram
    """Times between two heartbeats of the leader that this node follows."""
    lateness: Histogram
    """By how much the event loop of requests was late."""

    load1: float
    cores: int
    cost: float
    priority: float
    cpu_percent: float
    cpu_s: float
    rss_bytes: int
    slowdown: float

    in_flight: int
    open_requests: int
    requests_done: int
    refused: int
    limited: Mapping[str, int]
    """Requests, and registrations, that were more than one account or host may send."""
    failed: int
    happenings: tuple[int, ...]
    latency: tuple[int, ...]
    """Answered requests by latency, see `node.histogram.Histogram`."""
    latency_sum_ms: float
    kinds: Mapping[int, KindTotals]

    sent_bytes: int
    received_bytes: int
    sent_datagrams: int
    received_datagrams: int
    dropped: Mapping[str, int]
    """Datagrams and messages that were thrown away, by reason."""
    worker_ports: int
    sessions: int
    clients: int

    relay_pairs: int
    """Pairs of peers for whom it carries datagrams."""
    relayed_datagrams: int
    relayed_bytes: int
    """What it has carried, as it goes from peer to peer."""
    relay_refused: Mapping[str, int]
    """What it has not carried, in datagrams, by reason."""

    directory: DirectoryStats
    room: RoomTaken | None
    """None while it was not measured: only nodes that serve metrics do."""
    free_bytes: Mapping[str, int]
    """Room that is left on the disk of each of a node's folders, as it was measured last."""
    epoch: int
    recoveries: int
    frozen: int


class NodeStats:
    """Reads the parts of one node. Cheap; nothing here asks the directory but `ping`."""

    def __init__(
        self,
        me: NodeAddress,
        incarnation: int,
        *,
        control: Control,
        request_handler: RequestHandler,
        directory: Directory,
        remembering: Remembering,
        encoder: Encoder,
        requests: Endpoint,
        lane: Lane,
        telemetry: Telemetry,
        clock: Callable[[], float],
    ) -> None:
        self._me = me
        self.incarnation = incarnation
        self.telemetry = telemetry
        self.remembering = remembering
        self._control = control
        self._request_handler = request_handler
        self._directory = directory
        self._encoder = encoder
        self._requests = requests
        self._lane = lane
        self._clock = clock
        self._started = clock()
        self._wall_offset_s = time.time() - self._started
        self._process = psutil.Process()
        self._process.cpu_percent()
        self._process_at = self._started
        self._cpu_percent = 0.0
        self._read_totals()
        self.directory = DirectoryStats(directory.engine, directory.ok, None, writable=directory.writable)
        self._room: RoomTaken | None = None
        self._free_bytes: dict[str, int] = {}

    def _read_process(self, now: float) -> None:
        """Measure the process anew, at most once a second: what it used since the last time."""
        if now - self._process_at >= _PROCESS_EVERY_S:
            self._process_at = now
            self._cpu_percent = self._process.cpu_percent()
            self._read_totals()

    def _read_totals(self) -> None:
        times = self._process.cpu_times()
        self._cpu_s, self._rss_bytes = times.user + times.system, self._process.memory_info().rss

    async def ping(self) -> DirectoryStats:
        """Ask the directory whether it is there and how it stands, and remember the answer."""
        latency_ms, ahead_s, error = None, 0.0, ""
        writable = self._directory.writable
        try:
            latency_ms = 1000 * await self._directory.ping()
            ahead_s = await self._directory.read(how_far_ahead)
        except GlimpseError as fault:
            error = str(fault)
        if not writable:
            error = self._directory.last_error
        ok = writable and not error
        self.directory = DirectoryStats(
            self._directory.engine, ok, latency_ms, clean(error, max_chars=160), writable, ahead_s
        )
        return self.directory

    async def keep_measuring(self, folder: Path) -> None:
        """Measure again and again, until cancelled, what the directory takes and what is left on the node's disks."""
        folders = {"node": folder, "directory": self._directory.folder}
        while True:
            with suppress(GlimpseError):  # that the directory cannot be asked is said by `ping`
                self._room = await self._directory.read(room_taken(self._directory.engine))
            for what, place in folders.items():
                if place is not None:
                    try:
                        usage = await anyio.to_thread.run_sync(psutil.disk_usage, str(place))
                    except OSError as error:  # no figure is worth a node
                        log.debug("room on a disk was not measured", extra={"folder": what, "reason": str(error)})
                        self._free_bytes.pop(what, None)
                    else:
                        self._free_bytes[what] = usage.free
            await anyio.sleep(_ROOM_EVERY_S)

    def snapshot(self) -> NodeSnapshot:
        """Return the node as it is now; of the directory, what the last `ping` found."""
        self._read_process(self._clock())
        with self._lane.lock:
            return self._snapshot(self._clock())

    def _snapshot(self, now: float) -> NodeSnapshot:
        control, telemetry, handler = self._control, self.telemetry, self._request_handler
        election, faults, counts = control.election, control.faults, control.dispatch.counts()
        own = next(state for state in election.node_states(now) if state.node == self._me.name)
        token = faults.token if faults.token is not None and faults.token.until > now else None
        requests, nodes = self._requests.statistics(), self._lane.traffic
        return NodeSnapshot(
            at=now,
            wall_offset_s=self._wall_offset_s,
            uptime_s=now - self._started,
            name=self._me.name,
            nodes=tuple(telemetry.places),
            pid=os.getpid(),
            port=self._me.port,
            incarnation=self.incarnation,
            role=election.role,
            term=election.term,
            leader=election.leader,
            leader_since=telemetry.leader_since,
            leader_heard_age_s=self._leader_heard_age_s(now),
            leads=election.is_leader(now),
            fit=election.fit,
            draining=election.draining,
            is_deaf=faults.is_deaf(now),
            deaf_s=faults.silence_left_s(now),
            token_holder=None if token is None else token.holder,
            token_s=0.0 if token is None or token.holder is None else token.until - now,
            policy=control.dispatch.policy.value,
            leaderships=telemetry.term_changes,
            table=election.table,
            table_age_s=now - election.table_at,
            links=self._links(now),
            heartbeat_gaps=telemetry.beats.gaps.copied(),
            lateness=telemetry.lateness.copied(),
            load1=own.load1,
            cores=own.cores,
            cost=cost(own.load1, own.cores, counts.serving),
            priority=priority(own.load1),
            cpu_percent=self._cpu_percent,
            cpu_s=self._cpu_s,
            rss_bytes=self._rss_bytes,
            slowdown=self._encoder.slowdown,
            in_flight=counts.serving,
            open_requests=counts.open,
            requests_done=handler.requests_done,
            refused=telemetry.refused,
            limited=dict(handler.rates.refused),
            failed=counts.failed,
            happenings=tuple(telemetry.samples.counts),
            latency=tuple(telemetry.latency.counts),
            latency_sum_ms=telemetry.latency.sum_ms,
            kinds={kind: replace(totals) for kind, totals in telemetry.kinds.items()},
            sent_bytes=requests.sent_bytes + nodes.sent_bytes,
            received_bytes=requests.received_bytes + nodes.received_bytes,
            sent_datagrams=requests.sent_datagrams + nodes.sent_datagrams,
            received_datagrams=requests.received_datagrams + nodes.received_datagrams,
            dropped=Counter(requests.dropped) + Counter(nodes.dropped),
            worker_ports=requests.worker_ports,
            sessions=requests.sessions,
            clients=handler.clients,
            relay_pairs=handler.meetings.pairs,
            relayed_datagrams=handler.meetings.table.datagrams,
            relayed_bytes=handler.meetings.table.bytes,
            relay_refused=dict(handler.meetings.table.refused),
            directory=self.directory,
            room=self._room,
            free_bytes=self._free_bytes,
            epoch=self.remembering.epoch,
            recoveries=self.remembering.recoveries,
            frozen=self.remembering.frozen,
        )

    def _leader_heard_age_s(self, now: float) -> float | None:
        if self._control.election.leader == self._me.name:
            return 0.0
        heard_at = self._control.leader_heard_at
        return None if heard_at is None else now - heard_at

    def _links(self, now: float) -> tuple[LinkSnapshot, ...]:
        """Return the signs of life, a row for each other node in address order."""
        membership, beats = self._control.election.membership, self.telemetry.beats
        beats.settle(now)
        rows = []
        for node, counts in beats.counts.items():
            age_s = membership.state(node, now).heard_age_s
            rows.append(
                LinkSnapshot(
                    node,
                    counts.sent,
                    counts.acked,
                    counts.unacked,
                    counts.heard,
                    counts.missed,
                    counts.pulses_sent,
                    counts.pulses_heard,
                    None if age_s == float("inf") else age_s,
                    membership.rtt_s(node),
                )
            )
        return tuple(rows)
