"""How the engines find what lists show in a large directory: by an index and in its order, never whole tables."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from node.directory import Directory, Query, Row, Step, open_directory
from node.directory.interface import EngineName, Transaction
from node.services import accounts, holdings, images, mail, view_requests, views
from node.services.common import Call, Caller
from shared.wire import operations as ops
from shared.wire.base import Message
from tests.contract.people import town
from tests.databases import PATIENT

pytestmark = pytest.mark.anyio

PEOPLE, IMAGES = 3_000, 3_000
IMAGE = "i" + "1".zfill(31)

COUNTS_ALL = "SELECT COUNT(*) AS n FROM accounts a WHERE a.id > 0"
"""The one statement that may read a whole index: how many accounts there are."""
FEW = ("FROM presence p", "FROM views w", "AND g.image_id = :image")
"""What is sorted because there is little of it: those who are online, the viewers and views of one image."""


def numbers(engine: EngineName, most: int) -> str:
    """SQL for a table `s` whose rows are the numbers from 1 to `most`."""
    if engine == "mysql":
        return f"(SELECT seq AS n FROM seq_1_to_{most}) s"
    ones = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {most})"
    return f"({ones.format(most=most)} SELECT n FROM s) s"


def fill(engine: EngineName) -> Step[None]:
    """Make a large directory: people, one of whom offers most of the pictures, and all that hangs on them."""

    def text(letter: str) -> str:
        """SQL for an id of 32 characters that begins with a letter."""
        number = "LPAD(n, 31, '0')" if engine == "mysql" else "printf('%031d', n)"
        return f"'{letter}' || {number}"

    def key(letter: str) -> str:
        return f"CAST({text(letter)} AS {'BINARY' if engine == 'mysql' else 'BLOB'})"

    people, pictures = numbers(engine, PEOPLE), numbers(engine, IMAGES)
    for table, columns, values, source in (
        (
            "accounts",
            "id, name, sort_name, signing_key, session_key, session_signature, created, last_seen",
            f"n + 10, {text('N')}, {text('n')}, {key('k')}, {key('s')}, {key('g')}, n, n",
            people,
        ),
        ("presence", "account_id, host, port, node, nonce, since, expires", "n + 10, 'h', 1, 'n1', 'x', n, n", people),
        (
            "images",
            "id, owner_id, title, format, width, height, size, upload_sha256, upload_size, state, created",
            f"{text('i')}, CASE WHEN n % 3 = 0 THEN n + 10 ELSE 11 END, 't', 'PNG', 1, 1, 1, {key('u')}, 1, "
            "CASE WHEN n % 2 = 0 THEN 'ready' ELSE 'withdrawn' END, n",
            pictures,
        ),
        (
            "asks",
            "id, image_id, viewer_id, owner_id, views, note, state, reason, created",
            f"{text('a')}, {text('i')}, CASE WHEN n % 3 = 0 THEN n + 10 ELSE 12 END, 11, 1, '', 'pending', '', n",
            pictures,
        ),
        (
            "grants",
            "id, image_id, owner_id, viewer_id, granted, consumed, revoked, version, record, cloud_share, "
            "share_signature, epoch, created, updated",
            f"{text('r')}, {text('i')}, 11, CASE WHEN n % 3 = 0 THEN n + 10 ELSE 12 END, 1, 0, 0, 1, {key('x')}, "
            f"{key('x')}, {key('x')}, 1, n, n",
            pictures,
        ),
        (
            "views",
            "id, grant_id, viewer_id, ephemeral_key, granted_left_after, at",
            f"{text('v')}, {text('r')}, 12, {key('e')}, 0, n",
            pictures,
        ),
        (
            "mail",
            "id, account_id, kind, body, created",
            f"{text('m')}, CASE WHEN n % 3 = 0 THEN n + 10 ELSE 11 END, 'k', {key('b')}, n",
            people,
        ),
    ):
        yield Query(f"INSERT INTO {table} ({columns}) SELECT {values} FROM {source}")
        yield Query(f"ANALYZE TABLE {table}" if engine == "mysql" else f"ANALYZE {table}")


class Plans:
    """Runs transactions and asks the engine how it runs their statements."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.seen: list[tuple[str, Sequence[Row]]] = []

    async def run(self, transaction: Transaction[Any]) -> Any:
        return await self._directory.read(lambda tx: self._explained(transaction(tx)))

    def _explained(self, step: Step[Any]) -> Step[Any]:
        explain = "EXPLAIN QUERY PLAN " if self._directory.engine == "sqlite" else "EXPLAIN "
        try:
            query = next(step)
            while True:
                plan = yield Query(explain + query.sql, query.parameters)
                self.seen.append((query.sql, plan.rows))
                query = step.send((yield query))
        except StopIteration as end:
            return end.value

    def faults(self) -> Iterator[str]:
        """Say which statements read a table or an index from end to end, or sort what an index could give in order."""
        for sql, plan in self.seen:
            if sql == COUNTS_ALL:
                continue
            sorts = " ".join(str(row.get("detail", row.get("Extra"))) for row in plan)
            is_sorted = (
                ("TEMP B-TREE" in sorts or "filesort" in sorts)
                and "LIMIT" in sql
                and not any(source in sql for source in FEW)
            )
            if is_sorted:
                yield f"sorts: {sql}"
            for row in plan:
                if self._directory.engine == "sqlite":
                    detail = str(row["detail"])
                    in_order = "USING COVERING INDEX" in detail and "LIMIT" in sql
                    if detail.startswith("SCAN") and not in_order:
                        yield f"{detail}: {sql}"
                elif row["type"] == "ALL" and int(row["rows"] or 0) > PEOPLE / 10:
                    yield f"reads all {row['rows']} rows of {row['table']}: {sql}"


async def test_no_list_reads_a_whole_table(directory_url: str) -> None:
    async with town(directory_url) as place, open_directory(directory_url, timing=PATIENT) as directory:
        person = await place.person("Zoe")
        await person.sign_in()
        await directory.write(lambda tx: fill(directory.engine))
        plans = Plans(directory)
        caller = Caller(b"s" * 32, "192.0.2.7", 11, "N", b"k" * 32)
        call = Call(caller, "0" * 32, person.services._environment, None)
        looks: list[tuple[Any, Message]] = [
            (accounts.list_users, ops.ListUsers()),
            (accounts.list_users, ops.ListUsers(page=20)),
            (accounts.find, ops.FindAccount(account=12)),
            (images.offered, ops.OfferedImages(owner=11)),
            (images.offered, ops.OfferedImages(owner=11, page=5)),
            (images.mine, ops.MyImages()),
            (view_requests.listed, ops.ListAsks(incoming=True)),
            (view_requests.listed, ops.ListAsks(incoming=False)),
            (mail.fetch, ops.FetchMail(device="x" * 32)),
            (holdings.listed, ops.ListGrants()),
            (holdings.listed, ops.ListGrants(given=True)),
            (holdings.listed, ops.ListGrants(image=IMAGE)),
            (views.log, ops.ViewsLog(image=IMAGE)),
        ]
        for handler, operation in looks:
            await plans.run(handler(call, operation))
        assert len(plans.seen) > 15
        for f in plans.faults():
            print("FAULT", plans._directory.engine, f)
        assert list(plans.faults()) == []
