"""Values of a text that are beyond what is drawn here: the nearest counts, and that is told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limner.domain.guidance import Thresholding
from limner.domain.infotext.undone import shown
from limner.domain.params import SEED_MAX, SIDE_MAX, SIDE_MIN, SIDE_MULTIPLE, STEPS_MAX
from limner.domain.samplers import OPTIONS, SAMPLERS


@dataclass(frozen=True)
class _Bound:
    """A pair's name, and from where to where its value goes."""

    name: str
    least: float
    most: float
    whole: bool = False


_OPTION_NAMES = {
    "eta": "Eta",
    "s_churn": "Sigma churn",
    "s_noise": "Sigma noise",
    "s_tmin": "Sigma tmin",
    "s_tmax": "Sigma tmax",
}
_BOUNDS: Mapping[str, _Bound] = {
    "num_inference_steps": _Bound("Steps", 1, STEPS_MAX, whole=True),
    "guidance_scale": _Bound("CFG scale", 0, 100),
    "seed": _Bound("Seed", -1, SEED_MAX, whole=True),
    "clip_skip": _Bound("Clip skip", 1, 12, whole=True),
    "subseed": _Bound("Variation seed", -1, SEED_MAX, whole=True),
    "subseed_strength": _Bound("Variation seed strength", 0, 1),
    "eta_noise_seed_delta": _Bound("ENSD", -SEED_MAX, SEED_MAX, whole=True),
    "strength": _Bound("Denoising strength", 0, 1),
    "guidance_rescale": _Bound("CFG rescale", 0, 1),
    "guidance_end": _Bound("CFG end", 0, 1),
    "tiling_start": _Bound("Tiling start", 0, 1),
    "tiling_end": _Bound("Tiling end", 0, 1),
    **{ours: _Bound(theirs, *OPTIONS[ours]) for ours, theirs in _OPTION_NAMES.items()},
}
_OF_HIRES: Mapping[str, _Bound] = {
    "scale": _Bound("Hires upscale", 1, 4),
    "steps": _Bound("Hires steps", 1, STEPS_MAX, whole=True),
    "strength": _Bound("Denoising strength", 0, 1),
    "guidance": _Bound("Hires CFG Scale", 0.1, 25),
}


def keep(body: dict[str, Any], told: list[str]) -> None:
    """Leave in a request's ``body`` what can be drawn; ``told`` gets a sentence for all else."""
    _keep(body, _BOUNDS, told)
    _keep_steps(body, told)
    _keep_guidance(body, told)
    if "hires" in body:
        _keep(body["hires"], _OF_HIRES, told)
        _keep_second_size(body, told)


def side_fitted(size: tuple[int, int]) -> tuple[int, int]:
    """A size in its proportions, no side longer than what is drawn; each of at least the least."""
    share = min(1.0, SIDE_MAX / max(*size, 1))
    width, height = (int(side * share) // SIDE_MULTIPLE * SIDE_MULTIPLE for side in size)
    return max(width, SIDE_MIN), max(height, SIDE_MIN)


def _keep(values: dict[str, Any], bounds: Mapping[str, _Bound], told: list[str]) -> None:
    for field, bound in bounds.items():
        if field not in values:
            continue
        number = _number(values[field])
        if number is None or (bound.whole and number != int(number)):
            kind = "whole number" if bound.whole else "number"
            told.append(f"{bound.name}: {shown(str(values.pop(field)))} is no {kind}; left out")
        elif not bound.least <= number <= bound.most:
            nearest = bound.least if number < bound.least else bound.most
            told.append(
                f"{bound.name}: {shown(str(values[field]))} is drawn as {nearest:g}; it goes from "
                f"{bound.least:g} to {bound.most:g} here"
            )
            values[field] = nearest


def _number(value: Any) -> float | int | None:
    """Exact where it is whole, however large."""
    for kind in (int, float):
        try:
            number = kind(str(value))
        except ValueError:
            continue
        return number if math.isfinite(number) else None
    return None


def _keep_steps(body: dict[str, Any], told: list[str]) -> None:
    """Of samplers whose teachers took fewer than can be drawn otherwise."""
    sampler, steps = body.get("sampler"), body.get("num_inference_steps")
    most = SAMPLERS[sampler].steps_most if sampler else None
    if most and steps is not None and float(steps) > most:
        told.append(f"Steps: {steps} is drawn as {most}: {sampler} is drawn in at most {most}")
        body["num_inference_steps"] = most


def _keep_guidance(body: dict[str, Any], told: list[str]) -> None:
    start, end = (float(body.get(f"guidance_{name}", n)) for name, n in (("start", 0), ("end", 1)))
    if start >= end:
        told.append(
            f"Skip Early CFG, CFG end: no step lies between {start:g} and {end:g}; left out"
        )
        for name in ("start", "end"):
            body.pop(f"guidance_{name}", None)
    try:
        Thresholding(**(body.get("thresholding") or {}))
    except ValueError:
        del body["thresholding"]
        told.append("Dynamic thresholding: one of its values is not known here; left out")


def _keep_second_size(body: dict[str, Any], told: list[str]) -> None:
    """A second pass no longer than what is drawn, and no smaller than the first."""
    first = body.get("img_width", 512), body.get("img_height", 512)
    large = _asked(body["hires"], first)
    said = f"Hires: {large[0]}x{large[1]}"
    fitted = side_fitted(large)
    if max(large) > SIDE_MAX and fitted[0] >= first[0] and fitted[1] >= first[1]:
        told.append(f"{said} is drawn as {fitted[0]}x{fitted[1]}; a side has at most {SIDE_MAX}")
        body["hires"].pop("scale", None)
        body["hires"] |= {"width": fitted[0], "height": fitted[1]}
    elif max(large) > SIDE_MAX or large[0] < first[0] or large[1] < first[1]:
        bounds = f"{first[0]}x{first[1]}, the first pass, to {SIDE_MAX}"
        told.append(f"{said} is left out: a second pass goes from {bounds} a side here")
        del body["hires"]


def _asked(second: Mapping[str, Any], first: tuple[int, int]) -> tuple[int, int]:
    """The size of a second pass: by its factor, or by its sides, of which one may be missing."""
    width, height = second.get("width"), second.get("height")
    if not (width or height):
        scale = float(second.get("scale", 2))
        return int(first[0] * scale), int(first[1] * scale)
    share = (width / first[0]) if width else (height or 1) / first[1]
    return width or int(first[0] * share), height or int(first[1] * share)
