import numpy as np
import pytest
from PIL import Image

from shared.config import RIGHTS_RECORD_BYTES
from shared.errors import DamagedStego, LocalError
from shared.stego import rights_strip
from shared.stego.rights_strip import (
    partners,
    read_record,
    record_channels,
    write_first_record,
    write_record,
)
from shared.stego.sizes import STRIP_PIXELS, strip_rows

KEY = bytes(range(16))
RECORDS = [b"a", b"{}", "Grüße, 写真 🌅".encode(), b"x" * 9, b"x" * 10, b"y" * 999, b"z" * RIGHTS_RECORD_BYTES]


def noise(width, rows=None):
    random = np.random.default_rng(width)
    return random.integers(0, 256, (rows or strip_rows(width), width, 3), dtype=np.uint8)


def stegano_lsb():
    return rights_strip._stegano_lsb()


@pytest.mark.parametrize("width", [240, 241, 640, 2743, 2744, 4000, 11_313])
@pytest.mark.parametrize("record", RECORDS, ids=len)
def test_numpy_writes_the_very_low_bits_that_stegano_writes(width, record):
    strip, taken = noise(width), record_channels(record)
    by_stegano = np.asarray(stegano_lsb().hide(Image.fromarray(strip.copy()), record.decode()))
    assert np.array_equal(write_record(strip, record, KEY) & 1, by_stegano & 1)
    write_first_record(strip, record, KEY)
    assert np.array_equal(strip.reshape(-1)[:taken] & 1, by_stegano.reshape(-1)[:taken] & 1)


@pytest.mark.parametrize("record", RECORDS, ids=len)
def test_unmodified_stegano_reads_the_strip(record):
    strip = noise(240)
    write_first_record(strip, record, KEY)
    assert stegano_lsb().reveal(Image.fromarray(strip)).encode() == record
    assert read_record(strip) == record


@pytest.mark.parametrize("width", [240, 500, 2744, 16_000])
def test_room_is_the_same_whatever_the_width(width):
    rows = strip_rows(width)
    assert (rows - 1) * width < STRIP_PIXELS <= rows * width
    assert (len(f"{RIGHTS_RECORD_BYTES}:") + RIGHTS_RECORD_BYTES) * 8 <= STRIP_PIXELS * 3


def test_no_channel_moves_by_more_than_one_however_often_it_is_written():
    strip, before = noise(240), noise(240)
    inner = (before > 0) & (before < 255)
    write_first_record(strip, b"q" * 800, KEY)
    for views in range(20):
        strip = write_record(strip, b"%d" % views * 400, KEY)
    assert set(np.unique((strip.astype(int) - before)[inner])) == {-1, 0, 1}


def test_channels_go_up_as_often_as_down_whether_they_are_even_or_odd():
    """Replacement raises even values and lowers odd ones, and nothing else: that is what analysis looks for."""
    values = noise(2744).reshape(-1)
    steps = partners(values, KEY).astype(int) - values
    for parity in (0, 1):
        moved = steps[(values % 2 == parity) & (values > 0) & (values < 255)]
        assert 0.45 < np.mean(moved == 1) < 0.55
    assert set(np.unique(steps)) == {-1, 1}
    inner = (values > 1) & (values < 254)
    assert np.array_equal(partners(partners(values, KEY), KEY)[inner], values[inner])


@pytest.mark.parametrize("record", [b"", b"x" * (RIGHTS_RECORD_BYTES + 1), b"\xff\xfe"])
def test_unfit_records_are_our_own_mistake(record):
    with pytest.raises(LocalError):
        write_first_record(noise(240), record, KEY)
    with pytest.raises(LocalError):
        write_record(noise(240), record, KEY)


@pytest.mark.parametrize(
    "start",
    [
        b"007:abcdefghij",
        b"0:",
        b":abc",
        b"12345:abc",
        b"1025:" + b"a" * 100,
        b"9999:",
        b"-3:abc",
        b"+3:abc",
        b" 3:abc",
        b"3;abc",
        b"abc",
        b"\0\0\0\0\0\0",
        b"\xff" * 20,
        b"1_0:aaaaaaaaaa",
        "٣:abc".encode(),
    ],
)
def test_hostile_lengths_never_reach_stegano(start, monkeypatch):
    """stegano reads `007:` as a length of 7 and cuts the text two bytes late; without a colon it walks every pixel."""
    strip = noise(240)
    bits = np.unpackbits(np.frombuffer(start, dtype=np.uint8))
    flat = strip.reshape(-1)
    flat[: len(bits)] = flat[: len(bits)] & 0xFE | bits
    monkeypatch.setattr(rights_strip, "_stegano_lsb", lambda: pytest.fail("stegano was called"))
    with pytest.raises(DamagedStego, match="no rights record"):
        read_record(strip)


def test_text_that_is_no_utf8_is_damage():
    strip = noise(240)
    bits = np.unpackbits(np.frombuffer(b"4:\xff\xfe\xfd\xfc", dtype=np.uint8))
    flat = strip.reshape(-1)
    flat[: len(bits)] = flat[: len(bits)] & 0xFE | bits
    with pytest.raises(DamagedStego):
        read_record(strip)


def test_strip_shorter_than_its_record_is_damage():
    strip = noise(240)
    write_first_record(strip, b"r" * 1000, KEY)
    with pytest.raises(DamagedStego):
        read_record(strip[:5])
