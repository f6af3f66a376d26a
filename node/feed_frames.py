"""A snapshot of a node, and what happened since the last one, as messages of the feed.

What they mean is told in `shared.wire.feed_messages`.
"""

from collections.abc import Iterator

from node.event_log import EventLog
from node.histogram import trimmed
from node.node_stats import LinkSnapshot, NodeSnapshot
from node.request_sampler import RequestSampler
from node.subscriptions import Subscription
from node.telemetry import Telemetry
from shared.wire import feed_messages as feed

EVENTS_PER_FRAME = 4 * feed.REQUESTS_PER_MESSAGE
NOTICE_MESSAGES_PER_FRAME = 4
_MAX_MS = 9_999_999


def frame(
    subscription: Subscription, taken: NodeSnapshot, telemetry: Telemetry, *, slow: bool, watchers: int
) -> Iterator[feed.FeedMessage]:
    """Yield one frame for one watch, and note in the watch what it has now; `slow`: with what changes slowly."""
    yield state(taken, subscription.number(), watchers)
    for rows in beats(taken):
        yield feed.FeedBeats(seq=subscription.number(), at_ms=at_ms(taken), beats=rows)
    line = tuple(row.node for row in taken.table.rows)
    if slow or line != subscription.line:
        subscription.line = line
        yield table(taken, subscription.number())
    yield dispatch(taken, subscription.number())
    yield from _requests(subscription, taken, telemetry.samples)
    yield from _notices(subscription, taken, telemetry.notices)
    if slow:
        yield kinds(taken, subscription.number())
        yield directory(taken, subscription.number())


def _requests(subscription: Subscription, taken: NodeSnapshot, samples: RequestSampler) -> Iterator[feed.FeedRequests]:
    samples.adapt(taken.at)
    events = samples.after(subscription.events_after, EVENTS_PER_FRAME)
    left_out = samples.total - subscription.total_then - len(events)
    subscription.from_here(samples)
    for start in range(0, len(events), feed.REQUESTS_PER_MESSAGE):
        portion = tuple(events[start : start + feed.REQUESTS_PER_MESSAGE])
        yield feed.FeedRequests(
            seq=subscription.number(), at_ms=at_ms(taken), one_in=samples.one_in, left_out=left_out, events=portion
        )


def _notices(subscription: Subscription, taken: NodeSnapshot, notices: EventLog) -> Iterator[feed.FeedNotices]:
    for portion in notices.after(subscription.notices_after, NOTICE_MESSAGES_PER_FRAME):
        subscription.notices_after = portion[-1].number
        yield feed.FeedNotices(
            seq=subscription.number(),
            at_ms=at_ms(taken),
            incarnation=taken.incarnation,
            oldest=notices.oldest,
            notices=portion,
        )


def state(taken: NodeSnapshot, seq: int, watchers: int) -> feed.FeedState:
    """Return the node as it sees itself."""
    return feed.FeedState(
        seq=seq,
        at_ms=at_ms(taken),
        life=feed.Life(
            taken.name,
            taken.pid,
            taken.incarnation,
            round(1000 * taken.wall_offset_s),
            round(1000 * taken.uptime_s),
            taken.port,
        ),
        standing=_standing(taken),
        work=_work(taken),
        traffic=feed.Traffic(
            taken.sent_bytes,
            taken.received_bytes,
            taken.sent_datagrams,
            taken.received_datagrams,
            sum(taken.dropped.values()),
            taken.worker_ports,
            taken.sessions,
            taken.clients,
            watchers,
            taken.relay_pairs,
            taken.relayed_bytes,
            sum(taken.relay_refused.values()),
        ),
    )


def _standing(taken: NodeSnapshot) -> feed.Standing:
    return feed.Standing(
        taken.role.value,
        taken.term,
        _place(taken, taken.leader),
        None if taken.leader_since is None else round(1000 * taken.leader_since, 1),
        taken.leads,
        taken.fit,
        taken.draining,
        _ms(taken.deaf_s),
        _place(taken, taken.token_holder),
        _ms(taken.token_s),
        taken.policy,
    )


def _work(taken: NodeSnapshot) -> feed.Work:
    return feed.Work(
        taken.load1,
        taken.cores,
        round(taken.cost, 3),
        round(taken.priority, 3),
        round(taken.cpu_percent, 1),
        round(taken.rss_bytes / 2**20, 1),
        taken.in_flight,
        taken.open_requests,
        taken.requests_done,
        taken.refused,
        taken.failed,
        round(taken.slowdown, 2),
    )


def beats(taken: NodeSnapshot) -> Iterator[tuple[feed.Beats, ...]]:
    """Yield the rows of heartbeats, as many at a time as one message takes."""
    rows = tuple(_beats(taken, link) for link in taken.links)
    for start in range(0, len(rows), feed.BEATS_PER_MESSAGE):
        yield rows[start : start + feed.BEATS_PER_MESSAGE]


def _beats(taken: NodeSnapshot, link: LinkSnapshot) -> feed.Beats:
    return feed.Beats(
        taken.nodes.index(link.node),
        link.sent,
        link.acked,
        link.unacked,
        link.heard,
        link.missed,
        link.pulses_sent,
        link.pulses_heard,
        None if link.heard_age_s is None else _ms(link.heard_age_s),
        None if link.rtt_s is None else min(round(1e6 * link.rtt_s), _MAX_MS),
    )


def table(taken: NodeSnapshot, seq: int) -> feed.FeedTable:
    """Return the coordination table as the node holds it."""
    rows = taken.table.to_wire({node: place for place, node in enumerate(taken.nodes)})
    return feed.FeedTable(seq=seq, at_ms=at_ms(taken), term=taken.table.term, age_ms=_ms(taken.table_age_s), rows=rows)


def dispatch(taken: NodeSnapshot, seq: int) -> feed.FeedDispatch:
    """Return the counts of everything that happened to requests."""
    return feed.FeedDispatch(
        seq=seq,
        at_ms=at_ms(taken),
        counts=taken.happenings,
        latency=trimmed(taken.latency),
        latency_sum_ms=round(taken.latency_sum_ms, 1),
    )


def kinds(taken: NodeSnapshot, seq: int) -> feed.FeedKinds:
    """Return the answered requests by kind of operation, the most frequent ones."""
    counted = sorted(taken.kinds.items(), key=lambda item: -item[1].served)[: feed.KINDS_PER_MESSAGE]
    return feed.FeedKinds(
        seq=seq,
        at_ms=at_ms(taken),
        kinds=tuple(
            feed.KindCount(operation, totals.served, totals.refused, round(totals.latency_sum_ms))
            for operation, totals in counted
        ),
    )


def directory(taken: NodeSnapshot, seq: int) -> feed.FeedDirectory:
    """Return the directory as the node saw it last."""
    found = taken.directory
    return feed.FeedDirectory(
        seq=seq,
        at_ms=at_ms(taken),
        engine=found.engine,
        ok=found.ok,
        latency_ms=None if found.latency_ms is None else round(found.latency_ms, 2),
        error=found.error,
        writable=found.writable,
        ahead_s=round(found.ahead_s, 1),
    )


def at_ms(taken: NodeSnapshot) -> float:
    """Return when a snapshot was taken, as the feed writes it."""
    return round(1000 * taken.at, 1)


def _place(taken: NodeSnapshot, node: str | None) -> int | None:
    return taken.nodes.index(node) if node in taken.nodes else None


def _ms(seconds: float) -> int:
    return min(max(0, round(1000 * seconds)), _MAX_MS)
