"""Rights under any order of changes, lost answers, crashes, a second device and views: each wish is done once.

A real SQLite directory with the real services, and the real store, outbox and granting of two devices of one owner. The
cloud between them loses requests and answers and kills a device in the middle of a delivery.
"""

import itertools
from contextlib import ExitStack
from unittest import mock

import anyio.from_thread
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.errors import ViewRefused
from shared.wire import operations as ops
from tests.contract.devices import Device
from tests.contract.people import Person, Town, town
from tests.scratch import memory_folder
from tui.peer import outbox as outbox_module
from tui.peer.events import Delivered, Undeliverable
from tui.peer.granting import RightsIntent

DEVICES = st.integers(0, 1)
MORE = st.integers(1, 5)
FATES = st.lists(
    st.sampled_from(["", "", "lost request", "lost answer", "crash before", "crash after"]), min_size=1, max_size=4
)
_numbers = itertools.count(1)


class Rights(RuleBasedStateMachine):
    """A model beside the directory counts what was wished and what was looked at."""

    place: Town
    ann: Person
    bob: Person
    image: str

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(mock.patch.object(outbox_module, "FIRST_TRY_S", 0.0))
        self.folder = self.stack.enter_context(memory_folder())
        self.portal = self.stack.enter_context(anyio.from_thread.start_blocking_portal())
        self.devices: list[Device] = []
        self.wished = self.looks = self.wishes = 0
        self.left_was_set = False
        """Then the sum depends on the order in which the two devices' wishes arrived."""

    @initialize(views=MORE)
    def give(self, views: int) -> None:
        url = f"sqlite:///{self.folder / 'directory.sqlite'}"
        self.place = self.stack.enter_context(self.portal.wrap_async_context_manager(town(url)))
        self.portal.call(self._settle_in, views)

    async def _settle_in(self, views: int) -> None:
        self.ann, self.bob = await self.place.person("Ann"), await self.place.person("Bob")
        self.image = await self.ann.image()
        for name in ("one", "two"):
            device = Device(self.ann, self.folder / name)
            device.start()
            await device.own(self.image)
            self.devices.append(device)
        await self._give(self.devices[0], views)

    async def _give(self, device: Device, views: int) -> None:
        self.wished += views
        self.wishes += 1
        assert self.bob.account is not None
        await device.granting.give(self.image, self.bob.account, views, None, None)

    async def _change(self, device: Device, **wish: object) -> None:
        self.wishes += 1
        await device.granting.change(RightsIntent(self.image, self.bob.account, **wish))  # type: ignore[arg-type]

    # --- What may happen ---------------------------------------------------------------------------------------------
    @rule(number=DEVICES, views=MORE)
    def give_more(self, number: int, views: int) -> None:
        self.portal.call(self._give, self.devices[number], views)

    @rule(number=DEVICES, expires=st.integers(2_000_000_000, 2_000_001_000))
    def change_the_expiry(self, number: int, expires: int) -> None:
        self.portal.call(lambda: self._change(self.devices[number], expires=float(expires), set_expires=True))

    @precondition(lambda self: self._standing() is not None)
    @rule(number=DEVICES, left=st.integers(0, 6))
    def set_left(self, number: int, left: int) -> None:
        self.left_was_set = True
        self.portal.call(lambda: self._change(self.devices[number], left=left))

    @rule(number=DEVICES, fates=FATES)
    def deliver(self, number: int, fates: list[str]) -> None:
        self.devices[number].link.fates = list(fates)
        self.portal.call(self.devices[number].turn)

    @rule(number=DEVICES)
    def restart(self, number: int) -> None:
        self.devices[number].stop()
        self.devices[number].start()

    @rule()
    def look(self) -> None:
        standing = self._standing()
        if standing is None:
            return
        try:
            self.portal.call(self.bob.spend, self.bob.look(standing.grant))
        except ViewRefused:
            assert standing.consumed >= standing.granted
            return
        self.looks += 1

    # --- What must hold ----------------------------------------------------------------------------------------------
    def _standing(self) -> ops.GrantRow | None:
        rows = self.portal.call(self.ann.get, ops.ListGrants(image=self.image)).rows
        assert len(rows) <= 1
        return rows[0] if rows else None

    @invariant()
    def no_view_is_won(self) -> None:
        if self.devices and (standing := self._standing()) is not None and not self.left_was_set:
            assert standing.granted <= self.wished
            assert standing.consumed == self.looks

    def teardown(self) -> None:
        try:
            if self.devices:
                self._all_is_done_once()
                self._a_revocation_ends_it()
        finally:
            for device in self.devices:
                device.stop()
            self.stack.close()

    def _all_is_done_once(self) -> None:
        # A change that was wished before any grant stands is refused: there is nothing that it could change.
        self.portal.call(self._deliver_all)
        standing = self._standing()
        assert standing is not None
        ended = [event for device in self.devices for event in device.hub.said]
        refused = [event for event in ended if isinstance(event, Undeliverable)]
        assert all("no rights" in event.reason and event.what == "rights" for event in refused)
        done = [event.request_id for event in ended if isinstance(event, Delivered)]
        assert len(done) == len(set(done))
        assert len(done) + len(refused) == self.wishes
        changes = self.portal.call(lambda: self.place.number("SELECT COUNT(*) FROM grant_changes"))
        assert changes == len(done)
        assert standing.consumed == self.looks
        if not self.left_was_set:
            assert standing.granted == self.wished

    def _a_revocation_ends_it(self) -> None:
        async def end() -> None:
            device = self.devices[0]
            device.link.fates = ["lost answer", "crash after"]
            await self._give(device, 1)
            await device.turn()
            await self._change(device, revoke=True)
            await self._deliver_all()

        self.portal.call(end)
        standing = self._standing()
        assert standing is not None
        assert standing.revoked

    async def _deliver_all(self) -> None:
        for device in self.devices:
            await device.deliver_all()


Rights.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
TestRights = pytest.mark.timeout(900)(Rights.TestCase)
