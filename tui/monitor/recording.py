"""Recordings of the feed: one gzip file of lines, written as the hour goes by and readable at every moment of it.

The first line is a JSON object that says what this is, who the nodes are and when the monitor's clock stood at 0. Every
further line is one message: the monitor's time in ms, the node's place, and the message as it is on the wire, with a
blank between them. Times never go back. What is written is flushed in whole lines, so the file of a monitor that was
killed plays up to its last second; the end of the file may be missing.

A file is unpacked once when it is opened, which finds its length and every flipped byte, and is then read from the disk
where it is played: at the beginning of each block the state of the unpacker is kept (as zlib's example `zran.c` does),
so that an hour takes a few MB of memory. The lines of a block are checked when the block is read.
"""

from __future__ import annotations

import os
import weakref
import zlib
from bisect import bisect_right
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
    from collections.abc import Callable
    from pathlib import Path
    from typing import Annotated
else:
    from typing import Annotated

VERSION: Final = 1
FORMAT: Final = "glimpse-recording"
MAX_LINE_BYTES: Final = 8 * 1024
"""A line is a message of at most `MAX_MESSAGE_BYTES` and a few digits; the header lists at most `MAX_NODES` nodes."""
MAX_PLAIN_BYTES: Final = 2 * 1024**3
"""What a file may unpack to, some 30 hours of three nodes: a small file could otherwise fill the memory."""
MAX_LENGTH_S: Final = 7 * 24 * 3600.0
BLOCK_BYTES: Final = 256 * 1024
"""A block is unpacked and decoded at once, in some ms: about a thousand messages, however close together they came."""
MAX_BLOCKS: Final = 512
"""Each keeps some 45 KB of the unpacker's state; in a longer recording blocks are longer."""
_CHUNK_BYTES: Final = 64 * 1024
_PIECE_BYTES: Final = 1024
"""Unpacked at a time: whatever the file says, that gives at most 1 MB."""
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


@dataclass(slots=True)
class _Block:
    """Where a block is found: unpack `size` bytes of lines, `head` first, then from `offset` of the file on."""

    state: zlib._Decompress
    """Of the unpacker at `offset`; it is copied before it is used."""
    offset: int
    head: bytes
    size: int = 0
    first_at: float = 0.0
    before: int = 0
    """Messages in all blocks before it."""


class _Damaged(Exception):
    """A line that no monitor writes."""


class Recording:
    """A recording on the disk. Times in seconds of the clock of the monitor that made it.

    What is found to be damaged when it is read ends the recording there: see `fault`.
    """

    def __init__(
        self,
        descriptor: int,
        blocks: list[_Block],
        *,
        header: _Header,
        messages: int,
        end_s: float,
        cut_off: bool,
    ) -> None:
        """`descriptor` is the open file; it is closed when nobody uses the recording any more."""
        nodes = tuple(NodeEntry(node.name, node.host, node.port) for node in header.nodes)
        self.node_index = NodeIndex(nodes, header.preset)
        self.wall_offset_s = header.began
        """Seconds since 1970 when the clock stood at 0."""
        self.start_s = blocks[0].first_at
        self.end_s = end_s
        self.messages = messages
        self.cut_off = cut_off
        """The file ends in the middle of something, as that of a killed monitor does."""
        self.fault = ""
        """Where the file was found to be damaged, in a few words; empty where it was not."""
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)
        self._blocks = blocks
        self._decoder = msgspec.json.Decoder(FeedMessage)

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self._blocks)

    def before(self, number: int) -> int:
        """Return how many messages come before a block; all of them for one behind the end."""
        return self._blocks[number].before if number < len(self._blocks) else self.messages

    def messages_until(self, at: float) -> int:
        """Return how many messages there are up to a moment, or some more: whole blocks are counted."""
        return self.before(bisect_right(self._blocks, at, key=_first_at))

    def block(self, number: int) -> tuple[RecordedFrame, ...]:
        """Return the messages of a block, in order of time; of a damaged one those before the damage.

        Reads the disk. Raises nothing: from the damage on the recording has ended.
        """
        if number >= len(self._blocks):
            return ()
        block, frames = self._blocks[number], list[RecordedFrame]()
        try:
            plain = self._plain(block)
            for line in plain.splitlines():
                frames.append(self._told(line, frames[-1].at if frames else block.first_at))
            is_whole = len(plain) == block.size
        except (_Damaged, OSError, zlib.error):
            is_whole = False
        if not is_whole:
            self._end(number, frames)
        return tuple(frames[: self.messages - block.before])

    def _plain(self, block: _Block) -> bytes:
        unpacker, offset, parts, left = block.state.copy(), block.offset, [block.head], block.size - len(block.head)
        while left > 0:
            packed = b"" if unpacker.eof else os.pread(self._descriptor, _CHUNK_BYTES, offset)
            if not packed:  # the file was changed while it is played
                break
            offset += len(packed)
            while packed and left > 0:
                parts.append(unpacker.decompress(packed, left))
                packed = unpacker.unconsumed_tail
                left -= len(parts[-1])
        return b"".join(parts)[: block.size]

    def _told(self, line: bytes, at_least: float) -> RecordedFrame:
        at, place, data = _parts(line)
        if not at_least <= at <= MAX_LENGTH_S:
            raise _Damaged
        if place >= len(self.node_index.nodes) or len(data) > MAX_MESSAGE_BYTES:
            raise _Damaged
        try:
            return RecordedFrame(at, place, self._decoder.decode(data))
        except _NO_JSON:
            raise _Damaged from None

    def _end(self, number: int, frames: list[RecordedFrame]) -> None:
        """End the recording in a block, behind what could be read of it."""
        block = self._blocks[number]
        del self._blocks[number + 1 :]
        self.messages = block.before + len(frames)
        self.end_s = max(self.start_s, frames[-1].at if frames else block.first_at)
        self.fault = f"damaged in line {self.messages + 2}"


def read_recording(path: Path, *, progress: Callable[[float], None] | None = None) -> Recording:
    """Open a recording: unpack it once, and check its beginning. Blocks; takes about a second for four hours.

    `progress` is told now and then which share of the file has been read. Raises `InvalidInput` that names the fault:
    no such file, no recording, one of a later version, damaged in line N, too long.
    """
    try:
        recording = _Indexer(path).read(progress)
    except FileNotFoundError:
        raise InvalidInput(f"There is no recording at {path}; make one with `glimpse monitor --record FILE`.") from None
    except OSError as error:
        raise InvalidInput(f"The recording {path} cannot be read: {error.strerror}.") from None
    recording.block(0)
    if recording.fault:
        raise InvalidInput(f"The recording {path} is {recording.fault}; it cannot be played.")
    return recording


class _Indexer:
    """Unpacks a file piece by piece, and notes where its blocks begin."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = 0
        """Whole lines so far, the header among them."""
        self._rest = b""
        """What came since the last end of a line."""
        self._last = b""
        """The last whole line."""
        self._header: _Header | None = None
        self._blocks: list[_Block] = []
        self._block_bytes = BLOCK_BYTES

    def read(self, progress: Callable[[float], None] | None) -> Recording:
        """Return the recording. Raises `OSError`, `InvalidInput`."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            is_whole = self._unpack(descriptor, progress)
            return self._made(descriptor, is_whole=is_whole)
        except BaseException:
            os.close(descriptor)
            raise

    def _made(self, descriptor: int, *, is_whole: bool) -> Recording:
        if self._header is None:
            raise self._none()
        if self._lines == 1:
            raise InvalidInput(f"The recording {self._path} is empty: no node was heard while it was made.")
        if not self._blocks[-1].size:
            del self._blocks[-1]
        return Recording(
            descriptor,
            self._blocks,
            header=self._header,
            messages=self._lines - 1,
            end_s=max(self._blocks[-1].first_at, _time(self._last)),
            cut_off=not is_whole or bool(self._rest),
        )

    def _unpack(self, descriptor: int, progress: Callable[[float], None] | None) -> bool:
        """Go through the file; return whether its end is there."""
        unpacker, size = zlib.decompressobj(_GZIP), max(1, os.fstat(descriptor).st_size)
        offset = total = 0
        is_over = False
        while not is_over and (chunk := os.pread(descriptor, _CHUNK_BYTES, offset)):
            for start in range(0, len(chunk), _PIECE_BYTES):
                piece = chunk[start : start + _PIECE_BYTES]
                try:
                    plain = unpacker.decompress(piece)
                except zlib.error:
                    raise (self._none() if self._header is None else self._damaged(self._lines + 1)) from None
                total += len(plain)
                if total > MAX_PLAIN_BYTES:
                    raise InvalidInput(f"The recording {self._path} is too long to be played.")
                self._take(plain, unpacker, offset + start + len(piece))
                if is_over := unpacker.eof:
                    break
            offset += len(chunk)
            if progress is not None:
                progress(min(1.0, offset / size))
        return is_over

    def _take(self, plain: bytes, unpacker: zlib._Decompress, offset: int) -> None:
        """Take what was unpacked up to `offset` of the file."""
        data = self._rest + plain
        if self._header is None:
            line, end, data = data.partition(b"\n")
            if len(line) > MAX_LINE_BYTES:
                raise self._damaged(1)
            if not end:
                self._rest = line
                return
            self._header = self._headed(line)
            self._lines = 1
            self._blocks.append(_Block(unpacker.copy(), offset, data))
        end_of_lines = data.rfind(b"\n") + 1
        lines, self._rest = data[:end_of_lines], data[end_of_lines:]
        if lines:
            self._add(lines)
        if len(self._rest) > MAX_LINE_BYTES:
            raise self._damaged(self._lines + 1)
        if self._blocks[-1].size >= self._block_bytes:
            self._begin_block(_Block(unpacker.copy(), offset, self._rest, before=self._lines - 1))

    def _add(self, lines: bytes) -> None:
        block = self._blocks[-1]
        if not block.size:
            before = self._blocks[-2].first_at if len(self._blocks) > 1 else 0.0
            block.first_at = max(before, _time(lines[: lines.index(b"\n")]))
        block.size += len(lines)
        self._lines += lines.count(b"\n")
        self._last = lines[lines.rfind(b"\n", 0, -1) + 1 : -1]

    def _begin_block(self, block: _Block) -> None:
        if len(self._blocks) >= MAX_BLOCKS:
            for first, second in zip(self._blocks[::2], self._blocks[1::2], strict=True):
                first.size += second.size
            del self._blocks[1::2]
            self._block_bytes *= 2
        self._blocks.append(block)

    def _headed(self, line: bytes) -> _Header:
        try:
            header = msgspec.json.decode(line, type=_Header)
        except _NO_JSON:
            raise self._none() from None
        if header.format != FORMAT or header.preset not in PRESETS:
            raise self._none()
        if header.version != VERSION:
            raise InvalidInput(
                f"The recording {self._path} was made by a later version of Glimpse; play it with that version."
            )
        if len({node.name for node in header.nodes}) != len(header.nodes):
            raise self._damaged(1)
        return header

    def _none(self) -> InvalidInput:
        return InvalidInput(f"{self._path} is no recording of the monitor.")

    def _damaged(self, line: int) -> InvalidInput:
        return InvalidInput(f"The recording {self._path} is damaged in line {line}; it cannot be played.")


def _parts(line: bytes) -> tuple[float, int, bytes]:
    """Return time, place and message of a line. Raises `_Damaged` for one that has them not."""
    parts = line.split(b" ", 2)
    if len(parts) != 3 or not (parts[0].isdigit() and parts[1].isdigit()) or len(parts[0]) + len(parts[1]) > 15:
        raise _Damaged
    return int(parts[0]) / 1000, int(parts[1]), parts[2]


def _time(line: bytes) -> float:
    """Return the time of a line; 0 for one that is damaged, which whoever reads its block finds out."""
    try:
        at = _parts(line)[0]
    except _Damaged:
        return 0.0
    return at if at <= MAX_LENGTH_S else 0.0


def _first_at(block: _Block) -> float:
    return block.first_at
