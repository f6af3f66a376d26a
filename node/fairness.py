"""Sharing a node between accounts: how often each may ask, and who is served next where there is not enough for all.

The rate is a token bucket per account. Where many wait, turns go round the accounts (fair queueing, RFC 970), so that
an account with a hundred requests delays another's one by one turn and not by a hundred.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio

from shared.config import RequestLimits
from shared.net.handles import Session
from shared.rates import TokenBuckets, network_of

K = TypeVar("K", bound=Hashable)


_REMEMBERED = 16_384
"""Accounts and hosts whose rates are remembered; the longest silent go first."""


class RequestRates:
    """How often each account may ask for something, and each host register another one."""

    def __init__(self, limits: RequestLimits) -> None:
        self._requests = TokenBuckets[bytes](limits.requests_per_s, capacity=_REMEMBERED, burst=limits.requests_burst)
        self._registrations = TokenBuckets[str](
            limits.registrations_per_s, capacity=_REMEMBERED, burst=limits.registrations_burst
        )
        self.refused: Counter[str] = Counter()
        """Requests that were too many, by `requests` or `registrations`."""

    def may_ask(self, session: Session, now: float) -> bool:
        """Whether a request that came in this session is within its sender's rate."""
        return self._count("requests", self._requests.take(session.remote_key, now))

    def may_register(self, host: str, now: float) -> bool:
        """Whether another account may be registered from this host."""
        return self._count("registrations", self._registrations.take(network_of(host), now))

    def _count(self, what: str, granted: bool) -> bool:
        if not granted:
            self.refused[what] += 1
        return granted


@dataclass(slots=True, eq=False)
class _Waiter(Generic[K]):
    owner: K
    amount: int
    called: anyio.Event = field(default_factory=anyio.Event)
    granted: bool = False


class FairShare(Generic[K]):
    """So many units that owners take and give back; those who wait are served in turns, one owner after the other.

    An owner has at most `per_owner` units at a time, and one that has none may take more than that at once: what is
    larger than a share is served alone. All calls from one event loop.
    """

    def __init__(self, total: int, *, per_owner: int) -> None:
        self._total = total
        self._per_owner = per_owner
        self._taken = 0
        self._taken_by: Counter[K] = Counter()
        self._waiting: OrderedDict[K, deque[_Waiter[K]]] = OrderedDict()

    @property
    def taken(self) -> int:
        """Units in use."""
        return self._taken

    @property
    def waiting(self) -> int:
        """How many wait for units."""
        return sum(map(len, self._waiting.values()))

    @asynccontextmanager
    async def held(self, owner: K, amount: int = 1) -> AsyncIterator[None]:
        """Hold units while the block runs, after waiting for them as long as it takes."""
        waiter = _Waiter(owner, amount)
        self._waiting.setdefault(owner, deque()).append(waiter)
        self._serve()
        try:
            await waiter.called.wait()
            yield
        finally:
            if waiter.granted:
                self._give_back(waiter)
            else:
                self._forget(waiter)

    def _serve(self) -> None:
        """Let go on whoever can, one of each owner in turn, until nobody can."""
        went_on = True
        while went_on:
            went_on = False
            for owner in list(self._waiting):
                first = self._waiting[owner][0]
                if self._fits(first):
                    went_on = True
                    self._forget(first)
                    if owner in self._waiting:
                        self._waiting.move_to_end(owner)
                    self._taken += first.amount
                    self._taken_by[owner] += first.amount
                    first.granted = True
                    first.called.set()

    def _fits(self, waiter: _Waiter[K]) -> bool:
        own = self._taken_by[waiter.owner]
        in_share = own + waiter.amount <= self._per_owner or own == 0
        in_all = self._taken + waiter.amount <= self._total or self._taken == 0
        return in_share and in_all

    def _give_back(self, waiter: _Waiter[K]) -> None:
        self._taken -= waiter.amount
        self._taken_by[waiter.owner] -= waiter.amount
        if not self._taken_by[waiter.owner]:
            del self._taken_by[waiter.owner]
        self._serve()

    def _forget(self, waiter: _Waiter[K]) -> None:
        queue = self._waiting[waiter.owner]
        queue.remove(waiter)
        if not queue:
            del self._waiting[waiter.owner]
