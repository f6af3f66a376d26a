"""Fingerprints of accounts: 32 bytes for programs, eight words for people to compare aloud."""

from hashlib import sha256
from typing import Final

from shared.framing import framed

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


def fingerprint_of(signing_key: bytes) -> bytes:
    """Return the SHA-256 of an Ed25519 public key, domain separated."""
    return sha256(framed("fingerprint", signing_key)).digest()


def words_of(signing_key: bytes) -> str:
    """Return the fingerprint's first `FINGERPRINT_WORDS` bytes as words, parted by blanks."""
    return " ".join(WORDS[byte] for byte in fingerprint_of(signing_key)[:FINGERPRINT_WORDS])
