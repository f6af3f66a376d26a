"""The rule of the ledger, case by case; its invariants are in tests/property/test_ledger_machine.py."""

from dataclasses import replace

import pytest

from shared.config import MAX_VIEWS
from shared.errors import InvalidInput, LocalError, Refused, ViewRefused
from shared.ledger import LedgerState, apply_change, freeze, granted_for_left, left, refusal, spend
from shared.wire.refusals import REFUSAL_TEXTS, VIEW_CODES, RefusalCode

OPEN = LedgerState(granted=3, consumed=1, expires=100.0, version=4)


@pytest.mark.parametrize(
    ("state", "now", "expected"),
    [
        (OPEN, 99.9, None),
        (replace(OPEN, expires=None), 1e10, None),
        (OPEN, 100.0, RefusalCode.EXPIRED),
        (OPEN, 100.1, RefusalCode.EXPIRED),
        (replace(OPEN, consumed=2), 0.0, None),
        (replace(OPEN, consumed=3), 0.0, RefusalCode.NO_VIEWS),
        (replace(OPEN, consumed=4), 0.0, RefusalCode.NO_VIEWS),
        (replace(OPEN, granted=0, consumed=0), 0.0, RefusalCode.NO_VIEWS),
        (replace(OPEN, consumed=3), 100.0, RefusalCode.EXPIRED),
        (replace(OPEN, revoked=True), 0.0, RefusalCode.REVOKED),
        (replace(OPEN, revoked=True, consumed=3), 100.0, RefusalCode.REVOKED),
        (replace(OPEN, frozen=True), 0.0, RefusalCode.FROZEN),
        (replace(OPEN, frozen=True, revoked=True, consumed=3), 100.0, RefusalCode.FROZEN),
    ],
)
def test_why_a_look_is_refused(state: LedgerState, now: float, expected: RefusalCode | None) -> None:
    assert refusal(state, now) is expected
    if expected is None:
        assert spend(state, now) == replace(state, consumed=state.consumed + 1)
    else:
        with pytest.raises(ViewRefused) as caught:
            spend(state, now)
        assert caught.value.code == expected
        assert str(caught.value) == REFUSAL_TEXTS[expected]


def test_looks_are_counted_down_to_zero() -> None:
    state = LedgerState(granted=2)
    assert [left(state), left(spend(state, 0.0)), left(spend(spend(state, 0.0), 0.0))] == [2, 1, 0]


def change(state: LedgerState, **given: object) -> LedgerState:
    values: dict[str, object] = {
        "new_version": state.version + 1,
        "granted": state.granted,
        "expires": state.expires,
        "revoked": state.revoked,
        "expected_version": state.version,
        "expected_consumed": state.consumed,
    }
    return apply_change(state, **(values | given))  # type: ignore[arg-type]


def test_an_owner_raises_lowers_and_ends_rights() -> None:
    assert left(change(OPEN, granted=11)) == 10
    assert left(change(OPEN, granted=2)) == 1
    assert change(OPEN, expires=None).expires is None
    assert refusal(change(OPEN, revoked=True), 0.0) is RefusalCode.REVOKED
    assert change(OPEN, new_version=9).version == 9


def test_lowering_below_what_was_consumed_leaves_zero() -> None:
    state = replace(OPEN, granted=10, consumed=7)
    assert left(change(state, granted=4)) == 0
    assert refusal(change(state, granted=4), 0.0) is RefusalCode.NO_VIEWS


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"expected_version": 3}, RefusalCode.CONFLICT),
        ({"expected_version": 5}, RefusalCode.CONFLICT),
        ({"expected_consumed": 0}, RefusalCode.CONFLICT),
        ({"expected_consumed": 2}, RefusalCode.CONFLICT),
        ({"expected_version": 3, "new_version": 4}, RefusalCode.CONFLICT),
        ({"new_version": 4}, RefusalCode.INVALID),
        ({"new_version": 3}, RefusalCode.INVALID),
        ({"granted": -1}, RefusalCode.INVALID),
        ({"granted": MAX_VIEWS + 1}, RefusalCode.INVALID),
    ],
)
def test_a_change_that_does_not_fit_is_refused(given: dict[str, object], code: RefusalCode) -> None:
    with pytest.raises(Refused) as caught:
        change(OPEN, **given)
    assert caught.value.code == code
    assert not isinstance(caught.value, ViewRefused)


def test_a_revocation_is_final() -> None:
    revoked = change(OPEN, revoked=True)
    with pytest.raises(Refused) as caught:
        change(revoked, revoked=False)
    assert caught.value.code == RefusalCode.REVOKED
    assert change(revoked, granted=0).revoked


def test_an_owners_change_thaws_a_frozen_grant() -> None:
    frozen = freeze(OPEN)
    assert refusal(frozen, 0.0) is RefusalCode.FROZEN
    assert refusal(change(frozen), 0.0) is None


def test_totals_from_what_should_be_left() -> None:
    """The reference's own example: 13 granted, forced to 9 left."""
    assert granted_for_left(0, 9) == 9
    assert granted_for_left(4, 9) == 13
    assert granted_for_left(4, 0) == 4
    assert granted_for_left(MAX_VIEWS - 1, 1) == MAX_VIEWS


@pytest.mark.parametrize(("consumed", "views"), [(0, -1), (0, MAX_VIEWS + 1), (1, MAX_VIEWS), (MAX_VIEWS + 5, 0)])
def test_totals_out_of_range_are_refused(consumed: int, views: int) -> None:
    with pytest.raises(InvalidInput):
        granted_for_left(consumed, views)


@pytest.mark.parametrize("given", [{"granted": -1}, {"granted": 1, "consumed": -1}, {"granted": 1, "version": 0}])
def test_impossible_states_are_a_bug(given: dict[str, int]) -> None:
    with pytest.raises(LocalError):
        LedgerState(**given)  # type: ignore[arg-type]


def test_every_refusal_has_a_sentence() -> None:
    assert set(REFUSAL_TEXTS) == set(RefusalCode)
    for text in REFUSAL_TEXTS.values():
        assert text[0].isupper()
        assert text.endswith(".")
        assert len(text) <= 120
    assert set(RefusalCode) > VIEW_CODES


def test_codes_are_what_travels() -> None:
    """Append-only: peers of another version act on them."""
    assert [str(code) for code in RefusalCode][:18] == [
        "not_found",
        "not_allowed",
        "no_views",
        "expired",
        "revoked",
        "frozen",
        "conflict",
        "busy",
        "id_reused",
        "unknown_account",
        "already_registered",
        "too_large",
        "mailbox_full",
        "invalid",
        "not_ready",
        "no_directory",
        "repeat_over",
        "unsupported",
    ]
