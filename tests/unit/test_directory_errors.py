"""What the errors of databases mean: final only by a closed list, and never a server's own words."""

import sqlite3
from pathlib import Path

import pytest
from asyncmy.errors import InternalError, OperationalError, ProgrammingError

from node.directory import DuplicateKey, MissingReference, StatementFailed
from node.directory.groups import Interrupted
from node.directory.mysql_errors import SENTENCES, Lost, translate
from node.directory.sqlite_file import File
from shared.errors import StorageError, Unavailable

SECRET = "Access denied for user 'glimpse'@'10.0.0.7' near 'signing_key'"


def meaning(code: int, text: str = SECRET, **options: bool) -> Exception:
    return translate(OperationalError(code, text), **options)


@pytest.mark.parametrize("code", [1048, 1054, 1064, 1136, 1264, 1366, 1406, 3819, 4025])
def test_a_wrong_statement_or_value_is_final(code: int) -> None:
    assert type(meaning(code)) is StatementFailed


@pytest.mark.parametrize(("code", "kind"), [(1062, DuplicateKey), (1451, MissingReference), (1452, MissingReference)])
def test_keys_that_are_taken_or_missing(code: int, kind: type[Exception]) -> None:
    assert type(meaning(code)) is kind


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (1020, Interrupted, "try again"),
        (1205, Interrupted, "too long"),
        (1213, Interrupted, "try again"),
        (1305, Interrupted, "ended a transaction"),
        (1317, Interrupted, "interrupt"),
        (0, Lost, "lost"),
        (1053, Lost, "lost"),
        (1927, Lost, "lost"),
        (2006, Lost, "lost"),
        (2013, Lost, "lost"),
        (1021, StorageError, "make room"),
        (1114, StorageError, "make room"),
        (1135, StorageError, "make room"),
        (1030, Unavailable, "read or write"),
        (1036, Unavailable, "read-only"),
        (1040, Unavailable, "max_connections"),
        (1044, Unavailable, "rights"),
        (1047, Unavailable, "quorum"),
        (1049, Unavailable, "not on its server"),
        (1105, Unavailable, "1105"),
        (1142, Unavailable, "rights"),
        (1153, Unavailable, "max_allowed_packet"),
        (1180, Unavailable, "commit"),
        (1206, Unavailable, "locks"),
        (1227, Unavailable, "rights"),
        (1290, Unavailable, "read-only"),
        (1792, Unavailable, "read-only"),
        (1836, Unavailable, "read-only"),
        (1969, Unavailable, "max_statement_time"),
        (3024, Unavailable, "max_statement_time"),
        (3100, Unavailable, "commit"),
        (9999, Unavailable, "9999"),
    ],
)
def test_everything_else_passes_and_says_so_in_one_sentence(code: int, kind: type[Exception], says: str) -> None:
    """Any code outside a list of passing ones was final: a statement that took too long, rights that were revoked, a
    server that only read for a while each threw away a request, a grant, a change and a revocation."""
    found = meaning(code)
    assert type(found) is kind
    text = str(found)
    assert says in text
    assert text.endswith(".")
    assert len(text) < 160
    assert not any(word in text for word in ("glimpse", "10.0.0.7", "signing_key"))


def test_no_code_at_all_is_final_but_those_of_the_list() -> None:
    final = [code for code in range(1, 5000) if isinstance(meaning(code), StatementFailed)]
    assert len(final) < 75
    assert set(final) & set(SENTENCES) <= {1146}


def test_a_table_that_never_was_is_our_mistake_and_one_that_is_gone_is_the_servers() -> None:
    assert isinstance(translate(ProgrammingError(1146, "Table 'glimpse.absent' doesn't exist")), StatementFailed)
    assert isinstance(translate(ProgrammingError(1146, "Table 'glimpse.grants' doesn't exist")), Unavailable)
    assert isinstance(translate(ProgrammingError(1146, "")), Unavailable)


def test_a_write_on_a_connection_that_only_reads_is_our_mistake() -> None:
    assert isinstance(meaning(1792, reads_only=True), StatementFailed)
    assert isinstance(meaning(1290, reads_only=True), Unavailable)


def test_an_error_without_a_code_is_a_lost_connection() -> None:
    assert isinstance(translate(InternalError("Packet sequence number wrong")), Lost)


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (sqlite3.SQLITE_ERROR, StatementFailed, ""),
        (sqlite3.SQLITE_MISMATCH, StatementFailed, ""),
        (sqlite3.SQLITE_CONSTRAINT_CHECK, StatementFailed, ""),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, DuplicateKey, ""),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Interrupted, "in use"),
        (sqlite3.SQLITE_SCHEMA, Interrupted, "changed"),
        (sqlite3.SQLITE_FULL, StorageError, "full"),
        (sqlite3.SQLITE_IOERR_FSYNC, StorageError, "disk"),
        (sqlite3.SQLITE_IOERR_LOCK, StorageError, "locks"),
        (sqlite3.SQLITE_PROTOCOL, StorageError, "locks"),
        (sqlite3.SQLITE_READONLY, StorageError, "read-only"),
        (sqlite3.SQLITE_NOMEM, StorageError, "memory"),
        (sqlite3.SQLITE_READONLY_DBMOVED, StorageError, "moved"),
        (sqlite3.SQLITE_NOTICE, StorageError, "27"),
    ],
)
def test_what_sqlite_says(tmp_path: Path, code: int, kind: type[Exception], says: str) -> None:
    file = File(tmp_path / "directory.sqlite")
    error = sqlite3.OperationalError("database disk image of /home/ada")
    error.sqlite_errorcode = code
    found = file._translate(error)
    file.close()
    assert type(found) is kind
    assert says in str(found)
    if not isinstance(found, StatementFailed):
        assert "ada" not in str(found)
        assert str(found).endswith(".")
