"""Who watches this node, how often each wants a frame, and up to where each has what."""

from collections.abc import Hashable
from dataclasses import dataclass, field

from node.request_sampler import RequestSampler
from shared.wire.feed_messages import MAX_INTERVAL_MS, MAX_WATCHERS, MIN_INTERVAL_MS, WATCH_LAPSE_MS, Watch

SLOW_EVERY_S = 1.0
"""What changes slowly is sent this often."""


@dataclass(slots=True)
class Subscription:
    """One watch. Times in seconds of the node's clock."""

    session: Hashable
    interval_s: float
    until: float
    due: float
    slow_due: float
    seq: int = 0
    """Number of the last message."""
    notices_after: int = 0
    """Notices up to this number have been sent."""
    to_be_acknowledged: int = 0
    """Those up to this number were sent before the last renewal, so the next one should say that they arrived."""
    events_after: int = 0
    total_then: int = 0
    """What had happened to requests at the last frame."""
    line: tuple[object, ...] = ()
    """Order of succession as last sent."""

    def number(self) -> int:
        """Return the number of the next message."""
        self.seq += 1
        return self.seq

    def takes_slow(self, now: float) -> bool:
        """Return whether what changes slowly belongs to the frame of `now`, and set when it does next."""
        if now < self.slow_due:
            return False
        self.slow_due = now + SLOW_EVERY_S
        return True

    def from_here(self, samples: RequestSampler) -> None:
        """Tell what happens to requests from now on, not what has happened before."""
        self.events_after, self.total_then = samples.followed, samples.total


@dataclass(slots=True)
class Subscriptions:
    """The watches of one node, whose life is `incarnation`."""

    incarnation: int
    all: dict[Hashable, Subscription] = field(default_factory=dict)

    def watch(self, session: Hashable, message: Watch, now: float) -> Subscription | None:
        """Begin a watch or go on with it; None if there are too many."""
        self.lapse(now)
        interval_s = min(max(message.interval_ms, MIN_INTERVAL_MS), MAX_INTERVAL_MS) / 1000
        subscription = self.all.get(session)
        has_until = message.after if message.incarnation == self.incarnation else 0
        if subscription is None:
            if len(self.all) >= MAX_WATCHERS:
                return None
            subscription = self.all[session] = Subscription(session, interval_s, 0.0, now, now, notices_after=has_until)
        elif has_until < subscription.to_be_acknowledged:
            subscription.notices_after = has_until
        subscription.to_be_acknowledged = subscription.notices_after
        subscription.until = now + WATCH_LAPSE_MS / 1000
        subscription.due = min(subscription.due, now + interval_s)
        subscription.interval_s = interval_s
        return subscription

    def end(self, session: Hashable) -> None:
        """The session is over or wants no more."""
        self.all.pop(session, None)

    def lapse(self, now: float) -> None:
        """End the watches that were not renewed."""
        for session in [session for session, subscription in self.all.items() if subscription.until <= now]:
            del self.all[session]

    def due(self, now: float) -> list[Subscription]:
        """Return whose frame is due, and set when the next one is."""
        self.lapse(now)
        found = [subscription for subscription in self.all.values() if subscription.due <= now]
        for subscription in found:
            late = now - subscription.due > subscription.interval_s
            subscription.due = (now if late else subscription.due) + subscription.interval_s
        return found

    def next_deadline(self) -> float:
        """Return when the next frame is due; infinite while nobody watches."""
        return min((subscription.due for subscription in self.all.values()), default=float("inf"))
