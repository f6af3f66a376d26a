"""What is known of a path from its addresses: how large its datagrams may be, and how a transfer over it is set up."""

import ipaddress
from functools import lru_cache
from typing import Final

from shared.config import MAX_DATAGRAM_BYTES, MIN_PATH_DATAGRAM_BYTES, Timing
from shared.transfer.flow import charge_bytes
from shared.transfer.settings import TransferSettings

LOOPBACK_DATAGRAM_BYTES: Final = 60_000
"""On the loopback interface (MTU 64 KiB): the per-datagram cost of AEAD and bookkeeping is what limits, so near the
largest is best."""
BUFFERED_DATAGRAMS: Final = 24
"""A receive buffer should hold at least this many datagrams; a smaller one gets smaller datagrams."""
LINGER_S: Final = 1.0
LINGER_RTTS: Final = 15
"""How long, or how many initial round trips, a receiver that has everything keeps its port to say so again."""
LOOPBACK_FIRST_FLIGHT: Final = 8
"""Large datagrams of the first flight on the loopback interface; the receiver's buffer holds three times as many."""


@lru_cache(maxsize=1_024)
def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its address or as `localhost`; asks no name server."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def is_numeric(host: str) -> bool:
    """Whether a host is an address of either family and no name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def shown_address(address: tuple[str, int]) -> str:
    """Return a host and a port as people write them: an IPv6 host stands in brackets (RFC 3986)."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def other_version(address: tuple[str, int], *, is_newer: bool) -> str:
    """Return what to say of an address whose side speaks another version of the protocol."""
    if is_newer:
        return f"{shown_address(address)} speaks a newer version of the protocol: update Glimpse on this machine."
    return f"{shown_address(address)} speaks an older version of the protocol: Glimpse has to be updated there."


def largest_datagram_bytes(host: str, buffer_bytes: int) -> int:
    """Return the size of datagrams from that host that a socket with this receive buffer takes well."""
    if not is_loopback(host):
        return MIN_PATH_DATAGRAM_BYTES
    size = LOOPBACK_DATAGRAM_BYTES
    while size > MIN_PATH_DATAGRAM_BYTES and BUFFERED_DATAGRAMS * charge_bytes(size) > buffer_bytes:
        size = max(size // 2, MIN_PATH_DATAGRAM_BYTES)
    return size


def transfer_settings(timing: Timing, datagram_bytes: int) -> TransferSettings:
    """Return the settings of a transfer with datagrams of that size."""
    assert datagram_bytes <= MAX_DATAGRAM_BYTES
    defaults = TransferSettings()
    return TransferSettings(
        datagram_bytes=datagram_bytes,
        initial_rtt_s=timing.initial_rtt_s,
        idle_timeout_s=timing.transfer_idle_s,
        linger_s=max(LINGER_S, LINGER_RTTS * timing.initial_rtt_s),
        initial_window_bytes=max(
            defaults.initial_window_bytes, LOOPBACK_FIRST_FLIGHT * datagram_bytes if datagram_bytes > 1_500 else 0
        ),
    )
