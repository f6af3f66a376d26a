"""For whom a node carries datagrams, and how much."""

from dataclasses import replace

import pytest

from node.relay_table import IDLE_S, Party, RelayTable
from shared.config import REQUEST_LIMITS

ADA, BEN, EVE = b"a" * 32, b"b" * 32, b"e" * 32
HANDLE = b"12345678"


def table(**limits: float) -> RelayTable[str]:
    made = RelayTable[str](replace(REQUEST_LIMITS, **limits))
    made.bind(HANDLE, Party(1, ADA, "ada"), Party(2, BEN, "ben"), 0.0)
    return made


def test_both_of_a_pair_are_carried_to_each_other_and_nobody_else_is() -> None:
    made = table()
    assert made.carry(HANDLE, "ada", ADA, 100, 1.0) == "ben"
    assert made.carry(HANDLE, "ben", BEN, 50, 1.0) == "ada"
    assert (made.datagrams, made.bytes) == (2, 150)
    for session, key in (("eve", EVE), ("ada's second", ADA)):
        assert made.carry(HANDLE, session, key, 100, 1.0) is None
    assert made.carry(b"87654321", "ada", ADA, 100, 1.0) is None
    assert made.refused == {"not of this pair": 2, "no such pair": 1}


def test_a_peer_goes_on_in_its_next_session_and_nobody_takes_its_place() -> None:
    made = table()
    made.closed("ben")
    assert made.carry(HANDLE, "ada", ADA, 100, 1.0) is None
    assert made.carry(HANDLE, "eve", EVE, 100, 1.0) is None
    assert made.carry(HANDLE, "ben again", BEN, 100, 1.0) == "ada"
    assert made.carry(HANDLE, "ada", ADA, 100, 1.0) == "ben again"
    assert made.refused == {"the other peer is gone": 1, "not of this pair": 1}


def test_an_account_has_its_share_a_second_and_comes_to_no_more_by_many_pairs() -> None:
    made = table(relayed_bytes_per_s=10_000)
    made.bind(b"87654321", Party(1, ADA, "ada"), Party(3, EVE, "eve"), 0.0)
    through = sum(
        made.carry(handle, "ada", ADA, 1_000, step / 100) is not None
        for step in range(500)
        for handle in (HANDLE, b"87654321")
    )
    assert 59 <= through <= 61, "a burst of a second's worth, and five seconds' worth after it"
    assert made.refused["beyond its share"] == 1_000 - through
    assert made.carry(HANDLE, "ben", BEN, 1_000, 5.0) == "ada", "the other account has a share of its own"


def test_what_comes_together_goes_on_together_as_far_as_there_is_a_share_left() -> None:
    """However large a run is beside what is taken out of the shares at a time."""
    made = table(relayed_bytes_per_s=100_000)
    run = [HANDLE + bytes(1_000)] * 80
    assert made.carry_run(HANDLE, "ada", ADA, run, 0.0) == ("ben", 80)
    assert made.carry_run(HANDLE, "ada", ADA, run, 0.0) == ("ben", 19), "less than one more was left"
    assert (made.datagrams, made.bytes, made.refused) == (99, 99_000, {"beyond its share": 61})
    assert made.carry_run(HANDLE, "ada", ADA, run, 0.5)[1] in (49, 50, 51)
    assert made.carry_run(HANDLE, "eve", EVE, run, 0.0) == (None, 0)
    assert made.refused["not of this pair"] == 80


def test_in_the_long_run_there_is_a_share_of_a_day() -> None:
    made = table(relayed_bytes_per_day=86_400.0)
    through = sum(made.carry(HANDLE, "ada", ADA, 1_000, 0.1 * step) is not None for step in range(1_000))
    assert 80 <= through <= 187


def test_all_accounts_together_have_no_more_than_the_node_gives() -> None:
    made = table(relayed_bytes_per_s_in_all=5_000)
    through = [
        made.carry(HANDLE, session, key, 1_000, 0.0) is not None
        for _ in range(5)
        for session, key in (("ada", ADA), ("ben", BEN))
    ]
    assert sum(through) == 5


def test_pairs_are_bounded_in_all_and_for_each_asker_and_forgotten_when_they_are_silent() -> None:
    made = table(relays=3, relays_per_account=2)
    for number, account in ((1, 1), (2, 1), (3, 7), (4, 8)):
        made.bind(bytes([number]) * 8, Party(account, ADA, "ada"), Party(2, BEN, "ben"), float(number))
    assert made.pairs(4.0) == 3
    assert made.carry(HANDLE, "ada", ADA, 1, 4.0) is None, "the oldest of an account that has its share went"
    assert made.carry(bytes([1]) * 8, "ada", ADA, 1, 4.0) is None, "the oldest of all went"
    assert made.carry(bytes([2]) * 8, "ada", ADA, 1, 100.0) == "ben"
    assert made.pairs(3.0 + IDLE_S) == 2
    assert made.pairs(100.0 + IDLE_S) == 0


@pytest.mark.parametrize("times", [1, 2])
def test_a_pair_that_is_unbound_is_carried_no_more(times: int) -> None:
    made = table(relays_per_account=1)
    for _ in range(times):
        made.unbind(HANDLE)
    assert made.carry(HANDLE, "ada", ADA, 1, 0.0) is None
    made.bind(HANDLE, Party(1, ADA, "ada"), Party(2, BEN, "ben"), 0.0)
    assert made.pairs(0.0) == 1


def test_who_is_refused_for_what_others_send_loses_nothing_of_its_own_share() -> None:
    made = table(relayed_bytes_per_s=40_000, relayed_bytes_per_s_in_all=50_000)
    made.bind(b"87654321", Party(3, EVE, "eve"), Party(2, BEN, "ben"), 0.0)
    while made.carry(b"87654321", "eve", EVE, 1_000, 0.0):
        continue
    while made.carry(HANDLE, "ada", ADA, 1_000, 0.0):
        continue
    for _ in range(100):
        assert made.carry(HANDLE, "ada", ADA, 1_000, 0.0) is None
    through = 0
    while made.carry(HANDLE, "ada", ADA, 1_000, 1.0):
        through += 1
    assert through >= 39, "a second later it has a second's worth again"


def test_sessions_that_come_and_go_leave_nothing_behind() -> None:
    """Strangers may open and end any number of them: one that is of no pair costs nothing to forget."""
    made = table()
    made.closed("a stranger's")
    for number in range(50):
        made.closed("ben" if number == 0 else f"ben {number - 1}")
        assert made.carry(HANDLE, f"ben {number}", BEN, 1, 0.0) == "ada"
    assert set(made._of_session) == {"ada", "ben 49"}
    made.unbind(HANDLE)
    assert not made._of_session
