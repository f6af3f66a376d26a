"""Databases for tests: a SQLite file, or a fresh database on a private MariaDB server.

One server serves all workers of a test run. A helper process owns it (`python -m tests.databases serve FOLDER`) and
stops it when nobody holds a shared lock on the folder's `users` file any more. Locks end with their process, so a
worker that crashed leaves no server behind.
"""

import asyncio
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncmy
import pytest

from shared.config import LOCAL
from tests.patience import PATIENCE_S
from tests.ports import free_ports

ROOT = Path(__file__).parent.parent
PATIENT = replace(LOCAL, directory_deadline_s=PATIENCE_S, lease_s=PATIENCE_S)
"""Timers of a directory of which nothing is given up because the machine is busy."""
USER = "glimpse"
PASSWORD = "p:a/s@s%w'örd"  # everything that a URL or a statement could stumble over
READY = "ready for connections"


def find_program(*names: str) -> str | None:
    """Find a server program; distributions keep them out of a user's PATH."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/usr/libexec"
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


class MariaDb:
    """A private server in a folder of its own, a child of this process. It can be killed and started again."""

    def __init__(self, folder: Path, *options: str, user: str = "root") -> None:
        """Make the server's data. `user` is whose rights it has where this process has root's."""
        self.folder = folder
        self._user = user
        self.port = free_ports()
        # A server that starts clears its temporary folder of tables, also of those that belong to another server.
        self._environment = os.environ | {"TMPDIR": str(folder / "tmp")}
        (folder / "tmp").mkdir(parents=True)
        self.give(folder, folder / "tmp")
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self._drain: threading.Thread | None = None
        install = find_program("mariadb-install-db", "mysql_install_db")
        assert install is not None, "mariadb-install-db is missing beside the server"
        command = [
            install,
            "--no-defaults",
            f"--datadir={folder / 'data'}",
            *self._as_user(),
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]
        installed = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment,
        )
        if installed.returncode != 0:
            raise RuntimeError("The database server's data could not be made:\n" + installed.stdout[-4000:])

    def give(self, *paths: Path) -> None:
        """Let the server's user own files that this process made."""
        if os.geteuid() == 0:
            for path in paths:
                shutil.chown(path, self._user)

    def _as_user(self) -> list[str]:
        return [f"--user={self._user}"] if os.geteuid() == 0 else []

    def start(self, *options: str) -> None:
        """Start the server, with these options for this time, and wait until it says that it is ready."""
        self._process = subprocess.Popen(
            [*self._command(), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
        )
        stderr = self._process.stderr
        assert stderr is not None
        said = []
        for line in stderr:
            said.append(line)
            if READY in line:
                break
        else:
            raise RuntimeError("The database server did not start:\n" + "".join(said[-20:]))
        self._drain = threading.Thread(target=lambda: [None for _ in stderr], daemon=True)
        self._drain.start()

    def _command(self) -> list[str]:
        program = find_program("mariadbd", "mysqld")
        assert program is not None
        return [
            program,
            "--no-defaults",
            *self._as_user(),
            f"--datadir={self.folder / 'data'}",
            # The path of a socket has little room, and nobody needs it.
            f"--socket=@glimpse-{self.port}",
            f"--pid-file={self.folder / 'pid'}",
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            "--skip-log-bin",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=16M",
            "--max-connections=400",
            *self._options,
        ]

    def kill(self) -> None:
        """End the server as a loss of power would end it."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let the server hang: it keeps its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)  # until its last thread has stopped

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the server and remove its data."""
        if self._process is not None:
            self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        assert self._drain is not None
        self._process.send_signal(how)
        self._process.wait()
        self._drain.join()
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process = None

    @contextmanager
    def database(self, options: str = "") -> Iterator[str]:
        """Make a fresh database and give its URL."""
        with fresh_database(self.port, options) as url:
            yield url


def run_sql(port: int, *statements: str) -> None:
    """Run statements as the server's root."""

    async def run() -> None:
        connection = await asyncmy.connect(host="127.0.0.1", port=port, user="root", autocommit=True)
        try:
            for statement in statements:
                await connection.query(statement)
        finally:
            await connection.ensure_closed()

    asyncio.run(run())


def query(port: int, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of one statement of the server's root."""

    async def run() -> list[tuple[Any, ...]]:
        connection = await asyncmy.connect(host="127.0.0.1", port=port, user="root")
        try:
            cursor = connection.cursor()
            await cursor.execute(statement)
            return list(await cursor.fetchall())
        finally:
            await connection.ensure_closed()

    return asyncio.run(run())


@contextmanager
def fresh_database(port: int, options: str = "") -> Iterator[str]:
    """Make a database of its own for one test, give its URL, and drop it."""
    name = f"glimpse_{secrets.token_hex(6)}"
    password = PASSWORD.replace("'", "''")
    run_sql(
        port,
        f"CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1' IDENTIFIED BY '{password}'",
        f"CREATE DATABASE {name}",
        f"GRANT ALL ON {name}.* TO '{USER}'@'127.0.0.1'",
    )
    try:
        yield f"mysql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/{name}{options}"
    finally:
        run_sql(port, f"DROP DATABASE {name}")


def skip_or_fail_without_server() -> None:
    """Skip the test if there is no server program, or fail where the run requires one."""
    if find_program("mariadbd", "mysqld") is not None:
        return
    reason = "mariadbd is not installed"
    if os.environ.get("GLIMPSE_REQUIRE_MYSQL") == "1":
        pytest.fail(f"{reason}, and GLIMPSE_REQUIRE_MYSQL=1 asks for it")
    pytest.skip(reason)


@contextmanager
def shared_server(folder: Path) -> Iterator[int]:
    """Take part in the one server of a test run, starting it if need be; gives its port."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users").open("a") as users, (folder / "start").open("a") as start:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while the helper takes a former server down
        fcntl.flock(start, fcntl.LOCK_EX)
        state = folder / "state.json"
        if not state.exists():
            _start_helper(folder)
        fcntl.flock(start, fcntl.LOCK_UN)
        yield int(json.loads(state.read_text())["port"])


def _start_helper(folder: Path) -> None:
    with (folder / "helper.log").open("a") as log:
        helper = subprocess.Popen(
            [sys.executable, "-m", "tests.databases", "serve", str(folder)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        )
    assert helper.stdout is not None
    said = helper.stdout.readline()
    helper.stdout.close()
    if said.strip() != "ready":
        raise RuntimeError("The helper of the database server failed:\n" + (folder / "helper.log").read_text())
    helper.returncode = 0  # it outlives this process on purpose; nobody waits for it


def serve(folder: Path) -> None:
    """Own a server until no process uses it any more."""
    server = MariaDb(folder / "server")
    state = folder / "state.json"
    try:
        server.start()
        state.write_text(json.dumps({"port": server.port}))
        print("ready", flush=True)
        with (folder / "users").open("a") as users:
            fcntl.flock(users, fcntl.LOCK_EX)
            state.unlink(missing_ok=True)  # pytest removes the folder of a run without failures
            server.stop()
    finally:
        state.unlink(missing_ok=True)
        server.stop()


if __name__ == "__main__":
    assert sys.argv[1] == "serve"
    serve(Path(sys.argv[2]))
