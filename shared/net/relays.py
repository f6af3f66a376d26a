"""The paths through nodes that an endpoint has: what goes to such an address leaves in the session with its node."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.net.handles import Session
from shared.net.udp import Address
from shared.secure.relayed import relayed_address, unwrap

MAX_PATHS: Final = 256
"""Paths that are remembered; the one that was used longest ago goes first (a node, or somebody who knows grants of this
side's, could otherwise open any number)."""


@dataclass(slots=True)
class RelayedPath:
    """A path through a node to one other side."""

    address: Address
    node: Session
    handle: bytes
    candidates: tuple[Address, ...]
    """Where the other side might be reached without the node."""


class RelayedPaths:
    """Finds the way of an address, and the address of what came through a node."""

    def __init__(self) -> None:
        self._paths: OrderedDict[Address, RelayedPath] = OrderedDict()
        self._by_handle: dict[tuple[Session, bytes], Address] = {}

    def add(self, node: Session, handle: bytes, candidates: Sequence[Address]) -> Address:
        """Remember a path; return its address."""
        address = relayed_address(node.remote_key, handle)
        self.drop(address)
        self._paths[address] = RelayedPath(address, node, handle, tuple(candidates))
        self._by_handle[node, handle] = address
        while len(self._paths) > MAX_PATHS:
            self.drop(next(iter(self._paths)))
        return address

    def at(self, address: Address) -> RelayedPath | None:
        """Return the path with this address, if it is known and its session with the node is open."""
        path = self._paths.get(address)
        if path is None or not path.node.alive:
            return None
        self._paths.move_to_end(address)
        return path

    def of_node(self, node: Session) -> list[Address]:
        """Return the addresses of all paths through a session with a node."""
        return [path.address for path in self._paths.values() if path.node is node]

    def drop(self, address: Address) -> None:
        """Forget a path."""
        if (path := self._paths.pop(address, None)) is not None:
            del self._by_handle[path.node, path.handle]

    def received(self, node: Session, body: bytes) -> tuple[Address, bytes] | None:
        """Return where a datagram came from and the datagram, out of a node's message without its first byte.

        None where no such path is known through this very session.
        """
        if (parts := unwrap(body)) is None:
            return None
        address = self._by_handle.get((node, parts[0]))
        return None if address is None else (address, parts[1])
