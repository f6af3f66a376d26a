"""The ways through nodes that an endpoint has: what goes to such an address leaves in the session with its node."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.net.handles import Session
from shared.net.udp import Address
from shared.secure.relayed import relayed_address, unwrap

MAX_WAYS: Final = 256
"""Ways that are remembered; the one that was used longest ago goes first (a node, or somebody who knows grants of this
side's, could otherwise open any number)."""


@dataclass(slots=True)
class RelayedWay:
    """A way through a node to one other side."""

    address: Address
    node: Session
    handle: bytes
    candidates: tuple[Address, ...]
    """Where the other side might be reached without the node."""


class RelayedWays:
    """Finds the way of an address, and the address of what came through a node."""

    def __init__(self) -> None:
        self._ways: OrderedDict[Address, RelayedWay] = OrderedDict()
        self._by_handle: dict[tuple[Session, bytes], Address] = {}

    def add(self, node: Session, handle: bytes, candidates: Sequence[Address]) -> Address:
        """Remember a way; return its address."""
        address = relayed_address(node.remote_key, handle)
        self.drop(address)
        self._ways[address] = RelayedWay(address, node, handle, tuple(candidates))
        self._by_handle[node, handle] = address
        while len(self._ways) > MAX_WAYS:
            self.drop(next(iter(self._ways)))
        return address

    def at(self, address: Address) -> RelayedWay | None:
        """Return the way with this address, if it is known and its session with the node is open."""
        way = self._ways.get(address)
        if way is None or not way.node.alive:
            return None
        self._ways.move_to_end(address)
        return way

    def of_node(self, node: Session) -> list[Address]:
        """Return the addresses of all ways through a session with a node."""
        return [way.address for way in self._ways.values() if way.node is node]

    def drop(self, address: Address) -> None:
        """Forget a way."""
        if (way := self._ways.pop(address, None)) is not None:
            del self._by_handle[way.node, way.handle]

    def received(self, node: Session, body: bytes) -> tuple[Address, bytes] | None:
        """Return where a datagram came from and the datagram, out of a node's message without its first byte.

        None where no such way is known through this very session.
        """
        if (parts := unwrap(body)) is None:
            return None
        address = self._by_handle.get((node, parts[0]))
        return None if address is None else (address, parts[1])
