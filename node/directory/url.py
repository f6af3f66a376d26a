"""Directory URLs: `sqlite:///path` and `mysql://user:password@host:port,host:port/database?tls=...&ca=...&order=...`.

SQLite: three slashes and a path relative to the current folder, or four for an absolute one; everything after the
third slash is the path, nothing in it is decoded, and there are no options.

MySQL: user and password are percent-encoded, the port is 3306 if left out. Several hosts are servers of one replicated
database, such as Galera's, and a node uses one of them at a time. And
- `tls=verify` encrypts and checks the server's certificate and name (the default unless every host is loopback),
- `tls=required` encrypts and accepts any certificate,
- `tls=off` does not encrypt (the default where every host is loopback),
- `ca=/path/to/ca.pem` names the authority to check against instead of the system's,
- `order=listed` prefers servers in the order in which they stand (the default),
- `order=spread` has each node begin at another of them.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from shared.errors import InvalidInput
from shared.net.paths import is_loopback

Tls: TypeAlias = Literal["verify", "required", "off"]
Order: TypeAlias = Literal["listed", "spread"]
_MYSQL_PORT: Final = 3306
_MAX_SERVERS: Final = 16
_SHAPES: Final = "sqlite:///path or mysql://user:password@host:port/database?tls=..."


@dataclass(frozen=True, slots=True)
class SqliteUrl:
    """Where the file is."""

    path: Path


class Server(NamedTuple):
    """Where a server of the database listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class MysqlUrl:
    """How to reach the servers, of which there is at least one. The password stays out of every text."""

    servers: tuple[Server, ...]
    user: str
    password: str = field(repr=False)
    database: str = ""
    tls: Tls = "verify"
    ca: str | None = None
    order: Order = "listed"

    @property
    def place(self) -> str:
        """Name the servers and the database without any secret."""
        return f"{','.join(map(str, self.servers))}/{self.database}"


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
    # Taken apart by hand: urlsplit knows one host, and later versions of it refuse several.
    authority, _, rest = url.removeprefix("mysql://").partition("/")
    credentials, _, places = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    try:
        parts = urlsplit(f"mysql:///{rest}")
        servers = tuple(_server(place) for place in places.split(","))
    except ValueError:
        raise InvalidInput("The MySQL URL has a host or port that cannot be read.") from None
    database = unquote(parts.path.removeprefix("/"))
    hosts = [server.host for server in servers]
    if not url.startswith("mysql://") or not all(hosts) or not user or not database or "/" in database:
        raise InvalidInput("A MySQL directory needs mysql://user:password@host:port/database (percent-encode '#?/@:').")
    if parts.fragment:
        raise InvalidInput("The MySQL URL ends in '#...': percent-encode a '#' of its user or password as %23.")
    if len(set(servers)) < len(servers) or len(servers) > _MAX_SERVERS:
        raise InvalidInput(f"The MySQL URL names up to {_MAX_SERVERS} servers, each of them once.")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    tls, ca = _tls(options, all(map(is_loopback, hosts)))
    order = _order(options)
    if options:
        raise InvalidInput("The MySQL URL has an unknown option: only tls, ca and order are known.")
    return MysqlUrl(
        servers=servers,
        user=unquote(user),
        password=unquote(password),
        database=database,
        tls=tls,
        ca=ca,
        order=order,
    )


def _server(place: str) -> Server:
    """Read `host`, `host:port` or `[address]:port`; the host is "" where there is none. Raises ValueError."""
    parts = urlsplit(f"//{place}")
    return Server(parts.hostname or "", parts.port or _MYSQL_PORT)


def _tls(options: dict[str, str], is_local: bool) -> tuple[Tls, str | None]:
    """Take the TLS options out of `options`."""
    ca = options.pop("ca", None)
    default: Tls = "off" if is_local and ca is None else "verify"
    chosen = options.pop("tls", default)
    for tls in get_args(Tls):
        if chosen == tls:
            if ca is not None and tls != "verify":
                raise InvalidInput("The MySQL URL names a certificate authority, which only tls=verify would check.")
            return tls, ca
    raise InvalidInput("The MySQL URL's tls option is one of verify, required and off.")


def _order(options: dict[str, str]) -> Order:
    """Take the order of the servers out of `options`."""
    order: Order
    chosen = options.pop("order", "listed")
    for order in get_args(Order):
        if chosen == order:
            return order
    raise InvalidInput("The MySQL URL's order option is listed or spread.")
