"""The client as a person meets it: the real program in a terminal, three real nodes, a second real peer.

What is typed is what a newcomer types; what is asserted stands on the screen, and in the end in the owner's ledger.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from tests.integration.cluster import GLIMPSE, Fault, RunningCluster
from tests.patience import PATIENCE_S
from tests.photos import large_jpeg, photo
from tests.tui.terminal import LONE_ESCAPE, Terminal
from tui.peer import Peer
from tui.peer.models import ViewLogEntry

pytestmark = pytest.mark.xdist_group("client-program")
PICTURE_COLOURS = 200
"""A screen of text has some dozens of colours, a picture in cells hundreds."""


class Stage:
    """A cluster, Ben's agent with one picture, and an empty profile folder for whoever comes."""

    PICTURE: tuple[str, bytes] = ("Coffee.png", photo("coffee.png"))
    AGENT: tuple[str, ...] = tuple(GLIMPSE)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = RunningCluster(folder / "cluster")
        (folder / "pictures").mkdir()
        (folder / "pictures" / self.PICTURE[0]).write_bytes(self.PICTURE[1])
        self.agent = subprocess.Popen(
            [
                *self.AGENT,
                "agent",
                "--profile",
                "ben",
                "--name",
                "Ben",
                "--accept",
                "all",
                "--share",
                folder / "pictures",
            ],
            env=self.env("ben"),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.agent.stdout is not None
        while " is shared as " not in (line := self.agent.stdout.readline()):
            assert line, "the agent ended before it shared anything"

    def env(self, who: str) -> dict[str, str]:
        """Return an environment in which `who` has folders of their own."""
        places = {f"XDG_{kind}_HOME": str(self.folder / who / kind.lower()) for kind in ("DATA", "CONFIG", "STATE")}
        kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
        return {**kept, **places, "GLIMPSE_CLUSTER": str(self.cluster.file)}

    def client(self, who: str = "zoe") -> Terminal:
        """Start the client of somebody."""
        return Terminal([*GLIMPSE, "client"], env=self.env(who))

    def end_agent(self) -> None:
        """Let Ben sign out."""
        if self.agent.poll() is None:
            self.agent.send_signal(signal.SIGTERM)
        assert self.agent.wait(PATIENCE_S) == 0
        assert self.agent.stdout is not None
        self.agent.stdout.close()

    def looks_at_bens_picture(self) -> list[ViewLogEntry]:
        """Return what Ben's ledger says, once his agent has gone."""

        async def ask() -> list[ViewLogEntry]:
            async with Peer(self.folder / "ben" / "data" / "glimpse" / "profiles" / "ben", self.cluster.file) as peer:
                await peer.sign_in()
                return await peer.views_log((await peer.my_images())[0].image)

        return anyio.run(ask)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.end_agent()
    assert stage.cluster.stop() == 0


def register(terminal: Terminal, name: str) -> None:
    """Go from the first screen to the list of people."""
    terminal.wait_for("What should others call you?")
    terminal.wait_for("3 of 3 nodes answer")
    terminal.type(name)
    terminal.press("enter")
    terminal.wait_for("Your account is ready")
    terminal.type(LONE_ESCAPE)
    terminal.wait_for("leads")


def ask_and_look(terminal: Terminal) -> None:
    """Ask for the first picture that is offered, and look at it once it has arrived."""
    terminal.wait_for("Coffee")
    terminal.press("r")
    terminal.wait_for("Note to the owner")
    terminal.press("enter")
    terminal.wait_for("arrived; it is in Peer images")
    terminal.press("3")
    terminal.wait_for("3 of 3 left")
    terminal.press("enter")
    terminal.wait_for("Uses 1 of 3 views")
    terminal.press("tab", "enter")


def test_from_an_empty_profile_folder_to_a_picture_seen(stage: Stage) -> None:
    """By keyboard alone, as the screens themselves say it; the look is in the owner's ledger, once."""
    with stage.client() as terminal:
        register(terminal, "Zoe")
        ask_and_look(terminal)
        terminal.wait_for("2 views left")
        terminal.wait_for(lambda screen: screen.colours > PICTURE_COLOURS)
        terminal.wait_for("Zoe · 20")
        terminal.press("escape")
        terminal.wait_for("2 of 3 left")
        terminal.press("ctrl+q")
        assert terminal.wait_until_over() == 0
    stage.end_agent()
    assert [(look.viewer_name, look.left) for look in stage.looks_at_bens_picture()] == [("Zoe", 2)]


def test_by_mouse_alone_to_a_picture_seen(stage: Stage) -> None:
    """Only the name is typed."""
    with stage.client() as terminal:
        terminal.wait_for("3 of 3 nodes answer")
        terminal.type("Zoe")
        terminal.click("Create account")
        terminal.wait_for("Your account is ready")
        terminal.click("Later")
        terminal.wait_for("Coffee")
        terminal.click("Request", beside="Copy id")
        terminal.wait_for("Note to the owner")
        terminal.click("Request", beside="Cancel")
        terminal.wait_for("arrived; it is in Peer images")
        terminal.click("Peer images")
        terminal.wait_for("3 of 3 left")
        terminal.click("Look")
        terminal.wait_for("Uses 1 of 3 views")
        terminal.click("Look", beside="Cancel")
        terminal.wait_for("2 views left")
        terminal.wait_for(lambda screen: screen.colours > PICTURE_COLOURS)
        terminal.click("Close")
        terminal.wait_for("2 of 3 left")
        terminal.click("Quit")
        assert terminal.wait_until_over() == 0


@pytest.mark.parametrize("fault", Fault)
def test_the_leader_ends_while_an_image_is_on_its_way(stage: Stage, fault: Fault) -> None:
    """The person sees how far it is, at most a short notice, and then the picture. Nothing is to be done again."""
    large = stage.folder / "large.jpg"
    large.write_bytes(large_jpeg().data)
    before = stage.cluster.status()
    leader = next(node for node in before["nodes"] if node["name"] == before["leader"])
    with stage.client() as terminal:
        register(terminal, "Zoe")
        terminal.press("4")
        terminal.wait_for("n Encrypt")
        terminal.press("n")
        terminal.wait_for("Cancel")
        terminal.type(str(large))
        terminal.press("enter")
        terminal.wait_for("Send to a node")
        stage.cluster.end_node(leader["pid"], fault)
        terminal.wait_for("is encrypted")
        terminal.wait_for("v Open")  # the dialog is gone, and the keys are the list's again
        terminal.wait_for("Nobody yet.")  # the picture is in the list and chosen, so that the key is for it
        terminal.press("v")
        terminal.wait_for(lambda screen: screen.colours > PICTURE_COLOURS)
        terminal.press("escape", "ctrl+q")
        assert terminal.wait_until_over() == 0
    after = stage.cluster.status()
    assert after["leader"] not in (None, before["leader"])
    assert after["term"] > before["term"]
