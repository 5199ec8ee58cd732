"""``Client``: every call is waited for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import sleep
from typing import Any, TypeVar, Unpack

import httpx

from limner.client import finding, redrawing, upscaling
from limner.client import transport as http
from limner.client.finding import Marks, Wanted
from limner.client.pictures import Larger, Picture, Redrawn, Replayed
from limner.client.steps import Answer, Ask, Follow, Pause, Protocol, Step, Steps
from limner.client.words import Credits, ImageLike, OnProgress, Options, Quote, Upscale

T = TypeVar("T")


class Client:
    """Draws with a Limner server, and waits for it.

    ``url`` is by default ``LIMNER_URL``, else ``http://127.0.0.1:8420``; ``key`` is by default
    ``LIMNER_KEY``. ``timeout_s`` is for one answer, not for a picture. A server that is busy or
    cannot be reached is asked ``retries`` times more, with the same idempotency key, so that
    nothing is drawn or billed twice.

    Every method raises the errors of ``limner.errors``, as the server raised them.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 5,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        arguments = http.settings(url, key, timeout_s, headers or {})
        self._http = httpx.Client(**arguments, transport=transport)
        self._protocol = Protocol(retries)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def draw(
        self,
        prompt: str,
        *,
        idempotency_key: str | None = None,
        on_progress: OnProgress | None = None,
        timeout_s: float | None = None,
        **options: Unpack[Options],
    ) -> list[Picture]:
        """Draw and fetch; ``on_progress`` is called as it goes.

        After ``timeout_s`` seconds ``WaitedTooLong`` is raised; the server draws on.
        """
        return self._run(
            self._protocol.draw(
                prompt, options, key=idempotency_key, on_progress=on_progress, timeout_s=timeout_s
            )
        )

    def submit(
        self, prompt: str, *, idempotency_key: str | None = None, **options: Unpack[Options]
    ) -> list[str]:
        """Queue a drawing; the ids for ``wait``: one, whatever lines its style mix has."""
        return self._run(self._protocol.submit(prompt, options, key=idempotency_key))

    def wait(
        self,
        request_id: str,
        *,
        on_progress: OnProgress | None = None,
        timeout_s: float | None = None,
    ) -> list[Picture]:
        """The pictures of a request, once they are there; also long afterwards."""
        return self._run(
            self._protocol.wait(request_id, on_progress=on_progress, timeout_s=timeout_s)
        )

    def request(self, request_id: str) -> dict[str, Any]:
        """A stored request: status, generation, cost, pictures."""
        return self._run(self._protocol.request(request_id))

    def requests(self, limit: int = 50, before: str | None = None) -> dict[str, Any]:
        """Stored requests, newest first; ``next`` goes into ``before``."""
        return self._run(self._protocol.requests(limit, before))

    def cancel(self, request_id: str) -> dict[str, Any]:
        """Stop a request that is not finished, at no cost; forget a finished one."""
        return self._run(self._protocol.cancel(request_id))

    def move(
        self, request_id: str, *, before: str | None = None, after: str | None = None
    ) -> dict[str, Any]:
        """Let a request that waits stand directly before or after another of the same key."""
        return self._run(self._protocol.call(finding.move(request_id, before, after)))

    def picture(self, picture_id: str) -> Picture:
        """A stored picture."""
        return self._run(self._protocol.picture(picture_id))

    def pictures(self, **wanted: Unpack[Wanted]) -> dict[str, Any]:
        """A page of stored pictures, newest first: ``pictures``, and ``next`` for more."""
        return self._run(self._protocol.call(finding.find(wanted)))

    def mark(self, picture_ids: Sequence[str], **marks: Unpack[Marks]) -> dict[str, Any]:
        """Star pictures, sort them into a folder, remove them, or bring them back soon after."""
        return self._run(self._protocol.call(finding.mark(picture_ids, marks)))

    def folders(self) -> dict[str, Any]:
        """The folders, each with how many pictures it holds."""
        return self._run(self._protocol.call(finding.folders()))

    def lineage(self, picture_id: str) -> dict[str, Any]:
        """The stored pictures that one was drawn ``from``, and what was drawn ``into``."""
        return self._run(self._protocol.call(finding.lineage(picture_id)))

    def export(self, picture_ids: Sequence[str]) -> bytes:
        """Up to 500 pictures with their receipts, as a ZIP file."""
        return self._run(self._protocol.file(finding.export(picture_ids)))

    def quote(self, prompt: str, **options: Unpack[Options]) -> Quote:
        """What ``draw`` would cost."""
        return self._run(self._protocol.quote(prompt, options))

    def explain(self, prompt: str, **options: Unpack[Options]) -> dict[str, Any]:
        """How the prompt is read: schedule, chunks, weights, what was dropped."""
        return self._run(self._protocol.explain(prompt, options))

    def credits(self) -> Credits:
        """The balance."""
        return self._run(self._protocol.credits())

    def model(self) -> dict[str, Any]:
        """The loaded model: name, licence, digests."""
        return self._run(self._protocol.model())

    def accept_license(self, model: str = "") -> dict[str, Any]:
        """Accept for this key the licence (``/license``) of a model; empty: the server's own."""
        return self._run(self._protocol.accept_license(model))

    def replay(self, what: Picture | Mapping[str, Any] | str) -> Replayed:
        """Draw a picture, a stored picture's id, or a receipt again, and compare. It is billed."""
        return self._run(self._protocol.replay(what))

    def upscale(self, image: Any, **wanted: Unpack[Upscale]) -> Larger:
        """A picture (as ``image`` of ``draw``) made larger; free of charge."""
        asked = self._protocol.call(upscaling.ask(image, wanted))
        return upscaling.made(self._run(asked))

    def redraw(
        self,
        picture: ImageLike | None = None,
        *,
        text: str | None = None,
        image: ImageLike | None = None,
        mask: ImageLike | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Redrawn:
        """Draw what another program's picture says, or its settings as ``text``, and bill it.

        ``picture`` is a path, bytes or a URL; so are the sources of an img2img, ``image`` and
        ``mask``, which may be Pillow images as well. ``dry_run`` only says what would be drawn,
        and at what price.
        """
        given = {"picture": picture, "image": image, "mask": mask}
        ask = redrawing.ask(given, text, dry_run=dry_run, key=idempotency_key)
        return self._run(self._protocol.redraw(ask))

    def _run(self, steps: Steps[T]) -> T:
        done: Any = None
        while True:
            try:
                step = steps.send(done)
            except StopIteration as end:
                result: T = end.value
                return result
            done = self._do(step)

    def _do(self, step: Step) -> Answer | None:
        if isinstance(step, Pause):
            sleep(step.seconds)
        elif isinstance(step, Follow):
            self._follow(step)
        else:
            return self._ask(step)
        return None

    def _ask(self, ask: Ask) -> Answer:
        try:
            return http.answer(
                self._http.request(ask.method, ask.path, json=ask.body, headers=ask.headers)
            )
        except httpx.TransportError as error:
            return http.unreachable(self._http, error)

    def _follow(self, step: Follow) -> None:
        """A stream that breaks is no error: the request itself is asked about next."""
        try:
            with self._http.stream(
                "GET", step.path, headers=step.headers, timeout=http.read_timeout(step)
            ) as response:
                for line in response.iter_lines() if response.is_success else ():
                    step.take(line)
                    if step.over:
                        return
        except httpx.TransportError:
            return
