import numpy as np
import pytest

from shared.config import MAX_SEALED_BYTES, TWO_BITS_ABOVE_BYTES
from shared.errors import DamagedStego, LocalError
from shared.stego import payload as hidden
from shared.stego.payload import HEADER_CHANNELS, bits_per_channel_for, capacity, embed, extract, read_header

KEY = bytes(range(16))


def body(channels, seed=1):
    return np.random.default_rng(seed).integers(0, 256, channels, dtype=np.uint8)


def ciphertext(size, seed=2):
    return np.random.default_rng(seed).bytes(size)


@pytest.mark.parametrize("fill", [0.001, 0.1, 0.25, 0.49, 0.5, 0.51, 0.75, 1.0])
def test_what_goes_in_comes_out_at_every_fill(fill):
    channels = body(40_000)
    payload = ciphertext(max(1, int(capacity(len(channels), 1) * fill)))
    embed(channels, payload, KEY)
    assert extract(channels, KEY) == payload


@pytest.mark.parametrize("size", [1, 2, 1_249, 9_999])
def test_two_bits_are_taken_where_one_does_not_hold_it(size):
    channels = body(HEADER_CHANNELS + size * 4)
    payload = ciphertext(size)
    before = channels.copy()
    embed(channels, payload, KEY)
    assert read_header(channels).bits_per_channel == 2
    assert extract(channels, KEY) == payload
    assert np.abs(channels.astype(int) - before).max() <= 3


def test_two_bits_are_taken_for_large_payloads_only():
    plenty = 80_000_000
    assert bits_per_channel_for(TWO_BITS_ABOVE_BYTES, plenty) == 1
    assert bits_per_channel_for(TWO_BITS_ABOVE_BYTES + 1, plenty) == 2


@pytest.mark.parametrize("size", [80_000, 150_000, TWO_BITS_ABOVE_BYTES + 5])
def test_payloads_of_several_blocks(size):
    channels = body(size * 17)
    payload = ciphertext(size)
    embed(channels, payload, KEY)
    assert extract(channels, KEY) == payload


def test_one_bit_moves_a_channel_by_one_at_most_and_half_of_them():
    channels = body(100_000)
    before = channels.copy()
    embed(channels, ciphertext(capacity(len(channels), 1)), KEY)
    steps = channels.astype(int) - before
    assert set(np.unique(steps)) == {-1, 0, 1}
    assert 0.48 < np.count_nonzero(steps) / len(steps) < 0.52


def test_steps_go_up_as_often_as_down_for_even_and_odd_values():
    """Replacement of bits only ever raises even values and lowers odd ones; that is what analysis looks for."""
    channels = body(200_000)
    before = channels.copy()
    embed(channels, ciphertext(capacity(len(channels), 1)), KEY)
    steps = channels.astype(int) - before
    for parity in (0, 1):
        moved = steps[(before % 2 == parity) & (steps != 0) & (before > 0) & (before < 255)]
        assert 0.48 < np.mean(moved == 1) < 0.52


@pytest.mark.parametrize("bits", [1, 2])
def test_every_step_is_the_smallest_that_gives_the_symbol(bits):
    modulus = 1 << bits
    table = hidden._matching_table(bits).reshape(2, 256, modulus).astype(int)
    for value in range(256):
        for symbol in range(modulus):
            nearest = min(abs(new - value) for new in range(symbol, 256, modulus))
            for coin in (0, 1):
                new = table[coin, value, symbol]
                assert new % modulus == symbol
                assert abs(new - value) == nearest
    halfway = modulus // 2
    assert (table[0, 128, halfway], table[1, 128, halfway]) == (128 - halfway, 128 + halfway)


@pytest.mark.parametrize("value", [0, 255])
def test_saturated_covers_do_not_wrap_round(value):
    channels = np.full(4_000, value, dtype=np.uint8)
    payload = ciphertext(capacity(4_000, 2))
    embed(channels, payload, KEY)
    assert extract(channels, KEY) == payload
    assert np.abs(channels.astype(int) - value).max() <= 3


def test_result_depends_on_key_cover_and_payload_only():
    one, two, other = body(50_000), body(50_000), body(50_000)
    payload = ciphertext(500)
    embed(one, payload, KEY)
    embed(two, payload, KEY)
    embed(other, payload, bytes(16))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_positions_are_the_same_in_every_version():
    """The reader must draw the offsets that the writer drew, on another machine and years later: a known answer."""
    offsets = hidden._Stream(KEY, b"offsets")
    assert hidden._places(0, 8, 8, 300, offsets).tolist() == [25, 71, 100, 147, 150, 218, 242, 275]
    channels = np.full(5_000, 100, dtype=np.uint8)
    embed(channels, b"glimpse", KEY)
    assert np.flatnonzero(channels != 100)[-5:].tolist() == [4286, 4473, 4485, 4773, 4985]


def test_positions_spread_over_the_whole_body_below_half_fill():
    channels, before = body(100_000), body(100_000)
    embed(channels, ciphertext(1_000), KEY)
    changed = np.flatnonzero(channels != before)
    assert changed[-1] > 99_900
    counts, _ = np.histogram(changed, bins=10, range=(HEADER_CHANNELS, 100_000))
    assert counts.min() > 0.6 * counts.mean()


@pytest.mark.parametrize(
    ("payload", "channels"), [(b"", 5_000), (b"x" * 1_219, 5_000), (b"x", 100), (b"x", HEADER_CHANNELS + 3)]
)
def test_payloads_that_do_not_fit_are_our_own_mistake(payload, channels):
    with pytest.raises(LocalError, match="does not fit"):
        embed(body(channels), payload, KEY)


@pytest.mark.parametrize("key", [b"", b"x" * 15, b"x" * 17])
def test_keys_have_sixteen_bytes(key):
    with pytest.raises(LocalError):
        embed(body(5_000), b"x", key)
    with pytest.raises(LocalError):
        extract(body(5_000), key)


def test_another_key_opens_nothing():
    channels = body(50_000)
    embed(channels, ciphertext(500), KEY)
    with pytest.raises(DamagedStego, match="ask the owner"):
        extract(channels, bytes(16))


def test_one_flipped_bit_is_noticed():
    channels = body(9_000)
    embed(channels, ciphertext(capacity(9_000, 1)), KEY)
    channels[-100] ^= 1
    with pytest.raises(DamagedStego):
        extract(channels, KEY)


def test_a_body_without_a_header_is_damage():
    for channels in (0, 10, HEADER_CHANNELS, 20_000):
        with pytest.raises(DamagedStego):
            extract(body(channels), KEY)


def test_a_header_that_promises_more_than_there_is_is_damage():
    channels = body(400_000)
    embed(channels, ciphertext(40_000), KEY)
    with pytest.raises(DamagedStego):
        extract(channels[:100_000], KEY)


def test_the_largest_sealed_picture_fits_the_largest_cover():
    assert capacity(15_900_000 * 3, 2) >= MAX_SEALED_BYTES
