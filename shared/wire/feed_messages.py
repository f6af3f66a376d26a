"""The status feed: what a node pushes to an operator who watches it, and how a watch is begun and kept. Kinds 84 to 95.

A monitor sends `Watch` about every second; the node then pushes messages of the kinds below, at most every
`MIN_INTERVAL_MS`, until `WATCH_LAPSE_MS` after the last `Watch`. Each message fits one datagram and stands by itself,
so a lost one costs nothing but its own news:

- counters count since the node's incarnation began, so whoever misses a message has lost nothing by the next;
- every message of a watch has the next `seq`, so a gap shows how many were lost;
- notices (transitions, messages of elections, log lines, audit) are numbered over the node's life and kept a while;
  `Watch` says up to where the monitor has them, and what it lacks is sent again.

Times are milliseconds of the node's monotonic clock; `Life.wall_offset_ms` turns them into time since 1970. Nodes are
named by their place in the address order of the cluster file. All enumerations are append-only.
"""

from enum import IntEnum
from typing import Annotated, Final

import msgspec

from shared.wire.base import AccountId, Id128, Message, NodeName, Port
from shared.wire.node_messages import (
    AgeMs,
    AuditRecord,
    Cores,
    Incarnation,
    InFlight,
    Load,
    Place,
    Sequence,
    Term,
    WireTable,
)

MIN_INTERVAL_MS: Final = 200
"""No watch gets frames faster than 5 times a second; a shorter interval is taken for this one."""
MAX_INTERVAL_MS: Final = 5_000
WATCH_RENEW_MS: Final = 1_000
"""How often a monitor repeats `Watch`."""
WATCH_LAPSE_MS: Final = 5_000
"""A watch that was not renewed for this long is over."""
MAX_WATCHERS: Final = 4
"""Watches of one node at a time: each costs it some datagrams a second."""
KEPT_NOTICES: Final = 512
"""Notices that a node keeps for monitors that come later or lost some."""

BEATS_PER_MESSAGE: Final = 7
REQUESTS_PER_MESSAGE: Final = 8
KINDS_PER_MESSAGE: Final = 24
NOTICES_PER_MESSAGE: Final = 16

LATENCY_BOUNDS_MS: Final = tuple(round(0.25 * 2 ** (step / 2), 3) for step in range(36))
"""Upper bounds of the buckets of the latency histogram: 0.25 ms to 46 s, each 1.41 times the one before. A last bucket
holds what took longer."""

AtMs = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
"""A moment on the node's monotonic clock, in ms, to one decimal."""
Tally = Annotated[int, msgspec.Meta(ge=0, le=9_999_999_999)]
"""A counter since the incarnation began."""
Bytes = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
DurationMs = Annotated[float, msgspec.Meta(ge=0, le=1e10)]
Prefix = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}$")]
"""The first four bytes of a key or id, in hexadecimal digits: enough to tell them apart on a screen."""
RoleName = Annotated[str, msgspec.Meta(pattern=r"^(follower|probe|elect|wait|claim|leader)$")]
Label = Annotated[str, msgspec.Meta(pattern=r"^[A-Z_]{0,24}$")]
LINE_CHARS: Final = 160
Line = Annotated[str, msgspec.Meta(max_length=LINE_CHARS)]
"""A text of the node's. It may quote what came from elsewhere: clean it before it is shown."""
Word = Annotated[str, msgspec.Meta(max_length=24)]


# --- From the monitor ------------------------------------------------------------------------------------------------
class Watch(Message, frozen=True, tag=84):
    """An operator wants the feed of this node, or wants to go on having it. One watch a session."""

    request: Id128
    """The monitor's choice; comes back in `WatchRefused`."""
    interval_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = MIN_INTERVAL_MS
    """Wanted between frames; the node keeps it within its bounds."""
    incarnation: Incarnation = 0
    """Of the node's life that `after` is about; 0 at first."""
    after: Sequence = 0
    """The monitor has all notices up to this number: the node goes on, or begins again, behind it."""


class Unwatch(Message, frozen=True, tag=85):
    """The watch of this session is over."""


class WatchRefused(Message, frozen=True, tag=86):
    """The node has as many watchers as it takes; it may be asked again."""

    request: Id128
    reason: Line


# --- Frames ----------------------------------------------------------------------------------------------------------
class FeedMessageBase(Message, frozen=True, kw_only=True):
    """What every message of the feed carries."""

    seq: Sequence
    """Number of this message within its watch, from 1."""
    at_ms: AtMs
    """When the node took these figures; the same in all messages of one frame."""


class Life(msgspec.Struct, frozen=True, array_like=True):
    """Which life of which node this is."""

    name: NodeName
    pid: Annotated[int, msgspec.Meta(ge=0, le=2**31)]
    incarnation: Incarnation
    wall_offset_ms: Annotated[int, msgspec.Meta(ge=-(10**13), le=10**13)]
    """Add it to any `at_ms` of this node to get ms since 1970."""
    uptime_ms: Annotated[int, msgspec.Meta(ge=0, le=10**12)]
    port: Port
    """Where it takes requests."""


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """Its part in the election and in the failure simulation."""

    role: RoleName
    term: Term
    leader: Place | None
    """Whom it takes for the leader."""
    leader_since_ms: AtMs | None
    """Since when it does so."""
    trusts_lease: bool
    """It leads and may act as leader."""
    fit: bool
    """It could lead: it neither drains nor lacks the directory."""
    draining: bool
    """By an operator's order: it takes no new work and never leads until it is undrained."""
    deaf_ms: AgeMs
    """It hears and says nothing for this long from now on; 0: it is not deaf. The last frame before the silence says
    so."""
    token: Place | None
    """Holder of the token of the failure simulation, if it is going round."""
    token_ms: AgeMs
    """How long the holder keeps it."""
    policy: Word
    """How it would place requests if it led."""


class Work(msgspec.Struct, frozen=True, array_like=True):
    """Loads and requests."""

    load1: Load
    """The machine's load of one minute, and so the same for nodes on one machine."""
    cores: Cores
    cost: Annotated[float, msgspec.Meta(ge=0, le=1e8)]
    priority: Annotated[float, msgspec.Meta(ge=0, le=1e4)]
    """The reference's 1 / load1."""
    cpu_percent: Annotated[float, msgspec.Meta(ge=0, le=1e6)]
    """The process's own, 100 for one core; measured once a second."""
    rss_mb: Annotated[float, msgspec.Meta(ge=0, le=1e7)]
    in_flight: InFlight
    """Requests that it serves now."""
    open_requests: InFlight
    """Requests that it knows of and that nobody has answered yet, as far as it has heard."""
    requests_done: Tally
    """Answered by this node, refusals included."""
    refused: Tally
    """Of those, answered with a refusal or as invalid."""
    failed: Tally
    """Not served here though they were begun: another node should."""
    slowdown: Annotated[float, msgspec.Meta(ge=1, le=1e4)]
    """Factor by which an operator slowed its encoder; 1: not at all."""


class Traffic(msgspec.Struct, frozen=True, array_like=True):
    """Both sockets and the worker ports together."""

    sent_bytes: Bytes
    received_bytes: Bytes
    sent_datagrams: Tally
    received_datagrams: Tally
    dropped: Tally
    """Datagrams and messages that were thrown away, for whatever reason."""
    worker_ports: InFlight
    """In use now."""
    sessions: InFlight
    """Of peers and operators, open now."""
    clients: InFlight
    """Accounts that have a session here."""
    watchers: InFlight
    relay_pairs: InFlight = 0
    """Pairs of peers for whom it carries datagrams."""
    relayed_bytes: Bytes = 0
    """What it has carried for them."""
    relay_refused: Tally = 0
    """Datagrams that it has not carried: beyond an account's share, or not of a pair."""


class FeedState(FeedMessageBase, frozen=True, tag=87):
    """The node as it sees itself. The first message of every frame."""

    life: Life
    standing: Standing
    work: Work
    traffic: Traffic


class Beats(msgspec.Struct, frozen=True, array_like=True):
    """Signs of life between this node and one other. Counters since the incarnation began."""

    place: Place
    """The other node."""
    sent: Tally
    """Heartbeats sent to it, as leader."""
    acked: Tally
    """Of those, acknowledged by it."""
    unacked: Tally
    """Of those, not acknowledged by the time of the one after the next."""
    heard: Tally
    """Heartbeats heard from it, as follower."""
    missed: Tally
    """Heartbeats that should have come from it while this node took it for the leader, and did not."""
    pulses_sent: Tally
    """Pulses sent round the ring of followers, to it."""
    pulses_heard: Tally
    heard_ms: AgeMs | None
    """Since it was last heard at all, by this node itself; None if never."""
    rtt_us: Annotated[int, msgspec.Meta(ge=0, le=9_999_999)] | None
    """Round trip of the last acknowledged heartbeat."""


class FeedBeats(FeedMessageBase, frozen=True, tag=88):
    """The heartbeats, a row for each other node; more rows than one message takes come in further ones."""

    beats: Annotated[tuple[Beats, ...], msgspec.Meta(max_length=BEATS_PER_MESSAGE)]


class FeedTable(FeedMessageBase, frozen=True, tag=89):
    """The coordination table as this node holds it: the leader somewhere in it, the others in order of succession.

    Sent when the order changed, and once a second.
    """

    term: Term
    """Of the leadership that made it; 0: there has been none yet."""
    age_ms: AgeMs
    """Since it was made or last heard."""
    rows: WireTable


class FeedDirectory(FeedMessageBase, frozen=True, tag=90):
    """The directory as this node sees it; once a second."""

    engine: Word
    ok: bool
    """It answered, and what was last written to it was committed."""
    latency_ms: DurationMs | None
    error: Line = ""
    writable: bool = True
    """Whether the last write was committed."""
    ahead_s: Annotated[float, msgspec.Meta(ge=0, le=1e11)] = 0.0
    """How far directory time stands before the database's clock, which was set back."""


class Happening(IntEnum):
    """What happened to a request at this node."""

    HELD = 1
    """A peer sent it here, for the first time."""
    REPEATED = 2
    """A peer sent it again after it was served."""
    ASSIGNED = 3
    """This node, leading, gave it to `node`."""
    REASSIGNED = 4
    """This node, leading, took it from `node`, which showed no sign of work."""
    TAKEN_OVER = 5
    """This node serves it though nobody assigned it."""
    FORWARDED = 6
    """This node told the leader of it."""
    SERVED = 7
    """This node answered it, `latency_ms` after it came."""
    REFUSED = 8
    """This node answered it with a refusal, `code`."""
    FAILED = 9
    """This node began it and could not serve it."""
    BUSY = 10
    """Not taken: too many are open."""


class FeedDispatch(FeedMessageBase, frozen=True, tag=91):
    """Exact counts of everything that happened to requests here, sampled or not; in every frame."""

    counts: Annotated[tuple[Tally, ...], msgspec.Meta(max_length=32)]
    """By `Happening`: the count of happening h is counts[h]; counts[0] is unused."""
    latency: Annotated[tuple[Tally, ...], msgspec.Meta(max_length=64)]
    """Answered requests by latency: bucket i holds those up to LATENCY_BOUNDS_MS[i], the last one the rest. Trailing
    zeros may be left out."""
    latency_sum_ms: Annotated[float, msgspec.Meta(ge=0, le=1e15)]


class KindCount(msgspec.Struct, frozen=True, array_like=True):
    """Answered requests of one kind of operation."""

    operation: Annotated[int, msgspec.Meta(ge=0, le=999)]
    """Kind of the operation (`shared.wire.operations`); 0: not known."""
    served: Tally
    refused: Tally
    latency_sum_ms: Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class FeedKinds(FeedMessageBase, frozen=True, tag=92):
    """Answered requests by kind of operation; once a second."""

    kinds: Annotated[tuple[KindCount, ...], msgspec.Meta(max_length=KINDS_PER_MESSAGE)]


class RequestEvent(msgspec.Struct, frozen=True, array_like=True):
    """Something that happened to one request."""

    at_ms: AtMs
    what: Happening
    node: Place | None
    """The other node that it is about: assigned to, taken from."""
    operation: Annotated[int, msgspec.Meta(ge=0, le=999)]
    """Kind of the operation; 0: not known here."""
    account: AccountId | None
    """Whose request it is, if the node knows the account."""
    key: Prefix
    """Of the session key of whoever asks."""
    request: Prefix
    """Of the request's id. The same request has the same prefix at every node."""
    latency_ms: DurationMs | None = None
    code: Word = ""
    """Of a refusal."""


class FeedRequests(FeedMessageBase, frozen=True, tag=93):
    """Requests as they went, since the last frame. Under load only one request in `one_in` is followed.

    Which ones depends on their ids alone, so all nodes follow the same ones, from beginning to end.
    """

    one_in: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    left_out: Tally
    """Events since the last frame that are in none of its messages: counted in `FeedDispatch` only."""
    events: Annotated[tuple[RequestEvent, ...], msgspec.Meta(max_length=REQUESTS_PER_MESSAGE)]


# --- Notices ---------------------------------------------------------------------------------------------------------
class RoleNotice(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The node changed its role."""

    previous: RoleName
    role: RoleName
    why: Label
    """Name of a `node.roles.Input`."""
    term: Term
    """Highest term that the node knows."""


class LeaderNotice(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The node takes another for the leader, or knows of none now."""

    leader: Place | None
    term: Term


class ElectionNotice(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A message of an election left or came: every kind but HEARTBEAT, HEARTBEAT_ACK and PULSE."""

    sent: bool
    kind: Label
    """CRASH_LEADER, OK, LEADER_IS, ELECTION, YIELD, NEW_LEADER, JOIN, DECLINE, RESIGN or HAND_OVER."""
    node: Place
    """Where it went to or came from."""
    term: Term
    """That it carries."""


class LeaseNotice(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The directory was asked for the lease, or answered. Renewals only where they do not succeed."""

    what: Label
    """CLAIM, WON, LOST, UNKNOWN, RELEASE or RELEASED."""
    term: Term


class DeafNotice(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The node became deaf, or hears again. Both arrive only after it hears again."""

    deaf: bool


class TokenNotice(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """The token of the failure simulation moved as this node saw it; None: it is out of the game."""

    holder: Place | None
    hop: Sequence


class LogNotice(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """A line of the node's log."""

    level: Annotated[str, msgspec.Meta(pattern=r"^(debug|info|warning|error|critical)$")]
    source: Word
    """Module that wrote it."""
    text: Line


class AuditNotice(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """An entry of the node's audit log: its own, or one of another node, out of the directory."""

    record: AuditRecord


class RestoredNotice(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """The node found that the directory was restored from a backup, and made it safe to use again."""

    epoch: Sequence
    """The directory's from now on."""
    frozen: Tally
    """Frozen grants, which wait until their owners confirm them."""


AnyNotice = (
    RoleNotice
    | LeaderNotice
    | ElectionNotice
    | LeaseNotice
    | DeafNotice
    | TokenNotice
    | LogNotice
    | AuditNotice
    | RestoredNotice
)


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """One notice. Numbers are consecutive over the node's incarnation, from 1."""

    number: Sequence
    at_ms: AtMs
    body: AnyNotice


class FeedNotices(FeedMessageBase, frozen=True, tag=94):
    """Notices in order. A monitor may get one twice: it goes by the number."""

    incarnation: Incarnation
    oldest: Sequence
    """The lowest number that the node still has: what is missing below it is gone for good."""
    notices: Annotated[tuple[Notice, ...], msgspec.Meta(max_length=NOTICES_PER_MESSAGE)]


WatchMessage = Watch | Unwatch
"""What a monitor sends."""
FeedMessage = (
    WatchRefused
    | FeedState
    | FeedBeats
    | FeedTable
    | FeedDirectory
    | FeedDispatch
    | FeedKinds
    | FeedRequests
    | FeedNotices
)
"""What a watched node sends."""
