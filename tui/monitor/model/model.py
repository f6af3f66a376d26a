"""The model of the cluster that the screens show. Fed by the feed's messages, asked by the panels, and nothing else.

No clock and no randomness in here: every call takes `now`, in seconds of one monotonic clock that starts at 0 with the
monitor or with the recording, so that a recording played gives the same screens as the hour it was made in. Whatever
the messages say and in whatever order they come, nothing raises and nothing grows without bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.wire import feed_messages as feed
from tui.monitor.model.cluster import (
    ClusterData,
    ClusterState,
    TableData,
    directory_of,
    directory_trouble,
    leader_of,
    table_of,
    totals_of,
)
from tui.monitor.model.conclusions import FEED_INTERVAL_S, Conclusions
from tui.monitor.model.elections import ElectionBody, ElectionData, ElectionEntry, Elections
from tui.monitor.model.events import Actions, EventHistory, Level, Topic, line_of, one_line
from tui.monitor.model.nodes import DONE, NodeData, NodeRecord, Presence, RoleChange
from tui.monitor.model.reception import Clocks
from tui.monitor.model.requests import RequestTable
from tui.monitor.model.series import LatencyWindow
from tui.monitor.model.traffic import TrafficData, traffic_of

if TYPE_CHECKING:
    from tui.monitor.model.heartbeats import BeatRow
    from tui.monitor.model.reception import NodeClock
    from tui.monitor.node_index import NodeIndex


class Model:
    """Everything that the monitor knows. Feed it with `take`, call `observe` about five times a second, ask the rest.

    `node_index` says who the nodes are; a node is named by its place in it. All times in seconds of the monitor's
    clock.
    """

    def __init__(self, node_index: NodeIndex, *, interval_s: float = FEED_INTERVAL_S) -> None:
        self.node_index = node_index
        self.events = EventHistory()
        self.actions = Actions()
        self.requests = RequestTable()
        self._latency = LatencyWindow()
        self._clocks = Clocks(len(node_index.nodes))
        self._records = [NodeRecord(place, node_index) for place in node_index.places]
        self._elections = Elections(len(node_index.nodes), node_index.timing)
        self._conclusions = Conclusions(self._records, node_index, self._elections, self.events, interval_s)

    # --- Feeding -----------------------------------------------------------------------------------------------------
    def take(self, place: int, message: feed.FeedMessage, now: float) -> None:
        """Take a message of the node at `place`, which came just now. Places beyond the cluster are passed over."""
        if place not in self.node_index.places:
            return
        record = self._records[place]
        if isinstance(message, feed.WatchRefused):
            self.trouble(place, message.reason, now)
            return
        if isinstance(message, feed.FeedState):
            self._begins(record, message, now)
        if record.incarnation == 0 or not record.sequence.fresh(message.seq, message.at_ms):
            return  # before the first FeedState nothing tells whose life this is about; the next frame will
        self._clocks.heard(place, message.at_ms, now)
        self._conclusions.heard(record, now)
        record.trouble = ""
        self._take(record, message, now)
        if record.presence is not Presence.UP:
            self._conclusions.look_at(record, now)

    def trouble(self, place: int, reason: str, now: float) -> None:
        """A node's feed cannot be had now, for a reason that its connection or the node gave."""
        record, text = self._records[place], one_line(reason)
        if text != record.trouble:
            record.trouble = text
            if text:
                self.events.add(now, Level.WARNING, Topic.FEED, place, text)

    def observe(self, now: float) -> None:
        """Let time pass: conclude who is silent and who leads. Call about five times a second."""
        self._conclusions.observe(now)

    # --- Asking ------------------------------------------------------------------------------------------------------
    def cluster(self, now: float) -> ClusterData:
        """Return the cluster's sentence."""
        records, node_index, conclusions = self._records, self.node_index, self._conclusions
        leader = leader_of(records)
        state, since = conclusions.state, conclusions.since
        if leader is not None:
            state, since = ClusterState.LED, self._led_since(leader)
        up = [record for record in records if record.presence is Presence.UP and record.state is not None]
        states = [record.state for record in up if record.state is not None]
        done, refused, failed = totals_of(records)
        holder, token_s = self._token(now)
        policy = next((found.standing.policy for found in states if found.standing.role == "leader"), None)
        return ClusterData(
            state=state,
            since=since,
            leader=None if leader is None else leader.place,
            leader_name=node_index.name(conclusions.last_leader if leader is None else leader.place),
            former_fate=conclusions.fate(now),
            electing=tuple(node_index.name(record.place) for record in up if _is_electing(record)),
            term=max((_term(record) for record in records), default=0),
            nodes_up=len(up),
            nodes=len(records),
            directory=directory_of(records, node_index, now),
            clients=max((found.traffic.clients for found in states), default=0),
            requests_done=done,
            refused=refused,
            failed=failed,
            requests_per_s=sum(record.totals.rate(DONE) for record in up),
            policy=one_line(policy or (states[0].standing.policy if states else "")),
            token=None if holder is None else node_index.name(holder),
            token_s=token_s,
        )

    def nodes(self, now: float) -> tuple[NodeData, ...]:
        """Return what each node's panel shows, by place."""
        ranks = {line.place: line.rank for line in self.table(now).lines}
        return tuple(self._node(record, ranks.get(record.place), now) for record in self._records)

    def node(self, place: int, now: float) -> NodeData:
        """Return what one node's panel shows."""
        return self.nodes(now)[place]

    def table(self, now: float) -> TableData:
        """Return the coordination table in order."""
        return table_of(self._records, self._conclusions.last_leader, self.node_index, now)

    def elections(self, now: float) -> tuple[ElectionData, ...]:
        """Return the elections that are known, newest first."""
        return self._elections.newest_first(now)

    def traffic(self, now: float) -> TrafficData:
        """Return counts, rates and latencies of requests, for all nodes and for each."""
        return traffic_of(self._records, self._latency, self.node_index, now)

    # --- Messages ----------------------------------------------------------------------------------------------------
    def _begins(self, record: NodeRecord, message: feed.FeedState, now: float) -> None:
        """See whether a node that tells of itself has begun a new life."""
        incarnation = message.life.incarnation
        if not record.is_earlier_than(message.life, now):
            return
        again = record.lives > 0
        record.begin(incarnation)
        self._clocks.begin(record.place)
        if again:
            text = f"has started again, process {message.life.pid}"
            self.events.add(now, Level.WARNING, Topic.FEED, record.place, text)

    def _take(self, record: NodeRecord, message: feed.FeedMessage, now: float) -> None:
        match message:
            case feed.FeedState():
                if message.life.incarnation == record.incarnation:
                    record.take_state(message, now)
            case feed.FeedBeats():
                record.take_beats(message, now)
            case feed.FeedDispatch():
                self._latency.add(record.take_dispatch(message, now), now)
            case feed.FeedTable():
                record.table, record.table_at = message, now
            case feed.FeedDirectory():
                record.directory, record.directory_at = message, now
            case feed.FeedKinds():
                record.kinds = message.kinds
            case feed.FeedRequests():
                self._take_requests(record, message)
            case feed.FeedNotices():
                self._take_notices(record, message)
            case _:
                pass

    def _take_requests(self, record: NodeRecord, message: feed.FeedRequests) -> None:
        clock = self._clocks.of(record.place)
        self.requests.one_in[record.place] = message.one_in
        for event in message.events:
            self.requests.take(event, record.place, clock.moment(event.at_ms))

    def _take_notices(self, record: NodeRecord, message: feed.FeedNotices) -> None:
        if message.incarnation != record.incarnation:
            return
        for notice in message.notices:
            if notice.number < record.next_notice:
                continue
            missed = notice.number - record.next_notice if record.next_notice else 0
            record.next_notice = notice.number + 1
            self._take_notice(record, notice)
            if missed:
                at = self._clocks.of(record.place).moment(notice.at_ms)
                text = f"{missed} notices of this node are gone for good"
                self.events.add(at, Level.WARNING, Topic.FEED, record.place, text)

    def _take_notice(self, record: NodeRecord, notice: feed.Notice) -> None:
        place, body = record.place, notice.body
        clock = self._clocks.of(place)
        at = clock.moment(notice.at_ms)
        if isinstance(body, feed.RoleNotice):
            record.role_notice = notice.at_ms, body
        if isinstance(body, ElectionBody):
            self._elections.take(ElectionEntry(place, record.incarnation, notice.number, notice.at_ms, clock, body))
        if isinstance(body, feed.AuditNotice) and not self.actions.take(body.record, place, at):
            return  # another node has told of it
        level, topic, text = line_of(body, place, self.node_index)
        self.events.add(at, level, topic, place, text)

    # --- Panels ------------------------------------------------------------------------------------------------------
    def _node(self, record: NodeRecord, rank: int | None, now: float) -> NodeData:
        place, node_index, state = record.place, self.node_index, record.state
        leader = None if state is None else state.standing.leader
        clock = self._clocks.of(place)
        since_ms = None if state is None else state.standing.leader_since_ms
        return NodeData(
            place=place,
            name=node_index.name(place),
            address=node_index.nodes[place].address,
            presence=record.presence,
            badges=record.badges(),
            state=state,
            silent_s=None if record.heard_at is None else max(0.0, now - record.heard_at),
            deaf_s=max(0.0, self._conclusions.deaf_until(record) - now) if record.presence is Presence.DEAF else 0.0,
            heard_by=self._heard_by(place, now),
            trouble=record.trouble,
            leader_name=node_index.name(leader),
            leader_since=None if since_ms is None else clock.moment(since_ms),
            rank=rank,
            rates=record.rates(),
            curves=record.curves(now),
            beats=self._beats(record, leader, now),
            directory_trouble=directory_trouble(record, now),
            role_change=_role_change(record, clock),
        )

    def _heard_by(self, place: int, now: float) -> tuple[str, ...]:
        within_s = self.node_index.timing.suspect_s
        return tuple(
            self.node_index.name(other.place)
            for other in self._records
            if other.place != place and other.hears(place, within_s, now)
        )

    def _beats(self, record: NodeRecord, leader: int | None, now: float) -> tuple[BeatRow, ...]:
        leads = leader == record.place
        rows = []
        for other, buckets in record.beats.items():
            follows = leader == other
            last = buckets.last if leads else self._records[other].beats[record.place].last if follows else None
            rtt_us = None if last is None or record.presence is not Presence.UP else last.rtt_us
            name = self.node_index.name(other)
            rows.append(buckets.row(name, now, leads=leads, follows=follows, rtt_us=rtt_us))
        return tuple(rows)

    def _led_since(self, leader: NodeRecord) -> float | None:
        assert leader.state is not None
        since_ms = leader.state.standing.leader_since_ms
        return None if since_ms is None else self._clocks.of(leader.place).moment(since_ms)

    def _token(self, now: float) -> tuple[int | None, float]:
        """Return who holds the token of the failure simulation, as the freshest of those that answer say."""
        told = [
            (record.heard_at, record.state.standing)
            for record in self._records
            if record.state is not None
            and record.heard_at is not None
            and record.presence is not Presence.DOWN
            and record.state.standing.token in self.node_index.places
        ]
        if not told:
            return None, 0.0
        heard_at, standing = max(told, key=_first)
        return standing.token, max(0.0, standing.token_ms / 1000 - (now - heard_at))


def _term(record: NodeRecord) -> int:
    return 0 if record.state is None else record.state.standing.term


def _role_change(record: NodeRecord, clock: NodeClock) -> RoleChange | None:
    if record.role_notice is None:
        return None
    at_ms, notice = record.role_notice
    return RoleChange(clock.moment(at_ms), notice.previous, notice.role, notice.why, notice.term)


def _is_electing(record: NodeRecord) -> bool:
    return record.state is not None and record.state.standing.role in ("probe", "elect", "wait", "claim")


def _first(item: tuple[float, object]) -> float:
    return item[0]
