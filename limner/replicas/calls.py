"""Calls to replicas through a handle of Ray Serve."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException

from limner.engine.batching.ticket import Pixels, Ticket
from limner.errors import EngineBroken, LimnerError
from limner.replicas.affinity import route_of
from limner.replicas.replica import Told

GONE = "The replica that drew it is gone."


class Calls:
    """``drawing.Replicas`` over a handle of the deployment."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._draw = handle.options(method_name="draw", stream=True)

    async def draw(self, ticket: Ticket, pixels: Mapping[str, Pixels]) -> AsyncIterator[Told]:
        stream = self._draw.remote(route_of(ticket), ticket, pixels)
        try:
            async for told in stream:
                yield told
        except (RayError, RayServeException) as error:
            raise _meant(error) from error
        finally:
            stream.cancel()

    async def ask(self, name: str, *arguments: Any) -> Any:
        try:
            return await self._handle.options(method_name=name).remote(*arguments)
        except (RayError, RayServeException) as error:
            raise _meant(error) from error

    async def tell(self, name: str, *arguments: Any) -> list[Any]:
        try:
            answers = self._handle.broadcast(name, *arguments)
            told = await answers.results_async(timeout_s=10, return_exceptions=True)
        except (RayError, RayServeException, TimeoutError):
            return []
        return [answer for answer in told if not isinstance(answer, BaseException)]


def _meant(error: Exception) -> LimnerError:
    """What our own code raised over there, or that nobody is there any more."""
    cause = error.cause if isinstance(error, RayTaskError) else None
    return cause if isinstance(cause, LimnerError) else EngineBroken(GONE)
