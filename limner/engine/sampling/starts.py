"""How a pass begins: what it starts from, and how what it draws is laid into the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from limner.domain.params import UNNAMED
from limner.domain.parts import SdUpscale
from limner.domain.passes import tile_of
from limner.domain.tiling import Axes
from limner.domain.upscalers import Upscaler
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Pixels
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import latents
from limner.engine.sampling.interpolating import MODES, covering
from limner.engine.upscaling.resident import Upscalers
from limner.engine.upscaling.tiles import nothing
from limner.errors import InvalidInput
from limner.imaging import tiling
from limner.imaging.fitting import enlarge, fit_pixels
from limner.imaging.tiling import Canvas

_FIELD = "sd_upscale.upscaler"
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Begun:
    """A pass that has begun: what it draws, with its pixels.

    ``latent`` (C, h, w): what it starts from, where that is no picture.
    """

    request: Request
    latent: Tensor | None = None

    @property
    def parts(self) -> tuple[Request, ...]:
        """What is drawn side by side."""
        return (self.request,)

    def lay(self, drawn: Sequence[Pixels]) -> Pixels:
        """The picture so far, of what its parts drew."""
        return latents.compose(self.request, drawn[0])


@dataclass(frozen=True, eq=False)
class BegunTiles(Begun):
    """Tiles that are drawn side by side, to be laid into ``canvas``: the first and ``others``."""

    canvas: Canvas = field(kw_only=True)
    first: int = 0
    others: tuple[Request, ...] = ()

    @property
    def parts(self) -> tuple[Request, ...]:
        return (self.request, *self.others)

    def lay(self, drawn: Sequence[Pixels]) -> Pixels:
        return self.after(drawn).picture

    def after(self, drawn: Sequence[Pixels]) -> Canvas:
        """The canvas with the tiles."""
        canvas = self.canvas
        for number, each in enumerate(drawn, start=self.first):
            canvas = canvas.laid(number, each)
        return canvas


@dataclass(frozen=True, eq=False)
class Before:
    """The pass that came before, and the latent (C, h, w) that it left, of each of its parts one
    below the other. ``proceed`` is called where work takes long; what it raises ends it."""

    begun: Begun
    drawn: Tensor
    checkpoint: Checkpoint
    proceed: Callable[[], None] = nothing

    @cached_property
    def picture(self) -> Pixels:
        """What would have been answered after it."""
        return self.begun.lay(self.decoded())

    def decoded(self) -> list[Pixels]:
        """What its parts drew."""
        return decoded(self.begun, self.checkpoint, self.drawn)


def decoded(begun: Begun, checkpoint: Checkpoint, latent: Tensor) -> list[Pixels]:
    """RGB of each part of a pass, from their latents (C, h, w) one below the other."""
    each = torch.chunk(latent, len(begun.parts))
    return [latents.drawn(begun.request, checkpoint, one) for one in each]


@dataclass(frozen=True, eq=False)
class Start:
    """The start of a first pass: with the pixels that its request brought.

    ``needs``: the shapes of pixels that it is given, by name; ``bytes``: what it holds beside them;
    ``enlarges``: a network makes a picture larger in it. ``parts`` of it are drawn side by side.
    """

    needs: Shapes = field(default_factory=dict)
    bytes: int = 0
    enlarges: bool = field(default=False, kw_only=True)

    @property
    def parts(self) -> int:
        return 1

    def begin(self, request: Request, before: Before | None) -> Begun:
        """Begin a pass that draws ``request``; ``before`` is None where it is the first."""
        assert before is None, "only a first pass needs nothing"
        return Begun(request)


@dataclass(frozen=True, eq=False)
class Larger(Start):
    """From what the pass before drew, made larger. ``keeps``: that is told as well."""

    upscaler: str = ""
    file: Upscaler | None = None
    upscalers: Upscalers | None = None
    keeps: bool = False

    def begin(self, request: Request, before: Before | None) -> Begun:
        assert before is not None, "something was drawn to be made larger"
        g = request.generation
        to = (g.width, g.height)
        pixels = {name: enlarge(each, *to, axes=g.axes) for name, each in maps_of(request)}
        latent = None
        if self.upscaler in MODES:
            size = latents.latent_size(g, before.checkpoint.vae_scale)
            latent = covering(before.drawn, size, self.upscaler, g.axes)
        else:
            pixels[UNNAMED] = self._larger(before, *to, g.axes)
        return Begun(replace(request, pixels=pixels), latent)

    def _larger(self, before: Before, width: int, height: int, axes: Axes) -> Pixels:
        picture = before.picture
        if self.file is None:
            return enlarge(picture, width, height, self.upscaler, axes)
        assert self.upscalers is not None, "an engine that draws has upscalers"
        return self.upscalers.upscale(
            self.file, picture, width, height, wrap=(axes[0], axes[1]), proceed=before.proceed
        )


@dataclass(frozen=True, eq=False)
class Tiles:
    """The picture of ``request`` made larger, for all its tiles and samples."""

    request: Request
    upscale: SdUpscale
    upscalers: Upscalers

    @cached_property
    def large(self) -> Pixels:
        """The source, at the size of the finished picture."""
        g = self.request.generation
        assert g.source is not None, "what is made larger is a picture"
        fitted = fit_pixels(g, self.request.pixels)[g.source.sha256]
        size, file = (self.upscale.width, self.upscale.height), self.upscale.file
        if file is None:
            return enlarge(fitted, *size, self.upscale.upscaler)
        return self.upscalers.upscale(file, fitted, *size)

    @property
    def held(self) -> int:
        """Bytes that a file takes while it makes the picture larger."""
        g, file, to = self.request.generation, self.upscale.file, self.upscale
        if file is None:
            return 0
        try:
            return self.upscalers.held(file, (g.height, g.width), (to.height, to.width))
        except InvalidInput as error:  # those of hires are the same
            told = str(error).removeprefix(error.field)
            raise InvalidInput(_FIELD, f"{_FIELD}{told}") from error


@dataclass(frozen=True, eq=False)
class Some(Start):
    """From some tiles of a larger picture, laid over those that were drawn before them."""

    tiles: Tiles = field(kw_only=True)
    numbers: range = range(1)

    @property
    def parts(self) -> int:
        return len(self.numbers)

    def begin(self, request: Request, before: Before | None) -> Begun:
        if before is None:
            canvas = Canvas.of(self.tiles.large, self.tiles.upscale)
        else:
            assert isinstance(before.begun, BegunTiles), "a tile comes after a tile"
            canvas = before.begun.after(before.decoded())
        first, *others = self._cut(request)
        return BegunTiles(first, canvas=canvas, first=self.numbers.start, others=tuple(others))

    def _cut(self, request: Request) -> Iterator[Request]:
        """A request for each tile; ``request`` draws the first."""
        upscale = self.tiles.upscale
        maps = [(n, enlarge(each, upscale.width, upscale.height)) for n, each in maps_of(request)]
        whole = [(UNNAMED, self.tiles.large), *maps]
        for number in self.numbers:
            pixels = {name: tiling.cut(each, upscale.tiles[number]) for name, each in whole}
            own = tile_of(self.tiles.request.generation, number)
            yield replace(request, generation=own, pixels=pixels)


def whole(request: Request, together: int, upscalers: Upscalers) -> Iterator[Start]:
    """How the passes of the whole picture begin; so many tiles are drawn side by side."""
    g = request.generation
    if g.sd_upscale is not None:
        upscale = g.sd_upscale
        tiles = Tiles(request, upscale, upscalers)
        needs = {UNNAMED: (upscale.tile_height, upscale.tile_width, 3)}
        # The larger picture, the canvas, one with a tile more; and where rows fade, twice.
        held = upscale.width * (9 * upscale.height + 6 * upscale.overlap)
        count = len(upscale.tiles)
        for n in range(0, count, together):
            first = upscale.file is not None and n == 0
            size = max(held, tiles.held) if first else held
            numbers = range(n, min(n + together, count))
            yield Some(needs, size, tiles=tiles, numbers=numbers, enlarges=first)
        return
    yield Start()
    if g.hires is not None:
        file, wanted = g.hires.file, (g.hires.height, g.hires.width)
        held = 0
        if not g.hires.in_latents:
            way = file or Upscaler(name=g.hires.upscaler)
            held = upscalers.held(way, (g.height, g.width), wanted)
        needs = {UNNAMED: (g.height, g.width, 3)}
        held += 3 * g.width * g.height * g.hires.first_pass
        how = (g.hires.upscaler, file, upscalers, g.hires.first_pass)
        yield Larger(needs, held, *how, enlarges=file is not None)


def maps_of(request: Request) -> list[tuple[str, Pixels]]:
    """What its controls follow and its regions' masks, at the first pass's size, by SHA-256."""
    names = set(request.generation.maps)
    return [(name, request.pixels[name]) for name in sorted(names & request.pixels.keys())]
