"""The tensors of a control's file by the names of diffusers' classes, whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from limner.engine.checkpoints.headers import TensorInfo
from limner.engine.checkpoints.unets import modern

Infos = dict[str, TensorInfo]

_WRAPPERS = re.compile(r"^(state_dict\.|module\.|control_model\.|controlnet\.)+")
_HINT = re.compile(r"input_hint_block\.(\d+)\.(weight|bias)")
_FLAT = re.compile(r"body\.(\d+)\.(block[12]|in_conv)\.(weight|bias)")
_LIGHT = re.compile(r"body\.(\d+)\.body\.(\d+)\.")
_EMBEDDING = "controlnet_cond_embedding."
_RESIDUALS = 2  # blocks of a full T2I-Adapter at each of its sizes


def controlnet(tensors: Iterable[TensorInfo]) -> Infos:
    """Of a ControlNet, in the names of diffusers or of latent diffusion (``control_model.``)."""
    plain = {_WRAPPERS.sub("", info.name): info for info in tensors}
    places = sorted({int(found[1]) for name in plain if (found := _HINT.match(name))})
    return {_controlnet_name(name, places): info for name, info in plain.items()}


def _controlnet_name(name: str, places: list[int]) -> str:
    if found := _HINT.match(name):
        return f"{_EMBEDDING}{_hint_layer(places.index(int(found[1])), len(places))}.{found[2]}"
    if found := re.match(r"zero_convs\.(\d+)\.0\.(weight|bias)", name):
        return f"controlnet_down_blocks.{found[1]}.{found[2]}"
    if name.startswith("middle_block_out.0."):
        return name.replace("middle_block_out.0.", "controlnet_mid_block.")
    return modern(name)


def _hint_layer(number: int, count: int) -> str:
    if number in (0, count - 1):
        return "conv_out" if number else "conv_in"
    return f"blocks.{number - 1}"


def hint_widths(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The channels of a ControlNet's layers that read the map; each but the first halves it."""
    widths = [shapes.get(f"{_EMBEDDING}conv_in.weight", ())[:1]]
    while shape := shapes.get(f"{_EMBEDDING}blocks.{2 * len(widths) - 1}.weight"):
        widths.append(shape[:1])
    return tuple(width for each in widths for width in each)


def adapter(tensors: Iterable[TensorInfo]) -> Infos:
    """Of a T2I-Adapter, in the names of diffusers or of TencentARC."""
    plain = {
        re.sub(r"^(state_dict\.|module\.|adapter\.)+", "", info.name): info for info in tensors
    }
    flat = any(re.match(r"body\.\d+\.block1\.", name) for name in plain)
    return {f"adapter.{_adapter_name(name, flat)}": info for name, info in plain.items()}


def _adapter_name(name: str, flat: bool) -> str:
    found = _FLAT.match(name)
    if flat and found:
        size, block = divmod(int(found[1]), _RESIDUALS)
        inside = "in_conv" if found[2] == "in_conv" else f"resnets.{block}.{found[2]}"
        return f"body.{size}.{inside}.{found[3]}"
    return _LIGHT.sub(r"body.\1.resnets.\2.", name)
