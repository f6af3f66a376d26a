"""The ledger under any order of looks, changes, restores and time: no view beyond what is granted, nothing undone."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.config import MAX_VIEWS
from shared.errors import Refused, ViewRefused
from shared.ledger import LedgerState, apply_change, freeze, granted_for_left, left, refusal, spend
from shared.wire.refusals import RefusalCode

VIEWS = st.integers(0, 6)
TIMES = st.none() | st.floats(1, 100)


class Ledger(RuleBasedStateMachine):
    """A model beside the ledger counts the looks that were allowed, and remembers what can never come back."""

    state: LedgerState
    now = 0.0
    looks = 0
    highest_version = 1
    ever_revoked = False
    seen: tuple[int, int]
    """(version, consumed) as an owner saw them some time ago."""

    @initialize(granted=VIEWS, expires=TIMES)
    def give(self, granted: int, expires: float | None) -> None:
        self.state = LedgerState(granted, expires=expires)
        self.seen = (1, 0)

    @rule()
    def look(self) -> None:
        before, over = self.state, self.state.expires is not None and self.state.expires <= self.now
        if before.frozen or self.ever_revoked or over or self.looks >= before.granted:
            with pytest.raises(ViewRefused) as caught:
                spend(before, self.now)
            assert caught.value.code == refusal(before, self.now)
            return
        assert refusal(before, self.now) is None
        self.state = spend(before, self.now)
        self.looks += 1
        assert self.state.consumed <= self.state.granted
        assert left(self.state) == left(before) - 1

    @rule()
    def owner_reads(self) -> None:
        self.seen = (self.state.version, self.state.consumed)

    @rule(granted=VIEWS, expires=TIMES, revoked=st.sampled_from([False, False, False, True]), step=st.integers(-1, 2))
    def owner_changes(self, granted: int, expires: float | None, revoked: bool, step: int) -> None:
        before, version = self.state, self.seen[0] + step
        code = None
        if self.seen != (self.highest_version, self.looks):
            code = RefusalCode.CONFLICT
        elif version <= self.highest_version:
            code = RefusalCode.INVALID
        elif self.ever_revoked and not revoked:
            code = RefusalCode.REVOKED
        if code is not None:
            with pytest.raises(Refused) as caught:
                apply_change(before, version, granted, expires, revoked, *self.seen)
            assert caught.value.code == code
            return
        self.state = apply_change(before, version, granted, expires, revoked, *self.seen)
        self.highest_version = version
        self.ever_revoked |= revoked
        assert left(self.state) == max(0, granted - self.looks)
        assert not self.state.frozen

    @rule(views=VIEWS)
    def owner_sets_views_left(self, views: int) -> None:
        total = granted_for_left(self.state.consumed, views)
        seen = (self.state.version, self.state.consumed)
        self.state = apply_change(
            self.state, self.state.version + 1, total, self.state.expires, self.state.revoked, *seen
        )
        self.highest_version = self.state.version
        assert left(self.state) == views

    @precondition(lambda self: not self.state.frozen)
    @rule()
    def directory_is_restored(self) -> None:
        self.state = freeze(self.state)

    @rule(seconds=st.floats(0, 40))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def counts_hold(self) -> None:
        assert left(self.state) >= 0
        assert self.state.consumed == self.looks
        assert self.state.version == self.highest_version
        assert self.state.revoked == self.ever_revoked
        assert 0 <= self.state.granted <= MAX_VIEWS


Ledger.TestCase.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLedger = Ledger.TestCase
