"""Whose turn it is to restart, when a cluster got a newer cluster file: one node after the other, the leader last.

Only the order depends on this. Where a node cannot know who has had its turn, several restart at once, and what people
ask for waits for some seconds longer. A pure machine; times are seconds of any monotonic clock.
"""

from collections.abc import Sequence
from typing import Final

SILENT_S: Final = 5.0
"""Nobody waits for a node that was not heard for so long; a restart takes less."""
PATIENCE_S: Final = 30.0
"""How long a node waits at most for each one before it, where any of them is heard and goes on by an older file: a disk
may be full, or the directory out of reach."""


class Rollout:
    """One node's view of who runs by which version. Feed what others tell; ask whether it is this node's turn."""

    def __init__(self, me: str, nodes: Sequence[str]) -> None:
        """`nodes` are all of the file that this node runs by, in its order."""
        self._me = me
        self._nodes = tuple(nodes)
        self._heard: dict[str, tuple[float, int]] = {}

    def heard(self, node: str, version: int, now: float) -> None:
        """Another node tells which version it runs by."""
        self._heard[node] = (now, version)

    def is_turn(self, version: int, leader: str | None, waited_s: float, now: float) -> bool:
        """Return whether to restart for `version` now, `waited_s` after this node got it."""
        order = [*(node for node in self._nodes if node != leader), *([leader] if leader in self._nodes else [])]
        before = order[: order.index(self._me)]
        return waited_s >= len(before) * PATIENCE_S or not any(self._is_behind(node, version, now) for node in before)

    def _is_behind(self, node: str, version: int, now: float) -> bool:
        at, known = self._heard.get(node, (-SILENT_S, version))
        return known < version and now - at < SILENT_S
