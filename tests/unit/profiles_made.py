"""A profile with something in every table of its store, and a cluster at whose address nobody is."""

import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec

from shared import data_key
from shared.cluster import Cluster, NodeAddress
from shared.data_key import DataKey
from shared.identity import Identity
from shared.keyfiles import save_identity
from shared.records import encode_record
from shared.rights import create_grant
from shared.wire import operations as ops
from shared.wire.codec import encode
from tests.unit.rights_samples import CONTENT_KEY, Entropy, person
from tui.peer.store import Store

NOWHERE = Cluster("0" * 31 + "1", "local", (NodeAddress("n1", "127.0.0.1", 9, 10, b"n" * 32),))
ME, OTHER = person("me"), person("other")
MY_IMAGE, HELD_IMAGE = "c1" * 16, "c2" * 16
HELD, GIVEN = "d1" * 16, "d2" * 16
ASK, REQUEST, VIEW, DEVICE = "e1" * 16, "e2" * 16, "e3" * 16, "e4" * 16
PASSPHRASE, KEY = "four words or more", DataKey(sha256(b"the data key of a locked profile").digest())
QUICK_LOG2_N = data_key.MIN_SCRYPT_LOG2_N
LISTS = ("my_images", "peer_images", "requests", "outbox", "troubles")


def grant_record(owner: Identity, viewer: Identity, grant: str, image: str, views: int = 5) -> bytes:
    made = create_grant(
        owner,
        viewer.public,
        grant_id=grant,
        image_id=image,
        content_key=CONTENT_KEY,
        granted=views,
        expires=None,
        entropy=Entropy(grant.encode()),
    )
    return encode_record(made.record)


def ask_row(incoming: bool = True) -> bytes:
    ask = ops.AskRow(
        ask=ASK,
        image=MY_IMAGE,
        title="A picture",
        viewer=2,
        viewer_name="Bea",
        viewer_key=OTHER.public.signing_key,
        owner=1,
        owner_name="Me",
        owner_key=ME.public.signing_key,
        views=3,
        note="",
        state="pending",
        reason="",
        created=100.0,
        answered=None,
        grant=None,
    )
    return encode(ops.AskArrived(ask=ask), cap_bytes=16_384)


def rows() -> dict[str, dict[str, Any]]:
    """One row of each table, as a peer writes it."""
    held = grant_record(OTHER, ME, HELD, HELD_IMAGE)
    given = grant_record(ME, OTHER, GIVEN, MY_IMAGE)
    public = OTHER.public
    return {
        "facts": {"name": "account", "value": "1"},
        "accounts": {
            "account": 2,
            "name": "Bea",
            "signing_key": public.signing_key,
            "session_key": public.session_key,
            "session_signature": public.session_signature,
            "first_seen": 50.0,
        },
        "own_images": {
            "image": MY_IMAGE,
            "title": "Mine",
            "format": "JPEG",
            "width": 640,
            "height": 480,
            "size": 10_000,
            "content_key": CONTENT_KEY,
            "created": 90.0,
            "ready": 1,
        },
        "held": {
            "grant_id": HELD,
            "image": HELD_IMAGE,
            "owner": 2,
            "owner_name": "Bea",
            "title": "Hers",
            "record": held,
            "version": 1,
            "granted": 5,
            "consumed": 1,
            "expires": None,
            "revoked": 0,
            "received": 1,
            "sealed_sha256": sha256(b"sealed").digest(),
        },
        "pending_views": {"grant_id": HELD, "view": VIEW, "ephemeral": b"e" * 32, "since": 100.0},
        "asks": {"ask": ASK, "incoming": 1, "row": ask_row(), "created": 100.0},
        "outbox": {
            "request": REQUEST,
            "kind": "operation",
            "what": "request",
            "body": encode(ops.AskViews(image=HELD_IMAGE, views=2), cap_bytes=1000),
            "since": 100.0,
        },
        "offers": {"image": HELD_IMAGE, "title": "Hers", "owner": 2, "owner_name": "Bea", "words": "a-b-c"},
        "mail_seen": {"mail": "f1" * 16, "at": 100.0},
        "rewrites": {"path": "/nowhere/held.png", "edits": msgspec.msgpack.encode([(8, b"old", b"new")])},
        "given": {
            "grant_id": GIVEN,
            "image": MY_IMAGE,
            "viewer": 2,
            "record": given,
            "version": 1,
            "consumed": 0,
            "cloud_share": b"c" * 32,
            "share_signature": b"s" * 64,
        },
        "previews": {"image": MY_IMAGE, "preview": b"a small JPEG", "mark": "a1" * 16},
        "seen_views": {
            "view": VIEW,
            "image": MY_IMAGE,
            "viewer": 2,
            "viewer_name": "Bea",
            "at": 100.0,
            "left": 4,
            "grant_id": GIVEN,
            "consumed": 1,
        },
    }


def make_profile(folder: Path, *, locked: bool = False) -> Path:
    """Make a profile with one row in every table; return its store's path. A locked one opens by `PASSPHRASE`.

    Tests that open a locked one patch `shared.data_key.SCRYPT_LOG2_N` with `QUICK_LOG2_N`, unless they have time.
    """
    key = KEY if locked else None
    (folder / "images").mkdir(parents=True)
    folder.chmod(0o700)
    (folder / "lock").touch(0o600)
    save_identity(folder / "identity", ME, key)
    if locked:
        (folder / "data-key").touch(0o600)
        (folder / "data-key").write_bytes(_wrapped())
    path = folder / "store.sqlite"
    path.write_bytes(_filled_store(key))
    return path


@cache
def _wrapped() -> bytes:
    with mock.patch.object(data_key, "SCRYPT_LOG2_N", QUICK_LOG2_N):
        return data_key.wrap(KEY, PASSPHRASE)


@cache
def _filled_store(key: DataKey | None) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite"
        store = Store(path, key=key)
        for table, row in rows().items():
            store.put(table, **row)
        for name, value in (
            ("name", "Me"),
            ("device", DEVICE),
            ("cluster", NOWHERE.cluster_id),
            ("compared_epoch", "1"),
            ("restored_at", "90.5"),
            ("receipt", "ab" * 32),
        ):
            store.set_fact(name, value)
        store.close()
        return path.read_bytes()


def change(path: Path, sql: str, **values: Any) -> None:
    """Change a store behind the back of its profile."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(sql, values)
