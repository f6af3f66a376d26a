"""What was said last in sessions that are over, repeated to those who did not hear it."""

from collections import OrderedDict
from typing import Final

from shared.secure.datagrams import Address

KEPT_S: Final = 10.0
MAX_KEPT: Final = 1_024
"""Sessions whose last word is remembered; the oldest go first, so that closing many costs bounded memory."""


class Farewells:
    """The last datagrams of closed sessions, by own connection id."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, tuple[Address, bytes, float]] = OrderedDict()

    def keep(self, local_id: bytes, address: Address, datagram: bytes, now: float) -> None:
        """Remember the last word of a session."""
        self._kept[local_id] = (address, datagram, now + KEPT_S)
        while len(self._kept) > MAX_KEPT or next(iter(self._kept.values()))[2] <= now:
            self._kept.popitem(last=False)

    def find(self, local_id: bytes, address: Address, now: float) -> bytes | None:
        """The last word of the session, for the address that it was spoken to."""
        kept = self._kept.get(local_id)
        return kept[1] if kept is not None and kept[0] == address and now < kept[2] else None
