"""Names are looked up, addresses are tried side by side, and what did not answer is named."""

import socket

import anyio
import pytest

from shared.errors import InvalidInput, LocalError, Unavailable
from shared.net import reaching
from shared.net.reaching import first_to_answer, resolve
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio
BOTH = (socket.AF_INET6, socket.AF_INET)
FOUR, SIX = (socket.AF_INET,), (socket.AF_INET6,)


@pytest.fixture
def names(monkeypatch):
    """Names and their addresses, as a name server has them."""
    known: dict[str, list[str]] = {}

    async def look_up(host, port, *, family=0, type=0):  # noqa: A002 - as the library has it
        found = [one for one in known.get(host, []) if family in (0, socket.AF_INET6 if ":" in one else socket.AF_INET)]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, type, 0, "", (one, port)) for one in found]

    monkeypatch.setattr(reaching.anyio, "getaddrinfo", look_up)
    monkeypatch.setattr(reaching, "HEAD_START_S", 0.001)
    return known


async def test_addresses_are_normal_and_of_a_family_that_is_used(names):
    assert await resolve(("127.0.0.1", 5), BOTH) == [("127.0.0.1", 5)]
    assert await resolve(("0:0::1", 5), BOTH) == [("::1", 5)]
    assert await resolve(("fe80::0:1%eth0", 5), SIX) == [("fe80::1%eth0", 5)]
    with pytest.raises(Unavailable, match=r"::1 is an IPv6 address, and only IPv4 is used here"):
        await resolve(("::1", 5), FOUR)
    for port in (0, -1, 65_536):
        with pytest.raises(LocalError):
            await resolve(("127.0.0.1", port), BOTH)


async def test_names_are_looked_up_each_time_for_the_families_in_use(names):
    names["node"] = ["2001:db8::1", "192.0.2.1"]
    assert await resolve(("node", 5), BOTH) == [("2001:db8::1", 5), ("192.0.2.1", 5)]
    assert await resolve(("node", 5), FOUR) == [("192.0.2.1", 5)]
    names["node"] = ["192.0.2.9"]
    assert await resolve(("node", 5), BOTH) == [("192.0.2.9", 5)]
    with pytest.raises(Unavailable, match=r"The IPv6 address of node is not known: Name or service not known\."):
        await resolve(("node", 5), SIX)


async def reach(addresses, answering, families=BOTH, *, timeout_s=PATIENCE_S):
    """Return the address that was reached, and all that were tried."""
    tried = []

    async def attempt(address):
        tried.append(address[0])
        if answering.get(address[0]) == "no key":
            raise InvalidInput("That is no key.")
        if address[0] in answering:
            raise Unavailable(answering[address[0]]) if answering[address[0]] else _Reached(address[0])
        await anyio.sleep_forever()

    async def caught(address):
        try:
            await attempt(address)
        except _Reached as reached:
            return str(reached)

    return await first_to_answer(addresses, families, caught, timeout_s=timeout_s), tried


class _Reached(Exception):
    pass


async def test_an_address_that_is_silent_does_not_hold_up_the_next(names):
    names["node"] = ["2001:db8::1", "192.0.2.1"]
    reached, tried = await reach([("node", 5)], {"192.0.2.1": ""})
    assert (reached, tried) == ("192.0.2.1", ["2001:db8::1", "192.0.2.1"])
    reached, tried = await reach([("10.0.0.1", 5), ("10.0.0.2", 5)], {"10.0.0.2": ""})
    assert reached == "10.0.0.2"


async def test_the_first_that_answers_at_once_is_the_only_one_tried(names, monkeypatch):
    monkeypatch.setattr(reaching, "HEAD_START_S", PATIENCE_S)
    names["node"] = ["2001:db8::1", "192.0.2.1"]
    reached, tried = await reach([("node", 5), ("10.0.0.2", 5)], {"2001:db8::1": "", "192.0.2.1": ""})
    assert (reached, tried) == ("2001:db8::1", ["2001:db8::1"])


async def test_an_address_that_refuses_makes_way_at_once(names, monkeypatch):
    monkeypatch.setattr(reaching, "HEAD_START_S", PATIENCE_S)
    names["node"] = ["2001:db8::1", "192.0.2.1"]
    reached, _ = await reach([("node", 5)], {"2001:db8::1": "refused", "192.0.2.1": ""})
    assert reached == "192.0.2.1"


async def test_what_was_tried_is_named(names):
    with pytest.raises(Unavailable) as nobody:
        await reach([("10.0.0.1", 7001)], {}, timeout_s=0.01)
    assert str(nobody.value) == "Nobody answers at 10.0.0.1:7001 (timed out)."
    names["node"] = ["2001:db8::1", "192.0.2.1"]
    with pytest.raises(Unavailable) as nobody:
        await reach([("node", 7001), ("gone", 7001)], {"2001:db8::1": "refused", "192.0.2.1": "closed"})
    assert str(nobody.value) == (
        "Nobody answers at node:7001, gone:7001 (2001:db8::1: refused, 192.0.2.1: closed)."
        " The IPv4 or IPv6 address of gone is not known: Name or service not known."
    )
    with pytest.raises(Unavailable, match=r"^The IPv4 or IPv6 address of gone is not known"):
        await reach([("gone", 7001)], {})
    with pytest.raises(Unavailable) as nobody:
        await reach([("::1", 7001)], {"::1": "timed out"})
    assert str(nobody.value) == "Nobody answers at [::1]:7001 (timed out)."


async def test_a_bad_key_and_a_bad_port_are_the_callers_fault(names):
    with pytest.raises(InvalidInput, match="no key"):
        await reach([("10.0.0.1", 5)], {"10.0.0.1": "no key"})
    with pytest.raises(LocalError):
        await reach([("10.0.0.1", 0)], {})
