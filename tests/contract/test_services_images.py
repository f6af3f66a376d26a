"""Images, previews, and asks for them, on both directories."""

from dataclasses import dataclass, field, replace
from hashlib import sha256

import anyio
import pytest

from node.services import images, view_requests
from shared.config import MAILBOX_PER_SENDER, REQUEST_LIMITS
from shared.wire import operations as ops
from shared.wire.upload import Upload, encode_upload
from tests.contract.people import HOST, Sending, encrypt, new_id, refused, services_on
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio


# --- Images ----------------------------------------------------------------------------------------------------------


async def test_an_image_is_made_once_however_often_it_is_hidden(place, ann):
    image, request = new_id(), new_id()
    sendings = [Sending(sealed) for sealed in (b"1", b"22", b"333")]
    first = await ann.ask(encrypt(image), request, exchange=sendings[0])
    again = await ann.ask(encrypt(image), request, exchange=sendings[1])
    await place.forget_requests()
    caller, elsewhere = await place.services.caller(ann.key, HOST), services_on(place.directory, node="south")
    later = await elsewhere.serve(caller, new_id(), encrypt(image, title="Other"), sendings[2])
    assert [sending.stegos for sending in sendings] == [[b"<1>"], [b"<22>"], [b"<333>"]]
    assert await place.number("SELECT COUNT(*) AS n FROM images") == 1
    assert {served.outcome.created for served in (first, again, later)} == {first.outcome.created}
    for served, sending in zip((first, again, later), sendings, strict=True):
        hidden_now = sending.stegos[0]
        assert served.outcome.stego_sha256 == sha256(hidden_now).digest()
        assert served.outcome.stego_size == len(hidden_now)


@dataclass(slots=True)
class Slow(Sending):
    """A peer that sends its upload when it is told to."""

    pulled: anyio.Event = field(default_factory=anyio.Event)
    gate: anyio.Event = field(default_factory=anyio.Event)

    async def pull_upload(self, size: int, sha256: bytes) -> bytes:
        self.pulls += 1
        self.pulled.set()
        await self.gate.wait()
        return encode_upload(Upload(b"record", self.sealed))


async def test_encryptions_that_wait_for_memory_take_nobodys_turn(place, ann, bob):
    """With as many as there were turns, one account held up all others for as long as it took to send."""
    limits = replace(REQUEST_LIMITS, writes_at_once=2, upload_bytes=1_000_000, upload_bytes_per_account=500_000)
    services, slow = services_on(place.directory, limits=limits), Slow()
    hers, his = [await services.caller(person.key, HOST) for person in (ann, bob)]
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(services.serve, hers, new_id(), encrypt(new_id()), slow)
        await slow.pulled.wait()
        quick = Sending()
        with anyio.fail_after(PATIENCE_S):
            await services.serve(his, new_id(), encrypt(new_id()), quick)
        assert quick.stegos == [b"<sealed>"]
        assert slow.pulls == 1, "her others wait for her share"
        slow.gate.set()
    assert (slow.pulls, len(slow.stegos)) == (4, 4)


async def test_an_image_id_belongs_to_one_owner_and_one_picture(place, ann, bob):
    image = await ann.image()
    sending = Sending()
    assert await refused(bob.ask(encrypt(image), exchange=sending)) == "conflict"
    assert await refused(ann.ask(encrypt(image, sha256=b"x" * 32), exchange=sending)) == "conflict"
    assert sending.stegos == []
    assert (await bob.get(ops.MyImages())).total == 0


async def test_an_account_has_room_for_so_many_images(ann, monkeypatch):
    monkeypatch.setattr(images, "MAX_IMAGES_PER_ACCOUNT", 2)
    first = await ann.image()
    await ann.image()
    assert await refused(ann.image()) == "not_allowed"
    await ann.image(first)
    assert (await ann.get(ops.MyImages())).total == 2


async def test_titles_are_made_harmless(ann):
    await ann.image(title="\x1b[2Jsea\u202e ' \\ %")
    title = (await ann.get(ops.MyImages())).rows[0].title
    assert title == "\ufffd[2Jsea\ufffd ' \\ %"


async def test_others_see_what_is_offered_and_no_counters(ann, bob):
    kept, gone = await ann.image(title="kept"), await ann.image(title="gone")
    grant = (await ann.give(bob, kept, 2)).operation.grant
    await bob.spend(bob.look(grant))
    await ann.ask(ops.WithdrawImage(image=gone))
    shown = await bob.get(ops.OfferedImages(owner=ann.account))
    assert ([row.image for row in shown.rows], shown.total, shown.owner) == ([kept], 1, ann.account)
    row = shown.rows[0]
    assert (row.viewers, row.views_spent, row.size, row.format, row.width, row.height) == (
        0,
        0,
        10_000,
        "JPEG",
        640,
        480,
    )
    mine = await ann.get(ops.MyImages())
    assert {row.image: (row.offered, row.viewers, row.views_spent) for row in mine.rows} == {
        kept: (True, 1, 1),
        gone: (False, 0, 0),
    }


async def test_images_come_in_pages(ann, monkeypatch):
    monkeypatch.setattr(images, "page_of", lambda page: f" LIMIT 2 OFFSET {2 * page}")
    made = {await ann.image() for _ in range(5)}
    pages = [await ann.get(ops.MyImages(page=page)) for page in range(4)]
    assert [len(page.rows) for page in pages] == [2, 2, 1, 0]
    assert {row.image for page in pages for row in page.rows} == made
    assert {page.total for page in pages} == {5}
    assert len((await ann.get(ops.OfferedImages(owner=ann.account, page=1))).rows) == 2


async def test_only_the_owner_sets_a_preview_or_withdraws(ann, bob):
    image = await ann.image()
    assert await refused(bob.ask(ops.SetPreview(image=image, preview=b"p"))) == "not_found"
    assert await refused(bob.ask(ops.WithdrawImage(image=image))) == "not_found"
    assert await refused(ann.ask(ops.WithdrawImage(image=new_id()))) == "not_found"
    assert (await bob.get(ops.GetPreview(image=image))).preview is None


async def test_a_preview_is_shown_while_the_image_is_offered(ann, bob):
    image, preview = await ann.image(), bytes(range(256)) * 96
    await ann.ask(ops.SetPreview(image=image, preview=preview))
    assert (await bob.get(ops.GetPreview(image=image))).preview == preview
    assert (await bob.get(ops.OfferedImages(owner=ann.account))).rows[0].has_preview
    await ann.ask(ops.WithdrawImage(image=image))
    await ann.ask(ops.WithdrawImage(image=image))
    assert await refused(bob.get(ops.GetPreview(image=image))) == "not_found"
    assert (await ann.get(ops.GetPreview(image=image))).preview == preview
    await ann.ask(ops.SetPreview(image=image, preview=None))
    assert (await ann.get(ops.GetPreview(image=image))).preview is None


# --- Asks ------------------------------------------------------------------------------------------------------------


async def test_an_ask_reaches_the_owner(ann, bob):
    image, request = await ann.image(title="Sea"), new_id()
    served = await bob.ask(ops.AskViews(image=image, views=3, note="please\x07"), request)
    assert served.outcome == ops.AskMade(ask=request, owner=ann.account, owner_online=False)
    assert served.nudges == (ann.account,)
    letter = (await ann.mail())[0]
    assert isinstance(letter, ops.AskArrived)
    row = letter.ask
    assert (row.ask, row.image, row.title, row.owner, row.viewer) == (request, image, "Sea", ann.account, bob.account)
    assert (row.viewer_name, row.viewer_key) == ("Bob", bob.identity.public.signing_key)
    assert (row.owner_name, row.owner_key) == ("Ann", ann.identity.public.signing_key)
    assert (row.views, row.note, row.state, row.answered, row.grant) == (3, "please\ufffd", "pending", None, None)
    assert (await ann.get(ops.ListAsks(incoming=True))).rows == [row]
    assert (await bob.get(ops.ListAsks(incoming=False))).rows == [row]
    assert (await bob.get(ops.ListAsks(incoming=True))).total == 0


async def test_an_ask_is_made_and_mailed_once(place, ann, bob):
    image, request = await ann.image(), new_id()
    operation = ops.AskViews(image=image, views=3)
    first = await bob.ask(operation, request)
    assert await bob.ask(operation, request) == first
    await place.forget_requests()
    await ann.sign_in()
    later = await bob.ask(operation, request)
    assert later.outcome == ops.AskMade(ask=request, owner=ann.account, owner_online=True)
    assert later.nudges == ()
    assert await place.number("SELECT COUNT(*) AS n FROM asks") == 1
    assert len(await ann.mail()) == 1
    await ann.ask(ops.WithdrawImage(image=image))
    await place.forget_requests()
    assert (await bob.ask(operation, request)).outcome.ask == request, "an ask that stands is not undone"


async def test_an_ask_id_belongs_to_one_ask(place, ann, bob):
    image, request = await ann.image(), new_id()
    await bob.ask(ops.AskViews(image=image, views=3), request)
    cem = await place.person("Cem")
    assert await refused(cem.ask(ops.AskViews(image=image, views=3), request)) == "id_reused"
    await place.forget_requests()
    assert await refused(bob.ask(ops.AskViews(image=image, views=4), request)) == "id_reused"


async def test_what_cannot_be_asked_for(ann, bob):
    image = await ann.image()
    assert await refused(ann.ask(ops.AskViews(image=image, views=1))) == "not_allowed"
    assert await refused(bob.ask(ops.AskViews(image=new_id(), views=1))) == "not_found"
    await ann.ask(ops.WithdrawImage(image=image))
    assert await refused(bob.ask(ops.AskViews(image=image, views=1))) == "not_allowed"
    assert (await bob.get(ops.ListAsks(incoming=False))).total == 0


async def test_unanswered_asks_for_one_image_are_capped(ann, bob):
    image = await ann.image()
    made = [new_id() for _ in range(view_requests.PENDING_PER_IMAGE)]
    for request in made:
        await bob.ask(ops.AskViews(image=image, views=1), request)
    assert await refused(bob.ask(ops.AskViews(image=image, views=1))) == "mailbox_full"
    await bob.ask(ops.WithdrawAsk(ask=made[0]))
    await bob.ask(ops.AskViews(image=image, views=1))


async def test_a_sender_cannot_flood_a_mailbox(place, ann, bob, monkeypatch):
    monkeypatch.setattr("node.services.mail.MAILBOX_PER_SENDER", 3)
    assert MAILBOX_PER_SENDER > 3
    offered = [await ann.image() for _ in range(4)]
    for image in offered[:3]:
        await bob.ask(ops.AskViews(image=image, views=1))
    assert await refused(bob.ask(ops.AskViews(image=offered[3], views=1))) == "mailbox_full"
    assert (await bob.get(ops.ListAsks(incoming=False))).total == 3, "a refused ask leaves nothing"
    cem = await place.person("Cem")
    await cem.ask(ops.AskViews(image=offered[3], views=1))
    await ann.empty_mailbox()
    await bob.ask(ops.AskViews(image=offered[3], views=1))


async def test_an_ask_is_taken_back_once_and_by_its_viewer(ann, bob):
    request = new_id()
    await bob.ask(ops.AskViews(image=await ann.image(), views=1), request)
    assert await refused(ann.ask(ops.WithdrawAsk(ask=request))) == "not_found"
    assert (await bob.ask(ops.WithdrawAsk(ask=request))).nudges == (ann.account,)
    assert (await bob.ask(ops.WithdrawAsk(ask=request))).nudges == ()
    assert await refused(ann.ask(ops.RejectAsk(ask=request))) == "conflict"
    assert [type(letter) for letter in await ann.mail()].count(ops.AskWithdrawn) == 1
    assert (await ann.get(ops.ListAsks(incoming=True))).rows[0].state == "withdrawn"


async def test_an_ask_is_rejected_once_and_by_its_owner(place, ann, bob):
    request = new_id()
    await bob.ask(ops.AskViews(image=await ann.image(), views=1), request)
    cem = await place.person("Cem")
    for person in (bob, cem):
        assert await refused(person.ask(ops.RejectAsk(ask=request, reason="no"))) == "not_found"
    assert (await ann.ask(ops.RejectAsk(ask=request, reason="not now"))).nudges == (bob.account,)
    await place.forget_requests()
    assert (await ann.ask(ops.RejectAsk(ask=request, reason="changed my mind"))).nudges == ()
    letters = await bob.mail()
    assert len(letters) == 1
    assert (letters[0].ask.state, letters[0].ask.reason) == ("rejected", "not now")
    assert letters[0].ask.answered is not None
    assert await refused(bob.ask(ops.WithdrawAsk(ask=request))) == "conflict"


async def test_the_same_ask_served_by_many_at_once_is_one_ask(place, ann, bob):
    image, request = await ann.image(), new_id()
    operation = ops.AskViews(image=image, views=1)
    nodes = [services_on(place.directory, node=name) for name in ("north", "south", "west")]
    answers = []

    async def serve(services):
        caller = await services.caller(bob.key, HOST)
        answers.append(await services.serve(caller, request, operation))

    async with anyio.create_task_group() as tasks:
        for services in nodes * 5:
            tasks.start_soon(serve, services)
    assert len(answers) == 15
    assert len(set(answers)) == 1
    assert await place.number("SELECT COUNT(*) AS n FROM mail") == 1
