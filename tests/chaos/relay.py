"""The relay: every datagram between two parties of a run goes through it, whatever socket it comes from.

It runs in a thread of its own. For each socket of a party it holds one with the same port number on the party's public
address. Which sockets there are it learns from what they send, and from the parties' processes, which announce each
socket that they open (`announce`), because a worker port is sent to before it has sent anything.
"""

import asyncio
import contextlib
import json
import socket
import threading
import time
from typing import Any

from shared.net.endpoint import Endpoint
from shared.net.udp import Address, UdpSocket
from tests.chaos.network import CLAIM_PORT, Net, Ways

_LARGEST = 65_535
_AT_ONCE = 64
_IDLE_S = 90.0
_BUFFER_BYTES = 2 * 1024 * 1024


class Relay:
    """Translates addresses and lets the weather happen. Start with `start`, end with `close`."""

    def __init__(self, net: Net, ways: Ways, claim: socket.socket) -> None:
        self._net, self.ways, self._control = net, ways, claim
        self._sockets: dict[tuple[int, int], socket.socket] = {}
        self._used: dict[tuple[int, int], float] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self.faults: list[str] = []
        """What went wrong in the relay itself: such a run proves nothing."""

    def start(self) -> None:
        """Begin to carry datagrams."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and close all sockets."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        for held in [*self._sockets.values(), self._control]:
            held.close()

    def _run(self) -> None:
        self._control.setblocking(False)
        self._loop.add_reader(self._control, self._announced)
        self._loop.call_later(_IDLE_S, self._sweep)
        self._loop.run_forever()
        self._loop.close()

    def _announced(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                data, _ = self._control.recvfrom(_LARGEST)
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    told = json.loads(data)
                    if (party := self._net.party_of(told["host"])) is not None:
                        self._socket(party, int(told["port"]))

    def _socket(self, party: int, port: int) -> socket.socket | None:
        key = (party, port)
        self._used[key] = time.monotonic()
        if key not in self._sockets:
            held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            held.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                held.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
            try:
                held.bind((self._net.public(party), port))
            except OSError as error:
                self.faults.append(f"port {port} of party {party} cannot be bound: {error}")
                held.close()
                return None
            self._sockets[key] = held
            self._loop.add_reader(held, self._arrived, party, port, held)
        return self._sockets[key]

    def _arrived(self, party: int, port: int, held: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, (host, source_port) = held.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            except OSError:
                continue
            source = self._net.party_of(host)
            if source is None:
                self.faults.append(f"a datagram from {host} came to party {party}")
                continue
            self._used[party, port] = time.monotonic()
            out = self._socket(source, source_port)
            if out is None:
                continue
            for delay_s, copy in self.ways.fate(source, party, data):
                if delay_s:
                    self._loop.call_later(delay_s, self._send, out, copy, (self._net.private(party), port))
                else:
                    self._send(out, copy, (self._net.private(party), port))

    def _send(self, out: socket.socket, data: bytes, address: Address) -> None:
        with contextlib.suppress(OSError):  # a full buffer loses a datagram, as networks do
            out.sendto(data, address)

    def _sweep(self) -> None:
        """Close sockets that nobody has used for long: their owners are gone, or will make them again by sending."""
        old = time.monotonic() - _IDLE_S
        for key in [key for key, at in self._used.items() if at < old]:
            held = self._sockets.pop(key, None)
            del self._used[key]
            if held is not None:
                self._loop.remove_reader(held)
                held.close()
        self._loop.call_later(_IDLE_S / 3, self._sweep)


def announce(net: Net) -> None:
    """In a party's own process: tell the relay of every socket that an endpoint opens from now on."""
    control = (f"127.{net.block}.0.1", CLAIM_PORT)
    teller = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    class AnnouncedSocket(UdpSocket):
        def __init__(self, bind: Address, **options: Any) -> None:
            super().__init__(bind, **options)
            host, port = self.local_address
            teller.sendto(json.dumps({"host": host, "port": port}).encode(), control)

    import shared.net.endpoint

    assert shared.net.endpoint.UdpSocket is UdpSocket
    assert Endpoint.__module__ == "shared.net.endpoint"
    shared.net.endpoint.UdpSocket = AnnouncedSocket  # type: ignore[misc]
