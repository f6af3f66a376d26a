"""Requests as a person sees them: in which order, in what words, and what may be done with one. No widget in here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from rich.text import Text

from tui.client.time_left import about
from tui.common.wording import ago, moment, plain, views
from tui.peer.models import AskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import tzinfo

    from tui.client.transfers import Transfers
    from tui.peer.models import Requests, ViewRequest

NAME_CELLS: Final = 48
_NOTE_CELLS: Final = 600
"""Twice as many cells as a note has characters: nothing of one that keeps the rules is cut."""
NOBODY: Final = "somebody"
UNTITLED: Final = "an image"


class RequestDecision(StrEnum):
    """What can be done with a request."""

    ACCEPT = "accept"
    REJECT = "reject"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Ask:
    """One row of a list: a request, whose it is, and what happens because of it at this moment."""

    request: ViewRequest
    incoming: bool
    action: RequestDecision | None = None
    """What its person has just decided, while the peer is at it."""
    arrived: float | None = None
    """How much of the stego image was sent or received, from 0 to 1; None while nothing is on its way."""
    left_s: float | None = None
    """How long that will still take; None where it is not known."""
    path: str = ""
    """How it goes between the two peers: `direct`, or through which node."""

    @property
    def open(self) -> bool:
        """Whether it still waits for somebody."""
        return self.request.state in (AskState.QUEUED, AskState.PENDING)

    @property
    def unanswered(self) -> bool:
        """Whether it waits for this person."""
        return (
            self.incoming and self.request.state is AskState.PENDING and not self.request.waits and self.action is None
        )

    @property
    def person(self) -> str:
        """The other side, by name and number, in one line."""
        name = plain(self.request.person_name, NAME_CELLS)
        number = f"#{self.request.person}" if self.request.person else ""
        return f"{name} {number}".strip() or NOBODY

    @property
    def name(self) -> str:
        """The other side's name, for sentences."""
        return plain(self.request.person_name, NAME_CELLS) or self.person

    @property
    def title(self) -> str:
        """The image's title in one line."""
        return plain(self.request.title) or UNTITLED

    @property
    def note(self) -> str:
        """What was written with the request."""
        return plain(self.request.note, _NOTE_CELLS)

    @property
    def reason(self) -> str:
        """Why it was rejected, or why it still waits."""
        return plain(self.request.reason, _NOTE_CELLS)


@dataclass(frozen=True, slots=True)
class RequestBook:
    """Both lists, those first that still wait for somebody, the newest first in each part."""

    incoming: tuple[Ask, ...] = ()
    outgoing: tuple[Ask, ...] = ()
    complete: bool = True

    @property
    def unanswered(self) -> int:
        """How many wait for this person."""
        return sum(ask.unanswered for ask in self.incoming)

    @property
    def first(self) -> Ask | None:
        """The one that a person who comes to the lists is led to: the newest that needs an answer, if one does."""
        return next((ask for ask in self.incoming if ask.unanswered), next(iter(self.incoming + self.outgoing), None))

    def accepted_before(self, person: int) -> bool:
        """Whether a request of this person was accepted already, so that the fingerprint was compared then."""
        return any(ask.request.person == person and ask.request.state is AskState.ACCEPTED for ask in self.incoming)

    def find(self, request_id: str) -> Ask | None:
        """Return the row of a request."""
        return next((ask for ask in self.incoming + self.outgoing if ask.request.request_id == request_id), None)

    def of_grant(self, grant: str) -> Ask | None:
        """Return a row of a request that led to a grant."""
        return next((ask for ask in self.incoming + self.outgoing if ask.request.grant == grant), None)


def arranged(found: Requests, actions: Mapping[str, RequestDecision], transfers: Transfers) -> RequestBook:
    """Return what a peer told as rows. `actions` are under way, by request id."""

    def rows(requests: Iterable[ViewRequest], *, incoming: bool) -> tuple[Ask, ...]:
        asks = [_ask(row, actions.get(row.request_id), transfers, incoming=incoming) for row in requests]
        return tuple(sorted(asks, key=lambda ask: (not ask.open, -ask.request.created)))

    return RequestBook(rows(found.incoming, incoming=True), rows(found.outgoing, incoming=False), found.complete)


def _ask(row: ViewRequest, action: RequestDecision | None, transfers: Transfers, *, incoming: bool) -> Ask:
    over = incoming and not row.waits  # the stego image has left the outbox
    if row.state is not AskState.ACCEPTED or row.grant is None or over:
        return Ask(row, incoming, action)
    return Ask(
        row,
        incoming,
        action,
        transfers.share(row.grant, sending=incoming),
        transfers.left_s(row.grant, sending=incoming),
        transfers.path(row.grant, sending=incoming),
    )


# --- In words --------------------------------------------------------------------------------------------------------
_ACTION_WORDS: Final = {
    RequestDecision.ACCEPT: "accepting…",
    RequestDecision.REJECT: "rejecting…",
    RequestDecision.WITHDRAW: "withdrawing…",
}
_INCOMING: Final = {
    AskState.PENDING: "● needs an answer",
    AskState.ACCEPTED: "✓ accepted",
    AskState.REJECTED: "✗ rejected",
    AskState.WITHDRAWN: "– taken back",
}
_OUTGOING: Final = {
    AskState.QUEUED: "◌ in the outbox",
    AskState.PENDING: "● not answered yet",
    AskState.ACCEPTED: "✓ accepted",
    AskState.REJECTED: "✗ rejected",
    AskState.WITHDRAWN: "– withdrawn",
    AskState.RECEIVED: "✓ received",
}
STATE_CELLS: Final = 18
"""Width of the longest of these."""


def state_words(ask: Ask) -> str:
    """Return where a request stands, in at most `STATE_CELLS`."""
    state = ask.request.state
    if ask.action is not None:
        return _ACTION_WORDS[ask.action]
    if ask.arrived is not None:
        return f"{'↑ sending' if ask.incoming else '↓ receiving'} {percent(ask.arrived)}"
    if not ask.incoming:
        return _OUTGOING[state]
    if ask.request.waits:
        return "◌ answer waits" if state is AskState.PENDING else "✓ still to send"
    return _INCOMING.get(state, str(state))


def percent(share: float) -> str:
    """Return a share of 1 as `42 %`; 100 % only for all of it."""
    return f"{int(100 * share)} %"


@dataclass(frozen=True, slots=True)
class Description:
    """All that there is to say about a request, in plain lines; empty where there is nothing to say."""

    person: str
    words: str
    asked: str
    when: str
    note: str = ""
    state: str = ""
    reason: str = ""


def describe(ask: Ask, now: float, zone: tzinfo | None = None) -> Description:
    """Return a request in words. `now` in seconds since 1970; `zone` is the clock that people read."""
    row = ask.request
    verb = "asks for" if ask.incoming else "You ask for"
    return Description(
        person=ask.person,
        words=plain(row.words),
        asked=f"{verb} {views(row.views)} of “{ask.title}”",
        when=f"{ago(row.created, now)} ({moment(row.created, zone)})",
        note=f"“{ask.note}”" if ask.note else "",
        state=_sentence(ask, now),
        reason=_because(ask),
    )


def _because(ask: Ask) -> str:
    if not ask.reason:
        return ""
    return f"Reason: {ask.reason}" if ask.request.state is AskState.REJECTED else ask.reason


def _sentence(ask: Ask, now: float) -> str:
    if ask.action is not None:
        return "Telling the cloud…"
    if ask.arrived is not None:
        way = f"on its way to {ask.name}" if ask.incoming else "on its way to you"
        left = about(ask.left_s)
        how = f" ({plain(ask.path, 24)})" if ask.path else ""
        return f"Accepted; the picture is {way}: {percent(ask.arrived)}{how}{left and f', {left}'}."
    return _incoming_sentence(ask, now) if ask.incoming else _outgoing_sentence(ask, now)


def _incoming_sentence(ask: Ask, now: float) -> str:
    row, name = ask.request, ask.name
    match row.state:
        case AskState.PENDING if row.waits:
            return "You answered. The answer waits in the outbox and goes out by itself when the cloud is back."
        case AskState.PENDING:
            return "Needs your answer."
        case AskState.ACCEPTED if row.waits:
            return f"Accepted. The picture goes to {name} by itself as soon as both of you are online."
        case AskState.ACCEPTED:
            return f"Accepted{_answered(row, now)}."
        case AskState.WITHDRAWN:
            return f"{name} took this request back."
        case _:
            return f"Rejected{_answered(row, now)}."


def _outgoing_sentence(ask: Ask, now: float) -> str:
    row, name = ask.request, ask.name
    match row.state:
        case AskState.QUEUED:
            return "Waits in the outbox on this machine and goes out by itself when the cloud is back."
        case AskState.PENDING:
            return f"Delivered to the cloud; {name} has not answered yet."
        case AskState.ACCEPTED:
            return f"Accepted. The picture comes by itself as soon as both you and {name} are online."
        case AskState.RECEIVED:
            return f"Accepted{_answered(row, now)}, and the picture is here: open it in Peer images."
        case AskState.WITHDRAWN:
            return "You took this request back."
        case _:
            return f"Rejected{_answered(row, now)}."


def _answered(row: ViewRequest, now: float) -> str:
    return "" if row.answered is None else f" {ago(row.answered, now)}"


def request_text(ask: Ask, now: float, zone: tzinfo | None) -> Text:
    """Return a request as text, the note last because it may be long. `now` in seconds since 1970."""
    said = describe(ask, now, zone)
    text = Text()
    text.append(said.person, style="bold")
    text.append(f", {said.when}", style="dim")
    text.append(f"\n{said.words}" if said.words else "", style="dim")
    text.append(f"\n{said.asked}")
    text.append(f"\n{said.state}", style="bold" if ask.unanswered else "")
    for line in (said.reason, said.note):
        text.append(f"\n{line}" if line else "")
    return text


# --- What may be done ------------------------------------------------------------------------------------------------
def why_not(ask: Ask | None, action: RequestDecision) -> str:
    """Return why an action does not apply to a request, and what to do instead; empty if it does."""
    if ask is None:
        return f"There is no request to {'withdraw' if action is RequestDecision.WITHDRAW else 'answer'}."
    if ask.action is not None:
        return "The cloud is being told already; wait a moment."
    return _why_not_withdraw(ask) if action is RequestDecision.WITHDRAW else _why_not_answer(ask)


def _why_not_answer(ask: Ask) -> str:
    if not ask.incoming:
        return "This request is your own; its answer comes from the other side. Choose one in the upper list."
    match ask.request.state:
        case AskState.PENDING if ask.request.waits:
            return "You answered this request already; the answer waits in the outbox."
        case AskState.PENDING:
            return ""
        case AskState.ACCEPTED:
            return f"You accepted this request already; change what {ask.name} may see in My images."
        case AskState.WITHDRAWN:
            return f"{ask.name} took this request back; there is nothing to answer."
        case _:
            return f"You rejected this request already; to share after all, add {ask.name} in My images."


def _why_not_withdraw(ask: Ask) -> str:
    if ask.incoming:
        return f"This request came from {ask.name}, who alone can withdraw it; you can reject it."
    match ask.request.state:
        case AskState.QUEUED | AskState.PENDING:
            return ""
        case AskState.WITHDRAWN:
            return "You withdrew this request already."
        case state:
            return f"This request was {'rejected' if state is AskState.REJECTED else 'accepted'} already."
