"""Attacks with pictures: one that costs a decoder minutes, as a cover and shared, and many large ones at once.

They run in a process of their own (`tests.hostile.attacker`): what they take of a processor and of memory is not to be
measured as an honest person's.
"""

import hashlib
import os
import tempfile
from pathlib import Path

import anyio

from shared.decoding.cancelling import cancellable
from shared.errors import GlimpseError, Refused, UnusableImage
from shared.rights import create_owner_record
from shared.sealed_record import seal_record
from shared.sealing import seal_picture
from shared.stego.pictures import PictureInfo, decode_picture
from shared.wire import operations as ops
from shared.wire.upload import Upload, encode_upload
from tests.hostile.intruder import Target, account, new_id
from tests.hostile_pictures import repeated_scans
from tests.patience import until
from tests.photos import small_jpeg
from tui.peer import Peer, encrypting
from tui.peer.cloud import CloudLink

SCANS = 6_000
_AT_ONCE = 6
_WAIT_S = 600.0


async def hostile_covers(target: Target) -> None:
    """One account has a small picture hidden in that cover, six times at once and again and again."""
    cover = repeated_scans(SCANS)
    async with account(target) as (identity, _, cloud), anyio.create_task_group() as group:
        upload = _upload(identity, small_jpeg(), cover)

        async def again() -> None:
            while True:
                target.sent[f"covers {await _ending(cloud, upload)}"] += 1

        for _ in range(_AT_ONCE):
            group.start_soon(again)


async def many_pictures(target: Target) -> None:
    """One account has many large pictures hidden at once, and as many again when they are back."""
    async with account(target) as (identity, _, cloud):
        upload = _upload(identity, os.urandom(target.picture_bytes))

        async def one() -> None:
            target.sent[f"pictures {await _ending(cloud, upload)}"] += 1

        while True:
            async with anyio.create_task_group() as group:
                for _ in range(target.pictures):
                    group.start_soon(one)
            target.sent["rounds"] += 1


def _upload(identity, original: bytes, cover: bytes | None = None) -> tuple[bytes, int]:
    """Return an upload, and the size of its picture. The same serves for any image: only its owner could tell."""
    key, image = os.urandom(32), new_id()
    owner = identity.public
    sealed = seal_picture(key, original, owner_key=owner.signing_key, image_id=image, nonce=os.urandom(12))
    record = create_owner_record(identity, image_id=image, content_key=key)
    text = seal_record(record, identity.session_private, owner.session_key)
    return encode_upload(Upload(text, sealed, cover)), len(original)


async def _ending(cloud: CloudLink, upload: tuple[bytes, int]) -> str:
    """Have an upload hidden; return how it ended."""
    data, original_size = upload
    operation = ops.Encrypt(
        image=new_id(),
        title="attack",
        format="JPEG",
        width=4000,
        height=3000,
        original_size=original_size,
        upload_size=len(data),
        upload_sha256=hashlib.sha256(data).digest(),
    )
    try:
        await cloud.ask(operation, request=new_id(), wait_s=_WAIT_S, upload=data)
    except Refused:
        return "refused"
    except GlimpseError:
        return "not served"
    return "hidden"


async def hostile_shares(target: Target) -> None:
    """A modified client shares that picture; somebody looks at it, over and over, and decodes it as the client does."""
    encrypting.pictures.inspect = lambda data: PictureInfo("JPEG", 4000, 3000, 1, len(data))  # type: ignore[assignment]
    with tempfile.TemporaryDirectory(prefix="glimpse-hostile-") as folder:
        place = Path(folder)
        picture = place / "coffee.jpg"
        picture.write_bytes(repeated_scans(SCANS))
        file = target.folder / "cluster.toml"
        async with Peer(place / "mallory", file) as mallory, Peer(place / "zoe", file) as zoe:
            for peer, name in ((mallory, "mallory"), (zoe, "zoe")):
                await peer.register(name)
                await peer.sign_in()
            image = await mallory.encrypt(picture)
            await mallory.accept((await zoe.request(image.image, 9_999)).request_id)
            await until(zoe.peer_images, lambda held: any(row.path is not None for row in held))
            while True:
                look = await zoe.view(image.image)
                began = anyio.current_time()
                try:
                    await cancellable(decode_picture, look.data)
                except UnusableImage:
                    target.sent["looks told that it cannot be shown"] += 1
                else:
                    target.sent["looks shown"] += 1
                took_ms = round(1000 * (anyio.current_time() - began))
                target.sent["slowest look, ms"] = max(target.sent["slowest look, ms"], took_ms)
