"""What Ray has to say in a server's process goes through the server's log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)


def begin() -> None:
    """Have Ray's modules, once imported, log and print as any library logs."""
    from ray._private import worker

    for name in ("ray", "ray.serve"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    # Signals are the server's own to handle.
    logging.getLogger("ray._private.worker").addFilter(_is_no_signal)
    worker.print_to_stdstream = _tell


def _is_no_signal(record: logging.LogRecord) -> bool:
    return "SIGTERM" not in str(record.msg)  # an exception may be logged as it is


def _tell(data: Mapping[str, Any], **_: Any) -> None:
    """In place of printing what other processes of the cluster have met."""
    for line in data["lines"]:
        log.warning("Ray says: %s", line)
