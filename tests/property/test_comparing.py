"""An owner's peer and a directory put back to any moment: whatever the histories, nothing that was known is lost."""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tui.peer.comparing import GrantAction, GrantSide, GrantStep, steps_for

sides = st.builds(
    GrantSide,
    grant=st.sampled_from(["a" * 32, "c" * 32, "d" * 32]),
    image=st.just("b" * 32),
    viewer=st.sampled_from([7, 8]),
    record=st.sampled_from([b"one", b"two"]),
    version=st.integers(1, 4),
    consumed=st.integers(0, 4),
    revoked=st.booleans(),
    frozen=st.booleans(),
    remakeable=st.booleans(),
)


def by_grant(rows: list[GrantSide]) -> dict[str, GrantSide]:
    return {row.grant: row for row in rows}


def carried_out(step: GrantStep) -> GrantSide | None:
    """Do as the directory does with what a step sends: the higher version and the higher count hold."""
    known, found = step.known, step.found
    if step.action is GrantAction.REVOKE:
        assert known is not None
        assert found is not None
        return replace(found, revoked=True, version=found.version + 1, frozen=False)
    if step.action in (GrantAction.CONFIRM, GrantAction.REMAKE):
        assert known is not None
        best = known if found is None or known.version > found.version else found
        count = max(known.consumed, 0 if found is None else found.consumed)
        return replace(best, consumed=count, frozen=False, remakeable=False)
    return found


@given(st.lists(sides, max_size=3), st.lists(sides, max_size=3))
def test_nothing_known_is_lowered_and_the_second_comparison_finds_nothing(
    mine: list[GrantSide], theirs: list[GrantSide]
) -> None:
    known = {grant: replace(row, frozen=False) for grant, row in by_grant(mine).items()}
    found = by_grant(theirs)
    for _ in range(3):
        steps = steps_for(known.values(), found.values())
        for step in steps:
            after = carried_out(step)
            if after is None:
                continue
            found[step.grant] = after
            if step.action not in (GrantAction.UNKNOWN, GrantAction.NOTHING):
                held = known.get(step.grant, after)
                known[step.grant] = replace(
                    after,
                    consumed=max(after.consumed, held.consumed),
                    revoked=after.revoked or held.revoked,
                    remakeable=held.remakeable,
                )
    open_actions = {step.action for step in steps_for(known.values(), found.values())}
    assert open_actions <= {GrantAction.NOTHING, GrantAction.UNKNOWN, GrantAction.LOST}
    for grant, row in by_grant(mine).items():
        if (there := found.get(grant)) is not None:
            assert there.version >= row.version
            assert there.consumed >= row.consumed
            assert there.revoked or not row.revoked
            assert there.revoked or not there.frozen


@dataclass
class Cloud:
    grants: dict[str, GrantSide] = field(default_factory=dict)

    def copy(self) -> "Cloud":
        return Cloud(dict(self.grants))


class RestoredDirectory(RuleBasedStateMachine):
    """An owner with one device, who hears of every change and, sooner or later, of every view."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud = Cloud()
        self.backup = Cloud()
        self.owner: dict[str, GrantSide] = {}
        self.number = 0
        self.true: dict[str, GrantSide] = {}
        """What was acknowledged, whatever was restored since."""

    def _set(self, row: GrantSide) -> None:
        self.cloud.grants[row.grant] = row
        self.owner[row.grant] = replace(row, remakeable=True)
        self.true[row.grant] = row

    @rule(viewer=st.sampled_from([7, 8]))
    @precondition(lambda self: not self.restored)
    def give(self, viewer: int) -> None:
        if any(row.viewer == viewer and not row.revoked for row in self.cloud.grants.values()):
            return
        self.number += 1
        self._set(GrantSide(f"{self.number:032x}", "b" * 32, viewer, b"1", 1, 0, revoked=False))

    @rule(revoke=st.booleans(), pick=st.integers(0, 9))
    @precondition(lambda self: self.cloud.grants and not self.restored)
    def change(self, revoke: bool, pick: int) -> None:
        row = sorted(self.cloud.grants.values(), key=lambda side: side.grant)[pick % len(self.cloud.grants)]
        if not row.revoked:
            version = row.version + 1
            self._set(replace(row, version=version, record=str(version).encode(), revoked=revoke))

    @rule(pick=st.integers(0, 9))
    @precondition(lambda self: self.cloud.grants)
    def look(self, pick: int) -> None:
        row = sorted(self.cloud.grants.values(), key=lambda side: side.grant)[pick % len(self.cloud.grants)]
        if row.frozen or row.revoked:
            return
        seen = replace(row, consumed=row.consumed + 1)
        self.cloud.grants[row.grant] = seen
        held = self.owner[row.grant]
        self.owner[row.grant] = replace(held, consumed=max(held.consumed, seen.consumed))
        self.true[row.grant] = replace(self.true[row.grant], consumed=self.true[row.grant].consumed + 1)

    @rule()
    def back_up(self) -> None:
        self.backup = self.cloud.copy()

    @rule()
    def restore(self) -> None:
        self.cloud = Cloud({grant: replace(row, frozen=True) for grant, row in self.backup.grants.items()})

    @property
    def restored(self) -> bool:
        """Changes of rights wait until what was restored is compared."""
        return (
            any(row.frozen and not row.revoked for row in self.cloud.grants.values())
            or self.owner.keys() != self.cloud.grants.keys()
        )

    @rule(how_many=st.integers(0, 4))
    def compare(self, how_many: int) -> None:
        """Carry out some of the steps: an interruption after any of them is nothing special."""
        steps = [
            step
            for step in steps_for(self.owner.values(), self.cloud.grants.values())
            if step.action in (GrantAction.CONFIRM, GrantAction.REMAKE, GrantAction.REVOKE)
        ]
        for step in steps[:how_many]:
            after = carried_out(step)
            assert after is not None
            others = self.cloud.grants.values()
            assert after.revoked or not any(
                row.viewer == after.viewer and not row.revoked and row.grant != after.grant for row in others
            ), "two live grants for one image and viewer"
            self.cloud.grants[step.grant] = after
            held = self.owner[step.grant]
            self.owner[step.grant] = replace(held, consumed=max(held.consumed, after.consumed))

    @invariant()
    def no_look_is_won(self) -> None:
        """What can be looked at is what the owner gave last, with all looks counted that were ever had."""
        for grant, row in self.cloud.grants.items():
            if not row.frozen and not row.revoked:
                assert row.consumed == self.true[grant].consumed
                assert (row.version, row.revoked) == (self.true[grant].version, self.true[grant].revoked)

    def teardown(self) -> None:
        for _ in range(3):
            self.compare(99)
        assert {grant: replace(row, frozen=False) for grant, row in self.cloud.grants.items()} == self.true


TestRestoredDirectory = RestoredDirectory.TestCase
TestRestoredDirectory.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
