"""How far the directory has come: the numbers by which one that was restored from a backup is found out.

Each node that writes has a row of its own, which each of its group commits raises in the same commit. So a directory
that was acknowledged further than it now stands has lost commits, whoever made them.
"""

from dataclasses import dataclass

from node.directory.interface import EngineName, Query, Step, Tx
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


def read_marks(_: Tx) -> Step[Marks]:
    """Return how far the directory is: one statement over a row per node and four look-ups by key.

    Raises Unavailable where the directory lacks its own rows, as one does into which a dump is being loaded.
    """
    rows = yield Query(
        "SELECT (SELECT COALESCE(SUM(commits), 0) FROM writers) AS commits, "
        "(SELECT value FROM meta WHERE name = 'epoch') AS epoch, "
        "(SELECT term FROM lease WHERE name = 'leader') AS term, "
        "(SELECT COALESCE(MAX(id), 0) FROM accounts) AS accounts, "
        "(SELECT COALESCE(MAX(value), 0) FROM meta WHERE name = 'accounts') AS passed_over"
    )
    row = rows.rows[0]
    if row["epoch"] is None or row["term"] is None:
        raise Unavailable("The directory lacks rows of its own: it is being restored just now, or was not in full.")
    accounts = max(int(row["accounts"]), int(row["passed_over"]))
    return Marks(int(row["commits"]), int(row["epoch"]), int(row["term"]), accounts)


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
