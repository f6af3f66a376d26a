"""How far the directory has come: the numbers by which one that was restored from a backup is found out.

Each node that writes has a row of its own, which each of its group commits raises in the same commit. So a directory
that was acknowledged further than it now stands has lost commits, whoever made them.
"""

from dataclasses import dataclass

from node.directory.interface import EngineName, Query, Step, Transaction, Tx
from shared.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Marks:
    """A state of the directory as four numbers, none of which ever goes back while it loses nothing."""

    commits: int
    """Group commits of all nodes since the directory was made."""
    epoch: int
    """1, and one more for every restore from a backup."""
    term: int
    """Term of the lease of leadership."""
    accounts: int
    """Highest account number given or passed over; 0 while there is none."""

    def is_behind(self, other: "Marks") -> bool:
        """Tell whether this is less far than `other` in any of the four."""
        return (
            self.commits < other.commits
            or self.epoch < other.epoch
            or self.term < other.term
            or self.accounts < other.accounts
        )

    def furthest(self, other: "Marks") -> "Marks":
        """Return the higher of each of the four."""
        return Marks(
            max(self.commits, other.commits),
            max(self.epoch, other.epoch),
            max(self.term, other.term),
            max(self.accounts, other.accounts),
        )


@dataclass(frozen=True, slots=True)
class OwnMarks:
    """How far one node's own row is, within an epoch."""

    epoch: int
    commits: int

    def is_behind(self, other: "OwnMarks") -> bool:
        """Tell whether this is a state from before `other`."""
        return (self.epoch, self.commits) < (other.epoch, other.commits)


class AcknowledgedCommits:
    """The commits that were acknowledged to one node, by which it knows a directory that lacks some of them.

    The count of *all* nodes' commits catches up once nodes go on in a restored directory, and tells nothing from then
    on. A row that its node alone raises cannot do so unseen: what was missed once stays missed until the epoch rises.
    """

    def __init__(self) -> None:
        self.own = OwnMarks(0, 0)
        """The furthest of this node's row that was acknowledged to it."""
        self.total = 0
        """Commits of all nodes that the directory had then."""
        self.lost = False
        """Whether the directory lacked some of them when it was read last."""
        self._lost_in = -1

    def read(self, found: OwnMarks, asked_with: OwnMarks) -> bool:
        """Take a reading of the node's row, and return `lost`; `asked_with` is what `own` was when it was asked for."""
        if found.is_behind(asked_with):
            self._lost_in = found.epoch
        self.lost = found.epoch == self._lost_in
        return self.lost

    def add(self, own: OwnMarks, total: int) -> None:
        """A commit of this node is on disk."""
        self.total = max(self.total, total)
        if not own.is_behind(self.own):
            self.own = own


def read_marks(tx: Tx) -> Step[Marks]:
    """Return how far the directory is. Raises as `read_all_marks` does."""
    return (yield from read_all_marks("")(tx))[0]


def read_all_marks(writer: str) -> Transaction[tuple[Marks, OwnMarks]]:
    """Return how far the directory is, and the row of one node in it: one statement over a row per node and a few
    look-ups by key.

    Raises Unavailable where the directory lacks its own rows, as one does into which a dump is being loaded.
    """
    return lambda _: _read_marks(writer)


def _read_marks(writer: str) -> Step[tuple[Marks, OwnMarks]]:
    rows = yield Query(
        "SELECT (SELECT COALESCE(SUM(commits), 0) FROM writers) AS commits, "
        "(SELECT COALESCE(SUM(commits), 0) FROM writers WHERE name = :writer) AS own, "
        "(SELECT value FROM meta WHERE name = 'epoch') AS epoch, "
        "(SELECT term FROM lease WHERE name = 'leader') AS term, "
        "(SELECT COALESCE(MAX(id), 0) FROM accounts) AS accounts, "
        "(SELECT COALESCE(MAX(value), 0) FROM meta WHERE name = 'accounts') AS passed_over",
        {"writer": writer},
    )
    row = rows.rows[0]
    if row["epoch"] is None or row["term"] is None:
        raise Unavailable("The directory lacks rows of its own: it is being restored just now, or was not in full.")
    accounts = max(int(row["accounts"]), int(row["passed_over"]))
    epoch = int(row["epoch"])
    return Marks(int(row["commits"]), epoch, int(row["term"]), accounts), OwnMarks(epoch, int(row["own"]))


def note_commit(engine: EngineName, writer: str, now: float) -> Query:
    """Raise a node's own row by one commit that saw directory time `now`. Sent along with the commit itself."""
    latest = "CASE WHEN latest > {new} THEN latest ELSE {new} END"
    if engine == "sqlite":
        on_conflict = "ON CONFLICT (name) DO UPDATE SET commits = commits + 1, latest = " + latest.format(
            new="excluded.latest"
        )
    else:
        on_conflict = "ON DUPLICATE KEY UPDATE commits = commits + 1, latest = " + latest.format(new="VALUES(latest)")
    return Query(
        f"INSERT INTO writers (name, commits, latest) VALUES (:name, 1, :latest) {on_conflict}",  # noqa: S608
        {"name": writer, "latest": now},
        deferred=True,
    )
