"""Identities: what is signed holds for exactly that, and private keys never show."""

import itertools
from dataclasses import replace

import pytest

from shared.errors import BadSignature, LocalError
from shared.framing import framed
from shared.identity import WORDS, Identity, PublicIdentity, fingerprint_of, signed_bytes, verify_signature, words_of
from tests.unit.rights_samples import OWNER, STRANGER, Entropy, person


def test_a_signature_holds_for_its_domain_and_parts() -> None:
    signature = OWNER.sign("register", b"cluster", b"name")
    verify_signature(OWNER.public.signing_key, signature, "register", b"cluster", b"name")


@pytest.mark.parametrize(
    ("domain", "parts"),
    [
        ("sign-in", (b"cluster", b"name")),
        ("register", (b"cluster", b"nam")),
        ("register", (b"clustern", b"ame")),
        ("register", (b"name", b"cluster")),
        ("register", (b"cluster", b"name", b"")),
        ("register", (b"clustername",)),
    ],
)
def test_a_signature_holds_for_nothing_else(domain: str, parts: tuple[bytes, ...]) -> None:
    signature = OWNER.sign("register", b"cluster", b"name")
    with pytest.raises(BadSignature):
        verify_signature(OWNER.public.signing_key, signature, domain, *parts)


def test_a_signature_is_one_keys() -> None:
    signature = OWNER.sign("register", b"name")
    with pytest.raises(BadSignature):
        verify_signature(STRANGER.public.signing_key, signature, "register", b"name")


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65), b"\xff" * 64])
def test_bytes_that_are_no_signature_are_refused(signature: bytes) -> None:
    with pytest.raises(BadSignature):
        verify_signature(OWNER.public.signing_key, signature, "register", b"name")


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), b"\xff" * 32])
def test_bytes_that_are_no_key_are_refused(key: bytes) -> None:
    with pytest.raises(BadSignature):
        verify_signature(key, OWNER.sign("register"), "register")


def test_signed_bytes_are_never_those_of_another_use() -> None:
    """A commitment, a context of a seal and a signature over the same parts must not share their bytes."""
    assert signed_bytes("cloud-share", b"x") != framed("cloud-share", b"x")


@pytest.mark.parametrize("domain", ["", "é", "x" * 65])
def test_a_domain_is_short_ascii(domain: str) -> None:
    with pytest.raises(LocalError):
        framed(domain)


def test_framing_tells_every_list_of_parts_apart() -> None:
    lists = [
        (),
        (b"",),
        (b"", b""),
        (b"a",),
        (b"a", b""),
        (b"", b"a"),
        (b"aa",),
        (b"a", b"a"),
        (bytes(8),),
        (bytes(16),),
    ]
    forms = [framed(domain, *parts) for domain in ("d", "da") for parts in lists]
    assert len(set(forms)) == len(forms)


def test_a_public_identity_proves_its_session_key() -> None:
    OWNER.public.verify()


@pytest.mark.parametrize(
    "change",
    [
        {"session_key": STRANGER.public.session_key},
        {"session_signature": STRANGER.public.session_signature},
        {"signing_key": STRANGER.public.signing_key},
        {"session_key": b""},
        {"session_signature": b""},
        {"signing_key": b""},
    ],
)
def test_a_public_identity_with_a_foreign_part_is_refused(change: dict[str, bytes]) -> None:
    with pytest.raises(BadSignature):
        replace(OWNER.public, **change).verify()


def test_a_signed_session_key_of_the_wrong_length_is_refused() -> None:
    short = bytes(31)
    with pytest.raises(BadSignature, match="length"):
        PublicIdentity(OWNER.public.signing_key, short, OWNER.sign("session-key", short)).verify()


def test_no_other_signature_passes_as_that_of_a_session_key() -> None:
    forged = replace(OWNER.public, session_signature=OWNER.sign("register", OWNER.public.session_key))
    with pytest.raises(BadSignature):
        forged.verify()


def test_private_keys_never_show() -> None:
    for shown in (repr(OWNER), str(OWNER), f"{OWNER}", repr({"identity": OWNER})):
        assert OWNER.public.words in shown
        for secret in (OWNER.signing_private, OWNER.session_private):
            assert secret.hex() not in shown
            assert repr(secret)[2:-1] not in shown


@pytest.mark.parametrize("keys", [(b"", bytes(32)), (bytes(32), bytes(31)), (bytes(33), bytes(32))])
def test_private_keys_have_their_length(keys: tuple[bytes, bytes]) -> None:
    with pytest.raises(LocalError):
        Identity(*keys)


def test_generated_identities_differ() -> None:
    first, second = Identity.generate(), Identity.generate()
    assert first != second
    assert len({first.signing_private, first.session_private, second.signing_private, second.session_private}) == 4
    first.public.verify()


def test_generation_takes_the_entropy_that_is_handed_in() -> None:
    assert Identity.generate(Entropy()) == Identity.generate(Entropy())


def test_fingerprints() -> None:
    key = OWNER.public.signing_key
    assert len(fingerprint_of(key)) == 32
    assert OWNER.public.words == words_of(key)
    assert words_of(key).split() == [WORDS[byte] for byte in fingerprint_of(key)[:8]]
    assert len({words_of(person(str(number)).public.signing_key) for number in range(50)}) == 50


def test_words_of_a_known_key_never_change() -> None:
    """People wrote them down."""
    assert (
        PublicIdentity(bytes(range(32)), b"", b"").words == "vanilla laurel lantern autumn pretzel autumn scarf sandal"
    )


def test_the_words_are_short_distinct_and_in_order() -> None:
    assert len(WORDS) == 256
    assert list(WORDS) == sorted(set(WORDS))
    assert all(word.isascii() and word.isalpha() and word.islower() and 4 <= len(word) <= 7 for word in WORDS)


def test_no_two_words_are_one_letter_apart() -> None:
    def shapes(word: str) -> set[str]:
        return {word[:i] + "?" + word[i + 1 :] for i in range(len(word))}

    for first, second in itertools.combinations(WORDS, 2):
        assert not shapes(first) & shapes(second), (first, second)
    shorter = {(word[:i] + word[i + 1 :], word) for word in WORDS for i in range(len(word))}
    assert not [word for cut, word in shorter if cut in WORDS]
