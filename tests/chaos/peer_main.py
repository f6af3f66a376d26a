"""A peer's process: commands come in as lines of JSON, answers and events go out as lines of JSON.

    python -m tests.chaos.peer_main BLOCK WITHOUT PARTY PROFILE CLUSTER

The end of the input closes the peer cleanly. Answers to commands: `{"id": 3, "ok": {...}}` or
`{"id": 3, "error": "Refused", "code": "...", "text": "..."}`.
"""

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from shared.errors import GlimpseError, InvalidInput, Refused, Unavailable
from tests.chaos.network import Net
from tests.chaos.relay import announce
from tests.chaos.without import take_out
from tui.peer import Peer
from tui.peer.events import Delivered, Undeliverable


def say(**facts: Any) -> None:
    """Write one line out at once."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


class Served:
    """A peer with the harness's verbs."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._met: set[int] = set()
        """Accounts that were in a list, or that asked for views."""

    async def register(self, name: str) -> dict[str, Any]:
        return {"account": (await self.peer.register(name)).account}

    async def sign_in(self) -> dict[str, Any]:
        return {"account": (await self.peer.sign_in()).account}

    async def encrypt(self, path: str, title: str) -> dict[str, Any]:
        return {"image": (await self.peer.encrypt(path, title=title)).image}

    async def withdraw(self, image: str) -> dict[str, Any]:
        await self.peer.withdraw(image)
        return {}

    async def request(self, image: str, views: int) -> dict[str, Any]:
        sent = await self.peer.request(image, views)
        return {"request": sent.request_id, "delivered": sent.delivered}

    async def cancel(self, ask: str) -> dict[str, Any]:
        await self.peer.cancel(ask)
        return {}

    async def requests(self) -> dict[str, Any]:
        found = await self.peer.requests()
        rows = [
            {"ask": row.request_id, "image": row.image, "person": row.person, "views": row.views, "waits": row.waits}
            for row in found.incoming
            if row.state == "pending"
        ]
        return {"complete": found.complete, "pending": rows}

    async def accept(self, ask: str, views: int) -> dict[str, Any]:
        sent = await self.peer.accept(ask, views=views)
        return {"request": sent.request_id, "delivered": sent.delivered}

    async def reject(self, ask: str) -> dict[str, Any]:
        sent = await self.peer.reject(ask, "not now")
        return {"request": sent.request_id, "delivered": sent.delivered}

    async def grant(self, image: str, viewer: int, views: int, expires: float | None) -> dict[str, Any]:
        await self._meet(viewer)
        sent = await self.peer.grant(image, viewer, views, expires=expires)
        return {"request": sent.request_id, "delivered": sent.delivered}

    async def _meet(self, viewer: int) -> None:
        """Find somebody in a list, as people do before they give: a peer that never heard of an account takes one that
        a restored directory lacks for a mistake. Raises `InvalidInput`."""
        if viewer in self._met:
            return
        known = await self.peer.requests(local=True)
        self._met.update(row.person for row in known.incoming)
        if viewer not in self._met:
            try:
                listed = await self.peer.users(str(viewer))
            except (Refused, Unavailable) as error:  # a restored directory may lack this account itself
                raise InvalidInput("Nobody can be listed now.") from error
            self._met.update(user.account for user in listed.rows)
        if viewer not in self._met:
            raise InvalidInput("There is nobody of that number in the list.")

    async def set_views(self, image: str, viewer: int, left: int | None, expires: float | None) -> dict[str, Any]:
        done = await self.peer.set_views(image, viewer, left, expires=expires)
        return {"request": done.request_id, "delivered": done.delivered, "left": done.left, "met": done.met_consumed}

    async def revoke(self, image: str, viewer: int) -> dict[str, Any]:
        done = await self.peer.revoke(image, viewer)
        return {"request": done.request_id, "delivered": done.delivered, "left": done.left, "met": done.met_consumed}

    async def look(self, image: str) -> dict[str, Any]:
        view = await self.peer.view(image)
        return {"sha256": hashlib.sha256(view.data).hexdigest(), "left": view.left}

    async def held(self) -> dict[str, Any]:
        rows = await self.peer.peer_images()
        return {
            "rows": [
                {
                    "image": row.image,
                    "grant": row.grant,
                    "left": row.left,
                    "expires": row.expires,
                    "here": row.path is not None,
                }
                for row in rows
                if not row.revoked
            ]
        }

    async def lose(self, image: str) -> dict[str, Any]:
        """Delete the stego image of a held picture, as a careless person does."""
        for row in await self.peer.peer_images():
            if row.image == image and row.path is not None:
                row.path.unlink(missing_ok=True)
        return {}

    async def outbox(self) -> dict[str, Any]:
        rows = await self.peer.outbox()
        return {"rows": [{"what": row.what, "attempts": row.attempts, "trouble": row.trouble} for row in rows]}


async def answer(served: Served, command: dict[str, Any]) -> None:
    """Carry out one command and say how it ended."""
    number, verb, arguments = command["id"], command["do"], command["with"]
    try:
        result = await getattr(served, verb)(**arguments)
    except GlimpseError as error:
        kind = type(error).__name__
        kinds = [base.__name__ for base in type(error).__mro__]
        say(id=number, error=kind, kinds=kinds, code=str(getattr(error, "code", "")), text=str(error))
    else:
        say(id=number, ok=result)


async def tell_events(peer: Peer) -> None:
    """Tell what leaves the outbox."""
    async for event in peer.events():
        if isinstance(event, Delivered | Undeliverable):
            reason = event.reason if isinstance(event, Undeliverable) else ""
            say(event=type(event).__name__, request=event.request_id, what=event.what, reason=reason)


async def serve(profile: Path, cluster: Path, host: str) -> None:
    """Serve commands until the input ends."""
    # The private address is not told: a path past the harness's network would escape its weather.
    async with (
        Peer(profile, cluster, bind_host=host, share_local_addresses=False) as peer,
        anyio.create_task_group() as tasks,
    ):
        served = Served(peer)
        tasks.start_soon(tell_events, peer)
        say(open=True)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            tasks.start_soon(answer, served, json.loads(line))
        tasks.cancel_scope.cancel()


def main() -> None:
    """Be one peer."""
    block, without, party, profile, cluster = sys.argv[1:]
    net = Net(int(block))
    announce(net)
    take_out([name for name in without.split(",") if name])
    began = time.monotonic()
    try:
        anyio.run(serve, Path(profile), Path(cluster), net.private(int(party)))
    except GlimpseError as error:
        say(failed=type(error).__name__, text=str(error), after=time.monotonic() - began)
        sys.exit(1)


if __name__ == "__main__":
    main()
