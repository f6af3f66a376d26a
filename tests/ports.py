"""Ports for tests that must name one before the program that takes it has started.

A port that is merely free now may be somebody else's a moment later. So every test process claims a block of ports that
the system lends to nobody, by holding the first of the block open as long as it lives, and gives out only ports of its
block, each again only after all others: a program that is stopped and started again finds its port free.
"""

import socket
from functools import cache
from typing import Final

_BLOCK_PORTS: Final = 512
_BASES: Final = (*range(2_048, 10_240, _BLOCK_PORTS), *range(10_240, 32_768, _BLOCK_PORTS))
"""Where blocks begin. The first 16 lie below all ports that a cluster without `--base-port` may choose, which knows of
no claims; the others are for many test processes at once."""
_KINDS: Final = (socket.SOCK_DGRAM, socket.SOCK_STREAM)


class Block:
    """The ports of one test process."""

    def __init__(self) -> None:
        """Claim the first block that no other process has."""
        for base in _BASES:
            self._claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                self._claim.bind(("127.0.0.1", base))
            except OSError:
                self._claim.close()
            else:
                self._ports = range(base + 1, base + _BLOCK_PORTS)
                self._next = self._ports.start
                return
        raise AssertionError("all blocks of ports are taken: too many test processes at once")

    def take(self, length: int) -> int:
        """Return the first of so many ports in a row that are free, for UDP and for TCP."""
        for _ in self._ports:
            if self._next + length > self._ports.stop:
                self._next = self._ports.start
            first = self._next
            self._next += length
            addresses = [("127.0.0.1", port) for port in range(first, first + length)]
            if all(can_be_bound(address, kind) for address in addresses for kind in _KINDS):
                return first
        raise AssertionError("no port of the block is free: programs of earlier tests go on running")

    def close(self) -> None:
        """Leave the block to others."""
        self._claim.close()


def can_be_bound(address: tuple[str, int], kind: int = socket.SOCK_DGRAM) -> bool:
    """Whether nobody has this port, of UDP or of the kind that is given; false too where there is no such address."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, kind) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True


@cache
def _block() -> Block:
    return Block()


def free_ports(length: int = 1) -> int:
    """Return the first of so many ports in a row that are free and stay so for the program that the test starts."""
    return _block().take(length)
