"""What an account asks of the cloud, and what the cloud answers: one typed operation and outcome for each.

Operations travel inside a `Request` (see `peer_messages`), whose session proves who asks. The account behind a session
is never named in an operation: the nodes take it from the session's key. Kinds 100 to 149 are operations, 150 to 199
outcomes, 200 to 219 what mail carries.
"""

from typing import Annotated

import msgspec

from shared.config import (
    HELD_PART_BYTES,
    MAX_NAME_CHARS,
    MAX_SEALED_BYTES,
    MAX_STEGO_BYTES,
    PREVIEW_MAX_BYTES,
    USERS_PAGE_ROWS,
)
from shared.wire.base import (
    AccountId,
    Candidates,
    Count,
    Digest,
    Id128,
    Key,
    Message,
    Name,
    NodeName,
    Note,
    Port,
    RelayHandle,
    Signature,
    Timestamp,
    Title,
    Views,
    ViewsOrNone,
)

Record = Annotated[bytes, msgspec.Meta(max_length=1_024)]
"""An encoded rights record."""
Host = Annotated[str, msgspec.Meta(max_length=64)]
PictureEdge = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
PictureFormat = Annotated[str, msgspec.Meta(max_length=8, pattern=r"^[A-Z0-9]+$")]
Page = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


def parts_of(size: int) -> int:
    """Return in how many parts a copy of so many bytes lies."""
    return -(-size // HELD_PART_BYTES)


MAX_HELD_PARTS = parts_of(MAX_STEGO_BYTES)
StegoSize = Annotated[int, msgspec.Meta(ge=1, le=MAX_STEGO_BYTES)]
PartNumber = Annotated[int, msgspec.Meta(ge=0, lt=MAX_HELD_PARTS)]
Part = Annotated[bytes, msgspec.Meta(min_length=1, max_length=HELD_PART_BYTES)]
Preview = Annotated[bytes, msgspec.Meta(max_length=PREVIEW_MAX_BYTES)]
Receipt = Annotated[bytes, msgspec.Meta(max_length=32)]
"""The nodes' own proof that they gave an account number to a signing key, or made an image for it; empty from nodes
that give none."""
MAX_TOLD_WISHES = 16
"""The newest of a grant that its owner is told, and tells: an answer must stay small, and older ones were answered."""
LookSeconds = Annotated[float, msgspec.Meta(ge=0, le=10_000_000)]

# --- Accounts --------------------------------------------------------------------------------------------------------


class Register(Message, frozen=True, tag=100):
    """Create an account for the keys of this session. The only operation that an unknown key may ask for.

    `proof` is the signing key's signature over (cluster id, name, session key), domain `register`.
    """

    name: Name
    signing_key: Key
    session_key: Key
    session_signature: Signature
    proof: Signature
    account: AccountId | None = None
    """The number that this key was given before the directory was restored from a backup; needs `receipt`."""
    receipt: Receipt = b""


class SignIn(Message, frozen=True, tag=101):
    """Say that this account's peer is here and reachable at its session's host and `port`.

    `device` names this installation for the acknowledgement of mail; `proof` signs (cluster id, device, request id),
    domain `sign-in`, so that a session key alone does not sign in. With `hidden` nobody is told where; others reach the
    peer through a node.
    """

    device: Id128
    port: Port
    proof: Signature
    hidden: bool = False


class SignOut(Message, frozen=True, tag=102):
    """End the presence at once."""

    device: Id128


class ListUsers(Message, frozen=True, tag=103):
    """One page of accounts whose name or id contains `text`, online first, then by name."""

    text: Annotated[str, msgspec.Meta(max_length=64)] = ""
    page: Page = 0
    page_rows: Annotated[int, msgspec.Meta(ge=1, le=USERS_PAGE_ROWS)] = USERS_PAGE_ROWS


class FindAccount(Message, frozen=True, tag=104):
    """One account with its keys and, if it is online, its address."""

    account: AccountId


class OfferedImages(Message, frozen=True, tag=105):
    """The images that an account offers."""

    owner: AccountId
    page: Page = 0


# --- Images ----------------------------------------------------------------------------------------------------------


class Encrypt(Message, frozen=True, tag=110):
    """Hide a sealed picture. The upload (`shared.wire.upload`) is pulled from the peer by the node that serves this.

    `upload_size` and `upload_sha256` describe the upload; the answer's stego image comes as an object transfer.
    """

    image: Id128
    title: Title
    format: PictureFormat
    width: PictureEdge
    height: PictureEdge
    original_size: Annotated[int, msgspec.Meta(ge=1, le=MAX_SEALED_BYTES)]
    upload_size: Annotated[int, msgspec.Meta(ge=1, le=3 * MAX_SEALED_BYTES)]
    upload_sha256: Digest


class SetPreview(Message, frozen=True, tag=111):
    """Set or clear (`None`) the low-resolution preview that others may see before they ask."""

    image: Id128
    preview: Preview | None


class GetPreview(Message, frozen=True, tag=112):
    """The public preview of an image."""

    image: Id128


class WithdrawImage(Message, frozen=True, tag=113):
    """Stop offering an image. Grants stay as they are."""

    image: Id128


class MyImages(Message, frozen=True, tag=114):
    """The caller's own images with totals."""

    page: Page = 0


class RestoreImage(Message, frozen=True, tag=115):
    """Make the row of an own image again that a restored directory lacks. One that is there is left as it is.

    `receipt` is the one that came with the image; `upload_size` 0 says that the owner's peer no longer knows the
    upload.
    """

    image: Id128
    title: Title
    format: PictureFormat
    width: PictureEdge
    height: PictureEdge
    original_size: Annotated[int, msgspec.Meta(ge=1, le=MAX_SEALED_BYTES)]
    created: Timestamp
    offered: bool = True
    upload_size: Annotated[int, msgspec.Meta(ge=0, le=3 * MAX_SEALED_BYTES)] = 0
    upload_sha256: Digest = bytes(32)
    receipt: Receipt = b""


# --- Asking and granting ---------------------------------------------------------------------------------------------


class AskViews(Message, frozen=True, tag=120):
    """Ask an image's owner for `views` looks. The request id of this operation is the ask's id, for ever.

    Where the viewer already holds an unrevoked grant, this asks for more.
    """

    image: Id128
    views: Views
    note: Note = ""


class WithdrawAsk(Message, frozen=True, tag=121):
    """Take back an ask that is not answered yet."""

    ask: Id128


class RejectAsk(Message, frozen=True, tag=122):
    """Answer an ask with no. Repeating it changes nothing."""

    ask: Id128
    reason: Note = ""


class Grant(Message, frozen=True, tag=123):
    """Create a grant: the owner's signed record and the cloud's share of the content key. `ask` is closed with it.

    `wish` is the id of what the owner wanted, the same however often it is signed: it is done once. Whoever names one
    that is done gets the grant that it was about, as that stands.
    """

    grant: Id128
    image: Id128
    viewer: AccountId
    record: Record
    cloud_share: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    share_signature: Signature
    ask: Id128 | None = None
    wish: Id128 | None = None


class ChangeRights(Message, frozen=True, tag=124):
    """Replace a grant's record by one of a higher version: more views, fewer, another expiry, or revoked.

    Compare-and-set: refused as `conflict` unless the grant still stands at (`met_version`, `met_consumed`), and then
    the owner's peer reads the grant again. `ask` is closed as accepted with it, once. `wish` is as in `Grant`.
    """

    grant: Id128
    record: Record
    met_version: Count
    met_consumed: Count
    ask: Id128 | None = None
    wish: Id128 | None = None


class ListAsks(Message, frozen=True, tag=125):
    """Asks that the caller made (`incoming` false) or got (`incoming` true), newest first; with `ask` that one only."""

    incoming: bool
    page: Page = 0
    ask: Id128 | None = None


class ListGrants(Message, frozen=True, tag=126):
    """Grants that the caller gave on `image`, with `given` all that the caller gave, otherwise all that the caller
    holds as a viewer."""

    image: Id128 | None = None
    page: Page = 0
    given: bool = False


class GetGrant(Message, frozen=True, tag=127):
    """One grant, for its owner or its viewer."""

    grant: Id128


class WishDone(msgspec.Struct, frozen=True):
    """What an owner wanted of a grant and got: the wish's id (see `ChangeRights.wish`) and the version it became."""

    wish: Id128
    version: Count


WishesDone = Annotated[tuple[WishDone, ...], msgspec.Meta(max_length=MAX_TOLD_WISHES)]


class ConfirmGrant(Message, frozen=True, tag=128):
    """What the owner's peer knows of a grant, for a directory that was restored: thaws the grant.

    The higher version and the higher count hold, the directory's or these. A grant that the directory lacks is made
    anew from the share, which is needed only then. `consumed` is the highest count that the owner was told.
    `wishes` are those that the directory said are contained in the record: one that is sent again is not done twice.
    """

    grant: Id128
    image: Id128
    viewer: AccountId
    record: Record
    consumed: Count
    cloud_share: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)] | None = None
    share_signature: Signature | None = None
    wishes: WishesDone = ()


# --- Views -----------------------------------------------------------------------------------------------------------


class SpendView(Message, frozen=True, tag=130):
    """Spend one view. The request id of this operation is the view id, for ever.

    `signature` is the viewer's over (cluster, grant, view id, ephemeral key). The answer holds the cloud's share sealed
    to `ephemeral_key`; it is recomputed for a repeat and never stored. `known_version` and `known_consumed` are what
    the viewer's peer was told before: a directory that is behind them was restored, and freezes this grant.
    """

    grant: Id128
    ephemeral_key: Key
    signature: Signature
    known_version: Count = 0
    known_consumed: Count = 0


class TakenView(Message, frozen=True, tag=131):
    """The picture is decrypted and about to be shown: never answer this view id again.

    The first one wins, for ever: another request id gets `repeat_over`, so that copies of a profile show one picture.
    """

    view: Id128


class LookEnded(Message, frozen=True, tag=133):
    """The picture of this view was shown for so many seconds; 0 for one that could not be. The first report holds."""

    view: Id128
    lasted_s: LookSeconds


class WantCopy(Message, frozen=True, tag=134):
    """This device of a viewer lacks the stego image of a grant: the owner's peer is asked to send it, by mail."""

    grant: Id128


class HoldCopy(Message, frozen=True, tag=136):
    """An owner's peer leaves the stego image of a grant with the cloud, for a viewer who is away or cannot be reached.

    Asked first, it makes room and the answer says which parts are missing; asked again when all are there, it tells the
    viewer. `copy` is drawn by the owner's peer for these very bytes; another one takes the place of the one before.
    """

    grant: Id128
    copy: Id128
    size: StegoSize
    sha256: Digest


class HoldPart(Message, frozen=True, tag=137):
    """One part of a copy that the cloud holds: `HELD_PART_BYTES` each but the last, counted from 0."""

    grant: Id128
    copy: Id128
    part: PartNumber
    data: Part


class FindHeld(Message, frozen=True, tag=138):
    """A viewer's peer asks whether the cloud holds the copy of a grant. Refused as `not_found` where it does not."""

    grant: Id128


class FetchPart(Message, frozen=True, tag=139):
    """A viewer's peer asks for one part of a copy that the cloud holds."""

    grant: Id128
    copy: Id128
    part: PartNumber


class DropHeld(Message, frozen=True, tag=142):
    """A viewer's peer has stored the copy: the cloud need not hold it any more. Of another copy it says nothing.

    With `stored` false that peer could not use it, and the owner is not told that it was fetched.
    """

    grant: Id128
    copy: Id128
    stored: bool = True


class Meet(Message, frozen=True, tag=143):
    """Owner or viewer of a grant looks for a path to the other one's peer. The node that serves this tells that peer,
    and carries datagrams between the two until they find a better path.

    `candidates` are where the asking peer may be reached directly, the likeliest first; none where it hides them.
    """

    grant: Id128
    candidates: Candidates = ()


class KnownCount(Message, frozen=True, tag=135):
    """What this viewer's peer was told of a grant before, where the directory turned out to be behind it.

    Spends nothing and shows nothing. A directory that is behind was restored: it counts what the viewer tells, and the
    grant waits for its owner to confirm it, as with `SpendView.known_version` and `known_consumed`. A higher version is
    proved by its signed `record`, which the directory takes over: nobody else may still have it.
    """

    grant: Id128
    version: Count
    consumed: Count
    record: Record | None = None


class ViewsLog(Message, frozen=True, tag=132):
    """The views of an image, for its owner, newest first."""

    image: Id128
    page: Page = 0


# --- Mail ------------------------------------------------------------------------------------------------------------


class FetchMail(Message, frozen=True, tag=140):
    """Mail that this device has not acknowledged, oldest first, a page at a time."""

    device: Id128


class AckMail(Message, frozen=True, tag=141):
    """This device has stored these mails; they are not delivered to it again."""

    device: Id128
    mails: Annotated[list[Id128], msgspec.Meta(max_length=100)]


Operation = (
    Register
    | SignIn
    | SignOut
    | ListUsers
    | FindAccount
    | OfferedImages
    | Encrypt
    | SetPreview
    | GetPreview
    | WithdrawImage
    | MyImages
    | RestoreImage
    | AskViews
    | WithdrawAsk
    | RejectAsk
    | Grant
    | ChangeRights
    | ListAsks
    | ListGrants
    | GetGrant
    | ConfirmGrant
    | SpendView
    | TakenView
    | LookEnded
    | WantCopy
    | HoldCopy
    | HoldPart
    | FindHeld
    | FetchPart
    | DropHeld
    | Meet
    | KnownCount
    | ViewsLog
    | FetchMail
    | AckMail
)

# --- Outcomes --------------------------------------------------------------------------------------------------------


class Done(Message, frozen=True, tag=150):
    """The effect is in the directory; there is nothing else to say."""


class Registered(Message, frozen=True, tag=151):
    """The account's id."""

    account: AccountId
    name: Name
    receipt: Receipt = b""
    epoch: Count = 0


class GivenSums(msgspec.Struct, frozen=True):
    """All grants that an account gave, added up: its peer compares more only where its own sums differ."""

    grants: Count
    versions: Count
    consumed: Count
    frozen: Count


class SignedIn(Message, frozen=True, tag=152):
    """The account of this session's key. `epoch` is the directory's: it rises when the directory was restored."""

    account: AccountId
    name: Name
    mail_waiting: Count
    receipt: Receipt = b""
    epoch: Count = 0
    given: GivenSums | None = None
    other_device: bool = False
    """Another device of this account was signed in at this moment."""


class UserRow(msgspec.Struct, frozen=True):
    """One account in a list; `last_seen` is None for who never signed in."""

    account: AccountId
    name: Name
    signing_key: Key
    online: bool
    images: Count
    last_seen: Timestamp | None


class Users(Message, frozen=True, tag=153):
    """One page of accounts; `total` counts all that match."""

    rows: Annotated[list[UserRow], msgspec.Meta(max_length=USERS_PAGE_ROWS)]
    total: Count


class Account(Message, frozen=True, tag=154):
    """One account with its keys; `host` and `port` are None while it is away, and where its peer hides them."""

    account: AccountId
    name: Name
    signing_key: Key
    session_key: Key
    session_signature: Signature
    host: Host | None = None
    port: Port | None = None
    online: bool = False

    @property
    def is_there(self) -> bool:
        """Whether its peer is there. A node of before `online` tells an address alone."""
        return self.online or self.host is not None


class ImageRow(msgspec.Struct, frozen=True):
    """One image; the counters are 0, and the receipt is empty, for anybody but its owner."""

    image: Id128
    title: Title
    format: PictureFormat
    width: PictureEdge
    height: PictureEdge
    size: Count
    created: Timestamp
    has_preview: bool
    offered: bool = True
    viewers: Count = 0
    views_spent: Count = 0
    receipt: Receipt = b""


class Images(Message, frozen=True, tag=155):
    """Images of one account."""

    owner: AccountId
    rows: Annotated[list[ImageRow], msgspec.Meta(max_length=1_000)]
    total: Count


class PreviewAnswer(Message, frozen=True, tag=156):
    """The public preview, or None where the owner gave none."""

    image: Id128
    preview: Preview | None


class Encrypted(Message, frozen=True, tag=157):
    """The picture is hidden and its row stands; the stego image has this hash and came as a transfer."""

    image: Id128
    stego_sha256: Digest
    stego_size: Count
    created: Timestamp
    receipt: Receipt = b""


class AskRow(msgspec.Struct, frozen=True):
    """One ask with its state: pending, accepted, rejected or withdrawn."""

    ask: Id128
    image: Id128
    title: Title
    owner: AccountId
    viewer: AccountId
    viewer_name: Name
    viewer_key: Key
    views: Views
    note: Note
    state: Annotated[str, msgspec.Meta(max_length=12)]
    reason: Note
    created: Timestamp
    answered: Timestamp | None = None
    grant: Id128 | None = None
    owner_name: Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARS)] = ""
    owner_key: Annotated[bytes, msgspec.Meta(max_length=32)] = b""
    """With `owner_name`: for the viewer, who otherwise sees a number. Empty from nodes that do not tell them."""


class Asks(Message, frozen=True, tag=158):
    """One page of asks."""

    rows: Annotated[list[AskRow], msgspec.Meta(max_length=1_000)]
    total: Count


class GrantRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One grant as the ledger has it; left = max(0, granted - consumed).

    `wishes`, the newest that are contained in the record, are told to its owner alone.
    """

    grant: Id128
    image: Id128
    title: Title
    owner: AccountId
    owner_name: Name
    viewer: AccountId
    viewer_name: Name
    granted: ViewsOrNone
    consumed: Count
    expires: Timestamp | None
    revoked: bool
    frozen: bool
    version: Count
    record: Record
    wishes: WishesDone = ()
    held_until: Timestamp | None = None
    """Until when the cloud holds its stego image for the viewer; None where it holds none."""


class Grants(Message, frozen=True, tag=159):
    """One page of grants."""

    rows: Annotated[list[GrantRow], msgspec.Meta(max_length=1_000)]
    total: Count
    epoch: Count = 0


class GrantState(Message, frozen=True, tag=160):
    """A grant after a change, with the count that the change met, and the directory's epoch."""

    grant: GrantRow
    epoch: Count = 0


class ViewSpent(Message, frozen=True, tag=161):
    """A view is counted; `sealed_share` opens with the ephemeral key of the request.

    `version` and `consumed` are the grant's after the view; 0 from nodes that do not tell them.
    """

    view: Id128
    grant: Id128
    sealed_share: Annotated[bytes, msgspec.Meta(max_length=256)]
    left: Count
    at: Timestamp
    version: Count = 0
    consumed: Count = 0


class ViewRow(msgspec.Struct, frozen=True):
    """One spent view."""

    view: Id128
    viewer: AccountId
    viewer_name: Name
    at: Timestamp
    left: Count
    taken: bool
    grant: Id128 | None = None
    consumed: Count = 0
    """The grant's count with this view; 0 where it is not told."""
    lasted_s: LookSeconds | None = None
    """How long the picture was shown; 0 where it could not be, None while that is not known."""


class ViewRows(Message, frozen=True, tag=162):
    """One page of spent views."""

    image: Id128
    rows: Annotated[list[ViewRow], msgspec.Meta(max_length=1_000)]
    total: Count


class MailItem(msgspec.Struct, frozen=True):
    """One mail; `body` is an encoded message of `Letter`."""

    mail: Id128
    created: Timestamp
    body: Annotated[bytes, msgspec.Meta(max_length=16_384)]


class Mails(Message, frozen=True, tag=163):
    """Mail of one account; `waiting` counts what is left beyond this page."""

    rows: Annotated[list[MailItem], msgspec.Meta(max_length=100)]
    waiting: Count


class HeldCopy(Message, frozen=True, tag=165):
    """A copy as the cloud holds it. `missing` are the numbers of parts that are not there yet; a copy that lacks none
    waits for its viewer until `until`."""

    grant: Id128
    copy: Id128
    size: StegoSize
    sha256: Digest
    until: Timestamp
    missing: Annotated[tuple[PartNumber, ...], msgspec.Meta(max_length=MAX_HELD_PARTS)] = ()


class CopyPart(Message, frozen=True, tag=166):
    """One part of a copy that the cloud holds."""

    data: Part


class AskMade(Message, frozen=True, tag=164):
    """The ask is with the owner or waits for it in the cloud."""

    ask: Id128
    owner: AccountId
    owner_online: bool | None = None
    """Read by nobody. It is sent for peers of older versions, which cannot read the message without it."""


class Met(Message, frozen=True, tag=167):
    """The other peer knows of the path with this handle through this node, and may be reached directly at `candidates`.

    Without a handle it is not in touch with this node.
    """

    node: NodeName
    handle: RelayHandle | None = None
    candidates: Candidates = ()


Outcome = (
    Done
    | Registered
    | SignedIn
    | Users
    | Account
    | Images
    | PreviewAnswer
    | Encrypted
    | AskMade
    | Asks
    | Grants
    | GrantState
    | ViewSpent
    | ViewRows
    | Mails
    | HeldCopy
    | CopyPart
    | Met
)

# --- What mail carries -----------------------------------------------------------------------------------------------


class AskArrived(Message, frozen=True, tag=200):
    """To an owner: somebody asks for views."""

    ask: AskRow


class AskAnswered(Message, frozen=True, tag=201):
    """To a viewer: the owner said no (or the ask was closed)."""

    ask: AskRow


class GrantArrived(Message, frozen=True, tag=202):
    """To a viewer: a new grant; the stego image follows from the owner's peer."""

    grant: GrantRow
    ask: Id128 | None = None


class RightsChanged(Message, frozen=True, tag=203):
    """To a viewer: a grant has a record of a higher version. Also sent peer to peer, at once."""

    grant: GrantRow
    ask: Id128 | None = None


class ViewHappened(Message, frozen=True, tag=204):
    """To an owner: a view was spent."""

    image: Id128
    view: ViewRow


class AskWithdrawn(Message, frozen=True, tag=205):
    """To an owner: an ask was taken back."""

    ask: Id128


class GrantFrozen(Message, frozen=True, tag=206):
    """To an owner: the directory was behind what a viewer knows, so this grant waits for its owner to confirm it."""

    grant: Id128


class CopyWaits(Message, frozen=True, tag=208):
    """To a viewer: the cloud holds the stego image of this grant, to be fetched."""

    grant: Id128


class CopyFetched(Message, frozen=True, tag=209):
    """To an owner: a viewer's device has the copy that the cloud held, which holds it no more."""

    grant: Id128
    image: Id128
    viewer: AccountId
    viewer_name: Name


class CopyWanted(Message, frozen=True, tag=207):
    """To an owner: a viewer's device lacks the stego image of this grant."""

    grant: Id128
    image: Id128
    viewer: AccountId


Letter = (
    AskArrived
    | AskAnswered
    | GrantArrived
    | RightsChanged
    | ViewHappened
    | AskWithdrawn
    | GrantFrozen
    | CopyWanted
    | CopyWaits
    | CopyFetched
)
