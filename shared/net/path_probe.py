"""Tell a path that lets only small datagrams through from one on which nobody answers.

A datagram for a session that is not known is answered with a HINT, whatever its size (docs/protocol.md, "Keys and
data"). So where small ones are answered and ones of the size of a first handshake message are not, it is the size that
is in the way: a tunnel or a network whose MTU is too low, and that neither fragments nor says so.
"""

import os
import socket
from typing import Final

import anyio

from shared.config import MIN_PATH_DATAGRAM_BYTES
from shared.net.paths import shown_address
from shared.net.udp import Address
from shared.secure.datagrams import CONNECTION_ID_BYTES, MIN_DATA_BYTES, DatagramType, peek, routing_header

LASTS_S: Final = 1.0
"""How long a look at a path takes at the most."""
NEEDED_MTU: Final = 1_280
"""What every link of IPv6 has (RFC 8200 section 5); a datagram of `MIN_PATH_DATAGRAM_BYTES` and its headers fit."""
_TRIES: Final = 4
_PAUSE_S: Final = 0.12
_ENOUGH: Final = 2
"""Small datagrams that must have been answered: where many are lost, the size is not to blame."""


def narrow_path(address: Address) -> str:
    """Return what to say of an address to which only small datagrams get through."""
    return (
        f"Datagrams of {MIN_PATH_DATAGRAM_BYTES} bytes do not get through to {shown_address(address)}, and smaller ones"
        f" do; set the MTU of this network, its VPN or its tunnel to {NEEDED_MTU} or more, or use another network."
    )


async def is_too_narrow(address: Address, *, local_host: str = "") -> bool:
    """Return whether small datagrams get to an address and back, and none as long as the handshake's does.

    `local_host` is the numeric host to ask from, where that matters. False wherever it cannot be told. Takes `LASTS_S`
    seconds, less where the answer is no; sends `2 * _TRIES` datagrams.
    """
    try:
        family, *_, there = (await anyio.getaddrinfo(*address, type=socket.SOCK_DGRAM))[0]
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.setblocking(False)
            if local_host and not _is_wildcard(local_host):
                asking.bind((local_host, 0))
            asking.connect(there)
            return await _asked(asking)
    except (OSError, UnicodeError):  # no such way, or no such name
        return False


def _is_wildcard(host: str) -> bool:
    return host in ("0.0.0.0", "::")  # noqa: S104 - recognised, not bound


async def _asked(asking: socket.socket) -> bool:
    small, large = _ids(), _ids()
    answered: set[bytes] = set()
    is_open = True
    with anyio.move_on_after(LASTS_S):
        async with anyio.create_task_group() as group:
            group.start_soon(_send, asking, small, large)
            while is_open and not answered & large:
                await anyio.wait_readable(asking)
                try:
                    answered.add(_hinted(asking.recv(MIN_PATH_DATAGRAM_BYTES)))
                except BlockingIOError:
                    continue
                except OSError:  # nobody listens there
                    is_open = False
            group.cancel_scope.cancel()
    return is_open and not answered & large and len(answered & small) >= _ENOUGH


async def _send(asking: socket.socket, small: set[bytes], large: set[bytes]) -> None:
    for pair in zip(small, large, strict=True):
        for connection_id, size in zip(pair, (MIN_DATA_BYTES, MIN_PATH_DATAGRAM_BYTES), strict=True):
            try:
                asking.send(routing_header(DatagramType.DATA, connection_id).ljust(size, b"\0"))
            except OSError:  # too long for this machine's own network: as good as lost. Or nobody listens
                continue
        await anyio.sleep(_PAUSE_S)


def _hinted(datagram: bytes) -> bytes:
    """Return the connection id that a hint is about, nothing for another datagram."""
    seen = peek(datagram)
    return b"" if seen is None or seen[0] is not DatagramType.HINT else seen[1]


def _ids() -> set[bytes]:
    return {os.urandom(CONNECTION_ID_BYTES) for _ in range(_TRIES)}
