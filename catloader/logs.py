"""The log: lines of text, or one JSON object a line. Each line of a request has the request's id."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal

LogFormat = Literal["text", "json"]

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the current request; empty outside of requests."""

_QUIET = ("alembic", "botocore", "boto3", "werkzeug", "PIL")
"""Loggers that log warnings and errors only."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SECRET_PART = re.compile(r"(/(?:s|deleted|new-password|confirm-email)/)[^/]+")


class TextFormatter(logging.Formatter):
    """``TIME LEVEL MESSAGE``, with the request's id at the end of the line.

    Line breaks and control characters are escaped, because visitors choose parts of messages, such as paths.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = _CONTROL.sub(_escaped, record.message)
        line = super().formatMessage(record)
        return f"{line} [request {id}]" if (id := request_id.get()) else line


def _escaped(character: re.Match[str]) -> str:
    return character[0].encode("unicode_escape").decode()


class JsonFormatter(logging.Formatter):
    """JSON lines: ``time`` (UTC), ``level``, ``logger``, ``message``, ``request_id``, ``traceback``."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": _utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if id := request_id.get():
            fields["request_id"] = id
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return _line(fields)


def logged_path(path: str) -> str:
    """Return a path for the log, without the tokens of links, which every reader of the log could use."""
    return _SECRET_PART.sub(r"\1***", path)


def configure(log_format: LogFormat, level: int = logging.INFO) -> None:
    """Send the log of the process to standard error, from this level on.

    The JSON log also has the messages that Python writes itself: warnings, errors that end a thread or the
    process, and ignored errors.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler])
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    if log_format == "json":
        logging.captureWarnings(True)
        sys.excepthook, threading.excepthook = _log_end_of_process, _log_end_of_thread
        sys.unraisablehook = _log_ignored


def _log_end_of_process(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger(__name__).critical("an error ended this process", exc_info=(kind, error, trace))


def _log_end_of_thread(end: threading.ExceptHookArgs) -> None:
    if end.exc_value is None or issubclass(end.exc_type, SystemExit):
        return
    facts = end.exc_type, end.exc_value, end.exc_traceback
    name = end.thread.name if end.thread else "unknown"
    logging.getLogger(__name__).critical("an error ended the thread %s", name, exc_info=facts)


def _log_ignored(ignored: sys.UnraisableHookArgs) -> None:
    """Log an error that can't be caught, such as an error in ``__del__``."""
    value = ignored.exc_value
    facts = None if value is None else (ignored.exc_type, value, ignored.exc_traceback)
    logging.getLogger(__name__).error("an error was ignored in %r", ignored.object, exc_info=facts)


def format_early_lines(log_format: str) -> None:
    """Use the format before ``configure`` too, for warnings about the settings."""
    if log_format == "json" and logging.lastResort is not None:
        logging.lastResort.setFormatter(JsonFormatter())


def is_json() -> bool:
    """Return True if the log is JSON, so that printed lines should be JSON too."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def printed(line: str) -> str:
    """Return a line for standard output, in the format of the log."""
    return _line({"time": _utc(time.time()), "level": "INFO", "message": line}) if is_json() else line


def access_line(facts: Mapping[str, Any]) -> str:
    """Return the access-log line of a request.

    Args:
        facts: ``address``, ``method``, ``path``, ``status``, ``bytes`` and ``ms``; also ``request_id`` and
            ``photo_ids`` if the request reached the application.
    """
    if is_json():
        return _line({"time": _utc(time.time()), "level": "INFO", "logger": "access", **facts})
    now = logging.Formatter().formatTime(logging.makeLogRecord({}))  # as in the other lines
    text = now + ' {address} "{method} {path}" {status} {bytes} bytes {ms} ms'.format(**facts)
    if "request_id" in facts:
        text += f" request {facts['request_id']}"
    if facts.get("photo_ids"):
        text += " photos " + ",".join(map(str, facts["photo_ids"]))
    return text


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _line(fields: Mapping[str, Any]) -> str:
    # ASCII only: escapes are safe in every program that shows the log.
    return json.dumps(fields)
