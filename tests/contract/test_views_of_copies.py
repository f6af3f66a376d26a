"""Copies of a profile, lost answers, repeats and an owner's changes, in any order, on both directories.

Whatever happens, no more pictures are shown than views were counted, and none is shown twice.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.errors import Refused, ViewRefused
from shared.records import decode_record, encode_record
from shared.rights import change_rights
from shared.wire import operations as ops
from tests.contract.people import Look, Person, Town, new_id, town

COPIES = 2
ENDS = ("no_views", "revoked", "repeat_over")
LOST = st.sampled_from([False, False, True])


class World:
    """A town that the machines of all examples share, and the loop that it lives in."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.town: Town = self.run(self._stack.enter_async_context(town(url)))
        self.ann: Person = self.run(self.town.person("Ann"))
        self.bob: Person = self.run(self.town.person("Bob"))

    def run(self, call: Any) -> Any:
        return self._runner.run(call)

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._runner.close()


class Copies(RuleBasedStateMachine):
    """`disk` is what all copies of the viewer's profile hold: the look that was begun. The rest is a copy's own."""

    world: World
    grant: str
    granted: int
    revoked = False

    def __init__(self) -> None:
        super().__init__()
        self.disk: Look | None = None
        self.answered: dict[int, str] = {}
        """By copy: the view id of the answer that it holds."""
        self.taking: dict[int, tuple[str, str]] = {}
        """By copy: the view that it takes, and the request id that it drew for that."""
        self.shown: list[str] = []

    @initialize(views=st.integers(1, 3))
    def give(self, views: int) -> None:
        ann, bob = self.world.ann, self.world.bob

        async def made() -> str:
            return (await ann.give(bob, await ann.image(), views)).operation.grant

        self.grant, self.granted = self.world.run(made()), views

    @precondition(lambda self: self.disk is None)
    @rule()
    def begin_a_look(self) -> None:
        self.disk = self.world.bob.look(self.grant)

    @precondition(lambda self: self.disk is not None)
    @rule(copy=st.integers(0, COPIES - 1), lost=LOST)
    def spend(self, copy: int, lost: bool) -> None:
        assert self.disk is not None
        try:
            spent = self.world.run(self.world.bob.spend(self.disk))
        except ViewRefused as refusal:
            self._ends(refusal)
            return
        if not lost:
            self.answered[copy] = spent.view

    @rule(copy=st.integers(0, COPIES - 1), lost=LOST)
    def take(self, copy: int, lost: bool) -> None:
        """Say TAKEN for the answer that the copy holds: under the same id until that is answered."""
        view = self.answered.get(copy)
        if view is None:
            return
        if self.taking.get(copy, ("", ""))[0] != view:
            self.taking[copy] = view, new_id()
        try:
            self.world.run(self.world.bob.ask(ops.TakenView(view=view), self.taking[copy][1]))
        except ViewRefused as refusal:
            self._ends(refusal)
            if not lost:
                del self.answered[copy], self.taking[copy]
            return
        if not lost:
            self.shown.append(view)
            del self.answered[copy], self.taking[copy]
            self.disk = None

    def _ends(self, refusal: ViewRefused) -> None:
        if refusal.code not in ENDS:
            raise AssertionError(f"refused with {refusal.code}") from refusal
        self.disk = None

    @precondition(lambda self: not self.revoked)
    @rule(views=st.integers(0, 4), revoked=st.sampled_from([False] * 7 + [True]))
    def owner_changes(self, views: int, revoked: bool) -> None:
        ann = self.world.ann
        row = self.world.run(ann.get(ops.GetGrant(grant=self.grant))).grant
        granted = row.consumed + views
        record = change_rights(ann.identity, decode_record(row.record), granted=granted, revoked=revoked)
        operation = ops.ChangeRights(
            grant=self.grant, record=encode_record(record), met_version=row.version, met_consumed=row.consumed
        )
        self.world.run(ann.ask(operation))
        self.granted, self.revoked = granted, revoked

    @rule(copy=st.integers(0, 4 * COPIES))
    def a_copy_is_made_anew(self, copy: int) -> None:
        """The profile is copied over another one: what that had in memory is gone."""
        self.answered.pop(copy, None)
        self.taking.pop(copy, None)

    @rule()
    def nodes_forget_requests(self) -> None:
        self.world.run(self.world.town.forget_requests())

    @invariant()
    def no_picture_without_its_view(self) -> None:
        if not hasattr(self, "grant"):
            return
        try:
            row = self.world.run(self.world.bob.get(ops.GetGrant(grant=self.grant))).grant
        except Refused as refusal:
            raise AssertionError(f"the grant is gone: {refusal}") from None
        assert len(self.shown) == len(set(self.shown)), "one counted view was shown twice"
        assert len(self.shown) <= row.consumed


def test_no_order_of_copies_and_lost_answers_shows_more_than_was_counted(directory_url: str) -> None:
    """With an idempotent TAKEN every copy that held the answer showed the picture."""
    world = World(directory_url)
    machine = type("CopiesHere", (Copies,), {"world": world})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=40,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
    finally:
        world.close()
