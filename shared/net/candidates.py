"""Addresses at which a peer may be reached, in the words of RFC 8445: its own ones and those that others told.

What others tell is checked before anything is sent there: a peer could otherwise have another one's machine probe
addresses that no peer has.
"""

import ipaddress
from collections.abc import Iterable
from typing import Final

import psutil

from shared.net.paths import is_loopback
from shared.net.udp import Address
from shared.wire.base import MAX_CANDIDATES

_MOST_LOCAL: Final = 4


def local_addresses(bound: Address) -> list[Address]:
    """Return where this machine's own interfaces can be reached at the port of a socket, IPv6 first, some at most.

    `bound` is the socket's numeric host and port. A socket that listens at one address has that one alone.
    """
    host, port = bound
    if not _parsed(host).is_unspecified:
        return [bound]
    families = 4 if host == "0.0.0.0" else 6  # noqa: S104 - recognised, not bound
    found = []
    for addresses in psutil.net_if_addrs().values():
        for entry in addresses:
            try:
                address = _parsed(entry.address)
            except ValueError:  # the address of a card, or of an interface
                continue
            if not (address.is_loopback or address.is_link_local) and (families == 6 or address.version == 4):
                found.append(address)
    found.sort(key=lambda address: (-address.version, not address.is_global))
    return [(str(address), port) for address in found[:_MOST_LOCAL]]


def is_here(host: str, bound: Address) -> bool:
    """Return whether a host, as others see this machine, is one of its own addresses: no address translator is between.

    `bound` is where the socket in question listens.
    """
    if is_loopback(host) or host == bound[0]:
        return True
    return any(host == entry.address for entries in psutil.net_if_addrs().values() for entry in entries)


def usable(told: Iterable[Address], bound: Address) -> list[Address]:
    """Return the addresses out of what another peer told that may be probed from a socket bound to `bound`."""
    here = is_loopback(bound[0])
    return list(dict.fromkeys(address for address in told if _is_usable(address, here=here)))[:MAX_CANDIDATES]


def _is_usable(address: Address, *, here: bool) -> bool:
    try:
        host = ipaddress.ip_address(address[0])
    except ValueError:
        return False
    if host.is_unspecified or host.is_multicast or host.is_link_local or str(host) == "255.255.255.255":
        return False
    return host.is_loopback is here and 0 < address[1] < 65_536


def _parsed(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(host.partition("%")[0])
