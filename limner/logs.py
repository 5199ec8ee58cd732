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
import traceback
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
    stream = stream or sys.stderr
    if format == "auto":
        format = "console" if stream.isatty() else "json"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(format == "json", colors=stream.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("limner").setLevel(level.upper())


def _formatter(as_json: bool, *, colors: bool) -> logging.Formatter:
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
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
