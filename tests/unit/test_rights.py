"""Rights records and the split key: everything holds for its own grant, image, owner and viewer, and nowhere else."""

import msgspec
import pytest

from shared import rights
from shared.config import MAX_VIEWS, RIGHTS_RECORD_BYTES
from shared.errors import BadSeal, BadSignature, InvalidInput, LocalError, MalformedMessage, RemoteError
from shared.identity import Identity, PublicIdentity
from shared.records import (
    MAX_EXPIRES_S,
    MAX_VERSION,
    OwnerRecord,
    RightsRecord,
    decode_any_record,
    decode_record,
    encode_record,
    parts_of,
)
from shared.rights import (
    change_rights,
    create_grant,
    create_owner_record,
    open_owner_share,
    supersedes,
    unlock,
    unlock_own,
    verify_cloud_share_deposit,
    verify_record,
    with_left,
)
from tests.unit.rights_samples import (
    CONTENT_KEY,
    GRANT,
    IMAGE,
    OTHER_GRANT,
    OTHER_IMAGE,
    OWNER,
    STRANGER,
    VIEWER,
    Entropy,
    new_grant,
    new_record,
    person,
)

replace = msgspec.structs.replace


def signed_again(owner: Identity, record: RightsRecord) -> RightsRecord:
    """The record with a signature that holds, as a dishonest owner (or whoever copies from others) would make it."""
    return replace(record, signature=owner.sign("rights-record", *parts_of(record)))


# --- The way it should go --------------------------------------------------------------------------------------------
def test_both_shares_together_open_the_content_key() -> None:
    record, share, share_signature = new_grant()
    verify_record(record)
    verify_cloud_share_deposit(record, share, share_signature)
    assert len(open_owner_share(record, VIEWER)) == 32
    assert unlock(record, VIEWER, share) == CONTENT_KEY


def test_a_new_grant_says_what_was_given() -> None:
    record = new_record(granted=7, expires=1_800_000_000.1234)
    assert (record.grant_id, record.image_id) == (GRANT, IMAGE)
    assert (record.owner_key, record.viewer_key) == (OWNER.public.signing_key, VIEWER.public.signing_key)
    assert (record.version, record.granted, record.left, record.revoked) == (1, 7, 7, False)
    assert record.expires == 1_800_000_000.123


def test_shares_and_content_key_are_nowhere_in_the_record() -> None:
    record, share, _ = new_grant()
    owner_share = open_owner_share(record, VIEWER)
    plain = b"".join(value for value in msgspec.structs.astuple(record) if isinstance(value, bytes))
    for secret in (CONTENT_KEY, share, owner_share):
        assert secret not in plain


def test_a_changed_record_opens_with_the_same_shares() -> None:
    record, share, share_signature = new_grant()
    changed = change_rights(OWNER, record, granted=10, expires=2e9)
    assert unlock(changed, VIEWER, share) == CONTENT_KEY
    verify_cloud_share_deposit(changed, share, share_signature)


def test_a_new_grant_has_new_shares() -> None:
    first, second = (
        create_grant(
            OWNER,
            VIEWER.public,
            grant_id=grant,
            image_id=IMAGE,
            content_key=CONTENT_KEY,
            granted=1,
            expires=None,
            entropy=Entropy(grant.encode()),
        )
        for grant in (GRANT, OTHER_GRANT)
    )
    assert first.cloud_share != second.cloud_share
    for record, share in ((first.record, second.cloud_share), (second.record, first.cloud_share)):
        with pytest.raises(BadSeal):
            unlock(record, VIEWER, share)


def test_a_record_of_this_scheme_version_opens_for_ever() -> None:
    """Stego images that were made once must open in every later release."""
    data = (
        b'{"kind":"grant","scheme":1,"grant":"a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1","image":"b1b1b1b1b1b1b1b1b1b1b'
        b'1b1b1b1b1b1","owner":"ev2D8VJB9Cd/m+FeQiR6VvLMlTSGJaCfamC5wCyK6oc=","viewer":"vI2XHrIbQ0KQ/7obAwrRkY'
        b'YqyTAcnCSmawHGADSj9Nc=","version":1,"granted":5,"expires":1800000000.25,"revoked":false,"key":"orhU9'
        b'58mqKSnfInpuEhFjkyd1wJ2fzsdehL5UK50nSYO37lCthhdjkaXkQr9tENv","owner_share":"IdK7PqXZKUNPI3gtLVEMmSSL'
        b'ZmKatsB7q+qXPYDVxSIMz9o006uFyd8/J/VgGZXuhJk0DbMdW/TuRDoOE+nSrcbUG7Ahyr3xzjCQ0vjUegs=","key_hash":"rx'
        b'IJvjhbpnlQohkKqLMIDgNj09dAevYSmSbR0pSyUjg=","share_hash":"oF2j+5bDHpRq4N9Vr2NUfyPlOTDOSvYNL5RuVtID9d'
        b'Y=","left":5,"signature":"NGv93u2ycLGzphCssE+DtCFsg2E+DVu9cIc3An93ce1pShp9ibirmdPlhsPNXEuwHhjx9/tGVw'
        b'/SMA+8+OfzBg=="}'
    )
    record = decode_record(data)
    assert (
        unlock(record, VIEWER, bytes.fromhex("bd992b6015bf8a0559245cb2ee8145f826652d53445d2680f076f3e54d1e75ed"))
        == CONTENT_KEY
    )


# --- Sizes -----------------------------------------------------------------------------------------------------------
def test_the_largest_record_fits_its_place() -> None:
    largest = replace(new_record(granted=MAX_VIEWS, expires=MAX_EXPIRES_S - 0.001), version=MAX_VERSION, revoked=False)
    data = encode_record(signed_again(OWNER, largest))
    assert len(data) <= RIGHTS_RECORD_BYTES
    assert decode_record(data).granted == MAX_VIEWS
    # Every float has at most 17 digits, sign, point and an exponent of up to five characters.
    assert len(data) - len(repr(largest.expires)) + 24 <= RIGHTS_RECORD_BYTES


def test_the_owners_record_fits_its_place() -> None:
    record = create_owner_record(OWNER, image_id=IMAGE, content_key=CONTENT_KEY)
    assert len(encode_record(record)) <= RIGHTS_RECORD_BYTES


def test_a_record_that_would_outgrow_its_place_is_a_bug() -> None:
    with pytest.raises(LocalError):
        encode_record(replace(new_record(), wrapped_key=bytes(600)))


# --- Tampering -------------------------------------------------------------------------------------------------------
TAMPERED: dict[str, object] = {
    "scheme": 2,
    "grant_id": OTHER_GRANT,
    "image_id": OTHER_IMAGE,
    "owner_key": STRANGER.public.signing_key,
    "viewer_key": STRANGER.public.signing_key,
    "version": 2,
    "granted": 6,
    "expires": 1_900_000_000.0,
    "revoked": True,
    "wrapped_key": bytes(48),
    "owner_share": bytes(80),
    "key_commitment": bytes(32),
    "share_commitment": bytes(32),
    "look_s": 30.0,
    "signature": bytes(64),
}


@pytest.mark.parametrize("field", [*TAMPERED])
def test_the_signature_covers_every_field(field: str) -> None:
    record, share, share_signature = new_grant(expires=1_800_000_000.0)
    forged = replace(record, **{field: TAMPERED[field]})
    with pytest.raises(BadSignature):
        verify_record(forged)
    with pytest.raises(BadSignature):
        unlock(forged, VIEWER, share)
    with pytest.raises(BadSignature):
        verify_cloud_share_deposit(forged, share, share_signature)
    with pytest.raises(BadSignature):
        supersedes(record, forged)
    with pytest.raises(BadSignature):
        change_rights(OWNER, forged, granted=9)


def test_the_table_of_tampering_is_complete() -> None:
    assert {*TAMPERED, "left"} == {field.name for field in msgspec.structs.fields(RightsRecord)}


@pytest.mark.parametrize("expires", [None, 1.0])
def test_no_expiry_and_an_expiry_are_not_confused(expires: float | None) -> None:
    record = new_record(expires=expires)
    with pytest.raises(BadSignature):
        verify_record(replace(record, expires=1.0 if expires is None else None))


def test_the_count_on_display_is_not_signed() -> None:
    record, share, _ = new_grant(granted=5)
    shown = with_left(record, 2)
    verify_record(shown)
    assert (shown.left, shown.granted, shown.signature) == (2, 5, record.signature)
    assert unlock(shown, VIEWER, share) == CONTENT_KEY


@pytest.mark.parametrize("left", [-1, MAX_VIEWS + 1])
def test_a_count_on_display_is_a_count(left: int) -> None:
    with pytest.raises(InvalidInput):
        with_left(new_record(), left)


def test_a_record_signed_by_somebody_else_is_refused() -> None:
    with pytest.raises(BadSignature):
        verify_record(signed_again(STRANGER, new_record()))


# --- Moving parts to where they do not belong ------------------------------------------------------------------------
def recommitted(record: RightsRecord, share: bytes) -> RightsRecord:
    """The record with commitments that fit, so that only the binding of seal and wrap is left to stop it."""
    return replace(
        record,
        key_commitment=rights._key_commitment(record.image_id, record.owner_key, CONTENT_KEY),
        share_commitment=rights._share_commitment(rights._parties_of(record), share),
    )


MOVES = [
    ({"grant_id": OTHER_GRANT}, OWNER, VIEWER),
    ({"image_id": OTHER_IMAGE}, OWNER, VIEWER),
    ({"owner_key": STRANGER.public.signing_key}, STRANGER, VIEWER),
    ({"viewer_key": STRANGER.public.signing_key}, OWNER, STRANGER),
]


@pytest.mark.parametrize(("move", "signer", "opener"), MOVES)
def test_a_moved_record_does_not_open_even_if_signed_anew(
    move: dict[str, object], signer: Identity, opener: Identity
) -> None:
    record, share, _ = new_grant()
    moved = signed_again(signer, replace(record, **move))
    verify_record(moved)
    with pytest.raises(BadSeal):
        unlock(moved, opener, share)


@pytest.mark.parametrize(("move", "signer", "opener"), MOVES)
def test_a_moved_owner_share_does_not_open(move: dict[str, object], signer: Identity, opener: Identity) -> None:
    record, share, _ = new_grant()
    moved = signed_again(signer, recommitted(replace(record, **move), share))
    with pytest.raises(BadSeal, match="seal that does not open"):
        unlock(moved, opener, share)


@pytest.mark.parametrize(("move", "signer", "opener"), MOVES)
def test_a_moved_wrap_does_not_open(move: dict[str, object], signer: Identity, opener: Identity) -> None:
    record, share, _ = new_grant()
    owner_share = open_owner_share(record, VIEWER)
    moved = replace(record, **move)
    context = rights._parties_of(moved).framed("owner-share")
    resealed = replace(moved, owner_share=rights.seal_to(opener.public.session_key, owner_share, context=context))
    with pytest.raises(BadSeal, match="wrapped content key"):
        unlock(signed_again(signer, recommitted(resealed, share)), opener, share)


@pytest.mark.parametrize(("move", "signer", "opener"), MOVES)
def test_a_moved_deposit_is_refused(move: dict[str, object], signer: Identity, opener: Identity) -> None:
    record, share, share_signature = new_grant()
    moved = signed_again(signer, recommitted(replace(record, **move), share))
    with pytest.raises(BadSignature):
        verify_cloud_share_deposit(moved, share, share_signature)


def test_a_deposit_of_another_share_is_refused() -> None:
    record, share, share_signature = new_grant()
    other = bytes(32)
    with pytest.raises(BadSignature):
        verify_cloud_share_deposit(record, other, share_signature)
    with pytest.raises(BadSignature):
        verify_cloud_share_deposit(record, share, bytes(64))
    by_owner = OWNER.sign("cloud-share", *rights._parties_of(record).parts, other)
    with pytest.raises(BadSeal):
        verify_cloud_share_deposit(record, other, by_owner)


def test_another_viewer_cannot_open_a_copied_record() -> None:
    record, share, _ = new_grant()
    for thief in (STRANGER, OWNER, Identity(STRANGER.signing_private, VIEWER.session_private)):
        with pytest.raises(BadSeal):
            unlock(record, thief, share)
    moved_keys = Identity(VIEWER.signing_private, STRANGER.session_private)
    with pytest.raises(BadSeal):
        unlock(record, moved_keys, share)


def test_neither_share_opens_anything_alone() -> None:
    record, share, _ = new_grant()
    owner_share = open_owner_share(record, VIEWER)
    for wrong in (bytes(32), owner_share, share[:-1], b"", share + b"\0"):
        with pytest.raises(BadSeal, match="not the one committed to"):
            unlock(record, VIEWER, wrong)


def test_the_content_key_hangs_on_both_shares() -> None:
    """Commitments that fit other shares do not help: the key is wrapped under the two that were drawn."""
    record, share, _ = new_grant()
    with pytest.raises(BadSeal, match="wrapped content key"):
        unlock(signed_again(OWNER, recommitted(record, bytes(32))), VIEWER, bytes(32))
    context = rights._parties_of(record).framed("owner-share")
    resealed = replace(record, owner_share=rights.seal_to(VIEWER.public.session_key, bytes(32), context=context))
    with pytest.raises(BadSeal, match="wrapped content key"):
        unlock(signed_again(OWNER, resealed), VIEWER, share)


def test_another_content_key_than_the_one_committed_to_is_refused() -> None:
    """An owner could otherwise show two viewers two pictures under one record's word."""
    record, share, _ = new_grant()
    lying = signed_again(
        OWNER, replace(record, key_commitment=rights._key_commitment(IMAGE, OWNER.public.signing_key, bytes(32)))
    )
    with pytest.raises(BadSeal, match="not the one committed to"):
        unlock(lying, VIEWER, share)


# --- Making and changing ---------------------------------------------------------------------------------------------
def grant_with(**given: object) -> object:
    values: dict[str, object] = {
        "grant_id": GRANT,
        "image_id": IMAGE,
        "content_key": CONTENT_KEY,
        "granted": 5,
        "expires": None,
        "entropy": Entropy(),
    }
    viewer = given.pop("viewer", VIEWER.public)
    return create_grant(OWNER, viewer, **(values | given))  # type: ignore[arg-type]


@pytest.mark.parametrize("granted", [-1, MAX_VIEWS + 1])
def test_a_grant_has_a_number_of_views(granted: int) -> None:
    with pytest.raises(InvalidInput):
        grant_with(granted=granted)
    with pytest.raises(InvalidInput):
        change_rights(OWNER, new_record(), granted=granted)


@pytest.mark.parametrize("expires", [0.0, -1.0, 0.0001, 2e11, float("inf"), float("nan")])
def test_an_expiry_is_a_time(expires: float) -> None:
    with pytest.raises(InvalidInput):
        grant_with(expires=expires)
    with pytest.raises(InvalidInput):
        change_rights(OWNER, new_record(), expires=expires)


@pytest.mark.parametrize(
    "given",
    [
        {"grant_id": "xyz"},
        {"image_id": "A" * 32},
        {"grant_id": "../" + "a" * 29},
        {"content_key": b"short"},
        {"entropy": bytes},
        {"entropy": lambda _: b"short"},
    ],
)
def test_misuse_is_told(given: dict[str, object]) -> None:
    with pytest.raises(LocalError):
        grant_with(**given)


def test_no_grant_to_keys_that_do_not_hold_together() -> None:
    """A cloud that swaps the session key of an account would otherwise read every grant to it."""
    swapped = PublicIdentity(VIEWER.public.signing_key, STRANGER.public.session_key, VIEWER.public.session_signature)
    with pytest.raises(BadSignature):
        grant_with(viewer=swapped)


def test_a_grant_to_a_session_key_of_low_order_is_refused() -> None:
    weak = bytes(32)
    viewer = PublicIdentity(VIEWER.public.signing_key, weak, VIEWER.sign("session-key", weak))
    viewer.verify()
    with pytest.raises(RemoteError):
        grant_with(viewer=viewer)


def test_a_change_keeps_what_is_not_given_and_grows_the_version() -> None:
    record = new_record(granted=5, expires=1_800_000_000.0)
    same = change_rights(OWNER, record)
    assert (same.version, same.granted, same.expires, same.revoked) == (2, 5, 1_800_000_000.0, False)
    more = change_rights(OWNER, same, granted=9)
    assert (more.version, more.granted, more.expires) == (3, 9, 1_800_000_000.0)
    forever = change_rights(OWNER, more, expires=None)
    assert (forever.version, forever.granted, forever.expires) == (4, 9, None)
    ended = change_rights(OWNER, forever, revoked=True)
    assert (ended.version, ended.granted, ended.revoked) == (5, 9, True)
    for changed in (same, more, forever, ended):
        verify_record(changed)
        assert changed.fixed() == record.fixed()


def test_a_lowered_total_lowers_the_display() -> None:
    assert change_rights(OWNER, with_left(new_record(granted=9), 8), granted=3).left == 3


def test_a_revocation_is_final() -> None:
    ended = change_rights(OWNER, new_record(), revoked=True)
    assert change_rights(OWNER, ended, granted=0).revoked
    with pytest.raises(InvalidInput):
        change_rights(OWNER, ended, revoked=False)


def test_only_the_owner_changes_rights() -> None:
    for somebody in (VIEWER, STRANGER):
        with pytest.raises(LocalError):
            change_rights(somebody, new_record(), granted=99)


# --- Which record counts ---------------------------------------------------------------------------------------------
def test_only_a_higher_version_supersedes() -> None:
    first = new_record()
    second = change_rights(OWNER, first, granted=9)
    third = change_rights(OWNER, second, revoked=True)
    assert supersedes(first, second)
    assert supersedes(first, third)
    assert supersedes(second, third)
    assert not supersedes(second, first)
    assert not supersedes(second, second)
    assert not supersedes(third, second)
    assert not supersedes(second, change_rights(OWNER, first, granted=1))


@pytest.mark.parametrize(
    "field", ["grant_id", "image_id", "viewer_key", "wrapped_key", "owner_share", "key_commitment", "share_commitment"]
)
def test_a_later_record_changes_rights_and_nothing_else(field: str) -> None:
    record = new_record()
    later = signed_again(OWNER, replace(record, version=2, **{field: TAMPERED[field]}))
    with pytest.raises(MalformedMessage):
        supersedes(record, later)


def test_a_stranger_cannot_supersede() -> None:
    record = new_record()
    stolen = signed_again(STRANGER, replace(record, version=9, owner_key=STRANGER.public.signing_key))
    verify_record(stolen)
    with pytest.raises(MalformedMessage):
        supersedes(record, stolen)


def test_a_viewer_cannot_grant_itself_views() -> None:
    """The reference takes new rights from whoever sends a datagram."""
    record = new_record()
    with pytest.raises(BadSignature):
        supersedes(record, signed_again(VIEWER, replace(record, version=2, granted=MAX_VIEWS)))


def test_a_later_record_cannot_undo_a_revocation() -> None:
    ended = change_rights(OWNER, new_record(), revoked=True)
    undone = signed_again(OWNER, replace(ended, version=ended.version + 1, revoked=False))
    with pytest.raises(MalformedMessage):
        supersedes(ended, undone)


# --- The owner's own copy --------------------------------------------------------------------------------------------
def test_an_owner_opens_the_own_record() -> None:
    record = create_owner_record(OWNER, image_id=IMAGE, content_key=CONTENT_KEY)
    verify_record(record)
    assert unlock_own(decode_any_record(encode_record(record)), OWNER) == CONTENT_KEY


def test_nobody_else_opens_the_owners_record() -> None:
    record = create_owner_record(OWNER, image_id=IMAGE, content_key=CONTENT_KEY)
    for thief in (STRANGER, Identity(STRANGER.signing_private, OWNER.session_private)):
        with pytest.raises(BadSeal):
            unlock_own(record, thief)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scheme", 2),
        ("image_id", OTHER_IMAGE),
        ("owner_key", STRANGER.public.signing_key),
        ("sealed_key", bytes(80)),
        ("key_commitment", bytes(32)),
        ("signature", bytes(64)),
    ],
)
def test_the_signature_covers_every_field_of_the_owners_record(field: str, value: object) -> None:
    record = create_owner_record(OWNER, image_id=IMAGE, content_key=CONTENT_KEY)
    with pytest.raises(BadSignature):
        unlock_own(replace(record, **{field: value}), OWNER)


def test_an_owners_record_moved_to_another_image_does_not_open() -> None:
    record = replace(
        create_owner_record(OWNER, image_id=IMAGE, content_key=CONTENT_KEY),
        image_id=OTHER_IMAGE,
        key_commitment=rights._key_commitment(OTHER_IMAGE, OWNER.public.signing_key, CONTENT_KEY),
    )
    moved = replace(record, signature=OWNER.sign("owner-record", *parts_of(record)))
    with pytest.raises(BadSeal, match="seal that does not open"):
        unlock_own(moved, OWNER)


def test_an_owners_record_commits_to_its_key() -> None:
    record = replace(create_owner_record(OWNER, image_id=IMAGE, content_key=CONTENT_KEY), key_commitment=bytes(32))
    lying = replace(record, signature=OWNER.sign("owner-record", *parts_of(record)))
    with pytest.raises(BadSeal, match="not the one committed to"):
        unlock_own(lying, OWNER)


# --- Kinds -----------------------------------------------------------------------------------------------------------
def test_kinds_of_records_are_told_apart() -> None:
    granted, own = (
        encode_record(new_record()),
        encode_record(create_owner_record(OWNER, image_id=IMAGE, content_key=CONTENT_KEY)),
    )
    assert isinstance(decode_any_record(granted), RightsRecord)
    assert isinstance(decode_any_record(own), OwnerRecord)
    with pytest.raises(MalformedMessage):
        decode_record(own)


def test_grants_to_many_viewers_are_independent() -> None:
    viewers = [person(f"viewer {number}") for number in range(4)]
    grants = [new_grant(viewer=viewer, grant_id=f"{number:032x}") for number, viewer in enumerate(viewers)]
    for mine, viewer in zip(grants, viewers, strict=True):
        for other in grants:
            if other is mine:
                assert unlock(mine.record, viewer, mine.cloud_share) == CONTENT_KEY
            else:
                with pytest.raises(BadSeal):
                    unlock(other.record, viewer, other.cloud_share)
                with pytest.raises(BadSeal):
                    unlock(mine.record, viewer, other.cloud_share)
