"""Stop-and-wait, the reference system's way of moving a picture: 1024 bytes, wait for their acknowledgement, go on.

Blocking sockets and no encryption, so nothing but the way itself is slow. `receive` runs in a process of its own.
"""

import hashlib
import multiprocessing
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

PAYLOAD_BYTES = 1024
_NUMBER_BYTES = 4
_RETRY_S = 0.2


def receive(port: Connection) -> None:
    """Take objects until one is empty; answer each piece with its number, and the last with the object's hash."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port.send(sock.getsockname()[1])
        while take_object(sock):
            pass


def take_object(sock: socket.socket) -> int:
    """Receive one object; its first piece is its size. Return the size."""
    size, seen, expected, digest = -1, 0, 0, hashlib.sha256()
    while seen < size or size < 0:
        datagram, source = sock.recvfrom(65_535)
        number, piece = datagram[:_NUMBER_BYTES], memoryview(datagram)[_NUMBER_BYTES:]
        answer = number
        if int.from_bytes(number, "big") == expected:
            if size < 0:
                size = int.from_bytes(piece, "big")
            else:
                digest.update(piece)
                seen += len(piece)
            expected += 1
            if seen == size:
                answer = number + digest.digest()
        sock.sendto(answer, source)
    return size


def send(sock: socket.socket, data: bytes) -> None:
    """Send one object over a connected socket and check the hash that comes back."""
    answer = exchange(sock, 0, len(data).to_bytes(8, "big"))
    for number, start in enumerate(range(0, len(data), PAYLOAD_BYTES), 1):
        answer = exchange(sock, number, data[start : start + PAYLOAD_BYTES])
    assert answer[_NUMBER_BYTES:] == hashlib.sha256(data).digest()


def exchange(sock: socket.socket, number: int, piece: bytes) -> bytes:
    """Send one piece until it is acknowledged; return the acknowledgement."""
    head = number.to_bytes(_NUMBER_BYTES, "big")
    while True:
        sock.send(head + piece)
        try:
            while not (answer := sock.recv(65_535)).startswith(head):
                pass
        except TimeoutError:
            continue
        return answer


@contextmanager
def receiver() -> Iterator[socket.socket]:
    """Run the receiving process; yields a socket that is connected to it."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=receive, args=(there,))
    process.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(_RETRY_S)
        sock.connect(("127.0.0.1", here.recv()))
        try:
            yield sock
            send(sock, b"")
            process.join(5)
        finally:
            process.kill()
            process.join()
