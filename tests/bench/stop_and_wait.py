"""Stop-and-wait, the reference system's way of moving a picture: 1024 bytes, wait for their acknowledgement, go on.

Two shells around the same exchange, both without encryption: blocking sockets, the fastest that Python has for one
datagram at a time, and anyio's own UDP sockets, which a program with an event loop would take. The receiver runs in a
process of its own.
"""

import hashlib
import multiprocessing
import socket
from collections.abc import Iterator
from multiprocessing.connection import Connection
from time import perf_counter

import anyio
import anyio.abc

PAYLOAD_BYTES = 1024
_NUMBER_BYTES = 4
_RETRY_S = 0.2


class Taking:
    """The receiving end of one object; its first piece is its size."""

    def __init__(self) -> None:
        self.size, self._seen, self._expected, self._digest = -1, 0, 0, hashlib.sha256()

    @property
    def done(self) -> bool:
        """Whether all of the object is there."""
        return self._seen == self.size

    def receive(self, datagram: bytes) -> bytes:
        """Take a datagram and return the answer: its number, with the object's hash if it was the last one."""
        number, piece = datagram[:_NUMBER_BYTES], memoryview(datagram)[_NUMBER_BYTES:]
        if int.from_bytes(number, "big") == self._expected:
            if self.size < 0:
                self.size = int.from_bytes(piece, "big")
            else:
                self._digest.update(piece)
                self._seen += len(piece)
            self._expected += 1
            if self.done:
                return number + self._digest.digest()
        return number


def pieces(data: bytes) -> Iterator[bytes]:
    """Split an object into the datagrams of one exchange each."""
    yield bytes(_NUMBER_BYTES) + len(data).to_bytes(8, "big")
    for number, start in enumerate(range(0, len(data), PAYLOAD_BYTES), 1):
        yield number.to_bytes(_NUMBER_BYTES, "big") + data[start : start + PAYLOAD_BYTES]


def check(answer: bytes, data: bytes) -> None:
    """Hold the last answer against the object that was sent."""
    assert answer[_NUMBER_BYTES:] == hashlib.sha256(data).digest()


# --- Blocking sockets ------------------------------------------------------------------------------------------------


def receive_blocking(port: Connection) -> None:
    """Take objects until one is empty."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port.send(sock.getsockname()[1])
        taking = Taking()
        while taking.size != 0:
            taking = Taking()
            while not taking.done:
                datagram, source = sock.recvfrom(65_535)
                sock.sendto(taking.receive(datagram), source)


def send_blocking(port: int, objects: list[bytes]) -> list[float]:
    """Send objects and an empty one; return how long each took, in seconds."""
    times = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(_RETRY_S)
        sock.connect(("127.0.0.1", port))
        for data in [*objects, b""]:
            began, answer = perf_counter(), b""
            for datagram in pieces(data):
                answer = _exchange(sock, datagram)
            check(answer, data)
            times.append(perf_counter() - began)
    return times[:-1]


def _exchange(sock: socket.socket, datagram: bytes) -> bytes:
    """Send one datagram until it is acknowledged; return the acknowledgement."""
    while True:
        sock.send(datagram)
        try:
            while not (answer := sock.recv(65_535)).startswith(datagram[:_NUMBER_BYTES]):
                pass
        except TimeoutError:
            continue
        return answer


# --- anyio's sockets -------------------------------------------------------------------------------------------------


def receive_anyio(port: Connection) -> None:
    """Take objects until one is empty."""

    async def main() -> None:
        async with await anyio.create_udp_socket(local_host="127.0.0.1") as sock:
            port.send(sock.extra(anyio.abc.SocketAttribute.local_port))
            taking = Taking()
            while taking.size != 0:
                taking = Taking()
                while not taking.done:
                    datagram, source = await sock.receive()
                    await sock.send((taking.receive(datagram), source))

    anyio.run(main)


def send_anyio(port: int, objects: list[bytes]) -> list[float]:
    """Send objects and an empty one; return how long each took, in seconds."""

    async def main() -> list[float]:
        times = []
        async with await anyio.create_connected_udp_socket("127.0.0.1", port) as sock:
            for data in [*objects, b""]:
                began, answer = perf_counter(), b""
                for datagram in pieces(data):
                    answer = b""
                    while not answer.startswith(datagram[:_NUMBER_BYTES]):
                        await sock.send(datagram)
                        with anyio.move_on_after(_RETRY_S):
                            answer = await sock.receive()
                check(answer, data)
                times.append(perf_counter() - began)
        return times[:-1]

    return anyio.run(main)


SHELLS = {"blocking sockets": (receive_blocking, send_blocking), "anyio": (receive_anyio, send_anyio)}


def seconds(shell: str, objects: list[bytes]) -> list[float]:
    """Return how long each object took through one of the shells."""
    receive, send = SHELLS[shell]
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=receive, args=(there,))
    process.start()
    try:
        times = send(here.recv(), objects)
        process.join(5)
    finally:
        process.kill()
        process.join()
    return times
