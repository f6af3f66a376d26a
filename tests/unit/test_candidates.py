"""Addresses that peers tell each other: one's own, and which of another's are probed."""

from types import SimpleNamespace

import psutil
import pytest

from shared.net.candidates import is_here, local_addresses, usable
from shared.wire.base import MAX_CANDIDATES

ANY = ("::", 5_000)


@pytest.fixture
def interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = ["127.0.0.1", "::1", "192.168.1.2", "fe80::1%eth0", "2001:db8::2", "00:00:5e:00:53:01", "8.8.4.4"]
    monkeypatch.setattr(
        psutil, "net_if_addrs", lambda: {"eth0": [SimpleNamespace(address=address) for address in addresses]}
    )


@pytest.mark.usefixtures("interfaces")
def test_own_addresses_are_those_that_others_can_reach() -> None:
    assert local_addresses(ANY) == [("2001:db8::2", 5_000), ("8.8.4.4", 5_000), ("192.168.1.2", 5_000)]
    assert local_addresses(("0.0.0.0", 5_000)) == [("8.8.4.4", 5_000), ("192.168.1.2", 5_000)]
    assert local_addresses(("192.168.1.2", 5_000)) == [("192.168.1.2", 5_000)]
    assert local_addresses(("127.0.0.1", 5_000)) == [("127.0.0.1", 5_000)]


@pytest.mark.usefixtures("interfaces")
def test_a_translator_is_known_by_an_address_that_is_not_this_machines() -> None:
    assert is_here("192.168.1.2", ANY)
    assert is_here("127.0.0.5", ANY)
    assert not is_here("203.0.113.7", ANY)


def test_what_is_told_is_probed_only_where_a_peer_can_be() -> None:
    told = ["224.0.0.1", "255.255.255.255", "0.0.0.0", "::", "fe80::1", "127.0.0.1", "::1", "ff02::1", "a.name", ""]
    assert usable([(host, 5_000) for host in told], ANY) == []
    assert usable([("203.0.113.1", 0), ("203.0.113.1", 5), ("203.0.113.1", 5)], ANY) == [("203.0.113.1", 5)]
    assert usable([("203.0.113.1", 5), ("127.0.0.1", 5)], ("127.0.0.1", 1)) == [("127.0.0.1", 5)]
    assert len(usable([("203.0.113.1", port) for port in range(1, 100)], ANY)) == MAX_CANDIDATES
