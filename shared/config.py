"""Every knob of Glimpse in one place: unit, formula and trade-off.

Names carry their unit. Presets bundle what depends on the distance between machines: `local` (one machine), `lan` and
`wan`. Limits that a remote side could otherwise stretch say which attack they prevent.
"""

from dataclasses import dataclass, replace
from typing import Final

PROTOCOL_VERSION: Final = 1

# --- Datagrams and sessions ------------------------------------------------------------------------------------------
MIN_PATH_DATAGRAM_BYTES: Final = 1200
"""A datagram that every path is expected to carry (RFC 9000 section 14); handshakes are padded to it."""
RELAYED_DATAGRAM_BYTES: Final = 1_152
"""A datagram that a node carries from peer to peer: sealed once more for the path to the node and back, it still fits
`MIN_PATH_DATAGRAM_BYTES`."""
MAX_DATAGRAM_BYTES: Final = 65_000
"""The largest datagram ever sent, where the path is the loopback interface."""
MAX_MESSAGE_BYTES: Final = 1_100
"""A message that fits the smallest datagram with header and tag; anything longer travels as an object transfer."""
MAX_REPLY_OBJECT_BYTES: Final = 4 * 1024 * 1024
"""Cap of an answer that comes as an object: a hostile node could otherwise fill a peer's memory."""

# --- Pictures --------------------------------------------------------------------------------------------------------
MAX_ORIGINAL_BYTES: Final = 11 * 1024 * 1024
"""Largest original; two bits per channel of the largest cover hold it."""
MAX_SEALED_BYTES: Final = MAX_ORIGINAL_BYTES + 64 * 1024
MAX_STEGO_BYTES: Final = 80 * 1024 * 1024
"""Largest PNG that a peer takes from another side: 16 MP of three channels, stored, with room for headers."""
HELD_PART_BYTES: Final = 512 * 1024
"""A copy that waits in the cloud lies there in parts of this size: each is one row, one transaction, one answer."""
MAX_PICTURE_PIXELS: Final = 20_000_000
"""Pictures beyond this are refused before they are decoded: a decompression bomb otherwise costs 350 MB."""
MAX_COVER_PIXELS: Final = 16_000_000
MIN_COVER_WIDTH_PX: Final = 240
MAX_ASPECT_RATIO: Final = 8.0
TWO_BITS_ABOVE_BYTES: Final = 1024 * 1024
"""Sealed pictures beyond this take two bits of each channel of their cover: half the file, 5 dB less quality."""
RIGHTS_RECORD_BYTES: Final = 1_024
"""Room for the rights record in the strip; it stays in place when the record changes."""
MAX_JPEG_SCANS: Final = 50
"""A progressive JPEG has about ten; each one repeated costs a walk through the whole picture, and 334 KB hold 6 000."""
MAX_JPEG_SEGMENTS: Final = 4_096
"""11 MB of empty segments otherwise keep a reader busy for seconds, and fill its memory."""
MAX_PNG_CHUNKS: Final = 20_000
"""11 MB in chunks of 1 KB are 11 000; as many empty ones as fit would keep a reader busy for seconds."""
MAX_WEBP_CHUNKS: Final = 1_000
DECODING_CHILDREN: Final = 2
"""Processes that decode at a time, for each node and each client; the next picture waits its turn."""
DECODE_CPU_S: Final = 10
"""Computing time that a picture may cost; 20 megapixels of any honest kind take less than one."""
DECODE_WALL_S: Final = 30.0
"""How long a picture may take in all: on a busy machine a process gets less than a core."""
DECODE_MEMORY_BYTES: Final = 400_000_000
"""What decoding a picture may take; 20 megapixels of WebP, the hungriest, need 320 MB."""
COVER_MEMORY_BYTES: Final = 200_000_000
"""The same for a cover, which a node decodes; 20 megapixels of JPEG or PNG, or 12 of WebP."""
PREVIEW_MAX_BYTES: Final = 24 * 1024
PREVIEW_MAX_EDGE_PX: Final = 160

# --- People and their words ------------------------------------------------------------------------------------------
MAX_NAME_CHARS: Final = 48
MAX_TITLE_CHARS: Final = 120
MAX_NOTE_CHARS: Final = 280
MAX_VIEWS: Final = 9_999
"""Largest number of views in one grant; a million is a typing mistake."""
USERS_PAGE_ROWS: Final = 200
MAILBOX_PER_SENDER: Final = 200
"""Unacknowledged mail that one sender may have in one mailbox: a flood otherwise fills the directory."""
MAILBOX_LETTERS: Final = 5_000
"""Unacknowledged mail in one mailbox, of all senders together: accounts are free, and many could flood one."""
MAX_IMAGES_PER_ACCOUNT: Final = 10_000

# --- Requests --------------------------------------------------------------------------------------------------------
REQUEST_ROW_KEPT_S: Final = 2 * 3600
"""How long a stored answer stays; effects have natural keys and outlive it."""
VIEW_REPEAT_S: Final = 600
"""A view id is answered again to the same key for this long, until the peer has said that it was taken."""
REMEMBERED_REQUESTS: Final = 65_536
"""Requests that a node remembers; the oldest go first, so that memory is bounded whatever peers send."""
REMEMBERED_REQUESTS_S: Final = 900.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Timers that depend on how far apart the machines are. All in seconds.

    `heartbeat_s` is the unit of the rest: a shorter one finds failures sooner and costs n - 1 datagrams each time.
    """

    heartbeat_s: float = 0.25
    suspect_heartbeats: int = 4
    """A leader silent for this many heartbeats is suspected; fewer means false alarms when a machine pauses."""
    rank_stagger_s: float = 0.060
    """Added per rank in the coordination table, so that the next in line acts first."""
    ok_timeout_s: float = 0.200
    announcement_timeout_s: float = 0.600
    lease_s: float = 1.500
    lease_trust_s: float = 1.200
    """How long a leader trusts its lease from the moment the renewal was sent; less than `lease_s` by the clock error
    and pause that must be survived."""
    stall_heartbeats: int = 20
    """A leader whose requests stand still gives the lease up after this many heartbeats. They have a loop of their own,
    which a busy machine may hold up for longer than `lease_s`; a longer bound keeps a node in office whose loop hangs
    for good."""
    gate_heartbeats: int = 4
    """A node claims or renews only if it was acknowledged by another within this many heartbeats."""
    calm_heartbeats: int = 2
    """A node that heard the leader within this many heartbeats answers a suspicion with LEADER_IS."""
    takeover_heartbeats: int = 2
    """Per rank: how long a node waits for DONE before it serves a request that it was not assigned."""
    assign_lapse_heartbeats: int = 4
    """An assignment without acknowledgement or sign of work lapses after this many heartbeats."""
    deaf_s: float = 20.0
    """How long the failure simulation makes a node deaf."""
    request_retry_s: float = 0.5
    """First repeat of an unanswered request; doubles up to `request_retry_max_s`."""
    request_retry_max_s: float = 4.0
    keep_alive_s: float = 2.0
    """Peers tell the cloud that they are there this often while they are used."""
    idle_keep_alive_s: float = 30.0
    """The same at the most, where they are left alone: less often costs less and finds later that the cloud is away, or
    that word of mail was lost. Less than half of `session_idle_s`, and than what routers keep mappings for (RFC 4787
    asks for two minutes; many keep to half a minute, see `tui.peer.keep_alives`)."""
    presence_s: float = 7.0
    """Presence lapses so long after the next keep-alive of a peer was due: three lost ones and some."""
    session_idle_s: float = 60.0
    handshake_timeout_s: float = 5.0
    handshake_retry_s: float = 0.25
    initial_rtt_s: float = 0.010
    transfer_idle_s: float = 10.0
    """A transfer that hears nothing from the other side for this long ends, to be resumed later."""
    directory_deadline_s: float = 5.0
    """No call to the directory waits longer."""
    rekey_age_s: float = 120.0
    """Age after which a session's sending key is replaced; shorter exposes less to a stolen key and costs a derivation
    and a round trip each time."""
    previous_epoch_s: float = 10.0
    """How long datagrams of the previous key epoch are still taken; longer than any reordering."""

    @property
    def suspect_s(self) -> float:
        """Silence after which the first in line suspects the leader."""
        return self.suspect_heartbeats * self.heartbeat_s

    @property
    def longest_presence_s(self) -> float:
        """How far ahead of the clock a presence may be."""
        return self.idle_keep_alive_s + self.presence_s

    @property
    def stall_s(self) -> float:
        """How long the requests of a leader may stand still."""
        return self.stall_heartbeats * self.heartbeat_s


LOCAL: Final = Timing()
LAN: Final = replace(
    LOCAL,
    heartbeat_s=0.5,
    rank_stagger_s=0.120,
    ok_timeout_s=0.4,
    announcement_timeout_s=1.2,
    lease_s=3.0,
    lease_trust_s=2.4,
    initial_rtt_s=0.020,
)
WAN: Final = replace(
    LOCAL,
    heartbeat_s=1.0,
    rank_stagger_s=0.300,
    ok_timeout_s=1.0,
    announcement_timeout_s=3.0,
    lease_s=6.0,
    lease_trust_s=4.8,
    request_retry_s=1.0,
    keep_alive_s=5.0,
    presence_s=17.0,
    handshake_retry_s=0.5,
    initial_rtt_s=0.1,
    transfer_idle_s=30.0,
)
PRESETS: Final = {"local": LOCAL, "lan": LAN, "wan": WAN}


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on what other sides can make a process hold."""

    half_open_handshakes: int = 256
    """Handshakes without a confirmed session; beyond it the oldest is dropped (flood of first messages)."""
    cookie_threshold: int = 64
    """Half-open handshakes above which an address must first return a cookie (spoofed sources)."""
    sessions: int = 4_096
    sessions_per_key: int = 8
    worker_ports: int = 64
    """Ephemeral sockets for object transfers, in all."""
    worker_ports_per_peer: int = 16
    transfers: int = 256
    transfers_per_peer: int = 16
    queued_transfers: int = 1_024
    """Transfers that wait for a worker port; the reference's queue behind its cap on workers."""
    slow_transfer_bytes_per_s: float = 16_384.0
    """A transfer below this gives way while others wait (slow senders that hold every worker port)."""
    least_transfer_bytes_per_s: float = 1_024.0
    """A transfer below this for some time ends, whether others wait or not: so none lasts for ever."""
    requests_in_flight_per_key: int = 64
    """Unanswered requests of one account that a node holds; further ones are refused as busy."""
    unproven_rate_per_s: float = 500.0
    """Token bucket per host (an IPv4 address, an IPv6 /64) for anything that is not part of a session: reading a first
    message costs an X25519 of some 70 us whether it makes sense or not, so one host gets 4 % of a core."""
    first_messages_per_s: float = 500.0
    """First messages read in all without a cookie; beyond it an address must return one (spoofed sources)."""
    cookies_per_address_per_s: float = 4.0
    """Cookies for an address whose host has used up its share, so that a neighbour's flood shuts nobody out."""
    unproven_addresses: int = 4_096
    """Hosts and addresses whose buckets are remembered; the longest silent goes first (spoofed sources)."""
    queued_messages: int = 64
    """Messages that wait for one handshake."""
    rekey_packets: int = 2**20
    """Datagrams under one session key; far below the limits of AES-GCM (RFC 9001 section 6.6)."""


LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What one account, or one host, may ask of a node. An operator can set each in the node's file."""

    requests_per_s: float = 100.0
    """Requests of one account (a flood of cheap ones raises everybody's latency)."""
    requests_burst: float = 400.0
    """Requests that an account can save up: a client that comes back has a lot to catch up with."""
    registrations_per_s: float = 0.5
    """New accounts from one host (an IPv4 address, an IPv6 /64)."""
    registrations_burst: float = 100.0
    reads_at_once: int = 8
    """Reads of the directory that a node serves at a time; further ones wait, one account after the other."""
    writes_at_once: int = 128
    """Effects at a time: as many as share a commit."""
    upload_bytes: int = 48 * 1024 * 1024
    """Uploads, and stego images on their way back, that a node holds at a time: of each picture as much as the larger
    of the two may take. What is needed beside them while a picture is hidden is bounded by the encoder."""
    upload_bytes_per_account: int = 24 * 1024 * 1024
    partial_bytes: int = 12 * 1024 * 1024
    """Uploads that came in part, kept for an hour for peers that come back (uploads that are broken off again and
    again would fill the memory of a node)."""

    held_bytes_per_account: int = 256 * 1024 * 1024
    """Copies that wait in the cloud for viewers who are away, of one owner."""
    held_bytes: int = 4 * 1024 * 1024 * 1024
    """The same of all owners together: what the directory may grow by."""
    held_days: float = 14.0
    """How long such a copy waits at most."""

    meetings_per_s: float = 5.0
    """How often one account may ask for a path to another peer (each is told to somebody else, who then probes)."""
    meetings_burst: float = 200.0
    """Paths that an account can save up: an owner may answer many requests at once."""
    relays: int = 4_096
    """Pairs of peers for whom a node carries datagrams; the pair that was silent longest goes first."""
    relays_per_account: int = 64
    relayed_bytes_per_s: float = 16 * 1024 * 1024
    """What a node carries for one account (an account could otherwise use up the node's line)."""
    relayed_bytes_per_s_in_all: float = 64 * 1024 * 1024
    relayed_bytes_per_day: float = 8 * 1024 * 1024 * 1024
    """The same in the long run: a day's worth can be had at once, and comes back evenly."""


REQUEST_LIMITS: Final = RequestLimits()
