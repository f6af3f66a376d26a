"""A directory that was restored from a backup: no look is won, nothing that was acknowledged is lost."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from shared.errors import Refused, ViewRefused
from tests.integration.restores import RestorableCluster, join, told
from tests.patience import until
from tui.peer import Peer
from tui.peer.mending import Mending

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("restores"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestorableCluster]:
    """One cluster for all: what a test puts back is of no concern to the people of the others."""
    running = RestorableCluster(tmp_path_factory.mktemp("restores"))
    yield running
    running.stop()


async def is_here(viewer: Peer, image: str) -> None:
    await until(viewer.peer_images, lambda rows: any(row.image == image and row.path for row in rows))


async def looks(viewer: Peer, image: str, times: int) -> int:
    """Try to look so many times; return how often the picture was shown."""
    shown = 0
    for _ in range(times):
        try:
            await viewer.view(image)
        except (ViewRefused, Refused):
            continue
        shown += 1
    return shown


async def thawed(viewer: Peer, image: str) -> None:
    """Wait until the viewer hears that the owner's peer has confirmed."""
    await until(viewer.peer_images, lambda rows: all(not row.frozen for row in rows if row.image == image))


async def test_what_was_spent_lowered_and_revoked_stays_so_while_the_owner_is_away_and_after(
    cloud: RestorableCluster, tmp_path: Path, photo: Path
) -> None:
    """A restored backup gave an unmodified viewer 19 looks: 9 of 5 granted, 5 on a grant that was revoked."""
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        await join(ada=owner, ben=viewer)
        spent, revoked, lowered = [(await owner.encrypt(photo, title=f"p{number}")).image for number in range(3)]
        for image in (spent, revoked, lowered):
            await owner.grant(image, viewer.me.account, 5)
            await is_here(viewer, image)
        assert await looks(viewer, spent, 1) == 1
        await anyio.to_thread.run_sync(cloud.back_up, "early")
        assert await looks(viewer, spent, 2) == 2
        await owner.revoke(revoked, viewer.me.account)
        await owner.set_views(lowered, viewer.me.account, 1)
        await until(lambda: owner.views_log(spent), lambda rows: len(rows) == 3)
        await until(owner._given.known, lambda rows: sum(row.consumed for row in rows) == 3)
        log = await owner.views_log(spent)
    await cloud.restore("early")
    # A copy of the viewer's profile from before knows nothing of it: the directory itself must refuse.
    async with Peer(tmp_path / "ben", cloud.file) as viewer:
        await viewer.sign_in()
        assert [row.frozen for row in await viewer.peer_images() if not row.revoked] == [True, True]
        for image in (spent, revoked, lowered):
            assert await looks(viewer, image, 3) == 0
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        with owner.subscribe() as events:
            await owner.sign_in()
            await viewer.sign_in()
            with anyio.fail_after(60):
                async for event in events:
                    if type(event).__name__ == "DirectoryRestored":
                        break
        # The viewer's peer has owned up to its two looks already, and proved the revocation.
        expected = "The cloud was restored from a backup: 2 grants were confirmed."
        assert event.text == expected
        assert await owner.restored_notice() == expected
        await thawed(viewer, spent)
        await thawed(viewer, lowered)
        assert await owner.views_log(spent) == log
        rights = {image: (await owner.viewers(image))[0] for image in (spent, revoked, lowered)}
        assert [(row.left, row.consumed, row.revoked, row.frozen) for row in rights.values()] == [
            (2, 3, False, False),
            (0, 0, True, False),
            (1, 0, False, False),
        ]
        assert await looks(viewer, revoked, 2) == 0
        assert await looks(viewer, lowered, 3) == 1
        assert await looks(viewer, spent, 4) == 2
        await owner.set_views(spent, viewer.me.account, 1)
        await until(viewer.peer_images, lambda rows: any(row.image == spent and row.left == 1 for row in rows))
        assert await looks(viewer, spent, 2) == 1
    async with Peer(tmp_path / "ada", cloud.file) as owner:
        await owner.sign_in()
        assert await owner.restored_notice() == expected, "it stays until it is read"
        await owner.read_restored_notice()
        assert await owner.restored_notice() == ""


async def test_accounts_images_and_grants_that_the_directory_lacks_come_back(
    cloud: RestorableCluster, tmp_path: Path, photo: Path
) -> None:
    """Accounts of after the backup could sign in no more, their numbers went to others, their pictures were gone."""
    await anyio.to_thread.run_sync(cloud.back_up, "empty")
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        await owner.register("ada")
        await owner.sign_in()
        await anyio.to_thread.run_sync(cloud.back_up, "owner")
        await viewer.register("ben")
        await viewer.sign_in()
        await anyio.to_thread.run_sync(cloud.back_up, "both")
        image = (await owner.encrypt(photo, title="fractal")).image
        await anyio.to_thread.run_sync(cloud.back_up, "image")
        me, ben = owner.me, viewer.me
        await owner.grant(image, ben.account, 9)
        await is_here(viewer, image)
        await until(owner.outbox, lambda rows: not rows)
    spent = 0
    for moment in ("image", "both", "owner", "empty"):
        await cloud.restore(moment)
        async with Peer(tmp_path / "ada", cloud.file) as owner:
            await owner.sign_in()
            assert owner.me == me
            async with Peer(tmp_path / "stranger" / moment, cloud.file) as stranger:
                number = (await stranger.register("eve")).account
                assert number not in (me.account, ben.account), "an id was given to the next who registered"
            await until(owner.my_images, lambda rows: [row.counted for row in rows] == [True])
            async with Peer(tmp_path / "ben", cloud.file) as viewer:
                await viewer.sign_in()
                assert viewer.me == ben
                left = 9 - spent
                await until(lambda: owner.viewers(image), lambda rows, left=left: [row.left for row in rows] == [left])
                await thawed(viewer, image)
                assert (await viewer.view(image)).data == photo.read_bytes()
                spent += 1
                [right] = await owner.viewers(image)
                assert (right.account, right.consumed, right.left) == (ben.account, spent, 9 - spent)
                await until(owner._given.known, lambda rows, spent=spent: rows[0].consumed == spent)
                assert [row.title for row in await viewer.images_of(me.account)] == ["fractal"]


async def test_a_restore_under_running_nodes_is_found_and_compared_without_a_new_start(
    cloud: RestorableCluster, tmp_path: Path, photo: Path
) -> None:
    await anyio.to_thread.run_sync(cloud.back_up, "before all")
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        await join(ada=owner, ben=viewer)
        image = (await owner.encrypt(photo)).image
        await owner.grant(image, viewer.me.account, 4)
        await is_here(viewer, image)
        await anyio.to_thread.run_sync(cloud.back_up, "early")
        assert await looks(viewer, image, 2) == 2
        await until(owner._given.known, lambda rows: rows[0].consumed == 2)
        await cloud.remembered()
        await anyio.to_thread.run_sync(cloud.put_back, "early")
        text = await told(owner)
        # The viewer's peer may have owned up to its two looks before the owner's had compared.
        counted = "The cloud was restored from a backup: 1 grant was confirmed, 2 views counted again."
        assert text in (counted, "The cloud was restored from a backup: 1 grant was confirmed.")
        await thawed(viewer, image)
        assert await looks(viewer, image, 1) == 1
        await until(owner._given.known, lambda rows: rows[0].consumed == 3)
        people = (owner.me, viewer.me)
        await cloud.remembered()
        await anyio.to_thread.run_sync(cloud.put_back, "before all")
        assert "1 grant was confirmed" in await told(owner, "1 grant was confirmed")
        assert people == (owner.me, viewer.me)
        await thawed(viewer, image)
        assert await looks(viewer, image, 3) == 1


async def test_a_snapshot_of_the_whole_machine_wins_no_look(
    cloud: RestorableCluster, tmp_path: Path, photo: Path
) -> None:
    """Put back together with the nodes' own memory, the directory looks untouched: only peers know better."""
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        await join(ada=owner, ben=viewer)
        spent, lowered, later = [(await owner.encrypt(photo, title=f"p{number}")).image for number in range(3)]
        for image in (spent, lowered):
            await owner.grant(image, viewer.me.account, 4)
            await is_here(viewer, image)
        await until(owner.outbox, lambda rows: not rows)
        account = viewer.me.account
    await cloud.snapshot("machine")
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        await owner.sign_in()
        await viewer.sign_in()
        await owner.grant(later, account, 2)
        await is_here(viewer, later)
        assert await looks(viewer, spent, 4) == 4
        await owner.set_views(lowered, account, 1)
        await until(viewer.peer_images, lambda rows: any(row.image == lowered and row.left == 1 for row in rows))
        await until(owner._given.known, lambda rows: sum(row.consumed for row in rows) == 4)
    async with Peer(tmp_path / "cem", cloud.file) as late:
        taken = (await late.register("cem")).account
        await late.sign_in()
    await cloud.roll_back("machine")
    async with Peer(tmp_path / "eve", cloud.file) as stranger, Peer(tmp_path / "cem", cloud.file) as late:
        # Nobody remembers that the number was given. Keys decide: the second to come gets another one, and is told.
        assert (await stranger.register("eve")).account == taken
        await late.sign_in()
        assert late.me.account != taken
        assert f"Your account has the number {late.me.account} now." in await told(late)
    async with Peer(tmp_path / "ben", cloud.file) as viewer:
        await viewer.sign_in()
        for image in (spent, lowered, later):
            assert await looks(viewer, image, 5) == 0
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        await owner.sign_in()
        assert "3 grants were confirmed" in await told(owner)
        # The viewer's own client has said at sign-in how many views it had.
        assert [row.consumed for row in await owner.viewers(spent)] == [4]
        await viewer.sign_in()
        assert [await looks(viewer, image, 5) for image in (spent, lowered, later)] == [0, 1, 2]


async def test_a_second_restore_in_the_middle_of_comparing_starts_it_anew(
    cloud: RestorableCluster, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        await join(ada=owner, ben=viewer)
        images = [(await owner.encrypt(photo, title=f"p{number}")).image for number in range(6)]
        for image in images:
            await owner.grant(image, viewer.me.account, 2)
            await is_here(viewer, image)
        await anyio.to_thread.run_sync(cloud.back_up, "early")
        for image in images:
            assert await looks(viewer, image, 1) == 1
        await until(owner._given.known, lambda rows: sum(row.consumed for row in rows) == 6)
    await cloud.restore("early")
    half_done, go_on, done = anyio.Event(), anyio.Event(), 0
    mend = Mending.mend

    async def stopped_half_way(self, step):
        nonlocal done
        if done >= 3:
            half_done.set()
            await go_on.wait()
        done += 1
        return await mend(self, step)

    monkeypatch.setattr(Mending, "mend", stopped_half_way)
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        await owner.sign_in()
        with anyio.fail_after(60):
            await half_done.wait()
        await cloud.restore("early")
        go_on.set()
        await viewer.sign_in()
        for image in images:
            await until(lambda image=image: owner.viewers(image), lambda rows: not rows[0].frozen)
            await thawed(viewer, image)
        assert [(await owner.viewers(image))[0].left for image in images] == [1] * 6
        assert [await looks(viewer, image, 3) for image in images] == [1] * 6


async def test_a_preview_that_the_directory_forgot_is_published_again(
    cloud: RestorableCluster, tmp_path: Path, photo: Path
) -> None:
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        await join(ada=owner, ben=viewer)
        image = (await owner.encrypt(photo)).image
        await anyio.to_thread.run_sync(cloud.back_up, "no preview")
        await owner.set_preview(image, photo)
        await owner.my_images()
        shown = await viewer.preview(image)
        assert shown
    await cloud.restore("no preview")
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        await viewer.sign_in()
        assert await viewer.preview(image) is None
        await owner.sign_in()
        await owner.my_images()
        assert "1 preview set again" in await told(owner)
        assert await viewer.preview(image) == shown


async def test_a_look_that_a_restore_forgot_is_explained(
    cloud: RestorableCluster, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looked at that moment read "There is no such view for this account: refresh the list.", of the rights too."""
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        await join(ada=owner, ben=viewer)
        image = (await owner.encrypt(photo)).image
        await anyio.to_thread.run_sync(cloud.back_up, "no grant")
        await owner.grant(image, viewer.me.account, 3)
        await is_here(viewer, image)
        await until(owner.outbox, lambda rows: not rows)
        await anyio.to_thread.run_sync(cloud.back_up, "no view")
        take = viewer._viewing._take

        async def restored_before(*arguments, **more) -> None:
            monkeypatch.undo()
            await cloud.remembered()
            await anyio.to_thread.run_sync(cloud.put_back, "no view")
            await take(*arguments, **more)

        monkeypatch.setattr(viewer._viewing, "_take", restored_before)
        with pytest.raises(Refused, match="restored from a backup while this image was being opened"):
            await viewer.view(image)
        await told(owner)  # until the nodes have found the restore out, no grant is frozen yet
        await until(lambda: owner.viewers(image), lambda rows: not rows[0].frozen)
        await thawed(viewer, image)
        assert (await viewer.view(image)).data == photo.read_bytes()
    await cloud.restore("no grant")
    async with Peer(tmp_path / "ben", cloud.file) as viewer:
        await viewer.sign_in()
        with pytest.raises(ViewRefused, match="come back as soon as its owner has signed in"):
            await viewer.view(image)
        async with Peer(tmp_path / "ada", cloud.file) as owner:
            await owner.sign_in()
            await until(lambda: owner.viewers(image), lambda rows: bool(rows))
            await thawed(viewer, image)
            assert (await viewer.view(image)).data == photo.read_bytes()


async def test_a_change_that_was_queued_before_a_restore_is_not_dropped(
    cloud: RestorableCluster, tmp_path: Path, photo: Path
) -> None:
    """Queued while the cloud was away, it met a directory without the grant: `not_found`, and it was thrown away."""
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        await join(ada=owner, ben=viewer)
        kept, ended = [(await owner.encrypt(photo, title=f"p{number}")).image for number in range(2)]
        await anyio.to_thread.run_sync(cloud.back_up, "early")
        for image in (kept, ended):
            await owner.grant(image, viewer.me.account, 3)
            await is_here(viewer, image)
        assert await looks(viewer, kept, 1) == 1
        await until(owner._given.known, lambda rows: sum(row.consumed for row in rows) == 1)
        await until(owner.outbox, lambda rows: not rows)
        await anyio.to_thread.run_sync(cloud.stop)
        more = await owner._granting.change(_more(kept, viewer.me.account, 2))
        end = await owner.revoke(ended, viewer.me.account)
        assert not more.delivered
        assert not end.delivered
        account = viewer.me.account
    await anyio.to_thread.run_sync(cloud.put_back, "early")
    await anyio.to_thread.run_sync(cloud.start)
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        with owner.subscribe() as events:
            await owner.sign_in()
            await viewer.sign_in()
            delivered = set()
            with anyio.fail_after(60):
                async for event in events:
                    assert type(event).__name__ != "Undeliverable"
                    if type(event).__name__ == "Delivered":
                        delivered.add(event.request_id)
                    if {more.request_id, end.request_id} <= delivered:
                        break
        [right] = await owner.viewers(kept)
        assert (right.account, right.granted, right.consumed, right.left) == (account, 5, 1, 4)
        assert [row.revoked for row in await owner.viewers(ended)] == [True]


def _more(image: str, viewer: int, number: int):
    from tui.peer.granting import RightsIntent

    return RightsIntent(image, viewer, more=number)


async def test_two_devices_of_an_owner_each_prove_what_they_know(
    cloud: RestorableCluster, tmp_path: Path, photo: Path
) -> None:
    """What one device does not know the other brings back; a device that knows nothing leaves it to the owner."""
    async with Peer(tmp_path / "ada", cloud.file) as first, Peer(tmp_path / "ben", cloud.file) as viewer:
        for peer, name in ((first, "ada"), (viewer, "ben")):
            await peer.register(name)
            await peer.sign_in()
        keys = first.export_identity("secret")
        image, other = [(await first.encrypt(photo, title=f"p{number}")).image for number in range(2)]
        account = viewer.me.account
        for one in (image, other):
            await first.grant(one, account, 5)
            await is_here(viewer, one)
        await until(first.outbox, lambda rows: not rows)
        await anyio.to_thread.run_sync(cloud.back_up, "early")
    await anyio.to_thread.run_sync(Peer.import_identity, tmp_path / "second", keys, "secret")
    async with Peer(tmp_path / "second", cloud.file) as second:
        await second.register("ada")
        await second.sign_in()
        await until(second._given.known, lambda rows: len(rows) == 2)
        await second.revoke(image, account)
        await second.set_views(other, account, 2)
    await cloud.restore("early")
    await anyio.to_thread.run_sync(Peer.import_identity, tmp_path / "third", keys, "secret")
    async with Peer(tmp_path / "third", cloud.file) as third:
        await third.register("ada")
        await third.sign_in()
        assert "2 grants wait for you: this device did not know of them" in await told(third)
        assert [row.frozen for row in await third.viewers(image)] == [True]
    async with Peer(tmp_path / "second", cloud.file) as second:
        await second.sign_in()
        text = await told(second)
        assert "1 grant was confirmed, 1 revocation sent again" in text
    async with Peer(tmp_path / "ada", cloud.file) as first:
        await first.sign_in()
        await until(first._given.known, lambda rows: sorted(row.version for row in rows) == [2, 2])
        assert [row.revoked for row in await first.viewers(image)] == [True]
        assert [(row.left, row.frozen) for row in await first.viewers(other)] == [(2, False)]


async def test_a_device_goes_on_under_the_number_that_another_of_its_account_got(
    cloud: RestorableCluster, tmp_path: Path, photo: Path
) -> None:
    """After a restore to before the registration a new device registered the account first, which has no receipt and
    got another number. The older device could sign in no more, ever: "the cloud signed in another account"."""
    await anyio.to_thread.run_sync(cloud.back_up, "unregistered")
    async with Peer(tmp_path / "ada", cloud.file) as first:
        before = (await first.register("ada")).account
        await first.sign_in()
        keys = first.export_identity("secret")
        image = (await first.encrypt(photo, title="fractal")).image
    await cloud.restore("unregistered")
    await anyio.to_thread.run_sync(Peer.import_identity, tmp_path / "second", keys, "secret")
    async with Peer(tmp_path / "second", cloud.file) as second:
        number = (await second.register("ada")).account
    assert number != before
    async with Peer(tmp_path / "ada", cloud.file) as first:
        assert (await first.sign_in()).account == number
        assert f"Your account has the number {number} now." in await told(first)
        await until(first.my_images, lambda rows: [row.counted for row in rows] == [True])
        assert [row.title for row in await first.images_of(number)] == ["fractal"]
    async with Peer(tmp_path / "ada", cloud.file) as first:
        assert first.me is not None
        assert first.me.account == number
        assert (await first.view(image)).data == photo.read_bytes()


async def test_requests_that_the_directory_forgot_are_asked_and_answered_again(
    cloud: RestorableCluster, tmp_path: Path, photo: Path
) -> None:
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        await join(ada=owner, ben=viewer)
        image = (await owner.encrypt(photo)).image
        rejected = (await viewer.request(image, 1)).request_id
        withdrawn = (await viewer.request(image, 2)).request_id
        accepted = (await viewer.request(image, 3)).request_id
        await until(owner.requests, lambda found: len(found.incoming) == 3)
        await anyio.to_thread.run_sync(cloud.back_up, "early")
        await owner.reject(rejected, "no")
        await viewer.cancel(withdrawn)
        await owner.accept(accepted)
        asked = (await viewer.request(image, 4, note="please")).request_id
        await owner.requests()
        await viewer.requests()
        await is_here(viewer, image)
        await until(owner.outbox, lambda rows: not rows)
    await cloud.restore("early")
    expected = {rejected: "rejected", withdrawn: "withdrawn", accepted: "accepted", asked: "pending"}
    async with Peer(tmp_path / "ada", cloud.file) as owner, Peer(tmp_path / "ben", cloud.file) as viewer:
        await owner.sign_in()
        await viewer.sign_in()

        async def states() -> dict[str, str]:
            from shared.wire import operations as ops

            rows = (await owner._cloud.query(ops.ListAsks(incoming=True), ops.Asks)).rows
            return {row.ask: row.state for row in rows}

        await until(states, lambda found: found == expected)
        assert [row.granted for row in await owner.viewers(image)] == [3]
        assert {row.request_id: str(row.state) for row in (await owner.requests()).incoming} == expected
        await owner.accept(asked)
        await until(lambda: owner.viewers(image), lambda rows: [row.granted for row in rows] == [7])
