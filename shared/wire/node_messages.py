"""Messages between nodes: election, dispatch, the failure simulation, marks of the directory. Kinds 1 to 39.

Each of them fits `MAX_MESSAGE_BYTES` at up to `MAX_NODES` nodes. Node-to-node messages travel only inside sessions
between keys of the cluster file, so the sender is known and is never part of a message.
"""

import base64
from collections.abc import Iterable, Iterator
from typing import Annotated, Final, NamedTuple

import msgspec

from shared.config import MAX_MESSAGE_BYTES
from shared.wire.base import Key, Message, NodeName, Timestamp

MAX_NODES: Final = 15
"""Largest cluster: with more rows in the coordination table a heartbeat outgrows a datagram."""
REQUEST_ID_BYTES: Final = 16

Term = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Number of a leadership; 0 before the first."""
MAX_INCARNATION: Final = 2**53
Incarnation = Annotated[int, msgspec.Meta(ge=0, le=MAX_INCARNATION)]
"""Number of a node's life; a restarted node takes a higher one."""
Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Place = Annotated[int, msgspec.Meta(ge=0, lt=MAX_NODES)]
Load = Annotated[float, msgspec.Meta(ge=0, le=9_999)]
Cores = Annotated[int, msgspec.Meta(ge=1, le=4_096)]
InFlight = Annotated[int, msgspec.Meta(ge=0, le=999_999)]
AgeMs = Annotated[int, msgspec.Meta(ge=0, le=9_999_999)]


class TableRow(msgspec.Struct, frozen=True, array_like=True):
    """One node in the coordination table. The order of rows is the order of succession."""

    place: Place
    """The node's index in the address order of the cluster file, which every node shares."""
    incarnation: Incarnation
    heard_ms: AgeMs
    """How long ago the leader last heard the node."""
    load1: Load
    cores: Cores
    in_flight: InFlight
    fit: bool
    """False while the node drains, cannot reach the directory, or its requests stand still: it is not to lead or
    serve."""


MAX_ORDER: Final = 65_535
Order = Annotated[int, msgspec.Meta(ge=0, le=MAX_ORDER)]
"""Check sum of the nodes' names in the order by which the sender counts places; a table in another order is not heeded.
0 where the sender does not tell."""
WireTable = Annotated[tuple[TableRow, ...], msgspec.Meta(max_length=MAX_NODES)]


# --- Election --------------------------------------------------------------------------------------------------------
class ElectionMessage(Message, frozen=True, kw_only=True):
    """What every election message carries."""

    term: Term
    """The highest term that the sender knows."""
    incarnation: Incarnation
    """The sender's incarnation; what an earlier life sent is ignored."""


class LoadReport(ElectionMessage, frozen=True, kw_only=True):
    """The sender's own load, for messages that bring it along."""

    load1: Load
    cores: Cores
    in_flight: InFlight
    fit: bool


class Heartbeat(ElectionMessage, frozen=True, tag=1):
    """The leader is alive, and this is the line behind it."""

    sequence: Sequence
    """Echoed by the ack, so that the leader knows that it is heard and how long the round trip takes."""
    table: WireTable
    order: Order = 0


class HeartbeatAck(LoadReport, frozen=True, tag=2):
    """A follower heard the heartbeat `sequence`."""

    sequence: Sequence


class Pulse(LoadReport, frozen=True, tag=3):
    """Sign of life to the next follower in the ring, so that whoever is to lead knows that it is not cut off."""


class CrashLeader(ElectionMessage, frozen=True, tag=4):
    """The leader is silent and you are first in line."""


class Ok(LoadReport, frozen=True, tag=5):
    """I am here and hear no leader either; after CRASH_LEADER also: I claim."""


class LeaderIs(ElectionMessage, frozen=True, tag=6):
    """There is a leader: calms whoever suspects it."""

    leader: NodeName


class Election(LoadReport, frozen=True, tag=7):
    """Who is there? Asked of all when no line is known."""


class Yield(ElectionMessage, frozen=True, tag=8):
    """You are the best of those who answered: claim."""


class NewLeader(ElectionMessage, frozen=True, tag=9):
    """The sender holds the lease of `term`."""

    table: WireTable
    order: Order = 0


class Join(LoadReport, frozen=True, tag=10):
    """The sender has started, with this incarnation, and follows."""


class Decline(ElectionMessage, frozen=True, tag=11):
    """Asked to lead, the sender cannot: it drains or does not reach the directory."""


class Resign(ElectionMessage, frozen=True, tag=12):
    """The leader of `term` has given up its lease; `successor` is asked to claim it."""

    successor: NodeName | None = None


class HandOver(ElectionMessage, frozen=True, tag=13):
    """An operator asks that the sender lead."""


# --- Dispatch --------------------------------------------------------------------------------------------------------
class RequestKey(NamedTuple):
    """What identifies a request everywhere: whose it is, and the id that the peer chose (32 hexadecimal digits)."""

    session_key: bytes
    request_id: str


class KeyBatch(msgspec.Struct, frozen=True, array_like=True):
    """Requests of one account: 22 bytes each on the wire instead of 84."""

    session_key: Key
    ids: Annotated[bytes, msgspec.Meta(min_length=REQUEST_ID_BYTES, max_length=MAX_MESSAGE_BYTES)]
    """Request ids of 16 bytes, end to end."""

    def __post_init__(self) -> None:
        if len(self.ids) % REQUEST_ID_BYTES:
            raise ValueError("request ids of broken length")


KeyBatches = Annotated[tuple[KeyBatch, ...], msgspec.Meta(max_length=MAX_MESSAGE_BYTES // 64)]


class Assign(Message, frozen=True, tag=20):
    """The leader of `term` gives these requests to `node`. Goes to every node."""

    term: Term
    node: NodeName
    keys: KeyBatches


class AssignAck(Message, frozen=True, tag=21):
    """The assigned node serves `accepted`; it does not have `unheld`, which need another node."""

    term: Term
    accepted: KeyBatches = ()
    unheld: KeyBatches = ()


class Done(Message, frozen=True, tag=22):
    """The sender has served these requests."""

    keys: KeyBatches


class Forward(Message, frozen=True, tag=23):
    """The sender holds these requests and saw nobody assigned; the leader may not have got them."""

    keys: KeyBatches


class Working(Message, frozen=True, tag=24):
    """The sender has these requests in its hands."""

    keys: KeyBatches


class Unserved(Message, frozen=True, tag=25):
    """The sender had these requests and could not serve them."""

    keys: KeyBatches


# --- Failure simulation ----------------------------------------------------------------------------------------------
class FaultToken(Message, frozen=True, tag=30):
    """The token that makes its holder deaf. Only the leader moves it, so its term fences it."""

    term: Term
    hop: Sequence
    """Passes so far, over all terms; a lower (term, hop) is stale."""
    holder: NodeName | None
    """None: the token is out of the game."""
    remaining_s: Annotated[float, msgspec.Meta(ge=0, le=3_600)]
    """How long the holder stays deaf from now on."""


class FaultControl(Message, frozen=True, tag=31):
    """An operator at the sender's asks the leader to start or stop the token."""

    running: bool


# --- Operators' actions ----------------------------------------------------------------------------------------------
class AuditRecord(msgspec.Struct, frozen=True, array_like=True):
    """An operator's action, as the directory and the audit log of every node have it.

    `node`, `incarnation`, `number` identify it.
    """

    node: NodeName
    """That was given the order."""
    incarnation: Incarnation
    number: Sequence
    """Of the record in that life of the node."""
    at: Timestamp
    """Seconds since 1970, by that node's clock."""
    operator: Annotated[str, msgspec.Meta(pattern=r"^[a-z ]{0,80}$")]
    """Fingerprint words of the session key that gave the order."""
    order: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,16}$")]
    value: Annotated[str, msgspec.Meta(max_length=32)] = ""
    obeyed: bool = True
    text: Annotated[str, msgspec.Meta(max_length=100)] = ""
    """Why it was refused."""


RETIRED_KINDS: Final = frozenset({32, 33, 34, 35})
"""Numbers that earlier versions used for records of orders and the policy, which are in the directory now. Numbers are
never used again."""


# --- What nodes remember of the directory ----------------------------------------------------------------------------
class DirectoryMark(Message, frozen=True, tag=36):
    """The furthest state of the directory that the sender has seen, now or in an earlier life.

    A directory that is behind any node's mark was restored from a backup.
    """

    commits: Sequence
    """Group commits of all nodes since the directory was made."""
    epoch: Sequence
    term: Term
    accounts: Sequence
    """Highest account number given."""
    cluster: Sequence = 0
    """Version of the cluster file that the sender runs by."""


class Outlived(Message, frozen=True, tag=37):
    """What you send is taken for an earlier life's: the sender knows you by this incarnation. Take a higher one."""

    incarnation: Incarnation


NodeMessage = (
    Heartbeat
    | HeartbeatAck
    | Pulse
    | CrashLeader
    | Ok
    | LeaderIs
    | Election
    | Yield
    | NewLeader
    | Join
    | Decline
    | Resign
    | HandOver
    | Assign
    | AssignAck
    | Done
    | Forward
    | Working
    | Unserved
    | FaultToken
    | FaultControl
    | DirectoryMark
    | Outlived
)

_ENVELOPE_BYTES: Final = 150
"""Room for everything in a dispatch message but its keys: kind, term, longest node name, names of the fields."""
_ACCOUNT_BYTES: Final = len(base64.b64encode(bytes(32))) + len('["","=="],')
_ID_BYTES: Final = 22
"""Sixteen bytes in base64, rounded up."""


def pack_keys(keys: Iterable[RequestKey]) -> Iterator[tuple[KeyBatch, ...]]:
    """Yield the keys, grouped by account, in portions of which each fits one message."""
    by_account: dict[bytes, list[str]] = {}
    for session_key, request_id in keys:
        by_account.setdefault(session_key, []).append(request_id)
    portion: list[KeyBatch] = []
    room = MAX_MESSAGE_BYTES - _ENVELOPE_BYTES
    for session_key, ids in by_account.items():
        position = 0
        while position < len(ids):
            count = min((room - _ACCOUNT_BYTES) // _ID_BYTES, len(ids) - position)
            if count <= 0:
                yield tuple(portion)
                portion, room = [], MAX_MESSAGE_BYTES - _ENVELOPE_BYTES
                continue
            packed = bytes.fromhex("".join(ids[position : position + count]))
            portion.append(KeyBatch(session_key, packed))
            room -= _ACCOUNT_BYTES + count * _ID_BYTES
            position += count
    if portion:
        yield tuple(portion)


def unpack_keys(batches: Iterable[KeyBatch]) -> Iterator[RequestKey]:
    """Yield the keys of a message."""
    for batch in batches:
        digits = batch.ids.hex()
        for start in range(0, len(digits), 2 * REQUEST_ID_BYTES):
            yield RequestKey(batch.session_key, digits[start : start + 2 * REQUEST_ID_BYTES])
