"""Pushes the status feed to operators who watch this node. What is in it is told in `shared.wire.feed_messages`."""

import logging
import threading
from collections.abc import Callable, Iterator

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from node.figures import Figures
from node.watchers import SLOW_EVERY_S, Watcher, Watchers
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
        self, endpoint: Endpoint, figures: Figures, *, operators: frozenset[bytes], clock: Callable[[], float],
        tasks: TaskGroup,
    ) -> None:  # fmt: skip
        self._endpoint = endpoint
        self._figures = figures
        self._observer = figures.observer
        self._operators = operators
        self._clock = clock
        self._tasks = tasks
        self._watchers = Watchers(figures.incarnation)
        self._wake = anyio.Event()
        self._ping_due = 0.0
        self._pinging = False

    def receive(self, session: Session, message: feed.WatchMessage) -> None:
        """Take a monitor's word. From anybody but an operator it has no effect and no answer."""
        if session.remote_key not in self._operators:
            return
        now = self._clock()
        if isinstance(message, feed.Unwatch):
            self._watchers.end(session)
        elif (watcher := self._watchers.watch(session, message, now)) is None:
            reason = f"This node has {feed.MAX_WATCHERS} monitors already; close one of them."
            self._post(session, feed.WatchRefused(request=message.request, reason=reason))
        elif watcher.seq == 0:
            samples = self._observer.samples
            watcher.events_after, watcher.total_then = samples.followed, samples.total
        self._watched()
        self._wake.set()

    def closed(self, session: Session) -> None:
        """A session is over."""
        self._watchers.end(session)
        self._watched()

    def hurry(self) -> None:
        """Send everybody a frame now: the node is about to fall silent."""
        now = self._clock()
        for watcher in self._watchers.all.values():
            watcher.due = now
        self._wake.set()

    async def run(self) -> None:
        """Send frames as they fall due, until cancelled."""
        while True:
            now = self._clock()
            for watcher in self._watchers.due(now):
                self._frame(watcher, now)
            self._watched()
            self._wake = anyio.Event()
            with anyio.move_on_after(max(0.0, self._watchers.next_deadline() - self._clock())):
                await self._wake.wait()
            await anyio.lowlevel.checkpoint()

    def _watched(self) -> None:
        self._observer.samples.watched = bool(self._watchers.all)

    # --- Frames ------------------------------------------------------------------------------------------------------
    def _frame(self, watcher: Watcher, now: float) -> None:
        session = watcher.session
        assert isinstance(session, Session)
        if not session.alive:
            self._watchers.end(session)
            return
        figures, at_ms = self._figures, round(1000 * now, 1)
        slow = now >= watcher.slow_due
        if slow:
            watcher.slow_due = now + SLOW_EVERY_S
            figures.read_process()
            self._ping(now)
        for message in self._messages(watcher, now, at_ms, slow):
            self._post(session, message)

    def _messages(self, watcher: Watcher, now: float, at_ms: float, slow: bool) -> Iterator[Message]:
        figures = self._figures
        yield feed.FeedState(
            seq=watcher.number(), at_ms=at_ms, life=figures.life(), standing=figures.standing(now),
            work=figures.work(now), traffic=figures.traffic(len(self._watchers.all)),
        )  # fmt: skip
        rows = figures.beats(now)
        for start in range(0, len(rows), feed.BEATS_PER_MESSAGE):
            beats = tuple(rows[start : start + feed.BEATS_PER_MESSAGE])
            yield feed.FeedBeats(seq=watcher.number(), at_ms=at_ms, beats=beats)
        line = figures.line()
        if slow or line != watcher.line:
            watcher.line = line
            yield self._table(watcher.number(), at_ms, now)
        samples, latency = self._observer.samples, self._observer.latency
        yield feed.FeedDispatch(
            seq=watcher.number(), at_ms=at_ms, counts=tuple(samples.counts), latency=latency.trimmed(),
            latency_sum_ms=round(latency.sum_ms, 1),
        )  # fmt: skip
        yield from self._requests(watcher, now, at_ms)
        yield from self._notices(watcher, at_ms)
        if slow:
            yield self._kinds(watcher.number(), at_ms)
            seen = figures.directory
            latency_ms = None if seen.latency_ms is None else round(seen.latency_ms, 2)
            yield feed.FeedDirectory(
                seq=watcher.number(), at_ms=at_ms, engine=seen.engine, ok=seen.ok, latency_ms=latency_ms,
                error=seen.error, writable=seen.writable, ahead_s=round(seen.ahead_s, 1),
            )  # fmt: skip

    def _table(self, seq: int, at_ms: float, now: float) -> feed.FeedTable:
        election = self._figures.control.election
        age_ms = min(round(1000 * (now - election.table_at)), 9_999_999)
        rows = election.table.to_wire(self._observer.places)
        return feed.FeedTable(seq=seq, at_ms=at_ms, term=election.table.term, age_ms=max(0, age_ms), rows=rows)

    def _kinds(self, seq: int, at_ms: float) -> feed.FeedKinds:
        counted = sorted(self._observer.kinds.items(), key=lambda item: -item[1].served)[: feed.KINDS_PER_MESSAGE]
        kinds = tuple(
            feed.KindCount(operation, totals.served, totals.refused, round(totals.latency_sum_ms))
            for operation, totals in counted
        )
        return feed.FeedKinds(seq=seq, at_ms=at_ms, kinds=kinds)

    def _requests(self, watcher: Watcher, now: float, at_ms: float) -> Iterator[Message]:
        samples = self._observer.samples
        samples.adapt(now)
        events = samples.after(watcher.events_after, EVENTS_PER_FRAME)
        left_out = samples.total - watcher.total_then - len(events)
        watcher.events_after, watcher.total_then = samples.followed, samples.total
        for start in range(0, len(events), feed.REQUESTS_PER_MESSAGE):
            portion = tuple(events[start : start + feed.REQUESTS_PER_MESSAGE])
            yield feed.FeedRequests(
                seq=watcher.number(), at_ms=at_ms, one_in=samples.one_in, left_out=left_out, events=portion
            )

    def _notices(self, watcher: Watcher, at_ms: float) -> Iterator[Message]:
        notices = self._observer.notices
        for portion in notices.after(watcher.notices_after, NOTICE_MESSAGES_PER_FRAME):
            watcher.notices_after = portion[-1].number
            yield feed.FeedNotices(
                seq=watcher.number(), at_ms=at_ms, incarnation=self._figures.incarnation, oldest=notices.oldest,
                notices=portion,
            )  # fmt: skip

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
            await self._figures.ping()
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
