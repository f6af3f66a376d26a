"""What travels in one datagram between a peer and a node, between two peers, and between an operator and a node.

Kinds 50 to 69 are the request plane, 70 to 79 peer to peer, 80 to 83 and 96 to 99 the operator's; 84 to 95 are the
status feed (`shared.wire.feed_messages`). An outcome or operation too long for a datagram travels as an object transfer
whose label says what it belongs to (`shared.wire.labels`).
"""

from typing import Annotated

import msgspec

from shared.wire.base import (
    Candidates,
    Count,
    Digest,
    Id128,
    Key,
    Message,
    NodeName,
    Note,
    PathAddress,
    Port,
    RelayHandle,
    Signature,
    Timestamp,
    ViewsOrNone,
)
from shared.wire.operations import LookSeconds, Operation, Outcome

Text = Annotated[str, msgspec.Meta(max_length=400)]
MAX_CLUSTER_PARTS = 112
"""Parts of 586 bytes that the longest cluster file has; a hostile node could otherwise have a peer gather for ever."""


class Request(Message, frozen=True, tag=50):
    """One operation under an id that the peer chose; sent to every node, served by one, repeated until answered.

    An operation longer than a datagram is announced as `large` with its hash and pulled by the serving node.
    """

    request: Id128
    operation: Operation | None = None
    large_sha256: Digest | None = None
    large_size: Count = 0


class Answer(Message, frozen=True, tag=51):
    """The outcome of a request, or a refusal (`code` and `text`), or notice that the outcome follows as a transfer."""

    request: Id128
    outcome: Outcome | None = None
    code: Annotated[str, msgspec.Meta(max_length=32)] = ""
    text: Text = ""
    follows: bool = False


class Pull(Message, frozen=True, tag=52):
    """From the node that serves a request: send the operation or the upload that belongs to it, to this session."""

    request: Id128
    what: Annotated[str, msgspec.Meta(pattern=r"^(operation|upload)$")]


class Received(Message, frozen=True, tag=53):
    """From the peer: it has the answer to this request, or wants none; the node forgets what it kept for repeats.

    Sent to all nodes once a request is answered that had to be repeated (a repeat may have crossed the answer), and to
    a node that pulls what belongs to a request that is over.
    """

    request: Id128


class KeepAlive(Message, frozen=True, tag=54):
    """The signed-in peer is still there. Answered by `CloudState`.

    `port` is that of its sign-in: a copy of the profile, which has the same device id, listens at another. `lasts_s` is
    how long it counts as present without another one, in seconds; a node knows a least and a longest.
    """

    device: Id128
    port: Port | None = None
    lasts_s: LookSeconds | None = None


class CloudState(Message, frozen=True, tag=55):
    """What a node knows of the cloud now; `signed_in` false asks the peer to sign in again."""

    node: NodeName
    leader: NodeName | None
    term: Count
    signed_in: bool
    mail_waiting: Count
    now: Timestamp
    """Directory time; 0 where the node does not know it, for its own clock may be wrong."""
    epoch: Count = 0
    """The directory's; it rises when the directory was restored from a backup. 0 where the node does not know it."""
    other_device: bool = False
    """Another device of this account is the one that others are sent to; this one need not sign in again."""
    seen: PathAddress | None = None
    """Where the node sees this peer, which may be an address of its router."""
    cluster: Count = 0
    """Version of the newest cluster file that the node knows."""
    directory_ok: bool | None = None
    """Read by nobody. It is sent for peers of older versions, which cannot read the message without it."""


class MailNudge(Message, frozen=True, tag=56):
    """There is new mail: fetch it."""


class NoLeader(Message, frozen=True, tag=57):
    """The node holds this request, but nobody can serve it now (`reason`): keep it and keep trying."""

    request: Id128
    reason: Text


class Meeting(Message, frozen=True, tag=58):
    """From a node: the peer with this session key, owner or viewer of this grant, looks for a path here.

    Datagrams under the handle lead to it through this node; `candidates` are where it may be reached directly. Repeated
    until it is answered; a peer that knows no such grant does not answer.
    """

    handle: RelayHandle
    grant: Id128
    key: Key
    candidates: Candidates = ()


class MeetingAnswer(Message, frozen=True, tag=59):
    """From the peer that was told: it is willing, and may be reached directly at `candidates`."""

    handle: RelayHandle
    candidates: Candidates = ()


class ClusterQuery(Message, frozen=True, tag=60):
    """Whoever has a session, registered or not, asks for a part of the cluster file if the node knows a later version.

    Answered by `ClusterPart`, or not at all.
    """

    above: Count = 0
    """The version that is known."""
    part: Annotated[int, msgspec.Meta(ge=0, lt=MAX_CLUSTER_PARTS)] = 0


class ClusterPart(Message, frozen=True, tag=61):
    """A part of the newest cluster file that the node knows. Nothing is believed before the whole one is checked."""

    version: Count
    part: Annotated[int, msgspec.Meta(ge=0, lt=MAX_CLUSTER_PARTS)]
    parts: Annotated[int, msgspec.Meta(ge=1, le=MAX_CLUSTER_PARTS)]
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=600)]


class RightsNotice(Message, frozen=True, tag=73):
    """An owner's peer tells a viewer's peer of changed rights without waiting for the cloud's mail.

    It holds only what a change can change; the rest of the record is the one that the viewer's peer holds, and the
    signature covers both. (Kind 70 was a whole grant, which no datagram could hold.)
    """

    grant: Id128
    version: Count
    granted: ViewsOrNone
    expires: Timestamp | None
    revoked: bool
    look_s: LookSeconds | None
    signature: Signature
    consumed: Count
    """As the directory told the owner's peer; the higher count holds."""


class RightsNoticed(Message, frozen=True, tag=71):
    """The viewer's peer holds this version or a higher one."""

    grant: Id128
    version: Count


class CopyHeld(Message, frozen=True, tag=72):
    """The viewer's peer has stored and checked the stego image of this grant: the owner's need not send it again."""

    grant: Id128


class StatusQuery(Message, frozen=True, tag=80):
    """An operator asks for a node's state; answered by `StatusReport`, as an object if it is long."""

    request: Id128


class NodeStatus(msgspec.Struct, frozen=True):
    """One node as it sees itself. Loads are the machine's, `cpu_percent` and `rss_mb` the process's own."""

    name: NodeName
    pid: Count
    role: Annotated[str, msgspec.Meta(max_length=16)]
    term: Count
    leader: NodeName | None
    priority: float
    cost: float
    load1: float
    cpu_percent: float
    rss_mb: float
    in_flight: Count
    heartbeat_age_ms: float | None
    rtt_ms: float | None
    requests_done: Count
    worker_ports: Count
    sessions: Count
    deaf: bool
    policy: Annotated[str, msgspec.Meta(max_length=16)]
    uptime_s: float
    dropped: Annotated[dict[str, int], msgspec.Meta(max_length=64)]
    """Datagrams that were dropped, by reason."""
    draining: bool = False
    """By an operator's order it takes no new work and never leads."""
    relay_pairs: Count = 0
    """Pairs of peers for whom it carries datagrams."""
    relayed_bytes: Count = 0
    relay_refused: Annotated[dict[str, int], msgspec.Meta(max_length=16)] = {}
    """Datagrams that it has not carried, by reason."""
    cluster: Count = 0
    """Version of the cluster file that it runs by."""
    program: Annotated[str, msgspec.Meta(max_length=32)] = ""
    """Version of Glimpse."""
    clock: Timestamp = 0.0
    """Seconds since 1970 by its machine's clock."""


class DirectoryStatus(msgspec.Struct, frozen=True):
    """The directory as a node sees it."""

    engine: Annotated[str, msgspec.Meta(max_length=16)]
    ok: bool
    latency_ms: float | None
    error: Text = ""
    writable: bool = True
    """Whether the last write went through, as this node found; `ok` is false without it."""
    ahead_s: float = 0.0
    """How far directory time stands before the database's clock, which was set back."""
    epoch: Count = 0


class StatusReport(Message, frozen=True, tag=81):
    """Answer to `StatusQuery`."""

    request: Id128
    status: NodeStatus
    directory: DirectoryStatus


class OperatorCommand(Message, frozen=True, tag=82):
    """An operator's order to one node. The same `request` is obeyed once, however often it comes.

    `deaf` (seconds as number), `token` (text `stop` ends the round, anything else starts it), `policy` (text; holds for
    the whole cluster), `lead` (ask for leadership), `step_down` (give it up), `slow` (encoder duty-cycle factor as
    number), `drain` (stand aside and go on running), `undrain`, `stop` (drain and end the process), `cluster` (take a
    newer cluster file) and `settings` (change the node's own file), which were sent before as an object.
    """

    request: Id128
    command: Annotated[
        str,
        msgspec.Meta(pattern=r"^(deaf|token|policy|lead|step_down|slow|drain|undrain|stop|cluster|settings)$"),
    ]
    number: float = 0.0
    text: Note = ""


class OperatorAnswer(Message, frozen=True, tag=83):
    """Whether the order was taken."""

    request: Id128
    ok: bool
    text: Text = ""


class SettingsChange(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to the order `settings`, as an object: what changes in the node's own file. It is never logged."""

    directory: Annotated[str, msgspec.Meta(max_length=2_000)] = ""
    """URL of the same directory: another password, another server. Empty: it stays."""
    private_key: Key | None = None
    """The node's next key, for the cluster file that is about to name it."""
    next_share_key: Key | None = None
    """Other nodes may encrypt shares under it already."""
    share_key: Key | None = None
    """To encrypt shares under from now on; the present one becomes a former one."""


PeerToNode = Request | Received | KeepAlive | MeetingAnswer | ClusterQuery | StatusQuery | OperatorCommand
NodeToPeer = Answer | Pull | CloudState | MailNudge | NoLeader | Meeting | ClusterPart | StatusReport | OperatorAnswer
PeerToPeer = RightsNotice | RightsNoticed | CopyHeld
AnyPeerMessage = PeerToNode | NodeToPeer | PeerToPeer
