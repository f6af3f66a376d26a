"""How much of anything one sender may have: token buckets, and whose datagrams count as one sender's."""

from collections import OrderedDict
from collections.abc import Hashable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@lru_cache(maxsize=4_096)
def network_of(host: str) -> str:
    """Return whose datagrams count as one sender's: an IPv4 address, the /64 of an IPv6 address, which is what a
    network hands to one household (RFC 6177), or a host's name as it is."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64)) + "/64"


class TokenBuckets(Generic[K]):
    """Grants each key so many tokens per second, and a burst after a silence."""

    __slots__ = ("_buckets", "_burst", "_capacity", "_rate_per_s")

    def __init__(self, rate_per_s: float, *, capacity: int, burst: float | None = None) -> None:
        """Take the rate per key, how many keys are remembered at most, and the most tokens that a key can save up (one
        second's worth, if not given)."""
        self._rate_per_s = rate_per_s
        self._burst = max(rate_per_s, 1.0) if burst is None else burst
        self._capacity = capacity
        self._buckets: OrderedDict[K, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: K, now: float, amount: float = 1.0) -> bool:
        """Take so many tokens of `key`; False, and none taken, if it has fewer.

        Where the table is full, the key that was silent longest is forgotten: who forges that many sources gets a full
        bucket for each, which is why an answer to a stranger is never longer than what it answers.
        """
        tokens = self._tokens(key, now)
        self._buckets.pop(key, None)
        granted = tokens >= amount
        self._buckets[key] = (tokens - amount if granted else tokens, now)
        if len(self._buckets) > self._capacity:
            self._buckets.popitem(last=False)
        return granted

    def has(self, key: K, now: float, amount: float = 1.0) -> bool:
        """Return whether `take` would grant so many tokens."""
        return self._tokens(key, now) >= amount

    def _tokens(self, key: K, now: float) -> float:
        tokens, updated_at = self._buckets.get(key, (self._burst, now))
        return min(self._burst, tokens + max(now - updated_at, 0.0) * self._rate_per_s)
