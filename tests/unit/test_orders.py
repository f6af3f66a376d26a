"""Orders of operators: written down before they are obeyed, and what becomes of a policy without a directory."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import RLock
from types import SimpleNamespace
from typing import Any, cast

import pytest

from node.audit_log import AuditLog
from node.orders import OrderDesk
from node.placement import Policy
from shared.cluster import MAX_CLUSTER_BYTES
from shared.config import MAX_MESSAGE_BYTES
from shared.errors import Unavailable
from shared.net.endpoint import IncomingOffer, Session
from shared.wire.codec import decode
from shared.wire.labels import OrderObject
from shared.wire.node_messages import AuditRecord
from shared.wire.peer_messages import OperatorAnswer, OperatorCommand

pytestmark = pytest.mark.anyio
OPERATOR = bytes(32)
SESSION = Session(1, OPERATOR, ("127.0.0.1", 1), initiator=False, opened_at=0.0)
AWAY = Unavailable("The directory did not answer in time: try again.")


@dataclass
class Control:
    """A control plane that notes what it is told; `trouble` is raised where a policy is chosen."""

    directory_ok: bool = True
    lock: Any = field(default_factory=RLock)
    trouble: Exception | None = None
    chosen: list[Policy] = field(default_factory=list)
    records: list[AuditRecord] = field(default_factory=list)
    election: Any = field(default_factory=lambda: SimpleNamespace(incarnation=7))

    def ordered(self, record: AuditRecord) -> None:
        self.records.append(record)

    async def choose_policy(self, policy: Policy) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.chosen.append(policy)


@dataclass
class Bench:
    control: Control
    desk: OrderDesk
    log: AuditLog
    answers: list[OperatorAnswer]

    async def order(self, command: str, text: str = "") -> OperatorAnswer:
        await self.desk.take(SESSION, OperatorCommand(request=f"{1:032x}", command=command, text=text))
        return self.answers[-1]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    control, answers = Control(), []

    def post(_session: Session, data: bytes) -> None:
        answers.append(decode(data, OperatorAnswer, cap_bytes=MAX_MESSAGE_BYTES))

    log = AuditLog(tmp_path / "audit-a.log", "a", cast("Any", None))
    desk = OrderDesk(
        "a",
        cast("Any", SimpleNamespace(post=post)),
        control=cast("Any", control),
        encoder=cast("Any", None),
        audit=log,
        operators=frozenset({OPERATOR}),
        heartbeat_s=0.25,
        clock=lambda: 0.0,
        wall_clock=lambda: 1_000.0,
        stop=lambda: None,
        hurry=lambda: None,
        following=cast("Any", None),
        change_settings=cast("Any", None),
    )
    return Bench(control, desk, log, answers)


async def test_a_policy_is_chosen_and_on_record(bench: Bench) -> None:
    assert (await bench.order("policy", "round-robin")).ok
    assert bench.control.chosen == [Policy.ROUND_ROBIN]
    assert [(one.order, one.value, one.obeyed) for one in bench.log.tail()] == [("policy", "round-robin", True)]
    assert bench.control.records == bench.log.tail()


async def test_no_policy_is_chosen_while_the_directory_is_known_to_be_away(bench: Bench) -> None:
    bench.control.directory_ok = False
    answer = await bench.order("policy", "round-robin")
    assert not answer.ok
    assert "directory" in answer.text
    assert bench.control.chosen == []
    assert [one.obeyed for one in bench.log.tail()] == [False]


async def test_a_policy_that_could_not_be_chosen_after_all_is_refused_and_the_record_says_so(bench: Bench) -> None:
    bench.control.trouble = AWAY
    answer = await bench.order("policy", "round-robin")
    assert (answer.ok, answer.text) == (False, str(AWAY))
    assert [(one.obeyed, one.text) for one in bench.log.tail()] == [(True, ""), (False, str(AWAY))]
    assert bench.control.records == bench.log.tail()


async def test_what_cannot_be_written_down_is_not_obeyed(bench: Bench) -> None:
    bench.log.path.symlink_to(bench.log.path.with_name("elsewhere"))
    answer = await bench.order("policy", "round-robin")
    assert not answer.ok
    assert "cannot be written" in answer.text
    assert bench.control.chosen == []
    assert bench.control.records == []


# --- Orders with content ---------------------------------------------------------------------------------------------
async def test_what_belongs_to_an_order_is_taken_from_operators_alone(bench: Bench) -> None:
    """A stranger's content is refused before a byte of it is read; an operator's has a cap."""
    label = OrderObject(request=f"{1:032x}")
    stranger = Session(2, b"s" * 32, ("127.0.0.1", 1), initiator=False, opened_at=0.0)
    offer = IncomingOffer(label=b"", size=100, sha256=bytes(32), transfer_id=1)
    assert bench.desk.offered(stranger, label, offer) is None
    assert bench.desk.offered(SESSION, label, replace(offer, size=MAX_CLUSTER_BYTES + 1)) is None
    assert bench.desk.offered(SESSION, label, offer) is not None


async def test_an_order_whose_content_did_not_arrive_does_nothing(bench: Bench) -> None:
    answer = await bench.order("settings", "")
    assert (answer.ok, answer.text) == (False, "What belongs to this order did not arrive; give it again.")
    assert [one.obeyed for one in bench.log.tail()] == [True, False]
