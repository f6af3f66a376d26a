"""Structured logs: one JSON object a line, to a file that rotates. No key and no picture is ever handed to them."""

import json
import logging
import logging.handlers
import os
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import orjson

MAX_LOG_BYTES = 8 * 1024 * 1024
KEPT_LOGS = 3
_LOGGERS = ("node", "shared", "tui")
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as JSON: time (seconds since 1970), level, logger, text, and whatever `extra` holds."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, Any] = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "from": record.name,
            "text": record.getMessage(),
        }
        line.update({key: value for key, value in vars(record).items() if key not in _PLAIN})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except orjson.JSONEncodeError:  # a number beyond 64 bits, or text that is no Unicode
            return json.dumps(line, default=str, skipkeys=True)


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """A rotating log that only its owner may read, whatever the umask is: the file after a rotation too."""

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        return os.fdopen(os.open(self.baseFilename, flags, 0o600), "a", encoding="utf-8")


def log_to(path: Path, level: str = "info") -> logging.Handler:
    """Send the logs of Glimpse to `path` (made 0600, rotated at 8 MiB); return the handler so that it can be closed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _PrivateFile(path, maxBytes=MAX_LOG_BYTES, backupCount=KEPT_LOGS)
    handler.setFormatter(JsonLines())
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(level.upper())
        logger.addHandler(handler)
        logger.propagate = False
    return handler


def end_log(handler: logging.Handler) -> None:
    """Stop sending logs to what `log_to` opened, and close it. After the last, the loggers are as before the first."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.removeHandler(handler)
        if not any(isinstance(other, _PrivateFile) for other in logger.handlers):
            logger.setLevel(logging.NOTSET)
            logger.propagate = True
    handler.close()
