"""A non-blocking UDP socket that moves many datagrams per system call.

Where the kernel has them, equal datagrams to one address leave as one train (UDP_SEGMENT, generic segmentation
offload) and arrive as one (UDP_GRO); elsewhere the same interface uses plain calls. Readiness comes from
`anyio.wait_readable` and `anyio.wait_writable`; nothing else may watch the same descriptor.
"""

import errno
import logging
import socket
import struct
import sys
from contextlib import suppress
from typing import Final

import anyio

log = logging.getLogger(__name__)

Address = tuple[str, int]
"""Numeric host and port. IPv4 hosts are written as such, also where an IPv6 socket carries them."""
ANY_HOST: Final = ""
"""Bind to all addresses of this machine, of both families; of IPv4 alone where the system has no IPv6."""
Batch = list[tuple[Address, bytes]]
"""Datagrams with where they come from or go to."""

BUFFER_BYTES: Final = 4 * 1024 * 1024
"""Asked for as socket buffer; the kernel grants less where `net.core.rmem_max` says so."""
MAX_TRAIN_DATAGRAMS: Final = 64
"""Segments of one train: what every kernel with segmentation takes (128 since Linux 6.9)."""
MAX_TRAIN_BYTES: Final = 65_000
"""All segments together must fit one IP datagram."""
MAX_BATCH_BYTES: Final = 256 * 1024
"""Bytes taken per wake-up, so that one busy socket does not hold up the event loop."""
MAX_BATCH_CALLS: Final = 64
"""Receive calls per wake-up, for the same reason."""
LARGEST_DATAGRAM_BYTES: Final = 65_536

_SOL_UDP: Final = 17
_UDP_SEGMENT: Final = 103
_UDP_GRO: Final = 104
_SEGMENT: Final = struct.Struct("=H")
_GRO_SIZE: Final = struct.Struct("=i")
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_GRO_SIZE.size)
_NO_TRAINS: Final = frozenset((errno.EINVAL, errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EMSGSIZE))
"""What a kernel or a device answers that cannot segment, or not for this path."""
_CLOSED: Final = frozenset((errno.EBADF, errno.ENOTSOCK))
_MAPPED: Final = "::ffff:"
"""What an IPv4 address is written after on a socket of both families (RFC 4291, section 2.5.5.2)."""


class UdpSocket:
    """One bound UDP socket: IPv4, IPv6, or both. Errors of single datagrams are counted, never raised."""

    def __init__(self, bind: Address, *, gso: bool = True, bound: socket.socket | None = None) -> None:
        """Bind to a numeric host, or to `ANY_HOST`, and a port, 0 for any. `gso=False` forces plain calls both ways.

        `bound` is a socket that is bound to `bind` already; it is taken over and closed as one opened here would be.
        Raises `OSError` where the address cannot be bound.
        """
        self._socket = _unbound(bind[0]) if bound is None else bound
        try:
            self._socket.setblocking(False)
            self.receive_buffer_bytes = self._enlarge(socket.SO_RCVBUF)
            """What the kernel really grants, in its own accounting of datagrams (`shared.transfer.flow`)."""
            self._enlarge(socket.SO_SNDBUF)
            if bound is None:
                self._socket.bind((bind[0] or _any_host(self._socket), bind[1]))
        except OSError:
            self._socket.close()
            raise
        self.local_address: Address = self._normal(self._socket.getsockname())
        self._maps = self._is_dual() and self.local_address[0] == "::"
        self.families = (socket.AF_INET6, socket.AF_INET) if self._maps else (self._socket.family,)
        """The address families that it sends to."""
        self.sends_trains = gso and sys.platform == "linux"
        self.receives_trains = gso and sys.platform == "linux" and self._enable_gro()
        self._buffer = bytearray(LARGEST_DATAGRAM_BYTES)
        self._view = memoryview(self._buffer)
        self.send_errors = 0

    def close(self) -> None:
        """Close the socket. Nothing may be waiting for it."""
        self._socket.close()

    # --- Receiving ---------------------------------------------------------------------------------------------------

    async def receive_batch(self) -> Batch:
        """Wait for datagrams and return those that are there, up to a bounded number of bytes."""
        while True:
            await anyio.wait_readable(self._socket)
            if batch := self.receive_now():
                return batch

    def receive_now(self) -> Batch:
        """Return the datagrams that are there, possibly none, up to a bounded number of bytes."""
        batch: Batch = []
        room_bytes = MAX_BATCH_BYTES
        for _ in range(MAX_BATCH_CALLS):
            try:
                size, ancillary, _, source = self._socket.recvmsg_into([self._buffer], _ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError as error:  # an ICMP error of an earlier datagram, or a shortage of memory
                if error.errno in _CLOSED:
                    raise
                continue
            address = self._normal(source)
            segment_bytes = _GRO_SIZE.unpack_from(ancillary[0][2])[0] if ancillary else size
            if 0 < segment_bytes < size:
                view = self._view
                batch += [
                    (address, bytes(view[start : min(start + segment_bytes, size)]))
                    for start in range(0, size, segment_bytes)
                ]
            else:
                batch.append((address, bytes(self._view[:size])))
            room_bytes -= size
            if room_bytes <= 0:
                break
        return batch

    # --- Sending -----------------------------------------------------------------------------------------------------

    def send_run(self, address: Address, datagrams: list[bytes]) -> int:
        """Send datagrams in order to one address, as trains where sizes allow; return how many are dealt with: fewer
        than given if the buffer is full. A datagram that the kernel refuses counts as sent and lost."""
        if self._maps and ":" not in address[0]:
            address = f"{_MAPPED}{address[0]}", address[1]
        done = 0
        while done < len(datagrams):
            count = self._train_length(datagrams, done) if self.sends_trains else 1
            try:
                if count == 1:
                    self._socket.sendto(datagrams[done], address)
                else:
                    train = datagrams[done : done + count]
                    segment = [(_SOL_UDP, _UDP_SEGMENT, _SEGMENT.pack(len(train[0])))]
                    self._socket.sendmsg(train, segment, 0, address)
            except BlockingIOError:
                return done
            except OSError as error:
                if error.errno in _CLOSED:
                    raise
                if count > 1 and error.errno in _NO_TRAINS:
                    self._send_refused_train(address, datagrams[done : done + count])
                else:
                    self.send_errors += 1
            done += count
        return done

    async def wait_writable(self) -> None:
        """Wait until the socket takes datagrams again."""
        await anyio.wait_writable(self._socket)

    def _send_refused_train(self, address: Address, datagrams: list[bytes]) -> None:
        """Send one by one what was refused as a train. If that works, it was the train: form no more of them."""
        before = self.send_errors
        for datagram in datagrams:
            try:
                self._socket.sendto(datagram, address)
            except OSError:
                self.send_errors += 1
        if self.send_errors - before < len(datagrams):
            self.sends_trains = False
            log.info("datagrams leave one by one: no segmentation here")

    @staticmethod
    def _train_length(datagrams: list[bytes], start: int) -> int:
        """Return how many datagrams from `start` on may form a train: equal ones, the last may be shorter."""
        size = len(datagrams[start])
        most = min(MAX_TRAIN_DATAGRAMS, MAX_TRAIN_BYTES // size if size else 1, len(datagrams) - start)
        for index in range(start + 1, start + most):
            following = len(datagrams[index])
            if following != size:
                return index - start + (1 if 0 < following < size else 0)
        return max(most, 1)

    # --- Set-up ------------------------------------------------------------------------------------------------------

    def _enlarge(self, option: int) -> int:
        self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        return self._socket.getsockopt(socket.SOL_SOCKET, option)

    def _enable_gro(self) -> bool:
        try:
            self._socket.setsockopt(_SOL_UDP, _UDP_GRO, 1)
        except OSError:
            return False
        return True

    def _is_dual(self) -> bool:
        return self._socket.family == socket.AF_INET6 and not self._socket.getsockopt(
            socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
        )

    def _normal(self, source: tuple[str, int] | tuple[str, int, int, int]) -> Address:
        """Return host and port; a link-local IPv6 host keeps its interface, a mapped IPv4 one is written as IPv4."""
        host, port = source[0], source[1]
        if len(source) == 4:
            if source[3]:
                return f"{host}%{source[3]}", port
            if host.startswith(_MAPPED):
                return host[len(_MAPPED) :], port
        return host, port


def _unbound(host: str) -> socket.socket:
    """Return a socket for a numeric host: of both families for `ANY_HOST` and `::`, as far as the system has both."""
    if host and host != "::":
        return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        both = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    except OSError:
        if host:
            raise
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with suppress(OSError):  # a system that keeps the families apart
        both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return both


def _any_host(one: socket.socket) -> str:
    return "::" if one.family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104 - what `ANY_HOST` asks for
