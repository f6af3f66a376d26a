"""Bytes of strangers: a stego image either yields what was hidden or is damage, and nothing else ever happens."""

import struct
import zlib
from hashlib import shake_256
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.config import RIGHTS_RECORD_BYTES
from shared.errors import DamagedStego, MalformedMessage, UnusableImage
from shared.stego import payload as hidden
from shared.stego import png as files
from shared.stego.container import hide, read_record, replace_record, reveal
from shared.stego.pictures import decode_preview, inspect, make_preview
from shared.stego.sizes import HEADER_CHANNELS, TWO_BITS, capacity
from tests import photos
from tests.scratch import memory_folder
from tests.stego_files import layout_of, rewrite_record

IMAGE_ID = bytes(range(16))
PAYLOAD = np.random.default_rng(9).bytes(3_000)
PAYLOAD_1 = shake_256(b"glimpse").digest(1500)
RECORD = b'{"views":5}'
PNG = hide(PAYLOAD, RECORD, image_id=IMAGE_ID)
SIZE = files.read_size(PNG)
VERSION_1 = (Path(__file__).parents[1] / "unit" / "stego_version_1" / "one_bit.png").read_bytes()
DATA = layout_of(PNG).data
ROWS = zlib.decompress(DATA)
PREVIEW = make_preview(photos.photo("rocket.jpg"))
JPEG = photos.small_jpeg()

positions = st.integers(0, len(PNG) - 1) | st.integers(0, 80) | st.integers(len(PNG) - 40, len(PNG) - 1)
edits = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "drop", "insert", "double"]), positions, st.binary(min_size=1, max_size=8)
    ),
    min_size=1,
    max_size=4,
)


def edited(data, steps):
    for kind, at, extra in steps:
        if kind == "flip":
            data = data[:at] + bytes(a ^ b for a, b in zip(data[at:], extra, strict=False)) + data[at + len(extra) :]
        elif kind == "cut":
            data = data[:at]
        elif kind == "drop":
            data = data[:at] + data[at + len(extra) :]
        elif kind == "insert":
            data = data[:at] + extra + data[at:]
        else:
            data = data[:at] + data[at // 2 :]
    return data


def with_right_checksums(data):
    """Repair the checksum of every chunk, so that damage reaches what lies behind them."""
    at, parts = 8, [data[:8]]
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if at + 12 + length > len(data):
            break
        parts.append(struct.pack(">I4s", length, kind) + body + struct.pack(">I", zlib.crc32(kind + body)))
        at += 12 + length
    return b"".join([*parts, data[at:]])


def check_all(data):
    """Nothing but `DamagedStego` comes out, and never a wrong payload."""
    calls = (
        lambda: reveal(data, image_id=IMAGE_ID) in (PAYLOAD, PAYLOAD_1),
        lambda: len(read_record(data)) <= RIGHTS_RECORD_BYTES,
        lambda: read_record(replace_record(data, b"{}", image_id=IMAGE_ID)) == b"{}",
    )
    for call in calls:
        try:
            assert call()
        except DamagedStego:
            continue
    with memory_folder() as folder:
        file = folder / "copy.png"
        file.write_bytes(data)
        try:
            rewrite_record(file, b"{}", image_id=IMAGE_ID)
        except DamagedStego:
            return
        assert read_record(file) == b"{}"


@settings(max_examples=300, deadline=None)
@given(steps=edits, repair=st.booleans(), version_1=st.booleans())
def test_edited_files(steps, repair, version_1):
    data = edited(VERSION_1 if version_1 else PNG, steps)
    check_all(with_right_checksums(data) if repair else data)


@settings(max_examples=100, deadline=None)
@given(
    header=st.tuples(
        st.integers(0, 2**32 - 1) | st.integers(200, 300),
        st.integers(0, 2**32 - 1) | st.integers(0, 300),
        st.sampled_from([8, 1, 16, 255]),
        st.sampled_from([2, 6, 0, 3, 4]),
        st.integers(0, 1),
        st.integers(0, 1),
        st.integers(0, 2),
    ),
)
def test_headers_that_lie(header):
    body = struct.pack(">IIBBBBB", *header)
    check_all(PNG[:16] + body + struct.pack(">I", zlib.crc32(b"IHDR" + body)) + PNG[33:])


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, len(ROWS) - 1), st.integers(0, 255)), max_size=5),
    filters=st.lists(st.integers(0, 6), max_size=20),
    adler=st.none() | st.binary(min_size=4, max_size=4),
    behind=st.binary(max_size=3),
    strategy=st.sampled_from([zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED]),
    level=st.sampled_from([0, 1]),
)
def test_forged_rows_with_every_checksum_right(rows, filters, adler, behind, strategy, level):
    """Made by somebody who knows the layout: other pixels, other filters and codes, another checksum, bytes behind."""
    forged = bytearray(ROWS)
    for at, value in rows:
        forged[at] = value
    for row, kind in enumerate(filters):
        forged[row * SIZE.row_bytes] = kind
    deflater = zlib.compressobj(level, zlib.DEFLATED, 15, 9, strategy)
    data = deflater.compress(forged) + deflater.flush()
    data = data if adler is None else data[:-4] + adler
    check_all(PNG[: files.HEAD_BYTES] + files.chunk(b"IDAT", data + behind) + PNG[-12:])


@settings(max_examples=150, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 400) | st.integers(0, len(DATA) - 1), st.integers(0, 7)), max_size=4))
def test_compressed_data_with_bits_flipped_behind_right_checksums(changes):
    """Codes that are no codes, tables that are none, blocks of kinds that do not exist."""
    data = bytearray(DATA)
    for at, bit in changes:
        data[at] ^= 1 << bit
    check_all(PNG[: files.HEAD_BYTES] + files.chunk(b"IDAT", data) + PNG[-12:])


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200), signature=st.booleans())
def test_garbage(data, signature):
    check_all((PNG[:8] if signature else b"") + data)


@settings(max_examples=200, deadline=None)
@given(
    size=st.integers(1, 4_000),
    channels=st.integers(HEADER_CHANNELS, 40_000),
    seed=st.integers(0, 2**32),
    key=st.binary(min_size=16, max_size=16),
)
def test_whatever_fits_comes_out(size, channels, seed, key):
    random = np.random.default_rng(seed)
    body = random.integers(0, 256, channels, dtype=np.uint8)
    before, payload = body.copy(), random.bytes(size)
    if size > capacity(channels, TWO_BITS):
        return
    hidden.embed(body, payload, key)
    assert hidden.extract(body, key) == payload
    assert np.abs(body.astype(int) - before).max() <= 3


@settings(max_examples=50, deadline=None)
@given(record=st.text(min_size=1, max_size=300).map(lambda text: text.encode()[:RIGHTS_RECORD_BYTES]))
def test_any_text_is_a_record(record):
    record = record.decode(errors="ignore").encode()
    if record:
        assert read_record(replace_record(PNG, record, image_id=IMAGE_ID)) == record


@settings(max_examples=150, deadline=None)
@given(steps=edits)
def test_edited_previews(steps):
    scaled = [(kind, at * len(PREVIEW) // len(PNG), extra) for kind, at, extra in steps]
    try:
        assert max(decode_preview(edited(PREVIEW, scaled)).size) <= 160
    except MalformedMessage:
        return


@settings(max_examples=150, deadline=None)
@given(steps=edits)
def test_edited_pictures(steps):
    scaled = [(kind, at * len(JPEG) // len(PNG), extra) for kind, at, extra in steps]
    for source in (JPEG, PNG):
        try:
            assert inspect(edited(source, scaled)).frames == 1
        except UnusableImage:
            continue
