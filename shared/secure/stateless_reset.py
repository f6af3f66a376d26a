"""Datagrams of no session: answered with the last word if the session is over, with a hint if it is unknown."""

from collections import OrderedDict
from typing import Final

from shared.config import Limits
from shared.errors import DatagramRefused
from shared.secure.datagrams import MIN_DATA_BYTES, Address, DatagramType, Drop, routing_header
from shared.secure.limiter import TokenBuckets

KEPT_S: Final = 10.0
"""How long the last word of a session is repeated to those who did not hear it."""
MAX_KEPT: Final = 1_024
"""Sessions whose last word is remembered; the oldest go first, so that closing many costs bounded memory."""


class StatelessResets:
    """Answers to datagrams of no session: few per address, and never longer than what they answer."""

    __slots__ = ("_buckets", "_farewells")

    def __init__(self, limits: Limits) -> None:
        self._buckets = TokenBuckets(limits.unproven_rate_per_s, capacity=limits.unproven_addresses)
        self._farewells: OrderedDict[bytes, tuple[Address, bytes, float]] = OrderedDict()

    def keep_farewell(self, local_id: bytes, address: Address, datagram: bytes, now: float) -> None:
        """Remember the last word of a session that is over here."""
        self._farewells[local_id] = (address, datagram, now + KEPT_S)
        while len(self._farewells) > MAX_KEPT or next(iter(self._farewells.values()))[2] <= now:
            self._farewells.popitem(last=False)

    def answer(self, address: Address, local_id: bytes, datagram: bytes, now: float) -> tuple[bytes, Drop]:
        """Return what to send back, and why the datagram is dropped. Raises `DatagramRefused` to stay silent."""
        if len(datagram) < MIN_DATA_BYTES:
            raise DatagramRefused(Drop.MALFORMED)
        if not self._buckets.take(address, now):
            raise DatagramRefused(Drop.RATE)
        kept = self._farewells.get(local_id)
        if kept is not None and kept[0] == address and now < kept[2]:
            return kept[1], Drop.CLOSED_CONNECTION
        return routing_header(DatagramType.HINT, local_id), Drop.UNKNOWN_CONNECTION
