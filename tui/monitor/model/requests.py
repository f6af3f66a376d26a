"""Requests on their way through the cloud: those that the feed follows, step by step, in whatever order news come."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from shared.wire import operations as wire
from shared.wire.base import Message
from shared.wire.feed_messages import Happening

if TYPE_CHECKING:
    from shared.wire.feed_messages import RequestEvent


@cache
def operation_names() -> dict[int, str]:
    """Return the name of every operation by its kind."""
    kinds = (value for value in vars(wire).values() if isinstance(value, type) and issubclass(value, Message))
    names: dict[int, str] = {}
    for kind in kinds:
        tag = kind.__struct_config__.tag
        if isinstance(tag, int) and 100 <= tag < 150:
            names[tag] = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).lower()
    return names


def operation_name(kind: int) -> str:
    """Return the name of an operation; one that is not known is a dash."""
    return operation_names().get(kind, "–" if kind == 0 else f"kind {kind}")


MAX_REQUESTS: Final = 512
MAX_STEPS: Final = 16
FORGET_S: Final = 60.0
"""A request of which nothing was heard for so long is no longer under way: its end was lost, or its peer gave up."""
_NOISE: Final = frozenset({Happening.HELD, Happening.REPEATED, Happening.FORWARDED})


class RequestState(StrEnum):
    """Where a request is."""

    WAITING = "waiting"
    """Held, and given to nobody yet."""
    ASSIGNED = "assigned"
    TAKEN_OVER = "taken over"
    """A node serves it though nobody assigned it."""
    FAILED = "given back"
    """A node began it and could not serve it; another should."""
    SERVED = "served"
    REFUSED = "refused"
    BUSY = "busy"
    """Not taken: too many were open. Its peer will send it again."""
    LOST = "lost sight of"
    """Nothing was heard of it for a minute."""

    @property
    def done(self) -> bool:
        """Whether the request has come to an end."""
        return self in (RequestState.SERVED, RequestState.REFUSED, RequestState.LOST)


class RequestStep(NamedTuple):
    """Something that happened to a request at the node `place`; `node` is another one that it is about."""

    at: float
    place: int
    what: Happening
    node: int | None


@dataclass(frozen=True, slots=True)
class RequestData:
    """One followed request. Times in seconds of the monitor's clock; texts are harmless."""

    request: str
    """First four bytes of its id, in hexadecimal digits."""
    key: str
    """Of the session key of whoever asks."""
    account: int | None
    operation: int
    kind: str
    """Name of the operation."""
    state: RequestState
    began: float
    place: int | None
    """The node that serves it, or served it."""
    latency_ms: float | None
    code: str
    moves: int
    """How often it was taken over or given to another node."""
    repeats: int
    steps: tuple[RequestStep, ...]
    """Oldest first."""


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Which requests are shown."""

    account: int | None = None
    operation: int | None = None
    text: str = ""
    """Words that must all stand in the kind, state, code, id or `#account`, whatever their case."""

    @classmethod
    def parse(cls, text: str) -> RequestFilter:
        """Read what a person typed: `#7` is an account, a whole name such as `encrypt` a kind, the rest are words."""
        account, operation = None, None
        words = []
        for word in text.split():
            if word.startswith("#") and word[1:].isascii() and word[1:].isdigit():
                account = int(word[1:17])
            else:
                words.append(word)
        rest = " ".join(words).casefold()
        for kind, name in operation_names().items():
            if name == rest:
                operation, rest = kind, ""
        return cls(account, operation, rest)

    def takes(self, request: RequestData) -> bool:
        """Return whether a request is shown."""
        if self.account is not None and request.account != self.account:
            return False
        if self.operation is not None and request.operation != self.operation:
            return False
        if not self.text:
            return True
        line = f"{request.kind} {request.state} {request.code} {request.request} #{request.account}".casefold()
        return all(word in line for word in self.text.casefold().split())


class _Followed:
    """One request as it is kept. No dataclass: a thousand of them are copied with every copy of a model."""

    __slots__ = ("account", "changed", "code", "done", "key", "latency_ms", "operation", "repeats", "request", "steps")

    def __init__(self, request: str, key: str, at: float) -> None:
        self.request = request
        self.key = key
        self.operation = 0
        self.account: int | None = None
        self.steps: list[RequestStep] = []
        self.latency_ms: float | None = None
        self.code = ""
        self.repeats = 0
        self.done = False
        self.changed = at

    def take(self, event: RequestEvent, place: int, at: float) -> None:
        """Add a step where its time belongs."""
        self.operation = self.operation or event.operation
        self.account = event.account if self.account is None else self.account
        if at > self.changed:
            self.changed = at
        if event.what is Happening.REPEATED:
            self.repeats += 1
        if event.what in (Happening.SERVED, Happening.REFUSED):
            self.done = True
            if self.latency_ms is None:
                self.latency_ms, self.code = event.latency_ms, event.code
        step = RequestStep(at, place, event.what, event.node)
        position = len(self.steps)
        while position and self.steps[position - 1].at > at:
            position -= 1
        self.steps.insert(position, step)
        if len(self.steps) > MAX_STEPS:
            noise = next((old for old in self.steps[1:-1] if old.what in _NOISE), self.steps[1])
            self.steps.remove(noise)

    def data(self, now: float) -> RequestData:
        """Return where it stands."""
        state, place = RequestState.WAITING, None
        moves = 0
        for step in self.steps:
            match step.what:
                case Happening.SERVED | Happening.REFUSED:
                    served = step.what is Happening.SERVED
                    state, place = RequestState.SERVED if served else RequestState.REFUSED, step.place
                    break
                case Happening.ASSIGNED:
                    state, place = RequestState.ASSIGNED, step.node
                case Happening.TAKEN_OVER:
                    state, place, moves = RequestState.TAKEN_OVER, step.place, moves + 1
                case Happening.REASSIGNED:
                    state, place, moves = RequestState.WAITING, None, moves + 1
                case Happening.FAILED:
                    state, place = RequestState.FAILED, step.place
                case Happening.BUSY:
                    state, place = RequestState.BUSY, step.place
                case _:
                    pass
        if not state.done and now - self.changed > FORGET_S:
            state = RequestState.LOST
        return RequestData(
            self.request,
            self.key,
            self.account,
            self.operation,
            operation_name(self.operation),
            state,
            self.steps[0].at,
            place,
            self.latency_ms,
            self.code,
            moves,
            self.repeats,
            tuple(self.steps),
        )


class RequestTable:
    """The last `MAX_REQUESTS` followed requests; those that are done make room first."""

    def __init__(self) -> None:
        self.one_in: dict[int, int] = {}
        """By place: the node follows one request in so many."""
        self._followed: OrderedDict[tuple[str, str], _Followed] = OrderedDict()

    def take(self, event: RequestEvent, place: int, at: float) -> None:
        """Take a step of a request, which happened at `at`."""
        key = (event.key, event.request)
        followed = self._followed.get(key)
        if followed is None:
            followed = self._followed[key] = _Followed(event.request, event.key, at)
            if len(self._followed) > MAX_REQUESTS:
                self._make_room()
        followed.take(event, place, at)
        self._followed.move_to_end(key)

    def shown(self, now: float, chosen: RequestFilter | None = None, *, at_most: int = 200) -> tuple[RequestData, ...]:
        """Return followed requests, those heard of last first."""
        found = []
        for followed in reversed(self._followed.values()):
            data = followed.data(now)
            if chosen is None or chosen.takes(data):
                found.append(data)
                if len(found) >= at_most:
                    break
        return tuple(found)

    def __len__(self) -> int:
        return len(self._followed)

    def _make_room(self) -> None:
        """Drop an eighth: the longest unchanged of those that are done, or, if all are under way, of all."""
        wanted = MAX_REQUESTS // 8
        old = [key for key, followed in self._followed.items() if followed.done][:wanted]
        for key in old or list(self._followed)[:wanted]:
            del self._followed[key]
