"""What a transfer needs of its encryption; the real cipher is built from a session's keys and handed in."""

from typing import Protocol


class PacketCipher(Protocol):
    """Seals the datagrams that one side sends and opens those that the other side sent.

    One cipher belongs to one side of one transfer. Packet numbers never repeat within a direction, so they may serve
    as nonces. The header is authenticated and not encrypted.
    """

    @property
    def overhead_bytes(self) -> int:
        """By how many bytes a sealed text is longer than the plain one (16 for the usual AEADs)."""

    @property
    def token(self) -> bytes:
        """The 8 bytes by which the receiving socket recognises the transfer."""

    def seal(self, packet_number: int, header: bytes, plaintext: bytes | memoryview) -> bytes:
        """Return the ciphertext, without the header."""

    def open(self, packet_number: int, header: bytes, ciphertext: bytes | memoryview) -> bytes:
        """Return the plaintext. Raises `RemoteError` where header or ciphertext are not what the other side sealed."""
