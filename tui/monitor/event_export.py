"""Events as lines of plain text, for the clipboard and for new files: time with offset, level, topic, node, text."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import InvalidInput, StorageError
from shared.files import create_file
from tui.common.wording import plain
from tui.monitor.wording import name_of, thousands

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from tui.monitor.model.events import Event, EventFilter

CLUSTER = "cluster"
"""Stands where an event is about no single node."""


def node_name(place: int | None, names: Sequence[str]) -> str:
    """Return the node that an event is about."""
    return CLUSTER if place is None else name_of(place, names)


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


def typed_path(text: str) -> Path:
    """Return the path that a person typed; `~` is the home folder. Raises `InvalidInput` for none."""
    text = text.strip()
    if not text:
        raise InvalidInput("Name the file that it is to be written to.")
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise InvalidInput(f"There is no such user as in {text}; write the whole path.") from None
    return path if path.is_absolute() else Path.cwd() / path


def save_text(path: Path, text: str) -> None:
    """Write a text to a new file of mode 0600 and wait until it is on disk.

    Raises `InvalidInput` if there is anything of this name already, and `StorageError` if it cannot be written; then
    nothing of it is left.
    """
    try:
        create_file(path, text.encode())
    except FileExistsError:
        raise InvalidInput(f"{path} exists already and is not overwritten; choose another name.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StorageError(f"{path} cannot be written: {reason}; choose another place.") from None
