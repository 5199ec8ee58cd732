"""Structured logs on standard error: one line for each thing that happened, and no secrets.

Modules log through ``logging`` as ever; this decides what a line looks like. Fields bound with
``structlog.contextvars`` (``request_id``) stand on every line of their task.

Keys, passwords in URLs and, as far as that can be known, people's words are kept out: nobody logs
a body or a query string, and of an exception's message only kinds that never quote what they were
given are shown.
"""

from __future__ import annotations

import logging
import re
import sys
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from typing import TextIO

import structlog
from sqlalchemy.exc import DBAPIError
from structlog.typing import EventDict, Processor, WrappedLogger

from limner.errors import (
    CheckpointError,
    EngineFault,
    LedgerError,
    SettingsError,
    Unavailable,
)
from limner.settings import without_password

_KEY = re.compile(r"(?i)\bSG_[0-9a-z]{4,}")
_CAUSES_MAX = 5
REPEATS, REPEATS_S = 20, 10.0
_PLAIN = {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "taskName"}
_SEEN_MAX, _KEY_MAX = 1000, 50  # messages that begin alike are the same one with other numbers
# A ValueError or KeyError quotes the value, pydantic the input, PostgreSQL the row (as DETAIL).
_SPEAKING = (
    OSError,
    MemoryError,
    RuntimeError,
    DBAPIError,
    CheckpointError,
    EngineFault,
    LedgerError,
    SettingsError,
    Unavailable,
)


def configure(format: str = "auto", level: str = "info", stream: TextIO | None = None) -> None:
    """Send all logging to ``stream`` (standard error) as ``json`` or ``console`` lines.

    ``auto`` is ``console`` on a terminal, else ``json``. ``level`` concerns Limner's own modules;
    of libraries only warnings are shown.
    """
    handler = ToStandardError() if stream is None else logging.StreamHandler(stream)
    stream = stream or sys.stderr
    handler.setFormatter(_formatter(is_json(format, stream), colors=stream.isatty()))
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("limner").setLevel(level.upper())


class ToStandardError(logging.StreamHandler[TextIO]):
    """Writes to what is standard error by then: who replaces it may close what was before."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def is_json(format: str, stream: TextIO | None = None) -> bool:
    """Whether lines of ``format`` are JSON on ``stream`` (standard error)."""
    return format == "json" or (format == "auto" and not (stream or sys.stderr).isatty())


class Repeats(logging.Filter):
    """Of warnings and errors that say the same, ``REPEATS`` lines in ``REPEATS_S`` seconds.

    What fails thousands of times a second, such as accepting a connection when all files are
    open, would fill the disk. The next line that is shown says how many were not (``left_out``).
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: OrderedDict[tuple[object, ...], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show it."""
        if record.levelno < logging.WARNING:
            return True
        kind = record.exc_info[0] if record.exc_info else None
        name, now = (record.name, str(record.msg)[:_KEY_MAX], kind), self._clock()
        began, number = self._seen.get(name, (now, 0))
        if now - began >= REPEATS_S:
            if number > REPEATS:
                record.left_out = number - REPEATS
            began, number = now, 0
        self._seen[name] = began, number + 1
        while len(self._seen) > _SEEN_MAX:
            self._seen.popitem(last=False)
        return number < REPEATS


def _formatter(as_json: bool, *, colors: bool) -> logging.Formatter:
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _add_fields,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _show_exception,
        _hide,
    ]
    renderer: Processor = structlog.processors.JSONRenderer()
    if not as_json:
        renderer = structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def _add_fields(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """What Limner's own modules give beside the message.

    Libraries hang on records what is for their own handlers: on theirs, and Ray on everybody's.
    """
    record: logging.LogRecord = line["_record"]
    ours = record.name.partition(".")[0] == "limner"
    for name, value in vars(record).items():
        if name == "left_out" or (ours and not name.startswith("_") and name not in _PLAIN):
            line[name] = value
    return line


def _show_exception(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """The traceback as text; of asyncio's events, which end in reprs, the first line."""
    info = line.pop("exc_info", None)
    if isinstance(info, tuple) and info[1] is not None:
        line["exception"] = describe(info[1])
    if line.get("logger") == "asyncio":
        line["event"] = str(line["event"]).partition("\n")[0]
    return line


def describe(error: BaseException) -> str:
    """Where an exception and its causes came from, and their messages where these are safe."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None and len(parts) < _CAUSES_MAX:
        places = "".join(traceback.format_tb(current.__traceback__))
        parts.append(f"{places}{type(current).__name__}: {_message(current)}")
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    return "\nbecause of\n".join(parts)


def _message(error: BaseException) -> str:
    if not isinstance(error, _SPEAKING):
        return "(message not logged: it may quote what was sent)"
    lines = str(error.orig if isinstance(error, DBAPIError) else error).splitlines()
    return " ".join(line for line in lines if not line.lstrip().startswith(("DETAIL", "CONTEXT")))


def _hide(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    return {name: hide(value) if isinstance(value, str) else value for name, value in line.items()}


def hide(text: str) -> str:
    """``text`` without API keys and without passwords in URLs."""
    return without_password(_KEY.sub("SG_***", text))
