"""A node's process whose loop of requests can be held up: python -m tests.integration.held_node node --cluster FILE ...

SIGUSR1 keeps the main thread, and so the loop, from everything else for three times the lease in heartbeats that the
node has sent meanwhile, or until it leads no more. SIGUSR2 keeps it for good.
"""

import signal
import time
from typing import Any

from node.control import Control
from node.roles import Role
from shared.config import LOCAL
from tui.cli import main

HELD_HEARTBEATS = round(3 * LOCAL.lease_s / LOCAL.heartbeat_s)
_held: list[Control] = []


def hold_up(*_: object) -> None:
    """Hold the loop while the lane sends heartbeats."""
    election = _held[0].election
    first = election._leadership.sequence
    while election.role is Role.LEADER and election._leadership.sequence < first + HELD_HEARTBEATS:
        time.sleep(0.01)


def hang(*_: object) -> None:
    """Hold the loop for ever, computing."""
    while True:
        sum(range(1_000))


def _watch() -> None:
    """Note the control plane of the node that is about to be made in this process."""
    make = Control.__init__

    def noted(self: Control, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        _held.append(self)

    Control.__init__ = noted  # type: ignore[method-assign]


if __name__ == "__main__":
    _watch()
    signal.signal(signal.SIGUSR1, hold_up)
    signal.signal(signal.SIGUSR2, hang)
    main()
