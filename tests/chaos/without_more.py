"""The negative control of an owner's peer: old behaviour put back, in this process only."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace

from tui.peer import granting
from tui.peer.store import OutboxRow

Delivery = Callable[[granting.Granting, OutboxRow, float], Awaitable[object]]


def more() -> None:
    """Forget at each new attempt what was signed for a change, and sign it anew against the rights as they stand.

    As another wish: by the id of one the directory knows by itself that it was done before.
    """
    for name in ("_give", "_change"):
        delivery: Delivery = getattr(granting.Granting, name)
        setattr(granting.Granting, name, _forgetful(delivery))


def _forgetful(delivery: Delivery) -> Delivery:
    async def deliver(self: granting.Granting, row: OutboxRow, wait_s: float) -> object:
        return await delivery(self, replace(row, signed=None, request=os.urandom(16).hex()), wait_s)

    return deliver
