"""Recordings of the feed: one gzip file of lines, written as the hour goes by and readable at every moment of it.

The first line is a JSON object that says what this is, who the nodes are and when the monitor's clock stood at 0. Every
further line is one message: the monitor's time in ms, the node's place, and the message as it is on the wire, with a
blank between them. Times never go back. What is written is flushed in whole lines, so the file of a monitor that was
killed plays up to its last second; the end of the file may be missing, the rest is checked to the last byte.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import orjson

from shared.config import MAX_MESSAGE_BYTES, PRESETS
from shared.errors import InvalidInput
from shared.wire.base import NodeName, Port
from shared.wire.feed_messages import FeedMessage
from shared.wire.node_messages import MAX_NODES
from tui.monitor.node_index import NodeEntry, NodeIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Annotated, BinaryIO
else:
    from typing import Annotated

VERSION: Final = 1
FORMAT: Final = "glimpse-recording"
MAX_LINE_BYTES: Final = 8 * 1024
"""A line is a message of at most `MAX_MESSAGE_BYTES` and a few digits; the header lists at most `MAX_NODES` nodes."""
MAX_PLAIN_BYTES: Final = 2 * 1024**3
"""What a file may unpack to, some 30 hours of three nodes: a small file could otherwise fill the memory."""
MAX_LENGTH_S: Final = 7 * 24 * 3600.0
BLOCK_S: Final = 5.0
"""Messages are kept packed in blocks of this length, so that an hour takes some ten MB."""
_CHUNK_BYTES: Final = 32 * 1024
_GZIP: Final = 31
"""zlib's name for gzip with a window of 32 KB."""


_NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding a line raises that is not what it should be, not text, or nested without end."""


class _Node(msgspec.Struct, frozen=True):
    name: NodeName
    host: Annotated[str, msgspec.Meta(max_length=255)]
    port: Port


class _Header(msgspec.Struct, frozen=True):
    format: Annotated[str, msgspec.Meta(max_length=32)]
    version: Annotated[int, msgspec.Meta(ge=1)]
    preset: Annotated[str, msgspec.Meta(max_length=16)]
    began: Annotated[float, msgspec.Meta(ge=0, le=1e11)]
    """Seconds since 1970 when the monitor's clock stood at 0."""
    nodes: Annotated[tuple[_Node, ...], msgspec.Meta(min_length=1, max_length=MAX_NODES)]


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """One message of a recording: when it came, in seconds of the monitor's clock, and from which node."""

    at: float
    place: int
    message: FeedMessage


def header_line(node_index: NodeIndex, began: float) -> bytes:
    """Return the first line of a recording that begins at `began`, seconds since 1970."""
    nodes = tuple(_Node(node.name, node.host, node.port) for node in node_index.nodes)
    header = _Header(FORMAT, VERSION, node_index.preset, began, nodes)
    return orjson.dumps(msgspec.to_builtins(header), option=orjson.OPT_APPEND_NEWLINE)


def message_line(at: float, place: int, message: FeedMessage) -> bytes:
    """Return the line of one message."""
    return b"%d %d %b\n" % (round(1000 * at), place, orjson.dumps(msgspec.to_builtins(message)))


class Recording:
    """A recording in memory, packed. Times in seconds of the clock of the monitor that made it."""

    def __init__(self, node_index: NodeIndex, wall_offset_s: float) -> None:
        self.node_index = node_index
        self.wall_offset_s = wall_offset_s
        """Seconds since 1970 when the clock stood at 0."""
        self.start_s = 0.0
        self.end_s = 0.0
        self.messages = 0
        self.cut_off = False
        """The file ends in the middle of something, as that of a killed monitor does."""
        self._blocks: list[tuple[float, bytes]] = []
        self._decoder = msgspec.json.Decoder(FeedMessage)

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self._blocks)

    def block(self, number: int) -> tuple[RecordedFrame, ...]:
        """Return the messages of a block, in order of time."""
        plain = zlib.decompress(self._blocks[number][1])
        return tuple(self._told(line) for line in plain.splitlines())

    def _told(self, line: bytes) -> RecordedFrame:
        at_ms, place, data = line.split(b" ", 2)
        return RecordedFrame(int(at_ms) / 1000, int(place), self._decoder.decode(data))

    def add_block(self, first_at: float, lines: list[bytes]) -> None:
        """Append a block of checked lines, of which the first came at `first_at`."""
        self._blocks.append((first_at, zlib.compress(b"\n".join(lines), 1)))


def read_recording(path: Path, *, progress: Callable[[float], None] | None = None) -> Recording:
    """Read and check a whole recording. Blocks; takes about a second for ten minutes of three nodes.

    `progress` is told now and then which share of the file has been read. Raises `InvalidInput` that names the fault:
    no such file, no recording, one of a later version, damaged in line N, too long.
    """
    try:
        with path.open("rb") as file:
            return _Reader(path, path.stat().st_size).read(file, progress)
    except FileNotFoundError:
        raise InvalidInput(f"There is no recording at {path}; make one with `glimpse monitor --record FILE`.") from None
    except OSError as error:
        raise InvalidInput(f"The recording {path} cannot be read: {error.strerror}.") from None


class _Reader:
    """Reads one file: unpacks it piece by piece, checks every line, packs what is good into blocks."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = max(1, size)
        self._number = 0
        self._last_ms = 0
        self._recording: Recording | None = None
        self._lines: list[bytes] = []
        self._block_end_s = 0.0
        self._block_at = 0.0
        self._decoder = msgspec.json.Decoder(FeedMessage)
        self._cut_off = True

    def read(self, file: BinaryIO, progress: Callable[[float], None] | None) -> Recording:
        """Return the recording in an open file."""
        rest = b""
        for plain in self._unpacked(file, progress):
            *lines, rest = (rest + plain).split(b"\n")
            for line in lines:
                self._take(line)
            if len(rest) > MAX_LINE_BYTES:
                raise self._damaged()
        recording = self._recording
        if recording is None:
            raise InvalidInput(f"{self._path} is no recording of the monitor.")
        if self._lines:
            recording.add_block(self._block_at, self._lines)
        if not recording.messages:
            raise InvalidInput(f"The recording {self._path} is empty: no node was heard while it was made.")
        recording.cut_off = self._cut_off or bool(rest)
        return recording

    def _unpacked(self, file: BinaryIO, progress: Callable[[float], None] | None) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(_GZIP)
        read = total = 0
        while not unpacker.eof and (packed := file.read(_CHUNK_BYTES)):
            read += len(packed)
            while packed:
                try:
                    plain = unpacker.decompress(packed, _CHUNK_BYTES * 4)
                except zlib.error:
                    if self._recording is None:
                        raise InvalidInput(f"{self._path} is no recording of the monitor.") from None
                    raise self._damaged() from None
                packed = unpacker.unconsumed_tail
                total += len(plain)
                if total > MAX_PLAIN_BYTES:
                    raise InvalidInput(f"The recording {self._path} is too long to be played.")
                yield plain
            if progress is not None:
                progress(read / self._size)
        self._cut_off = not unpacker.eof

    def _take(self, line: bytes) -> None:
        self._number += 1
        if len(line) > MAX_LINE_BYTES:
            raise self._damaged()
        if self._recording is None:
            self._recording = self._begin(line)
            return
        parts = line.split(b" ", 2)
        if len(parts) != 3 or not (parts[0].isdigit() and parts[1].isdigit()) or len(parts[0]) + len(parts[1]) > 15:
            raise self._damaged()
        at_ms, place = int(parts[0]), int(parts[1])
        if not self._last_ms <= at_ms <= 1000 * MAX_LENGTH_S or place >= len(self._recording.node_index.nodes):
            raise self._damaged()
        if len(parts[2]) > MAX_MESSAGE_BYTES:
            raise self._damaged()
        try:
            self._decoder.decode(parts[2])
        except _NO_JSON:
            raise self._damaged() from None
        self._last_ms = at_ms
        self._add(at_ms / 1000, line)

    def _begin(self, line: bytes) -> Recording:
        try:
            header = msgspec.json.decode(line, type=_Header)
        except _NO_JSON:
            raise InvalidInput(f"{self._path} is no recording of the monitor.") from None
        if header.format != FORMAT or header.preset not in PRESETS:
            raise InvalidInput(f"{self._path} is no recording of the monitor.")
        if header.version != VERSION:
            raise InvalidInput(
                f"The recording {self._path} was made by a later version of Glimpse; play it with that version."
            )
        nodes = tuple(NodeEntry(node.name, node.host, node.port) for node in header.nodes)
        if len({node.name for node in nodes}) != len(nodes):
            raise self._damaged()
        return Recording(NodeIndex(nodes, header.preset), header.began)

    def _add(self, at: float, line: bytes) -> None:
        recording = self._recording
        assert recording is not None
        if not recording.messages:
            recording.start_s = at
            self._block_at, self._block_end_s = at, at + BLOCK_S
        elif at >= self._block_end_s:
            recording.add_block(self._block_at, self._lines)
            self._lines, self._block_at, self._block_end_s = [], at, at + BLOCK_S
        self._lines.append(line)
        recording.messages += 1
        recording.end_s = at

    def _damaged(self) -> InvalidInput:
        return InvalidInput(
            f"The recording {self._path} is damaged in line {max(1, self._number)}; it cannot be played."
        )
