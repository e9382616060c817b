"""Log lines on standard error: one JSON object each, or text for people."""

import json
import logging
import time
from typing import Any, Literal


class JsonLines(logging.Formatter):
    """A record as one JSON object, with the ``fields`` it was given."""

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
    """A record as text, its ``fields`` as ``key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, and below it the traceback if there is one."""
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


def refused_handshakes_are_whole(record: logging.LogRecord) -> bool:
    """Leave out what uvicorn says of each WebSocket that an answer refuses, as if it erred."""
    return "without completing handshake" not in record.getMessage()


def config(log_format: Literal["json", "text"]) -> dict[str, Any]:
    """A ``logging.config`` dictionary for the server, the vocoder and uvicorn.

    Uvicorn's own access log stays off, and so do its lines about WebSockets, which hold a query:
    the line of :mod:`vocoder.server.middleware.request_context` replaces both.
    """
    logger = {"handlers": ["stderr"], "level": "INFO", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": FORMATTERS[log_format]}},
        "filters": {"handshakes": {"()": lambda: refused_handshakes_are_whole}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "lines",
                "filters": ["handshakes"],
            }
        },
        "loggers": {"vocoder": logger, "uvicorn": logger | {"level": "WARNING"}},
    }


def join(log_format: Literal["json", "text"]) -> None:
    """Write the service's own lines in a process whose logging is somebody else's."""
    handler = logging.StreamHandler()
    handler.setFormatter(FORMATTERS[log_format]())
    for name in ("vocoder",):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
