"""Handshakes, sessions and keys of everything that travels in datagrams; no sockets, clock or randomness inside."""

from shared.secure.datagrams import Address, DatagramType, Drop, peek
from shared.secure.events import CloseReason, Event, MessageReceived, SessionClosed, SessionInfo, SessionOpened
from shared.secure.multiplexer import SecureMultiplexer
from shared.secure.noise import KeyPair
from shared.secure.transfer_keys import TransferCipher, TransferKeys

__all__ = [
    "Address",
    "CloseReason",
    "DatagramType",
    "Drop",
    "Event",
    "KeyPair",
    "MessageReceived",
    "SecureMultiplexer",
    "SessionClosed",
    "SessionInfo",
    "SessionOpened",
    "TransferCipher",
    "TransferKeys",
    "peek",
]
