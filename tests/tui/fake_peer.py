"""A peer without sockets, keys or files: it answers from what a test put into it and notes what it was asked to do.

It has the methods of `tui.peer.Peer`, which `test_fake_peer` holds it to. Tests make it fail with
`peer.fail["accept"] = Unavailable(...)`, and make it say something with `peer.emit(event)`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import EllipsisType
from typing import Any

import anyio

from shared.errors import PassphraseNeeded, WrongPassphrase
from tui.client.ports import Reach
from tui.peer.events import Event, EventHub
from tui.peer.models import (
    AskState,
    Me,
    MyImage,
    OfferedImage,
    OutboxEntry,
    PathFound,
    PeerImage,
    PeerStatus,
    Requests,
    RightsResult,
    Sent,
    Trouble,
    User,
    UserPage,
    View,
    Viewer,
    ViewLogEntry,
    ViewRequest,
)

PAGE_ROWS = 200
VIEW = "5" * 32
"""The id of every view that is spent here."""
NOW = 1_800_000_000.0
"""The moment at which tests of screens stand still: 2027-01-15 08:00 UTC."""
ME = Me(7, "Ada", "amber-basil-cedar-delta")
Asked = tuple[str, tuple[Any, ...], dict[str, Any]]


def _given(look_s: float | None) -> dict[str, float]:
    return {} if look_s is None else {"look_s": look_s}


@dataclass
class FakePeer:
    """What the peer has and what it was asked (`asked`), in order."""

    account: Me | None = ME
    people: list[User] = field(default_factory=list)
    offers: dict[int, list[OfferedImage]] = field(default_factory=dict)
    previews: dict[str, bytes] = field(default_factory=dict)
    incoming: list[ViewRequest] = field(default_factory=list)
    outgoing: list[ViewRequest] = field(default_factory=list)
    held: list[PeerImage] = field(default_factory=list)
    mine: list[MyImage] = field(default_factory=list)
    rights: dict[str, list[Viewer]] = field(default_factory=dict)
    looks: dict[str, list[ViewLogEntry]] = field(default_factory=dict)
    waiting: list[OutboxEntry] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    covers: dict[str, bytes] = field(default_factory=dict)
    signed_in: bool = True
    reachable: bool = True
    leader: str | None = "n1"
    term: int = 3
    latency_s: float | None = 0.0042
    notice: str = ""
    trouble: str = ""
    aside: list[Trouble] = field(default_factory=list)
    other_device: bool = False
    cloud_trouble: str = ""
    passphrase: str | None = None
    """What the profile is locked by."""
    fail: dict[str, Exception] = field(default_factory=dict)
    gates: dict[str, anyio.Event] = field(default_factory=dict)
    """A method named here waits for its event: what a screen shows meanwhile can be looked at."""
    asked: list[Asked] = field(default_factory=list)
    unwritten: str = ""
    """What could not be written down about a look."""

    def __post_init__(self) -> None:
        self._hub = EventHub()
        self._requests = 0

    # --- For tests ---------------------------------------------------------------------------------------------------
    def emit(self, event: Event) -> None:
        """Tell all listeners of something."""
        self._hub.emit(event)

    def calls(self, method: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Return how a method was called, in order."""
        return [(arguments, options) for name, arguments, options in self.asked if name == method]

    async def _note(self, method: str, *arguments: Any, **options: Any) -> None:
        self.asked.append((method, arguments, options))
        if method in self.gates:
            await self.gates[method].wait()
        if method in self.fail:
            raise self.fail[method]

    def _sent(self) -> Sent:
        self._requests += 1
        return Sent(f"{self._requests:032x}", delivered=self.reachable)

    # --- Account -----------------------------------------------------------------------------------------------------
    @property
    def me(self) -> Me | None:
        return self.account

    async def register(self, name: str) -> Me:
        await self._note("register", name)
        self.account = replace(ME, name=name)
        return self.account

    async def sign_in(self) -> Me:
        await self._note("sign_in")
        assert self.account is not None
        self.signed_in = True
        return self.account

    async def sign_out(self) -> int:
        await self._note("sign_out")
        self.signed_in = False
        return len(self.waiting)

    async def set_passphrase(self, new: str, *, old: str | None = None) -> None:
        await self._note("set_passphrase", new, old=old)
        self._check(old)
        self.passphrase = new

    async def remove_passphrase(self, old: str) -> None:
        await self._note("remove_passphrase", old)
        self._check(old)
        self.passphrase = None

    def _check(self, passphrase: str | None) -> None:
        if self.passphrase != passphrase:
            raise WrongPassphrase("The passphrase does not open this profile; try again.")

    def export_identity(self, passphrase: str) -> bytes:
        self.asked.append(("export_identity", (passphrase,), {}))
        if "export_identity" in self.fail:
            raise self.fail["export_identity"]
        return b"-----BEGIN GLIMPSE IDENTITY-----\nnot a real one\n-----END GLIMPSE IDENTITY-----\n"

    @staticmethod
    def import_identity(profile: Path, data: bytes, passphrase: str) -> None:
        raise AssertionError("the client imports through its host")

    # --- Pictures of one's own ---------------------------------------------------------------------------------------
    async def encrypt(
        self, path: Path | str, *, title: str | None = None, cover: Path | str | None = None, progress: Any = None
    ) -> MyImage:
        if progress is not None:
            progress("sealing", 0, 1)
            progress("sending", 512 * 1024, 1024 * 1024)
        await self._note("encrypt", str(path), title=title, cover=None if cover is None else str(cover))
        image = MyImage(
            f"{len(self.mine) + 1:032x}",
            title or Path(path).stem,
            "JPEG",
            640,
            480,
            90_000,
            1_000.0,
            Path(path),
            offered=True,
            has_preview=False,
            viewers=0,
            views_spent=0,
        )
        self.mine.insert(0, image)
        self.pictures[image.image] = Path(path).read_bytes() if Path(path).is_file() else b""
        return image

    async def set_preview(self, image_id: str, picture: Path | str | bytes | None) -> None:
        await self._note("set_preview", image_id, str(picture) if isinstance(picture, Path) else picture)
        self.mine = [
            replace(row, has_preview=picture is not None) if row.image == image_id else row for row in self.mine
        ]

    async def my_images(self, *, local: bool = False) -> list[MyImage]:
        await self._note("my_images", local=local)
        if local or not self.reachable:
            return [replace(row, viewers=0, views_spent=0, counted=False) for row in self.mine if row.path is not None]
        return list(self.mine)

    async def withdraw(self, image_id: str) -> None:
        await self._note("withdraw", image_id)
        self.mine = [replace(row, offered=row.offered and row.image != image_id) for row in self.mine]

    async def adopt(self, path: Path | str) -> MyImage:
        await self._note("adopt", str(path))
        self.mine = [replace(row, path=Path(path)) if row.path is None else row for row in self.mine]
        image = next(row for row in self.mine if row.path == Path(path))
        self.pictures[image.image] = Path(path).read_bytes()
        return image

    async def viewers(self, image_id: str) -> list[Viewer]:
        await self._note("viewers", image_id)
        return list(self.rights.get(image_id, ()))

    async def views_log(self, image_id: str) -> list[ViewLogEntry]:
        await self._note("views_log", image_id)
        return list(self.looks.get(image_id, ()))

    async def cover(self, image_id: str) -> bytes | None:
        await self._note("cover", image_id)
        return self.covers.get(image_id)

    # --- Other people ------------------------------------------------------------------------------------------------
    async def users(self, text: str = "", *, page: int = 0) -> UserPage:
        await self._note("users", text, page=page)
        found = [user for user in self.people if text.lower() in user.name.lower() or text == str(user.account)]
        return UserPage(tuple(found[page * PAGE_ROWS : (page + 1) * PAGE_ROWS]), len(found))

    async def find_path(self, account: int) -> PathFound:
        await self._note("find_path", account)
        return PathFound(account, next(one.name for one in self.people if one.account == account), "direct", 0.1)

    async def images_of(self, account: int, *, page: int = 0) -> list[OfferedImage]:
        await self._note("images_of", account, page=page)
        return list(self.offers.get(account, ())) if page == 0 else []

    async def preview(self, image_id: str) -> bytes | None:
        await self._note("preview", image_id)
        return self.previews.get(image_id)

    # --- Asking and answering ----------------------------------------------------------------------------------------
    async def request(self, image_id: str, views: int, *, note: str = "") -> Sent:
        await self._note("request", image_id, views, note=note)
        return self._sent()

    async def request_more(self, image_id: str, views: int, *, note: str = "") -> Sent:
        await self._note("request_more", image_id, views, note=note)
        return self._sent()

    async def cancel(self, request_id: str) -> None:
        await self._note("cancel", request_id)
        self.outgoing = [
            replace(row, state=AskState.WITHDRAWN) if row.request_id == request_id else row for row in self.outgoing
        ]

    async def requests(self, *, local: bool = False) -> Requests:
        await self._note("requests", local=local)
        return Requests(tuple(self.incoming), tuple(self.outgoing), self.reachable and not local)

    async def accept(
        self, request_id: str, *, views: int | None = None, expires: float | None = None, look_s: float | None = None
    ) -> Sent:
        await self._note("accept", request_id, views=views, expires=expires, **_given(look_s))
        self._answer(request_id, AskState.ACCEPTED)
        return self._sent()

    async def reject(self, request_id: str, reason: str = "") -> Sent:
        await self._note("reject", request_id, reason)
        self._answer(request_id, AskState.REJECTED, reason)
        return self._sent()

    def _answer(self, request_id: str, state: AskState, reason: str = "") -> None:
        answer: dict[str, Any] = {"state": state, "reason": reason} if self.reachable else {"waits": True}
        self.incoming = [replace(row, **answer) if row.request_id == request_id else row for row in self.incoming]

    async def grant(
        self, image_id: str, viewer: int, views: int, *, expires: float | None = None, look_s: float | None = None
    ) -> Sent:
        await self._note("grant", image_id, viewer, views, expires=expires, **_given(look_s))
        return self._sent()

    async def set_views(
        self,
        image_id: str,
        viewer: int,
        views_left: int | None,
        *,
        expires: float | None = None,
        no_expiry: bool = False,
        look_s: float | EllipsisType | None = ...,
    ) -> RightsResult:
        length = {} if look_s is ... else {"look_s": look_s}
        await self._note("set_views", image_id, viewer, views_left, expires=expires, no_expiry=no_expiry, **length)
        if not self.reachable:
            return RightsResult("0" * 32, delivered=False)
        return RightsResult("0" * 32, True, views_left, 1)

    async def revoke(self, image_id: str, viewer: int) -> RightsResult:
        await self._note("revoke", image_id, viewer)
        if not self.reachable:
            return RightsResult("0" * 32, delivered=False)
        return RightsResult("0" * 32, True, 0, 1)

    # --- Pictures of others ------------------------------------------------------------------------------------------
    async def peer_images(self) -> list[PeerImage]:
        await self._note("peer_images")
        return list(self.held)

    async def view(self, image_id: str) -> View:
        await self._note("view", image_id)
        row = next((row for row in self.held if row.image == image_id), None)
        left = None if row is None else row.left - 1
        if row is not None:
            self.held = [replace(held, left=held.left - 1) if held is row else held for held in self.held]
        data = self.pictures[image_id]
        if row is None:
            return View(image_id, "mine", data, None)
        return View(image_id, row.title, data, left, VIEW, row.look_s, row.expires, self.unwritten)

    async def look_ended(self, view_id: str, seconds: float) -> None:
        await self._note("look_ended", view_id, seconds)

    async def look_failed(self, image_id: str, view_id: str, reason: str) -> None:
        await self._note("look_failed", image_id, view_id, reason)

    def now(self) -> float:
        return NOW

    # --- State -------------------------------------------------------------------------------------------------------
    async def restored_notice(self) -> str:
        await self._note("restored_notice")
        return self.notice

    async def read_restored_notice(self) -> None:
        await self._note("read_restored_notice")
        self.notice = ""

    async def outbox(self) -> list[OutboxEntry]:
        await self._note("outbox")
        return list(self.waiting)

    def status(self) -> PeerStatus:
        return PeerStatus(
            self.account,
            self.signed_in,
            self.reachable,
            self.leader if self.reachable else None,
            self.term,
            self.latency_s,
            len(self.waiting),
            self.trouble,
            len(self.aside),
            self.other_device,
            self.cloud_trouble,
            self.passphrase is not None,
        )

    async def troubles(self) -> list[Trouble]:
        await self._note("troubles")
        return list(self.aside)

    async def events(self) -> AsyncIterator[Event]:
        with self._hub.subscription() as stream:
            async for event in stream:
                yield event

    def subscribe(self) -> AbstractContextManager[AsyncIterator[Event]]:
        return self._hub.subscription()


@dataclass
class FakeHost:
    """Opens fake peers by profile name; `reached` is what `reach` finds."""

    peers: dict[str, FakePeer] = field(default_factory=dict)
    found: list[Any] = field(default_factory=list)
    """What `profiles` returns: `tui.peer.profiles.ProfileSummary`."""
    cluster: str = "cluster.toml"
    reached: Reach = field(default_factory=lambda: Reach(("n1", "n2", "n3"), ()))
    notice: str = ""
    fail: dict[str, Exception] = field(default_factory=dict)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    opened: FakePeer | None = None

    async def profiles(self) -> list[Any]:
        return list(self.found)

    async def reach(self) -> Reach:
        self.asked.append(("reach",))
        return self.reached

    async def open(self, profile: str, passphrase: str | None = None) -> FakePeer:
        self.asked.append(("open", profile) if passphrase is None else ("open", profile, passphrase))
        if "open" in self.fail:
            raise self.fail["open"]
        peer = self.peers.setdefault(profile, FakePeer(account=None, signed_in=False))
        if peer.passphrase is not None and passphrase is None:
            raise PassphraseNeeded(f"The profile {profile} is locked.")
        if peer.passphrase not in (None, passphrase):
            raise WrongPassphrase("The passphrase does not open this profile; try again.")
        self.opened = peer
        return self.opened

    async def close(self) -> None:
        self.asked.append(("close",))
        if self.opened is not None:
            await self.opened.sign_out()
        self.opened = None

    async def join(self, code: str) -> None:
        self.asked.append(("join", code))
        if "join" in self.fail:
            raise self.fail["join"]

    async def restore(self, profile: str, export: bytes, passphrase: str) -> None:
        self.asked.append(("restore", profile, export, passphrase))
        if "restore" in self.fail:
            raise self.fail["restore"]
        self.peers[profile] = FakePeer(signed_in=False)
