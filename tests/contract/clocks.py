"""A database clock that a test can set, on either engine."""

from node.directory import Directory, mysql_link, sqlite_file

DAY_S = 86_400.0


def set_clock(directory: Directory, ahead_s: float) -> None:
    """Let the database's clock stand so many seconds before its true time, as this directory's connections see it."""
    clock = sqlite_file.CLOCK if directory.engine == "sqlite" else mysql_link.CLOCK
    directory.clock = f"({clock} + {ahead_s!r})"
