"""Directory URLs and the text of MySQL statements."""

from pathlib import Path

import pytest

from node.directory.interface import StatementFailed
from node.directory.mysql_text import literal, render
from node.directory.url import MysqlUrl, Server, SqliteUrl, parse_directory_url
from shared.errors import InvalidInput
from shared.net.paths import is_loopback


def test_sqlite_paths() -> None:
    assert parse_directory_url("sqlite:////var/lib/glimpse/d.sqlite") == SqliteUrl(Path("/var/lib/glimpse/d.sqlite"))
    assert parse_directory_url("sqlite:///data/d%20 ?.sqlite") == SqliteUrl(Path.cwd() / "data/d%20 ?.sqlite")


def test_mysql_parts_are_decoded() -> None:
    url = parse_directory_url("mysql://us%40er:p%3Aa%2Fs%C3%A9@db.example:3307/glimpse?tls=required")
    assert url == MysqlUrl((Server("db.example", 3307),), "us@er", "p:a/sé", "glimpse", "required", None)
    assert "p:a/sé" not in repr(url)
    assert "p:a/sé" not in url.place


@pytest.mark.parametrize(
    ("place", "tls"),
    [
        ("127.0.0.1", "off"),
        ("[::1]:3306", "off"),
        ("localhost", "off"),
        ("db.example", "verify"),
        ("10.0.0.1", "verify"),
    ],
)
def test_tls_is_on_unless_the_server_is_this_machine(place: str, tls: str) -> None:
    url = parse_directory_url(f"mysql://u:p@{place}/d")
    assert isinstance(url, MysqlUrl)
    assert (url.tls, url.servers[0].port) == (tls, 3306)


def test_an_authority_turns_checking_on() -> None:
    url = parse_directory_url("mysql://u:p@127.0.0.1/d?ca=/etc/ca.pem")
    assert isinstance(url, MysqlUrl)
    assert (url.tls, url.ca) == ("verify", "/etc/ca.pem")


def test_several_servers_of_one_database() -> None:
    url = parse_directory_url("mysql://u:p@a.example,b.example:3307,[2001:db8::1]:3308/d?order=spread")
    assert isinstance(url, MysqlUrl)
    assert url.servers == (Server("a.example", 3306), Server("b.example", 3307), Server("2001:db8::1", 3308))
    assert (url.order, url.tls) == ("spread", "verify")
    assert url.place == "a.example:3306,b.example:3307,[2001:db8::1]:3308/d"
    local = parse_directory_url("mysql://u:p@127.0.0.1:1,[::1]:2/d")
    assert isinstance(local, MysqlUrl)
    assert (local.tls, local.order) == ("off", "listed")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "postgres://u:hunter2@h/d",
        "sqlite:",
        "sqlite://x",
        "sqlite:///",
        "sqlite:///folder/",
        "sqlite:///:memory:",
        "sqlite:///a\0b",
        "mysql:",
        "mysql://",
        "mysql://u:hunter2@h",
        "mysql://u:hunter2@h/",
        "mysql://:hunter2@h/d",
        "mysql://u:hunter2@/d",
        "mysql://u:hunter2@h:port/d",
        "mysql://u:hunter2@h:99999/d",
        "mysql://u:hunter2@h/a/b",
        "mysql://u:hunter2@h/d?tls=maybe",
        "mysql://u:hunter2@h/d?tls=",
        "mysql://u:hunter2@h/d?speed=9",
        "mysql://u:hunter2@h/d?tls=off&ca=/x",
        "mysql://u:hunter2@[::1/d",
        "mysql://u:hunter2@a,/d",
        "mysql://u:hunter2@a,b,a:3306/d",
        f"mysql://u:hunter2@{','.join(f'h{number}' for number in range(17))}/d",
        "mysql://u:hunter2@a,b/d?order=random",
        "mysql://u:hunter2@h/d#part",
    ],
)
def test_what_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_directory_url(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("host", "expected"), [("127.8.0.1", True), ("::1", True), ("localhost", True), ("h", False)])
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_parameters_are_filled_in_once_and_not_in_quotes() -> None:
    sql = "SELECT ':a', 'it''s :b', :a, :ab FROM t WHERE x = :a AND y = '12:30'"
    text = render(sql, {"a": ":ab", "ab": 1, "b": "never"})
    assert text == "SELECT ':a', 'it''s :b', ':ab', 1 FROM t WHERE x = ':ab' AND y = '12:30'"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (True, "1"),
        (-5, "-5"),
        (1.5, "1.5e0"),
        (1e300, "1e+300"),
        (b"", "x''"),
        (b"\x00'\\", "x'00275c'"),
        ("it's", "'it\\'s'"),
        ("\\", "'\\\\'"),
        ("a\0b", "'a\\0b'"),
        ("é", "'é'"),
    ],
)
def test_literals(value, text: str) -> None:
    assert literal(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", object(), [1]])
def test_what_has_no_literal_is_refused(value) -> None:
    with pytest.raises(StatementFailed):
        literal(value)
