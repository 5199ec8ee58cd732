"""Upscalers by their tensors: which network one is, and by how much it makes pictures larger.

The networks are ESRGAN (Wang et al. 2018) under its older and its newer names, Real-ESRGAN's
compact one (Wang et al. 2021), SwinIR (Liang et al. 2021), HAT and DAT (Chen et al. 2023).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from limner.engine.checkpoints.headers import Header

Shapes = Mapping[str, tuple[int, ...]]

_WRAPPER = re.compile(r"^(params_ema|params)\.")
_OLD = re.compile(r"^model\.([2-9]|\d\d)\.weight$")
_COMPACT = re.compile(r"^body\.(\d+)\.weight$")
_UP = re.compile(r"^upsample\.\d+\.weight$")
# By a tensor that only it has; the first row that holds.
_NETWORKS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("ESRGAN, older", re.compile(r"^model\.1\.sub\.")),
    ("ESRGAN", re.compile(r"^body\.0\.rdb1\.")),
    ("HAT", re.compile(r"^layers\.0\.residual_group\.overlap_attn\.")),
    ("SwinIR", re.compile(r"^layers\.0\.residual_group\.")),
    ("DAT", re.compile(r"^layers\.0\.blocks\.")),
    ("SRVGG", re.compile(r"^body\.1\.weight$")),
    ("unknown", re.compile(r"^conv_first\.")),
)


def is_one(header: Header) -> bool:
    """Whether the tensors are an upscaler's."""
    shapes = _shapes(header)
    if _network(shapes) == "SRVGG":  # its names are plain: a convolution, then a slope a channel
        return [len(shapes.get(f"body.{n}.weight", ())) for n in (0, 1)] == [4, 1]
    return bool(_network(shapes))


def facts(header: Header) -> dict[str, Any]:
    """``network`` by its name, and ``scale``, how many times larger; None where it is not told."""
    shapes = _shapes(header)
    network = _network(shapes) or "unknown"
    return {"network": network, "scale": _scale(network, shapes)}


def _shapes(header: Header) -> dict[str, tuple[int, ...]]:
    return {_WRAPPER.sub("", name): tensor.shape for name, tensor in header.tensors.items()}


def _network(shapes: Shapes) -> str | None:
    return next((name for name, mark in _NETWORKS if any(map(mark.search, shapes))), None)


def _scale(network: str, shapes: Shapes) -> int | None:
    if network == "ESRGAN, older":  # a doubling each but for the last two
        return int(2 ** max(0, sum(map(bool, map(_OLD.match, shapes))) - 2))
    if network == "SRVGG":
        numbers = [int(found[1]) for name in shapes if (found := _COMPACT.match(name))]
        last = shapes[f"body.{max(numbers)}.weight"]
        return _root(last[0], 3) if len(last) == 4 else None
    first = shapes.get("conv_first.weight", ())
    if network == "ESRGAN":  # pixels of smaller scales are folded into channels before
        folded = _root(first[1], 3) if len(first) == 4 else None
        return 4 // folded if folded in (1, 2, 4) else None
    ups = [s for name, s in shapes.items() if _UP.match(name) and len(s) == 4 and s[1]]
    scales = [_root(shape[0] // shape[1], 1) for shape in ups if shape[0] > shape[1]]
    return math.prod(s for s in scales if s) if scales and all(scales) else None


def _root(count: int, each: int) -> int | None:
    """How many pixels wide a square of ``count`` channels is, with ``each`` of a pixel."""
    width = math.isqrt(count // each)
    return width if width and width * width * each == count else None
