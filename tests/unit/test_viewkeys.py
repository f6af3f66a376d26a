"""Orders to spend a view and shares on their way: bound to cluster, grant, view, key and viewer."""

import msgspec
import pytest

from shared.config import MAX_MESSAGE_BYTES
from shared.errors import BadSeal, BadSignature
from shared.rights import open_share, seal_share_for_view, spend_signature, verify_spend
from shared.wire.codec import decode, encode
from shared.wire.operations import SpendView, ViewSpent
from shared.wire.peer_messages import Answer, Request
from tests.unit.rights_samples import GRANT, OTHER_GRANT, STRANGER, VIEWER, person

CLUSTER, OTHER_CLUSTER = "c1" * 16, "c2" * 16
VIEW, OTHER_VIEW = "d1" * 16, "d2" * 16
EPHEMERAL = person("ephemeral")
KEY, OTHER_KEY = EPHEMERAL.public.session_key, STRANGER.public.session_key
SHARE = bytes(range(32))
Order = tuple[bytes, str, str, str, bytes]


def test_an_order_holds_for_itself() -> None:
    signature = spend_signature(VIEWER, CLUSTER, GRANT, VIEW, KEY)
    verify_spend(VIEWER.public.signing_key, signature, CLUSTER, GRANT, VIEW, KEY)


@pytest.mark.parametrize(
    "order",
    [
        (STRANGER.public.signing_key, CLUSTER, GRANT, VIEW, KEY),
        (VIEWER.public.signing_key, OTHER_CLUSTER, GRANT, VIEW, KEY),
        (VIEWER.public.signing_key, CLUSTER, OTHER_GRANT, VIEW, KEY),
        (VIEWER.public.signing_key, CLUSTER, GRANT, OTHER_VIEW, KEY),
        (VIEWER.public.signing_key, CLUSTER, VIEW, GRANT, KEY),
        (VIEWER.public.signing_key, CLUSTER, GRANT, VIEW, OTHER_KEY),
    ],
)
def test_an_order_holds_for_nothing_else(order: Order) -> None:
    viewer, cluster, grant, view, key = order
    signature = spend_signature(VIEWER, CLUSTER, GRANT, VIEW, KEY)
    with pytest.raises(BadSignature):
        verify_spend(viewer, signature, cluster, grant, view, key)


def test_the_share_opens_with_the_key_of_its_view() -> None:
    sealed = seal_share_for_view(SHARE, KEY, cluster_id=CLUSTER, grant_id=GRANT, view_id=VIEW)
    opened = open_share(EPHEMERAL.session_private, sealed, cluster_id=CLUSTER, grant_id=GRANT, view_id=VIEW)
    assert opened == SHARE


@pytest.mark.parametrize(
    ("private", "cluster", "grant", "view"),
    [
        (STRANGER.session_private, CLUSTER, GRANT, VIEW),
        (EPHEMERAL.session_private, OTHER_CLUSTER, GRANT, VIEW),
        (EPHEMERAL.session_private, CLUSTER, OTHER_GRANT, VIEW),
        (EPHEMERAL.session_private, CLUSTER, GRANT, OTHER_VIEW),
        (EPHEMERAL.session_private, CLUSTER, VIEW, GRANT),
    ],
)
def test_the_share_opens_for_no_other_view(private: bytes, cluster: str, grant: str, view: str) -> None:
    sealed = seal_share_for_view(SHARE, KEY, cluster_id=CLUSTER, grant_id=GRANT, view_id=VIEW)
    with pytest.raises(BadSeal):
        open_share(private, sealed, cluster_id=cluster, grant_id=grant, view_id=view)


def test_order_and_answer_fit_a_datagram() -> None:
    signature = spend_signature(VIEWER, CLUSTER, GRANT, VIEW, KEY)
    request = Request(request=VIEW, operation=SpendView(grant=GRANT, ephemeral_key=KEY, signature=signature))
    sealed = seal_share_for_view(SHARE, KEY, cluster_id=CLUSTER, grant_id=GRANT, view_id=VIEW)
    spent = ViewSpent(view=VIEW, grant=GRANT, sealed_share=sealed, left=9_999, at=1e10)
    answer = Answer(request=VIEW, outcome=spent)
    for message in (request, answer):
        data = encode(message, cap_bytes=MAX_MESSAGE_BYTES)
        assert decode(data, type(message), cap_bytes=MAX_MESSAGE_BYTES) == msgspec.convert(
            msgspec.to_builtins(message), type(message)
        )
