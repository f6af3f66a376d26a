"""The requests that a node knows of: those that are open, by whom they are held, and those that ended lately.

Bounded in number and time: at most `REMEMBERED_REQUESTS` are open and as many remembered as ended, and a session key
holds no more at once than its limit.
"""

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.config import REMEMBERED_REQUESTS, REMEMBERED_REQUESTS_S, Limits
from shared.wire.node_messages import RequestKey

_FOREVER = float("inf")


@dataclass(slots=True)
class OpenRequest:
    """One open request as this node sees it. Times in seconds of the node's clock."""

    key: RequestKey
    seen_at: float
    waits_since: float
    """Since when nobody has been at work on it, as far as is known here."""
    held: bool = False
    """Its peer sent it to this node."""
    serving: bool = False
    serving_since: float = 0.0
    assigned: str | None = None
    sign_at: float = 0.0
    """Last sign of the assignment being alive."""
    acked: bool = False
    told_at: float = 0.0
    """When the assigned node was last told."""
    forwarded_at: float | None = None
    complained: bool = False
    tries: int = 0
    rests_until: float = 0.0
    """Until then its peer may say that this repeat crossed the answer."""
    holders: set[str] = field(default_factory=set)
    """Other nodes that said they hold it."""
    failed: set[str] = field(default_factory=set)
    """Nodes that do not hold it or could not serve it."""
    due: float = _FOREVER


class RequestBook:
    """The book of one node."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: dict[RequestKey, OpenRequest] = {}
        self._held_of: dict[bytes, int] = {}
        self._ended: OrderedDict[RequestKey, float] = OrderedDict()
        self._timers: list[tuple[float, int, RequestKey]] = []
        self._order = itertools.count()

    # --- Open requests -----------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, key: RequestKey) -> bool:
        return key in self._open

    def get(self, key: RequestKey) -> OpenRequest | None:
        """Return an open request."""
        return self._open.get(key)

    def all(self) -> list[OpenRequest]:
        """Return the open requests, oldest first."""
        return list(self._open.values())

    @property
    def is_full(self) -> bool:
        """Whether no more can be opened."""
        return len(self._open) >= REMEMBERED_REQUESTS

    def has_room_for(self, key: RequestKey) -> bool:
        """Return whether a peer's request can be taken: there is room, and its key holds less than its limit."""
        return not self.is_full and self._held_of.get(key.session_key, 0) < self._limits.requests_in_flight_per_key

    def oldest_idle(self) -> OpenRequest | None:
        """Return the oldest request that this node is not at work on."""
        return next((request for request in self._open.values() if not request.serving), None)

    def open(self, key: RequestKey, now: float) -> OpenRequest:
        """Add a request that is not open."""
        request = self._open[key] = OpenRequest(key, seen_at=now, waits_since=now)
        return request

    def hold(self, request: OpenRequest) -> None:
        """The request's peer sent it to this node."""
        request.held = True
        self._held_of[request.key.session_key] = self._held_of.get(request.key.session_key, 0) + 1

    def let_go(self, request: OpenRequest) -> bool:
        """This node holds the request no more; return whether it did."""
        if not request.held:
            return False
        request.held = False
        left = self._held_of[request.key.session_key] - 1
        if left:
            self._held_of[request.key.session_key] = left
        else:
            del self._held_of[request.key.session_key]
        return True

    def remove(self, request: OpenRequest) -> None:
        """The request is open no more."""
        del self._open[request.key]

    # --- Requests that ended -----------------------------------------------------------------------------------------
    @property
    def remembered(self) -> int:
        """How many are remembered as ended."""
        return len(self._ended)

    def ended(self, key: RequestKey, now: float) -> None:
        """Remember that a request ended."""
        self._ended[key] = now
        self._ended.move_to_end(key)
        if len(self._ended) > REMEMBERED_REQUESTS:
            self._ended.popitem(last=False)

    def ended_at(self, key: RequestKey) -> float | None:
        """Return when a request ended, None if it is not remembered."""
        return self._ended.get(key)

    def begins_again(self, key: RequestKey) -> float | None:
        """Forget that a request ended; return when it did."""
        return self._ended.pop(key, None)

    def forget_old(self, now: float) -> None:
        """Forget what ended longer ago than anybody asks."""
        while self._ended:
            key, ended_at = next(iter(self._ended.items()))
            if now - ended_at <= REMEMBERED_REQUESTS_S:
                break
            del self._ended[key]

    # --- Timers ------------------------------------------------------------------------------------------------------
    def look_again(self, request: OpenRequest, due: float) -> None:
        """Let `due` give this request at that time, and not before."""
        request.due = due
        if due < _FOREVER:
            heapq.heappush(self._timers, (due, next(self._order), request.key))

    def due(self, now: float) -> Iterator[OpenRequest]:
        """Yield the open requests whose time has come."""
        while self._timers and self._timers[0][0] <= now:
            _, _, key = heapq.heappop(self._timers)
            request = self._open.get(key)
            if request is not None and request.due <= now:
                yield request

    def next_deadline(self) -> float:
        """Return when the next request is due at the earliest."""
        return self._timers[0][0] if self._timers else _FOREVER
