"""From the tensors of a file to those of a model: by their names, then by their shapes.

Nothing is read here: what is translated are descriptions of tensors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

from limner.engine.checkpoints.headers import FLOATS, TensorInfo
from limner.engine.checkpoints.parts import Part, another, quantised
from limner.engine.checkpoints.unets import modern
from limner.errors import CheckpointError

Infos = dict[str, TensorInfo]
_LDM_VAE = ("encoder.down.", "decoder.up.")  # as latent diffusion names its layers


def fitted(name: str, part: Part, expected: Mapping[str, torch.Tensor]) -> Infos:
    """Where each of the model's tensors lies, for the part ``unet``, ``vae`` or ``text_encoder``.

    Raises:
        CheckpointError: one is missing, of another shape, or not of floating-point numbers.
    """
    found = _translated(name, part)
    file = part.files[0].name
    if missing := sorted(expected.keys() - found.keys()):
        raise CheckpointError(
            f"{file} lacks {len(missing)} of the {len(expected)} tensors of the {name}, "
            f"{missing[0]!r} among them{another(name)}."
        )
    return {key: fit(file, name, key, found[key], tuple(t.shape)) for key, t in expected.items()}


def fit(file: str, part: str, key: str, info: TensorInfo, shape: tuple[int, ...]) -> TensorInfo:
    """The same numbers in the model's shape: a 1x1 convolution is a matrix, and the reverse.

    Raises ``CheckpointError`` for another shape, or numbers that are no floating-point ones.
    """
    if info.dtype not in FLOATS:
        raise quantised(file, part, info)
    if info.shape == shape:
        return info
    if _core(info.shape) != _core(shape):
        raise CheckpointError(
            f"{file}: {key!r} of the {part} has shape {info.shape}, expected {shape}."
        )
    return info.shaped(shape)


def _core(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the ones at its end."""
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _translated(name: str, part: Part) -> Infos:
    """Any of the known names to those of today's classes; what nobody reads stays in."""
    tensors = part.tensors(name)
    if name == "text_encoder":
        return _text(tensors)
    if name == "unet":
        return {modern(key): value for key, value in tensors.items()}
    if any(key.startswith(_LDM_VAE) for key in tensors):
        tensors = convert_ldm_vae_checkpoint(_flat(tensors), dict(part.config))
    return {_modern_attention(key): value for key, value in tensors.items()}


def _text(tensors: Infos) -> Infos:
    """With and without ``text_model.``; where both are there, the whole name counts."""
    short = {k: v for k, v in tensors.items() if not k.startswith("text_model.")}
    return short | {
        k.removeprefix("text_model."): v for k, v in tensors.items() if k.startswith("text_model.")
    }


def _flat(tensors: Infos) -> Infos:
    """The VAE's attention was 1x1 convolutions, and is matrices."""
    return {
        key: info.shaped(_core(info.shape)) if ".attn_1." in key else info
        for key, info in tensors.items()
    }


def _modern_attention(key: str) -> str:
    """diffusers before 0.15 named the VAE's attention ``query``, ``key``, ``value``."""
    names = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
    return re.sub(
        r"(attentions\.\d+\.)(query|key|value|proj_attn)\.",
        lambda match: f"{match[1]}{names[match[2]]}.",
        key,
    )
