"""The engine's client over replicas: what the use cases submit to, wherever it is drawn."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from limner.engine.batching.client import CacheStats, EngineStats, EngineStatus
from limner.engine.batching.state import State
from limner.engine.batching.tallies import merged
from limner.engine.batching.ticket import End, Event, Reader, Sink, Ticket
from limner.errors import EngineBroken, LimnerError
from limner.replicas.drawing import Drawing, Replicas, moves

log = logging.getLogger(__name__)

LOOK_S = 0.5
ANSWER_S = 60.0
ACCEPT_S = 15.0  # who submits holds a thread meanwhile, and those are few
SILENT = "No replica answers."
SILENT_S = 10.0  # a replica that was there may be slow to answer for so long
GUARD_S = 5.0
GONE_S = 60.0
GONE = f"Neither the head of the Ray cluster nor a replica has answered for {GONE_S:g} s."
Say = Callable[[str], None]
Connect = Callable[[Say], Replicas]


class RemoteEngine:
    """``EngineClient`` over replicas, to which ``connect(say)`` gives the way; it may block.

    What it raises is ``failure`` then. ``read`` finds what tickets start from, on the thread that
    submits: replicas are sent pictures, and see no files of ours. ``alive`` says whether what looks
    after the replicas answers, or raises ``EngineBroken``: that, and silence of all for ``GONE_S``,
    is ``failure`` as well. ``disconnect(failed)`` is called last. At most ``max_queue`` images are
    known at once.
    """

    def __init__(
        self,
        connect: Connect,
        read: Reader,
        *,
        max_queue: int = 256,
        alive: Callable[[], bool] = lambda: True,
        disconnect: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._connect, self._read = connect, read
        self._alive, self._disconnect = alive, disconnect
        self._state = State(max_queue)
        self._tasks: dict[Drawing, asyncio.Task[None]] = {}
        self._running: set[tuple[Drawing, int]] = set()
        self._seen: list[EngineStatus] = []
        self._seen_at = 0.0
        self._known: set[tuple[str, str]] = set()
        self._replicas: Replicas
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, name="limner-replicas", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> Exception | None:
        """Why there are no replicas, or none any more, and will be none."""
        return self._state.failure

    def expect_model(self, model: str = "", vae: str = "") -> None:
        self.status().loaded()
        if (model, vae) not in self._known:
            _raise(self._ask("expect_model", model, vae))
            self._known.add((model, vae))

    def check(self, ticket: Ticket) -> None:
        self.status().loaded()
        _raise(self._ask("check", ticket))

    def submit(self, ticket: Ticket, sink: Sink) -> None:
        self.status().loaded()
        names = ticket.generation.pictures
        pixels = self._read(ticket.sources, names) if names and ticket.sources else {}
        drawing = Drawing(ticket, pixels, sink, self._told)
        self._state.enter(ticket.generation.samples, lambda: self._post(self._start, drawing))
        try:
            drawing.accepted.result(ACCEPT_S)
        except TimeoutError:
            self._post(self._give_up, drawing)
            drawing.accepted.result()

    def abort(self, request_id: str) -> None:
        self._post(self._abort, request_id)

    def watch(self, request_id: str) -> None:
        self._post(self._watch, request_id)

    def status(self) -> EngineStatus:
        return self._state.status

    def close(self, drain_s: float = 0.0) -> None:
        self._state.close()
        _wait(lambda: not self._state.open_images, drain_s)
        self._post(self._abort, None)
        _wait(lambda: not self._state.open_images, ANSWER_S)
        self._post(self._loop.stop)
        self._thread.join(ANSWER_S)
        self._disconnect(self.failure is not None)

    def _post(self, what: Callable[..., Any], *arguments: Any) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(what, *arguments)

    def _ask(self, name: str, *arguments: Any) -> Any:
        asked = asyncio.run_coroutine_threadsafe(self._replicas.ask(name, *arguments), self._loop)
        try:
            return asked.result(ANSWER_S)
        except TimeoutError:
            asked.cancel()
            raise EngineBroken(SILENT) from None

    # The thread of the replicas' event loop.

    def _main(self) -> None:
        try:
            self._replicas = self._connect(self._state.say)
        except Exception as error:
            log.error("the replicas could not be had", exc_info=not isinstance(error, LimnerError))
            self._state.fail(error)
            return
        asyncio.set_event_loop(self._loop)
        own = [self._loop.create_task(each) for each in (self._look(), self._guard())]
        self._loop.run_forever()  # until it is closed
        # What calls to replicas end in from now on is nobody's concern.
        self._loop.set_exception_handler(lambda *_: None)
        for task in own:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*own, return_exceptions=True))

    async def _look(self) -> None:
        """Ask what the replicas do, again and again."""
        while True:
            try:
                seen = await asyncio.wait_for(self._replicas.tell("status"), ANSWER_S)
                self._seen = [each for each in seen if each.model is not None] or self._seen
                if seen:
                    self._seen_at = time.monotonic()
            except Exception as error:
                log.warning("the replicas do not answer: %s", type(error).__name__)
            self._publish()
            await asyncio.sleep(LOOK_S)

    async def _guard(self) -> None:
        """Give up once the cluster is gone, so that the server ends and its work goes back."""
        heard = time.monotonic()
        try:
            while time.monotonic() - max(heard, self._seen_at) < GONE_S:
                if await asyncio.to_thread(self._alive):
                    heard = time.monotonic()
                await asyncio.sleep(GUARD_S)
            raise EngineBroken(GONE)
        except EngineBroken as error:
            self._fail(error)

    def _fail(self, error: EngineBroken) -> None:
        log.critical("the replicas are lost; their images go back: %s", error)
        self._state.fail(error)
        self._loop.call_soon(self._lose, error)  # after what was taken before

    def _lose(self, error: EngineBroken) -> None:
        for drawing, task in list(self._tasks.items()):
            drawing.lose(error)
            task.cancel()

    def _publish(self) -> None:
        if not self._seen:
            return
        silent = time.monotonic() - self._seen_at > SILENT_S
        resident = {each.drawn_with: each for status in self._seen for each in status.resident}
        model, stats = self._seen[0].loaded(), total([status.stats for status in self._seen])
        self._state.publish(model, tuple(resident.values()), len(self._running), stats)
        if silent:
            self._state.rest("no replica answers")

    def _start(self, drawing: Drawing) -> None:
        task = self._loop.create_task(drawing.run(self._replicas))
        self._tasks[drawing] = task
        task.add_done_callback(lambda _: self._over(drawing))

    def _give_up(self, drawing: Drawing) -> None:
        """Unless it has been accepted in this moment."""
        if not drawing.accepted.done():
            drawing.refuse(EngineBroken(SILENT))
            self._tasks[drawing].cancel()

    def _over(self, drawing: Drawing) -> None:
        del self._tasks[drawing]
        drawing.cancelled()  # of effect only where it was before it began

    def _told(self, drawing: Drawing, event: Event) -> None:
        image = drawing, event.index
        if isinstance(event, End):
            self._running.discard(image)
            self._state.leave()
        elif moves(event):
            self._running.add(image)
        self._publish()  # first: whoever hears of the end finds it in the snapshot

    def _abort(self, request_id: str | None) -> None:
        for drawing, task in list(self._tasks.items()):
            if request_id in (None, drawing.ticket.id):
                task.cancel()

    def _watch(self, request_id: str) -> None:
        if any(drawing.ticket.id == request_id for drawing in self._tasks):
            task = self._loop.create_task(self._replicas.tell("watch", request_id))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())


def total(several: list[EngineStats]) -> EngineStats:
    """What all replicas have done together since each began."""
    sums: dict[str, Any] = {
        each.name: sum(getattr(stats, each.name) for stats in several)
        for each in fields(EngineStats)
        if each.name not in ("caches", "models")
    }
    caches: dict[str, CacheStats] = {}
    for stats in several:
        for name, own in stats.caches.items():
            so_far = caches.get(name, CacheStats(0, 0, 0))
            caches[name] = CacheStats(
                so_far.bytes + own.bytes, so_far.hits + own.hits, so_far.misses + own.misses
            )
    return EngineStats(**sums, caches=caches, models=merged(stats.models for stats in several))


def _wait(until: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not until() and time.monotonic() < deadline:
        time.sleep(0.02)


def _raise(error: LimnerError | None) -> None:
    if error is not None:
        raise error
