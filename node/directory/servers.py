"""Which of the servers of a replicated database a node uses. Pure; times in seconds of a clock that only grows.

A node uses one server for everything, so that it reads what it wrote, and never two in one transaction. It stays there
until that server fails, then tries the others in its order, those that failed lately last. The server that stands
first in the order gets the node back once it has been well for a while.
"""

from collections.abc import Sequence
from typing import Final
from zlib import crc32

from node.directory.url import Order, Server

PAUSE_S: Final = 1.0
"""How long a server that failed is passed over; doubled each time until it serves, up to `MAX_PAUSE_S`."""
MAX_PAUSE_S: Final = 30.0
CHECKS_UNTIL_BACK: Final = 10
"""Checks in a row that a preferred server must pass before it is used again: one that comes and goes is left alone."""


def in_order(servers: Sequence[Server], order: Order, node: str) -> tuple[Server, ...]:
    """Return the servers as a node prefers them."""
    first = crc32(node.encode()) % len(servers) if order == "spread" else 0
    return (*servers[first:], *servers[:first])


class ServerChoice:
    """The choice of one node."""

    def __init__(self, servers: Sequence[Server]) -> None:
        """Begin with the first of `servers`, which stand in the order of preference."""
        self.servers = tuple(servers)
        self.current = self.servers[0]
        self._pauses: dict[Server, float] = {}
        self._paused_until: dict[Server, float] = {}
        self._passed = 0

    @property
    def preferred(self) -> Server | None:
        """The server that should be checked because it is to be used again; None where it is in use."""
        return None if self.current == self.servers[0] else self.servers[0]

    def failed(self, server: Server, now: float) -> None:
        """A server refused a connection, cannot write, or says nothing: use another, unless that has happened already.

        Where all failed lately, the one whose pause ends first is the next.
        """
        pause_s = min(2 * self._pauses[server], MAX_PAUSE_S) if server in self._pauses else PAUSE_S
        self._pauses[server], self._paused_until[server] = pause_s, now + pause_s
        if server == self.servers[0]:
            self._passed = 0
        if server == self.current:
            at = self.servers.index(server)
            others = (*self.servers[at + 1 :], *self.servers[:at], server)
            self.current = min(others, key=lambda other: max(self._paused_until.get(other, now), now))

    def served(self, server: Server) -> None:
        """A server did what it was asked for: its next failure is a first one."""
        self._pauses.pop(server, None)
        self._paused_until.pop(server, None)

    def checked(self, server: Server, *, well: bool) -> None:
        """The `preferred` server was looked at; it is the current one again after so many good checks."""
        if server != self.preferred:
            return
        self._passed = self._passed + 1 if well else 0
        if self._passed >= CHECKS_UNTIL_BACK:
            self._passed = 0
            self.served(server)
            self.current = server
