import zlib

import numpy as np
import pytest

from shared.stego.deflate import Code, Compressor, DamagedTable, code_lengths, codes_of, read_table, table_of

RANDOM = np.random.default_rng(3)
KINDS = {
    "grain": lambda count: RANDOM.binomial(4, 0.5, count).astype(np.uint8) - 2,
    "noise": lambda count: RANDOM.integers(0, 256, count, dtype=np.uint8),
    "one value": lambda count: np.full(count, 7, dtype=np.uint8),
    "rare values": lambda count: np.where(RANDOM.random(count) < 0.001, RANDOM.integers(0, 256, count), 0).astype("u1"),
    "steep": lambda count: RANDOM.geometric(0.5, count).clip(1, 40).astype(np.uint8),
}


def compressed(*blocks):
    compressor = Compressor()
    return b"".join(compressor.block(block, last=block is blocks[-1]) for block in blocks)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [300, 301, 302, 303, 40_000, 200_001])
def test_zlib_reads_what_was_written(kind, count):
    blocks = [KINDS[kind](count), KINDS[kind](count // 3 + 40)]
    assert zlib.decompress(compressed(blocks[0]), wbits=-15) == blocks[0].tobytes()
    assert zlib.decompress(compressed(*blocks), wbits=-15) == b"".join(block.tobytes() for block in blocks)


@pytest.mark.parametrize("kind", ["grain", "noise", "steep"])
def test_it_is_as_small_as_what_zlib_makes_without_strings(kind):
    data = KINDS[kind](200_000)
    other = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    assert len(compressed(data)) < 1.02 * len(other.compress(data.tobytes()) + other.flush())


def test_bytes_two_beside_those_that_occur_have_codes_too():
    """A record that is written later moves bytes by up to that."""
    data = np.tile(np.array([100, 250, 2, 253], dtype=np.uint8), 1000)
    lengths = Code.fitting(data[40:]).literal_lengths
    assert all(lengths[value] for value in (98, 102, 248, 252, 0, 4, 251, 255))


@pytest.mark.parametrize("limit", [7, 15])
def test_no_code_is_longer_than_allowed_and_all_are_complete(limit):
    fibonacci = [1, 1]
    while len(fibonacci) < 40:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    lengths = code_lengths([0, *fibonacci, 0], limit)
    assert max(lengths) == limit
    assert lengths[0] == lengths[-1] == 0
    assert sum(2.0**-length for length in lengths if length) == 1.0
    assert len(set(zip(codes_of(lengths), lengths, strict=True))) == len(fibonacci) + 1


def test_a_table_is_read_as_it_was_written():
    for kind in KINDS:
        code = Code.fitting(KINDS[kind](5_000))
        value, bits = table_of(code)
        data = (value << 5).to_bytes(-(-(bits + 5) // 8), "little")
        found, at = read_table(data, 5)
        assert (found, at) == (code, bits + 5)


def test_tables_do_not_all_begin_alike():
    tables = [table_of(Code.fitting(KINDS["grain"](5_000)))[0] for _ in range(40)]
    assert len({table & 0xFF for table in tables}) >= 6
    assert len({table & (1 << 64) - 1 for table in tables}) >= 10


@pytest.mark.parametrize("data", [b"", b"\x00" * 40, b"\xff" * 400, b"\x04" + bytes(300)])
def test_what_is_no_table_is_said_to_be_none(data):
    with pytest.raises(DamagedTable):
        read_table(data, 0)


def test_bits_are_counted_as_they_are_written():
    data = KINDS["steep"](9_999)
    code = Code.fitting(data)
    encoded, bits = code.encode(data)
    assert code.bits(data) == bits
    assert len(encoded) == -(-bits // 8)
    behind, more = code.encode(data, rest=5, bits=3)
    assert more == bits + 3
    assert int.from_bytes(behind, "little") == int.from_bytes(encoded, "little") << 3 | 5
