"""A file of an upscaler: its network, loaded, tried once, and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limner.engine.checkpoints import digests, networks, upscalers
from limner.engine.checkpoints.containers import read_header, require_unchanged
from limner.engine.checkpoints.headers import Header
from limner.engine.checkpoints.inspection import DESCRIPTIONS, kind_of
from limner.engine.checkpoints.tensors import is_finite, read
from limner.engine.upscaling.nets import Net, measured, reach_of, unit_of
from limner.errors import CheckpointError

PROBE = 32  # pixels a side of what it is tried with


def load(path: Path, device: torch.device) -> Net:
    """The upscaler in ``path``, in float32.

    Raises:
        CheckpointError: the file is gone, damaged or no upscaler, of no network that spandrel
            knows, or gives numbers that are not finite; the sentence names the file.
    """
    header = read_header(path)
    kind = kind_of(header)
    if kind != "upscaler":
        raise CheckpointError(f"{path.name} is no upscaler: it is {DESCRIPTIONS[kind]}.")
    upscalers.require(header)
    found = networks.built(path.name, _weights(header))
    sha256 = digests.compute(path)
    require_unchanged(header)
    found.to(device, torch.float32).model.eval().requires_grad_(False)
    return _net(path, sha256, found, device)


def _weights(header: Header) -> dict[str, Tensor]:
    """By the names that spandrel knows."""
    names = networks.unwrapped(header.tensors)
    weights = {name: read(header.tensors[at]) for name, at in names.items()}
    for name, weight in weights.items():
        if not weight.is_floating_point():
            continue
        if not is_finite(weight):
            raise CheckpointError(f"{header.path.name}: {name!r} holds values that are not finite.")
        weights[name] = weight.float()
    return weights


def _net(path: Path, sha256: str, found: Any, device: torch.device) -> Net:
    grains = np.random.default_rng(0).random((1, found.input_channels, PROBE, PROBE), np.float32)
    with torch.inference_mode():
        try:
            made, pixel_bytes = measured(found, found.model, torch.from_numpy(grains).to(device))
        except Exception as error:
            raise CheckpointError(
                f"{path.name} is broken: its network does not run ({type(error).__name__})."
            ) from error
    if tuple(made.shape[-2:]) != (PROBE * found.scale,) * 2 or not is_finite(made):
        raise CheckpointError(
            f"{path.name} is broken: it makes of {PROBE}x{PROBE} pixels "
            f"{made.shape[-1]}x{made.shape[-2]}, some of them no numbers."
        )
    needs = found.size_requirements
    return Net(
        sha256=sha256,
        run=found,
        scale=found.scale,
        channels=found.input_channels,
        reach=reach_of(found.model, needs.multiple_of),
        unit=unit_of(needs.multiple_of),
        pixel_bytes=pixel_bytes,
        bytes=sum(each.nbytes for each in found.model.state_dict().values()),
        device=device,
    )
