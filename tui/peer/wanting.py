"""Copies that this device lacks: taken from the cloud where it holds them, asked for at their owners else.

A copy is asked for again after a pause that doubles, since a wish can be lost: with the mail of a directory that was
restored, or at an owner's device that is ended at the wrong moment.
"""

import logging
import math
from typing import Final

import anyio

from shared.errors import GlimpseError, Refused
from shared.wire import operations as ops
from tui.peer.context import Context
from tui.peer.copies import Copies
from tui.peer.retries import Retries

log = logging.getLogger(__name__)

GRACE_S: Final = 3.0
"""How long a copy may be on its way by itself after a sign-in before it is asked for."""
_ASK_AGAIN_S: Final = 60.0
"""When a copy that has not come is asked for again, the first time."""
_LONGEST_PAUSE_S: Final = 600.0


class Wanting:
    """Gets copies that are missing, as long as the peer is open: from the cloud, or by asking their owners."""

    def __init__(self, context: Context, copies: Copies) -> None:
        self._context = context
        self._copies = copies
        self._wanted = anyio.Event()
        self._held: set[str] = set()
        """Grants whose copies the cloud has said that it holds."""
        self._asked: Retries[str] = Retries(_ASK_AGAIN_S, _LONGEST_PAUSE_S)
        """When each copy may be asked for again, by grant."""

    def ask_anew(self) -> None:
        """This device has become the one that others are sent to, or the cloud may have forgotten what was wanted."""
        self._asked.forget_all()
        self._wanted.set()

    def lacks(self, grant: str) -> None:
        """The copy of this grant does not open any more."""
        self._asked.forget(grant)
        self._wanted.set()

    def waits(self, grant: str) -> None:
        """The cloud holds the copy of this grant."""
        self._held.add(grant)
        self.lacks(grant)

    async def run(self) -> None:
        """Ask whenever something is missing, until cancelled."""
        while True:
            with anyio.move_on_after(self._pause_s()):
                await self._wanted.wait()
            self._wanted = anyio.Event()
            if not self._held:
                await anyio.sleep(GRACE_S)
            if self._is_present:
                try:
                    await self._take_held()
                    await self._ask_for_all()
                except GlimpseError as error:
                    log.info("copies are asked for later", extra={"reason": str(error)})

    @property
    def _is_present(self) -> bool:
        """Whether this device is the one that others are sent to."""
        return self._context.signed_in and not self._context.cloud.other_device

    def _pause_s(self) -> float:
        """Return after how long to look again, though nobody says that something is missing."""
        if not self._is_present:
            return math.inf
        due_s = self._asked.next() - self._context.clock()
        return min(max(due_s, 0.0), _ASK_AGAIN_S if self._held else math.inf)

    async def _take_held(self) -> None:
        """Take what the cloud holds. What is just coming from elsewhere is looked at again later."""
        for grant in list(self._held):
            if not self._copies.is_coming(grant):
                await self._copies.fetch(grant, waits=True)
                self._held.discard(grant)

    async def _ask_for_all(self) -> None:
        now, missing = self._context.clock(), await self._missing()
        self._asked.keep(missing)
        for grant in missing:
            if self._asked.due_at(grant) > now:
                continue
            self._asked.failed(grant, now)  # until it is here
            try:
                if not await self._copies.fetch(grant):
                    await self._context.cloud.ask(ops.WantCopy(grant=grant), request=self._context.new_id())
            except Refused as refusal:
                log.info("a copy cannot be asked for", extra={"grant": grant, "reason": str(refusal)})

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
