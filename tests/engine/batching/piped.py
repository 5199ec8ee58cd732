"""An engine in a process of its own, spoken to over a pipe: what passes is pickled.

As a client over a network it holds the last snapshot that came, knows itself which images are
open, and tells them lost when the other side is gone.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Collection, Mapping
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from limner.engine.batching.client import EngineStatus
from limner.engine.batching.fake import FakeEngine, FakeRunner
from limner.engine.batching.image import Image
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.ticket import End, Event, Lost, Pixels, Reader, Sink, Ticket
from limner.engine.starting import Loader
from limner.errors import EngineBroken, InvalidInput, LimnerError, NotFound
from tests.waiting import wait_until

GONE = "The process of the engine is gone."
STATUS_S = 0.01


def read_from(folder: Path, reference: str, names: Collection[str]) -> Mapping[str, Pixels]:
    """A reader of ``.npz`` files that both processes see."""
    try:
        with np.load(folder / reference) as packed:
            return {name: packed[name] for name in names}
    except FileNotFoundError:
        raise NotFound(f"{reference} is missing") from None


class EchoRunner(FakeRunner):
    """Its pictures of a source are the source, turned over: so it shows that it came."""

    def decode(self, image: Image) -> Pixels:
        drawn = super().decode(image)
        for picture in image.request.pixels.values():
            drawn = picture[::-1]
        return drawn


def echo_engine(read: Reader, step_s: float = 0.004) -> ThreadEngine:
    """The fake engine with that runner."""
    engine = FakeEngine(read=read, max_queue=12)
    engine.fake.__class__ = EchoRunner
    engine.fake.step_s = step_s
    return engine.wait_ready()


def squire_engine(read: Reader) -> ThreadEngine:
    """The embedded model's."""
    engine = ThreadEngine(Loader(device="cpu", dtype="float32", max_rows=8).load, read=read)
    wait_until(lambda: engine.status().ready)
    return engine


class PipedEngine:
    """An ``EngineClient`` of the engine that ``make(read)`` makes in another process."""

    def __init__(self, make: Callable[[Reader], ThreadEngine], folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, make, folder), daemon=True)
        self.process.start()
        theirs.close()
        self._asking, self._sending = threading.Lock(), threading.Lock()
        self._answers: SimpleQueue[LimnerError | None] = SimpleQueue()
        self._open: dict[tuple[str, int], Sink] = {}
        self._status = EngineStatus(ready=False)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def expect_model(self, model: str = "", vae: str = "") -> None:
        known = {each.sha256 for each in self._status.resident}
        if model and model not in known:
            raise InvalidInput("model", f"No engine has {model}.")

    def check(self, ticket: Ticket) -> None:
        """No LoRA is drawn with through a pipe."""
        assert not ticket.generation.loras

    def submit(self, ticket: Ticket, sink: Sink) -> None:
        numbers = range(ticket.first, ticket.first + ticket.generation.samples)
        mine = {(ticket.id, number): sink for number in numbers}
        with self._asking:
            self._open |= mine
            self._send("submit", ticket)
            error = self._answers.get()
        if error is not None:
            for image in mine:
                self._open.pop(image, None)
            raise error

    def abort(self, request_id: str) -> None:
        self._send("abort", request_id)

    def watch(self, request_id: str) -> None:
        self._send("watch", request_id)

    def status(self) -> EngineStatus:
        return self._status

    def close(self, drain_s: float = 0.0) -> None:
        self._send("close", drain_s)
        self._thread.join(60)
        self.process.join(60)

    def _send(self, *message: Any) -> None:
        with self._sending:
            try:
                self._pipe.send(message)
            except OSError:
                self._answers.put(EngineBroken(GONE))

    def _listen(self) -> None:
        handlers = {"event": self._tell, "answer": self._answers.put, "status": self._learn}
        try:
            while True:
                name, *told = self._pipe.recv()
                handlers[name](*told)
        except (EOFError, OSError):
            self._status = EngineStatus(ready=False, message=GONE)
            self._answers.put(EngineBroken(GONE))
            for (request_id, number), _ in list(self._open.items()):
                self._tell(request_id, Lost(number, GONE))

    def _tell(self, request_id: str, event: Event) -> None:
        image = request_id, event.index
        (self._open.pop if isinstance(event, End) else self._open.__getitem__)(image)(event)

    def _learn(self, status: EngineStatus) -> None:
        self._status = status


def _serve(pipe: Connection, make: Callable[[Reader], ThreadEngine], folder: Path) -> None:
    """The other side: messages in, events and snapshots out."""
    engine, sending, ended = make(partial(read_from, folder)), threading.Lock(), threading.Event()

    def send(*message: Any) -> None:
        with sending:
            pipe.send(message)

    def send_status() -> None:
        with sending:  # looked at inside, so that none overtakes a newer one
            pipe.send(("status", engine.status()))

    def push() -> None:
        while not ended.wait(STATUS_S):
            send_status()

    def tell(request_id: str, event: Event) -> None:
        if isinstance(event, End):
            send_status()
        send("event", request_id, event)

    def submit(ticket: Ticket) -> None:
        try:
            engine.submit(ticket, partial(tell, ticket.id))
        except LimnerError as error:
            send("answer", error)
        else:
            send("answer", None)

    threading.Thread(target=push, daemon=True).start()
    name = ""
    while name != "close":
        name, argument = pipe.recv()
        (submit if name == "submit" else getattr(engine, name))(argument)
    ended.set()
