"""Reaching one of several addresses: names are looked up, and what is found is tried side by side.

After RFC 8305 (Happy Eyeballs): each address gets a head start before the next one joins, whatever answers first wins,
and a family without a way does not hold up the other.
"""

import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from shared.errors import Explained, InvalidInput, LocalError, Unavailable
from shared.net.paths import shown_address
from shared.net.udp import Address

S = TypeVar("S")

HEAD_START_S: Final = 0.25
"""RFC 8305, section 5: the recommended delay between two attempts."""
_FAMILY_NAMES: Final = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}


async def resolve(address: Address, families: Sequence[socket.AddressFamily]) -> list[Address]:
    """Return `address` with numeric hosts, the system's favourite first, of the families that can be reached.

    A name is looked up every time, since it may have moved. Raises `LocalError` for an impossible port, `Unavailable`
    where the name is not known or has no address of these families.
    """
    host, port = address
    _check_port(port)
    plain, percent, interface = host.partition("%")
    for family in _FAMILY_NAMES:
        try:
            packed = socket.inet_pton(family, plain)
        except OSError:
            continue
        if family not in families:
            other = _FAMILY_NAMES[family]
            raise Unavailable(f"{host} is an {other} address, and only {_names(families)} is used here.")
        return [(socket.inet_ntop(family, packed) + percent + interface, port)]
    wanted = families[0] if len(families) == 1 else socket.AF_UNSPEC
    try:
        found = await anyio.getaddrinfo(host, port, family=wanted, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no host name"
        raise Unavailable(f"The {_names(families)} address of {host} is not known: {reason}.") from error
    return list(dict.fromkeys((str(entry[4][0]), port) for entry in found))


def _check_port(port: int) -> None:
    if not 0 < port < 65_536:
        raise LocalError(f"port {port} is outside 1 .. 65535")


def _names(families: Sequence[socket.AddressFamily]) -> str:
    return " or ".join(name for family, name in _FAMILY_NAMES.items() if family in families)


async def first_to_answer(
    addresses: Sequence[Address],
    families: Sequence[socket.AddressFamily],
    attempt: Callable[[Address], Awaitable[S]],
    *,
    timeout_s: float,
) -> S:
    """Return what `attempt` returns for the first numeric address that answers; the other attempts are cancelled.

    Raises `Unavailable` with what became of each address after at most `timeout_s` seconds, `Explained` or
    `InvalidInput` where an attempt does and no other one answers, `LocalError` for an impossible port.
    """
    for _, port in addresses:
        _check_port(port)
    race: _Race[S] = _Race(addresses, families, attempt)
    return await race.run(timeout_s)


class _Race(Generic[S]):
    def __init__(
        self,
        addresses: Sequence[Address],
        families: Sequence[socket.AddressFamily],
        attempt: Callable[[Address], Awaitable[S]],
    ) -> None:
        self._addresses = addresses
        self._families = families
        self._attempt = attempt
        self._tried: dict[Address, str] = {}
        """What became of each numeric address."""
        self._unknown: list[str] = []
        self._invalid: InvalidInput | None = None
        self._explained: Explained | None = None
        self._won: list[S] = []

    async def run(self, timeout_s: float) -> S:
        with anyio.move_on_after(timeout_s):
            async with anyio.create_task_group() as group:
                for number, address in enumerate(self._addresses):
                    group.start_soon(self._look_up, address, number * HEAD_START_S, group)
        if self._won:
            return self._won[0]
        for error in (self._invalid, self._explained):
            if error is not None:
                raise error
        raise Unavailable(self._reason())

    async def _look_up(self, address: Address, after_s: float, group: TaskGroup) -> None:
        began = anyio.current_time()
        try:
            found = await resolve(address, self._families)
        except Unavailable as error:
            self._unknown.append(str(error))
            return
        await anyio.sleep(max(0.0, after_s - (anyio.current_time() - began)))
        for numeric in found:
            if numeric in self._tried:  # two names of one machine
                continue
            self._tried[numeric] = "timed out"
            ended = anyio.Event()
            group.start_soon(self._try, numeric, ended, group)
            with anyio.move_on_after(HEAD_START_S):
                await ended.wait()

    async def _try(self, address: Address, ended: anyio.Event, group: TaskGroup) -> None:
        try:
            answer = await self._attempt(address)
        except Explained as error:
            self._explained = error
        except Unavailable as error:
            self._tried[address] = str(error)
        except InvalidInput as error:
            self._invalid = error
        else:
            self._won.append(answer)
            group.cancel_scope.cancel()
        ended.set()

    def _reason(self) -> str:
        if not self._tried:
            return " ".join(self._unknown) or "No address was looked up in time; check the name server."
        given = ", ".join(shown_address(address) for address in self._addresses)
        tried = list(self._tried.items())
        if [address for address, _ in tried] == list(self._addresses):
            why = ", ".join(dict.fromkeys(reason for _, reason in tried))
        else:
            why = ", ".join(f"{address[0]}: {reason}" for address, reason in tried)
        return " ".join([f"Nobody answers at {given} ({why}).", *self._unknown])
