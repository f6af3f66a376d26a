import numpy as np
import pytest
from PIL import Image

from shared.config import RIGHTS_RECORD_BYTES
from shared.errors import DamagedStego, LocalError
from shared.stego import rights_strip
from shared.stego.rights_strip import STRIP_PIXELS, read_record, strip_rows, write_first_record, write_record

RECORDS = [b"a", b"{}", "Grüße, 写真 🌅".encode(), b"x" * 9, b"x" * 10, b"y" * 999, b"z" * RIGHTS_RECORD_BYTES]


def noise(width, rows=None):
    random = np.random.default_rng(width)
    return random.integers(0, 256, (rows or strip_rows(width), width, 3), dtype=np.uint8)


def stegano_lsb():
    return rights_strip._stegano_lsb()


@pytest.mark.parametrize("width", [240, 241, 640, 2743, 2744, 4000, 11_313])
@pytest.mark.parametrize("record", RECORDS, ids=len)
def test_numpy_writes_the_very_pixels_that_stegano_writes(width, record):
    strip = noise(width)
    by_stegano = np.asarray(stegano_lsb().hide(Image.fromarray(strip.copy()), record.decode()))
    assert np.array_equal(write_record(strip, record), by_stegano)
    write_first_record(strip, record)
    assert np.array_equal(strip, by_stegano)


@pytest.mark.parametrize("record", RECORDS, ids=len)
def test_unmodified_stegano_reads_the_strip(record):
    strip = noise(240)
    write_first_record(strip, record)
    assert stegano_lsb().reveal(Image.fromarray(strip)).encode() == record
    assert read_record(strip) == record


@pytest.mark.parametrize("width", [240, 500, 2744, 16_000])
def test_room_is_the_same_whatever_the_width(width):
    rows = strip_rows(width)
    assert (rows - 1) * width < STRIP_PIXELS <= rows * width
    assert (len(f"{RIGHTS_RECORD_BYTES}:") + RIGHTS_RECORD_BYTES) * 8 <= STRIP_PIXELS * 3


def test_only_the_lowest_bits_change():
    strip, before = noise(240), noise(240)
    write_first_record(strip, b"q" * 800)
    assert np.array_equal(strip >> 1, before >> 1)


@pytest.mark.parametrize("record", [b"", b"x" * (RIGHTS_RECORD_BYTES + 1), b"\xff\xfe"])
def test_unfit_records_are_our_own_mistake(record):
    with pytest.raises(LocalError):
        write_first_record(noise(240), record)
    with pytest.raises(LocalError):
        write_record(noise(240), record)


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
    write_first_record(strip, b"r" * 1000)
    with pytest.raises(DamagedStego):
        read_record(strip[:5])
