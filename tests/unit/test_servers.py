"""Which of several servers of a database a node uses."""

from node.directory.servers import CHECKS_UNTIL_BACK, MAX_PAUSE_S, PAUSE_S, ServerChoice, in_order
from node.directory.url import Server

A, B, C = (Server(name, 3306) for name in "abc")


def test_nodes_prefer_servers_as_listed_or_begin_at_different_ones() -> None:
    assert in_order([A, B, C], "listed", "n2") == (A, B, C)
    spread = {in_order([A, B, C], "spread", f"n{number}") for number in range(1, 4)}
    assert spread == {(A, B, C), (B, C, A), (C, A, B)}


def test_a_server_that_fails_is_left_for_the_next_that_has_not() -> None:
    choice = ServerChoice([A, B, C])
    choice.failed(A, 0.0)
    assert choice.current == B
    choice.failed(A, 0.0)  # another connection to it says so as well
    assert choice.current == B
    choice.failed(B, 0.1)
    assert choice.current == C
    choice.failed(C, 0.2)
    assert choice.current == B  # the one whose pause ends first: A failed twice
    choice.failed(B, PAUSE_S * 50)
    assert choice.current == C


def test_one_server_is_kept_whatever_it_does() -> None:
    choice = ServerChoice([A])
    for at in range(10):
        choice.failed(A, float(at))
    assert (choice.current, choice.preferred) == (A, None)


def test_pauses_grow_until_the_server_serves() -> None:
    choice = ServerChoice([A, B])
    for _ in range(10):
        choice.failed(A, 0.0)
    choice.failed(B, MAX_PAUSE_S - 1)
    assert choice.current == A  # its pause ends sooner than that of B, which begins now
    choice.served(A)
    choice.failed(A, 100.0)
    choice.failed(B, 100.1)
    assert choice.current == A


def test_the_preferred_server_is_used_again_once_it_has_been_well_for_a_while() -> None:
    choice = ServerChoice([A, B])
    assert choice.preferred is None
    choice.failed(A, 0.0)
    assert choice.preferred == A
    for _ in range(CHECKS_UNTIL_BACK - 1):
        choice.checked(A, well=True)
    choice.checked(A, well=False)
    for _ in range(CHECKS_UNTIL_BACK - 1):
        choice.checked(A, well=True)
    assert choice.current == B
    choice.checked(B, well=True)  # says nothing of the preferred one
    choice.checked(A, well=True)
    assert (choice.current, choice.preferred) == (A, None)
