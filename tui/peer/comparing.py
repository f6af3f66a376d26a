"""What an owner's peer knows of the grants it gave, against what the directory says of them: what is to be done.

A directory that was restored from a backup has forgotten: grants, changes of rights, revocations, spent views. The
owner's peer keeps the newest record that it signed for each grant and the highest count it was told, so that it can say
what was forgotten. Nothing in here ever lowers a version or a count, and a revocation is never undone. No I/O.
"""

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields, replace
from enum import Enum, auto

from shared.records import decode_record
from shared.wire.operations import AskRow, WishDone


@dataclass(frozen=True, slots=True)
class GrantSide:
    """One side's knowledge of a grant. `record` is the signed record as it travels; its signature was checked.

    `frozen` is the directory's word. `remakeable` says that this peer also keeps what the grant was made from.
    """

    grant: str
    image: str
    viewer: int
    record: bytes
    version: int
    consumed: int
    revoked: bool
    frozen: bool = False
    remakeable: bool = False
    wishes: tuple[WishDone, ...] = ()
    """The newest wishes that the directory said are contained in the record."""


class GrantAction(Enum):
    """What is to be done about one grant."""

    NOTHING = auto()
    LEARN = auto()
    """The directory knows more, and the owner's signature says that it is true."""
    CONFIRM = auto()
    """The directory knows less, or waits for the owner's word."""
    REMAKE = auto()
    """The directory has no such grant: it is made anew from what this peer keeps."""
    REVOKE = auto()
    """A revocation was followed by a change that did not know of it: it is signed once more, above that change."""
    UNKNOWN = auto()
    """Frozen, and never seen by this device, which can prove nothing: it waits for the owner's decision."""
    LOST = auto()
    """The directory has no such grant, and this device has not what it was made from."""


@dataclass(frozen=True, slots=True)
class GrantStep:
    """One grant with both sides of it; at least one is there."""

    action: GrantAction
    known: GrantSide | None
    found: GrantSide | None

    @property
    def grant(self) -> str:
        """The grant's id."""
        return self._either.grant

    @property
    def lane(self) -> tuple[str, int]:
        """Image and viewer: the directory holds one live grant for both, so these go one after the other."""
        return self._either.image, self._either.viewer

    @property
    def _either(self) -> GrantSide:
        side = self.known or self.found
        assert side is not None
        return side

    @property
    def revokes(self) -> bool:
        """Whether this brings back a revocation that the directory forgot."""
        known, found = self.known, self.found
        return known is not None and known.revoked and (found is None or not found.revoked)

    @property
    def views(self) -> int:
        """How many spent views the directory forgot."""
        known, found = self.known, self.found
        return max(0, (known.consumed if known else 0) - (found.consumed if found else 0))

    @property
    def forgot(self) -> bool:
        """Whether the directory has lost something that it acknowledged: it was restored."""
        known, found = self.known, self.found
        if known is None:
            return False
        return found is None or found.version < known.version or self.views > 0 or self.revokes

    @property
    def behind(self) -> bool:
        """Whether something is left to be done, or to be decided."""
        return self.action not in (GrantAction.NOTHING, GrantAction.LEARN)

    def record(self) -> bytes:
        """Return the record that holds: the newer one, the directory's where both are as new."""
        known, found = self.known, self.found
        if known is None or (found is not None and found.version >= known.version):
            assert found is not None
            return found.record
        return known.record

    def wishes(self) -> tuple[WishDone, ...]:
        """Return the wishes that `record` is known to contain."""
        known = self.known
        if known is None or not known.wishes:
            return ()
        # The same word of the owner may travel with another count on display, which nobody signs.
        same = decode_record(known.record).signature == decode_record(self.record()).signature
        return known.wishes if same else ()


def step_for(known: GrantSide | None, found: GrantSide | None) -> GrantStep:
    """Return what is to be done about a grant that this peer knows, the directory has, or both."""
    return GrantStep(_action(known, found), known, found)


def _action(known: GrantSide | None, found: GrantSide | None) -> GrantAction:
    if found is None:
        assert known is not None
        if known.remakeable:
            return GrantAction.REMAKE
        return GrantAction.NOTHING if known.revoked else GrantAction.LOST  # without the grant nobody can look anyway
    if known is None:
        return GrantAction.UNKNOWN if found.frozen and not found.revoked else GrantAction.LEARN
    if known.revoked and not found.revoked and found.version >= known.version:
        return GrantAction.REVOKE
    waits = found.frozen and not found.revoked  # a revocation stands whether it is confirmed or not
    if waits or found.version < known.version or found.consumed < known.consumed:
        return GrantAction.CONFIRM
    same = (found.version, found.consumed, found.record) == (known.version, known.consumed, known.record)
    return GrantAction.NOTHING if same and found.wishes in ((), known.wishes) else GrantAction.LEARN


def steps_for(known: Iterable[GrantSide], found: Iterable[GrantSide]) -> list[GrantStep]:
    """Return a step for every grant of either side.

    Within a lane revoked grants come first: the directory takes a new grant only after the end of the one before.
    """
    mine: Mapping[str, GrantSide] = {row.grant: row for row in known}
    theirs: Mapping[str, GrantSide] = {row.grant: row for row in found}
    steps = [step_for(mine.get(grant), theirs.get(grant)) for grant in mine.keys() | theirs.keys()]
    taken = {step.lane for step in steps if _stays(step)}
    steps = [
        replace(step, action=GrantAction.NOTHING) if step.lane in taken and _would_live(step) else step
        for step in steps
    ]
    return sorted(steps, key=lambda step: (step.lane, not (step.known is not None and step.known.revoked), step.grant))


def _stays(step: GrantStep) -> bool:
    """Whether the directory has a live grant here that this peer does not end."""
    return step.found is not None and not step.found.revoked and not (step.known is not None and step.known.revoked)


def _would_live(step: GrantStep) -> bool:
    """Whether this is a live grant that the directory lacks; where another one lives, that is the later decision."""
    return step.found is None and step.known is not None and not step.known.revoked


@dataclass(slots=True)
class Tally:
    """What was done after a restore, added up until the owner was told."""

    confirmed: int = 0
    revocations: int = 0
    views: int = 0
    images: int = 0
    withdrawn: int = 0
    previews: int = 0
    """Published again, or taken back again."""
    asks: int = 0
    account: int = 0
    """The number that the account has now, where it is another one than before."""

    def count(self, step: GrantStep) -> None:
        """Add a step that is done."""
        self.views += step.views
        if step.revokes:
            self.revocations += 1
        else:
            self.confirmed += 1

    def clear(self) -> None:
        """Begin to count anew."""
        for count in fields(self):
            setattr(self, count.name, 0)

    def __bool__(self) -> bool:
        return any(astuple(self))


@dataclass(frozen=True, slots=True)
class Left:
    """Grants that could not be confirmed, each kind with its own way out."""

    unknown: int = 0
    lost: int = 0
    absent: int = 0
    refused: int = 0

    def __bool__(self) -> bool:
        return any(astuple(self))


def sentence(done: Tally, left: Left) -> str:
    """Return what the owner is told: what was brought back, and what waits for whom."""
    parts = [
        text
        for number, text in (
            (done.confirmed, f"{_counted(done.confirmed, 'grant was', 'grants were')} confirmed"),
            (done.revocations, f"{_counted(done.revocations, 'revocation', 'revocations')} sent again"),
            (done.views, f"{_counted(done.views, 'view', 'views')} counted again"),
            (done.images, f"{_counted(done.images, 'picture', 'pictures')} made known again"),
            (done.withdrawn, f"{_counted(done.withdrawn, 'picture', 'pictures')} withdrawn again"),
            (done.previews, f"{_counted(done.previews, 'preview', 'previews')} set again"),
            (done.asks, f"{_counted(done.asks, 'request', 'requests')} sent again"),
        )
        if number
    ]
    told = "The cloud was restored from a backup"
    told += f": {', '.join(parts)}." if parts else "."
    if done.account:
        told += f" Your account has the number {done.account} now."
    return told + "".join(
        f" {text}"
        for number, text in (
            (left.unknown, _unknown(left.unknown)),
            (left.lost, _lost(left.lost)),
            (left.absent, f"{_waits(left.absent)} until {_whose(left.absent)} signed in again."),
            (left.refused, f"{_counted(left.refused, 'grant was', 'grants were')} refused; look at My images."),
        )
        if number
    )


def _unknown(number: int) -> str:
    return (
        f"{_waits(number)} for you: this device did not know of {'it' if number == 1 else 'them'}. Set the views again"
        " in My images, or sign in with the device that gave them."
    )


def _lost(number: int) -> str:
    return (
        f"{_counted(number, 'grant is', 'grants are')} gone: sign in with the device that gave"
        f" {'it' if number == 1 else 'them'}, or give the views again in My images."
    )


def _waits(number: int) -> str:
    return _counted(number, "grant waits", "grants wait")


def _whose(number: int) -> str:
    return "the viewer has" if number == 1 else "the viewers have"


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


# --- Requests for views ----------------------------------------------------------------------------------------------
class RequestAction(Enum):
    """What is to be done about a request that the directory forgot, or whose end it forgot."""

    ASK = auto()
    WITHDRAW = auto()
    REJECT = auto()
    CLOSE = auto()
    """It was accepted: the grant stands, but the request looks open."""


def request_action(mine: AskRow, found: AskRow | None, *, incoming: bool) -> RequestAction | None:
    """Return what is to be done about a request that this peer knows. Each side repairs its own part of it."""
    if found is None:
        return RequestAction.ASK if not incoming and mine.state == "pending" else None
    if found.state != "pending":
        return None
    if not incoming:
        return RequestAction.WITHDRAW if mine.state == "withdrawn" else None
    if mine.state == "rejected":
        return RequestAction.REJECT
    return RequestAction.CLOSE if mine.state == "accepted" else None


def later_ask(mine: AskRow | None, told: AskRow) -> AskRow:
    """Return the later state of a request: one that was answered or taken back is never open again."""
    return told if mine is None or mine.state == "pending" or told.state != "pending" else mine
