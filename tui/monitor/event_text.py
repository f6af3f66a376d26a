"""Events as lines of plain text, for the clipboard and for files: date, time and offset, level, topic, node, text."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tui.common.wording import plain
from tui.monitor.wording import thousands

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from tui.monitor.model.events import Event, EventFilter

_NAME_CELLS = 16
CLUSTER = "cluster"
"""Stands where an event is about no single node."""


def node_name(place: int | None, names: Sequence[str]) -> str:
    """Return the node that an event is about."""
    if place is None:
        return CLUSTER
    return plain(names[place], _NAME_CELLS) if 0 <= place < len(names) else "?"


def event_line(event: Event, names: Sequence[str], wall_offset_s: float, zone: tzinfo | None) -> str:
    """Return one event as a line. `names` are the nodes' by place, `zone` is the clock that people read."""
    moment = datetime.fromtimestamp(event.at + wall_offset_s, zone).astimezone(zone)
    level, topic = event.level.name, event.topic.value
    stamp = moment.isoformat(sep=" ", timespec="milliseconds")
    return f"{stamp}  {level:<7}  {topic:<9}  {node_name(event.place, names)}  {event.text}"


def events_text(
    events: Sequence[Event],
    known: int,
    chosen: EventFilter,
    names: Sequence[str],
    wall_offset_s: float,
    zone: tzinfo | None,
) -> str:
    """Return what is saved: a line that says what was left out of `known` events, and the events."""
    head = f"# Glimpse monitor: {thousands(len(events))} of {thousands(known)} events, {filter_words(chosen, names)}"
    lines = [event_line(event, names, wall_offset_s, zone) for event in events]
    return "\n".join([head, *lines]) + "\n"


def filter_words(chosen: EventFilter, names: Sequence[str]) -> str:
    """Return which events are shown, in words."""
    words = ["all levels" if chosen.level.name == "DEBUG" else f"{chosen.level.name.lower()} and above"]
    if chosen.place is not None:
        words.append(node_name(chosen.place, names))
    words += sorted(topic.value for topic in chosen.topics)
    if chosen.text.strip():
        words.append(f"with “{plain(chosen.text, 40)}”")
    return ", ".join(words)
