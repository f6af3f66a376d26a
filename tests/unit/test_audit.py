"""The record of what operators did: it reaches every node, is written once each, and takes bounded room."""

import itertools

import anyio
import orjson
import pytest

from node.audit import KEPT_RECORDS, KEPT_S, PER_ROUND, Replication
from node.audit_log import AuditLog
from node.orders import STRANGER_BURST, STRANGER_EVERY_S, StrangerLimit
from shared.config import LOCAL
from shared.errors import StorageError
from shared.wire.node_messages import Audited, AuditHeld, AuditRecord, Join

HB = LOCAL.heartbeat_s
NODES = ("a", "b", "c")


def record(number: int, node: str = "a") -> AuditRecord:
    return AuditRecord(node, 1, number, 1_000.0 + number, "acorn album", "deaf", "20")


def machine(me: str = "a") -> Replication:
    return Replication(me, NODES, LOCAL)


def held(number: int) -> AuditHeld:
    return AuditHeld(node="a", incarnation=1, number=number)


def sends_until(machine: Replication, start: float, until: float) -> list[tuple[float, str, object]]:
    sent: list[tuple[float, str, object]] = []
    now = start
    while (deadline := machine.next_deadline()) <= until:
        assert deadline >= now
        now = max(deadline, now)
        machine.tick(now)
        assert machine.next_deadline() > now, "no busy loop"
        sent += [(now, node, message) for node, message in machine.take_sends()]
    return sent


def test_a_record_is_sent_at_once_and_repeated_ever_less_often_until_it_is_held() -> None:
    replication = machine()
    replication.made(record(1), 0.0)
    sent = sends_until(replication, 0.0, 60.0)
    times = [at for at, node, _ in sent if node == "b"]
    assert times[0] == 0.0
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == 40 * HB
    replication.receive("b", held(1), 61.0)
    assert replication.lacking("b") == 0
    assert {node for _, node, _ in sends_until(replication, 61.0, 200.0)} == {"c"}


def test_a_record_of_another_node_is_written_before_it_is_said_to_be_held() -> None:
    replication = machine("b")
    replication.receive("a", Audited(record=record(1)), 0.0)
    replication.receive("a", Audited(record=record(1)), 0.1)
    assert replication.take_records() == [record(1)]
    assert not replication.take_sends()
    replication.written(record(1), 0.2)
    assert sorted(replication.take_sends()) == [("a", held(1)), ("c", held(1))]
    replication.receive("a", Audited(record=record(1)), 0.3)
    assert not replication.take_records()
    assert replication.take_sends() == [("a", held(1))]


def test_what_could_not_be_written_is_taken_when_it_comes_again() -> None:
    replication = machine("b")
    replication.receive("a", Audited(record=record(1)), 0.0)
    replication.not_written(replication.take_records()[0])
    assert not replication.take_sends()
    replication.receive("a", Audited(record=record(1)), 1.0)
    assert replication.take_records() == [record(1)]


def test_a_node_hands_on_what_another_lacks_though_its_maker_is_gone() -> None:
    replication = machine("b")
    replication.receive("a", Audited(record=record(1)), 0.0)
    replication.take_records()
    replication.written(record(1), 0.0)
    replication.take_sends()
    sent = sends_until(replication, 0.0, 10.0)
    assert sent
    assert {node for _, node, _ in sent} == {"c"}
    assert sent[0][0] >= 4 * HB, "it is the maker's turn first"


def test_nothing_is_handed_on_that_all_have() -> None:
    replication = machine("b")
    replication.receive("a", Audited(record=record(1)), 0.0)
    replication.take_records()
    replication.receive("c", held(1), 0.0)
    replication.written(record(1), 0.1)
    replication.take_sends()
    assert not sends_until(replication, 0.1, 100.0)


def test_a_node_that_comes_back_gets_what_it_lacks_soon() -> None:
    replication = machine()
    replication.made(record(1), 0.0)
    replication.receive("c", held(1), 0.0)
    sends_until(replication, 0.0, 500.0)
    replication.take_sends()
    report = {"load1": 0.0, "cores": 1, "in_flight": 0, "fit": True}
    replication.receive("b", Join(term=0, incarnation=9, **report), 501.0)
    assert replication.next_deadline() <= 501.0


def test_what_a_node_offers_is_bounded_in_number_time_and_datagrams() -> None:
    replication = machine()
    for number in range(KEPT_RECORDS + 50):
        replication.made(record(number), 0.0)
    assert replication.lacking("b") == KEPT_RECORDS
    replication.tick(0.0)
    assert len(replication.take_sends()) == 2 * PER_ROUND
    replication.tick(KEPT_S + 1)
    assert replication.lacking("b") == 0
    assert not replication.take_sends()


def test_what_the_file_had_is_known_and_offered_after_a_restart() -> None:
    replication = machine()
    replication.restore([record(1), record(2, "b")], 0.0)
    replication.receive("b", Audited(record=record(2, "b")), 0.1)
    assert not replication.take_records(), "it is in the file already"
    assert replication.lacking("c") == 2


def test_other_kinds_and_strangers_are_ignored() -> None:
    replication = machine()
    replication.receive("z", Audited(record=record(1, "z")), 0.0)
    assert not replication.take_records()


# --- The file --------------------------------------------------------------------------------------------------------
def test_records_are_lines_of_a_private_file_and_come_back(tmp_path) -> None:
    log = AuditLog(tmp_path / "audit-a.log")
    assert log.tail() == []

    async def write() -> None:
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(log.write, record(number))

    anyio.run(write)
    assert log.path.stat().st_mode & 0o777 == 0o600
    lines = [orjson.loads(line) for line in log.path.read_bytes().splitlines()]
    assert [line["number"] for line in lines] == [found.number for found in log.tail()]
    assert sorted(line["number"] for line in lines) == list(range(20))
    assert lines[0]["order"] == "deaf"


def test_a_torn_line_costs_only_itself(tmp_path) -> None:
    path = tmp_path / "audit-a.log"
    path.write_bytes(b'{"node":"a","inc')
    log = AuditLog(path)
    anyio.run(log.write, record(1))
    assert log.tail() == [record(1)]
    assert len(path.read_bytes().splitlines()) == 2


def test_a_file_that_cannot_be_written_is_a_storage_error(tmp_path) -> None:
    (tmp_path / "there").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="cannot be written"):
        anyio.run(AuditLog(tmp_path / "there").write, record(1))


def test_only_the_last_records_are_read(tmp_path) -> None:
    path = tmp_path / "audit-a.log"
    line = orjson.dumps({name: getattr(record(1), name) for name in AuditRecord.__struct_fields__}) + b"\n"
    path.write_bytes(line * 5_000)
    assert len(AuditLog(path).tail()) == KEPT_RECORDS


# --- Strangers -------------------------------------------------------------------------------------------------------
def test_strangers_cannot_fill_the_disk() -> None:
    limit = StrangerLimit()
    day = 24 * 3600
    written = sum(limit.allows(step / 10) for step in range(10 * day))
    assert written <= STRANGER_BURST + day / STRANGER_EVERY_S
    assert limit.suppressed == 10 * day - written
