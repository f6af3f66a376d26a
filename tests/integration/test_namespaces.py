"""Real peers behind the kernel's own address translators: a picture gets through, by the way that they allow, and
`glimpse doctor` says what they are."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.integration.cluster import GLIMPSE
from tests.namespaces.pairs import Cloud, cloud, give, goes_directly
from tests.namespaces.world import Home, why_not, within
from tests.patience import PATIENCE_S, wait_until
from tui.peer.doctor import Mapping

_REASON = why_not()
pytestmark = pytest.mark.skipif(bool(_REASON), reason=_REASON or "can be run")
PAIRS = (
    (Home.RESTRICTED, Home.DOUBLE),
    (Home.FULL_CONE, Home.SYMMETRIC),
    (Home.SYMMETRIC, Home.RESTRICTED),
    (Home.BLOCKED, Home.NONE),
    (Home.IPV6, Home.RESTRICTED),
    (Home.IPV6, Home.IPV6),
)
MAPPINGS = {
    Home.NONE: Mapping.NONE,
    Home.RESTRICTED: Mapping.ENDPOINT_INDEPENDENT,
    Home.SYMMETRIC: Mapping.DEPENDENT,
    Home.BLOCKED: Mapping.ENDPOINT_INDEPENDENT,
    Home.IPV6: Mapping.NONE,
}
_SEEN_FOR_S = 2.0
"""How long it is watched that a pair without a direct path stays with a node; a direct path takes a fraction of it."""


def test_every_home_is_reached_and_directly_where_its_router_allows_it(tmp_path: Path) -> None:
    with cloud(tmp_path) as running:
        people = [(running.person(owner), running.person(viewer)) for owner, viewer in PAIRS]
        for homes, (owner, viewer) in zip(PAIRS, people, strict=True):
            expected = goes_directly(*homes)
            taken = give(running, owner, viewer, homes, within_s=PATIENCE_S if expected else _SEEN_FOR_S)
            assert taken.whole, homes
            assert taken.is_direct is expected, taken
            if (mapping := MAPPINGS.get(homes[0])) is not None:
                found = (mapping, ["IPv6" if homes[0] is Home.IPV6 else "IPv4"])
                wait_until(lambda owner=owner, found=found: examined(running, owner.namespace) == found)


def examined(running: Cloud, namespace: str) -> tuple[Mapping, list[str]] | None:
    """Return which translator and which families `glimpse doctor` finds in a home; None where a busy node was too slow
    for a person's patience, and it said so."""
    command = within(namespace, [*GLIMPSE, "doctor", "--json", "--cluster", str(running.file)])
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    told = json.loads(done.stdout)
    return (Mapping(told["translator"]), told["families"]) if done.returncode == 0 else None
