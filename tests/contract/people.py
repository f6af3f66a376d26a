"""People who use the services: keys, requests and the usual steps, for tests on either directory."""

import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from node.directory import Directory, Query, Step, Tx, open_directory
from node.services.common import Caller, Served
from node.services.operations import Services
from shared.config import LOCAL, REQUEST_LIMITS, RequestLimits, Timing
from shared.errors import Refused
from shared.identity import Identity
from shared.records import RightsRecord, encode_record
from shared.rights import create_grant, open_share, spend_signature
from shared.wire import operations as ops
from shared.wire.upload import Upload, encode_upload
from tests.databases import PATIENT

CLUSTER = "test-cluster"
SHARE_KEY = bytes(range(32))
HOST = "192.0.2.7"
_ids = itertools.count(1)


def new_id() -> str:
    """An id that no other call in this process gives."""
    return f"{next(_ids):032x}"


@dataclass(slots=True)
class Look:
    """One attempt at a view: its id and fresh key, kept for repeats."""

    view: str
    ephemeral: X25519PrivateKey
    operation: ops.SpendView

    def share(self, spent: ops.ViewSpent) -> bytes:
        raw = self.ephemeral.private_bytes_raw()
        return open_share(raw, spent.sealed_share, cluster_id=CLUSTER, grant_id=spent.grant, view_id=spent.view)


@dataclass(slots=True)
class Given:
    """A grant as its owner's peer knows it."""

    operation: ops.Grant
    record: RightsRecord
    share: bytes


class Letters:
    """An encoder that hides nothing: the stego image is the sealed picture between two marks."""

    async def hide(self, payload: bytes, record: bytes, image_id: bytes, cover: bytes | None) -> bytes:
        return b"<" + payload + b">"


@dataclass(slots=True)
class Sending:
    """A session of a peer that sends a picture and takes what comes of it."""

    sealed: bytes = b"sealed"
    stegos: list[bytes] = field(default_factory=list)
    pulls: int = 0

    async def pull_upload(self, _size: int, _sha256: bytes) -> bytes:
        self.pulls += 1
        return encode_upload(Upload(b"record", self.sealed))

    async def send_stego(self, stego: bytes) -> None:
        self.stegos.append(stego)


@dataclass(slots=True)
class Person:
    """Somebody with keys; `account` is None until registered."""

    services: Services
    identity: Identity
    account: int | None = None
    device: str = field(default_factory=new_id)

    @property
    def key(self) -> bytes:
        return self.identity.public.session_key

    async def ask(
        self,
        operation: ops.Operation,
        request: str | None = None,
        *,
        host: str = HOST,
        exchange: Sending | None = None,
    ) -> Served:
        caller = await self.services.caller(self.key, host)
        return await self.services.serve(caller, request or new_id(), operation, exchange)

    async def get(self, operation: ops.Operation, request: str | None = None):
        return (await self.ask(operation, request)).outcome

    def registration(self, name: str) -> ops.Register:
        public = self.identity.public
        proof = self.identity.sign("register", CLUSTER.encode(), name.encode(), public.session_key)
        return ops.Register(
            name=name,
            signing_key=public.signing_key,
            session_key=public.session_key,
            session_signature=public.session_signature,
            proof=proof,
        )

    def signing_in(self, request: str, *, port: int = 4000, device: str | None = None) -> ops.SignIn:
        device = device or self.device
        proof = self.identity.sign("sign-in", CLUSTER.encode(), device.encode(), request.encode())
        return ops.SignIn(device=device, port=port, proof=proof)

    async def sign_in(self, *, port: int = 4000, device: str | None = None) -> ops.SignedIn:
        request = new_id()
        return await self.get(self.signing_in(request, port=port, device=device), request)

    async def image(self, image: str | None = None, *, title: str = "A picture", sha256: bytes = b"u" * 32) -> str:
        image = image or new_id()
        await self.ask(encrypt(image, title=title, sha256=sha256), exchange=Sending())
        return image

    def grant_for(self, viewer: "Person", image: str, views: int, **more) -> Given:
        expires, ask, grant = more.pop("expires", None), more.pop("ask", None), more.pop("grant", None) or new_id()
        assert not more
        record, share, signature = create_grant(
            self.identity,
            viewer.identity.public,
            grant_id=grant,
            image_id=image,
            content_key=b"k" * 32,
            granted=views,
            expires=expires,
            entropy=os.urandom,
        )
        assert viewer.account is not None
        operation = ops.Grant(
            grant=grant,
            image=image,
            viewer=viewer.account,
            record=encode_record(record),
            cloud_share=share,
            share_signature=signature,
            ask=ask,
        )
        return Given(operation, record, share)

    async def give(self, viewer: "Person", image: str, views: int, **more) -> Given:
        given = self.grant_for(viewer, image, views, **more)
        await self.ask(given.operation)
        return given

    def look(self, grant: str, view: str | None = None) -> Look:
        view, ephemeral = view or new_id(), X25519PrivateKey.generate()
        public = ephemeral.public_key().public_bytes_raw()
        signature = spend_signature(self.identity, CLUSTER, grant, view, public)
        return Look(view, ephemeral, ops.SpendView(grant=grant, ephemeral_key=public, signature=signature))

    async def spend(self, look: Look) -> ops.ViewSpent:
        return await self.get(look.operation, look.view)

    async def mail(self, device: str | None = None) -> list[ops.Letter]:
        return [decode_letter(item) for item in (await self.mails(device)).rows]

    async def mails(self, device: str | None = None) -> ops.Mails:
        return await self.get(ops.FetchMail(device=device or self.device))

    async def empty_mailbox(self) -> None:
        while rows := (await self.mails()).rows:
            await self.ask(ops.AckMail(device=self.device, mails=[item.mail for item in rows]))


def decode_letter(item: ops.MailItem) -> ops.Letter:
    from shared.wire.codec import decode

    return decode(item.body, ops.Letter, cap_bytes=16_384)


def encrypt(image: str, *, title: str = "A picture", sha256: bytes = b"u" * 32) -> ops.Encrypt:
    return ops.Encrypt(
        image=image,
        title=title,
        format="JPEG",
        width=640,
        height=480,
        original_size=10_000,
        upload_size=11_000,
        upload_sha256=sha256,
    )


@dataclass(slots=True)
class Town:
    """A directory with services in front of it, and ways to look behind them."""

    directory: Directory
    services: Services
    url: str

    async def person(self, name: str) -> Person:
        person = Person(self.services, Identity.generate())
        person.account = (await person.get(person.registration(name))).account
        return person

    def stranger(self) -> Person:
        return Person(self.services, Identity.generate())

    async def rows(self, sql: str, **parameters) -> list[dict]:
        def run(_: Tx) -> Step[list]:
            return (yield Query(sql, parameters)).rows

        return await self.directory.read(run)

    async def run(self, sql: str, **parameters) -> None:
        def run(_: Tx) -> Step[None]:
            yield Query(sql, parameters)

        await self.directory.write(run)

    async def number(self, sql: str, **parameters) -> int:
        return int(next(iter((await self.rows(sql, **parameters))[0].values())))

    async def forget_requests(self) -> None:
        """Do as the sweep does after hours: stored answers go, effects stay."""
        await self.run("DELETE FROM requests")


def services_on(
    directory: Directory, *, timing: Timing = LOCAL, node: str = "north", limits: RequestLimits = REQUEST_LIMITS
) -> Services:
    return Services(
        directory,
        Letters(),
        cluster_id=CLUSTER,
        share_key=SHARE_KEY,
        entropy=os.urandom,
        timing=timing,
        node_name=node,
        limits=limits,
    )


@asynccontextmanager
async def town(url: str, *, timing: Timing = LOCAL) -> AsyncIterator[Town]:
    async with open_directory(url, timing=PATIENT) as directory:
        yield Town(directory, services_on(directory, timing=timing), url)


__all__ = ["CLUSTER", "HOST", "Caller", "Given", "Look", "Person", "Town", "encrypt", "new_id", "services_on", "town"]


async def refused(awaitable) -> str:
    """Return the code that something is refused with."""
    with pytest.raises(Refused) as caught:
        await awaitable
    return str(caught.value.code)
