"""What can happen between a node and its database server."""

import asyncio
import datetime as dt
import ipaddress
import socket
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import anyio
import asyncmy
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from node.directory import Query, Step, Tx, engine, open_directory
from node.directory.interface import Rows
from node.directory.mysql import MysqlDirectory
from node.directory.mysql_errors import Lost
from shared.config import LOCAL
from shared.errors import InvalidInput, StorageError, Unavailable
from tests.contract.directory_process import (
    count_up,
    counter,
    effect_key,
    request_id,
    serve_until_answered,
    start_counter,
)
from tests.databases import PASSWORD, PATIENT, USER, MariaDb, run_sql, skip_or_fail_without_server
from tests.patience import until
from tests.ports import free_ports

pytestmark = [pytest.mark.anyio, pytest.mark.mysql]

AT = f"{USER}@127.0.0.1"
HASTY = replace(LOCAL, directory_deadline_s=0.4, lease_s=0.4)


def certificate(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "directory server of a test")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (folder / "certificate.pem").write_bytes(built.public_bytes(pem))
    return folder / "certificate.pem"


@pytest.fixture(scope="module")
def private_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    """A server with TLS that may be hurt."""
    skip_or_fail_without_server()
    folder = tmp_path_factory.mktemp("private-mariadb")
    pem = certificate(folder)
    server = MariaDb(folder, f"--ssl-cert={pem}", f"--ssl-key={folder / 'key.pem'}", f"--ssl-ca={pem}")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def private_url(private_server: MariaDb) -> Iterator[str]:
    with private_server.database() as url:
        yield url


def run(sql: str):
    def transaction(_: Tx) -> Step[Rows]:
        return (yield Query(sql))

    return transaction


async def test_a_killed_server_comes_back_with_all_that_was_acknowledged(
    private_url: str, private_server: MariaDb
) -> None:
    async with open_directory(private_url, timing=PATIENT) as directory:
        await start_counter(directory)
        acknowledged: set[str] = set()
        killed = asyncio.Event()

        async def serve(numbers: range) -> None:
            for number in numbers:
                await serve_until_answered(directory, [number], acknowledged)
                if len(acknowledged) >= 40:
                    killed.set()

        async def kill() -> None:
            await killed.wait()
            await asyncio.to_thread(private_server.kill)
            with pytest.raises(Unavailable):
                await directory.read_lease()
            assert not directory.ok
            await asyncio.to_thread(private_server.start)

        await asyncio.gather(kill(), *(serve(range(start, start + 20)) for start in range(0, 200, 20)))
        assert len(acknowledged) == 200
        assert await counter(directory) == 200
        assert (await directory.read_lease()).term == 0
        assert directory.ok


async def test_a_server_that_hangs_is_given_up_and_found_again(
    private_url: str, private_server: MariaDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_directory(private_url, timing=PATIENT) as directory:
        await start_counter(directory)
        await counter(directory)
        monkeypatch.setattr(directory, "_timing", HASTY)
        private_server.pause()
        try:
            began = time.perf_counter()
            outcomes = await asyncio.gather(
                directory.effect(effect_key(request_id(1)), count_up("counter", "")),
                counter(directory),
                directory.renew_lease("a#1", 0, 60.0),
                directory.ping(),
                return_exceptions=True,
            )
            assert {type(outcome) for outcome in outcomes} == {Unavailable}
            assert time.perf_counter() - began < PATIENT.directory_deadline_s
        finally:
            private_server.resume()
        monkeypatch.setattr(directory, "_timing", PATIENT)
        await directory.effect(effect_key(request_id(1)), count_up("counter", ""))
        assert await counter(directory) == 1
        assert not await directory.renew_lease("a#1", 0, 60.0)
        assert directory.ok


@pytest.fixture
def other_url(private_url: str, private_server: MariaDb, mysql_port: int, mysql_url: str) -> Iterator[str]:
    """URL of a database of the same name on another server, which is no copy of it."""
    name = private_url.rsplit("/", 1)[1]
    run_sql(mysql_port, f"CREATE DATABASE {name}", f"GRANT ALL ON {name}.* TO '{USER}'@'127.0.0.1'")
    yield private_url.replace(f":{private_server.port}/", f":{mysql_port}/")
    run_sql(mysql_port, f"DROP DATABASE {name}")


async def test_a_server_that_hangs_is_left_for_another(
    private_url: str, private_server: MariaDb, other_url: str, mysql_port: int
) -> None:
    """Nobody waits for the deadline of a statement that the server will not answer. That the other server is no copy
    shows where the answers come from."""
    both = private_url.replace(f":{private_server.port}/", f":{private_server.port},127.0.0.1:{mysql_port}/")
    async with open_directory(other_url, timing=PATIENT) as other:
        await start_counter(other)
        await other.write(count_up("counter", ""))
    async with open_directory(both, timing=PATIENT) as directory:
        assert isinstance(directory, MysqlDirectory)
        await start_counter(directory)
        assert await counter(directory) == 0
        private_server.pause()
        try:
            written = directory.effect(effect_key(request_id(1)), count_up("counter", "")), counter(directory)
            with anyio.fail_after(PATIENT.directory_deadline_s / 2):
                await asyncio.gather(*written)
            assert await counter(directory) == 2
            assert directory.server.port == mysql_port
        finally:
            private_server.resume()
        await until(lambda: counter(directory), lambda found: found == 0)
        assert directory.server.port == private_server.port


async def test_a_cancelled_call_leaves_no_rows_for_the_next(mysql_url: str) -> None:
    async with open_directory(mysql_url, timing=PATIENT) as directory:
        for number in range(12):
            slow = asyncio.create_task(directory.read(run(f"SELECT {number} AS stale, SLEEP(30) AS slept")))
            while "SLEEP" not in str(await directory.read(run("SHOW PROCESSLIST"))):
                pass  # every look is itself a read over the same pool
            slow.cancel()
            with pytest.raises(asyncio.CancelledError):
                await slow
            answers = await asyncio.gather(*(directory.read(run(f"SELECT {n} AS fresh")) for n in range(6)))
            assert [answer.one() for answer in answers] == [{"fresh": n} for n in range(6)]


async def test_a_commit_in_doubt_is_never_done_twice(mysql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server commits and dies before it can say so. An effect finds its own row; a plain write is told."""
    async with open_directory(mysql_url, timing=PATIENT) as directory:
        assert isinstance(directory, MysqlDirectory)
        await start_counter(directory)
        execute = directory._writer.execute

        async def commit_and_die(query: Query) -> Rows:
            answer = await execute(query)
            if query.sql == "COMMIT":
                monkeypatch.setattr(directory._writer, "execute", execute)
                directory._writer.drop()
                raise Lost("connection lost")
            return answer

        monkeypatch.setattr(directory._writer, "execute", commit_and_die)
        outcome = await directory.effect(effect_key(request_id(1)), count_up("counter", ""))
        assert outcome.repeated
        assert await counter(directory) == 1
        monkeypatch.setattr(directory._writer, "execute", commit_and_die)
        with pytest.raises(Unavailable):
            await directory.write(count_up("counter", ""))
        assert await counter(directory) == 2


async def test_connections_that_the_server_closed_are_replaced(mysql_url: str) -> None:
    async with open_directory(mysql_url, timing=PATIENT) as directory:
        await start_counter(directory)
        await directory.write(count_up("counter", ""))
        await counter(directory)
        database = mysql_url.rsplit("/", 1)[1]  # tests that run beside this one have their own
        everybody = (await directory.read(run("SHOW PROCESSLIST"))).rows
        connections = [row["Id"] for row in everybody if row["db"] == database]
        assert len(connections) == 3
        async with open_directory(mysql_url, timing=PATIENT) as other:
            for connection in connections:
                await other.read(run(f"KILL {connection}"))
        assert (await directory.read_lease()).term == 0
        await directory.write(count_up("counter", ""))
        assert await counter(directory) == 2


def sql_as_root(server: MariaDb, *statements: str) -> None:
    run_sql(server.port, *statements)


def end_sessions(server: MariaDb) -> None:
    """Let every connection of the nodes be made anew, under the settings of now."""
    sql_as_root(server, f"KILL USER {USER}@127.0.0.1")


class TestTroubleOfTheServer:
    """What an operator does to a server in passing. Each was a final refusal: a request, a grant, a change and a
    revocation were thrown away, and the viewer kept five views.
    """

    TROUBLES = (
        ("REVOKE INSERT, UPDATE ON {name}.* FROM " + AT, "GRANT ALL ON {name}.* TO " + AT, "denies its user a right"),
        ("SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0", "read-only"),
        ("SET GLOBAL tx_read_only = 1", "SET GLOBAL tx_read_only = 0", "read-only"),
        ("RENAME TABLE {name}.requests TO {name}.kept", "RENAME TABLE {name}.kept TO {name}.requests", "tables"),
        ("ALTER USER " + AT + " ACCOUNT LOCK", "ALTER USER " + AT + " ACCOUNT UNLOCK", "is locked"),
    )

    @pytest.mark.parametrize(("hurt", "mend", "says"), TROUBLES)
    async def test_it_passes_and_what_was_asked_for_happens_once(
        self,
        private_url: str,
        private_server: MariaDb,
        monkeypatch: pytest.MonkeyPatch,
        hurt: str,
        mend: str,
        says: str,
    ) -> None:
        monkeypatch.setattr(engine, "PROBE_EVERY_S", 0.05)
        name = private_url.rsplit("/", 1)[1]
        key = effect_key(request_id(1))
        async with open_directory(private_url, timing=PATIENT) as directory:
            await start_counter(directory)
            try:
                await asyncio.to_thread(sql_as_root, private_server, hurt.format(name=name))
                await asyncio.to_thread(end_sessions, private_server)
                with pytest.raises((Unavailable, StorageError), match=says) as refused:
                    await directory.effect(key, count_up("counter", ""))
                assert not directory.ok
                for word in (USER, name, "127.0.0.1:3306", "doesn't", "denied to"):
                    assert word not in str(refused.value).replace(f"127.0.0.1:{private_server.port}/{name}", "")
            finally:
                await asyncio.to_thread(sql_as_root, private_server, mend.format(name=name))
                await asyncio.to_thread(end_sessions, private_server)
            outcome = await directory.effect(key, count_up("counter", ""))
            assert (outcome.answer, outcome.repeated) == (b":1", False)
            assert await counter(directory) == 1
            assert directory.ok

    async def test_a_statement_that_takes_too_long(self, private_url: str, private_server: MariaDb) -> None:
        async with open_directory(private_url, timing=PATIENT) as directory:
            await asyncio.to_thread(sql_as_root, private_server, "SET GLOBAL max_statement_time = 0.2")
            try:
                await asyncio.to_thread(end_sessions, private_server)
                with pytest.raises(Unavailable, match="took too long"):
                    await directory.write(run("SELECT SLEEP(20) AS slept"))
            finally:
                await asyncio.to_thread(sql_as_root, private_server, "SET GLOBAL max_statement_time = 0")

    async def test_no_connection_left(self, private_url: str, private_server: MariaDb) -> None:
        key = effect_key(request_id(1))
        async with open_directory(private_url, timing=PATIENT) as directory, AsyncExitStack() as stack:
            await start_counter(directory)
            await asyncio.to_thread(sql_as_root, private_server, "SET GLOBAL max_connections = 10")
            try:
                await asyncio.to_thread(end_sessions, private_server)
                for _ in range(10):
                    other = await asyncmy.connect(
                        host="127.0.0.1", port=private_server.port, user=USER, password=PASSWORD.encode()
                    )
                    stack.push_async_callback(other.ensure_closed)
                with pytest.raises(Unavailable, match="max_connections"):
                    await directory.effect(key, count_up("counter", ""))
                assert not directory.ok
            finally:
                await asyncio.to_thread(sql_as_root, private_server, "SET GLOBAL max_connections = 400")
            assert (await directory.effect(key, count_up("counter", ""))).answer == b":1"

    async def test_a_database_that_is_gone(self, private_url: str, private_server: MariaDb) -> None:
        name = private_url.rsplit("/", 1)[1]
        async with open_directory(private_url, timing=PATIENT) as directory:
            await start_counter(directory)
            await asyncio.to_thread(sql_as_root, private_server, f"DROP DATABASE {name}")
            try:
                for call in (directory.effect(effect_key(request_id(1)), count_up("counter", "")), counter(directory)):
                    with pytest.raises(Unavailable, match="directory"):
                        await call
                assert not directory.ok
            finally:
                await asyncio.to_thread(sql_as_root, private_server, f"CREATE DATABASE {name}")


class TestConnecting:
    async def test_tls_with_an_authority(self, private_url: str, private_server: MariaDb) -> None:
        url = f"{private_url}?tls=verify&ca={quote(str(private_server.folder / 'certificate.pem'))}"
        async with open_directory(url, timing=PATIENT) as directory:
            [cipher] = (await directory.read(run("SHOW STATUS LIKE 'Ssl_cipher'"))).rows
            assert cipher["Value"].startswith("TLS_")
            await start_counter(directory)
            assert (await directory.effect(effect_key(request_id(1)), count_up("counter", ""))).answer == b":1"

    async def test_tls_with_any_certificate(self, private_url: str) -> None:
        async with open_directory(private_url + "?tls=required", timing=PATIENT) as directory:
            [cipher] = (await directory.read(run("SHOW STATUS LIKE 'Ssl_cipher'"))).rows
            assert cipher["Value"].startswith("TLS_")

    async def test_an_unknown_authority_is_refused(self, private_url: str) -> None:
        await self.expect(private_url + "?tls=verify", InvalidInput, "certificate .* cannot be verified.*ca=")

    async def test_a_server_without_tls_is_not_spoken_to_in_plain(self, mysql_url: str) -> None:
        await self.expect(mysql_url + "?tls=required", Unavailable, "does not speak TLS")

    async def test_an_unreadable_authority(self, mysql_url: str) -> None:
        await self.expect(mysql_url + "?ca=/absent.pem", InvalidInput, "authority .* cannot be read")

    async def test_a_wrong_password(self, mysql_url: str) -> None:
        await self.expect(mysql_url.replace(quote(PASSWORD, safe=""), "wr%3Aong"), InvalidInput, "user and password")

    async def test_an_unknown_database(self, mysql_url: str) -> None:
        await self.expect(mysql_url + "_absent", InvalidInput, "user and password|no database")

    async def test_nobody_there(self, mysql_url: str) -> None:
        host = f"127.0.0.1:{free_ports()}"
        url = mysql_url.rsplit("@", 1)[0] + f"@{host}/glimpse"
        await self.expect(url, Unavailable, f"{host}/glimpse cannot be reached")

    async def test_a_server_that_says_nothing(self, mysql_url: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, and that is all
            url = mysql_url.rsplit("@", 1)[0] + f"@127.0.0.1:{silent.getsockname()[1]}/glimpse"
            await self.expect(url, Unavailable, "does not answer")

    @staticmethod
    async def expect(url: str, kind: type[Exception], sentence: str) -> None:
        """Expect an error that says what to do and gives no password away, not even in its traceback's causes."""
        with pytest.raises(kind, match=sentence) as raised:
            async with open_directory(url, timing=HASTY):
                pass
        shown: BaseException | None = raised.value
        while shown is not None:
            for secret in (PASSWORD, quote(PASSWORD, safe=""), "wr:ong"):
                assert secret not in str(shown)
            shown = None if shown.__suppress_context__ else shown.__context__


async def test_sessions_are_strict_and_binary(mysql_url: str) -> None:
    async with open_directory(mysql_url, timing=PATIENT) as directory:
        answer = await directory.read(run("SELECT @@sql_mode AS mode, @@collation_connection AS collation"))
        row = answer.one()
        assert row is not None
        assert "STRICT_ALL_TABLES" in row["mode"]
        assert row["collation"] == "utf8mb4_bin"
        tables = await directory.read(run("SHOW TABLE STATUS"))
        assert {(table["Engine"], table["Collation"]) for table in tables.rows} == {("InnoDB", "utf8mb4_bin")}
