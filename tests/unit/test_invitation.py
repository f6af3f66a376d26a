"""An invitation leads to the cluster of the operator who signed it, and to no other; a slip in a code is found."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cluster import Cluster, NodeAddress, handed_over, invited_cluster, signed_cluster
from shared.errors import InvalidInput, RemoteError
from shared.identity import Identity
from shared.invitation import Invitation
from tui.commands.invite import drawn

OPERATOR, NEXT, STRANGER = (Identity.generate(lambda count, seed=seed: bytes([seed]) * count) for seed in (1, 2, 3))
HOSTS = ("192.0.2.1", "2001:db8::7", "n1.example.org", "a", "n" * 253)
CLUSTER = Cluster(
    "ab" * 16,
    "lan",
    (NodeAddress("n1", "192.0.2.1", 47600, 47601, b"k" * 32), NodeAddress("n2", "::1", 1, 2, b"l" * 32)),
    (OPERATOR.public.session_key,),
    1,
    OPERATOR.public.signing_key,
    is_signed=True,
)
INVITATION = Invitation.to(CLUSTER)


@pytest.mark.parametrize("host", HOSTS)
def test_a_code_is_read_back_as_it_was_made(host: str) -> None:
    cluster = replace(CLUSTER, nodes=(replace(CLUSTER.nodes[0], host=host), *CLUSTER.nodes[1:]))
    invitation = Invitation.to(cluster)
    assert Invitation.of(invitation.code) == invitation
    spread = "\n ".join(invitation.code[start : start + 40] for start in range(0, len(invitation.code), 40))
    assert Invitation.of(spread.lower()) == invitation
    assert [node.host for node in invitation.nodes] == [host, "::1"]


def test_a_large_cluster_has_no_longer_code() -> None:
    nodes = tuple(replace(CLUSTER.nodes[0], name=f"n{number}", port=number + 1) for number in range(15))
    assert len(Invitation.to(replace(CLUSTER, nodes=nodes)).code) <= 190


@given(st.data())
def test_a_slip_in_a_code_is_found(data: st.DataObject) -> None:
    code = INVITATION.code
    at = data.draw(st.integers(0, len(code) - 1))
    letter = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567").filter(lambda other: other != code[at]))
    for wrong in (code[:at] + letter + code[at + 1 :], code[:at] + code[at + 1 :], code[:at]):
        with pytest.raises(InvalidInput):
            Invitation.of(wrong)


@given(st.text())
def test_any_text_is_an_invitation_or_none(text: str) -> None:
    with pytest.raises(InvalidInput):
        Invitation.of(text)


def test_a_cluster_without_a_signature_invites_nobody() -> None:
    with pytest.raises(InvalidInput, match="not signed"):
        Invitation.to(replace(CLUSTER, is_signed=False))


def test_an_invitation_outlasts_changes_of_the_cluster_and_of_its_operator() -> None:
    later = replace(handed_over(CLUSTER, OPERATOR, NEXT), version=7, nodes=CLUSTER.nodes[:1])
    for cluster, operator in ((CLUSTER, OPERATOR), (later, NEXT)):
        assert invited_cluster("ab" * 16, INVITATION.operator, signed_cluster(cluster, operator)) == cluster


STOLEN = replace(CLUSTER, signer=STRANGER.public.signing_key)
HANDOVER = replace(handed_over(CLUSTER, OPERATOR, NEXT).handovers[0], new=STRANGER.public.signing_key)


@pytest.mark.parametrize(
    "data",
    [
        signed_cluster(STOLEN, STRANGER),
        signed_cluster(replace(CLUSTER, cluster_id="cd" * 16), OPERATOR),
        signed_cluster(CLUSTER, OPERATOR).replace(b"47600", b"47602"),
        signed_cluster(replace(STOLEN, handovers=(HANDOVER,)), STRANGER),
        b"",
    ],
    ids=["stranger", "other cluster", "edited", "forged handover", "empty"],
)
def test_no_other_cluster_passes_for_it(data: bytes) -> None:
    with pytest.raises(RemoteError):
        invited_cluster("ab" * 16, INVITATION.operator, data)


def test_the_qr_code_fits_a_terminal_of_80_by_24() -> None:
    lines = drawn(Invitation.to(replace(CLUSTER, nodes=(CLUSTER.nodes[0],) * 2)).code).splitlines()
    widths = {len(line.split("m", 1)[1].removesuffix("\x1b[0m")) for line in lines}
    assert len(lines) < 24
    assert len(widths) == 1
    assert max(widths) <= 80
