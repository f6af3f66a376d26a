"""What is fuzzed takes its seeds, whatever once found something, and damage of each kind; without the fuzzer itself."""

import random

import pytest

from tests.fuzz import FOUND
from tests.fuzz.targets import TARGETS

_DAMAGED = 40


def damaged(seed: bytes, random_: random.Random) -> bytes:
    data = bytearray(seed or b"\x00")
    for _ in range(random_.randrange(1, 6)):
        at = random_.randrange(len(data))
        match random_.randrange(4):
            case 0:
                data[at] ^= 1 << random_.randrange(8)
            case 1:
                data[at:at] = random_.randbytes(random_.randrange(1, 9))
            case 2 if len(data) > 8:
                del data[at : at + random_.randrange(1, 9)]
            case _:
                data[at : at + 4] = random_.choice([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"[[[["])
        data = data or bytearray(1)
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_ends_with_a_value_or_an_error_of_the_program(name: str) -> None:
    target, random_ = TARGETS[name], random.Random(name)
    seeds = target.seeds()
    for seed in seeds:
        assert len(seed) <= target.most_bytes
        target.run(seed)
    for _ in range(_DAMAGED):
        target.run(damaged(random_.choice(seeds), random_))


@pytest.mark.parametrize("path", sorted(FOUND.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name[:20]}")
def test_what_was_found_once_is_mended(path) -> None:
    TARGETS[path.parent.name].run(path.read_bytes())
