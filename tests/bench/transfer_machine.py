"""CPU time of the transfer machines alone: microseconds per datagram and side, in memory, without sockets.

Run with `python -m tests.bench.transfer_machine [megabytes]`. The AEAD's own time is measured beside it, so that what
the machines add can be told apart.
"""

import hashlib
import os
import sys
from time import perf_counter

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.errors import MalformedMessage
from shared.transfer import ReceivingTransfer, SendingTransfer, TransferSettings, TransferState

BATCH_DATAGRAMS = 50


class NullCipher:
    """No encryption at all."""

    overhead_bytes = 16
    token = b"nullnull"
    _tag = bytes(16)

    def seal(self, packet_number: int, header: bytes, plaintext: bytes | memoryview) -> bytes:
        return plaintext + self._tag  # type: ignore[operator]

    def open(self, packet_number: int, header: bytes, ciphertext: bytes | memoryview) -> bytes:
        return bytes(ciphertext[:-16])


class AesGcmCipher:
    """AES-256-GCM with the packet number as nonce."""

    overhead_bytes = 16
    token = b"aesgcmae"

    def __init__(self, key: bytes, way: bytes) -> None:
        self._aead = AESGCM(key)
        self._sealing, self._opening = (b"\x00" * 3 + way), (b"\x00" * 3 + bytes((1 - way[0],)))

    def seal(self, packet_number: int, header: bytes, plaintext: bytes | memoryview) -> bytes:
        return self._aead.encrypt(self._sealing + packet_number.to_bytes(8, "big"), plaintext, header)

    def open(self, packet_number: int, header: bytes, ciphertext: bytes | memoryview) -> bytes:
        try:
            return self._aead.decrypt(self._opening + packet_number.to_bytes(8, "big"), ciphertext, header)
        except InvalidTag:
            raise MalformedMessage("the tag is wrong") from None


def measure(size: int, datagram_bytes: int, ciphers: tuple[NullCipher | AesGcmCipher, ...]) -> tuple[float, float, int]:
    """Return seconds of the sender, seconds of the receiver, and datagrams sent."""
    data = os.urandom(size)
    settings = TransferSettings(datagram_bytes=datagram_bytes)
    sender = SendingTransfer(data, cipher=ciphers[0], settings=settings, now=0.0)
    receiver = ReceivingTransfer(
        size=size,
        sha256=hashlib.sha256(data).digest(),
        cipher=ciphers[1],
        settings=settings,
        now=0.0,
        buffer_bytes=8 * 1024 * 1024,
    )
    now = sending = receiving = 0.0
    while sender.state is TransferState.OPEN:
        now += 0.0002
        began = perf_counter()
        sender.tick(now)
        datagrams = sender.take_datagrams(now, BATCH_DATAGRAMS)
        sender.next_deadline()
        sent = perf_counter()
        for datagram in datagrams:
            receiver.receive(datagram, now)
        receiver.tick(now)
        answers = receiver.take_datagrams(now, BATCH_DATAGRAMS)
        receiver.next_deadline()
        received = perf_counter()
        for answer in answers:
            sender.receive(answer, now)
        sending += sent - began + perf_counter() - received
        receiving += received - sent
    assert receiver.object() == data
    return sending, receiving, sender.statistics.sent


def aead_only(count: int, datagram_bytes: int) -> tuple[float, float]:
    """Return seconds for sealing and for opening that many datagrams, nothing else."""
    one, other = AesGcmCipher(bytes(32), b"\x00"), AesGcmCipher(bytes(32), b"\x01")
    plaintext = bytes(datagram_bytes - 34)
    header = bytes(18)
    began = perf_counter()
    sealed = [one.seal(number, header, plaintext) for number in range(count)]
    between = perf_counter()
    for number, ciphertext in enumerate(sealed):
        other.open(number, header, ciphertext)
    return between - began, perf_counter() - between


def sha256_seconds(size: int) -> float:
    """Return seconds for hashing in steps of 64 KiB."""
    data, digest = memoryview(bytes(size)), hashlib.sha256()
    began = perf_counter()
    for offset in range(0, size, 65_536):
        digest.update(data[offset : offset + 65_536])
    return perf_counter() - began


def main() -> None:
    size = int(float(sys.argv[1]) * 1e6) if len(sys.argv) > 1 else 10_000_000
    print(f"{'cipher':8} {'datagram':>9} {'send us':>8} {'receive us':>11}   of which AEAD, SHA-256")
    for datagram_bytes in (1200, 8000, 60_000):
        for name, ciphers in (
            ("null", (NullCipher(), NullCipher())),
            ("AESGCM", (AesGcmCipher(bytes(32), b"\x00"), AesGcmCipher(bytes(32), b"\x01"))),
        ):
            runs = [measure(size, datagram_bytes, ciphers) for _ in range(3)]
            sent = runs[0][2]
            send_us, receive_us = (min(run[side] for run in runs) / sent * 1e6 for side in (0, 1))
            seal_us, open_us = (seconds / sent * 1e6 for seconds in aead_only(sent, datagram_bytes))
            hash_us = sha256_seconds(size) / sent * 1e6
            aead = f"{seal_us:.1f} / {open_us:.1f}, " if name == "AESGCM" else ""
            print(f"{name:8} {datagram_bytes:>9} {send_us:>8.2f} {receive_us:>11.2f}   {aead}hash {hash_us:.2f}")


if __name__ == "__main__":
    main()
