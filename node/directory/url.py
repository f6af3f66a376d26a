"""Directory URLs: `sqlite:///path` and `mysql://user:password@host:port/database?tls=...&ca=...`.

SQLite: three slashes and a path relative to the current folder, or four for an absolute one; everything after the
third slash is the path, nothing in it is decoded, and there are no options.

MySQL: user and password are percent-encoded, the port is 3306 if left out, and
- `tls=verify` encrypts and checks the server's certificate and name (the default unless the host is loopback),
- `tls=required` encrypts and accepts any certificate,
- `tls=off` does not encrypt (the default where the host is loopback),
- `ca=/path/to/ca.pem` names the authority to check against instead of the system's.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from shared.errors import InvalidInput
from shared.net.paths import is_loopback

Tls: TypeAlias = Literal["verify", "required", "off"]
_MYSQL_PORT: Final = 3306
_SHAPES: Final = "sqlite:///path or mysql://user:password@host:port/database?tls=..."


@dataclass(frozen=True, slots=True)
class SqliteUrl:
    """Where the file is."""

    path: Path


@dataclass(frozen=True, slots=True)
class MysqlUrl:
    """How to reach the server. The password stays out of every text."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str = ""
    tls: Tls = "verify"
    ca: str | None = None

    @property
    def place(self) -> str:
        """Name the server without any secret."""
        return f"{self.host}:{self.port}/{self.database}"


def parse_directory_url(url: str) -> SqliteUrl | MysqlUrl:
    """Read a directory URL. Raises InvalidInput with a sentence that never repeats the URL, which holds a password."""
    if url.startswith("sqlite:"):
        return _sqlite(url)
    if url.startswith("mysql:"):
        return _mysql(url)
    raise InvalidInput(f"This is no directory URL: give {_SHAPES}.")


def _sqlite(url: str) -> SqliteUrl:
    prefix = "sqlite:///"
    path = url.removeprefix(prefix)
    if not url.startswith(prefix) or not path or path.endswith("/") or "\0" in path or path == ":memory:":
        raise InvalidInput("A SQLite directory needs a file: give sqlite:///path (four slashes for an absolute path).")
    return SqliteUrl(Path(path).absolute())


def _mysql(url: str) -> MysqlUrl:
    try:
        parts = urlsplit(url)
        port = parts.port or _MYSQL_PORT
    except ValueError:
        raise InvalidInput("The MySQL URL has a host or port that cannot be read.") from None
    database = unquote(parts.path.removeprefix("/"))
    if not parts.hostname or not parts.username or not database or "/" in database or parts.fragment:
        raise InvalidInput("A MySQL directory needs mysql://user:password@host:port/database (percent-encode '#?/@:').")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    tls, ca = _tls(options, parts.hostname)
    if options:
        raise InvalidInput("The MySQL URL has an unknown option: only tls and ca are known.")
    return MysqlUrl(
        host=parts.hostname,
        port=port,
        user=unquote(parts.username),
        password=unquote(parts.password or ""),
        database=database,
        tls=tls,
        ca=ca,
    )


def _tls(options: dict[str, str], host: str) -> tuple[Tls, str | None]:
    """Take the TLS options out of `options`."""
    ca = options.pop("ca", None)
    default: Tls = "off" if is_loopback(host) and ca is None else "verify"
    chosen = options.pop("tls", default)
    for tls in get_args(Tls):
        if chosen == tls:
            if ca is not None and tls != "verify":
                raise InvalidInput("The MySQL URL names a certificate authority, which only tls=verify would check.")
            return tls, ca
    raise InvalidInput("The MySQL URL's tls option is one of verify, required and off.")
