"""The open sessions of a socket, found by number, connection id, key and address, in the order of their last sign."""

from collections import OrderedDict
from collections.abc import Iterator

from shared.secure.connection import Connection
from shared.secure.datagrams import Address


class ConnectionTable:
    """Indexes of open sessions. The one that was silent longest comes first."""

    def __init__(self) -> None:
        self._by_number: OrderedDict[int, Connection] = OrderedDict()
        self._by_local_id: dict[bytes, Connection] = {}
        self._by_remote_id: dict[tuple[Address, bytes], Connection] = {}
        self._by_key: dict[bytes, OrderedDict[int, Connection]] = {}
        self._last: Connection | None = None
        """Stands last in all orders."""

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._by_number.values()))

    def add(self, connection: Connection) -> None:
        """Take a session in."""
        self._last = None
        self._by_number[connection.number] = connection
        self._by_local_id[connection.local_id] = connection
        self._by_remote_id[connection.address, connection.remote_id] = connection
        self._by_key.setdefault(connection.remote_key, OrderedDict())[connection.number] = connection

    def remove(self, connection: Connection) -> None:
        """Drop a session."""
        self._last = None
        del self._by_number[connection.number]
        del self._by_local_id[connection.local_id]
        self._forget_path(connection.address, connection)
        of_key = self._by_key[connection.remote_key]
        del of_key[connection.number]
        if not of_key:
            del self._by_key[connection.remote_key]

    def heard(self, connection: Connection, previous_address: Address) -> None:
        """Note that the other side of a session was heard, and where it is now."""
        if connection is not self._last:
            self._by_number.move_to_end(connection.number)
            self._by_key[connection.remote_key].move_to_end(connection.number)
            self._last = connection
        if connection.address != previous_address:
            self._forget_path(previous_address, connection)
            self._by_remote_id[connection.address, connection.remote_id] = connection

    def get(self, number: int) -> Connection | None:
        """The session of this number."""
        return self._by_number.get(number)

    def by_local_id(self, local_id: bytes) -> Connection | None:
        """The session that DATA datagrams with this connection id belong to."""
        return self._by_local_id.get(local_id)

    def by_remote_id(self, address: Address, remote_id: bytes) -> Connection | None:
        """The session that sends to this address with this connection id."""
        return self._by_remote_id.get((address, remote_id))

    def latest(self, address: Address, remote_key: bytes) -> Connection | None:
        """The session with this key at this address that was heard last."""
        of_key = self._by_key.get(remote_key)
        if of_key is not None:
            for connection in reversed(of_key.values()):
                if connection.address == address:
                    return connection
        return None

    def excess(self, remote_key: bytes, *, sessions: int, per_key: int) -> Connection | None:
        """The session that must go before another one with this key may come; None while there is room."""
        of_key = self._by_key.get(remote_key)
        if of_key is not None and len(of_key) >= per_key:
            return next(iter(of_key.values()))
        if len(self._by_number) >= sessions:
            return next(iter(self._by_number.values()))
        return None

    def _forget_path(self, address: Address, connection: Connection) -> None:
        # Connection ids are the other side's choice, so a second session may have taken the entry over.
        if self._by_remote_id.get((address, connection.remote_id)) is connection:
            del self._by_remote_id[address, connection.remote_id]
