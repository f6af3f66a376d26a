import numpy as np
import pytest

from shared.config import MAX_SEALED_BYTES, TWO_BITS_ABOVE_BYTES
from shared.errors import DamagedStego, LocalError
from shared.stego import payload as hidden
from shared.stego.keyed import Stream
from shared.stego.payload import code_for, embed, extract, read_header
from shared.stego.sizes import HEADER_CHANNELS, TWO_BITS, capacity

KEY = bytes(range(16))


def body(channels, seed=1):
    return np.random.default_rng(seed).integers(0, 256, channels, dtype=np.uint8)


def ciphertext(size, seed=2):
    return np.random.default_rng(seed).bytes(size)


@pytest.mark.parametrize("fill", [0.001, 0.1, 0.25, 0.49, 0.5, 0.51, 0.75, 1.0])
def test_what_goes_in_comes_out_at_every_fill(fill):
    channels = body(40_000)
    payload = ciphertext(max(1, int(capacity(len(channels), 2) * fill)))
    embed(channels, payload, KEY)
    assert extract(channels, KEY) == payload


@pytest.mark.parametrize("code", [2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("left_over", [0, 1, 2])
def test_every_code_full_to_the_brim_and_almost(code, left_over):
    """With 3, 5, 6 or 7 bits a symbol, bytes end in the middle of one."""
    channels = body(50_000).clip(1, 254)
    payload = ciphertext(capacity(len(channels), code) - left_over)
    assert code_for(len(payload), len(channels)) == code
    before = channels.copy()
    embed(channels, payload, KEY)
    assert read_header(channels, KEY).code == code
    assert extract(channels, KEY) == payload
    assert np.abs(channels.astype(int) - before).max() == 1


@pytest.mark.parametrize(("code", "most"), [(2, 0.38), (3, 0.30), (4, 0.24), (5, 0.20), (6, 0.17), (7, 0.15)])
def test_each_code_changes_fewer_channels_for_a_bit(code, most):
    channels = body(200_000)
    before, payload = channels.copy(), ciphertext(capacity(len(channels), code))
    embed(channels, payload, KEY)
    assert np.count_nonzero(channels != before) / (8 * len(payload)) < most


@pytest.mark.parametrize("size", [1, 2, 1_249, 9_999])
def test_two_bits_are_taken_where_one_does_not_hold_it(size):
    channels = body(HEADER_CHANNELS + size * 4)
    payload = ciphertext(size)
    before = channels.copy()
    embed(channels, payload, KEY)
    assert read_header(channels, KEY).code == TWO_BITS
    assert extract(channels, KEY) == payload
    assert np.abs(channels.astype(int) - before).max() <= 3


def test_two_bits_are_taken_for_large_payloads_only():
    plenty = 80_000_000
    assert code_for(TWO_BITS_ABOVE_BYTES, plenty) > 1
    assert code_for(TWO_BITS_ABOVE_BYTES + 1, plenty) == TWO_BITS


@pytest.mark.parametrize("size", [80_000, 150_000, TWO_BITS_ABOVE_BYTES + 5])
def test_payloads_of_several_blocks(size, monkeypatch):
    monkeypatch.setattr(hidden, "_BLOCK_SYMBOLS", 1 << 15)
    channels = body(size * 17)
    payload = ciphertext(size)
    embed(channels, payload, KEY)
    whole = channels.copy()
    assert extract(channels, KEY) == payload
    monkeypatch.undo()
    assert extract(whole, KEY) == payload


def test_steps_go_up_as_often_as_down_for_even_and_odd_values():
    """Replacement of bits only ever raises even values and lowers odd ones; that is what analysis looks for."""
    channels = body(200_000).clip(1, 254)
    before = channels.copy()
    embed(channels, ciphertext(capacity(len(channels), 2)), KEY)
    steps = channels.astype(int) - before
    assert set(np.unique(steps)) == {-1, 0, 1}
    for parity in (0, 1):
        moved = steps[(before % 2 == parity) & (steps != 0)]
        assert 0.48 < np.mean(moved == 1) < 0.52


@pytest.mark.parametrize("bits", [1, 2])
def test_every_step_is_the_smallest_that_gives_the_low_bits(bits):
    modulus, coins = 1 << bits, 64
    values, symbols = np.meshgrid(np.arange(256), np.arange(modulus), indexing="ij")
    before, wanted = (np.repeat(grid.reshape(-1), coins).astype(np.uint8) for grid in (values, symbols))
    after = before.copy()
    hidden._match(after, wanted, bits, Stream(KEY, b"coins"))
    assert np.array_equal(after % modulus, wanted)
    steps = (after.astype(int) - before).reshape(256, modulus, coins)
    for value in range(256):
        for symbol in range(modulus):
            nearest = min(abs(new - value) for new in range(symbol, 256, modulus))
            assert np.abs(steps[value, symbol]).tolist() == [nearest] * coins
    halfway = modulus // 2
    assert set(steps[128, halfway].tolist()) == {-halfway, halfway}, "a coin decides where both are as near"


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("code", [TWO_BITS, 2, 3, 5, 7])
def test_saturated_covers_do_not_wrap_round(value, code):
    """Where a channel cannot go the way it should, it goes the other way, and another makes up for it."""
    channels = np.full(8_000, value, dtype=np.uint8)
    payload = ciphertext(capacity(8_000, code))
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


def test_nothing_is_the_same_in_all_images_without_their_ids():
    """Not the header under a mask, not the beginning of a sealed picture: a scanner has no id."""
    payload = b"GP\x01" + bytes(200)
    seen = []
    for number in range(64):
        channels = body(8_000, seed=number)
        embed(channels, payload, bytes([number] * 16))
        groups = hidden._groups(channels[HEADER_CHANNELS:], code := code_for(len(payload), 8_000))
        carried = hidden._carried(groups[:, : len(payload) * 8 // code], code)
        seen.append(np.concatenate((channels[:HEADER_CHANNELS] & 1, np.unpackbits(carried))))
    ones = np.mean(seen, axis=0)
    padding = np.tile(np.arange(8) < 8 - code, (len(ones) - HEADER_CHANNELS) // 8)
    ones = np.concatenate((ones[:HEADER_CHANNELS], ones[HEADER_CHANNELS:][~padding]))
    assert 0.15 < ones.min() < ones.max() < 0.85, "each bit is a coin: 64 throws, six deviations"


def test_what_is_drawn_is_the_same_in_every_version():
    """The reader must draw what the writer drew, on another machine and years later: known answers."""
    assert Stream(KEY, b"white").take(8).tobytes().hex() == "6af9754972635c4d"
    offsets = Stream(KEY, b"offsets")
    assert hidden._places_1(0, 8, 8, 300, offsets).tolist() == [25, 71, 100, 147, 150, 218, 242, 275]
    channels = np.full(5_000, 100, dtype=np.uint8)
    embed(channels, b"glimpse", KEY)
    assert np.flatnonzero(channels != 100)[-5:].tolist() == [2867, 3020, 3094, 3244, 4693]


def test_changes_spread_over_the_whole_body():
    channels, before = body(100_000), body(100_000)
    embed(channels, ciphertext(3_000), KEY)
    changed = np.flatnonzero(channels != before)
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
    embed(channels, ciphertext(capacity(9_000, 2)), KEY)
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
    assert capacity(15_900_000 * 3, TWO_BITS) >= MAX_SEALED_BYTES
