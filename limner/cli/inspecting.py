"""What ``limner models inspect`` tells beside what a checkpoint's headers say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import CheckpointError

if TYPE_CHECKING:
    from limner.domain.few_steps import Family
    from limner.engine.checkpoints.headers import Header

_NETWORKS = ("lora", "textual-inversion", "controlnet", "t2i-adapter", "upscaler")


def faults(path: Path, header: Header, kind: str) -> dict[str, Any]:
    """The notes on a file that is drawn with beside a checkpoint; its numbers are read."""
    try:
        if kind in ("vae", "text-encoder"):
            _verify_part(path, kind)
        elif kind in _NETWORKS:
            from limner.engine.checkpoints.tensors import require_finite

            require_finite(header)
        else:
            return {}
    except CheckpointError as error:
        return {"notes": [*header.notes, str(error)]}
    return {"notes": [*header.notes]}


def _verify_part(path: Path, kind: str) -> None:
    from limner.engine.checkpoints import layouts, text_encoders, weights

    if kind == "vae":
        weights.verify_part("vae", layouts.read_vae(path))
    else:
        weights.verify_part("text_encoder", text_encoders.read(path))


def few_steps(family: Family | None) -> str | None:
    """What a request that does not say is drawn with, for people."""
    from limner.domain.few_steps import FITTING

    if family is None:
        return None
    fitting = FITTING[family]
    sampler = f"{fitting.sampler}{f', {fitting.schedule}' if fitting.schedule else ''}"
    return (
        f"{family}: {sampler}, {fitting.steps} steps and guidance {fitting.guidance:g} where a "
        "request does not say"
    )
