"""An invitation: a short code by which a newcomer finds a cluster and can tell it from every other.

It holds the cluster's id, the beginning of the fingerprint of the operator who signs its file, and one or two nodes
with their keys. It is no secret, as little as the cluster file, for which whoever has it asks these nodes.

As bytes: a format (1), the cluster's id (16), the fingerprint (16), and for each node its host, port (2) and key (32).
A host is 0 and an IPv4 address (4), 1 and an IPv6 address (16), or one more than the length of a name, and the name.
Three bytes of SHA-256 over all of it find slips. As text: GLIMPSE, and the bytes in base32 (RFC 4648) without padding,
which a QR code holds best.
"""

import base64
import hashlib
import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Self

from shared.cluster import Cluster
from shared.errors import InvalidInput
from shared.identity import KEY_BYTES, fingerprint_of

_FORMAT: Final = 1
_PREFIX: Final = "GLIMPSE"
_CHECK_BYTES: Final = 3
_FINGERPRINT_BYTES: Final = 16
"""128 bits: nobody finds another key of that beginning."""
_ID_BYTES: Final = 16
_MAX_NODES: Final = 2
_MAX_CODE_CHARS: Final = 1_200
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_IPV4, _IPV6 = 0, 1
_WRONG: Final = "This is no invitation, or a part of it is missing; copy the whole code again."


@dataclass(frozen=True, slots=True)
class InvitedNode:
    """A node that a newcomer asks first."""

    host: str
    port: int
    key: bytes


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a code holds."""

    cluster_id: str
    operator: bytes
    """The first 16 bytes of the fingerprint of the operator's signing key."""
    nodes: tuple[InvitedNode, ...]

    @classmethod
    def to(cls, cluster: Cluster) -> Self:
        """Return the invitation to a cluster. Raises `InvalidInput` for one whose file is not signed."""
        if not cluster.is_signed:
            raise InvalidInput(
                "The cluster file is not signed, or was edited since; its operator runs `glimpse cluster publish`."
            )
        nodes = tuple(InvitedNode(node.host, node.port, node.key) for node in cluster.nodes[:_MAX_NODES])
        return cls(cluster.cluster_id, fingerprint_of(cluster.signer)[:_FINGERPRINT_BYTES], nodes)

    @property
    def code(self) -> str:
        """The invitation as text."""
        parts = [bytes([_FORMAT]), bytes.fromhex(self.cluster_id), self.operator]
        for node in self.nodes:
            parts += [_packed(node.host), node.port.to_bytes(2, "big"), node.key]
        data = b"".join(parts)
        return _text(data + _check(data))

    @classmethod
    def of(cls, code: str) -> Self:
        """Return what a code says; blanks, line ends and lower case do not matter. Raises `InvalidInput`."""
        text = "".join(code[: 2 * _MAX_CODE_CHARS].split()).upper()
        body = text.removeprefix(_PREFIX)
        if len(text) > _MAX_CODE_CHARS or body == text:
            raise InvalidInput(_WRONG)
        try:
            data = base64.b32decode(body + "=" * (-len(body) % 8))
        except ValueError:
            raise InvalidInput(_WRONG) from None
        is_exact = _text(data) == text  # base32 has bits to spare in the last letter
        data, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
        if not (data and is_exact) or check != _check(data):
            raise InvalidInput(_WRONG)
        if data[0] != _FORMAT:
            raise InvalidInput("This invitation was made by a newer Glimpse; update Glimpse on this machine.")
        reader = _Reader(data[1:])
        cluster_id, operator = reader.take(_ID_BYTES).hex(), reader.take(_FINGERPRINT_BYTES)
        nodes: list[InvitedNode] = []
        while not reader.is_empty and len(nodes) <= _MAX_NODES:
            nodes.append(InvitedNode(reader.host(), int.from_bytes(reader.take(2), "big"), reader.take(KEY_BYTES)))
        if not 1 <= len(nodes) <= _MAX_NODES or not all(node.port for node in nodes):
            raise InvalidInput(_WRONG)
        return cls(cluster_id, operator, tuple(nodes))


class _Reader:
    """Takes a code apart. Raises `InvalidInput` where it ends too soon."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def is_empty(self) -> bool:
        return not self._data

    def take(self, count: int) -> bytes:
        taken, self._data = self._data[:count], self._data[count:]
        if len(taken) < count:
            raise InvalidInput(_WRONG)
        return taken

    def host(self) -> str:
        kind = self.take(1)[0]
        if kind in (_IPV4, _IPV6):
            return str(ipaddress.ip_address(self.take(16 if kind == _IPV6 else 4)))
        name = self.take(kind - 1).decode("latin-1")
        if not _NAME.fullmatch(name):
            raise InvalidInput(_WRONG)
        return name


def _text(data: bytes) -> str:
    return _PREFIX + base64.b32encode(data).decode("ascii").rstrip("=")


def _packed(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return bytes([len(host) + 1]) + host.encode("ascii")
    return bytes([_IPV6 if address.version == 6 else _IPV4]) + address.packed


def _check(data: bytes) -> bytes:
    return hashlib.sha256(b"glimpse invitation" + data).digest()[:_CHECK_BYTES]
