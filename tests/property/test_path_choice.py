"""Whatever comes in whatever order: the choice of paths never spins, never floods, and keeps to one that it knows."""

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.secure.path_choice import MAX_DIRECT, MAX_RELAYED, PACE_S, PROBES_AT_ONCE, PROBES_PER_S, PathChoice
from shared.secure.relayed import relayed_address

RELAYS = [relayed_address(bytes([number]) * 32, bytes(8)) for number in range(8)]
DIRECT = [(f"203.0.113.{number}", 5_000) for number in range(40)]
ADDRESS = st.sampled_from(RELAYS + DIRECT)
STEP = st.tuples(
    st.sampled_from(["add", "heard", "doubt", "lost", "answer", "forged", "wait"]),
    ADDRESS,
    st.floats(0.0, 3.0, allow_nan=False),
)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from([RELAYS[0], DIRECT[0]]), st.lists(STEP, max_size=60))
def test_any_course_is_bounded(begins_at: tuple[str, int], steps: list[tuple[str, tuple[str, int], float]]) -> None:
    choice, now, number = PathChoice(begins_at, 0.0), 0.0, 0
    sent: dict[int, tuple[str, int]] = {}
    times: list[float] = []

    def due() -> None:
        nonlocal number
        for address in choice.take_due(now):
            number += 1
            sent[number] = address
            times.append(now)
            choice.probed(number, address)
        assert (choice.next_deadline() or now + 1) > now, "it would be asked again at once, for ever"

    for what, address, pause_s in steps:
        before = choice.current
        match what:
            case "add":
                choice.add([address], now)
            case "heard":
                choice.heard(address, now)
            case "doubt":
                choice.doubt(now, rtt_s=pause_s)
            case "lost":
                choice.lost(address, now)
            case "answer" if sent:
                asked = max(sent)
                moved = choice.answered(asked, sent.pop(asked), now)
                assert moved == (choice.current != before)
            case "forged" if sent:
                assert not choice.answered(max(sent), ("198.51.100.1", 1), now)
        due()
        until = now + pause_s
        while (deadline := choice.next_deadline()) is not None and deadline <= until:
            now = max(now, deadline)
            due()
        now = until
        assert len(choice._direct) <= MAX_DIRECT + 1
        assert len(choice._relayed) <= MAX_RELAYED + 1
        choice.take_stranded()
    busiest = max((sum(1 for one in times if at <= one < at + 0.05) for at in times), default=0)
    assert busiest <= 0.05 / PACE_S + 2
    assert len(times) <= PROBES_AT_ONCE + PROBES_PER_S * now + 1
