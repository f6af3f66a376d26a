"""Identities: an account is a key pair for signing (Ed25519, RFC 8032) and one for sessions (X25519, RFC 7748).

The signing key is what an account is; the session key carries its signature, so that whoever trusts the fingerprint of
the one can trust sessions with the other. A fingerprint is 32 bytes for programs, eight words for people to compare.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_bytes
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from shared.errors import BadSignature, LocalError
from shared.framing import framed

KEY_BYTES: Final = 32
_SESSION_KEY_DOMAIN: Final = "session-key"
FINGERPRINT_WORDS: Final = 8
"""Eight words of 256 are 64 bits: an impostor must make some 2^64 key pairs to meet one given account's words."""

_WORD_LIST: Final = """
    acorn album almond amber anchor apple apron arrow atlas attic autumn avocado bagel bakery balcony bamboo banjo
    barrel basket beacon bicycle biscuit blanket blossom bonnet bottle branch breeze bridge bronze bubble bucket
    butter cabin cactus camera canal candle canoe canvas caramel carpet carrot castle cedar ceiling cello cherry
    chimney citrus cliff clover cobalt cocoa coconut comet compass copper coral cotton crayon cricket crystal
    curtain cushion dahlia dancer denim desert diamond dolphin domino donkey dragon drawer drum eagle easel eclipse
    emerald engine fabric falcon feather fennel fiddle finch flute forest fossil galaxy garden garlic gazelle ginger
    giraffe glacier glove goblet gondola grape guitar hammock harbor harvest hazel hedge helmet heron hickory honey
    horizon indigo island ivory jacket jasmine jigsaw jungle juniper kayak kernel kettle kitchen kitten koala lagoon
    lantern laurel lemon lettuce library lilac linen llama lobster lotus magnet mango maple marble market meadow
    melon mirror mosaic muffin museum mustard napkin nectar needle noodle nutmeg oasis ocean octopus olive onion
    opera orange orchid otter oyster paddle palace panda paper parade pasta peach peanut pebble pelican pencil
    penguin pepper piano picnic pillow pilot planet plum pocket poppy prairie pretzel prism pudding pumpkin puzzle
    quartz quilt rabbit radio rainbow raven ribbon river robin salmon sandal scarf scooter sheep shovel silver
    sketch snow sparrow spoon stable statue sugar summer sunset sweater syrup teapot temple tennis thimble tiger
    timber toast tomato topaz tractor trumpet tulip tunnel turtle valley vanilla velvet village violin volcano
    waffle wagon walnut walrus water whale wheat whistle window winter wizard yacht yellow yogurt zebra zephyr
    zigzag zipper
"""
WORDS: Final = tuple(_WORD_LIST.split())
"""256 short everyday words in order, no two of which are one letter apart. A byte of a fingerprint is the place of its
word."""


def public_key(session_private: bytes) -> bytes:
    """Return the X25519 public key of 32 private bytes."""
    return X25519PrivateKey.from_private_bytes(session_private).public_key().public_bytes_raw()


def fingerprint_of(signing_key: bytes) -> bytes:
    """Return the SHA-256 of an Ed25519 public key, domain separated."""
    return sha256(framed("fingerprint", signing_key)).digest()


def words_of(signing_key: bytes) -> str:
    """Return the fingerprint's first `FINGERPRINT_WORDS` bytes as words, parted by blanks."""
    return " ".join(WORDS[byte] for byte in fingerprint_of(signing_key)[:FINGERPRINT_WORDS])


def signed_bytes(domain: str, *parts: bytes) -> bytes:
    """Return what a signature over `parts` in `domain` covers: unambiguous, length-prefixed, versioned."""
    return framed("signed " + domain, *parts)


def verify_signature(signing_key: bytes, signature: bytes, domain: str, *parts: bytes) -> None:
    """Check a signature that `Identity.sign` makes. Raises `BadSignature` if it is not that key's over just this."""
    try:
        Ed25519PublicKey.from_public_bytes(signing_key).verify(signature, signed_bytes(domain, *parts))
    except (InvalidSignature, ValueError):
        raise BadSignature(f"a signature ({domain}) that does not hold") from None


@dataclass(frozen=True, slots=True)
class PublicIdentity:
    """What others know of an account: its keys. Nothing is proven before `verify`."""

    signing_key: bytes
    """Ed25519, 32 bytes."""
    session_key: bytes
    """X25519, 32 bytes."""
    session_signature: bytes
    """The signing key's signature over the session key, 64 bytes."""

    def verify(self) -> None:
        """Check that the session key belongs to the signing key. Raises `BadSignature` if not."""
        if len(self.session_key) != KEY_BYTES:
            raise BadSignature("a session key of the wrong length")
        verify_signature(self.signing_key, self.session_signature, _SESSION_KEY_DOMAIN, self.session_key)

    @property
    def words(self) -> str:
        """The fingerprint as eight short words, for people to compare."""
        return words_of(self.signing_key)


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """An account's own key pairs. Its `repr` never shows private keys."""

    signing_private: bytes
    """Ed25519, the 32 bytes of the seed."""
    session_private: bytes
    """X25519, 32 bytes."""
    public: PublicIdentity = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if (len(self.signing_private), len(self.session_private)) != (KEY_BYTES, KEY_BYTES):
            raise LocalError(f"private keys have {KEY_BYTES} bytes each")
        signing_key = self._signer().public_key().public_bytes_raw()
        session_key = public_key(self.session_private)
        signature = self.sign(_SESSION_KEY_DOMAIN, session_key)
        object.__setattr__(self, "public", PublicIdentity(signing_key, session_key, signature))

    def __repr__(self) -> str:
        return f"Identity({self.public.words!r})"

    @classmethod
    def generate(cls, entropy: Callable[[int], bytes] = token_bytes) -> Self:
        """Return a fresh identity. `entropy` yields secret random bytes, by default the system's."""
        return cls(entropy(KEY_BYTES), entropy(KEY_BYTES))

    def sign(self, domain: str, *parts: bytes) -> bytes:
        """Return the signature of 64 bytes over `parts` in `domain`; deterministic (RFC 8032)."""
        return self._signer().sign(signed_bytes(domain, *parts))

    def _signer(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.signing_private)
