"""Tell a port where nobody listens from one that stays silent: what a machine itself says about its UDP ports."""

import socket

import anyio

from shared.net.udp import Address

_HEARD_WITHIN_S = 0.3


async def is_closed(address: Address) -> bool:
    """Return whether the machine at `address` answers that nobody listens there (ICMP port unreachable).

    False for a port that is open, and also where a firewall keeps the answer back: only a yes tells something. Sends
    one empty datagram, which every endpoint drops. Raises `OSError` for a host that is not known or has no route.
    """
    found = await anyio.getaddrinfo(*address, type=socket.SOCK_DGRAM)
    with socket.socket(found[0][0], socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        asking.connect(found[0][4])
        try:
            asking.send(b"")
            with anyio.move_on_after(_HEARD_WITHIN_S):
                await anyio.wait_readable(asking)
            asking.recv(1)
        except ConnectionRefusedError:
            return True
        except BlockingIOError:
            return False
    return False
