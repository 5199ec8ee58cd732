"""The thread that prepares images: traces samplers, encodes prompts and sources, draws noise.

And one beside it for what takes long: a network that makes a picture larger before it is prepared.

The next is the oldest image of the owner on whom the fewest seconds were spent, so that a flood
waits behind its own; of an owner's, one between two phases comes before those that have not begun,
whose memory is still to be taken. What was dropped meanwhile is never begun; seconds spent on it
still count. A newcomer, and one who comes back, starts at the least of those whose turn it was.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable

from limner import machine
from limner.engine.batching.client import Runner
from limner.engine.batching.image import Image

Work = Callable[[Image], None]
Told = Callable[[Image, Exception | None], None]
END_S = 10.0


class Preparer:
    """Calls ``prepare(image)``, then ``done(image, error)``, one image after another."""

    def __init__(
        self, prepare: Work, done: Told, name: str = "limner-prepare", *, gives_way: bool = False
    ) -> None:
        self._prepare, self._gives_way = prepare, gives_way
        self._done = done
        self._waiting: list[Image] = []
        self._spent: dict[str, float] = {}
        self._now = 0.0  # what was spent on the owner whose turn it was last
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self) -> None:
        """Begin to prepare, on a thread of its own."""
        self._thread.start()

    def add(self, images: Iterable[Image]) -> None:
        """Prepare these as well."""
        with self._changed:
            for image in images:
                owner = image.request.owner
                self._spent[owner] = max(self._spent.get(owner, 0.0), self._now)
                self._waiting.append(image)
            self._changed.notify()

    def drop(self, images: Iterable[Image]) -> None:
        """Forget those of these that have not begun."""
        gone = set(images)
        with self._changed:
            self._waiting = [image for image in self._waiting if image not in gone]

    def close(self) -> None:
        """Begin no other, and let what it is at end: until then it holds the model."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout=END_S)

    def next(self) -> Image | None:
        """Take the image whose turn it is; None when there is none."""
        with self._changed:
            if not self._waiting:
                return None
            image = min(self._waiting, key=self._turn)
            self._waiting.remove(image)
            self._now = max(self._now, self._spent[image.request.owner])
            # Whoever is not ahead may be forgotten: coming back costs and gains nothing.
            present = {image.request.owner for image in (image, *self._waiting)}
            self._spent = {o: s for o, s in self._spent.items() if o in present or s > self._now}
            return image

    def _turn(self, image: Image) -> tuple[float, bool]:
        return self._spent[image.request.owner], image.evaluation == 0

    def run(self, image: Image) -> None:
        """Prepare one, and charge its owner with the time."""
        began, failure = time.perf_counter(), None
        try:
            self._prepare(image)
        except Exception as error:
            failure = error
        with self._changed:
            owner, seconds = image.request.owner, time.perf_counter() - began
            self._spent[owner] = self._spent.get(owner, self._now) + seconds
        self._done(image, failure)

    def _main(self) -> None:
        if self._gives_way:
            machine.give_way()
        while self._wait():
            image = self.next()
            if image is not None:
                self.run(image)
            del image  # or its source would stay until the next one comes

    def _wait(self) -> bool:
        """Block until there is something to prepare; False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._closed)
            return not self._closed


class Preparers:
    """``Preparer`` for all images; those that ``enlarges`` pass through ``enlarge`` before it.

    That has a thread of its own, which gives way to the rest: nobody else waits for it.
    """

    def __init__(
        self,
        runner_of: Callable[[Image], Runner],
        post: Callable[[Callable[[], None]], None],
        done: Told,
    ) -> None:
        """``post`` has something run on the engine's thread, and so ``done``."""

        def enlarge(image: Image) -> None:
            runner_of(image).enlarge(image)

        def prepare(image: Image) -> None:
            runner_of(image).prepare(image)

        def tell(image: Image, failure: Exception | None) -> None:
            post(lambda: done(image, failure))

        self.plain = Preparer(prepare, tell)
        self.large = Preparer(enlarge, self._enlarged, "limner-enlarge", gives_way=True)
        self._tell = tell

    def start(self) -> None:
        """Begin to prepare, on threads of their own."""
        self.plain.start()
        self.large.start()

    def add(self, images: Iterable[Image]) -> None:
        """Prepare these as well."""
        for image in images:
            (self.large if image.enlarges else self.plain).add([image])

    def drop(self, images: Collection[Image]) -> None:
        """Forget those of these that have not begun."""
        self.large.drop(images)
        self.plain.drop(images)

    def close(self) -> None:
        """Begin no other, and let what they are at end."""
        self.large.close()
        self.plain.close()

    def _enlarged(self, image: Image, failure: Exception | None) -> None:
        if failure is None:
            self.plain.add([image])
        else:
            self._tell(image, failure)
