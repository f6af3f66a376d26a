"""What the owner of an endpoint sees of a session."""

from shared.net.udp import Address


class Session:
    """An open session with one other side. Hashable; equal only to itself."""

    __slots__ = ("address", "alive", "initiator", "number", "opened_at", "remote_key")

    def __init__(self, number: int, remote_key: bytes, address: Address, *, initiator: bool, opened_at: float) -> None:
        self.number = number
        """Unique within the endpoint, never used again."""
        self.remote_key = remote_key
        """The other side's static public key, 32 bytes: who it is."""
        self.address = address
        """Where it is; follows the other side when it proves a new address."""
        self.initiator = initiator
        """Whether this side opened the session."""
        self.opened_at = opened_at
        """In seconds of the endpoint's clock."""
        self.alive = True
        """False once it is over; a new session to the same side is a new object."""

    def __repr__(self) -> str:
        state = "open" if self.alive else "over"
        return f"<Session {self.number} with {self.address[0]}:{self.address[1]}, {state}>"
