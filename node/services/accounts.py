"""Accounts and presence: registering, signing in and out, keep-alives, and finding people."""

# ruff: noqa: S608 - what is put into statements here are this package's own names; values are bound.

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from node.directory.interface import Query, Row, Step, Transaction, Tx, Value, in_list
from node.services import holdings, mail
from node.services.common import Call, Caller, Served, count, not_found, read_epoch
from shared.errors import Refused, RemoteError
from shared.identity import PublicIdentity, verify_signature
from shared.text import is_clean
from shared.wire.operations import (
    Account,
    Done,
    FindAccount,
    ListUsers,
    Register,
    Registered,
    SignedIn,
    SignIn,
    SignOut,
    UserRow,
    Users,
)
from shared.wire.refusals import RefusalCode

_SORT_NAME_CHARACTERS: Final = 128
"""What `accounts.sort_name` has room for: folding makes up to three characters of one."""
_LAST_SEEN_STEP_S: Final = 60.0
"""How exactly keep-alives record when an account was last seen; finer would be a write each time."""
_PRESENT: Final = "expires > :clock AND expires <= :furthest"
"""Condition for a presence that stands, with the parameters of `_span`. One that lies further ahead than a presence can
was written before the clock was set back, and its peer has said nothing since."""
_GENUINE_PRESENCES: Final = 2.0
"""Lengths of a presence that one may lie ahead: one, and as much again for a clock read by another node later."""


def _span(clock: float, longest_s: float) -> dict[str, Value]:
    """Return the parameters of `_PRESENT`. Presence goes by the database's clock as it stands: directory time stands
    still while a clock that was set back catches up, and peers come and go meanwhile."""
    return {"clock": clock, "furthest": clock + _GENUINE_PRESENCES * longest_s}


HIDDEN: Final = ""
"""The host in the presence of a peer that wants nobody to be told of it."""


@dataclass(frozen=True, slots=True)
class AccountStanding:
    """What a keep-alive finds: whether the account is present, which device holds it at which port, and until when.

    `now` is directory time; `clock` and `expires` are the database's clock, which presence goes by.
    """

    present: bool
    device: str
    port: int
    expires: float
    mail_waiting: int
    now: float
    clock: float


def _checked_name(name: str) -> str:
    """Return a display name without spaces around it. Refuses one that is empty or has invisible characters."""
    stripped = name.strip()
    if not stripped or not is_clean(stripped):
        raise Refused(
            RefusalCode.INVALID,
            "A name needs at least one visible character and no control characters: choose another.",
        )
    return stripped


def by_session_key(session_key: bytes) -> Transaction[Row | None]:
    """Return the row of the account that a session's key belongs to."""

    def run(_: Tx) -> Step[Row | None]:
        rows = yield Query(
            "SELECT id, name, signing_key FROM accounts WHERE session_key = :session_key", {"session_key": session_key}
        )
        return rows.one()

    return run


def register(call: Call, operation: Register) -> Transaction[Served]:
    """Make an account for a pair of keys; the same pair again is the same account under its first name.

    With a genuine receipt the account gets the number back that it had before the directory was restored, unless that
    belongs to somebody else by now. Refuses what is not signed by the keys that it names.
    """
    if operation.session_key != call.caller.session_key:
        raise Refused(RefusalCode.NOT_ALLOWED, "An account is registered from a session of its own key.")
    name = _checked_name(operation.name)
    identity = PublicIdentity(operation.signing_key, operation.session_key, operation.session_signature)
    parts = (call.environment.cluster_id.encode(), operation.name.encode(), operation.session_key)
    try:
        identity.verify()
        verify_signature(operation.signing_key, operation.proof, "register", *parts)
    except RemoteError:
        raise Refused(
            RefusalCode.NOT_ALLOWED, "The registration is not signed by the key that it names: make a new profile."
        ) from None
    receipts, again = call.environment.receipts, operation.account
    if again is not None and not receipts.holds(again, operation.signing_key, operation.receipt):
        again = None

    def run(tx: Tx) -> Step[Served]:
        row: dict[str, Value] = {
            "name": name,
            "sort_name": name.casefold()[:_SORT_NAME_CHARACTERS],
            "signing_key": operation.signing_key,
            "session_key": operation.session_key,
            "session_signature": operation.session_signature,
            "created": tx.now,
            "last_seen": 0.0,
        }
        if again is None or not (yield tx.insert_if_absent("accounts", row | {"id": again})).rowcount:
            yield tx.insert_if_absent("accounts", row)
        mine = yield Query(
            "SELECT id, name FROM accounts WHERE signing_key = :signing_key AND session_key = :session_key"
            + tx.for_update,
            {"signing_key": operation.signing_key, "session_key": operation.session_key},
        )
        account = mine.one()
        if account is None:
            raise Refused(
                RefusalCode.ALREADY_REGISTERED,
                "One of these keys belongs to an account with another key: make a new profile.",
            )
        number = int(account["id"])
        receipt = receipts.of(number, operation.signing_key)
        epoch = yield from read_epoch()
        return Served(Registered(account=number, name=account["name"], receipt=receipt, epoch=epoch))

    return run


def sign_in(call: Call, operation: SignIn) -> Transaction[Served]:
    """Write the account's presence. The latest device to sign in is the one that others are sent to.

    Refuses what the account's own key has not signed.
    """
    caller, environment = call.caller, call.environment
    parts = (environment.cluster_id.encode(), operation.device.encode(), call.request_id.encode())
    try:
        verify_signature(caller.signing_key, operation.proof, "sign-in", *parts)
    except RemoteError:
        raise Refused(
            RefusalCode.NOT_ALLOWED, "Signing in needs the signature of the account's own key: check the profile."
        ) from None

    def run(tx: Tx) -> Step[Served]:
        row: dict[str, Value] = {
            "account_id": caller.account,
            "host": HIDDEN if operation.hidden else caller.host,
            "port": operation.port,
            "node": environment.node_name,
            "nonce": operation.device,
            "since": tx.now,
            "expires": tx.clock + environment.presence_s,
        }
        others = yield Query(
            f"SELECT nonce FROM presence WHERE account_id = :account AND nonce <> :device AND {_PRESENT}",
            {"account": caller.account, "device": operation.device, **_span(tx.clock, environment.longest_presence_s)},
        )
        yield tx.upsert("presence", row, keys=("account_id",))
        yield _seen(caller.account, tx.now, tx.now)
        waiting = yield from mail.waiting_for(caller.account, operation.device)
        epoch = yield from read_epoch()
        outcome = SignedIn(
            account=caller.account,
            name=caller.name,
            mail_waiting=waiting,
            epoch=epoch,
            other_device=bool(others.rows),
            receipt=environment.receipts.of(caller.account, caller.signing_key),
            given=(yield from holdings.given_sums(caller.account, epoch)),
        )
        return Served(outcome)

    return run


def sign_out(call: Call, operation: SignOut) -> Transaction[Served]:
    """End the presence if this device holds it; a late goodbye of another device ends nothing."""

    def run(tx: Tx) -> Step[Served]:
        yield Query(
            "DELETE FROM presence WHERE account_id = :account AND nonce = :device",
            {"account": call.caller.account, "device": operation.device},
        )
        yield _seen(call.caller.account, tx.now, tx.now)
        return Served(Done())

    return run


def _seen(account: int, now: float, before: float) -> Query:
    return Query(
        "UPDATE accounts SET last_seen = :now WHERE id = :account AND last_seen < :before",
        {"account": account, "now": now, "before": before},
    )


def standing(caller: Caller, device: str, *, longest_s: float) -> Transaction[AccountStanding]:
    """Return what a keep-alive finds, without writing."""

    def run(tx: Tx) -> Step[AccountStanding]:
        row = (
            yield Query(
                f"SELECT nonce, port, expires FROM presence WHERE account_id = :account AND {_PRESENT}",
                {"account": caller.account, **_span(tx.clock, longest_s)},
            )
        ).one()
        waiting = yield from mail.waiting_for(caller.account, device)
        if row is None:
            return AccountStanding(False, "", 0, 0.0, waiting, tx.now, tx.clock)
        return AccountStanding(True, row["nonce"], row["port"], row["expires"], waiting, tx.now, tx.clock)

    return run


def refresh(caller: Caller, device: str, port: int, *, presence_s: float, longest_s: float) -> Transaction[bool]:
    """Extend a presence that has not lapsed and is this device's, at this port; return whether it was there."""

    def run(tx: Tx) -> Step[bool]:
        refreshed = yield Query(
            "UPDATE presence SET expires = :expires "
            f"WHERE account_id = :account AND nonce = :device AND port = :port AND {_PRESENT}",
            {
                "account": caller.account,
                "device": device,
                "port": port,
                "expires": tx.clock + presence_s,
                **_span(tx.clock, longest_s),
            },
        )
        if refreshed.rowcount:
            yield _seen(caller.account, tx.now, tx.now - _LAST_SEEN_STEP_S)
        return bool(refreshed.rowcount)

    return run


# --- Finding people --------------------------------------------------------------------------------------------------


def list_users(call: Call, operation: ListUsers) -> Transaction[Users]:
    """Return a page of the accounts that match, online ones first, then by name.

    Those online are few and are found from their presence; the others are read in the order of an index, so that a page
    of a large cloud costs no more than one of a small cloud. Together in one statement they would all be sorted.
    """
    first, page_rows = operation.page * operation.page_rows, operation.page_rows

    def run(tx: Tx) -> Step[Users]:
        matching, parameters = _matching(operation.text)
        parameters |= _span(tx.clock, call.environment.longest_presence_s)
        online = f"FROM presence p JOIN accounts a ON a.id = p.account_id WHERE {_PRESENT}{matching}"
        offline = (
            f"FROM accounts a WHERE NOT EXISTS (SELECT 1 FROM presence p WHERE p.account_id = a.id AND {_PRESENT})"
            f"{matching}"
        )
        present = yield from count(Query(f"SELECT COUNT(*) AS n {online}", parameters))
        shown = (yield _listed(online, first, page_rows, parameters)).rows if first < present else []
        listed = [(int(row["id"]), True) for row in shown]
        if len(listed) < page_rows:
            shown = (yield _listed(offline, max(0, first - present), page_rows - len(listed), parameters)).rows
            listed += [(int(row["id"]), False) for row in shown]
        total = first + len(listed)
        if len(listed) == page_rows or (first and not listed):
            everybody = f"SELECT COUNT(*) AS n FROM accounts a WHERE a.id > 0{matching}"
            total = yield from count(Query(everybody, parameters))
        rows = yield from _rows_of([account for account, _ in listed])
        images = yield from _image_counts(list(rows))
        users = [_user_row(rows[account], images.get(account, 0), tx.now, online=at) for account, at in listed]
        return Users(rows=users, total=total)

    return run


def _listed(source: str, first: int, rows: int, parameters: Mapping[str, Value]) -> Query:
    """Return the statement for some numbers of a list of accounts, in the order of their names; an index holds both."""
    return Query(
        f"SELECT a.id, a.sort_name {source} ORDER BY a.sort_name, a.id LIMIT {int(rows)} OFFSET {int(first)}",
        parameters,
    )


def _rows_of(accounts: list[int]) -> Step[dict[int, Row]]:
    if not accounts:
        return {}
    inside, parameters = in_list("account", accounts)
    rows = yield Query(f"SELECT id, name, signing_key, last_seen FROM accounts WHERE id IN ({inside})", parameters)
    return {int(row["id"]): row for row in rows.rows}


def _matching(text: str) -> tuple[str, dict[str, Value]]:
    """Return what a WHERE clause goes on with for a text in name or id. The text's own wildcards stand for themselves.

    Case is ignored; of names that were registered before `sort_name` was kept, SQLite knows only that of ASCII letters,
    hence also the text as it was typed.
    """
    if not text:
        return "", {}
    clauses = ["a.sort_name LIKE :folded ESCAPE '!'", "a.name LIKE :typed ESCAPE '!'"]
    if text.isascii() and text.isdigit():
        clauses.append("CAST(a.id AS CHAR) LIKE :typed ESCAPE '!'")
    return f" AND ({' OR '.join(clauses)})", {"folded": _containing(text.casefold()), "typed": _containing(text)}


def _containing(text: str) -> str:
    """Return a pattern for what contains a text, with `!` as the escape character."""
    return "%" + text.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"


def _image_counts(accounts: list[int]) -> Step[dict[int, int]]:
    """Return how many images each of these accounts offers; those without any are left out."""
    if not accounts:
        return {}
    inside, parameters = in_list("owner", accounts)
    rows = yield Query(
        f"SELECT owner_id, COUNT(*) AS n FROM images WHERE owner_id IN ({inside}) "
        "AND state = 'ready' GROUP BY owner_id",
        parameters,
    )
    return {row["owner_id"]: int(row["n"]) for row in rows.rows}


def _user_row(row: Row, images: int, now: float, *, online: bool) -> UserRow:
    last_seen = now if online else row["last_seen"] or None
    return UserRow(
        account=row["id"],
        name=row["name"],
        signing_key=bytes(row["signing_key"]),
        online=online,
        images=images,
        last_seen=last_seen,
    )


def find(call: Call, operation: FindAccount) -> Transaction[Account]:
    """Return one account with its keys, and its address while it is present and does not hide it."""

    def run(tx: Tx) -> Step[Account]:
        rows = yield Query(
            "SELECT a.id, a.name, a.signing_key, a.session_key, a.session_signature, p.host, p.port "
            f"FROM accounts a LEFT JOIN presence p ON p.account_id = a.id AND {_PRESENT} WHERE a.id = :account",
            {"account": operation.account, **_span(tx.clock, call.environment.longest_presence_s)},
        )
        row = rows.one()
        if row is None:
            raise not_found("account")
        return Account(
            account=row["id"],
            name=row["name"],
            signing_key=bytes(row["signing_key"]),
            session_key=bytes(row["session_key"]),
            session_signature=bytes(row["session_signature"]),
            host=row["host"] or None,
            port=row["port"] if row["host"] else None,
            online=row["host"] is not None,
        )

    return run


def is_online(account: int, clock: float, longest_s: float) -> Step[bool]:
    """Tell whether an account's peer is present, by the database's `clock`."""
    rows = yield Query(
        f"SELECT account_id FROM presence WHERE account_id = :account AND {_PRESENT}",
        {"account": account, **_span(clock, longest_s)},
    )
    return rows.one() is not None
