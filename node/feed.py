"""Pushes the status feed to operators who watch this node. What is in it is told in `shared.wire.feed_messages`."""

import logging
import threading
from collections.abc import Callable, Iterator

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from node.node_stats import NodeStats
from node.subscriptions import SLOW_EVERY_S, Subscription, Subscriptions
from shared.config import MAX_MESSAGE_BYTES
from shared.errors import LocalError
from shared.net.endpoint import Endpoint, Session
from shared.wire import feed_messages as feed
from shared.wire.base import Message
from shared.wire.codec import encode

log = logging.getLogger(__name__)

EVENTS_PER_FRAME = 4 * feed.REQUESTS_PER_MESSAGE
NOTICE_MESSAGES_PER_FRAME = 4


class Feed:
    """The watches of one node. All calls from the event loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        stats: NodeStats,
        *,
        operators: frozenset[bytes],
        clock: Callable[[], float],
        tasks: TaskGroup,
    ) -> None:
        self._endpoint = endpoint
        self._stats = stats
        self._telemetry = stats.telemetry
        self._operators = operators
        self._clock = clock
        self._tasks = tasks
        self._subscriptions = Subscriptions(stats.incarnation)
        self._wake = anyio.Event()
        self._ping_due = 0.0
        self._pinging = False

    def receive(self, session: Session, message: feed.WatchMessage) -> None:
        """Take a monitor's word. From anybody but an operator it has no effect and no answer."""
        if session.remote_key not in self._operators:
            return
        now = self._clock()
        if isinstance(message, feed.Unwatch):
            self._subscriptions.end(session)
        elif (subscription := self._subscriptions.watch(session, message, now)) is None:
            reason = f"This node has {feed.MAX_WATCHERS} monitors already; close one of them."
            self._post(session, feed.WatchRefused(request=message.request, reason=reason))
        elif subscription.seq == 0:
            samples = self._telemetry.samples
            subscription.events_after, subscription.total_then = samples.followed, samples.total
        self._watched()
        self._wake.set()

    def closed(self, session: Session) -> None:
        """A session is over."""
        self._subscriptions.end(session)
        self._watched()

    def hurry(self) -> None:
        """Send everybody a frame now: the node is about to fall silent."""
        now = self._clock()
        for subscription in self._subscriptions.all.values():
            subscription.due = now
        self._wake.set()

    async def run(self) -> None:
        """Send frames as they fall due, until cancelled."""
        while True:
            now = self._clock()
            for subscription in self._subscriptions.due(now):
                self._frame(subscription, now)
            self._watched()
            self._wake = anyio.Event()
            with anyio.move_on_after(max(0.0, self._subscriptions.next_deadline() - self._clock())):
                await self._wake.wait()
            await anyio.lowlevel.checkpoint()

    def _watched(self) -> None:
        self._telemetry.samples.watched = bool(self._subscriptions.all)

    # --- Frames ------------------------------------------------------------------------------------------------------
    def _frame(self, subscription: Subscription, now: float) -> None:
        session = subscription.session
        assert isinstance(session, Session)
        if not session.alive:
            self._subscriptions.end(session)
            return
        stats, at_ms = self._stats, round(1000 * now, 1)
        slow = now >= subscription.slow_due
        if slow:
            subscription.slow_due = now + SLOW_EVERY_S
            stats.read_process()
            self._ping(now)
        for message in self._messages(subscription, now, at_ms, slow):
            self._post(session, message)

    def _messages(self, subscription: Subscription, now: float, at_ms: float, slow: bool) -> Iterator[Message]:
        stats = self._stats
        yield feed.FeedState(
            seq=subscription.number(),
            at_ms=at_ms,
            life=stats.life(),
            standing=stats.standing(now),
            work=stats.work(now),
            traffic=stats.traffic(len(self._subscriptions.all)),
        )
        rows = stats.beats(now)
        for start in range(0, len(rows), feed.BEATS_PER_MESSAGE):
            beats = tuple(rows[start : start + feed.BEATS_PER_MESSAGE])
            yield feed.FeedBeats(seq=subscription.number(), at_ms=at_ms, beats=beats)
        line = stats.line()
        if slow or line != subscription.line:
            subscription.line = line
            yield self._table(subscription.number(), at_ms, now)
        samples, latency = self._telemetry.samples, self._telemetry.latency
        yield feed.FeedDispatch(
            seq=subscription.number(),
            at_ms=at_ms,
            counts=tuple(samples.counts),
            latency=latency.trimmed(),
            latency_sum_ms=round(latency.sum_ms, 1),
        )
        yield from self._requests(subscription, now, at_ms)
        yield from self._notices(subscription, at_ms)
        if slow:
            yield self._kinds(subscription.number(), at_ms)
            seen = stats.directory
            latency_ms = None if seen.latency_ms is None else round(seen.latency_ms, 2)
            yield feed.FeedDirectory(
                seq=subscription.number(),
                at_ms=at_ms,
                engine=seen.engine,
                ok=seen.ok,
                latency_ms=latency_ms,
                error=seen.error,
                writable=seen.writable,
                ahead_s=round(seen.ahead_s, 1),
            )

    def _table(self, seq: int, at_ms: float, now: float) -> feed.FeedTable:
        election = self._stats.control.election
        age_ms = min(round(1000 * (now - election.table_at)), 9_999_999)
        rows = election.table.to_wire(self._telemetry.places)
        return feed.FeedTable(seq=seq, at_ms=at_ms, term=election.table.term, age_ms=max(0, age_ms), rows=rows)

    def _kinds(self, seq: int, at_ms: float) -> feed.FeedKinds:
        counted = sorted(self._telemetry.kinds.items(), key=lambda item: -item[1].served)[: feed.KINDS_PER_MESSAGE]
        kinds = tuple(
            feed.KindCount(operation, totals.served, totals.refused, round(totals.latency_sum_ms))
            for operation, totals in counted
        )
        return feed.FeedKinds(seq=seq, at_ms=at_ms, kinds=kinds)

    def _requests(self, subscription: Subscription, now: float, at_ms: float) -> Iterator[Message]:
        samples = self._telemetry.samples
        samples.adapt(now)
        events = samples.after(subscription.events_after, EVENTS_PER_FRAME)
        left_out = samples.total - subscription.total_then - len(events)
        subscription.events_after, subscription.total_then = samples.followed, samples.total
        for start in range(0, len(events), feed.REQUESTS_PER_MESSAGE):
            portion = tuple(events[start : start + feed.REQUESTS_PER_MESSAGE])
            yield feed.FeedRequests(
                seq=subscription.number(), at_ms=at_ms, one_in=samples.one_in, left_out=left_out, events=portion
            )

    def _notices(self, subscription: Subscription, at_ms: float) -> Iterator[Message]:
        notices = self._telemetry.notices
        for portion in notices.after(subscription.notices_after, NOTICE_MESSAGES_PER_FRAME):
            subscription.notices_after = portion[-1].number
            yield feed.FeedNotices(
                seq=subscription.number(),
                at_ms=at_ms,
                incarnation=self._stats.incarnation,
                oldest=notices.oldest,
                notices=portion,
            )

    def _post(self, session: Session, message: Message) -> None:
        if not session.alive:
            return
        try:
            self._endpoint.post(session, encode(message, cap_bytes=MAX_MESSAGE_BYTES))
        except LocalError:
            log.exception("a message of the feed could not be sent")

    # --- The directory -----------------------------------------------------------------------------------------------
    def _ping(self, now: float) -> None:
        if now >= self._ping_due and not self._pinging:
            self._ping_due = now + SLOW_EVERY_S / 2
            self._pinging = True
            self._tasks.start_soon(self._ping_once)

    async def _ping_once(self) -> None:
        try:
            await self._stats.ping()
        finally:
            self._pinging = False


class LogToFeed(logging.Handler):
    """Hands lines of the log, warnings and worse, to whoever watches; from any thread."""

    def __init__(self, logged: Callable[[str, str, str], None], call_soon: Callable[..., object]) -> None:
        super().__init__(logging.WARNING)
        self._logged = logged
        self._call_soon = call_soon
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record: its text, and the reason where it names one."""
        text = record.getMessage()
        reason = getattr(record, "reason", None)
        if reason:
            text = f"{text}: {reason}"
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {type(record.exc_info[1]).__name__}"
        line = (record.levelname.lower(), record.name.rpartition(".")[2], text)
        if threading.get_ident() == self._thread:
            self._logged(*line)
        else:
            self._call_soon(self._logged, *line)
