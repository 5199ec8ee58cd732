"""Drawing waits while nothing drawn can be stored."""

from __future__ import annotations

import asyncio
import logging

from limner.errors import StorageUnavailable
from limner.usecases.drawing.worker import Worker

log = logging.getLogger(__name__)

AGAIN_S = 2.0


async def watch(worker: Worker) -> None:
    """Try, while files cannot be stored, whether they can again."""
    while True:
        await asyncio.sleep(AGAIN_S)
        if worker.files.failure is None:
            continue
        try:
            await worker.in_store(worker.files.try_again)
        except StorageUnavailable:
            continue  # it is told already
        except Exception:
            log.exception("whether files can be stored could not be tried")
