"""What the directory promises, on both engines."""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from threading import Event

import anyio
import pytest

from node.directory import (
    Directory,
    DuplicateKey,
    EffectKey,
    Marks,
    MissingReference,
    NodeRow,
    Outcome,
    Query,
    Row,
    StatementFailed,
    Step,
    Tx,
    groups,
    in_list,
    mysql,
    open_directory,
    read_epoch,
    read_marks,
    recover,
    sqlite,
)
from node.directory.migrations import migrate
from node.directory.recovery import ACCOUNTS_PASSED_OVER
from node.directory.schema import MIGRATIONS, Migration, Table
from node.directory.upkeep import SWEEP_BATCH_ROWS
from shared.config import REQUEST_ROW_KEPT_S
from shared.errors import Refused, Unavailable, UserError
from shared.wire.node_messages import RequestKey
from tests.contract.clocks import DAY_S, set_clock
from tests.contract.directory_process import (
    count_up,
    counter,
    effect_key,
    processes,
    request_id,
    results,
    start_counter,
)
from tests.databases import PATIENT
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def several(url: str, count: int) -> AsyncIterator[list[Directory]]:
    """Open one database several times, as several nodes do."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_directory(url, timing=PATIENT)) for _ in range(count)]


@pytest.fixture
async def directory(directory_url: str) -> AsyncIterator[Directory]:
    async with open_directory(directory_url, timing=PATIENT) as opened:
        yield opened


NOTHING = Marks(commits=0, epoch=0, term=0, accounts=0)
restored = recover(NOTHING, certain=True)


def insert_account(name: str = "Ada"):
    def transaction(tx: Tx) -> Step[int]:
        row = {"name": name, "signing_key": os.urandom(32), "session_key": os.urandom(32)}
        rest = {"session_signature": os.urandom(64), "created": tx.now, "last_seen": tx.now}
        return (yield tx.insert("accounts", row | rest)).inserted_id

    return transaction


def run(*queries: Query):
    def transaction(_: Tx) -> Step[list]:
        answers = []
        for query in queries:
            answers.append((yield query))
        return answers

    return transaction


async def rows(directory: Directory, sql: str, **parameters) -> list[Row]:
    [answer] = await directory.read(run(Query(sql, parameters)))
    return list(answer.rows)


class TestWriting:
    async def test_concurrent_transactions_share_a_commit(
        self, directory: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(groups, "GROUP_SECONDS", PATIENCE_S)  # a busy machine gets little done in what it is

        def look_at_clock(tx: Tx) -> Step[float]:
            yield Query("SELECT 1 AS one")
            return tx.now

        times = await asyncio.gather(*(directory.write(look_at_clock) for _ in range(100)))
        assert (
            len(set(times)) <= 10
        )  # nobody waits for company: the first goes alone, the next are those that came then

    @pytest.mark.parametrize("error", [Refused("busy", "Not now."), KeyError("a defect")])
    async def test_a_failing_transaction_takes_nothing_but_itself_back(
        self, directory: Directory, error: Exception
    ) -> None:
        def fail(tx: Tx) -> Step[int]:
            yield from insert_account("Mallory")(tx)
            raise error

        transactions = [insert_account("Ada"), fail, insert_account("Grace"), fail, insert_account("Edith")]
        outcomes = await asyncio.gather(*map(directory.write, transactions), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [int, type(error), int, type(error), int]
        names = await rows(directory, "SELECT name FROM accounts ORDER BY id")
        assert [row["name"] for row in names] == ["Ada", "Grace", "Edith"]
        assert directory.ok

    async def test_a_refused_statement_can_be_answered_and_the_transaction_goes_on(self, directory: Directory) -> None:
        key = os.urandom(32)
        account = {"name": "Ada", "signing_key": key, "session_signature": b"", "created": 1.5, "last_seen": 1.5}

        def twice(tx: Tx) -> Step[str]:
            yield tx.insert("accounts", account | {"session_key": b"1" * 32})
            try:
                yield tx.insert("accounts", account | {"session_key": b"2" * 32})
            except DuplicateKey:
                yield Query("UPDATE accounts SET name = 'Grace' WHERE signing_key = :key", {"key": key})
            return "done"

        assert await directory.write(twice) == "done"
        assert [row["name"] for row in await rows(directory, "SELECT name FROM accounts")] == ["Grace"]

    async def test_references_are_checked(self, directory: Directory) -> None:
        presence = {"host": "::1", "port": 1, "node": "n", "nonce": "s", "since": 0.0, "expires": 0.0}
        with pytest.raises(MissingReference):
            await directory.write(lambda tx: run(tx.insert("presence", presence | {"account_id": 99}))(tx))
        account_id = await directory.write(insert_account())
        await directory.write(lambda tx: run(tx.insert("presence", presence | {"account_id": account_id}))(tx))
        with pytest.raises(MissingReference):
            await directory.write(run(Query("DELETE FROM accounts")))

    @pytest.mark.parametrize(
        "query",
        [
            Query("SELEC 1"),
            Query("SELECT * FROM absent"),
            Query("SELECT :missing AS x"),
            Query("INSERT INTO meta (name, value) VALUES (:name, 1)", {"name": "n" * 33}),
            Query("INSERT INTO meta (name, value) VALUES (:name, 1)", {"name": None}),
            Query("INSERT INTO meta (name, value) VALUES ('x', :value)", {"value": 2**70}),
            Query("INSERT INTO meta (name, value) VALUES ('x', :value)", {"value": "many"}),
            Query("INSERT INTO meta (name, value) VALUES (:name, 1)", {"name": "half \ud83d"}),
            Query("INSERT INTO meta (name, value) VALUES (:name, 1)", {"name": ["list"]}),  # type: ignore[dict-item]
            Query("INSERT INTO mail_acks (mail_id, device, at) VALUES (:id, 'd', 0.5)", {"id": "0" * 33}),
        ],
    )
    async def test_a_wrong_statement_hurts_only_its_own_transaction(self, directory: Directory, query: Query) -> None:
        good, bad, other = await asyncio.gather(
            directory.write(insert_account()),
            directory.write(run(query)),
            directory.write(insert_account()),
            return_exceptions=True,
        )
        assert isinstance(bad, StatementFailed)
        assert isinstance(good, int)
        assert isinstance(other, int)
        assert directory.ok

    async def test_no_update_is_lost_between_nodes(self, directory_url: str) -> None:
        async with several(directory_url, 3) as directories:
            await start_counter(directories[0])
            work = [each.write(count_up("counter", "")) for each in directories for _ in range(30)]
            await asyncio.gather(*work)
            assert await counter(directories[0]) == 90

    async def test_nodes_that_meet_crosswise_all_get_through(self, directory_url: str) -> None:
        """Each transaction changes two rows, half of them in the opposite order: the classic deadlock."""
        async with several(directory_url, 3) as directories:
            for name in "ab":
                await directories[0].announce_node(NodeRow(name, 0, hears=False, address="", term=0))

            def both(order: str):
                def transaction(tx: Tx) -> Step[None]:
                    for name in order:
                        yield from count_up(name, "")(tx)

                return transaction

            orders = ["ab", "ba", "ab"]
            work = [each.write(both(order)) for each, order in zip(directories, orders, strict=True) for _ in range(20)]
            await asyncio.gather(*work)
            assert [node.incarnation for node in await directories[0].nodes()] == [60, 60]

    async def test_a_cancelled_caller_leaves_the_directory_usable(self, directory: Directory) -> None:
        await start_counter(directory)
        tasks = [asyncio.create_task(directory.write(count_up("counter", ""))) for _ in range(40)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(outcome, bytes) for outcome in outcomes) >= 20
        assert 20 <= await counter(directory) <= 40

    async def test_after_closing_everything_is_refused(self, directory_url: str) -> None:
        async with open_directory(directory_url, timing=PATIENT) as directory:
            last = asyncio.create_task(directory.write(insert_account()))
            await asyncio.sleep(0)
        assert await last == 1
        for call in (directory.write(insert_account()), directory.read(read_epoch), directory.read_lease()):
            with pytest.raises(Unavailable):
                await call
        await directory.close()


class TestEffects:
    async def test_repeats_from_several_connections_happen_once(self, directory_url: str) -> None:
        async with several(directory_url, 2) as directories:
            await start_counter(directories[0])
            ids = [request_id(number) for number in range(8)] * 3
            outcomes = await asyncio.gather(
                *(each.effect(effect_key(id_), count_up("counter", id_)) for id_ in ids for each in directories)
            )
            assert await counter(directories[0]) == 8
            assert sum(not outcome.repeated for outcome in outcomes) == 8
            assert len({outcome.answer for outcome in outcomes}) == 8

    async def test_repeats_from_several_processes_happen_once(self, directory: Directory, directory_url: str) -> None:
        await start_counter(directory)
        answers = await results(*([["effects", directory_url, "150"]] * 3))
        assert answers[0] == answers[1] == answers[2]
        assert await counter(directory) == 150
        assert sorted(int(answer.split(":")[1]) for answer in answers[0]) == list(range(1, 151))

    async def test_the_answer_is_there_with_the_effect(self, directory: Directory) -> None:
        await start_counter(directory)
        key = effect_key(request_id(1))
        assert await rows(directory, "SELECT answer FROM requests") == []
        outcome = await directory.effect(key, count_up("counter", "it"))
        assert (outcome.answer, outcome.repeated) == (b"it:1", False)
        [stored] = await rows(directory, "SELECT session_key, request_id, answer FROM requests")
        assert stored == {**key.request._asdict(), "answer": b"it:1"}

    async def test_an_id_used_for_another_body_is_refused(self, directory: Directory) -> None:
        await start_counter(directory)
        id_ = request_id(1)
        await directory.effect(effect_key(id_, b"one"), count_up("counter", ""))
        with pytest.raises(Refused) as refusal:
            await directory.effect(effect_key(id_, b"two"), count_up("counter", ""))
        assert refusal.value.code == "id_reused"
        assert await counter(directory) == 1

    async def test_the_same_id_of_another_account_is_another_request(self, directory: Directory) -> None:
        await start_counter(directory)
        for session_key in (b"a" * 32, b"b" * 32):
            outcome = await directory.effect(
                EffectKey(RequestKey(session_key, request_id(1)), b"d"), count_up("counter", "")
            )
            assert not outcome.repeated
        assert await counter(directory) == 2

    async def test_a_refusal_is_not_stored(self, directory: Directory) -> None:
        def refuse(tx: Tx) -> Step[bytes]:
            yield from insert_account()(tx)
            raise Refused("busy", "Not now.")

        await start_counter(directory)
        key = effect_key(request_id(1))
        with pytest.raises(Refused):
            await directory.effect(key, refuse)
        assert not (await directory.effect(key, count_up("counter", ""))).repeated
        assert await rows(directory, "SELECT id FROM accounts") == []

    async def test_a_killed_process_leaves_all_that_it_acknowledged(
        self, directory: Directory, directory_url: str
    ) -> None:
        await start_counter(directory)
        acknowledged = []
        async with processes(["acknowledge", directory_url]) as [process]:
            for _ in range(60):
                acknowledged.append((await asyncio.to_thread(process.stdout.readline)).strip())
            process.kill()
            acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
        stored = {row["request_id"] for row in await rows(directory, "SELECT request_id FROM requests")}
        assert set(acknowledged) <= stored
        # What was in the middle of its commit may be there too, but with its effect or not at all. A server notices
        # the death of its client a little later, so the count is taken behind the locks of whatever is still open.
        await directory.write(count_up("counter", ""))
        stored = {row["request_id"] for row in await rows(directory, "SELECT request_id FROM requests")}
        assert len(stored) + 1 == await counter(directory)


class TestReading:
    async def test_a_read_sees_one_state(self, directory: Directory) -> None:
        for name in "ab":
            await directory.announce_node(NodeRow(name, 0, hears=False, address="", term=0))

        def set_both(value: int):
            return run(
                Query("UPDATE nodes SET term = :value WHERE name = 'a'", {"value": value}),
                Query("UPDATE nodes SET term = :value WHERE name = 'b'", {"value": value}),
            )

        def read_both(_: Tx) -> Step[tuple[int, int]]:
            first = (yield Query("SELECT term FROM nodes WHERE name = 'a'")).scalar()
            return first, (yield Query("SELECT term FROM nodes WHERE name = 'b'")).scalar()

        async def keep_writing() -> None:
            for value in range(1, 150):
                await directory.write(set_both(value))

        writing = asyncio.create_task(keep_writing())
        seen = []
        while not writing.done():
            seen.append(await directory.read(read_both))
        await writing
        assert all(first == second for first, second in seen)
        assert len(set(seen)) > 1

    async def test_a_read_does_not_write(self, directory: Directory) -> None:
        with pytest.raises(StatementFailed):
            await directory.read(restored)
        assert await directory.read(read_epoch) == 1
        assert directory.ok

    async def test_errors_of_a_read_are_its_callers(self, directory: Directory) -> None:
        def refuse(_: Tx) -> Step[None]:
            yield Query("SELECT 1 AS one")
            raise Unavailable("The viewer is not online.")

        for _ in range(8):  # more often than there are readers
            with pytest.raises(Unavailable, match="not online"):
                await directory.read(refuse)
        assert directory.ok
        assert await directory.read(read_epoch) == 1

    async def test_a_read_without_any_query(self, directory: Directory) -> None:
        def idle(tx: Tx) -> Step[float]:
            yield from ()
            return tx.now

        assert await directory.read(idle) <= await directory.write(idle)

    async def test_database_time_is_the_machines(self, directory: Directory) -> None:
        """Epoch seconds, not days, local time or milliseconds: the servers of this test run on this machine."""
        import time

        before = time.time()
        lease = await directory.read_lease()
        assert before - 5.0 < lease.now < time.time() + 5.0

    async def test_ping(self, directory: Directory) -> None:
        assert 0 < await directory.ping() < 5


class TestRows:
    async def test_rowcount_means_the_same_everywhere(self, directory: Directory) -> None:
        def transaction(tx: Tx) -> Step[list[int]]:
            row = {"name": "n", "value": 7}
            counts = []
            for query in (
                tx.insert("meta", row),
                tx.insert_if_absent("meta", row),
                tx.insert_if_absent("meta", {"name": "m", "value": 1}),
                tx.upsert("meta", row, keys=["name"]),
                tx.upsert("meta", row | {"value": 8}, keys=["name"]),
                tx.upsert("meta", {"name": "o", "value": 1}, keys=["name"]),
                Query("UPDATE meta SET value = 8 WHERE name = 'n'"),
                Query("UPDATE meta SET value = 9 WHERE name = 'n'"),
                Query("UPDATE meta SET value = 9 WHERE name = 'absent'"),
                Query("SELECT name FROM meta WHERE name IN ('m', 'n', 'o')"),
                Query("DELETE FROM meta WHERE name IN ('m', 'n', 'o', 'p')"),
            ):
                counts.append((yield query).rowcount)
            return counts

        assert await directory.write(transaction) == [1, 0, 1, 1, 1, 1, 1, 1, 0, 3, 3]

    @pytest.mark.parametrize(
        "text",
        ["", "Ada", "Zoë 🦊 漢字 \u202e", 'O\'Brien "x" \\ % %s :name ; --', "a\0b\n\r\t\x1a", "trailing  ", "ǅ" * 64],
    )
    async def test_text_comes_back_as_it_was(self, directory: Directory, text: str) -> None:
        await directory.write(insert_account(text))
        assert await rows(directory, "SELECT name FROM accounts WHERE name = :name", name=text) == [{"name": text}]

    async def test_names_that_differ_only_in_case_or_accents_are_different(self, directory: Directory) -> None:
        for name in ("zoe", "Zoe", "zoë"):
            await directory.write(insert_account(name))
        assert len(await rows(directory, "SELECT id FROM accounts WHERE name = 'zoe'")) == 1

    async def test_bytes_and_numbers_come_back_as_they_were(self, directory: Directory) -> None:
        body, at, big = bytes(range(256)) * 64, 1795484805.8719933, 2**63 - 1
        account_id = await directory.write(insert_account())

        def store(tx: Tx) -> Step[None]:
            mail = {"id": "f" * 32, "account_id": account_id, "sender_id": None, "kind": "k", "body": body}
            yield tx.insert("mail", mail | {"created": at})
            yield tx.insert("meta", {"name": "big", "value": big})

        await directory.write(store)
        [mail] = await rows(directory, "SELECT id, sender_id, body, created FROM mail")
        assert mail == {"id": "f" * 32, "sender_id": None, "body": body, "created": at}
        [meta] = await rows(directory, "SELECT value FROM meta WHERE name = 'big'")
        assert meta["value"] == big
        [sums] = await rows(
            directory,
            "SELECT COUNT(*) AS n, SUM(port) AS none, SUM(length(body)) AS s FROM mail LEFT JOIN presence ON 1 = 0",
        )
        assert sums == {"n": 1, "none": None, "s": len(body)}
        assert isinstance(sums["s"], int)

    async def test_one_and_scalar(self, directory: Directory) -> None:
        [none, one, value] = await directory.read(
            run(
                Query("SELECT name FROM meta WHERE 1 = 0"),
                Query("SELECT name, value FROM meta WHERE name = 'epoch'"),
                Query("SELECT value FROM meta WHERE name = 'epoch'"),
            )
        )
        assert none.one() is None
        assert none.scalar() is None
        assert one.one() == {"name": "epoch", "value": 1}
        assert value.scalar() == 1

    async def test_lists(self, directory: Directory) -> None:
        marks, parameters = in_list("name", ["epoch", "it's", "schema_version"])
        found = await rows(directory, f"SELECT name FROM meta WHERE name IN ({marks}) ORDER BY name", **parameters)
        assert [row["name"] for row in found] == ["epoch", "schema_version"]
        marks, parameters = in_list("name", [])
        assert await rows(directory, f"SELECT name FROM meta WHERE name IN ({marks})", **parameters) == []


class TestLease:
    async def test_the_lease_is_used_from_another_event_loop_while_the_first_is_held_up(
        self, directory: Directory
    ) -> None:
        """A node's lane renews the lease in a thread of its own, beside everything else that the node asks."""
        renewed = Event()

        async def lead() -> bool:
            try:
                assert await directory.claim_lease("a#1", 0, 60.0) == 1
                await directory.announce_node(NodeRow("a", 1, True, "here", 1))
                return await directory.renew_lease("a#1", 1, 60.0)
            finally:
                await directory.leave()
                renewed.set()

        assert (await directory.read_lease()).is_free
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(anyio.run, lead)
            while not renewed.is_set():  # no turn of this event loop
                pass
            assert answer.result()
        assert (await directory.read_lease()).holder == "a#1"
        assert [row.name for row in await directory.nodes()] == ["a"]

    async def test_claim_renew_release(self, directory: Directory) -> None:
        assert await directory.claim_lease("a#1", 0, 60.0) == 1
        lease = await directory.read_lease()
        assert (lease.term, lease.holder, lease.is_free) == (1, "a#1", False)
        assert lease.expires - lease.now == pytest.approx(60.0, abs=5.0)
        assert await directory.claim_lease("b#1", 1, 60.0) is None
        assert await directory.renew_lease("a#1", 1, 90.0)
        assert (await directory.read_lease()).expires - lease.expires > 25.0
        assert not await directory.renew_lease("b#1", 1, 60.0)
        assert not await directory.renew_lease("a#1", 2, 60.0)
        assert not await directory.release_lease("b#1", 1)
        assert await directory.release_lease("a#1", 1)
        assert (await directory.read_lease()).is_free
        assert await directory.claim_lease("b#1", 0, 60.0) is None
        assert await directory.claim_lease("b#1", 1, 60.0) == 2

    async def test_it_expires_by_database_time(self, directory: Directory) -> None:
        """A lease of less than no time has run out for whoever asks, and is still the holder's until it is taken."""
        assert await directory.claim_lease("a#1", 0, -1.0) == 1
        assert (await directory.read_lease()).is_free
        assert await directory.renew_lease("a#1", 1, -1.0)
        assert await directory.claim_lease("b#1", 1, 60.0) == 2
        assert not await directory.renew_lease("a#1", 1, 60.0)
        assert not await directory.release_lease("a#1", 1)

    async def test_its_holder_may_claim_a_new_term(self, directory: Directory) -> None:
        assert await directory.claim_lease("a#1", 0, 60.0) == 1
        assert await directory.claim_lease("a#1", 1, 60.0) == 2

    async def test_three_processes_never_win_the_same_term(self, directory: Directory, directory_url: str) -> None:
        won = await results(*(["lease", directory_url, name, "60"] for name in ("a#1", "b#1", "c#1")))
        terms = sorted(term for each in won for term in each)
        assert terms == list(range(1, terms[-1] + 1))
        assert terms[-1] >= 60

    async def test_it_does_not_wait_behind_a_group(self, directory: Directory) -> None:
        """Writers that never stop leave room for the lease within a tenth of its time."""
        await start_counter(directory)
        done = asyncio.Event()

        async def keep_busy() -> None:
            while not done.is_set():
                await asyncio.gather(*(directory.write(count_up("counter", "")) for _ in range(50)))

        busy = [asyncio.create_task(keep_busy()) for _ in range(3)]
        assert await directory.claim_lease("a#1", 0, 60.0) == 1
        took = []
        for _ in range(20):
            began = asyncio.get_running_loop().time()
            assert await directory.renew_lease("a#1", 1, 60.0)
            took.append(asyncio.get_running_loop().time() - began)
        done.set()
        await asyncio.gather(*busy)
        assert sorted(took)[10] < 0.15

    async def test_a_restored_directory_does_not_repeat_terms(self, directory: Directory) -> None:
        assert await directory.claim_lease("a#1", 0, 60.0) == 1
        assert await directory.write(recover(replace(NOTHING, term=7)))
        assert await directory.write(recover(replace(NOTHING, term=7))) is None
        assert await directory.write(recover(replace(NOTHING, term=3))) is None
        assert not await directory.renew_lease("a#1", 1, 60.0)
        assert await directory.claim_lease("b#1", 7, 60.0) == 8


class TestRestored:
    async def test_what_nobody_remembers_further_is_left_as_it_is(self, directory: Directory) -> None:
        """An ordinary start must never freeze what people hold."""
        await directory.write(insert_account())
        before = await directory.marks()
        assert await directory.write(recover(before)) is None
        assert await directory.write(recover(NOTHING)) is None
        after = await directory.marks()
        assert (after.epoch, after.term, after.accounts) == (before.epoch, before.term, before.accounts)

    @pytest.mark.parametrize("number", ["commits", "epoch", "term", "accounts"])
    async def test_each_of_the_numbers_gives_a_restore_away(self, directory: Directory, number: str) -> None:
        """`raise_epoch` was there and nothing called it: a restored backup gave every view back."""
        await directory.write(insert_account())
        now = await directory.marks()
        ahead = replace(now, **{number: getattr(now, number) + 5})
        done = await directory.write(recover(ahead))
        assert done is not None
        assert done.epoch == ahead.epoch + 1
        recovered = await directory.marks()
        assert not recovered.is_behind(ahead)
        assert recovered.epoch == await directory.read(read_epoch) == done.epoch
        assert recovered.commits > ahead.commits
        assert await directory.write(recover(ahead)) is None, "once is enough"

    async def test_nodes_that_find_it_together_recover_it_once(self, directory_url: str) -> None:
        async with several(directory_url, 3) as directories:
            ahead = Marks(commits=900, epoch=4, term=7, accounts=50)
            done = await asyncio.gather(*(each.write(recover(ahead)) for each in directories))
            assert sorted(each is None for each in done) == [False, True, True]
            assert [(await each.marks()).epoch for each in directories] == [5, 5, 5]
            assert (await directories[0].marks()).accounts == 1_050

    async def test_a_node_that_remembers_a_little_more_finds_no_second_restore(self, directory: Directory) -> None:
        ahead = Marks(commits=900, epoch=1, term=7, accounts=50)
        await directory.write(recover(ahead))
        assert await directory.write(recover(replace(ahead, commits=5_000, accounts=60))) is None

    async def test_account_numbers_go_on_behind_all_that_were_given(self, directory_url: str) -> None:
        """A restored directory gave the number of somebody that it had forgotten to the next who registered. The
        numbers that are left out stay so when the directory is opened again."""
        async with open_directory(directory_url, timing=PATIENT) as directory:
            first = await directory.write(insert_account())
            await directory.write(recover(Marks(commits=0, epoch=1, term=0, accounts=first + 40)))
            assert await rows(directory, "SELECT id FROM accounts") == [{"id": first}]
        async with open_directory(directory_url, timing=PATIENT) as directory:
            assert (await directory.marks()).accounts == first + 40 + ACCOUNTS_PASSED_OVER
            assert await directory.write(insert_account()) == first + 41 + ACCOUNTS_PASSED_OVER

    async def test_what_is_known_to_be_restored_is_recovered_whatever_the_numbers_say(
        self, directory: Directory
    ) -> None:
        done = await directory.write(recover(await directory.marks(), certain=True))
        assert done is not None
        assert done.epoch == 2


class TestNodes:
    async def test_rows_carry_database_time(self, directory: Directory) -> None:
        await directory.announce_node(NodeRow("n2", 3, hears=True, address="127.0.0.1:2", term=4))
        await directory.announce_node(NodeRow("n1", 1, hears=False, address="127.0.0.1:1", term=4))
        lease = await directory.read_lease()
        first, second = await directory.nodes()
        assert (first.name, first.incarnation, first.hears, first.address, first.term) == (
            "n1",
            1,
            False,
            "127.0.0.1:1",
            4,
        )
        assert (second.name, second.hears) == ("n2", True)
        assert second.heard_at <= first.heard_at <= lease.now
        assert 0 <= first.age_s <= second.age_s < 30

    async def test_an_older_incarnation_does_not_speak_for_a_newer(self, directory: Directory) -> None:
        await directory.announce_node(NodeRow("n1", 5, hears=True, address="new", term=1))
        await directory.announce_node(NodeRow("n1", 4, hears=False, address="old", term=9))
        [row] = await directory.nodes()
        assert (row.incarnation, row.address, row.term, row.hears) == (5, "new", 1, True)
        await directory.announce_node(NodeRow("n1", 6, hears=False, address="newer", term=2))
        [row] = await directory.nodes()
        assert (row.incarnation, row.address, row.term, row.hears) == (6, "newer", 2, False)


async def rows_of_a_fresh(url: str, sql: str) -> list[Row]:
    async with open_directory(url, timing=PATIENT) as directory:
        return await rows(directory, sql)


class TestSchema:
    async def test_nodes_that_start_together_make_one_schema(self, directory_url: str) -> None:
        assert await results(*([["open", directory_url]] * 3)) == [0, 0, 0]
        async with open_directory(directory_url, timing=PATIENT) as directory:
            [version] = await rows(directory, "SELECT value FROM meta WHERE name = 'schema_version'")
            assert version["value"] == MIGRATIONS[-1].version

    async def test_an_older_program_refuses_a_newer_directory(self, directory_url: str) -> None:
        async with open_directory(directory_url, timing=PATIENT) as directory:
            await directory.write(run(Query("UPDATE meta SET value = 999 WHERE name = 'schema_version'")))
        with pytest.raises(UserError, match=r"schema version 999.*update Glimpse"):
            async with open_directory(directory_url, timing=PATIENT):
                pass

    async def test_a_directory_of_the_first_version_is_brought_up_to_date(
        self, directory_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What it holds stays, its counter begins, and its columns of later versions are empty."""
        for module in (sqlite, mysql):
            monkeypatch.setattr(module, "migrate", lambda name: migrate(name, MIGRATIONS[:1]))
        account = {"name": "Ada", "signing_key": b"s" * 32, "session_key": b"k" * 32, "session_signature": b"x" * 64}
        async with open_directory(directory_url, timing=PATIENT) as old:
            for query in (
                Tx(0.0, old.engine).insert("accounts", account | {"created": 1.0, "last_seen": 1.0}),
                Query("UPDATE meta SET value = 4 WHERE name = 'epoch'"),
                Query("UPDATE lease SET term = 12 WHERE name = 'leader'"),
            ):
                await old._stand(run(query))  # groups need what the second version brings
        monkeypatch.undo()
        for commits in (1, 2):
            async with open_directory(directory_url, timing=PATIENT, writer="n1") as directory:
                assert await directory.write(insert_account(f"Grace {commits}")) == commits + 1
                assert await directory.read(read_marks) == Marks(commits, 4, 12, commits + 1)
                assert await rows(directory, "SELECT taken_by, lasted, consumed_after FROM views") == []
        [version] = await rows_of_a_fresh(directory_url, "SELECT value FROM meta WHERE name = 'schema_version'")
        assert version["value"] == MIGRATIONS[-1].version

    async def test_columns_keep_what_they_hold_under_their_new_names(
        self, directory_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A directory of version 3 with a picture and a stored answer: the answer is still given to a repeat."""
        for module in (sqlite, mysql):
            monkeypatch.setattr(module, "migrate", lambda name: migrate(name, MIGRATIONS[:3]))
        key = effect_key(request_id(1))
        request = {"account_key": key.request.session_key, "request_id": key.request.request_id, "answer": b"done"}
        image = {"id": "a" * 32, "title": "", "format": "PNG", "width": 1, "height": 1, "size": 1, "state": "ready"}
        async with open_directory(directory_url, timing=PATIENT) as old:
            image["owner_id"] = await old.write(insert_account("Ada"))
            for table, row in (
                ("requests", request | {"body_digest": key.body_digest, "created": 1.0}),
                ("images", image | {"sealed_sha256": b"u" * 32, "sealed_size": 17, "created": 1.0}),
            ):
                await old.write(run(Tx(0.0, old.engine).insert(table, row)))
        monkeypatch.undo()
        for _ in range(2):
            async with open_directory(directory_url, timing=PATIENT) as directory:
                assert await directory.effect(key, count_up("counter", "again")) == Outcome(b"done", repeated=True)
                found = await rows(directory, "SELECT upload_sha256, upload_size FROM images")
                assert found == [{"upload_sha256": b"u" * 32, "upload_size": 17}]
                too_long = Query("UPDATE images SET upload_sha256 = :long", {"long": bytes(33)})
                with pytest.raises(StatementFailed):
                    await directory.write(run(too_long))

    async def test_a_later_migration_finds_the_earlier_done(self, directory: Directory) -> None:
        newer = (*MIGRATIONS, Migration(99, (Table("later", ("id {id} NOT NULL PRIMARY KEY", "note {text:8}")),)))
        await directory.write(restored)
        for _ in range(2):
            assert await directory.write(lambda tx: migrate(tx.engine, newer)) == 99
        assert await rows(directory, "SELECT * FROM later") == []
        assert await directory.read(read_epoch) == 2

    async def test_only_one_grant_of_an_image_to_a_viewer_is_unrevoked(self, directory: Directory) -> None:
        owner, viewer = [await directory.write(insert_account(name)) for name in ("Ada", "Grace")]
        image = {
            "id": "a" * 32,
            "owner_id": owner,
            "title": "",
            "format": "PNG",
            "width": 1,
            "height": 1,
            "size": 1,
            "upload_sha256": b"",
            "upload_size": 1,
            "state": "ready",
            "preview": None,
            "created": 0.0,
        }
        await directory.write(lambda tx: run(tx.insert("images", image))(tx))

        def grant(id_: str):
            row = {
                "id": id_,
                "image_id": "a" * 32,
                "owner_id": owner,
                "viewer_id": viewer,
                "granted": 5,
                "consumed": 0,
                "expires": None,
                "revoked": 0,
                "version": 1,
                "record": b"r",
                "cloud_share": b"c",
                "share_signature": b"s" * 64,
                "epoch": 1,
                "created": 0.0,
                "updated": 0.0,
            }
            return lambda tx: run(tx.insert("grants", row))(tx)

        await directory.write(grant("1" * 32))
        with pytest.raises(DuplicateKey):
            await directory.write(grant("2" * 32))
        revoke = Query("UPDATE grants SET revoked = 1 WHERE revoked = 0")
        for number in "345":
            await directory.write(run(revoke))
            await directory.write(grant(number * 32))
        with pytest.raises(DuplicateKey):
            await directory.write(run(Query("UPDATE grants SET revoked = 0")))
        assert len(await rows(directory, "SELECT id FROM grants WHERE live = 1")) == 1
        assert len(await rows(directory, "SELECT id FROM grants")) == 4


class TestSweeping:
    async def test_old_answers_and_lapsed_presence_go(self, directory: Directory) -> None:
        account_ids = [await directory.write(insert_account()) for _ in range(2)]
        await start_counter(directory)
        kept = effect_key(request_id(1))
        await directory.effect(kept, count_up("counter", "kept"))
        old = SWEEP_BATCH_ROWS * 2 + 7

        def age(tx: Tx) -> Step[None]:
            for number in range(old):
                row = {"session_key": b"k", "request_id": request_id(number), "body_digest": b"d", "answer": b"a"}
                yield tx.insert("requests", row | {"created": tx.now - REQUEST_ROW_KEPT_S - 1 - number})
            presence = {"host": "::1", "port": 1, "node": "n", "nonce": "s", "since": 0.0}
            yield tx.insert("presence", presence | {"account_id": account_ids[0], "expires": tx.now - 1.0})
            yield tx.insert("presence", presence | {"account_id": account_ids[1], "expires": tx.now + 60.0})

        await directory.write(age)
        assert await directory.sweep() == old + 1
        assert await directory.sweep() == 0
        assert await rows(directory, "SELECT answer FROM requests") == [{"answer": b"kept:1"}]
        assert (await directory.effect(kept, count_up("counter", "again"))).answer == b"kept:1"
        assert [row["account_id"] for row in await rows(directory, "SELECT account_id FROM presence")] == account_ids[
            1:
        ]


class TestMarks:
    async def test_each_group_commit_of_each_node_raises_the_counter(self, directory_url: str) -> None:
        """The counter is what a restored directory is found out by, so no node's commits may be missing from it."""
        async with (
            open_directory(directory_url, timing=PATIENT, writer="n1") as one,
            open_directory(directory_url, timing=PATIENT, writer="n2") as two,
        ):
            began = await one.read(read_marks)
            assert (began.commits, began.epoch, began.accounts) == (0, 1, 0)
            for directory in (one, two, one):
                await directory.write(insert_account())
            marks = await two.read(read_marks)
            assert marks == Marks(commits=3, epoch=1, term=0, accounts=3)
            assert began.is_behind(marks)
            assert not marks.is_behind(began)
            per_node = await rows(one, "SELECT name, commits FROM writers ORDER BY name")
            assert [(row["name"], row["commits"]) for row in per_node] == [("n1", 2), ("n2", 1)]

    async def test_what_failed_raises_nothing(self, directory: Directory) -> None:
        def fail(tx: Tx) -> Step[int]:
            yield from insert_account("Mallory")(tx)
            raise Refused("busy", "Not now.")

        with pytest.raises(Refused):
            await directory.write(fail)
        assert (await directory.read(read_marks)).commits == 0

    async def test_the_furthest_of_two(self) -> None:
        assert Marks(1, 9, 3, 4).furthest(Marks(5, 2, 7, 0)) == Marks(5, 9, 7, 4)


def look_at_clock(tx: Tx) -> Step[tuple[float, float]]:
    yield Query("SELECT 1 AS one")
    return tx.now, tx.clock


class TestTime:
    async def test_directory_time_does_not_go_back_with_the_clock(self, directory_url: str) -> None:
        """The clock of the machine was set back by a day, and every grant that had expired could be looked at again."""
        async with several(directory_url, 2) as [one, two]:
            before, _ = await one.write(look_at_clock)
            for directory in (one, two):
                set_clock(directory, -DAY_S)
                read, clock = await directory.read(look_at_clock)
                assert read > before
                assert clock < before - DAY_S / 2
                written, _ = await directory.write(look_at_clock)
                assert written > before
                before = written
            set_clock(one, 0.0)
            forward, clock = await one.write(look_at_clock)
            assert forward == clock > before

    async def test_each_commit_is_later_than_the_one_before(self, directory: Directory) -> None:
        set_clock(directory, 0.0)
        await directory.write(look_at_clock)
        set_clock(directory, -DAY_S)
        times = [(await directory.write(look_at_clock))[0] for _ in range(5)]
        assert times == sorted(set(times))
        assert times[-1] - times[0] < 1.0

    async def test_a_lease_further_ahead_than_it_can_be_is_free(self, directory: Directory) -> None:
        """A clock that was an hour ahead before the power failed left the cloud without a leader for an hour."""
        set_clock(directory, 3600.0)
        assert await directory.claim_lease("a#1", 0, 5.0) == 1
        set_clock(directory, 0.0)
        assert (await directory.read_lease(5.0)).is_free
        assert await directory.claim_lease("b#1", 1, 5.0) == 2
        assert not (await directory.read_lease(5.0)).is_free
        assert not await directory.renew_lease("a#1", 1, 5.0)

    async def test_a_lease_survives_a_clock_that_is_set_by_a_moment(self, directory: Directory) -> None:
        """Otherwise two nodes would lead, as a leader trusts its lease by its own clock, which nobody sets."""
        assert await directory.claim_lease("a#1", 0, 60.0) == 1
        set_clock(directory, -30.0)
        assert not (await directory.read_lease(60.0)).is_free
        assert await directory.claim_lease("b#1", 1, 60.0) is None
        assert await directory.renew_lease("a#1", 1, 60.0)

    async def test_a_step_forward_expires_the_lease_once(self, directory: Directory) -> None:
        assert await directory.claim_lease("a#1", 0, 60.0) == 1
        set_clock(directory, DAY_S)
        assert (await directory.read_lease(60.0)).is_free
        assert await directory.claim_lease("b#1", 1, 60.0) == 2
        assert await directory.claim_lease("c#1", 2, 60.0) is None
