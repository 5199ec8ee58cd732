"""The two kinds of nets that follow a map, and what each adds to a UNet's rows.

A ControlNet (Zhang et al. 2023) is a copy of the UNet's first half that runs beside it at each
evaluation; of the map it reads an embedding, which is made once for a picture. A T2I-Adapter (Mou
et al. 2023) reads the map alone, and so runs once for a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from limner.domain.controls import Kind
from limner.domain.tiling import APART, Axes
from limner.engine.tiling.seamless import for_rows, tiled

Hint = tuple[Tensor, ...]
_GREY = (19595, 38470, 7471)  # of 65,536: Pillow's weights of red, green and blue


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a forward pass as a net reads them; what ``sampling.batch.Batch`` holds of them."""

    y: Tensor
    t: Tensor
    context: Tensor
    mask: Tensor | None
    tiling: Sequence[Axes] = ()


@dataclass(frozen=True, eq=False)
class Net:
    """A net on the UNet's device, in its number type.

    ``places``: to how many places of the UNet it adds. ``rows_min``: the fewest rows with which it
    runs, more where a row has to come out alike in any company (``sampling.rowwise``).
    """

    sha256: str
    model: Any
    places: int
    rows_min: int = 1

    kind: Kind = "controlnet"

    @property
    def bytes(self) -> int:
        """Memory of its weights."""
        return sum(tensor.nbytes for tensor in self.model.parameters())

    def hint(self, pixels: Tensor, axes: Axes = APART) -> Hint:
        """What it keeps of a map, RGB uint8 (H, W, 3): tensors without a dimension for rows.

        ``axes``: along which its edges meet.
        """
        with tiled([axes]):
            return self._hint(for_rows(self.model, [axes]), pixels)

    def _hint(self, model: Any, pixels: Tensor) -> Hint:
        raise NotImplementedError

    def hint_bytes(self, height: int, width: int) -> int:
        """Of that, for a latent of so many pixels."""
        raise NotImplementedError

    def add(self, rows: Rows, hints: Sequence[Hint]) -> list[Tensor]:
        """What it adds to each place, (rows, C, h, w), before any weight."""
        raise NotImplementedError

    def _unit(self, pixels: Tensor, channels: int) -> Tensor:
        """A map as (1, channels, H, W), 0 to 1; grey as Pillow makes it."""
        if channels == 1:
            red, green, blue = (pixels[..., n, None].int() * _GREY[n] for n in range(3))
            pixels = (red + green + blue + (1 << 15)) >> 16
        weight = next(self.model.parameters())
        return (pixels.float() / 255).permute(2, 0, 1)[None].to(weight.dtype)

    @property
    def _number(self) -> int:
        """Bytes of a number."""
        return int(next(self.model.parameters()).element_size())


@dataclass(frozen=True, eq=False)
class ControlNet(Net):
    """``pooled``: it adds to all pixels of a place what they have in the mean, and leaves rows of
    the negative prompt as they are, as one that is trained on shuffled pictures."""

    pooled: bool = False

    def _hint(self, model: Any, pixels: Tensor) -> Hint:
        embed = model.controlnet_cond_embedding
        return (embed(self._unit(pixels, embed.conv_in.in_channels))[0],)

    def hint_bytes(self, height: int, width: int) -> int:
        channels: int = self.model.config.block_out_channels[0]
        return self._number * channels * height * width

    def add(self, rows: Rows, hints: Sequence[Hint]) -> list[Tensor]:
        with tiled(rows.tiling):
            return self._added(for_rows(self.model, rows.tiling), rows, hints)

    def _added(self, net: Any, rows: Rows, hints: Sequence[Hint]) -> list[Tensor]:
        y = rows.y[:, : net.config.in_channels]
        emb = net.time_embedding(net.time_proj(rows.t).to(y.dtype))
        sample = net.conv_in(y) + _stacked([hint[0] for hint in hints])
        reads = {"encoder_hidden_states": rows.context, "encoder_attention_mask": _bias(rows)}
        seen = [sample]
        for block in net.down_blocks:
            more = reads if getattr(block, "has_cross_attention", False) else {}
            sample, made = block(hidden_states=sample, temb=emb, **more)
            seen += made
        sample = net.mid_block(sample, emb, **reads)
        ends = zip(seen, net.controlnet_down_blocks, strict=True)
        added = [*(end(each) for each, end in ends), net.controlnet_mid_block(sample)]
        return [each.mean((2, 3), True).expand_as(each) for each in added] if self.pooled else added


@dataclass(frozen=True, eq=False)
class Adapter(Net):
    """A T2I-Adapter; what it adds is its hint."""

    kind: Kind = "t2i-adapter"

    def _hint(self, model: Any, pixels: Tensor) -> Hint:
        adapter = model.adapter
        first = adapter.conv_in if hasattr(adapter, "conv_in") else adapter.body[0].in_conv
        channels = first.in_channels // adapter.unshuffle.downscale_factor**2
        return tuple(each[0] for each in model(self._unit(pixels, channels)))

    def hint_bytes(self, height: int, width: int) -> int:
        numbers = 0
        for place, block in enumerate(self.model.adapter.body):
            channels = [m.out_channels for m in block.modules() if hasattr(m, "out_channels")][-1]
            numbers += channels * -(-height >> place) * -(-width >> place)
        return self._number * numbers

    def add(self, rows: Rows, hints: Sequence[Hint]) -> list[Tensor]:  # noqa: ARG002
        return [_stacked(list(of_place)) for of_place in zip(*hints, strict=True)]


def _stacked(tensors: list[Tensor]) -> Tensor:
    # Rows are computed alike in one layout only.
    return torch.stack(tensors).contiguous(memory_format=torch.channels_last)


def _bias(rows: Rows) -> Tensor | None:
    """The mask of contexts as diffusers' UNet adds it to scores: (rows, 1, tokens)."""
    if rows.mask is None:
        return None
    return ((1 - rows.mask.to(rows.y.dtype)) * -10000.0).unsqueeze(1)
