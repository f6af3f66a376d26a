"""A node's stats of this moment, gathered from its parts: for status, feed and metrics alike."""

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from node.control import Control
from node.coordination import NodeState, cost, priority
from node.directory import Directory, how_far_ahead
from node.encoder import Encoder
from node.remembering import Remembering
from node.request_handler import RequestHandler
from node.telemetry import Telemetry
from shared.cluster import NodeAddress
from shared.errors import GlimpseError
from shared.net.endpoint import Endpoint
from shared.text import clean
from shared.wire import feed_messages as feed

_PROCESS_EVERY_S = 1.0
_MAX_MS = 9_999_999


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
        nodes: Endpoint,
        telemetry: Telemetry,
        clock: Callable[[], float],
    ) -> None:
        self._me = me
        self.incarnation = incarnation
        self.telemetry = telemetry
        self.control = control
        self.request_handler = request_handler
        self.remembering = remembering
        self._directory = directory
        self._encoder = encoder
        self._requests = requests
        self._nodes = nodes
        self._clock = clock
        self._started = clock()
        self._wall_offset_ms = round(1000 * (time.time() - self._started))
        self._process = psutil.Process()
        self._process.cpu_percent()
        self._process_at = self._started
        self.cpu_percent = 0.0
        self.rss_mb = self._process.memory_info().rss / 2**20
        self.directory = DirectoryStats(directory.engine, directory.ok, None, writable=directory.writable)

    def read_process(self) -> None:
        """Measure the process anew, at most once a second: what it used since the last time."""
        now = self._clock()
        if now - self._process_at >= _PROCESS_EVERY_S:
            self._process_at = now
            self.cpu_percent = self._process.cpu_percent()
            self.rss_mb = self._process.memory_info().rss / 2**20

    def process_totals(self) -> tuple[float, int]:
        """Return the processor seconds that the process has used, and its memory in bytes."""
        times = self._process.cpu_times()
        return times.user + times.system, self._process.memory_info().rss

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

    @property
    def uptime_s(self) -> float:
        """Since this life of the node began."""
        return self._clock() - self._started

    def own(self, now: float) -> NodeState:
        """Return what this node says of itself in the election."""
        return next(state for state in self.control.election.node_states(now) if state.node == self._me.name)

    def rtts_s(self) -> dict[str, float]:
        """Return the last round trips of heartbeats by node, as far as this node led lately enough to know."""
        membership = self.control.election.membership
        return {node: rtt for node in membership.others if (rtt := membership.rtt_s(node)) is not None}

    # --- For the feed ------------------------------------------------------------------------------------------------
    def life(self) -> feed.Life:
        """Return which life of which node this is."""
        uptime_ms = round(1000 * self.uptime_s)
        return feed.Life(self._me.name, os.getpid(), self.incarnation, self._wall_offset_ms, uptime_ms, self._me.port)

    def standing(self, now: float) -> feed.Standing:
        """Return the node's part in election and failure simulation."""
        election, faults, places = self.control.election, self.control.faults, self.telemetry.places
        since, token = self.telemetry.leader_since, faults.token
        holder = token.holder if token is not None and token.until > now else None
        return feed.Standing(
            election.role.value,
            election.term,
            places.get(election.leader or ""),
            None if since is None else round(1000 * since, 1),
            election.is_leader(now),
            election.fit,
            election.draining,
            _ms(faults.silence_left_s(now)),
            places.get(holder or ""),
            _ms(token.until - now) if token is not None and holder is not None else 0,
            self.control.dispatch.policy.value,
        )

    def work(self, now: float) -> feed.Work:
        """Return loads and requests."""
        own, counts = self.own(now), self.control.dispatch.counts()
        return feed.Work(
            own.load1,
            own.cores,
            round(cost(own.load1, own.cores, counts.serving), 3),
            round(priority(own.load1), 3),
            round(self.cpu_percent, 1),
            round(self.rss_mb, 1),
            counts.serving,
            counts.open,
            self.request_handler.requests_done,
            self.telemetry.refused,
            counts.failed,
            round(self._encoder.slowdown, 2),
        )

    def traffic(self, watchers: int) -> feed.Traffic:
        """Return what went over both sockets, and who is there."""
        requests, nodes = self._requests.statistics(), self._nodes.statistics()
        return feed.Traffic(
            requests.sent_bytes + nodes.sent_bytes,
            requests.received_bytes + nodes.received_bytes,
            requests.sent_datagrams + nodes.sent_datagrams,
            requests.received_datagrams + nodes.received_datagrams,
            sum(requests.dropped.values()) + sum(nodes.dropped.values()),
            requests.worker_ports,
            requests.sessions,
            self.request_handler.clients,
            watchers,
        )

    def dropped(self) -> dict[str, int]:
        """Return the datagrams and messages that were thrown away, by reason."""
        found = Counter(self._requests.statistics().dropped)
        found.update(self._nodes.statistics().dropped)
        return dict(found)

    def beats(self, now: float) -> list[feed.Beats]:
        """Return the signs of life, a row for each other node in address order."""
        election, telemetry = self.control.election, self.telemetry
        telemetry.beats.settle(now)
        rtts = self.rtts_s()
        rows = []
        for node, counts in telemetry.beats.counts.items():
            age_s = election.membership.state(node, now).heard_age_s
            rows.append(
                feed.Beats(
                    telemetry.places[node],
                    counts.sent,
                    counts.acked,
                    counts.unacked,
                    counts.heard,
                    counts.missed,
                    counts.pulses_sent,
                    counts.pulses_heard,
                    None if age_s == float("inf") else _ms(age_s),
                    min(round(1e6 * rtts[node]), _MAX_MS) if node in rtts else None,
                )
            )
        return rows

    def line(self) -> tuple[str, ...]:
        """Return the nodes in order of succession, the leader among them."""
        return tuple(row.node for row in self.control.election.table.rows)


def _ms(seconds: float) -> int:
    return min(max(0, round(1000 * seconds)), _MAX_MS)
