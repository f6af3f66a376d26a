"""The tab `Requests`: who asks for pictures of one's own, and what became of the requests that one made."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import anyio
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.widgets import Button, Static

from shared.errors import GlimpseError
from tui.client import debounce
from tui.client.dialogs.confirm import ConfirmDialog
from tui.client.messages import TroubleArose, Waiting
from tui.client.panes.base import Pane
from tui.client.panes.request_details import ViewRequestDetails
from tui.client.panes.request_lists import RequestLists
from tui.client.transfers import Transfers
from tui.client.view_requests import RequestBook, RequestDecision, arranged, why_not
from tui.common.working import work
from tui.peer import events as peer_events

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from PIL import Image
    from textual.app import ComposeResult
    from textual.geometry import Size

    from tui.client.dialogs.rights import RightsForm
    from tui.client.thumbnails import Thumbnails
    from tui.client.view_requests import Ask
    from tui.peer import Peer
    from tui.peer.models import Requests, Sent

_WIDE_FROM_CELLS: Final = 100
_TICK_S: Final = 10.0
"""How often ages are told anew, and transfers forgotten that broke off."""


class ViewRequestsPane(Pane):
    """Two lists, requests to this person above those of this person, and the details of the current one."""

    TAB = "requests"
    TAB_TITLE = "Requests"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "accept", "Accept", id="requests.accept", tooltip="Give the views that somebody asks for"),
        Binding("x", "reject", "Reject", id="requests.reject", tooltip="Answer a request with no"),
        Binding("w", "withdraw", "Withdraw", id="requests.withdraw", tooltip="Take back a request of your own"),
        Binding("c", "copy_words", "Copy", id="requests.copy_words", tooltip="Copy the fingerprint words"),
        Binding("C", "copy_id", "Copy id", id="requests.copy_id", show=False, tooltip="Copy the id of the request"),
        Binding("d", "details", "Details", id="requests.details", show=False, tooltip="Show all of the request"),
    ]

    @dataclass
    class PictureFound(Message, bubble=False):
        """The picture that belongs to a request, None where there is none."""

        request_id: str
        image: Image.Image | None

    @dataclass
    class ActionDone(Message, bubble=False):
        """The peer is no longer at it, whatever came of it."""

        request_id: str

    def __init__(self, peer: Peer, thumbnails: Thumbnails) -> None:
        super().__init__(peer, thumbnails)
        self._transfers = Transfers(time.monotonic)
        self._found: Requests | None = None
        self._asks = RequestBook()
        self._complete = True
        """Whether the cloud was asked too, when it was asked last what there is."""
        self._under_way: dict[str, RequestDecision] = {}
        self._done: set[str] = set()
        self._looked_for: set[str] = set()
        self._pictured = ""

    def contents(self) -> ComposeResult:
        """Compose the lists and the details."""
        yield Static(
            "The cloud was not asked: this is what this machine knows.", id="requests-incomplete", classes="muted"
        )
        with Container(id="requests-split"):
            yield RequestLists()
            yield ViewRequestDetails(id="request-details")

    def on_mount(self) -> None:
        """Keep ages true."""
        self.set_interval(_TICK_S, self._arrange)

    def fit(self, size: Size) -> None:
        """Put the details beside the lists where there is room."""
        self.set_class(size.width >= _WIDE_FROM_CELLS, "-wide")

    # --- What the peer tells -----------------------------------------------------------------------------------------
    async def fetch(self) -> tuple[Requests, bool]:
        """Return the requests, and whether that is all for now; at first show what this machine knows."""
        if self._found is None:
            self.post_message(self.Fetched((await self.peer.requests(local=True), False)))
        if self.online:
            try:
                return await self.peer.requests(), True
            except GlimpseError as error:
                self.post_message(TroubleArose(error))
        return await self.peer.requests(local=True), True

    def learn(self, found: tuple[Requests, bool]) -> None:
        """Take requests. What was decided shows as such until the peer tells what came of it."""
        self._found, final = found
        if final:
            for request_id in self._done:
                self._under_way.pop(request_id, None)
            self._done.clear()
            self._complete = self._found.complete
        self._arrange()

    def heard(self, event: peer_events.Event) -> None:
        """Look again where an event is about requests; take note of what is on its way."""
        match event:
            case peer_events.CopyProgress(grant=grant):
                self._transfers.hear(event)
                if grant not in self._looked_for and self._asks.of_grant(grant) is None:
                    # It may belong to a request that was accepted a moment ago, or to none at all: look once.
                    self._looked_for.add(grant)
                    self.load_soon()
                self.soon(self._arrange)
            case peer_events.ImageReceived(grant=grant):
                self._transfers.end(grant)
                self.load_soon()
            case (
                peer_events.RequestArrived()
                | peer_events.RequestWithdrawn()
                | peer_events.RequestAnswered()
                | peer_events.Delivered()
                | peer_events.Undeliverable()
                | peer_events.ImageWithdrawn()
            ):
                self.load_soon()
            case _:
                pass

    def outbox_changed(self) -> None:
        """Look again: a request that waits in the outbox stands in the list too."""
        self.load_soon()

    # --- Showing -----------------------------------------------------------------------------------------------------
    def _arrange(self) -> None:
        """Put what is known into the badge, the lists and the details."""
        if self._found is None:
            return
        self._asks = arranged(self._found, self._under_way, self._transfers)
        self.post_message(Waiting(self.TAB, self._asks.unanswered))
        self.changed()

    def paint(self) -> None:
        """Show the requests; the lists tell which one is to be seen in the details."""
        if self._found is not None:
            self.query_one("#requests-incomplete", Static).display = not self._complete
            self._lists.show(self._asks)

    def look_ahead(self) -> None:
        """Have the picture found that is shown first."""
        self._look_for_picture(self._asks.first)

    def when_opened(self) -> None:
        """Show what is known, also the picture that was found ahead."""
        self._pictured = ""
        super().when_opened()

    @on(RequestLists.Current)
    def _tell_details(self) -> None:
        ask = self.current
        details = self.query_one(ViewRequestDetails)
        details.tell(ask, self.client.wall(), self.client.zone)
        if self._look_for_picture(ask):
            details.await_picture()

    def _look_for_picture(self, ask: Ask | None) -> bool:
        """Have the picture of this request found, unless it was the one before; return whether it is another one."""
        before, self._pictured = self._pictured, "" if ask is None else ask.request.request_id
        another = self._pictured != before
        if another and ask is not None:
            work(self, partial(self._find_picture, ask), group="request-picture", exclusive=True)
        return another

    async def _find_picture(self, ask: Ask) -> None:
        image = ask.request.image
        if self.thumbnails.known("own" if ask.incoming else "preview", image) is None:
            await anyio.sleep(debounce.REST_S)
        found = await (self.thumbnails.own(image) if ask.incoming else self.thumbnails.preview(image))
        self.post_message(self.PictureFound(ask.request.request_id, found))

    @on(PictureFound)
    def _show_picture(self, message: PictureFound) -> None:
        ask = self.current if self.opened else None
        if ask is not None and ask.request.request_id == message.request_id:
            self.query_one(ViewRequestDetails).show_picture(message.image, incoming=ask.incoming)

    # --- Which request -----------------------------------------------------------------------------------------------
    @property
    def _lists(self) -> RequestLists:
        return self.query_one(RequestLists)

    @property
    def current(self) -> Ask | None:
        """The request that keys and buttons are about."""
        return self._lists.current

    def take_focus(self) -> None:
        """Go to the list in use, and there to what needs an answer, if the current request needs none."""
        self._lists.go_to_unanswered()
        self.screen.set_focus(self._lists.in_use)

    @on(RequestLists.Chosen)
    def _chosen(self, event: RequestLists.Chosen) -> None:
        if event.ask.unanswered:
            self.action_accept()
        else:
            self.action_details()

    # --- Answers -----------------------------------------------------------------------------------------------------
    @on(Button.Pressed, "#request-accept")
    def action_accept(self) -> None:
        """Ask what the current request is accepted with."""
        ask = self._fit_for(RequestDecision.ACCEPT)
        if ask is not None:
            from tui.client.dialogs.answer import AcceptDialog

            first = not self._asks.accepted_before(ask.request.person)
            self.app.push_screen(
                AcceptDialog(ask, self.peer, self.thumbnails, first=first),
                partial(self._accept, ask.request.request_id),
            )

    def _accept(self, request_id: str, chosen: RightsForm | None) -> None:
        if chosen is not None:
            give = partial(
                self.peer.accept, request_id, views=chosen.views, expires=chosen.expires, look_s=chosen.look_s
            )
            self._do(request_id, RequestDecision.ACCEPT, give, _said_of_acceptance)

    @on(Button.Pressed, "#request-reject")
    def action_reject(self) -> None:
        """Ask why the current request is rejected."""
        ask = self._fit_for(RequestDecision.REJECT)
        if ask is not None:
            from tui.client.dialogs.answer import RejectDialog

            self.app.push_screen(RejectDialog(ask), partial(self._reject, ask.request.request_id))

    def _reject(self, request_id: str, reason: str | None) -> None:
        if reason is not None:
            self._do(
                request_id, RequestDecision.REJECT, partial(self.peer.reject, request_id, reason), _said_of_rejection
            )

    @on(Button.Pressed, "#request-withdraw")
    def action_withdraw(self) -> None:
        """Ask whether to take back the current request."""
        ask = self._fit_for(RequestDecision.WITHDRAW)
        if ask is not None:
            question = ConfirmDialog(
                "Withdraw this request?",
                f"{ask.name} will no longer be asked for “{ask.title}”. You can ask again at any time.",
                "Withdraw",
                cancel="Keep",
            )
            self.app.push_screen(question, partial(self._withdraw, ask.request.request_id))

    def _withdraw(self, request_id: str, yes: bool | None) -> None:
        if yes:
            self._do(
                request_id,
                RequestDecision.WITHDRAW,
                partial(self.peer.cancel, request_id),
                lambda _: "Request withdrawn.",
            )

    @on(Button.Pressed, "#request-go")
    def _go_to_peer_images(self) -> None:
        self.call_later(self.app.run_action, "screen.tab('peer-images')")

    def _fit_for(self, action: RequestDecision) -> Ask | None:
        """Return the current request, or None after saying why the action does not apply to it."""
        ask = self.current
        reason = why_not(ask, action)
        if reason:
            self.client.tell(reason, warning=True)
        return None if reason else ask

    def _do(
        self, request_id: str, action: RequestDecision, call: Callable[[], Awaitable[Any]], say: Callable[[Any], str]
    ) -> None:
        """Have the peer do what a dialog brought, if it still applies: others act while a dialog is open."""
        reason = why_not(self._asks.find(request_id), action)
        if reason:
            self.client.tell(reason, warning=True)
            return
        self._under_way[request_id] = action
        self._arrange()
        self.attempt(partial(self._tell_peer, request_id, call), lambda result: self.Said(say(result)))

    async def _tell_peer(self, request_id: str, call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await call()
        finally:
            self.post_message(self.ActionDone(request_id))

    @on(ActionDone)
    def _look_at_what_came_of_it(self, message: ActionDone) -> None:
        self._done.add(message.request_id)
        self.load()

    @on(Pane.Said)
    def _say(self, message: Pane.Said) -> None:
        self.client.tell(message.text)

    # --- Reading and copying -----------------------------------------------------------------------------------------
    def action_details(self) -> None:
        """Show all of the current request."""
        from tui.client.dialogs.request import RequestShownDialog

        if self.current is None:
            self.client.tell("There is no request to show.", warning=True)
        else:
            self.app.push_screen(RequestShownDialog(self.current))

    def action_copy_words(self) -> None:
        """Copy the fingerprint words of the other side."""
        ask = self.current
        if ask is None or not ask.request.words:
            self.client.tell("There are no fingerprint words to copy here.", warning=True)
        else:
            self.client.copy(ask.request.words, f"Fingerprint words of {ask.name}")

    def action_copy_id(self) -> None:
        """Copy the id of the request, for the command line."""
        if self.current is None:
            self.client.tell("There is no request to copy the id of.", warning=True)
        else:
            self.client.copy(self.current.request.request_id, "Request id")


def _said_of_acceptance(sent: Sent) -> str:
    if sent.delivered:
        return "Accepted; the picture goes out as soon as both of you are online."
    return "The cloud is away: your answer waits in the outbox and goes out by itself."


def _said_of_rejection(sent: Sent) -> str:
    return "Rejected." if sent.delivered else _said_of_acceptance(sent)
