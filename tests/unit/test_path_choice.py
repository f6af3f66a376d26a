"""The choice of paths by itself: what is probed, when, and when a session goes over to another path."""

from itertools import pairwise

from shared.secure.path_choice import (
    CHECK_PAUSE_S,
    HEAD_START_S,
    MAX_DIRECT,
    MAX_RELAYED,
    PROBES_AT_ONCE,
    PROBES_PER_S,
    SEARCH_S,
    STRANDED_S,
    PathChoice,
)
from shared.secure.relayed import relayed_address

RELAY, OTHER_RELAY = (relayed_address(bytes([number]) * 32, bytes(8)) for number in (1, 2))
DIRECT, SECOND = ("203.0.113.1", 5_000), ("192.168.1.2", 5_000)


class Probed:
    """Lets time pass, and notes what was probed."""

    def __init__(self, choice: PathChoice) -> None:
        self.choice = choice
        self.now = 0.0
        self.probes: list[tuple[float, tuple[str, int], int]] = []

    def run(self, until: float) -> list[tuple[str, int]]:
        """Return where probes went until then."""
        before = len(self.probes)
        while (due := self.choice.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            for address in self.choice.take_due(self.now):
                self.probes.append((self.now, address, len(self.probes)))
                self.choice.probed(len(self.probes) - 1, address)
        self.now = until
        return [address for _, address, _ in self.probes[before:]]

    def answer(self, address: tuple[str, int]) -> bool:
        """Answer the last probe that went to an address."""
        number = max(number for _, to, number in self.probes if to == address)
        return self.choice.answered(number, address, self.now)


def relayed(*candidates: tuple[str, int]) -> Probed:
    choice = PathChoice(RELAY, 0.0)
    choice.add(candidates, 0.0)
    return Probed(choice)


def test_all_candidates_are_probed_in_rounds_that_become_slower() -> None:
    at = relayed(DIRECT, SECOND)
    at.run(SEARCH_S)
    times = [when for when, address, _ in at.probes if address == DIRECT]
    assert len(times) == len(at.probes) / 2
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses == sorted(pauses)
    assert times[1] < 0.1


def test_the_first_direct_way_that_answers_is_taken_and_the_search_is_over() -> None:
    at = relayed(DIRECT, SECOND)
    at.run(0.1)
    assert at.answer(SECOND)
    assert (at.choice.current, at.choice.is_direct) == (SECOND, True)
    assert not at.answer(DIRECT), "one as good changes nothing"
    assert at.run(100.0) == []


def test_an_answer_proves_only_the_address_that_was_probed() -> None:
    at = relayed(DIRECT)
    at.run(0.1)
    assert not at.choice.answered(0, SECOND, 0.1)
    assert not at.choice.answered(99, DIRECT, 0.1)
    assert at.choice.current == RELAY


def test_what_one_search_may_send_is_bounded_whatever_is_told_and_heard() -> None:
    at = relayed(*((f"203.0.113.{number}", 5_000) for number in range(100)))
    for step in range(1, 50):
        at.run(SEARCH_S * step / 50)
        at.choice.heard((f"198.51.100.{step}", 7), at.now)
    assert len(at.probes) <= PROBES_AT_ONCE + PROBES_PER_S * SEARCH_S
    assert len({address for _, address, _ in at.probes}) <= MAX_DIRECT


def test_an_address_that_was_heard_is_probed_too() -> None:
    """A translator that lends another port for each target shows it only by what comes from there."""
    at = relayed()
    at.choice.heard(DIRECT, 1.0)
    assert DIRECT in at.run(1.1)
    assert at.answer(DIRECT)


def test_a_direct_way_is_not_left_for_what_comes_late_through_a_node() -> None:
    at = relayed(DIRECT)
    at.run(0.1)
    assert at.answer(DIRECT)
    at.run(1.0)
    at.choice.heard(RELAY, 1.0)
    assert at.run(1.0 + HEAD_START_S / 2) == [DIRECT], "it is only seen whether it still answers"
    assert not at.answer(DIRECT)
    assert at.run(2.0) == []


def test_a_way_that_is_silent_is_left_for_the_first_that_answers_and_the_search_begins_again() -> None:
    at = relayed(DIRECT)
    at.run(0.1)
    assert at.answer(DIRECT)
    at.run(1.0)
    at.choice.doubt(1.0)
    assert set(at.run(1.6)) == {DIRECT, RELAY}
    assert at.answer(RELAY)
    assert at.choice.current == RELAY
    assert set(at.run(2.0)) == {DIRECT}
    assert at.answer(DIRECT)


def test_a_slow_way_that_answers_is_not_left() -> None:
    """The head start follows the round trip."""
    at = relayed(DIRECT)
    at.run(0.1)
    assert at.answer(DIRECT)
    at.run(1.0)
    at.choice.doubt(1.0, rtt_s=0.4)
    assert at.run(1.7) == [DIRECT]
    assert not at.answer(DIRECT)


def test_doubts_come_one_after_the_other() -> None:
    at = relayed(DIRECT)
    at.run(0.1)
    assert at.answer(DIRECT)
    at.run(1.0)
    for step in range(10):
        at.choice.doubt(1.0 + step * CHECK_PAUSE_S / 20)
        assert len(at.run(1.0 + (step + 1) * CHECK_PAUSE_S / 20)) <= 1
        if step == 0:
            at.answer(DIRECT)
    assert [address for when, address, _ in at.probes if when >= 1.0] == [DIRECT]


def test_where_nothing_answers_the_owner_is_told_and_another_way_is_tried_at_once() -> None:
    at = relayed()
    at.choice.doubt(1.0)
    at.run(1.0 + HEAD_START_S / 2)
    assert not at.choice.take_stranded()
    at.run(1.0 + HEAD_START_S + 0.01)
    assert at.choice.take_stranded()
    assert not at.choice.take_stranded()
    at.choice.add([OTHER_RELAY], at.now)
    assert OTHER_RELAY in at.run(at.now + 0.02)
    assert at.answer(OTHER_RELAY)


def test_a_second_way_through_a_node_is_tried_before_the_owner_is_asked() -> None:
    at = relayed()
    at.choice.add([OTHER_RELAY], 0.0)
    at.run(1.0)
    at.choice.doubt(1.0)
    assert OTHER_RELAY in at.run(1.0 + HEAD_START_S + STRANDED_S / 2)
    assert not at.choice.take_stranded()
    at.run(1.0 + HEAD_START_S + STRANDED_S + 0.01)
    assert at.choice.take_stranded()


def test_the_end_of_the_session_with_a_node_is_the_end_of_the_way_through_it() -> None:
    at = relayed()
    at.choice.add([OTHER_RELAY], 0.0)
    at.run(1.0)
    at.choice.lost(RELAY, 1.0)
    assert at.run(1.04) == [OTHER_RELAY]
    assert at.answer(OTHER_RELAY)
    at.choice.lost(OTHER_RELAY, 2.0)
    at.run(2.1)
    assert at.choice.take_stranded()


def test_peer_paths_through_nodes_are_bounded_and_the_newest_stay() -> None:
    at = relayed()
    paths = [relayed_address(bytes([number]) * 32, bytes(8)) for number in range(3, 13)]
    at.choice.add(paths, 0.0)
    at.choice.doubt(0.0)
    assert set(at.run(1.0)) == {RELAY, *paths[-(MAX_RELAYED - 1) :]}
