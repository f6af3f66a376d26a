"""For which pairs of peers a node carries datagrams, and how much for each account. Pure: sessions are opaque here.

A pair is bound once the directory has said that one of them granted the other something. Each of the two is known by
its session, or by its key after that session has ended. What is sent counts for whoever sends it: so many bytes a
second, in a burst of a second's worth, so many in the long run, and so many a second of all accounts together. What is
beyond that is dropped, as a full queue does, and the peers' congestion control slows down. Nothing is kept here but the
pairs.
"""

from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from shared.config import RequestLimits
from shared.rates import TokenBuckets

S = TypeVar("S", bound=Hashable)

IDLE_S: Final = 120.0
"""A pair that sent nothing for so long is forgotten: longer than a session may be silent."""
CREDIT_BYTES: Final = 16 * 1024
"""What is taken out of the shares at a time: looking into three of them for each datagram costs more than passing it
on."""
BEYOND: Final = "beyond its share"
"""Why a datagram is dropped that an account may not send now."""
_REMEMBERED: Final = 16_384
"""Accounts whose shares are remembered; the longest silent go first."""
_DAY_S: Final = 86_400.0


@dataclass(slots=True)
class Party(Generic[S]):
    """One peer of a pair."""

    account: int
    key: bytes
    session: S | None
    """None after its session has ended, until the same key is heard in another one."""
    credit: float = 0.0
    """Bytes that were taken out of its account's shares and not sent yet."""


@dataclass(slots=True)
class _Pair(Generic[S]):
    asker: Party[S]
    other: Party[S]
    used_at: float


class RelayTable(Generic[S]):
    """Pairs of peers by the handle that their datagrams carry."""

    def __init__(self, limits: RequestLimits) -> None:
        self._limits = limits
        self._pairs: OrderedDict[bytes, _Pair[S]] = OrderedDict()
        """The one that was silent longest comes first."""
        self._of_session: dict[S, set[bytes]] = {}
        """Handles of the pairs that a session is one of."""
        self._asked: Counter[int] = Counter()
        self._per_second = TokenBuckets[int](limits.relayed_bytes_per_s, capacity=_REMEMBERED)
        self._per_day = TokenBuckets[int](
            limits.relayed_bytes_per_day / _DAY_S, capacity=_REMEMBERED, burst=limits.relayed_bytes_per_day
        )
        self._in_all = TokenBuckets[None](limits.relayed_bytes_per_s_in_all, capacity=1)
        self.datagrams = 0
        """Carried so far."""
        self.bytes = 0
        """The same in bytes from peer to peer."""
        self.refused: Counter[str] = Counter()
        """Datagrams that were not carried, by reason."""

    def pairs(self, now: float) -> int:
        """Return how many pairs there are."""
        self._expire(now)
        return len(self._pairs)

    def bind(self, handle: bytes, asker: Party[S], other: Party[S], now: float) -> None:
        """Carry what these two send under this handle from now on. Beyond its share, the asker's oldest pair goes."""
        self._expire(now)
        if self._asked[asker.account] >= self._limits.relays_per_account:
            self.unbind(next(one for one, pair in self._pairs.items() if pair.asker.account == asker.account))
        elif len(self._pairs) >= self._limits.relays:
            self.unbind(next(iter(self._pairs)))
        self._pairs[handle] = _Pair(asker, other, now)
        for party in (asker, other):
            self._join(handle, party, party.session)
        self._asked[asker.account] += 1

    def unbind(self, handle: bytes) -> None:
        """Carry nothing under this handle any more."""
        if (pair := self._pairs.pop(handle, None)) is not None:
            for party in (pair.asker, pair.other):
                self._join(handle, party, None)
            self._asked[pair.asker.account] -= 1
            if not self._asked[pair.asker.account]:
                del self._asked[pair.asker.account]

    def closed(self, session: S) -> None:
        """A session is over. Its peer may go on under the same handles in its next one."""
        for handle in tuple(self._of_session.get(session, ())):
            pair = self._pairs[handle]
            for party in (pair.asker, pair.other):
                if party.session == session:
                    self._join(handle, party, None)

    def _join(self, handle: bytes, party: Party[S], session: S | None) -> None:
        """Note that a party of this pair is in a session, or in none."""
        if party.session is not None and (handles := self._of_session.get(party.session)) is not None:
            handles.discard(handle)
            if not handles:
                del self._of_session[party.session]
        party.session = session
        if session is not None:
            self._of_session.setdefault(session, set()).add(handle)

    def carry(self, handle: bytes, session: S, key: bytes, size: int, now: float) -> S | None:
        """Return the session that a datagram of `size` bytes goes on in; None, and counted, where it is dropped.

        It came in `session`, whose other side has proved `key`.
        """
        target, refusal = self._target(handle, session, key, size, now)
        if target is None:
            self.refused[refusal] += 1
            return None
        self.datagrams += 1
        self.bytes += size
        return target

    def carry_run(self, handle: bytes, session: S, key: bytes, bodies: list[bytes], now: float) -> tuple[S | None, int]:
        """Return the session that the first of some datagrams of one pair go on in, and how many do; as `carry`.

        `bodies` begin with the handle, as they came.
        """
        count = len(bodies)
        size = sum(map(len, bodies)) - count * len(handle)
        target, refusal = self._target(handle, session, key, size, now)
        if target is not None:
            self.datagrams += count
            self.bytes += size
            return target, count
        if refusal != BEYOND:
            self.refused[refusal] += count
            return None, 0
        for number, body in enumerate(bodies):
            fits = self.carry(handle, session, key, len(body) - len(handle), now)
            if fits is None:
                self.refused[BEYOND] += count - number - 1
                return target, number
            target = fits
        return target, count

    def _target(self, handle: bytes, session: S, key: bytes, size: int, now: float) -> tuple[S | None, str]:
        """Return where a datagram goes on, or None and why it is dropped."""
        if (pair := self._pairs.get(handle)) is None:
            return None, "no such pair"
        if (parties := _parties(pair, session, key)) is None:
            return None, "not of this pair"
        sender, target = parties
        if sender.session is None:
            self._join(handle, sender, session)
        if target.session is None:
            return None, "the other peer is gone"
        if sender.credit >= size:
            sender.credit -= size
        elif not self._may_send(sender, size, now):
            return None, BEYOND
        pair.used_at = now
        self._pairs.move_to_end(handle)
        return target.session, ""

    def _may_send(self, sender: Party[S], size: int, now: float) -> bool:
        """Take a datagram's size out of the shares of its sender's account, and more for those after it if there is."""
        shares: tuple[tuple[TokenBuckets[Any], int | None], ...] = (
            (self._per_second, sender.account),
            (self._per_day, sender.account),
            (self._in_all, None),
        )
        for amount in (max(CREDIT_BYTES, size), size):
            if all(share.has(whose, now, amount) for share, whose in shares):
                for share, whose in shares:
                    share.take(whose, now, amount)
                sender.credit += amount - size
                return True
        return False

    def _expire(self, now: float) -> None:
        while self._pairs:
            handle, pair = next(iter(self._pairs.items()))
            if pair.used_at + IDLE_S > now:
                return
            self.unbind(handle)


def _parties(pair: _Pair[S], session: S, key: bytes) -> tuple[Party[S], Party[S]] | None:
    """Return who of a pair sends in this session, and the other one; None for somebody else.

    A peer whose session has ended is known by its key.
    """
    for sender, target in ((pair.asker, pair.other), (pair.other, pair.asker)):
        if session == sender.session:
            return sender, target
    for sender, target in ((pair.asker, pair.other), (pair.other, pair.asker)):
        if sender.session is None and key == sender.key:
            return sender, target
    return None
