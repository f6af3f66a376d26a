"""What happened: the history of events, bounded and ordered by time, what notices say, and what operators ordered."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from node.roles import Input
from shared.text import clean
from shared.wire import feed_messages as feed

if TYPE_CHECKING:
    from shared.wire.node_messages import AuditRecord
    from tui.monitor.node_index import NodeIndex

MAX_EVENTS: Final = 2_000
MAX_TEXT_CHARS: Final = 200


class Level(IntEnum):
    """How much an event matters."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40

    @classmethod
    def of_log(cls, word: str) -> Level:
        """Return the level of a node's log line."""
        return {"debug": cls.DEBUG, "info": cls.INFO, "warning": cls.WARNING}.get(word, cls.ERROR)


class Topic(StrEnum):
    """What an event is about."""

    ROLE = "role"
    LEADER = "leader"
    ELECTION = "election"
    LEASE = "lease"
    FAILURE = "failure"
    """The failure simulation: deafness and the token."""
    ACTION = "action"
    """An operator's order."""
    LOG = "log"
    FEED = "feed"
    """The monitor's own connection to a node."""
    DIRECTORY = "directory"


class Event(NamedTuple):
    """Something that happened at `at`, seconds of the monitor's clock. `number` grows with arrival."""

    number: int
    at: float
    level: Level
    topic: Topic
    place: int | None
    """The node that told of it or that it is about; None: the cluster."""
    text: str
    """One harmless line."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are shown. The default shows everything but what is for the curious."""

    level: Level = Level.INFO
    """This one and what matters more."""
    place: int | None = None
    topics: frozenset[Topic] = frozenset()
    """None of them given: all."""
    text: str = ""
    """Words that must all stand in the text, the topic or the level, whatever their case."""

    def takes(self, event: Event) -> bool:
        """Return whether an event is shown."""
        if event.level < self.level or (self.place is not None and event.place != self.place):
            return False
        if self.topics and event.topic not in self.topics:
            return False
        if not self.text:
            return True
        line = f"{event.text} {event.topic} {event.level.name}".casefold()
        return all(word in line for word in self.text.casefold().split())


class EventHistory:
    """The last `MAX_EVENTS` events. `version` changes whenever there is something new to show."""

    def __init__(self) -> None:
        self.version = 0
        self.dropped = 0
        """Events that had to make room, since the start."""
        self._events: list[Event] = []
        self._number = 0

    def add(self, at: float, level: Level, topic: Topic, place: int | None, text: str) -> None:
        """Put an event where its time belongs; the text may come from anywhere. The oldest one makes room."""
        self._number += 1
        event = Event(self._number, at, level, topic, place, one_line(text))
        if not self._events or at >= self._events[-1].at:
            self._events.append(event)
        else:
            self._events.insert(bisect_right(self._events, at, key=lambda known: known.at), event)
        if len(self._events) > MAX_EVENTS:
            self._make_room()
        self.version += 1

    def shown(self, chosen: EventFilter | None = None) -> tuple[Event, ...]:
        """Return the events that a filter lets through, oldest first."""
        if chosen is None:
            return tuple(self._events)
        return tuple(event for event in self._events if chosen.takes(event))

    def __len__(self) -> int:
        return len(self._events)

    def _make_room(self) -> None:
        """Drop the oldest quarter; of that, warnings and errors stay while they are few."""
        old, rest = self._events[: MAX_EVENTS // 4], self._events[MAX_EVENTS // 4 :]
        kept = [event for event in old if event.level >= Level.WARNING][-MAX_EVENTS // 8 :]
        self.dropped += len(old) - len(kept)
        self._events = kept + rest


def one_line(text: str) -> str:
    """Return a text from anywhere as one harmless line."""
    return " ".join(clean(text, max_chars=MAX_TEXT_CHARS).split())


_LEASE = {
    "CLAIM": (Level.DEBUG, "asks the directory for the lease"),
    "WON": (Level.INFO, "won the lease"),
    "LOST": (Level.INFO, "did not get the lease"),
    "UNKNOWN": (Level.WARNING, "got no answer about the lease"),
    "RELEASE": (Level.DEBUG, "gives the lease back"),
    "RELEASED": (Level.INFO, "gave the lease back"),
}


def line_of(body: feed.AnyNotice, place: int, node_index: NodeIndex) -> tuple[Level, Topic, str]:
    """Return how much a notice of the node at `place` matters, what it is about, and what it says."""
    match body:
        case feed.RoleNotice(previous, role, why, term):
            return Level.INFO, Topic.ROLE, f"{previous} → {role} ({reason(why)}), term {term}"
        case feed.LeaderNotice(leader, term):
            return _leader(leader, term, place, node_index)
        case feed.ElectionNotice(sent, kind, node, term):
            direction = "to" if sent else "from"
            return Level.DEBUG, Topic.ELECTION, f"{kind} {direction} {node_index.name(node)}, term {term}"
        case feed.LeaseNotice(what, term):
            level, text = _LEASE.get(what, (Level.INFO, f"lease: {what}"))
            return level, Topic.LEASE, f"{text}, term {term}"
        case feed.DeafNotice(deaf):
            text = "is deaf from here on" if deaf else "hears again"
            return Level.WARNING if deaf else Level.INFO, Topic.FAILURE, text
        case feed.TokenNotice(holder, hop):
            text = "the token is out of the game" if holder is None else f"{node_index.name(holder)} holds the token"
            return Level.INFO, Topic.FAILURE, f"{text} (hop {hop})"
        case feed.LogNotice(level, source, text):
            return Level.of_log(level), Topic.LOG, f"{source}: {text}"
        case feed.RestoredNotice(epoch, frozen):
            return Level.WARNING, Topic.DIRECTORY, restored_line(epoch, frozen)
        case feed.AuditNotice(record):
            return (Level.INFO if record.obeyed else Level.WARNING), Topic.ACTION, order_line(record)


def reason(why: str) -> str:
    """Return the name of an input of the election in words."""
    try:
        return Input[why].value
    except KeyError:
        return why.replace("_", " ").lower()


def restored_line(epoch: int, frozen: int) -> str:
    """Return what a restored directory means, as a line that is read whole in 120 columns."""
    few = {0: "no grant waits for its owner", 1: "1 grant waits for its owner"}
    return f"the directory was restored (epoch {epoch}): {few.get(frozen, f'{frozen} grants wait for their owners')}"


def order_line(record: AuditRecord) -> str:
    """Return an operator's order as a line; its texts come from elsewhere and are not clean yet."""
    value = f" {record.value}" if record.value else ""
    refused = "" if record.obeyed else f": refused, {record.text}"
    words = "-".join(record.operator.split()[:3])
    return f"order {record.order}{value} to {record.node} by {words or 'an operator'}{refused}"


def _leader(leader: int | None, term: int, place: int, node_index: NodeIndex) -> tuple[Level, Topic, str]:
    if leader is None:
        return Level.WARNING, Topic.LEADER, f"knows of no leader, term {term}"
    if leader == place:
        return Level.INFO, Topic.LEADER, f"leads, term {term}"
    return Level.INFO, Topic.LEADER, f"follows {node_index.name(leader)}, term {term}"


MAX_ACTIONS: Final = 256


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """One order. `at` is the moment when the monitor's clock stood where the first node told of it."""

    record: AuditRecord
    at: float
    logged_by: frozenset[int]
    """Places of the nodes that have it in their audit log, as far as they said so to this monitor."""


class Actions:
    """The last `MAX_ACTIONS` orders."""

    def __init__(self) -> None:
        self._actions: OrderedDict[tuple[str, int, int], OperatorAction] = OrderedDict()

    def take(self, record: AuditRecord, place: int, at: float) -> bool:
        """Take it that the node's log has this record; True if nobody told of it before."""
        key = (record.node, record.incarnation, record.number)
        known = self._actions.get(key)
        if known is not None:
            self._actions[key] = OperatorAction(known.record, min(known.at, at), known.logged_by | {place})
            return False
        self._actions[key] = OperatorAction(record, at, frozenset({place}))
        if len(self._actions) > MAX_ACTIONS:
            self._actions.popitem(last=False)
        return True

    def newest_first(self) -> tuple[OperatorAction, ...]:
        """Return all that are kept."""
        return tuple(sorted(self._actions.values(), key=lambda action: action.at, reverse=True))
