"""Accounts, presence and finding people, on both directories."""

from dataclasses import replace

import msgspec
import pytest

from node.services.operations import REGISTRY, Permission
from shared.config import LOCAL
from shared.errors import LocalError, Refused
from shared.identity import Identity
from shared.wire import operations as ops
from tests.contract.people import CLUSTER, Person, encrypt, new_id, services_on, town

pytestmark = pytest.mark.anyio


async def refused(awaitable) -> str:
    with pytest.raises(Refused) as caught:
        await awaitable
    text = str(caught.value)
    assert text.endswith((".", "?"))
    assert len(text) < 400
    return str(caught.value.code)


# --- Registering -----------------------------------------------------------------------------------------------------


async def test_the_same_keys_are_the_same_account(place):
    ann = place.stranger()
    first = await ann.get(ann.registration("  Ann  "))
    assert (first.account, first.name) == (1, "Ann")
    await place.forget_requests()
    again = await ann.get(ann.registration("Somebody else"))
    assert again == first
    assert await place.number("SELECT COUNT(*) AS n FROM accounts") == 1


async def test_a_repeated_registration_gets_the_stored_answer(place):
    ann, request = place.stranger(), new_id()
    registration = ann.registration("Ann")
    assert await ann.ask(registration, request) == await ann.ask(registration, request)


async def test_two_people_may_share_a_name(place):
    ann, other = await place.person("Ann"), await place.person("Ann")
    assert ann.account != other.account


@pytest.mark.parametrize("name", [" ", "\x1b[31mAnn", "A\u202enn", "An\nn", "A\u200bnn", "\x00", "Ann\x7f", "\ue000"])
async def test_a_name_that_is_empty_or_hides_something_is_refused(place, name):
    ann = place.stranger()
    assert await refused(ann.ask(ann.registration(name))) == "invalid"


@pytest.mark.parametrize("name", ["O'Brien; DROP TABLE accounts", 'back\\slash "quoted"', "100%_!", "Жанна", "😀" * 24])
async def test_a_name_is_kept_as_it_is(place, name):
    ann = await place.person(name)
    assert (await ann.get(ops.FindAccount(account=ann.account))).name == name


async def test_a_registration_for_another_session_is_refused(place):
    ann, mallory = place.stranger(), place.stranger()
    assert await refused(mallory.ask(ann.registration("Ann"))) == "not_allowed"


@pytest.mark.parametrize("field", ["session_signature", "proof", "signing_key"])
async def test_a_registration_with_a_forged_part_is_refused(place, field):
    ann, mallory = place.stranger(), place.stranger()
    forged = msgspec.structs.replace(ann.registration("Ann"), **{field: getattr(mallory.registration("Ann"), field)})
    assert await refused(ann.ask(forged)) == "not_allowed"
    assert await place.number("SELECT COUNT(*) AS n FROM accounts") == 0


async def test_a_proof_for_another_cluster_or_name_is_refused(place):
    ann = place.stranger()
    public = ann.identity.public
    elsewhere = ann.identity.sign("register", b"other", b"Ann", public.session_key)
    renamed = msgspec.structs.replace(ann.registration("Ann"), name="Bob")
    assert await refused(ann.ask(msgspec.structs.replace(ann.registration("Ann"), proof=elsewhere))) == "not_allowed"
    assert await refused(ann.ask(renamed)) == "not_allowed"


async def test_a_signing_key_cannot_be_given_a_second_session_key(place):
    ann = await place.person("Ann")
    moved = Person(place.services, Identity(ann.identity.signing_private, b"\x05" * 32))
    assert await refused(moved.ask(moved.registration("Ann"))) == "already_registered"


async def test_an_unknown_key_may_only_register(place):
    ann, stranger = await place.person("Ann"), place.stranger()
    image = await ann.image()
    caller = await place.services.caller(stranger.key, "h")
    assert not caller.is_registered
    operations = [
        ops.ListUsers(),
        ops.FindAccount(account=1),
        ops.OfferedImages(owner=1),
        ops.GetPreview(image=image),
        ops.MyImages(),
        ops.AskViews(image=image, views=1),
        ops.ListAsks(incoming=True),
        ops.ListGrants(),
        ops.FetchMail(device=new_id()),
        ops.AckMail(device=new_id(), mails=[]),
        ops.SignOut(device=new_id()),
        stranger.look(new_id()).operation,
        stranger.signing_in(new_id()),
        encrypt(new_id()),
    ]
    for operation in operations:
        assert await refused(stranger.ask(operation)) == "unknown_account"
    assert await refused(place.services.keep_alive(caller, new_id())) == "unknown_account"


async def test_every_operation_is_registered_and_only_registering_is_for_anybody():
    assert set(REGISTRY) == set(ops.Operation.__args__)
    for kind, entry in REGISTRY.items():
        assert entry.kind is kind
        assert (entry.permission is Permission.ANYBODY) == (kind is ops.Register), kind


async def test_a_picture_is_encrypted_over_a_session(place):
    ann = await place.person("Ann")
    with pytest.raises(LocalError):
        await ann.ask(encrypt(new_id()))


async def test_an_account_is_known_to_every_node_as_soon_as_it_is_registered(place):
    ann = place.stranger()
    other = services_on(place.directory, node="south")
    assert not (await other.caller(ann.key, "h")).is_registered
    await ann.get(ann.registration("Ann"))
    assert (await other.caller(ann.key, "h")).account == 1


async def test_the_memory_of_accounts_is_bounded(place, monkeypatch):
    monkeypatch.setattr("node.services.operations._REMEMBERED_ACCOUNTS", 2)
    people = [await place.person(f"P{number}") for number in range(4)]
    for person in people * 2:
        assert (await place.services.caller(person.key, "h")).account == person.account
    assert len(place.services._accounts) == 2


# --- Presence --------------------------------------------------------------------------------------------------------


async def address(person: Person, of: Person):
    found = await person.get(ops.FindAccount(account=of.account))
    return found.host, found.port


async def test_signing_in_shows_the_address_until_signing_out(place):
    ann, bob = await place.person("Ann"), await place.person("Bob")
    assert await address(bob, ann) == (None, None)
    request = new_id()
    signed_in = (await ann.ask(ann.signing_in(request, port=5001), request, host="2001:db8::1")).outcome
    assert (signed_in.account, signed_in.name, signed_in.mail_waiting) == (ann.account, "Ann", 0)
    assert await address(bob, ann) == ("2001:db8::1", 5001)
    await ann.ask(ops.SignOut(device=ann.device))
    assert await address(bob, ann) == (None, None)
    found = await bob.get(ops.FindAccount(account=ann.account))
    assert (found.signing_key, found.session_key) == (ann.identity.public.signing_key, ann.key)
    assert found.session_signature == ann.identity.public.session_signature


async def test_nobody_signs_in_as_another(place):
    ann, mallory = await place.person("Ann"), await place.person("Mallory")
    request = new_id()
    assert await refused(mallory.ask(ann.signing_in(request), request)) == "not_allowed"
    assert await refused(ann.ask(mallory.signing_in(request), request)) == "not_allowed"
    assert await place.number("SELECT COUNT(*) AS n FROM presence") == 0


async def test_a_sign_in_is_good_for_its_request_device_and_cluster_only(place):
    ann = await place.person("Ann")
    request = new_id()
    recorded = ann.signing_in(request)
    assert await refused(ann.ask(recorded, new_id())) == "not_allowed"
    assert await refused(ann.ask(msgspec.structs.replace(recorded, device=new_id()), request)) == "not_allowed"
    proof = ann.identity.sign("sign-in", b"other", ann.device.encode(), request.encode())
    assert await refused(ann.ask(msgspec.structs.replace(recorded, proof=proof), request)) == "not_allowed"
    assert CLUSTER != "other"


async def test_a_late_repeat_of_a_sign_in_does_not_undo_a_sign_out(place):
    ann, bob = await place.person("Ann"), await place.person("Bob")
    request = new_id()
    operation = ann.signing_in(request)
    first = await ann.ask(operation, request)
    await ann.ask(ops.SignOut(device=ann.device))
    assert await ann.ask(operation, request) == first
    assert await address(bob, ann) == (None, None)


async def test_the_goodbye_of_another_device_ends_nothing(place):
    ann = await place.person("Ann")
    await ann.sign_in(device="1" * 32)
    await ann.sign_in(device="2" * 32, port=4002)
    await ann.ask(ops.SignOut(device="1" * 32))
    assert (await address(ann, ann))[1] == 4002


async def test_presence_lapses_and_is_not_revived_by_a_keep_alive(place):
    ann, bob = await place.person("Ann"), await place.person("Bob")
    await ann.sign_in()
    caller = await place.services.caller(ann.key, "h")
    assert (await place.services.keep_alive(caller, ann.device)).signed_in
    await place.run("UPDATE presence SET expires = 1000.0")
    assert not (await place.services.keep_alive(caller, ann.device)).signed_in
    assert await address(bob, ann) == (None, None)
    assert not (await bob.get(ops.ListUsers(text="Ann"))).rows[0].online


async def test_a_keep_alive_refreshes_presence_and_counts_mail(place):
    ann, bob = await place.person("Ann"), await place.person("Bob")
    await ann.sign_in()
    await bob.ask(ops.AskViews(image=await ann.image(), views=1))
    expires = "SELECT expires FROM presence"
    before = (await place.rows(expires))[0]["expires"]
    caller = await place.services.caller(ann.key, "h")
    view = await place.services.keep_alive(caller, ann.device)
    assert (view.signed_in, view.mail_waiting) == (True, 1)
    assert (await place.rows(expires))[0]["expires"] == before, "a fresh presence costs no write"
    soon = view.now + 1.0
    await place.run("UPDATE presence SET expires = :soon", soon=soon)
    assert (await place.services.keep_alive(caller, ann.device)).signed_in
    refreshed = (await place.rows(expires))[0]["expires"]
    assert refreshed >= view.now + LOCAL.presence_s


async def test_another_devices_keep_alive_neither_extends_nor_takes_over(place):
    ann = await place.person("Ann")
    await ann.sign_in()
    caller = await place.services.caller(ann.key, "h")
    soon = (await place.services.keep_alive(caller, ann.device)).now + 1.0
    await place.run("UPDATE presence SET expires = :soon", soon=soon)
    other = await place.services.keep_alive(caller, "f" * 32)
    assert other.signed_in, "or two devices of one account would throw each other out for ever"
    assert (await place.rows("SELECT expires FROM presence"))[0]["expires"] == pytest.approx(soon)


async def test_a_copy_of_a_profile_does_not_keep_the_address_of_another_alive(place):
    """A copy of a profile has its device id. It signed in and was killed, and the keep-alives of the first went on
    extending a presence at the copy's address: nobody could send the account anything until it signed in by chance."""
    ann = await place.person("Ann")
    await ann.sign_in(port=4001)
    await ann.sign_in(port=4002)  # the copy
    caller = await place.services.caller(ann.key, "h")
    soon = (await place.services.keep_alive(caller, ann.device, 4002)).now + 1.0
    await place.run("UPDATE presence SET expires = :soon", soon=soon)
    first = await place.services.keep_alive(caller, ann.device, 4001)
    assert (first.signed_in, first.other_device) == (True, True)
    assert (await place.rows("SELECT expires FROM presence"))[0]["expires"] == pytest.approx(soon)
    copy = await place.services.keep_alive(caller, ann.device, 4002)
    assert (copy.signed_in, copy.other_device) == (True, False)
    assert (await place.rows("SELECT expires FROM presence"))[0]["expires"] > soon


# --- Finding people --------------------------------------------------------------------------------------------------


async def names(person: Person, text: str, **more) -> list[str]:
    return [row.name for row in (await person.get(ops.ListUsers(text=text, **more))).rows]


async def test_everybody_is_listed_online_first_then_by_name(place):
    people = {name: await place.person(name) for name in ("dora", "Bob", "Ann", "Cem")}
    await people["dora"].sign_in()
    await people["Ann"].image()
    await people["Ann"].image()
    withdrawn = await people["Ann"].image()
    await people["Ann"].ask(ops.WithdrawImage(image=withdrawn))
    users = await people["Ann"].get(ops.ListUsers())
    assert [row.name for row in users.rows] == ["dora", "Ann", "Bob", "Cem"]
    assert [row.online for row in users.rows] == [True, False, False, False]
    assert [row.images for row in users.rows] == [0, 2, 0, 0]
    assert users.total == 4
    assert users.rows[0].last_seen is not None
    assert users.rows[2].last_seen is None
    assert users.rows[1].signing_key == people["Ann"].identity.public.signing_key


async def test_the_list_comes_in_pages(place):
    ann = await place.person("a")
    for letter in "bcde":
        await place.person(letter)
    assert await names(ann, "", page_rows=2) == ["a", "b"]
    assert await names(ann, "", page_rows=2, page=2) == ["e"]
    assert await names(ann, "", page_rows=2, page=3) == []
    assert (await ann.get(ops.ListUsers(page_rows=2, page=2))).total == 5


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%", ["100% sure"]),
        ("_", ["under_score"]),
        ("!", ["wow!"]),
        ("\\", ["back\\slash"]),
        ("'", ["O'Brien"]),
        ("o'b", ["O'Brien"]),
        ("SCORE", ["under_score"]),
        ("Äpfel", ["Äpfel"]),
        ("100", ["100% sure"]),
        (":now", []),
        ("%' OR 1=1 --", []),
        ("!%", []),
        ("x" * 64, []),
    ],
)
async def test_a_filter_stands_for_itself(place, text, found):
    people = [await place.person(n) for n in ("100% sure", "under_score", "wow!", "back\\slash", "O'Brien", "Äpfel")]
    assert await names(people[0], text) == found


async def test_a_number_finds_ids_too(place):
    ann, bob = await place.person("Ann"), await place.person("Bob")
    assert await names(ann, str(bob.account)) == ["Bob"]


async def test_an_account_that_is_not_there(place):
    ann = await place.person("Ann")
    assert await refused(ann.get(ops.FindAccount(account=99))) == "not_found"
    assert await refused(ann.get(ops.OfferedImages(owner=99))) == "not_found"


async def test_two_requests_under_one_id_are_refused(place):
    ann = await place.person("Ann")
    request = new_id()
    await ann.ask(ops.SignOut(device=ann.device), request)
    assert await refused(ann.ask(ops.SignOut(device=new_id()), request)) == "id_reused"


async def test_presets_change_how_long_presence_lasts(directory_url):
    async with town(directory_url, timing=replace(LOCAL, presence_s=100.0)) as place:
        ann = await place.person("Ann")
        await ann.sign_in()
        row = (await place.rows("SELECT since, expires, node FROM presence"))[0]
        assert row["expires"] - row["since"] == pytest.approx(100.0)
        assert row["node"] == "north"
