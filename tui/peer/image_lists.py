"""The two lists of pictures that a person sees: one's own, and those that others have granted."""

import sqlite3
from functools import partial
from typing import Any

import anyio.to_thread
import msgspec

from shared.errors import GlimpseError, StorageError, Unavailable
from shared.identity import words_of
from shared.text import clean
from shared.wire import operations as ops
from tui.peer import files
from tui.peer.adopting import Adopting
from tui.peer.asker import Asker
from tui.peer.checks import checked_id
from tui.peer.context import Context
from tui.peer.damaged_rows import DamagedRows
from tui.peer.encrypting import Encrypting
from tui.peer.holding import Holding
from tui.peer.models import MyImage, PeerImage
from tui.peer.paths import Paths
from tui.peer.restoring import Restoring


class ImageLists:
    """Puts the lists together from the store and from what the cloud tells."""

    def __init__(
        self,
        context: Context,
        damaged: DamagedRows,
        holding: Holding,
        encrypting: Encrypting,
        adopting: Adopting,
        restoring: Restoring,
        paths: Paths,
    ) -> None:
        self._context = context
        self._cloud = Asker(context)
        self._damaged = damaged
        self._holding = holding
        self._encrypting = encrypting
        self._adopting = adopting
        self._restoring = restoring
        self._paths = paths

    # --- One's own ---------------------------------------------------------------------------------------------------
    async def mine(self, *, local: bool) -> list[MyImage]:
        """Return one's own images, newest first; without counts where the cloud is away or, with `local`, not asked."""
        stored = {
            str(row["image"]): row
            for row in await self._context.store.run(lambda s: s.all("SELECT * FROM own_images WHERE ready = 1"))
        }
        try:
            remote = {} if local else await self._mine_in_the_cloud()
        except (Unavailable, StorageError):
            remote = {}
        folder = self._context.profile.images
        here = await anyio.to_thread.run_sync(
            lambda: {image for image in stored if files.own_path(folder, image).exists()}
        )

        def described(image: str) -> MyImage:
            row = remote.get(image)
            source = _description(stored.get(image), row)
            return MyImage(
                image,
                clean(str(source["title"])),
                str(source["format"]),
                int(source["width"]),
                int(source["height"]),
                int(source["size"]),
                float(source["created"]),
                files.own_path(folder, image) if image in here else None,
                offered=row.offered if row else True,
                has_preview=row.has_preview if row else False,
                viewers=row.viewers if row else 0,
                views_spent=row.views_spent if row else 0,
                counted=row is not None,
            )

        found = await self._damaged.skip("own_images", stored.keys() | remote.keys(), described)
        return sorted(found, key=lambda entry: -entry.created)

    async def is_mine(self, image: str) -> bool:
        """Return whether the cloud lists an image as this account's; False where it cannot be asked."""
        try:
            return image in await self._mine_in_the_cloud()
        except GlimpseError:
            return False

    async def _mine_in_the_cloud(self) -> dict[str, ops.ImageRow]:
        """Return this account's images in the cloud, without attempts that were given up."""
        known = await self._restoring.own_images()
        pages = self._cloud.pages(lambda page: ops.MyImages(page=page), ops.Images)
        rows = [row async for page in pages for row in page.rows]
        given_up = await self._encrypting.settle(rows)
        mine = {row.image: row for row in rows if row.image not in given_up}
        await self._restoring.saw_images(rows, known)
        await self._adopting.learn(mine)
        return mine

    # --- Others' -----------------------------------------------------------------------------------------------------
    async def held(self) -> list[PeerImage]:
        """Return the images that others have granted, newest first. Asks nobody."""
        rows = await self._context.store.run(
            lambda s: s.all(
                "SELECT held.*, accounts.signing_key AS signing_key, COALESCE(accounts.name, owner_name) AS known_as"
                " FROM held LEFT JOIN accounts ON account = owner ORDER BY held.rowid DESC"
            )
        )
        reached = await self._paths.known()
        return await self._damaged.skip("held", rows, partial(self._read_held, reached))

    def _read_held(self, reached: dict[int, str], row: sqlite3.Row) -> PeerImage:
        grant = checked_id(row["grant_id"])
        left = max(0, row["granted"] - self._holding.consumed(grant, row["consumed"]))
        return PeerImage(
            checked_id(row["image"]),
            grant,
            clean(row["title"]),
            int(row["owner"]),
            clean(row["known_as"]),
            "" if row["signing_key"] is None else words_of(bytes(row["signing_key"])),
            int(row["granted"]),
            0 if row["revoked"] else left,
            None if row["expires"] is None else float(row["expires"]),
            bool(row["revoked"]),
            files.held_path(self._context.profile.images, grant) if row["received"] else None,
            look_s=row["look_s"],
            frozen=grant in self._context.frozen,
            reached=reached.get(row["owner"], ""),
        )


def _description(mine: sqlite3.Row | None, row: ops.ImageRow | None) -> dict[str, Any]:
    """Return what is known of an image: this profile's own note of it, or the cloud's.

    Of a picture that was adopted, only the cloud knows the title and when it was made.
    """
    listed = {} if row is None else msgspec.structs.asdict(row)
    if mine is None:
        return listed
    return dict(mine) if mine["title"] or row is None else dict(mine) | {"title": row.title, "created": row.created}
