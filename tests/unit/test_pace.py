"""How fast transfers move, and which of them gives way to others that wait."""

from shared.config import Limits
from shared.net.pace import SLOW_WINDOWS, Holder, Pace, who_gives_way

LIMITS = Limits(slow_transfer_bytes_per_s=1_000.0, least_transfer_bytes_per_s=10.0)
A, B, C = b"a", b"b", b"c"


def held(name: str, peer: bytes, rate_per_s: float | None, *, still_s: float = 0.0) -> Holder[str]:
    return Holder(name, peer, still_s, rate_per_s)


def gives_way(*holders: Holder[str], waiting: bytes = C) -> str | None:
    found = who_gives_way(holders, waiting, patience_s=2.0, limits=LIMITS)
    return None if found is None else found[0]


def test_a_sender_that_says_a_little_now_and_then_is_not_idle_and_too_slow_all_the_same() -> None:
    """One datagram every two seconds kept a transfer alive for ever."""
    pace = Pace(100.0, 0, window_s=5.0)
    for second in range(1, 5 * SLOW_WINDOWS + 1):
        assert not pace.is_too_slow
        pace.note(100.0 + second, second * 9, least_per_s=10.0)
    assert pace.is_too_slow
    assert pace.rate_per_s == 9.0


def test_one_slow_window_is_forgiven() -> None:
    pace = Pace(0.0, 0, window_s=5.0)
    assert pace.rate_per_s is None
    for window in range(1, 20):
        pace.note(5.0 * window, 100 * (window // SLOW_WINDOWS), least_per_s=10.0)
        assert not pace.is_too_slow


def test_who_stands_still_goes_first_then_the_slowest() -> None:
    slow, slower, still = held("slow", A, 900.0), held("slower", B, 100.0), held("still", A, 5_000.0, still_s=2.0)
    assert gives_way(slow, slower, still) == "still"
    assert gives_way(slow, slower) == "slower"
    assert gives_way(held("young", A, None)) is None


def test_who_holds_the_most_gives_way_to_who_has_fewer_by_two() -> None:
    theirs = [held("first", A, 9_000.0), held("second", A, 5_000.0)]
    other = held("other", B, 2_000.0)
    assert gives_way(*theirs, other) == "second"
    assert gives_way(*theirs, other, waiting=A) is None
    assert gives_way(*theirs, other, waiting=B) is None, "one against two is fair enough"
    assert gives_way(held("first", A, 9_000.0), other) is None
