"""The store of a peer: its end while others still use it, its versions, a full disk, rows that go bad."""

import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from shared.errors import ProfileError, StorageError
from shared.wire import operations as ops
from shared.wire.codec import decode, encode
from tests.disks import fill
from tests.patience import PATIENCE_S
from tests.unit.profiles_made import (
    ASK,
    DEVICE,
    GIVEN,
    HELD_IMAGE,
    ME,
    MY_IMAGE,
    NOWHERE,
    OTHER,
    change,
    grant_record,
    make_profile,
    rows,
)
from tui.peer import Peer, schema
from tui.peer.events import RowSetAside
from tui.peer.granting import GRANT, REVOCATION, RIGHTS, GiveIntent, RightsIntent, lane_of
from tui.peer.outbox import unpacked
from tui.peer.profiles import list_profiles
from tui.peer.store import Store

pytestmark = pytest.mark.anyio


async def test_closing_waits_for_what_is_under_way(tmp_path: Path) -> None:
    """A screen's worker may be in the middle of a transaction when the client is left. Closing the connection under it
    ended the whole process with a segmentation fault."""
    store = Store(tmp_path / "store.sqlite")
    begun, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def slow(store: Store) -> None:
        begun.set()
        go_on.wait(PATIENCE_S)
        store.set_fact("late", "but whole")
        order.append("transaction")

    async def use() -> None:
        await store.run(slow)

    async def close() -> None:
        await store.aclose()
        order.append("closed")

    async with anyio.create_task_group() as group:
        group.start_soon(use)
        await anyio.to_thread.run_sync(begun.wait)
        group.start_soon(close)
        await anyio.wait_all_tasks_blocked()
        assert order == []
        go_on.set()
    assert order == ["transaction", "closed"]
    again = Store(tmp_path / "store.sqlite")
    assert await again.run(lambda s: s.fact("late")) == "but whole"
    await again.aclose()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    await store.aclose()
    with pytest.raises(ProfileError, match="closed"):
        await store.run(lambda s: s.fact("name"))


# --- Versions --------------------------------------------------------------------------------------------------------
BEGUN_BEFORE_6 = {"path": "/nowhere/held.png", "record": b'{"views":4}'}
"""A rewrite that was not finished, as earlier versions noted it."""


def _version_1(path: Path) -> sqlite3.Connection:
    """Make a store as the first version made it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(f"{schema._VERSION_1} PRAGMA journal_mode = WAL; PRAGMA user_version = 1;")
    connection.executemany(
        "INSERT INTO facts VALUES (?, ?)",
        [("account", "1"), ("name", "Me"), ("device", DEVICE), ("cluster", NOWHERE.cluster_id)],
    )
    return connection


def _waiting(connection: sqlite3.Connection, request: str, kind: str, body: bytes) -> None:
    connection.execute(
        "INSERT INTO outbox (request, kind, what, body, since) VALUES (?, ?, ?, ?, 1.0)", (request, kind, kind, body)
    )


def test_what_version_1_had_signed_is_sent_again_and_never_signed_anew(tmp_path: Path) -> None:
    """There it stood among the facts. A grant is carried over as it is. Of a change only the record is known: the cloud
    finds by it whether it was made, and the counts that nobody can meet keep it from making it now."""
    path = tmp_path / "store.sqlite"
    record = grant_record(ME, OTHER, GIVEN, MY_IMAGE)
    grant = ops.Grant(
        grant=GIVEN, image=MY_IMAGE, viewer=2, record=record, cloud_share=b"s" * 32, share_signature=b"s" * 64
    )
    data = encode(grant, cap_bytes=10_000)
    give = f'{{"image":"{MY_IMAGE}","viewer":2,"views":5,"expires":null,"ask":null,"grant":"{GIVEN}"}}'.encode()
    rights = f'{{"image":"{MY_IMAGE}","viewer":2,"left":null,"more":3,"ask":"{ASK}"}}'.encode()
    revoke = f'{{"image":"{MY_IMAGE}","viewer":2,"revoke":true}}'.encode()
    ids = [f"{number:032x}" for number in range(7)]
    connection = _version_1(path)
    _waiting(connection, ids[0], "grant", give)
    _waiting(connection, ids[1], "rights", rights)
    _waiting(connection, ids[2], "rights", revoke)
    _waiting(connection, ids[3], "rights", b"no JSON")
    _waiting(connection, ids[4], "rights", rights)
    _waiting(connection, ids[5], "operation", encode(ops.AskViews(image=MY_IMAGE, views=1), cap_bytes=1000))
    connection.execute("INSERT INTO facts VALUES (?, ?)", (f"grant {ids[0]}", data.hex()))
    connection.execute("INSERT INTO facts VALUES (?, ?)", (f"signed {ids[1]}", f"{GIVEN} {record.hex()}"))
    connection.execute("INSERT INTO facts VALUES (?, ?)", (f"signed {ids[4]}", f"{GIVEN} {record.hex()[:50]}"))
    connection.execute("UPDATE outbox SET what = 'request' WHERE kind = 'operation'")
    connection.close()

    store = Store(path)
    waiting = {row.request: row for row in store.outbox()}
    lane = lane_of(MY_IMAGE, 2)
    assert [waiting[each].lane for each in ids[:6]] == [lane, lane, lane, "", lane, f"request/{ids[5]}"]
    assert [waiting[each].kind for each in ids[:3]] == [GRANT, RIGHTS, REVOCATION]
    assert waiting[ids[0]].signed == data
    carried: ops.ChangeRights = decode(waiting[ids[1]].signed or b"", ops.ChangeRights, cap_bytes=10_000)
    assert (carried.grant, carried.record, carried.met_version, carried.ask) == (GIVEN, record, 0, ASK)
    assert carried.met_consumed > 2**52
    assert waiting[ids[2]].signed is None
    assert waiting[ids[4]].signed == b""  # nobody can tell whether it was made: its delivery sets it aside
    assert not store.all("SELECT * FROM facts WHERE name LIKE 'grant %' OR name LIKE 'signed %'")
    store.close()


async def test_a_profile_of_version_1_opens_with_all_it_has(tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    make_profile(profile)
    (profile / "store.sqlite").unlink()
    with closing(_version_1(profile / "store.sqlite")) as connection:
        for table, row in {**rows(), "rewrites": BEGUN_BEFORE_6}.items():
            if table in ("given", "seen_views", "previews", "facts"):
                continue
            names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)
    async with Peer(profile, NOWHERE) as peer:
        assert peer.status().set_aside == 0
        assert [image.image for image in await peer.my_images(local=True)] == [MY_IMAGE]
        assert [image.image for image in await peer.peer_images()] == [HELD_IMAGE]
        assert len((await peer.requests(local=True)).incoming) == 1
        assert len(await peer.outbox()) == 1


@pytest.mark.parametrize("version", [2, 3, 4, 5])
async def test_a_profile_of_an_earlier_version_opens_with_all_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    profile = tmp_path / "profile"
    make_profile(profile)
    (profile / "store.sqlite").unlink()
    with monkeypatch.context() as before:
        before.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:version])
        before.setattr(Store, "_sort_out", lambda *_: [])
        store = Store(profile / "store.sqlite")
        for table, row in {**rows(), "rewrites": BEGUN_BEFORE_6}.items():
            if table != "previews" or version > 2:
                store.put(table, **row)
        store.close()
    async with Peer(profile, NOWHERE) as peer:
        assert peer.status().set_aside == 0
        assert [image.image for image in await peer.my_images(local=True)] == [MY_IMAGE]
        [side] = await peer._given.known()
        assert side.wishes == ()


def test_which_request_a_row_of_version_4_answers_moves_from_its_body_to_a_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever answered a request before the update must not be asked for a second answer after it."""
    path = tmp_path / "store.sqlite"
    accepted, more, rejected = "a1" * 16, "a2" * 16, "a3" * 16
    answers = [
        (
            "grant",
            "grant",
            f'{{"image":"{MY_IMAGE}","viewer":2,"views":5,"expires":null,"ask":"{accepted}",'
            f'"grant":"{GIVEN}"}}'.encode(),
        ),
        ("rights", "rights", f'{{"image":"{MY_IMAGE}","viewer":2,"more":3,"ask":"{more}"}}'.encode()),
        ("operation", "rejection", encode(ops.RejectAsk(ask=rejected, reason="no"), cap_bytes=1000)),
    ]
    others = [
        ("revocation", "revocation", f'{{"image":"{MY_IMAGE}","viewer":2,"revoke":true}}'.encode()),
        ("operation", "request", encode(ops.AskViews(image=MY_IMAGE, views=1), cap_bytes=1000)),
        ("copy", "stego image", f'{{"grant":"{GIVEN}","image":"{MY_IMAGE}","viewer":2}}'.encode()),
        ("rights", "rights", b"no JSON"),
        ("grant", "grant", b'{"ask":5}'),
        ("operation", "rejection", b"no operation"),
    ]
    with monkeypatch.context() as before:
        before.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:4])
        before.setattr(Store, "_sort_out", lambda *_: [])
        old = Store(path)
        for number, (kind, what, body) in enumerate(answers + others):
            old.put("outbox", request=f"{number:032x}", kind=kind, what=what, body=body, since=1.0)
        old.close()
    store = Store(path)
    waiting = store.outbox()
    assert [row.ask for row in waiting] == [accepted, more, rejected] + [None] * len(others)
    assert [(row.kind, row.what, row.body) for row in waiting] == answers + others
    # What an older version stored is still delivered.
    assert unpacked(waiting[0], GiveIntent).grant == GIVEN
    assert unpacked(waiting[1], RightsIntent).more == 3
    store.close()


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.sqlite"
    _version_1(path).close()
    statements, carry_over = schema.MIGRATIONS[1]
    monkeypatch.setattr(schema, "MIGRATIONS", (schema.MIGRATIONS[0], (f"{statements} NONSENSE;", carry_over)))
    with pytest.raises(ProfileError):
        Store(path)
    monkeypatch.undo()
    store = Store(path)
    assert store.fact("name") == "Me"
    store.close()


def test_a_store_of_a_newer_version_is_one_sentence(tmp_path: Path) -> None:
    path = make_profile(tmp_path / "profile")
    change(path, "PRAGMA user_version = 99")
    with pytest.raises(ProfileError, match="newer Glimpse; update this one"):
        Store(path)


@pytest.mark.parametrize("damage", ["newer", "no database", "no table", "no text"])
async def test_a_peer_says_it_in_one_sentence_too(tmp_path: Path, damage: str) -> None:
    """Not as a group of exceptions, whatever of a store cannot be used."""
    path = make_profile(tmp_path / "profile")
    if damage == "newer":
        change(path, "PRAGMA user_version = 99")
    elif damage == "no table":
        change(path, "DROP TABLE held")
    elif damage == "no text":  # SQLite's own message quotes what stands there
        path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CREATE\xeaTABLE"))
    else:
        path.write_bytes(b"no database " * 1000)
    with pytest.raises(ProfileError):
        async with Peer(tmp_path / "profile", NOWHERE):
            pass
    assert (await anyio.to_thread.run_sync(list_profiles, tmp_path))[0].held_by is None


# --- Room ------------------------------------------------------------------------------------------------------------
async def test_a_disk_that_gets_full_is_told_and_mends_itself(tmp_path: Path) -> None:
    path = make_profile(tmp_path / "profile")
    store = Store(path)
    (pages,) = store.one("PRAGMA page_count") or (0,)
    store.do(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="free some space"):
        await store.run(lambda s: s.set_fact("big", "x" * 100_000))
    assert "free some space" in store.trouble
    assert await store.run(lambda s: s.fact("name")) == "Me"
    store.do("PRAGMA max_page_count = 1000000")
    await store.run(lambda s: s.set_fact("big", "x" * 100_000))
    assert store.trouble == ""
    await store.aclose()


async def test_a_store_that_another_program_holds_is_no_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that waits may be given up for it, and no copy of a file that somebody writes is shown."""
    path = make_profile(tmp_path / "profile")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **options: connect(*given, timeout=0.01, **options))
    store = Store(path)
    with closing(connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="Another program holds"):
            await store.run(lambda s: s.set_fact("name", "You"))
        store.close()
        with pytest.raises(StorageError, match="Another program holds"):
            Store(path)


@pytest.mark.parametrize("killed", [False, True])
async def test_a_profile_on_a_full_disk_opens_for_reading(small_disk: Path, killed: bool) -> None:
    """With `killed` the last client ended without a goodbye: what it stored lies in the log beside the store."""
    path = make_profile(small_disk / "profile")
    if killed:
        code = (
            "import os, sys; from pathlib import Path; from tui.peer.store import Store; s = Store(Path(sys.argv[1]));"
            "s.set_fact('name', 'Late'); os._exit(0)"
        )
        await anyio.run_process([sys.executable, "-c", code, str(path)])
        assert path.with_name("store.sqlite-wal").stat().st_size
    fill(small_disk)
    async with Peer(small_disk / "profile", NOWHERE) as peer:
        assert "full" in peer.status().trouble
        assert peer.me is not None
        assert peer.me.name == ("Late" if killed else "Me")
        assert [image.image for image in await peer.my_images(local=True)] == [MY_IMAGE]
        assert [image.image for image in await peer.peer_images()] == [HELD_IMAGE]
        assert (await peer.requests(local=True)).incoming
        assert await peer.outbox()
        for call in (peer.grant(MY_IMAGE, 2, 1), peer.request(HELD_IMAGE, 1), peer.revoke(MY_IMAGE, 2)):
            with pytest.raises(StorageError, match="free some space"):
                await call
    (small_disk / "ballast").unlink()
    async with Peer(small_disk / "profile", NOWHERE) as peer:
        assert peer.status().trouble == ""
        assert len(await peer.outbox()) == 1


async def test_a_profile_on_a_medium_for_reading_opens_too(small_disk: Path) -> None:
    make_profile(small_disk / "profile")
    await anyio.run_process(["mount", "-o", "remount,ro", str(small_disk)])
    async with Peer(small_disk / "profile", NOWHERE) as peer:
        assert peer.status().trouble
        assert [image.image for image in await peer.my_images(local=True)] == [MY_IMAGE]
        with pytest.raises(StorageError):
            await peer.request(HELD_IMAGE, 1)
        with pytest.raises(ProfileError, match="is open in process"):
            async with Peer(small_disk / "profile", NOWHERE):
                pass


async def test_a_new_profile_has_no_room_on_a_full_disk(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises((StorageError, ProfileError), match="space"):
        async with Peer(small_disk / "profile", NOWHERE):
            pass


async def test_an_old_store_is_read_where_there_is_no_room_to_migrate_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be written, the copy in memory is migrated."""
    profile = tmp_path / "profile"
    make_profile(profile)
    (profile / "store.sqlite").unlink()
    _version_1(profile / "store.sqlite").close()

    def full(self: Store) -> sqlite3.Connection:
        raise StorageError("The disk is full; free some space and try again.")

    monkeypatch.setattr(Store, "_open", full)
    async with Peer(profile, NOWHERE) as peer:
        assert "full" in peer.status().trouble
        assert peer.me is not None
        with pytest.raises(StorageError):
            await peer.request(HELD_IMAGE, 1)
    with closing(sqlite3.connect(profile / "store.sqlite")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


# --- Rows that go bad while the store is open ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("table", "column", "name"),
    [("own_images", "created", "my_images"), ("held", "granted", "peer_images"), ("asks", "row", "requests")],
)
async def test_a_list_skips_what_cannot_be_read_and_says_so(tmp_path: Path, table: str, column: str, name: str) -> None:
    path = make_profile(tmp_path / "profile")
    async with Peer(tmp_path / "profile", NOWHERE) as peer:
        with peer.subscribe() as events:
            change(path, f"UPDATE {table} SET {column} = 'foreign'")
            options = {} if name == "peer_images" else {"local": True}
            found = await getattr(peer, name)(**options)
            assert (found.incoming if name == "requests" else found) in ([], ())
            with anyio.fail_after(PATIENCE_S):
                while not isinstance(event := await anext(events), RowSetAside):
                    pass
            assert column in event.reason or table == "asks"
        assert peer.status().set_aside == 1
        assert [trouble.what for trouble in await peer.troubles()] == [event.what]


async def test_an_interrupted_rewrite_touches_no_file_of_others(tmp_path: Path) -> None:
    """The path stands in the store; a foreign one there ended every start, or had another file written to."""
    path = make_profile(tmp_path / "profile")
    victim = tmp_path / f"held-{'0' * 32}.png"
    victim.mkdir()
    change(path, "UPDATE rewrites SET path = :victim", victim=str(victim))
    async with Peer(tmp_path / "profile", NOWHERE):
        pass
    assert victim.is_dir()


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("compared_epoch", "second"),
        ("compared_epoch", "-1"),
        ("compared_epoch", "9" * 40),
        ("restored_at", "yesterday"),
        ("restored_at", "inf"),
        ("restored_at", "nan"),
        ("receipt", "no digits"),
        ("receipt", "abc"),
        ("receipt", "ab" * 33),
    ],
)
async def test_what_was_noted_of_a_restore_is_set_aside_where_it_cannot_be_read(
    tmp_path: Path, fact: str, value: str
) -> None:
    """Such a note was taken for what it must be: signing in ended with a ValueError, at each attempt."""
    path = make_profile(tmp_path / "profile")
    change(path, "UPDATE facts SET value = :value WHERE name = :fact", value=value, fact=fact)
    async with Peer(tmp_path / "profile", NOWHERE) as peer:
        assert [trouble.what for trouble in await peer.troubles()] == ["a note of this profile"]
        await peer._restoring.signed_in(ops.SignedIn(account=1, name="Me", mail_waiting=0, epoch=1))
        assert await peer._context.store.run(lambda store: store.fact(fact)) in (None, "1")
