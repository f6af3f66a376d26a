"""The cluster file in parts that fit a datagram: cut by a node, put together by whoever follows it. Pure.

Part by part is asked for, so nothing is lost for good, and a node keeps nothing for anybody.
"""

from typing import Final

from shared.cluster import MAX_CLUSTER_BYTES
from shared.wire.peer_messages import MAX_CLUSTER_PARTS, ClusterPart, ClusterQuery

_PART_BYTES: Final = -(-MAX_CLUSTER_BYTES // MAX_CLUSTER_PARTS)


def part_of(version: int, data: bytes, query: ClusterQuery) -> ClusterPart | None:
    """Return what a node answers whose newest cluster file is this one; None to whoever has that version."""
    parts = -(-len(data) // _PART_BYTES)
    if version <= query.above or query.part >= parts:
        return None
    start = query.part * _PART_BYTES
    return ClusterPart(version=version, part=query.part, parts=parts, data=data[start : start + _PART_BYTES])


class ClusterParts:
    """The parts of one node's file, as they come: in any order, twice, or of a later version half way."""

    def __init__(self, above: int) -> None:
        self._above = above
        self._version = above
        self._parts: dict[int, bytes] = {}
        self._count = 1

    def query(self) -> ClusterQuery:
        """Return what is to be asked next, or again; the first part where none is missing."""
        missing = next((number for number in range(self._count) if number not in self._parts), 0)
        return ClusterQuery(above=self._above, part=missing)

    def take(self, part: ClusterPart) -> bytes | None:
        """Return the whole file once all of it is there."""
        if part.version < self._version or part.part >= part.parts:
            return None
        if part.version > self._version or part.parts != self._count:
            self._version, self._count = part.version, part.parts
            self._parts.clear()
        self._parts[part.part] = part.data
        if len(self._parts) < self._count:
            return None
        return b"".join(data for _, data in sorted(self._parts.items()))
