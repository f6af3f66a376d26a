"""Picture files that cost more than they look like, made from honest ones."""

import struct
import zlib
from io import BytesIO

from PIL import Image


def repeated_scans(times: int, size: tuple[int, int] = (4000, 3000)) -> bytes:
    """Return a progressive JPEG whose last scan is there `times` times; each makes a decoder walk all of it again.

    The picture is of one colour, so that a scan has 30 bytes.
    """
    out = BytesIO()
    Image.new("RGB", size, (90, 120, 150)).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * times + data[-2:]


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *chunks: bytes) -> bytes:
    """Return a PNG that says this size, made of a header, these chunks, and an end."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def webp_of(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a RIFF container of WebP with these chunks."""
    body = b"".join(struct.pack("<4sI", kind, len(data)) + data + bytes(len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
