"""Mail from the cloud: fetched, checked, applied to the store, and only then acknowledged.

Delivery is at least once; a mail that was applied before is only acknowledged again.
"""

import logging
from collections.abc import Callable

import anyio

from shared.errors import GlimpseError, IdentityChanged, MalformedMessage, Refused, RemoteError, Unavailable, UserError
from shared.identity import words_of
from shared.records import decode_record
from shared.text import clean
from shared.wire import operations as ops
from shared.wire.codec import decode
from shared.wire.refusals import FINAL_CODES
from tui.peer.asker import Asker
from tui.peer.context import Context
from tui.peer.copies import Copies
from tui.peer.events import CopyFetched, RequestAnswered, RequestArrived, RequestWithdrawn, ViewSpentEvent
from tui.peer.given import GivenGrants
from tui.peer.holding import Holding, belongs
from tui.peer.people import People
from tui.peer.store import Store
from tui.peer.view_requests import ViewRequests

log = logging.getLogger(__name__)

_LETTER_CAP_BYTES = 16_384
_MAX_MAILS = 200_000
"""Mails taken in one go at most: a node that never stops must not hold a peer for ever. Real mailboxes are smaller."""
_ENDLESS = "A node of the cloud sent mail that has no end; it is left out. The mail is fetched from the others."
_CATCHING_UP = "catching_up"
_BEGUN, _DONE = "1", "0"


class Mailbox:
    """Fetches and applies mail."""

    def __init__(
        self, context: Context, people: People, copies: Copies, holding: Holding, asks: ViewRequests, given: GivenGrants
    ) -> None:
        self._context = context
        self._cloud = Asker(context)
        self._people = people
        self._copies = copies
        self._holding = holding
        self._asks = asks
        self._given = given
        self.on_frozen: Callable[[str], None] = lambda _grant: None
        """Called with a grant that the directory froze, because its viewer's peer knew more of it."""
        self.on_reopened: Callable[[], None] = lambda: None
        """Called when a request that was answered here arrives as an open one."""
        self._wanted = anyio.Event()
        self._one_at_a_time = anyio.Lock()

    def wake(self) -> None:
        """There may be mail."""
        self._wanted.set()

    async def run(self) -> None:
        """Fetch whenever woken."""
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            if self._context.signed_in:
                try:
                    await self.fetch()
                except Unavailable as error:
                    log.info("mail waits", extra={"reason": str(error)})
                except GlimpseError:
                    log.exception("mail could not be applied")

    # --- A device's first mail ---------------------------------------------------------------------------------------
    async def catches_up(self) -> bool:
        """Return whether this device is new: what it is told at its first sign-in is history, and no event.

        That holds until `caught_up`, also when the first sign-in was cut short.
        """
        context = self._context
        if context.catching_up is None:
            context.catching_up = await context.store.run(_begin_to_catch_up)
        return context.catching_up

    async def caught_up(self) -> None:
        """All that lay in the cloud before this device was there is applied; from now on mail is news."""
        if await self.catches_up():
            await self._context.store.run(lambda s: s.set_fact(_CATCHING_UP, _DONE))
            self._context.catching_up = False

    # --- Mail --------------------------------------------------------------------------------------------------------
    async def fetch(self) -> None:
        """Fetch and apply all that waits. Raises `Unavailable` without the cloud."""
        async with self._one_at_a_time:
            await self.catches_up()
            taken: set[str] = set()
            while True:
                request = self._context.new_id()
                outcome = await self._cloud.query(
                    ops.FetchMail(device=self._context.device), ops.Mails, request=request
                )
                if not outcome.rows:
                    return
                before = len(taken)
                taken.update(item.mail for item in outcome.rows)
                if len(taken) == before or len(taken) > _MAX_MAILS:
                    self._context.cloud.leave_out(request, "mail that has no end")
                    raise Unavailable(_ENDLESS)
                for item in outcome.rows:
                    await self._take(item)
                acknowledged = ops.AckMail(device=self._context.device, mails=[item.mail for item in outcome.rows])
                await self._cloud.ask(acknowledged)
                if not outcome.waiting:
                    return

    async def _take(self, item: ops.MailItem) -> None:
        seen = await self._context.store.run(
            lambda s: s.one("SELECT 1 FROM mail_seen WHERE mail = :mail", mail=item.mail)
        )
        if seen is not None:
            return
        try:
            letter: ops.Letter = decode(item.body, ops.Letter, cap_bytes=_LETTER_CAP_BYTES)
            await self._apply(letter)
        except (RemoteError, IdentityChanged) as error:
            # A letter that does not prove what it says changes nothing; it is put aside, for it will not get better.
            log.warning("a letter was refused", extra={"mail": item.mail, "reason": str(error)})
        except Refused as error:
            if error.code not in FINAL_CODES:
                raise
            log.warning("a letter is about nothing", extra={"mail": item.mail, "reason": str(error)})
        except GlimpseError:
            raise  # the cloud is away, or there is no room: the mail stays where it is
        except Exception:
            # One letter must not hold up all that come after it.
            log.exception("a letter could not be applied by a fault of this program", extra={"mail": item.mail})
        at = self._context.wall()
        await self._context.store.run(lambda s: s.put("mail_seen", mail=item.mail, at=at))

    async def _apply(self, letter: ops.Letter) -> None:
        emit = self._context.news
        match letter:
            case ops.AskArrived(ask=ask):
                if (await self._asks.arrived(ask)).state != ask.state:
                    self.on_reopened()
                    return
                name, words = await self._known(ask.viewer_key, ask.viewer_name)
                emit(RequestArrived(ask.ask, ask.image, name, ask.views, clean(ask.title), words))
            case ops.AskAnswered(ask=ask):
                await self._asks.answered(ask)
                accepted = ask.state == "accepted"
                emit(RequestAnswered(ask.ask, ask.image, accepted, clean(ask.reason), clean(ask.title)))
            case ops.AskWithdrawn(ask=withdrawn):
                await self._asks.close(withdrawn, "withdrawn")
                emit(RequestWithdrawn(withdrawn))
            case ops.GrantArrived(grant=grant, ask=answered) | ops.RightsChanged(grant=grant, ask=answered):
                await self.take_grant(grant)
                if answered is not None:
                    emit(RequestAnswered(answered, grant.image, accepted=True, title=clean(grant.title)))
            case ops.ViewHappened(image=image, view=view):
                await self._given.saw_view(image, view)
                key = await self._given.viewer_key(image, view.grant, view.viewer)
                name, words = await self._known(key, view.viewer_name)
                emit(ViewSpentEvent(image, name, view.at, view.left, await self._title(image), words))
            case ops.CopyFetched(grant=fetched, image=image, viewer=viewer, viewer_name=told):
                name, words = await self._known(await self._given.viewer_key(image, fetched, viewer), told)
                emit(CopyFetched(image, fetched, name, words, await self._title(image)))
            case ops.CopyWanted(grant=wanted, image=image, viewer=viewer):
                await self._copies.wanted(wanted, image, viewer)
            case ops.CopyWaits(grant=waiting):
                self._copies.on_waiting(waiting)
            case ops.GrantFrozen(grant=frozen):
                self.on_frozen(frozen)

    async def _title(self, image: str) -> str:
        """Return the title of an image of one's own; empty where it is not known here."""
        own = await self._context.store.run(
            lambda s: s.one("SELECT title FROM own_images WHERE image = :image", image=image)
        )
        return "" if own is None else str(own["title"])

    async def _known(self, signing_key: bytes | None, told: str) -> tuple[str, str]:
        """Return how this device knows whoever has a key: name and fingerprint. For a key that it does not know, or
        none, that is the name that the cloud tells, and no fingerprint: anything may stand there."""
        name = "" if signing_key is None else await self._people.known_as(signing_key)
        if signing_key is None or not name:
            return clean(told), ""
        return name, words_of(signing_key)

    async def take_grant(self, grant: ops.GrantRow, *, asked: float | None = None) -> None:
        """Apply a grant or its change, if its record is the owner's word; the higher version and count hold.

        `asked` is when the cloud was asked for it, by the peer's clock; None for what it told by itself.
        Raises `RemoteError` for a record that is not. What is known already is told to nobody: every sign-in asks for
        all grants.
        """
        record = decode_record(grant.record)
        belongs(record, grant, self._context.identity.public.signing_key)
        owner = await self._people.find_or_recall(grant.owner)
        if owner.signing_key != record.owner_key:
            raise MalformedMessage("a rights record of somebody other than the image's owner")
        try:
            await self._holding.take(grant, record, clean(owner.name))
        finally:
            self._copies.expect(grant.grant, owner.session_key)
        await self._context.store.run(
            lambda s: s.do(
                "UPDATE held SET owner = :owner WHERE grant_id = :g AND owner <> :owner",
                owner=grant.owner,
                g=grant.grant,
            )
        )
        if self._context.note_frozen(grant.grant, frozen=grant.frozen, asked=asked):
            await self._holding.tell(grant.grant)

    async def refresh_held(self) -> None:
        """Read all rights that this account holds from the cloud, and tell it where it knows less than this peer."""
        listed: set[str] = set()
        taken: list[ops.GrantRow] = []
        asked = began = self._context.clock()
        async for outcome in self._cloud.pages(lambda page: ops.ListGrants(page=page), ops.Grants):
            for row in outcome.rows:
                listed.add(row.grant)
                try:
                    await self.take_grant(row, asked=asked)
                except (RemoteError, UserError) as error:
                    # One grant that cannot be taken over, or written, keeps nobody from the others.
                    log.warning("a grant was not taken over", extra={"grant": row.grant, "reason": str(error)})
                else:
                    taken.append(row)
                    if row.held_until is not None:  # the mail that says so may have been read before a restore
                        self._copies.on_waiting(row.grant)
            asked = self._context.clock()  # the next page is asked for now
        held = await self._context.store.run(lambda s: s.all("SELECT grant_id FROM held WHERE revoked = 0"))
        # What the cloud does not list was forgotten in a restore; its owner's peer makes it known again.
        for grant in {str(row["grant_id"]) for row in held} - listed:
            self._context.note_frozen(grant, frozen=True, asked=began)
        await self._holding.own_up(taken)


def _begin_to_catch_up(store: Store) -> bool:
    """Return whether a profile is on its first sign-in, and note that it is. One that had mail before is not."""
    state = store.fact(_CATCHING_UP)
    if state is None and store.one("SELECT 1 FROM mail_seen LIMIT 1") is None:
        store.set_fact(_CATCHING_UP, state := _BEGUN)
    return state == _BEGUN
