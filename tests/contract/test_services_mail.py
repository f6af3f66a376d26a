"""Mail: per device, at least once, oldest first, and nobody else's. On both directories."""

import pytest

from node.services.mail import MAIL_PAGE_ROWS
from shared.wire import operations as ops
from tests.contract.people import new_id

pytestmark = pytest.mark.anyio

DAY_S = 86_400.0


async def test_mail_comes_until_it_is_acknowledged_and_to_each_device(ann, bob):
    await bob.ask(ops.AskViews(image=await ann.image(), views=1))
    first, second = new_id(), new_id()
    mails = await ann.mails(first)
    assert mails == await ann.mails(first)
    assert mails.waiting == 0
    await ann.ask(ops.AckMail(device=first, mails=[mails.rows[0].mail]))
    await ann.ask(ops.AckMail(device=first, mails=[mails.rows[0].mail]))
    assert (await ann.mails(first)).rows == []
    assert await ann.mails(second) == mails
    assert (await ann.sign_in(device=first)).mail_waiting == 0
    assert (await ann.sign_in(device=second)).mail_waiting == 1


async def test_mail_is_its_accounts_own(place, ann, bob):
    await bob.ask(ops.AskViews(image=await ann.image(), views=1))
    stolen = (await ann.mails()).rows[0].mail
    for stranger in (bob, await place.person("Cem")):
        assert (await stranger.mails(ann.device)).rows == []
        await stranger.ask(ops.AckMail(device=ann.device, mails=[stolen]))
    assert len((await ann.mails()).rows) == 1
    await ann.ask(ops.AckMail(device=ann.device, mails=[new_id()]))
    await ann.ask(ops.AckMail(device=ann.device, mails=[]))
    assert await place.number("SELECT COUNT(*) AS n FROM mail_acks") == 0


async def test_mail_comes_oldest_first_in_pages(place, ann, bob):
    image = await ann.image()
    count = MAIL_PAGE_ROWS + 5
    grant = (await ann.give(bob, image, count)).operation.grant
    views = []
    for _ in range(count):
        look = bob.look(grant)
        await bob.spend(look)
        views.append(look.view)
    # Mail of one group of commits may carry one time: only the order between different times is promised.
    rows = await place.rows("SELECT id FROM mail WHERE kind = 'view'")
    assert len(rows) == count
    page = await ann.mails()
    assert (len(page.rows), page.waiting) == (MAIL_PAGE_ROWS, 5)
    assert [item.created for item in page.rows] == sorted(item.created for item in page.rows)
    await ann.ask(ops.AckMail(device=ann.device, mails=[item.mail for item in page.rows]))
    rest = await ann.mails()
    assert (len(rest.rows), rest.waiting) == (5, 0)
    assert rest.rows[0].created >= page.rows[-1].created


async def test_only_old_mail_that_a_device_has_is_swept(place, ann, bob):
    image = await ann.image()
    for _ in range(3):
        await bob.ask(ops.AskViews(image=image, views=1))
    acknowledged = [item.mail for item in (await ann.mails()).rows]
    await ann.ask(ops.AckMail(device=ann.device, mails=acknowledged[:2]))
    assert await place.services.sweep() == 0
    await place.run("UPDATE mail SET created = created - :age", age=40 * DAY_S)
    await place.run("UPDATE mail_acks SET at = at - :age WHERE mail_id = :m", age=31 * DAY_S, m=acknowledged[0])
    assert await place.services.sweep() == 1
    assert {item.mail for item in (await ann.mails(new_id())).rows} == set(acknowledged[1:])
    assert await place.number("SELECT COUNT(*) AS n FROM mail_acks") == 1


async def test_a_swept_mail_is_not_sent_again_by_a_repeat(place, ann, bob):
    request = new_id()
    operation = ops.AskViews(image=await ann.image(), views=1)
    await bob.ask(operation, request)
    await ann.empty_mailbox()
    await place.run("UPDATE mail SET created = 1.0")
    await place.run("UPDATE mail_acks SET at = 1.0")
    assert await place.services.sweep() == 1
    await place.forget_requests()
    await bob.ask(operation, request)
    assert await ann.mail() == []
