"""``AsyncClient``: every call is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Unpack

import httpx

from limner.client import finding, redrawing, upscaling
from limner.client import transport as http
from limner.client.finding import Marks, Wanted
from limner.client.pictures import Larger, Picture, Redrawn, Replayed
from limner.client.steps import Answer, Ask, Follow, Pause, Protocol, Step, Steps
from limner.client.words import Credits, ImageLike, OnProgress, Options, Quote, Upscale

T = TypeVar("T")


class AsyncClient:
    """``Client`` for an event loop: the same arguments, methods and errors."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 5,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        arguments = http.settings(url, key, timeout_s, headers or {})
        self._http = httpx.AsyncClient(**arguments, transport=transport)
        self._protocol = Protocol(retries)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def draw(
        self,
        prompt: str,
        *,
        idempotency_key: str | None = None,
        on_progress: OnProgress | None = None,
        timeout_s: float | None = None,
        **options: Unpack[Options],
    ) -> list[Picture]:
        """As ``Client.draw``; ``on_progress`` is a plain function and must not block."""
        return await self._run(
            self._protocol.draw(
                prompt, options, key=idempotency_key, on_progress=on_progress, timeout_s=timeout_s
            )
        )

    async def submit(
        self, prompt: str, *, idempotency_key: str | None = None, **options: Unpack[Options]
    ) -> list[str]:
        """As ``Client.submit``."""
        return await self._run(self._protocol.submit(prompt, options, key=idempotency_key))

    async def wait(
        self,
        request_id: str,
        *,
        on_progress: OnProgress | None = None,
        timeout_s: float | None = None,
    ) -> list[Picture]:
        """As ``Client.wait``."""
        return await self._run(
            self._protocol.wait(request_id, on_progress=on_progress, timeout_s=timeout_s)
        )

    async def request(self, request_id: str) -> dict[str, Any]:
        """As ``Client.request``."""
        return await self._run(self._protocol.request(request_id))

    async def requests(self, limit: int = 50, before: str | None = None) -> dict[str, Any]:
        """As ``Client.requests``."""
        return await self._run(self._protocol.requests(limit, before))

    async def cancel(self, request_id: str) -> dict[str, Any]:
        """As ``Client.cancel``."""
        return await self._run(self._protocol.cancel(request_id))

    async def move(
        self, request_id: str, *, before: str | None = None, after: str | None = None
    ) -> dict[str, Any]:
        """As ``Client.move``."""
        return await self._run(self._protocol.call(finding.move(request_id, before, after)))

    async def picture(self, picture_id: str) -> Picture:
        """As ``Client.picture``."""
        return await self._run(self._protocol.picture(picture_id))

    async def pictures(self, **wanted: Unpack[Wanted]) -> dict[str, Any]:
        """As ``Client.pictures``."""
        return await self._run(self._protocol.call(finding.find(wanted)))

    async def mark(self, picture_ids: Sequence[str], **marks: Unpack[Marks]) -> dict[str, Any]:
        """As ``Client.mark``."""
        return await self._run(self._protocol.call(finding.mark(picture_ids, marks)))

    async def folders(self) -> dict[str, Any]:
        """As ``Client.folders``."""
        return await self._run(self._protocol.call(finding.folders()))

    async def lineage(self, picture_id: str) -> dict[str, Any]:
        """As ``Client.lineage``."""
        return await self._run(self._protocol.call(finding.lineage(picture_id)))

    async def export(self, picture_ids: Sequence[str]) -> bytes:
        """As ``Client.export``."""
        return await self._run(self._protocol.file(finding.export(picture_ids)))

    async def quote(self, prompt: str, **options: Unpack[Options]) -> Quote:
        """As ``Client.quote``."""
        return await self._run(self._protocol.quote(prompt, options))

    async def explain(self, prompt: str, **options: Unpack[Options]) -> dict[str, Any]:
        """As ``Client.explain``."""
        return await self._run(self._protocol.explain(prompt, options))

    async def credits(self) -> Credits:
        """As ``Client.credits``."""
        return await self._run(self._protocol.credits())

    async def model(self) -> dict[str, Any]:
        """As ``Client.model``."""
        return await self._run(self._protocol.model())

    async def accept_license(self, model: str = "") -> dict[str, Any]:
        """As ``Client.accept_license``."""
        return await self._run(self._protocol.accept_license(model))

    async def replay(self, what: Picture | Mapping[str, Any] | str) -> Replayed:
        """As ``Client.replay``."""
        return await self._run(self._protocol.replay(what))

    async def upscale(self, image: Any, **wanted: Unpack[Upscale]) -> Larger:
        """As ``Client.upscale``."""
        asked = self._protocol.call(upscaling.ask(image, wanted))
        return upscaling.made(await self._run(asked))

    async def redraw(
        self,
        picture: ImageLike | None = None,
        *,
        text: str | None = None,
        image: ImageLike | None = None,
        mask: ImageLike | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Redrawn:
        """As ``Client.redraw``."""
        given = {"picture": picture, "image": image, "mask": mask}
        ask = redrawing.ask(given, text, dry_run=dry_run, key=idempotency_key)
        return await self._run(self._protocol.redraw(ask))

    async def _run(self, steps: Steps[T]) -> T:
        done: Any = None
        while True:
            try:
                step = steps.send(done)
            except StopIteration as end:
                result: T = end.value
                return result
            done = await self._do(step)

    async def _do(self, step: Step) -> Answer | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Follow):
            await self._follow(step)
        else:
            return await self._ask(step)
        return None

    async def _ask(self, ask: Ask) -> Answer:
        try:
            return http.answer(
                await self._http.request(ask.method, ask.path, json=ask.body, headers=ask.headers)
            )
        except httpx.TransportError as error:
            return http.unreachable(self._http, error)

    async def _follow(self, step: Follow) -> None:
        try:
            async with self._http.stream(
                "GET", step.path, headers=step.headers, timeout=http.read_timeout(step)
            ) as response:
                async for line in response.aiter_lines():
                    if not response.is_success:
                        return
                    step.take(line)
                    if step.over:
                        return
        except httpx.TransportError:
            return
