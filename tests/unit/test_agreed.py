"""The policy of the cluster: the last choice holds everywhere, also at nodes that were away."""

from node.agreed import AgreedPolicy
from node.placement import Policy
from shared.config import LOCAL
from shared.wire.node_messages import Join, PolicyHeld, PolicyIs

NODES = ("a", "b", "c")
REPORT = {"load1": 0.0, "cores": 1, "in_flight": 0, "fit": True}
CHOICE = PolicyIs(version=1, setter=0, policy="round-robin")


def machine(me: str) -> AgreedPolicy:
    return AgreedPolicy(me, NODES, timing=LOCAL)


def test_nothing_is_sent_before_anybody_chose() -> None:
    agreed = machine("a")
    agreed.receive("b", Join(term=0, incarnation=5, **REPORT), 0.0)
    assert agreed.next_deadline() == float("inf")
    assert agreed.policy is Policy.LEAST_COST


def test_a_choice_is_repeated_until_it_is_held() -> None:
    agreed = machine("a")
    agreed.choose(Policy.ROUND_ROBIN, 0.0)
    for _ in range(3):
        agreed.tick(agreed.next_deadline())
    sends = agreed.take_sends()
    assert sends == [("b", CHOICE), ("c", CHOICE)] * 3
    agreed.receive("b", PolicyHeld(version=1, setter=0), 9.0)
    agreed.tick(99.0)
    assert agreed.take_sends() == [("c", CHOICE)]


def test_the_later_choice_holds_and_the_earlier_is_corrected() -> None:
    agreed = machine("b")
    agreed.receive("a", CHOICE, 0.0)
    assert agreed.policy is Policy.ROUND_ROBIN
    agreed.choose(Policy.PRIORITY, 1.0)
    agreed.take_sends()
    agreed.receive("a", CHOICE, 2.0)
    assert agreed.policy is Policy.PRIORITY
    assert agreed.take_sends() == [("a", PolicyHeld(version=2, setter=1))]
    agreed.tick(2.0)
    assert ("a", PolicyIs(version=2, setter=1, policy="priority")) in agreed.take_sends()


def test_choices_made_at_once_at_two_nodes_end_alike_everywhere() -> None:
    machines = {name: machine(name) for name in NODES}
    machines["a"].choose(Policy.ROUND_ROBIN, 0.0)
    machines["c"].choose(Policy.PRIORITY, 0.0)
    for step in range(40):
        for name, agreed in machines.items():
            agreed.tick(step * 0.1)
            for node, message in agreed.take_sends():
                machines[node].receive(name, message, step * 0.1)
    assert {agreed.policy for agreed in machines.values()} == {Policy.PRIORITY}
    assert all(agreed.next_deadline() == float("inf") for agreed in machines.values())


def test_a_restarted_node_is_told_again() -> None:
    agreed = machine("a")
    agreed.receive("b", Join(term=0, incarnation=5, **REPORT), 0.0)
    agreed.choose(Policy.ROUND_ROBIN, 0.0)
    for node in ("b", "c"):
        agreed.receive(node, PolicyHeld(version=1, setter=0), 0.1)
    assert agreed.next_deadline() == float("inf")
    agreed.receive("b", Join(term=0, incarnation=5, **REPORT), 1.0)
    assert agreed.next_deadline() == float("inf"), "the same life"
    agreed.receive("b", Join(term=0, incarnation=6, **REPORT), 2.0)
    agreed.tick(2.0)
    assert agreed.take_sends() == [("b", CHOICE)]


def test_a_policy_that_is_not_known_here_is_not_held() -> None:
    agreed = machine("b")
    agreed.receive("a", PolicyIs(version=4, setter=0, policy="by-moonlight"), 0.0)
    assert agreed.policy is Policy.LEAST_COST
    assert not agreed.take_sends()
