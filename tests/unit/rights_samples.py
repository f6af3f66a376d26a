"""Parties and grants with fixed keys for the tests of rights."""

from dataclasses import dataclass, field
from hashlib import sha256

from shared.identity import Identity
from shared.records import RightsRecord, encode_record
from shared.rights import NewGrant, create_grant
from shared.wire.operations import GrantRow

GRANT, OTHER_GRANT = "a1" * 16, "a2" * 16
IMAGE, OTHER_IMAGE = "b1" * 16, "b2" * 16
CONTENT_KEY = sha256(b"content key").digest()


def person(name: str) -> Identity:
    return Identity(sha256(b"signing " + name.encode()).digest(), sha256(b"session " + name.encode()).digest())


OWNER, VIEWER, STRANGER = person("owner"), person("viewer"), person("stranger")


@dataclass
class Entropy:
    """Bytes that differ on every call and are the same in every run."""

    seed: bytes = b"entropy"
    calls: int = field(default=0)

    def __call__(self, count: int) -> bytes:
        self.calls += 1
        return sha256(self.seed + self.calls.to_bytes(4, "big")).digest()[:count]


def new_grant(
    *,
    owner: Identity = OWNER,
    viewer: Identity = VIEWER,
    grant_id: str = GRANT,
    image_id: str = IMAGE,
    granted: int = 5,
    expires: float | None = None,
) -> NewGrant:
    return create_grant(
        owner,
        viewer.public,
        grant_id=grant_id,
        image_id=image_id,
        content_key=CONTENT_KEY,
        granted=granted,
        expires=expires,
        entropy=Entropy(grant_id.encode() + image_id.encode()),
    )


def new_record(**given: object) -> RightsRecord:
    return new_grant(**given).record  # type: ignore[arg-type]


def grant_row(record: RightsRecord, consumed: int = 0, *, frozen: bool = False, image: str = "") -> GrantRow:
    """Return a grant as the cloud lists it, of the record's image where no other is named."""
    return GrantRow(
        grant=record.grant_id,
        image=image or record.image_id,
        title="Lake",
        owner=1,
        owner_name="Ada",
        viewer=2,
        viewer_name="Ben",
        granted=record.granted,
        consumed=consumed,
        expires=record.expires,
        revoked=record.revoked,
        frozen=frozen,
        version=record.version,
        record=encode_record(record),
    )
