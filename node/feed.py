"""Pushes the status feed to operators who watch this node. What is in it is told in `shared.wire.feed_messages`."""

import logging
import threading
from collections.abc import Callable

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from node import feed_frames
from node.node_stats import NodeSnapshot, NodeStats
from node.subscriptions import SLOW_EVERY_S, Subscription, Subscriptions
from shared.config import MAX_MESSAGE_BYTES
from shared.errors import LocalError
from shared.net.endpoint import Endpoint, Session
from shared.wire import feed_messages as feed
from shared.wire.base import Message
from shared.wire.codec import encode

log = logging.getLogger(__name__)


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
            subscription.from_here(self._telemetry.samples)
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
            if due := self._subscriptions.due(self._clock()):
                taken = self._stats.snapshot()
                for subscription in due:
                    self._frame(subscription, taken)
            self._watched()
            self._wake = anyio.Event()
            with anyio.move_on_after(max(0.0, self._subscriptions.next_deadline() - self._clock())):
                await self._wake.wait()
            await anyio.lowlevel.checkpoint()

    def _watched(self) -> None:
        self._telemetry.samples.watched = bool(self._subscriptions.all)

    # --- Frames ------------------------------------------------------------------------------------------------------
    def _frame(self, subscription: Subscription, taken: NodeSnapshot) -> None:
        session = subscription.session
        assert isinstance(session, Session)
        if not session.alive:
            self._subscriptions.end(session)
            return
        slow = subscription.takes_slow(taken.at)
        if slow:
            self._ping(taken.at)
        watchers = len(self._subscriptions.all)
        with self._telemetry.lock:
            messages = list(feed_frames.frame(subscription, taken, self._telemetry, slow=slow, watchers=watchers))
        for message in messages:
            self._post(session, message)

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
