"""Log lines on standard error: one JSON object per line, or text."""

import json
import logging
import time
from typing import Any, Literal


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object, with its extra ``fields``."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        line = {
            "time": _utc(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """Formats a record as text, with its extra ``fields`` as ``key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, followed by its traceback if it has one."""
        fields = "".join(f" {k}={v!r}" for k, v in getattr(record, "fields", {}).items())
        line = f"{_utc(record)} {record.levelname:<7} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


FORMATTERS: dict[Literal["json", "text"], type[logging.Formatter]] = {
    "json": JsonLines,
    "text": TextLines,
}


def _utc(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


def is_not_refused_handshake(record: logging.LogRecord) -> bool:
    """Drop uvicorn's error about a WebSocket that was refused with an HTTP response."""
    return "without completing handshake" not in record.getMessage()


def config(log_format: Literal["json", "text"], level: str = "info") -> dict[str, Any]:
    """A ``logging.config`` dictionary for the server, the vocoder and uvicorn.

    Uvicorn's access log stays off, and so do its lines about WebSockets, which contain the query:
    the line from :mod:`vocoder.server.middleware.request_context` replaces both.
    """
    logger = {"handlers": ["stderr"], "level": level.upper(), "propagate": False}
    least = "ERROR" if level == "error" else "WARNING"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": FORMATTERS[log_format]}},
        "filters": {"handshakes": {"()": lambda: is_not_refused_handshake}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "lines",
                "filters": ["handshakes"],
            }
        },
        "loggers": {"vocoder": logger, "uvicorn": logger | {"level": least}},
    }


def join(log_format: Literal["json", "text"]) -> None:
    """Log the server's own lines in a process whose logging is configured by someone else."""
    handler = logging.StreamHandler()
    handler.setFormatter(FORMATTERS[log_format]())
    logger = logging.getLogger("vocoder")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
