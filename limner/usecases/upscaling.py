"""Pictures made larger by themselves, free of charge: one after another, beside the drawing."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from limner import pools
from limner.domain.upscalers import BUILT_IN, PICTURE_BYTES_MAX, Upscaler, covering
from limner.engine.batching.ticket import Pixels
from limner.errors import Aborted, InvalidInput, LimitExceeded, Unavailable
from limner.imaging import enlarging
from limner.usecases.drawing.adapters import AdapterFiles

WAITING_MAX, OF_ONE_MAX = 16, 4
SIDE_MAX = 16_384
"""Pixels that a caller may ask for on a side."""
_POOL = pools.Pool("limner-upscale", 1, 1)


class Engine(Protocol):
    """``engine.upscaling.resident.Upscalers``."""

    def held(self, upscaler: Upscaler, size: tuple[int, int], wanted: tuple[int, int]) -> int: ...

    def upscale(
        self,
        upscaler: Upscaler,
        pixels: Pixels,
        width: int,
        height: int,
        *,
        wrap: tuple[bool, bool] = (False, False),
        proceed: Callable[[], None] = ...,
    ) -> Pixels: ...


@dataclass(frozen=True)
class Wish:
    """A picture (h, w, 3), its transparency (h, w) where it has some, and what is wanted of it.

    ``upscaler`` is bound; ``field`` is where its caller asked for the size.
    """

    pixels: Pixels
    alpha: Pixels | None
    upscaler: Upscaler
    width: int
    height: int
    field: str = "scale"
    wrap: tuple[bool, bool] = (False, False)


class Upscaling:
    """``files`` knows the library; ``make`` gives the engine, once it is needed.

    ``engine_bytes``: what it may hold for one picture.
    """

    def __init__(
        self,
        files: AdapterFiles | None = None,
        make: Callable[[], Engine] | None = None,
        engine_bytes: int = 2 << 30,
    ) -> None:
        self._files, self._make = files or AdapterFiles(), make
        self._engine: Engine | None = None
        self._bytes = engine_bytes
        self._waiting: Counter[str] = Counter()

    async def bind(self, name: str, field: str = "upscaler") -> Upscaler:
        """The upscaler of a name, in any case where it is built in. Raises ``InvalidInput``."""
        return await pools.MODELS.run(self.found, name, field)

    def found(self, name: str, field: str = "upscaler") -> Upscaler:
        """The same, reading files."""
        built_in = {each.casefold(): each for each in BUILT_IN}.get(name.casefold())
        return Upscaler(name=built_in) if built_in else self._files.upscaler(name, field)

    async def run(self, owner: str, wish: Wish) -> Pixels:
        """The picture (height, width, 3), or 4 channels where it has transparency.

        Whoever leaves has it stopped before its next tile. Raises ``InvalidInput`` for what takes
        more memory than there may be, or a file that cannot be used; ``LimitExceeded`` and
        ``Unavailable`` where too many wait.
        """
        self._enter(owner)
        stop = threading.Event()
        try:
            return await _POOL.run(self.made, wish, stop)
        finally:
            stop.set()
            self._waiting[owner] -= 1

    def made(self, wish: Wish, stop: threading.Event) -> Pixels:
        """The same on this thread."""

        def proceed() -> None:
            if stop.is_set():
                raise Aborted("Nobody waits for the picture any more")

        proceed()
        engine, size = self._running(), (wish.width, wish.height)
        self._check(engine, wish)
        made = engine.upscale(wish.upscaler, wish.pixels, *size, wrap=wish.wrap, proceed=proceed)
        if wish.alpha is None:
            return made
        way = wish.upscaler.name if wish.upscaler.built_in else "Lanczos"
        alpha = enlarging.enlarge(way, wish.alpha, *size, wish.wrap)
        return np.dstack([made, alpha])

    def _running(self) -> Engine:
        if self._engine is None:
            assert self._make is not None, "an engine is made where pictures are made larger"
            self._engine = self._make()
        return self._engine

    def _check(self, engine: Engine, wish: Wish) -> None:
        height, width = wish.pixels.shape[:2]
        asked = f"{wish.field}: {width}x{height} would become {wish.width}x{wish.height}"
        large = 3 * wish.width * wish.height
        if large > PICTURE_BYTES_MAX:
            raise InvalidInput(
                wish.field,
                f"{asked}, {large >> 20} MiB; a picture may have {PICTURE_BYTES_MAX >> 20} MiB",
            )
        whole = covering((width, height), (wish.width, wish.height))
        if 3 * math.prod(whole) > PICTURE_BYTES_MAX:
            raise InvalidInput(
                wish.field,
                f"{asked}, cut out of {whole[0]}x{whole[1]}, {3 * math.prod(whole) >> 20} MiB; a "
                f"picture may have {PICTURE_BYTES_MAX >> 20} MiB",
            )
        held = engine.held(wish.upscaler, (height, width), (wish.height, wish.width))
        if held > self._bytes:
            raise InvalidInput(
                wish.field,
                f"{asked}, for which {wish.upscaler.name} takes {held >> 20} MiB; it may have "
                f"{self._bytes >> 20} MiB",
            )

    def _enter(self, owner: str) -> None:
        if self._waiting[owner] >= OF_ONE_MAX:
            raise LimitExceeded(f"{OF_ONE_MAX} pictures of this key are made larger, its limit", 5)
        if self._waiting.total() >= WAITING_MAX:
            raise Unavailable(f"{WAITING_MAX} pictures wait to be made larger, the limit", 10)
        self._waiting[owner] += 1


def size_of(values: dict[str, Any], size: tuple[int, int]) -> tuple[int, int]:
    """Width and height that ``values`` ask for of a picture of ``size`` (width, height).

    ``scale``, or ``width`` and ``height``, of which one alone keeps the proportions; else twice.
    """
    width, height = values.get("width"), values.get("height")
    if "scale" in values and (width or height):
        raise InvalidInput("scale", "scale is there beside a size: leave one out")
    if width is None and height is None:
        scale = values.get("scale", 2.0)
        return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    if width is not None and height is not None:
        return width, height
    ratio = width / size[0] if width is not None else height / size[1]  # type: ignore[operator]
    return width or max(1, round(size[0] * ratio)), height or max(1, round(size[1] * ratio))
