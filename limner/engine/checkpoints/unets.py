"""The UNet's layers by today's names, and the structure that these names tell.

Latent diffusion numbers the places of a UNet with two layers a block: input place 3b + l + 1 is
layer l of block b, the third of each three samples down, and output place 3b + l likewise up.
Distilled UNets (Kim et al. 2023, "BK-SDM"; tiny-sd, small-sd, sdxs) are written with the same
numbers, some of them left out: fewer layers, fewer blocks, no middle.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

_ENDS: Mapping[str, str] = {
    "time_embed.0.": "time_embedding.linear_1.",
    "time_embed.2.": "time_embedding.linear_2.",
    "input_blocks.0.0.": "conv_in.",
    "out.0.": "conv_norm_out.",
    "out.2.": "conv_out.",
    "middle_block.0.": "mid_block.resnets.0.",
    "middle_block.1.": "mid_block.attentions.0.",
    "middle_block.2.": "mid_block.resnets.1.",
}
_RESNET: Mapping[str, str] = {
    "in_layers.0.": "norm1.",
    "in_layers.2.": "conv1.",
    "emb_layers.1.": "time_emb_proj.",
    "out_layers.0.": "norm2.",
    "out_layers.3.": "conv2.",
    "skip_connection.": "conv_shortcut.",
}
_PLACE = re.compile(r"(input|output)_blocks\.(\d+)\.(\d)\.(.+)")
_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.")


@functools.lru_cache(maxsize=4096)  # the same names in every checkpoint of a library
def modern(name: str) -> str:
    """A layer's name in diffusers; one that is so already, or is none, stays."""
    for old, new in _ENDS.items():
        if name.startswith(old):
            return _inside(new, name.removeprefix(old))
    found = _PLACE.match(name)
    if found is None:
        return name
    side, place, part, rest = found.groups()
    block, layer = divmod(int(place) - (side == "input"), 3)
    way = {"input": "down", "output": "up"}[side]
    if rest.startswith(("op.", "conv.")):
        return f"{way}_blocks.{block}.{way}samplers.0.conv.{rest.split('.', 1)[1]}"
    kind = "resnets" if part == "0" else "attentions"
    return _inside(f"{way}_blocks.{block}.{kind}.{layer}.", rest)


def _inside(layer: str, rest: str) -> str:
    if "resnets" in layer:
        for old, new in _RESNET.items():
            if rest.startswith(old):
                return layer + new + rest.removeprefix(old)
    return layer + rest


def structure(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """Of a UNet's tensors by today's names: what its config says of channels, blocks and layers.

    None where they are no UNet's as Stable Diffusion 1.x has them.
    """
    layers: dict[tuple[str, int, str], set[int]] = {}
    for name in shapes:
        if found := _BLOCK.match(name):
            key = (found[1], int(found[2]), found[3])
            layers.setdefault(key, set()).add(int(found[4]))
    levels = range(1 + max((block for way, block, _ in layers if way == "down"), default=-1))
    widths = [shapes.get(f"down_blocks.{level}.resnets.0.conv2.weight") for level in levels]
    first = shapes.get("conv_in.weight")
    keys = [shape for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")]
    contexts = [shape[-1] for shape in keys if shape]
    if not levels or None in widths or not contexts or first is None or len(first) < 2:
        return None
    down, up = ([(way, b, "attentions") in layers for b in levels] for way in ("down", "up"))
    return {
        "in_channels": first[1],
        "cross_attention_dim": contexts[0],
        "block_out_channels": [width[0] for width in widths if width],
        "layers_per_block": _layers([len(layers["down", b, "resnets"]) for b in levels]),
        "down_block_types": ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in down],
        "up_block_types": ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in up],
        "mid_block_type": "UNetMidBlock2DCrossAttn" if _has_middle(shapes) else None,
    }


def oddities(config: Mapping[str, Any]) -> Iterator[str]:
    """How a config's structure differs from SD 1.5's, in a sentence."""
    layers, blocks = config["layers_per_block"], len(config["block_out_channels"])
    middle = "no" if config.get("mid_block_type", "") is None else "a"
    if (layers, blocks, middle) != (2, 4, "a"):
        yield (
            f"the UNet has {blocks} blocks of {layers} layers and {middle} middle, "
            "Stable Diffusion 1.5's 4 of 2 and a middle"
        )


def _layers(counts: list[int]) -> int | list[int]:
    return counts[0] if len(set(counts)) == 1 else counts


def _has_middle(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    return any(name.startswith("mid_block.") for name in shapes)
