"""A store in which any row is damaged in any way opens, says what it set aside, and works."""

import sqlite3
from pathlib import Path
from unittest import mock

import anyio
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from shared import data_key
from shared.data_key import is_sealed
from tests.scratch import memory_folder
from tests.unit.profiles_made import KEY, LISTS, NOWHERE, PASSPHRASE, QUICK_LOG2_N, change, make_profile, rows
from tui.peer import Peer
from tui.peer import outbox as outbox_module
from tui.peer.rows import TABLES, fault_of
from tui.peer.store import Store

COLUMNS = [(table, column) for table, columns in TABLES.items() for column in columns]
BLOBS = [value for row in rows().values() for value in row.values() if isinstance(value, bytes)]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    ["", "Ada", "0", "-1", "1e999", "nan", "x" * 5_000, "../../etc/passwd", "\x1b]0;x\a", "ffff" * 8]
)
VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=True),
    TEXTS,
    st.binary(max_size=200),
    st.sampled_from(BLOBS).flatmap(lambda blob: st.integers(0, len(blob)).map(lambda size: blob[:size])),
    st.just(b"\xff\xfe not text").map(lambda data: ("as text", data)),
    st.integers(0, 68).map(lambda size: KEY.seal("content_key", b"b" + bytes(32))[:size]),
)
DAMAGES = st.lists(st.tuples(st.sampled_from(COLUMNS), VALUES), min_size=1, max_size=3)
QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def damage(path: Path, column: tuple[str, str], value: object) -> bool:
    """Put a value into one column of every row of a table; return False where SQLite itself refuses it."""
    table, name = column
    try:
        if isinstance(value, tuple):
            change(path, f"UPDATE {table} SET {name} = CAST(:value AS TEXT)", value=value[1])
        else:
            change(path, f"UPDATE {table} SET {name} = :value", value=value)
    except (sqlite3.IntegrityError, OverflowError):
        return False
    return True


def looks_locked(damages) -> bool:
    """Return whether a store that is not locked was made to look so, which is refused as a whole."""
    return any(is_sealed(value) for _, value in damages)


def damage_all(path: Path, damages) -> bool:
    """Return whether anything was damaged."""
    done = [damage(path, column, value) for column, value in damages]
    return any(done)


@given(DAMAGES, st.booleans())
@settings(QUICK, max_examples=400)
def test_what_is_left_after_opening_is_as_it_must_be(damages, locked) -> None:
    key = KEY if locked else None
    with memory_folder() as folder:
        path = make_profile(folder / "profile", locked=locked)
        assume(damage_all(path, damages))
        assume(locked or not looks_locked(damages))
        store = Store(path, key=key)
        try:
            for table in TABLES:
                assert not any(fault_of(table, dict(row)) for row in store.all(f"SELECT * FROM {table}"))
            asides = store.asides()
            assert store.found == list(reversed(asides))
            touched = {table for (table, _), _ in damages}
            assert {aside.table for aside in asides} <= touched
            for table in TABLES.keys() - touched:
                assert store.all(f"SELECT * FROM {table}")
        finally:
            store.close()
        again = Store(path, key=key)
        assert again.found == []
        again.close()


@given(DAMAGES, st.booleans())
@settings(QUICK, max_examples=150)
def test_a_peer_over_it_opens_and_works(damages, locked) -> None:
    """One bad row used to end the peer's task group at every start: client, agent and script alike."""

    async def use(folder: Path) -> None:
        async with Peer(folder, NOWHERE, passphrase=PASSPHRASE if locked else None) as peer:
            found = peer.status().set_aside
            for name in LISTS:
                options = {"local": True} if name in ("my_images", "requests") else {}
                await getattr(peer, name)(**options)
            assert len(await peer.troubles()) == found
            if peer.me is not None:
                sent = await peer.request("ab" * 16, 1)
                assert sent.request_id in [entry.request_id for entry in await peer.outbox()]

    with memory_folder() as folder:
        profile = folder / "profile"
        path = make_profile(profile, locked=locked)
        assume(damage_all(path, damages))
        assume(locked or not looks_locked(damages))
        change(path, "INSERT OR REPLACE INTO facts VALUES ('cluster', :id)", id=NOWHERE.cluster_id)
        with (
            mock.patch.object(outbox_module, "FIRST_TRY_S", 0.0),
            mock.patch.object(data_key, "SCRYPT_LOG2_N", QUICK_LOG2_N),
        ):
            anyio.run(use, profile)
