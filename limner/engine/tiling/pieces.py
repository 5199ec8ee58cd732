"""A VAE that takes a picture piece by piece, where it would find no memory for the whole.

Pieces overlap, and fade into each other over the overlap. A piece knows nothing of the rest: the
means and spreads by which the VAE's norms divide are its own, so pictures are near those of the
whole and not equal to them (docs/tiling.md says how near).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor

from limner.domain.tiling import Axes

SIDES = (1024, 768, 512)
"""Pixels of a piece's sides, of which the largest is taken that finds memory, or the last."""

_AT_ONCE = 4
"""Tensors of the widest layer that are alive together (docs/log.md)."""

Span = tuple[int, int, int]
"""Of a piece along one axis: where it begins, and how far it fades before and behind."""


def side_for(vae: Any, height: int, width: int, room: float) -> int | None:
    """Pixels of a piece's sides for a picture of this size; None where there is room for all.

    ``room``: bytes that the VAE may take.
    """
    if bytes_of(vae, height, width) <= room:
        return None
    fits = (side for side in SIDES if bytes_of(vae, side, side) <= room)
    side = next(fits, SIDES[-1])
    return side if side < max(height, width) else None


def bytes_of(vae: Any, height: int, width: int) -> int:
    """About what a VAE takes to decode a picture of this size, or to encode it, at once."""
    channels = vae.config.block_out_channels[:2][-1]  # what the last block reads at full size
    number = next(vae.parameters()).element_size()
    return int(_AT_ONCE * channels * height * width * number)


@dataclass(frozen=True)
class PiecewiseVae:
    """Called as ``latents`` calls a VAE; one latent pixel spans ``scale`` of the picture's.

    ``side`` is that of a piece in pixels of the picture, ``axes`` are those along which edges meet.
    """

    vae: Any
    side: int
    scale: int
    axes: Axes

    @property
    def device(self) -> torch.device:
        return self.vae.device  # type: ignore[no-any-return]

    @property
    def dtype(self) -> torch.dtype:
        return self.vae.dtype  # type: ignore[no-any-return]

    def decode(self, latent: Tensor) -> Any:
        made = self._pieces(latent, 1, self.scale, lambda piece: self.vae.decode(piece).sample)
        return SimpleNamespace(sample=made)

    def encode(self, picture: Tensor) -> Any:
        def parameters(piece: Tensor) -> Tensor:
            found: Tensor = self.vae.encode(piece).latent_dist.parameters
            return found

        made = self._pieces(picture, self.scale, 1, parameters)
        return SimpleNamespace(latent_dist=DiagonalGaussianDistribution(made))

    def _pieces(
        self, x: Tensor, spans: int, makes: int, make: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """What ``make`` makes of ``x`` (1, C, h, w), piece by piece.

        A latent pixel spans ``spans`` pixels of ``x``, and ``makes`` of what is made.
        """
        height, width = (n // spans for n in x.shape[-2:])
        side = self.side // self.scale
        total = None
        for top, above, below in _spans(height, side, self.axes.y):
            for left, before, behind in _spans(width, side, self.axes.x):
                rows, columns = _places(top, side, height), _places(left, side, width)
                piece = _taken(x, _scaled(rows, spans), _scaled(columns, spans))
                made = make(piece)
                weights = _fading(len(rows) * makes, above * makes, below * makes)[:, None]
                weights = weights * _fading(len(columns) * makes, before * makes, behind * makes)
                if total is None:
                    shape = (1, made.shape[1] + 1, height * makes, width * makes)
                    total = torch.zeros(shape, dtype=torch.float32, device=made.device)
                weights = weights.to(made.device)
                laid = torch.cat([made.float() * weights, weights.expand(1, 1, -1, -1)], dim=1)
                down = torch.tensor(_scaled(rows, makes), device=made.device)
                across = torch.tensor(_scaled(columns, makes), device=made.device)
                total[:, :, down[:, None], across[None, :]] += laid
        assert total is not None, "a picture has pixels"
        return (total[:, :-1] / total[:, -1:]).to(x.dtype)


def _spans(length: int, side: int, meets: bool) -> Iterator[Span]:
    """Pieces of ``side`` along an axis of so many latent pixels, evenly, a quarter laid over.

    Where the edges of the axis meet, the last piece goes on to the first.
    """
    if side >= length:
        yield 0, 0, 0
        return
    over = side // 4
    if meets:
        count = math.ceil(length / (side - over))
        yield from ((n * length // count, over, over) for n in range(count))
        return
    count = math.ceil((length - over) / (side - over))
    for n in range(count):
        start = n * (length - side) // (count - 1)
        yield start, over if n else 0, over if n < count - 1 else 0


def _places(start: int, side: int, length: int) -> list[int]:
    """The latent pixels of a piece along an axis, from the other edge on where it goes over one."""
    return [k % length for k in range(start, start + min(side, length))]


def _scaled(places: list[int], by: int) -> list[int]:
    return [place * by + n for place in places for n in range(by)]


def _taken(x: Tensor, rows: list[int], columns: list[int]) -> Tensor:
    down, across = (torch.tensor(places, device=x.device) for places in (rows, columns))
    return x.index_select(2, down).index_select(3, across)


def _fading(length: int, before: int, behind: int) -> Tensor:
    """Weights of a piece along an axis: rising over ``before``, falling over ``behind``, else 1."""
    weights = torch.ones(length)
    if before:
        weights[:before] = (torch.arange(before) + 0.5) / before
    if behind:
        weights[length - behind :] = 1 - (torch.arange(behind) + 0.5) / behind
    return weights
