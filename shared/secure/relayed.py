"""Paths that lead through a node: what two peers send each other travels inside their sessions with it.

    message in a session with a node = first byte 02 | handle 8 | datagram from peer to peer

The handle names the pair of peers at that node. To sessions and transfers such a path is one more address: its host is
no name and no number, so no socket can be asked to send there. What is inside is sealed from end to end; the node sees
who talks to whom, when and how much.
"""

from typing import Final

from shared.config import MIN_PATH_DATAGRAM_BYTES, RELAYED_DATAGRAM_BYTES
from shared.secure.datagrams import DATA_OVERHEAD_BYTES, ROUTING_BYTES, Address

FOR_RELAY: Final = b"\x02"
"""First byte of a message that holds a datagram for somebody else."""
HANDLE_BYTES: Final = 8
SHORTEST_BODY_BYTES: Final = HANDLE_BYTES + ROUTING_BYTES
LONGEST_BODY_BYTES: Final = HANDLE_BYTES + RELAYED_DATAGRAM_BYTES
"""Length of a message without its first byte."""
_HOST: Final = "relay/"
"""No host name holds a slash (RFC 1123 section 2.1)."""
_PORT: Final = 1

assert DATA_OVERHEAD_BYTES + len(FOR_RELAY) + HANDLE_BYTES + RELAYED_DATAGRAM_BYTES <= MIN_PATH_DATAGRAM_BYTES


def relayed_address(node_key: bytes, handle: bytes) -> Address:
    """Return the address of the path with this handle through the node with this key."""
    return f"{_HOST}{node_key.hex()}/{handle.hex()}", _PORT


def is_relayed(address: Address) -> bool:
    """Whether a path leads through a node."""
    return address[0].startswith(_HOST)


def datagram_bytes(address: Address) -> int:
    """Return the size of the datagrams that every path to this address carries."""
    return RELAYED_DATAGRAM_BYTES if is_relayed(address) else MIN_PATH_DATAGRAM_BYTES


def init_bytes(address: Address) -> int:
    """Return the exact size of a first handshake message to or from this address.

    No answer to it is as long, so a forged source address gains nothing. On a path through a node nobody can forge one.
    """
    return datagram_bytes(address)


def wrap(handle: bytes, datagram: bytes) -> bytes:
    """Return the message for the node that carries a datagram."""
    return FOR_RELAY + handle + datagram


def unwrap(body: bytes) -> tuple[bytes, bytes] | None:
    """Return handle and datagram of a message without its first byte, None where it can be neither."""
    if not SHORTEST_BODY_BYTES <= len(body) <= LONGEST_BODY_BYTES:
        return None
    return body[:HANDLE_BYTES], body[HANDLE_BYTES:]
