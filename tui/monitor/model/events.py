"""The log of everything that happened, as the monitor heard it or concluded it: bounded, ordered by time, filtered."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

from shared.text import clean

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
