"""Logs: one JSON object a line, private also after they rotate."""

import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import logs


@pytest.fixture
def log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(logs, "MAX_LOG_BYTES", 400)
    handler = logs.log_to(tmp_path / "node.log")
    yield tmp_path / "node.log"
    logs.end_log(handler)


def test_every_line_is_json_whatever_it_carries(log_file: Path) -> None:
    log = logging.getLogger("node.test")
    log.info("plain")
    log.info("odd", extra={"number": 2**70, "half": "\ud800", "bytes": b"\x00\n", "escape": "\x1b[2J"})
    lines = log_file.read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["plain", "odd"]
    assert not any("\x1b" in line for line in lines)


def test_a_rotated_log_stays_private(log_file: Path) -> None:
    """The file that follows a rotation was once made with the umask's mode: readable for everybody."""
    log = logging.getLogger("node.test")
    for _ in range(30):
        log.info("x" * 100)
    files = sorted(log_file.parent.iterdir())
    assert len(files) == 1 + logs.KEPT_LOGS
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_loggers_are_as_before_when_the_last_log_ends(tmp_path: Path) -> None:
    """A client that had once kept a log would otherwise swallow what the rest of its process has to say."""
    loggers = [logging.getLogger(name) for name in ("node", "shared", "tui")]
    before = [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]
    first, second = logs.log_to(tmp_path / "a.log", "debug"), logs.log_to(tmp_path / "b.log")
    logs.end_log(first)
    assert not any(logger.propagate for logger in loggers)
    logs.end_log(second)
    assert [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers] == before
