"""The tables, as numbered migrations in SQL that both engines understand once the type words are filled in.

Ids of things are 32 hex digits drawn by whoever makes the thing; accounts are numbered by the directory. Keys are raw
bytes. Times are epoch seconds of database time. A migration that has been released is never changed; a change is a new
one at the end.

Type words: `{id}`, `{key}`, `{bytes:n}`, `{text:n}` (n characters), `{blob}`, `{big}` (64-bit integer), `{time}`,
`{number}` (automatic primary key).
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Table:
    """A table to create. `lines` are columns and table constraints; `indexes` maps an index's name to its columns."""

    name: str
    lines: tuple[str, ...]
    indexes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Seed:
    """A row that is there from the beginning; left alone if it exists."""

    table: str
    row: tuple[tuple[str, str | int | float | None], ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a released table gets; `line` is written as in `Table.lines` and must allow NULL."""

    table: str
    line: str


@dataclass(frozen=True, slots=True)
class Filled:
    """A column that a released table got, with its values for the rows that have none."""

    table: str
    column: str
    value: str


@dataclass(frozen=True, slots=True)
class Renamed:
    """A column of a released table that has another name from now on."""

    table: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Index:
    """An index that a released table gets; `columns` is written as in `Table.indexes`."""

    table: str
    name: str
    columns: str


@dataclass(frozen=True, slots=True)
class Migration:
    """The steps from the schema before `version` to `version`; each may be repeated after a crash in between."""

    version: int
    steps: tuple[Table | Column | Filled | Renamed | Index | Seed, ...]


META: Final = Table("meta", ("name {text:32} NOT NULL PRIMARY KEY", "value {big} NOT NULL"))
"""Small numbers about the directory itself: `schema_version`; `epoch`, raised when a backup was restored; and once that
has happened `accounts`, the number up to which account numbers were passed over."""

ACCOUNTS: Final = Table(
    "accounts",
    (
        "id {number}",
        "name {text:64} NOT NULL",
        "signing_key {key} NOT NULL UNIQUE",
        "session_key {key} NOT NULL UNIQUE",
        "session_signature {bytes:64} NOT NULL",
        "created {time} NOT NULL",
        "last_seen {time} NOT NULL",
    ),
    (("accounts_by_name", "name, id"),),
)
"""From version 7 on there is `sort_name`, the name without differences of case."""

PRESENCE: Final = Table(
    "presence",
    (
        "account_id {big} NOT NULL PRIMARY KEY",
        "host {text:64} NOT NULL",
        "port {big} NOT NULL",
        "node {text:64} NOT NULL",
        "nonce {text:64} NOT NULL",
        "since {time} NOT NULL",
        "expires {time} NOT NULL",
        "FOREIGN KEY (account_id) REFERENCES accounts (id)",
    ),
    (("presence_by_expiry", "expires"),),
)
"""Who is online. `nonce` is the peer's session: a late goodbye of an older one must not end a newer one."""

IMAGES: Final = Table(
    "images",
    (
        "id {id} NOT NULL PRIMARY KEY",
        "owner_id {big} NOT NULL",
        "title {text:120} NOT NULL",
        "format {text:16} NOT NULL",
        "width {big} NOT NULL",
        "height {big} NOT NULL",
        "size {big} NOT NULL",
        "sealed_sha256 {key} NOT NULL",
        "sealed_size {big} NOT NULL",
        "state {text:16} NOT NULL",
        "preview {blob}",
        "created {time} NOT NULL",
        "FOREIGN KEY (owner_id) REFERENCES accounts (id)",
    ),
    (("images_by_owner", "owner_id, created"),),
)
"""`state` is pending, ready or withdrawn; `size` and `sealed_size` are bytes; `preview` only if the owner chose one.
`sealed_sha256` and `sealed_size` are of the whole upload: from version 5 on they are `upload_sha256` and
`upload_size`."""

ASKS: Final = Table(
    "asks",
    (
        "id {id} NOT NULL PRIMARY KEY",
        "image_id {id} NOT NULL",
        "viewer_id {big} NOT NULL",
        "owner_id {big} NOT NULL",
        "views {big} NOT NULL",
        "note {text:280} NOT NULL",
        "state {text:16} NOT NULL",
        "reason {text:280} NOT NULL",
        "grant_id {id}",
        "created {time} NOT NULL",
        "answered {time}",
        "FOREIGN KEY (image_id) REFERENCES images (id)",
    ),
    (
        ("asks_by_owner", "owner_id, state, created"),
        ("asks_by_viewer", "viewer_id, created"),
        ("asks_by_image", "image_id, viewer_id"),
    ),
)
"""Requests for views. `state` is pending, accepted, rejected or withdrawn."""

GRANTS: Final = Table(
    "grants",
    (
        "id {id} NOT NULL PRIMARY KEY",
        "image_id {id} NOT NULL",
        "owner_id {big} NOT NULL",
        "viewer_id {big} NOT NULL",
        "granted {big} NOT NULL",
        "consumed {big} NOT NULL",
        "expires {time}",
        "revoked {big} NOT NULL",
        "version {big} NOT NULL",
        "record {blob} NOT NULL",
        "cloud_share {blob} NOT NULL",
        "share_signature {bytes:64} NOT NULL",
        "epoch {big} NOT NULL",
        "created {time} NOT NULL",
        "updated {time} NOT NULL",
        "live {big} GENERATED ALWAYS AS (CASE WHEN revoked = 0 THEN 1 END) VIRTUAL",
        "FOREIGN KEY (image_id) REFERENCES images (id)",
        "UNIQUE (image_id, viewer_id, live)",
    ),
    (("grants_by_owner", "owner_id, image_id"), ("grants_by_viewer", "viewer_id, created")),
)
"""Permissions. At most one grant of an image to a viewer is unrevoked: `live` is 1 for it and NULL for the revoked,
and the unique key lets any number of NULLs be. `live` follows `revoked` and is never written. `cloud_share` comes
encrypted; `epoch` is the directory's epoch in which the owner last confirmed the grant."""

GRANT_CHANGES: Final = Table(
    "grant_changes",
    (
        "grant_id {id} NOT NULL",
        "version {big} NOT NULL",
        "digest {key} NOT NULL",
        "account_id {big} NOT NULL",
        "at {time} NOT NULL",
        "met_consumed {big} NOT NULL",
        "PRIMARY KEY (grant_id, version)",
        "FOREIGN KEY (grant_id) REFERENCES grants (id)",
    ),
)
"""Every change of rights, once per version. `met_consumed` is the count of views that the change met."""

WISHES: Final = Table(
    "wishes",
    (
        "id {id} NOT NULL PRIMARY KEY",
        "account_id {big} NOT NULL",
        "grant_id {id} NOT NULL",
        "version {big} NOT NULL",
        "at {time} NOT NULL",
    ),
    (("wishes_by_grant", "grant_id, version"),),
)
"""What owners wanted of their grants and got, once each, and the version of the grant that it became. A profile that
was put back to an older copy may hold a wish that was delivered since; it signs that anew, so that only the wish itself
tells."""

VIEWS: Final = Table(
    "views",
    (
        "id {id} NOT NULL PRIMARY KEY",
        "grant_id {id} NOT NULL",
        "viewer_id {big} NOT NULL",
        "ephemeral_key {key} NOT NULL",
        "granted_left_after {big} NOT NULL",
        "at {time} NOT NULL",
        "taken {time}",
        "FOREIGN KEY (grant_id) REFERENCES grants (id)",
    ),
    (("views_by_grant", "grant_id, at"),),
)
"""The audit of views: rows are added and marked as taken, never deleted."""

REQUESTS: Final = Table(
    "requests",
    (
        "account_key {key} NOT NULL",
        "request_id {id} NOT NULL",
        "body_digest {key} NOT NULL",
        "answer {blob} NOT NULL",
        "created {time} NOT NULL",
        "PRIMARY KEY (account_key, request_id)",
    ),
    (("requests_by_age", "created"),),
)
"""Stored answers. `account_key` is the session key of whoever asked: from version 5 on it is `session_key`."""

MAIL: Final = Table(
    "mail",
    (
        "id {id} NOT NULL PRIMARY KEY",
        "account_id {big} NOT NULL",
        "sender_id {big}",
        "kind {text:32} NOT NULL",
        "body {bytes:16384} NOT NULL",
        "created {time} NOT NULL",
        "FOREIGN KEY (account_id) REFERENCES accounts (id)",
    ),
    (("mail_by_account", "account_id, created, id"), ("mail_by_sender", "account_id, sender_id")),
)

MAIL_ACKS: Final = Table(
    "mail_acks",
    (
        "mail_id {id} NOT NULL",
        "device {text:64} NOT NULL",
        "at {time} NOT NULL",
        "PRIMARY KEY (mail_id, device)",
    ),
)
"""Which device of an account has applied which mail."""

LEASE: Final = Table(
    "lease",
    (
        "name {text:32} NOT NULL PRIMARY KEY",
        "term {big} NOT NULL",
        "holder {text:128}",
        "expires {time} NOT NULL",
    ),
)

NODES: Final = Table(
    "nodes",
    (
        "name {text:64} NOT NULL PRIMARY KEY",
        "incarnation {big} NOT NULL",
        "heard {time} NOT NULL",
        "hears {big} NOT NULL",
        "address {text:128} NOT NULL",
        "term {big} NOT NULL",
    ),
)
"""The nodes' own rows. `hears` is 1 while the node hears any other; `heard` is when it last said so."""

WRITERS: Final = Table(
    "writers",
    (
        "name {text:64} NOT NULL PRIMARY KEY",
        "commits {big} NOT NULL",
        "latest {time} NOT NULL",
    ),
)
"""A row for each node that writes, raised by each of its group commits. `commits` added up over the rows is the counter
by which a restored directory is found out; `latest` is the latest directory time that a commit has seen. One row for
all would make every commit wait for every other."""

PROBE: Final = Table("probe", ("name {text:64} NOT NULL PRIMARY KEY", "filling {blob} NOT NULL"))
"""Rewritten by a node that could not write, to find out whether it can again."""

CHOICES: Final = Table("choices", ("name {text:32} NOT NULL PRIMARY KEY", "value {text:64} NOT NULL"))
"""What operators chose for the whole cluster: `policy`, how requests are placed. No row: the default."""

AUDIT: Final = Table(
    "audit",
    (
        "id {number}",
        "node {text:64} NOT NULL",
        "incarnation {big} NOT NULL",
        "number {big} NOT NULL",
        "at {time} NOT NULL",
        "operator {text:80} NOT NULL",
        "command {text:16} NOT NULL",
        "value {text:32} NOT NULL",
        "obeyed {big} NOT NULL",
        "text {text:100} NOT NULL",
        "UNIQUE (node, incarnation, number)",
    ),
)
"""Orders of operators, added once and never changed. `node` was given the order and numbered it in that incarnation;
`at` is epoch seconds by its own clock."""

HELD_COPIES: Final = Table(
    "held_copies",
    (
        "grant_id {id} NOT NULL PRIMARY KEY",
        "copy_id {id} NOT NULL",
        "owner_id {big} NOT NULL",
        "size {big} NOT NULL",
        "sha256 {key} NOT NULL",
        "whole {big} NOT NULL",
        "created {time} NOT NULL",
        "expires {time} NOT NULL",
        "FOREIGN KEY (grant_id) REFERENCES grants (id)",
    ),
    (("held_copies_by_owner", "owner_id"), ("held_copies_by_expiry", "expires")),
)
"""Stego images that wait for viewers who are away. `whole` is 1 once all parts are there; `size` is bytes, counted from
the moment that room was made for it."""

HELD_PARTS: Final = Table(
    "held_parts",
    (
        "grant_id {id} NOT NULL",
        "copy_id {id} NOT NULL",
        "part {big} NOT NULL",
        "data {blob} NOT NULL",
        "PRIMARY KEY (grant_id, copy_id, part)",
    ),
)
"""Their bytes. Parts of a copy that is no longer in `held_copies` are swept."""

CLUSTER_FILES: Final = Table(
    "cluster_files",
    (
        "name {text:32} NOT NULL PRIMARY KEY",
        "version {big} NOT NULL",
        "data {blob} NOT NULL",
    ),
)
"""One row, `newest`: the newest cluster file that a node has met, signed by the operator. The nodes follow it."""

MIGRATIONS: Final = (
    Migration(
        1,
        (
            ACCOUNTS,
            PRESENCE,
            IMAGES,
            ASKS,
            GRANTS,
            GRANT_CHANGES,
            VIEWS,
            REQUESTS,
            MAIL,
            MAIL_ACKS,
            LEASE,
            NODES,
            Seed("meta", (("name", "epoch"), ("value", 1))),
            Seed("lease", (("name", "leader"), ("term", 0), ("holder", None), ("expires", 0.0))),
        ),
    ),
    Migration(
        2,
        (
            WRITERS,
            PROBE,
            Column("views", "taken_by {id}"),
            Column("views", "lasted {time}"),
            Column("views", "consumed_after {big}"),
        ),
    ),
    Migration(3, (WISHES,)),
    Migration(4, (CHOICES, AUDIT)),
    Migration(
        5,
        (
            Renamed("images", "sealed_sha256", "upload_sha256"),
            Renamed("images", "sealed_size", "upload_size"),
            Renamed("requests", "account_key", "session_key"),
        ),
    ),
    Migration(6, (HELD_COPIES, HELD_PARTS)),
    Migration(
        7,
        (
            Column("accounts", "sort_name {text:128}"),
            Filled("accounts", "sort_name", "LOWER(name)"),
            Index("accounts", "accounts_by_sort_name", "sort_name, id"),
            Index("images", "images_offered", "owner_id, state, created, id"),
            Index("images", "images_owned", "owner_id, created, id"),
            Index("asks", "asks_received", "owner_id, created, id"),
            Index("asks", "asks_made", "viewer_id, created, id"),
            Index("grants", "grants_held", "viewer_id, created, id"),
            Index("grants", "grants_given", "owner_id, created, id"),
        ),
    ),
    Migration(8, (CLUSTER_FILES,)),
)
