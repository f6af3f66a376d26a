"""The monitor as an operator meets it: the real program in a terminal, over three real nodes."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.identity import Identity
from shared.keyfiles import save_identity
from tests.integration.cluster import GLIMPSE, Fault, RunningCluster
from tests.tui.terminal import Terminal

pytestmark = [pytest.mark.xdist_group("monitor-program"), pytest.mark.timeout(400)]

_LEADS = re.compile(r"(\w+) leads\s+term (\d+)")
NODES = ("n1", "n2", "n3")
"""In the order in which they stand beside each other and in dialogs."""
AUDIT_PATIENCE_S = 90.0
"""A node that is deaf for 20 s gets what it missed afterwards, as does one that missed its last word."""


class Stage:
    """A cluster that can be stopped and started again, and monitors over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster: RunningCluster | None = RunningCluster(folder / "cluster")
        self.file = self.cluster.file

    def env(self) -> dict[str, str]:
        places = {f"XDG_{kind}_HOME": str(self.folder / "home" / kind.lower()) for kind in ("DATA", "CONFIG", "STATE")}
        kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
        return {**kept, **places}

    def monitor(self, file: Path | None = None) -> Terminal:
        command = [*GLIMPSE, "monitor", "--cluster", str(file or self.file)]
        return Terminal(command, env=self.env(), columns=120, rows=40)

    def stop(self) -> None:
        """Stop all nodes."""
        if self.cluster is not None:
            assert self.cluster.stop() == 0
            self.cluster = None

    def start(self) -> None:
        """Start the same nodes again, each with a new life."""
        assert self.cluster is None
        self.cluster = RunningCluster(self.folder / "cluster")

    def audit_logs(self) -> list[list[dict]]:
        """Return what the audit log file of each node says."""
        files = sorted((self.folder / "cluster").glob("*audit*"))
        return [[json.loads(line) for line in file.read_text().splitlines()] for file in files]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.stop()


def leadership(terminal: Terminal) -> tuple[str, int] | None:
    """Return who leads which term, as the first line says."""
    found = _LEADS.search(terminal.lines[0])
    return None if found is None else (found[1], int(found[2]))


def wait_for_leader(terminal: Terminal, *, after_term: int = 0) -> tuple[str, int]:
    """Wait until the monitor shows a leader of a later term with all that it heard; return it."""
    terminal.wait_for(lambda screen: (found := leadership(screen)) is not None and found[1] > after_term)
    found = leadership(terminal)
    assert found is not None
    return found


def title_of(terminal: Terminal, name: str) -> str:
    """Return the line of the dashboard in which the panels have their titles, from a node's name on."""
    line = next((line for line in terminal.lines if re.search(rf"│\s*{name} ", line)), "")
    return line[line.find(f"{name} ") :].split("│")[0]


@pytest.mark.parametrize("fault", Fault)
def test_the_leader_ends_and_the_monitor_shows_how_it_is_replaced(stage: Stage, fault: Fault) -> None:
    assert stage.cluster is not None
    with stage.monitor() as terminal:
        former, term = wait_for_leader(terminal)
        terminal.wait_for("3 of 3 nodes up")
        stage.cluster.end_node(stage.cluster.pid(former), fault)
        terminal.wait_for(lambda screen: "DOWN" in title_of(screen, former))
        leader, later = wait_for_leader(terminal, after_term=term)
        assert leader != former
        assert later > term
        terminal.wait_for("2 of 3 nodes up")
        terminal.wait_for(lambda screen: "LEADER" in title_of(screen, leader))
        terminal.press("2")
        terminal.wait_for(lambda screen: re.search(rf"{former}.*{leader}|{leader}.*leads", screen.text) is not None)
        terminal.wait_for("NEW_LEADER")
        terminal.wait_for("RESIGN" if fault is Fault.STOPPED else f"{former} was heard last")
        terminal.press("4")
        terminal.wait_for(f"leads, term {later}")
        terminal.wait_for("does not answer")
        terminal.press("q")
        assert terminal.wait_until_over() == 0


def test_a_node_made_deaf_by_key_is_shown_in_all_monitors_and_stands_in_all_audit_logs(stage: Stage) -> None:
    with stage.monitor() as terminal, stage.monitor() as other:
        leader, term = wait_for_leader(terminal)
        for screen in (terminal, other):
            screen.wait_for("3 of 3 nodes up")
        terminal.press("D")
        terminal.wait_for("deaf for 20 s?")
        terminal.press(*["down"] * NODES.index(leader))
        terminal.wait_for(f"Make {leader} deaf for 20 s?")
        assert not any(stage.audit_logs())
        terminal.press("tab", "enter")
        terminal.wait_for(f"You made {leader} deaf for 20 s.")
        other.wait_for(f"made {leader} deaf for")
        assert "You made" not in other.text
        for screen in (terminal, other):
            wait_for_leader(screen, after_term=term)
        terminal.press("A")
        terminal.wait_for("Last actions of operators")
        terminal.wait_for(f"made {leader} deaf for 20 s")
        terminal.wait_for("all nodes", patience_s=AUDIT_PATIENCE_S)
        logs = stage.audit_logs()
        assert len(logs) == 3
        for log in logs:
            assert [(record["node"], record["order"], record["value"], record["obeyed"]) for record in log] == [
                (leader, "deaf", "20", True)
            ]
        terminal.press("escape")
        for screen in (terminal, other):
            screen.wait_for("3 of 3 nodes up")
            screen.press("q")
            assert screen.wait_until_over() == 0


def test_all_nodes_stop_and_come_back_while_the_monitor_is_open(stage: Stage) -> None:
    with stage.monitor() as terminal:
        _, term = wait_for_leader(terminal)
        terminal.wait_for("3 of 3 nodes up")
        stage.stop()
        terminal.wait_for("Nothing answers since")
        terminal.wait_for("0 of 3 nodes up")
        stage.start()
        wait_for_leader(terminal, after_term=term)
        terminal.wait_for("3 of 3 nodes up")
        terminal.press("q")
        assert terminal.wait_until_over() == 0


def says(text: str, words: str) -> bool:
    """Whether words are on the screen. A long line is broken anywhere: how long it is depends on the test's folder."""
    return "".join(words.split()) in "".join(text.split())


def test_who_is_no_operator_is_told_so_and_sees_nothing(stage: Stage) -> None:
    elsewhere = stage.folder / "elsewhere"
    elsewhere.mkdir()
    file = Path(shutil.copy(stage.file, elsewhere))
    with stage.monitor(file) as terminal:
        terminal.wait_for(lambda screen: says(screen.text, "There is no operator's key at"))
        assert terminal.wait_until_over() == 2
    save_identity(elsewhere / "operator.key", Identity.generate())
    with stage.monitor(file) as terminal:
        terminal.wait_for(lambda screen: says(screen.text, "none of this cluster's operators' keys"))
        assert terminal.wait_until_over() == 2
        assert "leads" not in terminal.text
