"""Fingerprints of accounts: 32 bytes for programs, eight words for people to compare aloud."""

from hashlib import sha256
from typing import Final

from shared.framing import framed
from shared.words import WORDS

FINGERPRINT_WORDS: Final = 8
"""Eight words of 256 are 64 bits: an impostor must make some 2^64 key pairs to meet one given account's words."""


def fingerprint_of(signing_key: bytes) -> bytes:
    """Return the SHA-256 of an Ed25519 public key, domain separated."""
    return sha256(framed("fingerprint", signing_key)).digest()


def words_of(signing_key: bytes) -> str:
    """Return the fingerprint's first `FINGERPRINT_WORDS` bytes as words, parted by blanks."""
    return " ".join(WORDS[byte] for byte in fingerprint_of(signing_key)[:FINGERPRINT_WORDS])
