"""What a node tells the supervisor that started it: sd_notify(3) of systemd. Nothing where there is none.

`READY=1` once it serves, so that what needs it is started then; `STOPPING=1` when it begins to drain; and where the
supervisor asks for it, `WATCHDOG=1` again and again from the event loop of requests: a node whose loop hangs is ended
and started anew.
"""

import logging
import os
import socket
from collections.abc import Mapping

import anyio

log = logging.getLogger(__name__)

READY = "READY=1"
STOPPING = "STOPPING=1"
WATCHDOG = "WATCHDOG=1"


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell the supervisor a state. One that cannot be reached does no harm."""
    path = environment.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path  # Linux writes names without a file so
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.setblocking(False)
            supervisor.sendto(state.encode(), address)
    except OSError as error:
        log.debug("the supervisor was not told", extra={"state": state, "reason": str(error)})


def watchdog_s(environment: Mapping[str, str] = os.environ) -> float | None:
    """Return within how many seconds this process has to give a sign of life, None where nobody waits for one."""
    try:
        within_s = int(environment["WATCHDOG_USEC"]) / 1e6
        meant = int(environment.get("WATCHDOG_PID", os.getpid()))
    except (KeyError, ValueError):
        return None
    return within_s if within_s > 0 and meant == os.getpid() else None


async def keep_watchdog() -> None:
    """Give signs of life twice as often as is asked for, until cancelled; return at once where nobody asks."""
    within_s = watchdog_s()
    while within_s is not None:
        notify(WATCHDOG)
        await anyio.sleep(within_s / 2)
