"""One person of the scripted demo: a `Peer` in a process of its own, told what to do over standard input.

One JSON line per call, one per answer. A picture that was viewed never leaves the process: its hash does.
"""

import hashlib
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from shared.errors import GlimpseError, Refused
from tui.peer import Peer
from tui.peer.models import View


class Call(msgspec.Struct, frozen=True):
    """Call a method of the peer."""

    method: str
    arguments: list[Any] = []
    options: dict[str, Any] = {}


class Reply(msgspec.Struct, frozen=True):
    """What the method returned, or the type, code and text of what it raised."""

    result: Any = None
    error: str = ""
    code: str = ""
    text: str = ""


async def serve(profile: str, cluster: str) -> None:
    """Carry out calls until standard input ends or `quit` is called."""
    async with Peer(Path(profile), Path(cluster)) as peer:
        while line := await anyio.to_thread.run_sync(sys.stdin.buffer.readline, abandon_on_cancel=True):
            call = msgspec.json.decode(line, type=Call)
            if call.method == "quit":
                return
            reply = await _carry_out(peer, call)
            sys.stdout.buffer.write(msgspec.json.encode(reply) + b"\n")
            sys.stdout.buffer.flush()


async def _carry_out(peer: Peer, call: Call) -> Reply:
    try:
        result = await getattr(peer, call.method)(*call.arguments, **call.options)
    except GlimpseError as error:
        code = error.code if isinstance(error, Refused) else ""
        return Reply(error=type(error).__name__, code=code, text=str(error))
    if isinstance(result, View):
        result = {"sha256": hashlib.sha256(result.data).hexdigest(), "size": len(result.data), "left": result.left}
    return Reply(result=msgspec.to_builtins(result, enc_hook=str))


if __name__ == "__main__":
    anyio.run(serve, sys.argv[1], sys.argv[2])
