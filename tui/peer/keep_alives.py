"""How often a peer tells the nodes that it is there. Pure: `now` is handed in, in seconds of any monotonic clock.

While it is used, often, so that a cloud that went away is noticed and a lost word of mail does no harm. Left alone it
says less and less: what has to hold then is the mapping of the router before it, without which no node reaches it. How
long a router keeps one is measured. A node tells each time where it sees this peer; at the same host under another port
it is a new mapping, and the one before was forgotten in the silence between. From then on silences are shorter.
"""

from typing import Final

IDLE_AFTER_S: Final = 60.0
"""How long after it was used last a peer is left alone."""
GROWS: Final = 1.5
"""How much longer the next silence is than one that the mapping has survived."""
SHRINKS: Final = 0.7
"""How much shorter silences are than the one in which a mapping was forgotten."""
MEASURED_FOR_S: Final = 3_600.0
"""How long such a measure holds: routers are replaced, and laptops carried to others."""


class KeepAlivePace:
    """The pauses between keep-alives of one peer."""

    def __init__(self, used_s: float, idle_s: float) -> None:
        """Take the pause of a peer that is used, and the longest of one that is left alone, in seconds."""
        self._used_s = used_s
        self._longest_s = max(used_s, idle_s)
        self._idle_s = used_s
        self._used_at = float("-inf")
        self._bound_s = self._longest_s
        self._bound_until = float("-inf")

    def used(self, now: float) -> None:
        """Something is asked of the cloud, or comes from it: somebody uses this peer."""
        self._used_at = now

    def pause_s(self, now: float) -> float:
        """Return how long after the last keep-alive the next one is due."""
        if now >= self._bound_until:
            self._bound_s = self._longest_s
        return self._used_s if now - self._used_at < IDLE_AFTER_S else min(self._idle_s, self._bound_s)

    def held(self, silent_s: float) -> None:
        """A node sees this peer where it saw it before a silence of so many seconds."""
        self._idle_s = min(self._longest_s, max(self._idle_s, GROWS * silent_s))

    def forgotten(self, silent_s: float, now: float) -> None:
        """A node sees it at another port than before a silence of so many seconds. A short one says nothing about
        mappings: that is another network, or a router that was switched off and on."""
        if silent_s >= GROWS * self._used_s:
            self._bound_s = self._idle_s = max(self._used_s, SHRINKS * silent_s)
            self._bound_until = now + MEASURED_FOR_S
