"""Token buckets per address, in a table of bounded size."""

from collections import OrderedDict

from shared.secure.datagrams import Address


class TokenBuckets:
    """Grants each address so many answers per second, with a burst of one second's worth."""

    __slots__ = ("_buckets", "_capacity", "_rate_per_s")

    def __init__(self, rate_per_s: float, *, capacity: int) -> None:
        """Take the rate per address, and how many addresses are remembered at most."""
        self._rate_per_s = rate_per_s
        self._capacity = capacity
        self._buckets: OrderedDict[Address, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, address: Address, now: float) -> bool:
        """Take one token of `address`; False if it has none left.

        Where the table is full, the address that was silent longest is forgotten: who forges that many sources gets a
        full bucket for each, which is why an answer is never longer than what it answers.
        """
        burst = max(self._rate_per_s, 1.0)
        tokens, updated_at = self._buckets.pop(address, (burst, now))
        tokens = min(burst, tokens + max(now - updated_at, 0.0) * self._rate_per_s)
        granted = tokens >= 1.0
        self._buckets[address] = (tokens - 1.0 if granted else tokens, now)
        if len(self._buckets) > self._capacity:
            self._buckets.popitem(last=False)
        return granted
