"""What is fuzzed: parsers of datagrams, messages, frames, records, pictures, recordings, settings, keys and stores.

Each target takes any bytes. Whatever they are, it ends with a value or with an error of the program's own families
(`shared.errors`); any other exception is a finding, and so is a call that takes seconds.
"""

import base64
import gzip
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from node.relay_table import Party, RelayTable
from node.settings import load_node_settings
from shared import invitation
from shared.cluster import (
    Cluster,
    NodeAddress,
    handed_over,
    invited_cluster,
    load_cluster,
    newer_cluster,
    save_cluster,
    signed_cluster,
)
from shared.config import LIMITS, LOCAL, MAX_MESSAGE_BYTES, PROTOCOL_VERSION, REQUEST_LIMITS
from shared.data_key import DataKey, unwrap
from shared.errors import GlimpseError
from shared.identity import Identity, fingerprint_of
from shared.invitation import Invitation
from shared.keyexport import export_identity, import_identity
from shared.keyfiles import load_identity, save_identity, words_in
from shared.net.control import decode_control
from shared.records import decode_any_record, encode_record
from shared.rights import create_grant, verify_record
from shared.secure.datagrams import DatagramType
from shared.secure.multiplexer import SecureMultiplexer
from shared.secure.relayed import relayed_address, wrap
from shared.secure.relayed import unwrap as unwrap_relayed
from shared.stego import container, png
from shared.transfer import ReceivingTransfer, SendingTransfer, TransferSettings
from shared.transfer.frames import PacketSealer
from shared.wire import feed_messages, node_messages, operations, peer_messages
from shared.wire.codec import decode, encode
from shared.wire.labels import Label
from shared.wire.upload import Upload, decode_upload, encode_upload
from tests.sim.transfers import PlainCipher
from tests.unit.profiles_made import KEY, PASSPHRASE, make_profile
from tui.client.settings import load_settings as client_settings
from tui.monitor.node_index import NodeIndex
from tui.monitor.recording import header_line, message_line, read_recording
from tui.monitor.settings import load_settings as monitor_settings
from tui.peer.store import Store

_MEMORY: Final = Path("/dev/shm")
PIECE_BYTES: Final = 2
"""Before each datagram of an input stands its length."""


OPERATOR, NEXT_OPERATOR = (Identity.generate(lambda count, seed=seed: bytes([seed]) * count) for seed in (1, 2))
CLUSTER = Cluster(
    "ab" * 16,
    "local",
    (NodeAddress("n1", "n1.example", 1, 2, b"k" * 32, ("::1",)), NodeAddress("n2", "::1", 3, 4, b"l" * 32)),
    (OPERATOR.public.session_key,),
    version=1,
    signer=OPERATOR.public.signing_key,
)


@dataclass(frozen=True)
class Target:
    """One parser. `run` raises what it finds; `seeds` are inputs that it takes."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    most_bytes: int = 4_096


def expected(call: Callable[[], object]) -> None:
    """Run a call that may end with an error of the program's own."""
    with suppress(GlimpseError):
        call()


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut an input into datagrams."""
    at = 0
    while at + PIECE_BYTES <= len(data):
        length = int.from_bytes(data[at : at + PIECE_BYTES], "big")
        at += PIECE_BYTES
        yield data[at : at + length]
        at += length


def joined(datagrams: list[bytes]) -> bytes:
    return b"".join(len(one).to_bytes(PIECE_BYTES, "big") + one for one in datagrams)


@contextmanager
def file_of(data: bytes) -> Iterator[Path]:
    """Put an input into a file that only its owner may read."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        path = Path(folder) / "file"
        path.touch(0o600)
        path.write_bytes(data)
        yield path


# --- Datagrams -------------------------------------------------------------------------------------------------------
def _multiplexer(seed: bytes) -> SecureMultiplexer:
    drawn = iter(range(1, 10**9))
    return SecureMultiplexer(
        seed, entropy=lambda count: next(drawn).to_bytes(count, "big"), timing=LOCAL, limits=LIMITS
    )


def datagrams(data: bytes) -> None:
    """What comes to a node's or a peer's socket, from several addresses, as time passes."""
    mux = _multiplexer(b"k" * 32)
    for index, datagram in enumerate(pieces(data)):
        mux.receive((f"10.0.0.{index % 3}", 7000), memoryview(datagram), index * 0.01)
        answered = sum(len(answer) for _, answer in mux.take_datagrams())
        assert answered <= len(datagram), "an answer is longer than what it answers"
    mux.tick(1e3)


def _handshake() -> list[bytes]:
    ours, theirs = _multiplexer(b"i" * 32), _multiplexer(b"k" * 32)
    ours.connect(("10.0.0.9", 7000), theirs.public_key, 0.0)
    sent: list[bytes] = []
    for number in range(4):
        first, second = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        for _, datagram in first.take_datagrams():
            sent.append(bytes(datagram))
            second.receive(("10.0.0.9", 7000), memoryview(bytes(datagram)), 0.0)
    return [joined(sent), *(joined([bytes((PROTOCOL_VERSION, kind)) + bytes(1_198)]) for kind in DatagramType)]


def relayed(data: bytes) -> None:
    """What comes to a node for somebody else, and to a peer through a node."""
    mux, handle = _multiplexer(b"k" * 32), b"12345678"
    table = RelayTable[str](REQUEST_LIMITS)
    table.bind(handle, Party(1, b"a" * 32, "a"), Party(2, b"b" * 32, "b"), 0.0)
    for index, body in enumerate(pieces(data)):
        if (parts := unwrap_relayed(body)) is not None:
            assert table.carry(parts[0], "a", b"a" * 32, len(parts[1]), index * 0.01) in ("b", None)
            mux.receive(relayed_address(b"n" * 32, parts[0]), parts[1], index * 0.01)
            answered = sum(len(answer) for _, answer in mux.take_datagrams())
            assert answered <= len(parts[1]), "an answer is longer than what it answers"
    mux.tick(1e3)


def _relayed() -> list[bytes]:
    ours, theirs = _multiplexer(b"i" * 32), _multiplexer(b"k" * 32)
    ours.connect(relayed_address(b"n" * 32, b"12345678"), theirs.public_key, 0.0)
    return [joined([wrap(b"12345678", bytes(datagram))[1:] for _, datagram in ours.take_datagrams()])]


# --- Messages --------------------------------------------------------------------------------------------------------
PLANES: Final[tuple[Any, ...]] = (
    node_messages.NodeMessage,
    peer_messages.AnyPeerMessage,
    operations.Operation,
    operations.Outcome,
    operations.Letter,
    Label,
    feed_messages.FeedMessage | feed_messages.WatchMessage,
)


def messages(data: bytes) -> None:
    """A message of any plane: the first byte says which."""
    if data:
        plane = PLANES[data[0] % len(PLANES)]

        def there_and_back() -> None:
            message = decode(data[1:], plane, cap_bytes=MAX_MESSAGE_BYTES)
            again = decode(encode(message, cap_bytes=4 * MAX_MESSAGE_BYTES), plane, cap_bytes=4 * MAX_MESSAGE_BYTES)
            assert again == message, "a message is another one when it was encoded again"

        expected(there_and_back)


def _some_messages() -> list[bytes]:
    image = "ab" * 16
    known = (
        operations.AskViews(image=image, views=3, note="please"),
        operations.ListUsers(text="ad", page=1),
        operations.ListGrants(image=image),
    )
    seeds = [bytes((PLANES.index(operations.Operation),)) + encode(one, cap_bytes=MAX_MESSAGE_BYTES) for one in known]
    return [
        *seeds,
        *(bytes((plane,)) + b'\x01{"k":%d}' % kind for plane in range(len(PLANES)) for kind in _FIRST_KINDS),
    ]


_FIRST_KINDS: Final = (1, 50, 86, 100, 150, 180, 200)


def control(data: bytes) -> None:
    """A message about a transfer."""
    expected(lambda: decode_control(data))


# --- Transfers -------------------------------------------------------------------------------------------------------
_OBJECT: Final = hashlib.sha256(b"glimpse").digest() * 200
_SETTINGS: Final = TransferSettings(datagram_bytes=300, initial_window_bytes=3_000)


def transfer(data: bytes) -> None:
    """Frames of a modified sender or receiver: authentic, and anything at all."""
    receiving = ReceivingTransfer(
        size=len(_OBJECT),
        sha256=hashlib.sha256(_OBJECT).digest(),
        cipher=PlainCipher(),
        settings=_SETTINGS,
        now=0.0,
        buffer_bytes=100_000,
    )
    sending = SendingTransfer(_OBJECT, cipher=PlainCipher(), settings=_SETTINGS, now=0.0)
    sealer = PacketSealer(PlainCipher())
    for index, frame in enumerate(pieces(data)):
        now = index * 0.01
        sending.take_datagrams(now, 8)
        for side in (receiving, sending):
            datagram = sealer.seal(frame) if frame else b""
            side.receive(datagram, now)
            side.tick(now)
            side.take_datagrams(now, 8)
    assert receiving.progress[0] <= len(_OBJECT)


def _frames() -> list[bytes]:
    data = b"\x01" + (0).to_bytes(4, "big") + (0).to_bytes(4, "big") + _OBJECT[:200]
    ack = (
        b"\x03"
        + (100).to_bytes(4, "big")
        + (2).to_bytes(8, "big")
        + (9_000).to_bytes(4, "big")
        + b"\x01\x00\x00\x00\x02"
    )
    return [joined([data]), joined([ack]), joined([data, ack, b"\x02", b"\x04", b"\x05no"])]


# --- Records and uploads ---------------------------------------------------------------------------------------------
def records(data: bytes) -> None:
    """A rights record out of a file, or from a node."""

    def read() -> None:
        record = decode_any_record(data)
        verify_record(record)

    expected(read)


@cache
def _record() -> bytes:
    owner, viewer = Identity.generate(), Identity.generate()
    record, _, _ = create_grant(
        owner,
        viewer.public,
        grant_id="ab" * 16,
        image_id="cd" * 16,
        content_key=b"k" * 32,
        granted=3,
        expires=4e9,
        entropy=os.urandom,
        look_s=5.0,
    )
    return encode_record(record)


def upload(data: bytes) -> None:
    """What comes with a request for an encryption."""
    expected(lambda: decode_upload(data))


# --- Pictures --------------------------------------------------------------------------------------------------------
_IMAGE: Final = bytes(range(16))


def stego(data: bytes) -> None:
    """A file that may hide a picture."""
    for call in (
        lambda: container.reveal(data, image_id=_IMAGE),
        lambda: container.read_record(data),
        lambda: container.replace_record(data, b"{}", image_id=_IMAGE),
    ):
        expected(call)


def pngs(data: bytes) -> None:
    """Any PNG that the own reader is given."""
    expected(lambda: png.decode(data))


@cache
def _stego() -> bytes:
    return container.hide(b"hidden" * 100, b'{"views":5}', image_id=_IMAGE)


# --- Files -----------------------------------------------------------------------------------------------------------
def recordings(data: bytes) -> None:
    """A recording of the monitor."""

    def read(path: Path) -> None:
        recording = read_recording(path)
        for number in range(recording.blocks):
            recording.block(number)

    for packed in (data, gzip.compress(data, 1)):  # no chance ever makes a checksum right
        with file_of(packed) as path:
            expected(lambda path=path: read(path))  # type: ignore[misc]


def _feed() -> feed_messages.FeedMessage:
    return feed_messages.FeedNotices(seq=1, at_ms=1.0, incarnation=1, oldest=1, notices=())


def _recording() -> bytes:
    index = NodeIndex.of(Cluster("ab" * 16, "local", (NodeAddress("n1", "127.0.0.1", 1, 2, b"k" * 32),)))
    return header_line(index, 1.0) + message_line(1.5, 0, _feed())


def cluster_files(data: bytes) -> None:
    """A cluster file that a node hands over, to whoever has an earlier one and to whoever was invited."""
    known = replace(CLUSTER, version=1)
    expected(lambda: newer_cluster(known, data))
    expected(lambda: invited_cluster(known.cluster_id, fingerprint_of(known.signer)[:16], data))


def _cluster_file() -> bytes:
    return signed_cluster(replace(handed_over(CLUSTER, OPERATOR, NEXT_OPERATOR), version=2), NEXT_OPERATOR)


def invitations(data: bytes) -> None:
    """A code that somebody typed, and bytes of a code without a slip."""
    expected(lambda: Invitation.of(data.decode("latin-1")))
    whole = base64.b32encode(data + invitation._check(data)).decode()
    expected(lambda: Invitation.of(f"GLIMPSE{whole}"))


def _invitation() -> list[bytes]:
    code = Invitation.to(replace(CLUSTER, is_signed=True)).code
    body = code.removeprefix("GLIMPSE")
    return [code.encode(), base64.b32decode(body + "=" * (-len(body) % 8))[:-3]]


def toml(data: bytes) -> None:
    """The four files that people write or hand out."""
    with file_of(data) as path:
        for load in (load_cluster, load_node_settings, client_settings, monitor_settings):
            expected(lambda load=load: load(path))  # type: ignore[misc]


def _toml() -> list[bytes]:
    with file_of(b"") as path:
        save_cluster(path, Cluster("ab" * 16, "local", (NodeAddress("n1", "n1.example", 1, 2, b"k" * 32, ("::1",)),)))
        cluster = path.read_bytes()
    node = b'private_key = "%s"\nshare_key = "%s"\ndirectory = "sqlite:///d"\n[limits]\nrequests_per_s = 5\n' % (
        (b"ab" * 32,) * 2
    )
    return [cluster, node, b'theme = "dark"\npictures = "auto"\n']


def keys(data: bytes) -> None:
    """A key file, locked or not, a data key, and the export of an identity."""
    expected(lambda: import_identity(data, "a passphrase"))
    expected(lambda: unwrap(data, PASSPHRASE, name="data-key"))
    with file_of(data) as path:
        for key in (None, KEY):
            expected(lambda key=key: load_identity(path, key))  # type: ignore[misc]
        expected(lambda: words_in(path))


def _keys() -> list[bytes]:
    identity = Identity.generate()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "clear", Path(folder) / "locked"]
        for path, key in zip(files, (None, KEY), strict=True):
            save_identity(path, identity, key)
        make_profile(Path(folder) / "profile", locked=True)
        data_key = (Path(folder) / "profile" / "data-key").read_bytes()
        return [*(path.read_bytes() for path in files), data_key, export_identity(identity, "a passphrase")]


def store(data: bytes) -> None:
    """A peer's store, of a locked profile or not, in which some bytes are others: where, and then which."""

    def use(path: Path, key: DataKey | None) -> None:
        with closing(Store(path, key=key)) as opened:
            opened.outbox()

    for key in (None, KEY):
        whole = _store(locked=key is not None)
        at = int.from_bytes(data[:3], "big") % len(whole)
        with file_of(whole[:at] + data[3:] + whole[at + len(data[3:]) :]) as path:
            expected(lambda path=path, key=key: use(path, key))  # type: ignore[misc]


@cache
def _store(*, locked: bool) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return make_profile(Path(folder), locked=locked).read_bytes()


TARGETS: Final[dict[str, Target]] = {
    "datagrams": Target(datagrams, _handshake, 8_192),
    "relayed": Target(relayed, _relayed, 8_192),
    "messages": Target(messages, _some_messages, MAX_MESSAGE_BYTES),
    "control": Target(
        control, lambda: [b'\x01{"k":241,"transfer":5,"port":9,"datagram_bytes":1200}'], MAX_MESSAGE_BYTES
    ),
    "transfer": Target(transfer, _frames),
    "records": Target(records, lambda: [_record()], 2_048),
    "upload": Target(upload, lambda: [encode_upload(Upload(b"{}", b"sealed", None))]),
    "stego": Target(stego, lambda: [_stego()], 300_000),
    "png": Target(pngs, lambda: [_stego()], 300_000),
    "recording": Target(recordings, lambda: [_recording(), gzip.compress(_recording())], 16_384),
    "toml": Target(toml, _toml, 8_192),
    "cluster": Target(cluster_files, lambda: [_cluster_file()], 8_192),
    "invitation": Target(invitations, _invitation, 1_024),
    "keys": Target(keys, _keys),
    "store": Target(store, lambda: [bytes(3), b"\x00\x10\x00\xff\xff"], 512),
}
