"""How the server's process ends: in time, with a word, and at once when it is asked twice."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, cast

import uvicorn

if TYPE_CHECKING:
    from limner.engine.batching.client import LastingClient
    from limner.usecases.closing import Closing
    from limner.web.application import Application
    from limner.web.streams import Streams

log = logging.getLogger(__name__)

ANSWERS_S = 3  # for calls that draw nothing, and for the last bytes of answers
LATE_S = 10.0  # after the deadline, whatever still runs in a thread


class Server(uvicorn.Server):
    """uvicorn's, with one deadline for all that has to end.

    Until it, the port stays open: ``/health/ready`` says that the server stops, and what comes
    now is refused with a sentence instead of a closed door. It ends by itself when ``engine`` has
    failed: a server that cannot draw is of no use.
    """

    def __init__(self, config: uvicorn.Config, engine: LastingClient | None = None) -> None:
        super().__init__(config)
        self._engine = engine

    async def on_tick(self, counter: int) -> bool:
        """As uvicorn's: whether to end."""
        failed = self._engine is not None and self._engine.failure is not None
        return await super().on_tick(counter) or failed

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A first signal lets what is drawn be finished; a second one waits for nothing."""
        if self.should_exit:
            self._closing.hurry()
            return
        self._closing.begin()
        self._streams.stopping = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the drawings, end the streams, then the connections and the application."""
        self._streams.stopping = True
        await self._closing.finish()
        self._streams.close()
        self.config.timeout_graceful_shutdown = ANSWERS_S
        await super().shutdown(sockets)

    def end_in_time(self) -> None:
        """End the process ``LATE_S`` after the deadline, even if a thread cannot be stopped."""
        threading.Thread(target=self._watch, name="limner-end", daemon=True).start()

    def _watch(self) -> None:
        while (deadline := self._closing.deadline) is None or time.monotonic() < deadline + LATE_S:
            time.sleep(0.5)
        log.error("stopping: not ended %g s after the deadline; ending hard", LATE_S)
        logging.shutdown()
        os._exit(1)

    @property
    def _closing(self) -> Closing:
        closing: Closing = cast("Application", self.config.app).state.closing
        return closing

    @property
    def _streams(self) -> Streams:
        streams: Streams = cast("Application", self.config.app).state.streams
        return streams
