"""What two peers in their homes do: one gives a picture, the other opens it, and it is seen which path it took."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from shared.cluster import save_cluster
from tests.integration.cluster import GLIMPSE
from tests.namespaces.world import NODES_HOST, NODES_HOST_6, Home, Internet, within
from tests.patience import PATIENCE_S, wait_until
from tui.commands.up import set_up

BASE_PORT = 47_600
UPGRADED_WITHIN_S = 6.0


@dataclass(frozen=True)
class Taken:
    """The way that a picture took between two homes."""

    owner: Home
    viewer: Home
    first_byte_s: float
    """From the grant until its first bytes were at the viewer's."""
    first_path: str
    final_path: str
    upgraded_s: float | None
    """From the grant until the session went directly; None where it never did."""
    whole: bool
    """Whether the viewer got the picture byte for byte."""

    @property
    def is_direct(self) -> bool:
        """Whether no node was in between in the end."""
        return self.final_path == "direct"


class Person:
    """A peer in a home."""

    def __init__(self, namespace: str, folder: Path, cluster: Path, name: str) -> None:
        self.namespace, self.name = namespace, name
        command = [sys.executable, "-m", "tests.namespaces.peer_main", str(folder / name), str(cluster), name]
        self._process = subprocess.Popen(
            within(namespace, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._account: int | None = None

    @property
    def account(self) -> int:
        """The account; waits until the peer is signed in."""
        if self._account is None:
            self._account = int(self.answer()["account"])
        return self._account

    def tell(self, do: str, **arguments: Any) -> None:
        """Have something done."""
        _ = self.account
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Return the next answer. Raises where the peer has failed."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the peer {self.name} has ended"
        return json.loads(line)

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Have something done, and return what came of it."""
        self.tell(do, **arguments)
        return self.answer()

    def close(self) -> None:
        """End it in order."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._process.stdout.close()


class Cloud:
    """Three nodes, and people in homes of their own."""

    def __init__(self, folder: Path, internet: Internet, stack: ExitStack) -> None:
        self.folder = folder
        self.internet = internet
        self._stack = stack
        self._people = 0
        self.photo = folder / "photo.jpg"
        Image.effect_mandelbrot((640, 400), (-2, -1, 1, 1), 60).save(self.photo, quality=90)
        place = set_up(folder / "cloud", base_port=BASE_PORT, host=NODES_HOST)
        nodes = tuple(replace(node, more_hosts=(NODES_HOST_6,)) for node in place.cluster.nodes)
        save_cluster(place.file, replace(place.cluster, nodes=nodes))
        self.file = place.file
        self.nodes = subprocess.Popen(
            within(internet.nodes, [*GLIMPSE, "up", "--data", str(place.folder)]), stdout=subprocess.PIPE, text=True
        )
        stack.callback(self._stop)
        assert self.nodes.stdout is not None
        ready = self.nodes.stdout.readline()
        assert ready.startswith("ready "), ready

    def status(self) -> dict[str, Any]:
        """Return how the nodes are, as `glimpse status` says."""
        command = [*GLIMPSE, "status", "--json", "--cluster", str(self.file)]
        told = subprocess.run(within(self.internet.nodes, command), capture_output=True, check=True)
        return json.loads(told.stdout)

    def pid(self, node: str) -> int:
        """Return the process of a node."""
        [pid] = [row["pid"] for row in self.status()["nodes"] if row["name"] == node]
        return int(pid)

    def start(self, node: str) -> None:
        """Start a node again that was killed."""
        command = [*GLIMPSE, "node", "--cluster", str(self.file), "--name", node]
        process = subprocess.Popen(within(self.internet.nodes, command))
        self._stack.callback(process.wait, PATIENCE_S)
        self._stack.callback(process.terminate)
        wait_until(lambda: all(row.get("role") for row in self.status()["nodes"]))

    def _stop(self) -> None:
        assert self.nodes.stdout is not None
        self.nodes.terminate()
        self.nodes.wait(PATIENCE_S)
        self.nodes.stdout.close()

    def person(self, home: Home) -> Person:
        """Have somebody sign in from a new home; returns before that is done."""
        return self._in(self.internet.home(home))

    def person_at_a_slow_line(self, rate: float, delay_s: float, loss: float) -> Person:
        """The same at the end of a line with so many bytes a second, so late each way, of which so many are lost."""
        return self._in(self.internet.slow_home(rate, delay_s, loss))

    def _in(self, namespace: str) -> Person:
        self._people += 1
        person = Person(namespace, self.folder, self.file, f"p{self._people}")
        self._stack.callback(person.close)
        return person


@contextmanager
def cloud(folder: Path) -> Iterator[Cloud]:
    """Run a cluster in an internet of its own."""
    with ExitStack() as stack:
        internet = stack.enter_context(Internet())
        yield Cloud(folder, internet, stack)


def goes_directly(one: Home, other: Home) -> bool:
    """Return whether two homes allow a direct path."""
    homes = {one, other}
    if Home.IPV6 in homes:
        return homes <= {Home.IPV6, Home.NONE}
    if Home.BLOCKED in homes or homes == {Home.SYMMETRIC}:
        return False
    return not (Home.SYMMETRIC in homes and homes & {Home.RESTRICTED, Home.DOUBLE})


def give(
    cloud: Cloud,
    owner: Person,
    viewer: Person,
    homes: tuple[Home, Home],
    *,
    within_s: float = UPGRADED_WITHIN_S,
) -> Taken:
    """Have one give the other a picture, and see which path it takes within so many seconds."""
    image = owner.ask("encrypt", path=str(cloud.photo))["image"]
    viewer.tell("open", image=image)
    sent = owner.ask("grant", image=image, viewer=viewer.account)
    opened = viewer.answer()
    final = owner.ask("final", within_s=within_s)
    return Taken(
        *homes,
        first_byte_s=opened["first"] - sent["began"],
        first_path=sent["paths"][0],
        final_path=final["path"],
        upgraded_s=final["at"] - sent["began"] if final["path"] == "direct" else None,
        whole=opened["sha256"] == hashlib.sha256(cloud.photo.read_bytes()).hexdigest(),
    )
