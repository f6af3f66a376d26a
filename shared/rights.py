"""Rights records and the split content key: what an owner signs, and what it takes to open a picture.

A picture is sealed under a content key. A grant wraps that key under two shares at once: the owner's, sealed to the
viewer's key inside the record of the viewer's copy, and the cloud's, deposited in the directory and handed out for one
counted view at a time. The cloud alone cannot open a picture, and a copied file alone cannot either.

The owner signs the record; its version only grows. The count that is left is outside the signature: it displays what
the ledger says. Shares, wraps, seals and signatures are bound to the grant, image, owner and viewer that they are made
for, and fail anywhere else; the order to spend one view and the share sealed for it are bound to cluster, grant and
view id, so that neither is worth anything for another look.
"""

import hmac
from collections.abc import Callable
from hashlib import sha256
from types import EllipsisType
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from shared.config import MAX_VIEWS
from shared.errors import BadSeal, InvalidInput, LocalError, MalformedMessage
from shared.framing import framed
from shared.identity import Identity, PublicIdentity, verify_signature
from shared.records import MAX_EXPIRES_S, MAX_LOOK_S, AnyRecord, OwnerRecord, RightsRecord, parts_of
from shared.sealing import CONTENT_KEY_BYTES, derive_key, open_sealed, seal_to

SHARE_BYTES: Final = 32
_RECORD_DOMAIN: Final = "rights-record"
_OWNER_RECORD_DOMAIN: Final = "owner-record"
_DEPOSIT_DOMAIN: Final = "cloud-share"
_SPEND_DOMAIN: Final = "spend-view"
_SINGLE_USE_NONCE: Final = bytes(12)
"""The wrapping key comes from two shares that are drawn for one grant and wraps one key, so its nonce never repeats."""


class NewGrant(NamedTuple):
    """A new grant: the record for everybody, the share for the cloud, and the owner's signature over the share."""

    record: RightsRecord
    cloud_share: bytes
    share_signature: bytes


# --- Granting and changing -------------------------------------------------------------------------------------------
def create_grant(
    owner: Identity,
    viewer: PublicIdentity,
    *,
    grant_id: str,
    image_id: str,
    content_key: bytes,
    granted: int,
    expires: float | None,
    entropy: Callable[[int], bytes],
    look_s: float | None = None,
) -> NewGrant:
    """Make a grant of `granted` views until `expires` (seconds since 1970, rounded to milliseconds, or None).

    `look_s` is how many seconds one look may last, None for no limit. `entropy` yields secret random bytes for the two
    shares; `grant_id` must be new, also after a revocation. Raises `RemoteError` if the viewer's keys do not hold
    together, `InvalidInput` for a number out of range.
    """
    viewer.verify()
    if len(content_key) != CONTENT_KEY_BYTES:
        raise LocalError(f"a content key has {CONTENT_KEY_BYTES} bytes")
    parties = _Parties(_id(grant_id), _id(image_id), owner.public.signing_key, viewer.signing_key)
    owner_share, cloud_share = entropy(SHARE_BYTES), entropy(SHARE_BYTES)
    if (len(owner_share), len(cloud_share)) != (SHARE_BYTES, SHARE_BYTES) or owner_share == cloud_share:
        raise LocalError("the source of entropy is broken")
    record = RightsRecord(
        grant_id=grant_id,
        image_id=image_id,
        owner_key=parties.owner_key,
        viewer_key=parties.viewer_key,
        version=1,
        granted=_views(granted),
        expires=_expires(expires),
        revoked=False,
        wrapped_key=_wrapping(owner_share, cloud_share, parties).encrypt(
            _SINGLE_USE_NONCE, content_key, parties.framed("wrapped-key")
        ),
        owner_share=seal_to(viewer.session_key, owner_share, context=parties.framed("owner-share")),
        key_commitment=_key_commitment(parties.image_id, parties.owner_key, content_key),
        share_commitment=_share_commitment(parties, cloud_share),
        left=granted,
        look_s=_look(look_s),
    )
    return NewGrant(_signed(owner, record), cloud_share, owner.sign(_DEPOSIT_DOMAIN, *parties.parts, cloud_share))


def change_rights(
    owner: Identity,
    record: RightsRecord,
    *,
    granted: int | None = None,
    expires: float | EllipsisType | None = ...,
    revoked: bool | None = None,
    look_s: float | EllipsisType | None = ...,
    beyond: int = 0,
) -> RightsRecord:
    """Return the record with new rights, the next version and the same shares; what is not given stays.

    The version is also higher than `beyond`, the highest that was ever signed for this grant: one version never stands
    for two records, not even where a restored directory has forgotten one of them.

    A revocation is final: raises `InvalidInput` for an attempt to undo one, or a number out of range. Raises
    `RemoteError` if the record that is to be changed is not signed by its owner.
    """
    verify_record(record)
    if record.owner_key != owner.public.signing_key:
        raise LocalError("only the owner of a record can change it")
    if record.revoked and revoked is False:
        raise InvalidInput("These rights were taken back for good; grant the image anew instead.")
    total = record.granted if granted is None else _views(granted)
    changed = msgspec.structs.replace(
        record,
        version=max(record.version, beyond) + 1,
        granted=total,
        expires=record.expires if isinstance(expires, EllipsisType) else _expires(expires),
        revoked=record.revoked or bool(revoked),
        left=min(record.left, total),
        look_s=record.look_s if isinstance(look_s, EllipsisType) else _look(look_s),
    )
    return _signed(owner, changed)


def with_left(record: RightsRecord, left: int) -> RightsRecord:
    """Return the record with another count on display; the signature does not cover it."""
    return msgspec.structs.replace(record, left=_views(left))


def verify_record(record: AnyRecord) -> None:
    """Check that its owner signed the record. Raises `BadSignature` if not."""
    domain = _RECORD_DOMAIN if isinstance(record, RightsRecord) else _OWNER_RECORD_DOMAIN
    verify_signature(record.owner_key, record.signature, domain, *parts_of(record))


def supersedes(old: RightsRecord, new: RightsRecord) -> bool:
    """Return whether `new` replaces `old`: True for a higher version, False for the same or an older one.

    Raises `RemoteError` if `new` cannot be a later version of the same grant: another signature, party or share, or a
    revocation that is undone.
    """
    verify_record(new)
    if new.fixed() != old.fixed():
        raise MalformedMessage("a rights record that changes what no change of rights can")
    if new.version <= old.version:
        return False
    if old.revoked and not new.revoked:
        raise MalformedMessage("a rights record that undoes a revocation")
    return True


# --- The owner's own copy --------------------------------------------------------------------------------------------
def create_owner_record(owner: Identity, *, image_id: str, content_key: bytes) -> OwnerRecord:
    """Return the record of the owner's own copy: the content key, sealed to the owner's session key."""
    if len(content_key) != CONTENT_KEY_BYTES:
        raise LocalError(f"a content key has {CONTENT_KEY_BYTES} bytes")
    key = owner.public.signing_key
    record = OwnerRecord(
        image_id=_id(image_id),
        owner_key=key,
        sealed_key=seal_to(owner.public.session_key, content_key, context=_owner_context(image_id, key)),
        key_commitment=_key_commitment(image_id, key, content_key),
    )
    return msgspec.structs.replace(record, signature=owner.sign(_OWNER_RECORD_DOMAIN, *parts_of(record)))


def unlock_own(record: OwnerRecord, owner: Identity) -> bytes:
    """Return the content key of one's own picture. Raises `RemoteError` if the record is another's or damaged."""
    verify_record(record)
    context = _owner_context(record.image_id, owner.public.signing_key)
    content_key = open_sealed(owner.session_private, record.sealed_key, context=context)
    commitment = _key_commitment(record.image_id, owner.public.signing_key, content_key)
    if not hmac.compare_digest(commitment, record.key_commitment):
        raise BadSeal("a content key that is not the one committed to")
    return content_key


# --- Opening ---------------------------------------------------------------------------------------------------------
def verify_cloud_share_deposit(record: RightsRecord, cloud_share: bytes, share_signature: bytes) -> None:
    """Check that the owner deposits just this share for just this record. Raises `RemoteError` if not."""
    verify_record(record)
    parties = _parties_of(record)
    verify_signature(record.owner_key, share_signature, _DEPOSIT_DOMAIN, *parties.parts, cloud_share)
    _check_share(record, cloud_share)


def open_owner_share(record: RightsRecord, viewer: Identity) -> bytes:
    """Return the owner's share from a viewer's record; done before a view is spent, it shows that the record is whole.

    Raises `RemoteError` if the record is forged, another viewer's, or sealed to another session key.
    """
    verify_record(record)
    if record.viewer_key != viewer.public.signing_key:
        raise BadSeal("a rights record of another viewer")
    context = _parties_of(record).framed("owner-share")
    return open_sealed(viewer.session_private, record.owner_share, context=context)


def unlock(record: RightsRecord, viewer: Identity, cloud_share: bytes) -> bytes:
    """Return the content key of a granted picture from the record and the share that the cloud released.

    Raises `RemoteError` if the record is forged or another viewer's, or if a share or the key is not the one that the
    owner committed to.
    """
    owner_share = open_owner_share(record, viewer)
    _check_share(record, cloud_share)
    parties = _parties_of(record)
    try:
        content_key = _wrapping(owner_share, cloud_share, parties).decrypt(
            _SINGLE_USE_NONCE, record.wrapped_key, parties.framed("wrapped-key")
        )
    except InvalidTag:
        raise BadSeal("a wrapped content key that does not open with these shares") from None
    if not hmac.compare_digest(_key_commitment(*_image_of(record), content_key), record.key_commitment):
        raise BadSeal("a content key that is not the one committed to")
    return content_key


# --- One view ---------------------------------------------------------------------------------------------------------
def spend_signature(viewer: Identity, cluster_id: str, grant_id: str, view_id: str, ephemeral_public: bytes) -> bytes:
    """Return the viewer's order to spend one view and to seal the share to `ephemeral_public` (X25519)."""
    return viewer.sign(_SPEND_DOMAIN, *_view_parts(cluster_id, grant_id, view_id), ephemeral_public)


def verify_spend(
    viewer_key: bytes, signature: bytes, cluster_id: str, grant_id: str, view_id: str, ephemeral_public: bytes
) -> None:
    """Check an order to spend a view. Raises `BadSignature` if it is not this viewer's for just this view."""
    verify_signature(
        viewer_key, signature, _SPEND_DOMAIN, *_view_parts(cluster_id, grant_id, view_id), ephemeral_public
    )


def seal_share_for_view(
    cloud_share: bytes, ephemeral_public: bytes, *, cluster_id: str, grant_id: str, view_id: str
) -> bytes:
    """Seal the cloud's share to a view's ephemeral key. Raises `RemoteError` for a key that is none."""
    return seal_to(ephemeral_public, cloud_share, context=_view_context(cluster_id, grant_id, view_id))


def open_share(ephemeral_private: bytes, sealed: bytes, *, cluster_id: str, grant_id: str, view_id: str) -> bytes:
    """Return the cloud's share from a view's answer. Raises `BadSeal` if it is of another view or grant."""
    return open_sealed(ephemeral_private, sealed, context=_view_context(cluster_id, grant_id, view_id))


# --- What things are bound to ----------------------------------------------------------------------------------------
class _Parties(NamedTuple):
    """Whom and what a grant is about; everything of the grant is bound to them."""

    grant_id: str
    image_id: str
    owner_key: bytes
    viewer_key: bytes

    @property
    def parts(self) -> tuple[bytes, ...]:
        return self.grant_id.encode(), self.image_id.encode(), self.owner_key, self.viewer_key

    def framed(self, domain: str) -> bytes:
        return framed(domain, *self.parts)


def _parties_of(record: RightsRecord) -> _Parties:
    return _Parties(record.grant_id, record.image_id, record.owner_key, record.viewer_key)


def _image_of(record: RightsRecord) -> tuple[str, bytes]:
    return record.image_id, record.owner_key


def _signed(owner: Identity, record: RightsRecord) -> RightsRecord:
    return msgspec.structs.replace(record, signature=owner.sign(_RECORD_DOMAIN, *parts_of(record)))


def _wrapping(owner_share: bytes, cloud_share: bytes, parties: _Parties) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(derive_key(owner_share + cloud_share, parties.framed("wrapping-key")))


def _key_commitment(image_id: str, owner_key: bytes, content_key: bytes) -> bytes:
    return sha256(framed("key-commitment", image_id.encode(), owner_key, content_key)).digest()


def _share_commitment(parties: _Parties, cloud_share: bytes) -> bytes:
    return sha256(framed("share-commitment", *parties.parts, cloud_share)).digest()


def _check_share(record: RightsRecord, cloud_share: bytes) -> None:
    if not hmac.compare_digest(_share_commitment(_parties_of(record), cloud_share), record.share_commitment):
        raise BadSeal("a share that is not the one committed to")


def _owner_context(image_id: str, owner_key: bytes) -> bytes:
    return framed("owner-content-key", image_id.encode(), owner_key)


def _view_parts(cluster_id: str, grant_id: str, view_id: str) -> tuple[bytes, ...]:
    return cluster_id.encode(), grant_id.encode(), view_id.encode()


def _view_context(cluster_id: str, grant_id: str, view_id: str) -> bytes:
    return framed("share-for-view", *_view_parts(cluster_id, grant_id, view_id))


# --- What may be signed ----------------------------------------------------------------------------------------------
def _id(text: str) -> str:
    if len(text) != 32 or not set(text) <= set("0123456789abcdef"):
        raise LocalError("an id has 32 lower-case hexadecimal digits")
    return text


def _views(count: int) -> int:
    if not 0 <= count <= MAX_VIEWS:
        raise InvalidInput(f"A number of views is between 0 and {MAX_VIEWS}.")
    return count


def _expires(expires: float | None) -> float | None:
    if expires is None:
        return None
    if not 0.001 <= expires <= MAX_EXPIRES_S:
        raise InvalidInput("The time of expiry is not a time that can be reached.")
    return round(float(expires), 3)


def _look(look_s: float | None) -> float | None:
    if look_s is None:
        return None
    if not 1 <= look_s <= MAX_LOOK_S:
        raise InvalidInput(f"One look may last between 1 and {MAX_LOOK_S} seconds.")
    return round(float(look_s), 3)
