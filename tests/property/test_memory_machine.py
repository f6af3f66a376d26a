"""Nodes' memories under any order of commits, readings, word between nodes, crashes and restores: every restore that
somebody remembers is found, and nothing else is ever taken for one."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from node.directory import Marks
from node.memory import NOTHING, Memory

NODES = st.integers(0, 2)
FIRST = Marks(commits=0, epoch=1, term=0, accounts=0)
GAP = 50


class Cluster(RuleBasedStateMachine):
    """Three nodes over one directory. `shown` is what readers see; `durable` what a power cut leaves of it."""

    @initialize()
    def begin(self) -> None:
        self.shown = self.durable = FIRST
        self.backups = [FIRST]
        self.nodes = [Memory() for _ in range(3)]
        self.files = [NOTHING] * 3
        self.asked: list[Marks | None] = [None] * 3
        self.answers: list[Marks | None] = [None] * 3
        self.read_before: list[Marks | None] = [None] * 3
        """What a node was shown when it asked last, and no power cut has taken since."""
        self.words: list[tuple[int, Marks]] = []
        self.furthest = FIRST
        """The furthest state that was ever on the disk."""
        self.was_restored = False

    # --- The directory -----------------------------------------------------------------------------------------------
    @rule(accounts=st.integers(0, 2), term=st.integers(0, 1))
    def commit(self, accounts: int, term: int) -> None:
        shown = self.shown
        self.shown = replace(
            shown, commits=shown.commits + 1, accounts=shown.accounts + accounts, term=shown.term + term
        )

    @rule()
    def flush(self) -> None:
        self.durable = self.shown
        self.furthest = self.furthest.furthest(self.durable)

    @rule()
    def take_a_backup(self) -> None:
        self.flush()
        self.backups.append(self.durable)

    @rule()
    def power_cut_of_the_database(self) -> None:
        """What was shown and not yet on the disk is gone; everybody's questions end with it."""
        self.shown = self.durable
        self.asked, self.answers, self.read_before = [None] * 3, [None] * 3, [None] * 3

    @rule(number=st.integers(0, 30))
    def restore(self, number: int) -> None:
        backup = self.backups[number % len(self.backups)]
        if backup.is_behind(self.durable):
            self.was_restored = True
        self.shown = self.durable = backup
        self.read_before = [None] * 3

    # --- The nodes ---------------------------------------------------------------------------------------------------
    @rule(node=NODES)
    def ask(self, node: int) -> None:
        if (before := self.read_before[node]) is not None:  # an interval ago: that is on the disk by now
            self.durable = self.durable.furthest(before)
            self.furthest = self.furthest.furthest(self.durable)
        self.read_before[node] = self.shown
        self.asked[node] = self.nodes[node].highest
        self.answers[node] = self.shown

    @rule(node=NODES)
    def hear_the_answer(self, node: int) -> None:
        asked, answer = self.asked[node], self.answers[node]
        if asked is None or answer is None:
            return
        self.asked[node] = self.answers[node] = None
        found = self.nodes[node].read(asked, answer)
        assert (found is not None) == answer.is_behind(asked)
        if found is not None:
            assert self.was_restored, "nothing was restored"
            self.recover(found.highest)

    def recover(self, highest: Marks) -> None:
        """As the transaction does: it looks for itself, and only then recovers."""
        self.flush()
        if not self.durable.is_behind(highest):
            return
        furthest = self.durable.furthest(highest)
        self.shown = self.durable = Marks(
            furthest.commits + GAP, furthest.epoch + 1, furthest.term, furthest.accounts + GAP
        )
        self.furthest = self.furthest.furthest(self.durable)

    @rule(node=NODES)
    def tell(self, node: int) -> None:
        self.words += [(other, self.nodes[node].highest) for other in range(3) if other != node]

    @precondition(lambda self: self.words)
    @rule(number=st.integers(0, 30), lost=st.booleans())
    def hear_a_word(self, number: int, lost: bool) -> None:
        other, marks = self.words.pop(number % len(self.words))
        if not lost:
            self.nodes[other].told(marks)

    @rule(node=NODES)
    def write_down(self, node: int) -> None:
        self.files[node] = self.nodes[node].highest

    @rule(node=NODES)
    def crash(self, node: int) -> None:
        self.nodes[node] = Memory(self.files[node])
        self.asked[node] = self.answers[node] = None

    @rule(node=NODES)
    def stop_in_order(self, node: int) -> None:
        self.flush()
        self.ask(node)
        self.hear_the_answer(node)
        self.nodes[node].settle()
        self.write_down(node)
        self.crash(node)

    @rule(node=NODES)
    def lose_the_folder(self, node: int) -> None:
        self.files[node] = NOTHING
        self.crash(node)

    @invariant()
    def nobody_remembers_what_never_was(self) -> None:
        for marks in (*(memory.highest for memory in self.nodes), *self.files):
            assert not self.furthest.is_behind(marks)

    @invariant()
    def without_a_restore_nobody_is_ahead(self) -> None:
        if not self.was_restored:
            assert all(not self.durable.is_behind(memory.highest) for memory in self.nodes)
            assert self.durable.epoch == 1


Cluster.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestCluster = Cluster.TestCase
