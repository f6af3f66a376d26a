"""Images: the row that an encryption leaves, what owners offer, and the previews they chose to show."""

# ruff: noqa: S608 - what is put into statements here are this package's own names; values are bound.

from dataclasses import dataclass

from node.directory.interface import Query, Row, Step, Transaction, Tx, Value, in_list
from node.services import view_requests
from node.services.common import READY, WITHDRAWN, Call, Caller, Served, count, own_image, page_of, required
from shared.config import MAX_IMAGES_PER_ACCOUNT
from shared.errors import Refused
from shared.text import clean
from shared.wire.operations import (
    Done,
    Encrypt,
    Encrypted,
    GetPreview,
    ImageRow,
    Images,
    MyImages,
    OfferedImages,
    PreviewAnswer,
    RestoreImage,
    SetPreview,
    WithdrawImage,
)
from shared.wire.refusals import RefusalCode

_COLUMNS = (
    "id, title, format, width, height, size, state, created, CASE WHEN preview IS NULL THEN 0 ELSE 1 END AS has_preview"
)


@dataclass(frozen=True, slots=True)
class Hidden:
    """The stego image that a node has just made: its hash and its bytes."""

    sha256: bytes
    size: int


def ready(call: Call, operation: Encrypt, hidden: Hidden) -> Transaction[Served]:
    """Make the row of an image, once per image id; the same owner's same upload again finds it made."""
    receipt = call.environment.receipts.of_image(operation.image, call.caller.signing_key)

    def run(tx: Tx) -> Step[Served]:
        created = tx.now
        if not (yield from _insert(tx, call.caller, operation, state=READY, created=created)):
            created = yield from _made_before(tx, call.caller, operation)
        outcome = Encrypted(
            image=operation.image, stego_sha256=hidden.sha256, stego_size=hidden.size, created=created, receipt=receipt
        )
        return Served(outcome)

    return run


def restore(call: Call, operation: RestoreImage) -> Transaction[Served]:
    """Make the row of a caller's own image again; one that is there is left as it is.

    Refuses without the nodes' receipt for it: who merely knows the id of an image that the directory forgot would
    otherwise own it. What a receipt does not cover stands in `node.services.receipts`.
    """
    caller = call.caller
    if not call.environment.receipts.holds_image(operation.image, caller.signing_key, operation.receipt):
        raise Refused(
            RefusalCode.NOT_ALLOWED,
            "There is no proof that this image was yours before the cloud was restored: encrypt it as a new image.",
        )

    def run(tx: Tx) -> Step[Served]:
        state = READY if operation.offered else WITHDRAWN
        if (yield from _insert(tx, caller, operation, state=state, created=min(operation.created, tx.now))):
            return Served(Done())
        mine = yield Query(
            "SELECT id FROM images WHERE id = :image AND owner_id = :owner",
            {"image": operation.image, "owner": caller.account},
        )
        if mine.one() is None:
            raise Refused(RefusalCode.CONFLICT, "This image id is taken by another picture.")
        return Served(Done())

    return run


def _insert(tx: Tx, caller: Caller, operation: Encrypt | RestoreImage, *, state: str, created: float) -> Step[bool]:
    """Make the row of an image of the caller's; return whether the id was free. Refuses one more than an account can
    have."""
    row: dict[str, Value] = {
        "id": operation.image,
        "owner_id": caller.account,
        "title": clean(operation.title),
        "format": operation.format,
        "width": operation.width,
        "height": operation.height,
        "size": operation.original_size,
        "upload_sha256": operation.upload_sha256,
        "upload_size": operation.upload_size,
        "state": state,
        "preview": None,
        "created": created,
    }
    inserted = bool((yield tx.insert_if_absent("images", row)).rowcount)
    if inserted:
        yield from _refuse_too_many(caller)
    return inserted


def _refuse_too_many(caller: Caller) -> Step[None]:
    """Refuse the image that was just made if it is one more than an account can have."""
    owned = yield from count(
        Query("SELECT COUNT(*) AS n FROM images WHERE owner_id = :owner", {"owner": caller.account})
    )
    if owned > MAX_IMAGES_PER_ACCOUNT:
        raise Refused(
            RefusalCode.NOT_ALLOWED,
            f"An account can have {MAX_IMAGES_PER_ACCOUNT} images; use another account for more.",
        )


def _made_before(tx: Tx, caller: Caller, operation: Encrypt) -> Step[float]:
    rows = yield Query(
        "SELECT created FROM images WHERE id = :image AND owner_id = :owner AND upload_sha256 = :sha256"
        + tx.for_update,
        {"image": operation.image, "owner": caller.account, "sha256": operation.upload_sha256},
    )
    row = rows.one()
    if row is None:
        raise Refused(
            RefusalCode.CONFLICT, "This image id is taken by another picture: encrypt it again as a new image."
        )
    return float(row["created"])


def set_preview(call: Call, operation: SetPreview) -> Transaction[Served]:
    """Set or clear the preview of a caller's own image."""

    def run(tx: Tx) -> Step[Served]:
        yield from own_image(call.caller, operation.image, tx.for_update)
        yield Query(
            "UPDATE images SET preview = :preview WHERE id = :image",
            {"preview": operation.preview, "image": operation.image},
        )
        return Served(Done())

    return run


def withdraw(call: Call, operation: WithdrawImage) -> Transaction[Served]:
    """Stop offering a caller's own image. Who still waits for an answer is told that there will be no other."""

    def run(tx: Tx) -> Step[Served]:
        yield from own_image(call.caller, operation.image, tx.for_update)
        yield Query(
            "UPDATE images SET state = :withdrawn WHERE id = :image",
            {"withdrawn": WITHDRAWN, "image": operation.image},
        )
        return Served(Done(), (yield from view_requests.close_of_image(tx, operation.image)))

    return run


def preview(call: Call, operation: GetPreview) -> Transaction[PreviewAnswer]:
    """Return the preview of an image that is offered, or that is the caller's own."""

    def run(_: Tx) -> Step[PreviewAnswer]:
        row = yield from required(
            "image",
            "SELECT preview FROM images WHERE id = :image AND (state = :ready OR owner_id = :caller)",
            {"image": operation.image, "ready": READY, "caller": call.caller.account},
        )
        shown = row["preview"]
        return PreviewAnswer(image=operation.image, preview=None if shown is None else bytes(shown))

    return run


def offered(_call: Call, operation: OfferedImages) -> Transaction[Images]:
    """Return a page of the images that an account offers, newest first."""

    def run(_: Tx) -> Step[Images]:
        yield from required("account", "SELECT id FROM accounts WHERE id = :owner", {"owner": operation.owner})
        parameters: dict[str, Value] = {"owner": operation.owner, "ready": READY}
        where = "FROM images WHERE owner_id = :owner AND state = :ready"
        total = yield from count(Query(f"SELECT COUNT(*) AS n {where}", parameters))
        rows = yield Query(
            f"SELECT {_COLUMNS} {where} ORDER BY created DESC, id DESC{page_of(operation.page)}", parameters
        )
        return Images(owner=operation.owner, rows=[_image_row(row) for row in rows.rows], total=total)

    return run


def mine(call: Call, operation: MyImages) -> Transaction[Images]:
    """Return a page of the caller's own images, newest first, with who holds them, what was spent, and the receipts."""
    caller, receipts = call.caller, call.environment.receipts

    def run(_: Tx) -> Step[Images]:
        parameters: dict[str, Value] = {"owner": call.caller.account}
        total = yield from count(Query("SELECT COUNT(*) AS n FROM images WHERE owner_id = :owner", parameters))
        rows = yield Query(
            f"SELECT {_COLUMNS} FROM images WHERE owner_id = :owner "
            f"ORDER BY created DESC, id DESC{page_of(operation.page)}",
            parameters,
        )
        totals = yield from _totals([row["id"] for row in rows.rows])
        listed = [
            _image_row(row, *totals.get(row["id"], (0, 0)), receipts.of_image(row["id"], caller.signing_key))
            for row in rows.rows
        ]
        return Images(owner=caller.account, rows=listed, total=total)

    return run


def _totals(images: list[str]) -> Step[dict[str, tuple[int, int]]]:
    """Return for each image with grants how many viewers hold an unrevoked one, and the views spent on all."""
    if not images:
        return {}
    inside, parameters = in_list("image", images)
    rows = yield Query(
        "SELECT image_id, SUM(CASE WHEN revoked = 0 THEN 1 ELSE 0 END) AS viewers, "
        f"SUM(consumed) AS spent FROM grants WHERE image_id IN ({inside}) GROUP BY image_id",
        parameters,
    )
    return {row["image_id"]: (int(row["viewers"]), int(row["spent"])) for row in rows.rows}


def _image_row(row: Row, viewers: int = 0, views_spent: int = 0, receipt: bytes = b"") -> ImageRow:
    return ImageRow(
        image=row["id"],
        title=row["title"],
        format=row["format"],
        width=row["width"],
        height=row["height"],
        size=row["size"],
        created=row["created"],
        has_preview=bool(row["has_preview"]),
        offered=row["state"] == READY,
        viewers=viewers,
        views_spent=views_spent,
        receipt=receipt,
    )
