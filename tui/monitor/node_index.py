"""Who the nodes are: names and addresses in the order that the feed counts them by, and the timers they go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.config import PRESETS
from shared.net.paths import shown_address

if TYPE_CHECKING:
    from shared.cluster import Cluster
    from shared.config import Timing


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One node of the cluster file: its name, and where it takes requests."""

    name: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """Host and port, as people write them."""
        return shown_address((self.host, self.port))


@dataclass(frozen=True, slots=True)
class NodeIndex:
    """The nodes in address order: the index of a node is its *place*, by which the feed names it."""

    nodes: tuple[NodeEntry, ...]
    preset: str

    @classmethod
    def of(cls, cluster: Cluster) -> NodeIndex:
        """Return the nodes of a cluster file."""
        return cls(tuple(NodeEntry(node.name, node.host, node.port) for node in cluster.nodes), cluster.preset)

    @property
    def timing(self) -> Timing:
        """The timers of the cluster's preset."""
        return PRESETS[self.preset]

    @property
    def names(self) -> tuple[str, ...]:
        """All names, by place."""
        return tuple(node.name for node in self.nodes)

    @property
    def places(self) -> range:
        """All places."""
        return range(len(self.nodes))

    def name(self, place: int | None) -> str:
        """Return a node's name; a place that the cluster does not have is a question mark, None a dash."""
        if place is None:
            return "–"
        return self.nodes[place].name if 0 <= place < len(self.nodes) else "?"
