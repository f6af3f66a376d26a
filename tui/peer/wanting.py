"""Copies that this device lacks: the cloud is asked to tell their owners' peers, which send them again.

A grant's stego image is sent once, to the device that is signed in then. Another device of the same account, a profile
that was restored, or one whose file no longer opens gets it by asking.
"""

import logging

import anyio

from shared.errors import GlimpseError, Refused
from shared.wire import operations as ops
from tui.peer.context import Context

log = logging.getLogger(__name__)

GRACE_S = 3.0
"""How long a copy may be on its way by itself after a sign-in before it is asked for."""
AGAIN_S = 600.0
"""When a copy that has not come is asked for again."""


class Wanting:
    """Asks for copies that are missing, as long as the peer is open."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._wanted = anyio.Event()
        self._asked: dict[str, float] = {}
        """When each copy was asked for, by `clock`."""

    def signed_in(self) -> None:
        """This device is the one that others are sent to: what it lacks can come now."""
        self._asked.clear()
        self._wanted.set()

    def lacks(self, grant: str) -> None:
        """The copy of this grant does not open any more."""
        self._asked.pop(grant, None)
        self._wanted.set()

    async def run(self) -> None:
        """Ask whenever something is missing, until cancelled."""
        while True:
            with anyio.move_on_after(AGAIN_S):
                await self._wanted.wait()
            self._wanted = anyio.Event()
            await anyio.sleep(GRACE_S)
            if self._context.signed_in and not self._context.cloud.other_device:
                await self._ask_for_all()

    async def _ask_for_all(self) -> None:
        now = self._context.clock()
        for grant in await self._missing():
            if now - self._asked.get(grant, now - AGAIN_S) < AGAIN_S:
                continue
            try:
                await self._context.cloud.ask(ops.WantCopy(grant=grant), request=self._context.new_id())
            except Refused as refusal:
                log.info("a copy cannot be asked for", extra={"grant": grant, "reason": str(refusal)})
            except GlimpseError as error:
                log.info("copies are asked for later", extra={"reason": str(error)})
                return  # the next sign-in, or the clock, wakes this again
            self._asked[grant] = now

    async def _missing(self) -> list[str]:
        """Return the grants whose stego image is not here although they may still open it."""
        now = self._context.now()
        rows = await self._context.store.run(
            lambda s: s.all(
                "SELECT grant_id FROM held WHERE received = 0 AND revoked = 0 AND (expires IS NULL OR expires > :now)"
                " ORDER BY rowid DESC",
                now=now,
            )
        )
        return [str(row["grant_id"]) for row in rows]
