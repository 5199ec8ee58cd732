"""What other programs call the ways of guidance, in the texts of pictures and in their calls.

``Skip Early CFG`` is AUTOMATIC1111's, ``CFG end`` and ``CFG rescale`` are SD.Next's; the rest is of
the extension "Dynamic Thresholding (CFG Scale Fix)", for both programs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nextafter
from typing import Any

from limner.domain.guidance import MODES_WITH_VALUE, Thresholding
from limner.domain.params import Generation

SCRIPT = "Dynamic Thresholding (CFG Scale Fix)"
SKIP_EARLY = "skip_early_cond"
_ENABLED = "Dynamic thresholding enabled"


@dataclass(frozen=True)
class _Named:
    """A field of ``Thresholding``: its name in a text, and how its value is told and read."""

    field: str
    name: str
    told: Callable[[Any], str]
    read: Callable[[Any], Any] = lambda value: value


def _number(value: float) -> str:
    return f"{value:.12g}"


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _share(percent: Any) -> Any:
    """Of a number or its text; what is neither is left for the reader to refuse."""
    try:
        return round(float(percent) / 100, 12)
    except (TypeError, ValueError):
        return percent


# In the order of the extension's arguments, after the one that turns it on.
_NAMED = (
    _Named("mimic_scale", "Mimic scale", _number),
    _Named("percentile", "Threshold percentile", lambda share: _number(share * 100), _share),
    _Named("mimic_mode", "Mimic mode", str.title, _lower),
    _Named("mimic_min", "Mimic scale minimum", _number),
    _Named("guidance_mode", "CFG mode", str.title, _lower),
    _Named("guidance_min", "CFG scale minimum", _number),
    _Named("mode_value", "Scheduler value", _number),
    _Named("separate_channels", "Separate Feature Channels", str),
    _Named("startpoint", "Scaling Startpoint", str.upper, _lower),
    _Named("variability", "Variability Measure", str.upper, _lower),
    _Named("phi", "Interpolate Phi", _number),
)


NAMES = frozenset(
    {"Skip Early CFG", "CFG end", "CFG rescale", _ENABLED, *(row.name for row in _NAMED)}
)
"""All that a text may say of it."""


def pairs_of(g: Generation) -> dict[str, str]:
    """What a picture's text says of its guidance, beside how strong it is."""
    pairs = {}
    if g.guidance_start > 0:
        pairs["Skip Early CFG"] = repr(nextafter(g.guidance_start, 0))
    if g.guidance_end < 1:
        pairs["CFG end"] = _number(g.guidance_end)
    if g.guidance_rescale:
        pairs["CFG rescale"] = _number(g.guidance_rescale)
    if g.thresholding is not None:
        pairs |= {_ENABLED: "True"} | _pairs_of(g.thresholding)
    return pairs


def _pairs_of(how: Thresholding) -> dict[str, str]:
    """Without what its modes do not look at, as the extension writes it."""
    modes = {how.mimic_mode, how.guidance_mode}
    quiet = set() if modes & set(MODES_WITH_VALUE) else {"mode_value"}
    quiet |= {"mimic_mode", "mimic_min"} if how.mimic_mode == "constant" else set()
    quiet |= {"guidance_mode", "guidance_min"} if how.guidance_mode == "constant" else set()
    told = (row for row in _NAMED if row.field not in quiet)
    return {row.name: row.told(getattr(how, row.field)) for row in told}


def from_pairs(pairs: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a request by a picture's text, their values as the text has them."""
    fields: dict[str, Any] = {}
    if "Skip Early CFG" in pairs:
        fields |= from_skip_early(float(pairs["Skip Early CFG"]))
    named = {"CFG end": "guidance_end", "CFG rescale": "guidance_rescale"}
    fields |= {ours: float(pairs[name]) for name, ours in named.items() if name in pairs}
    if pairs.get(_ENABLED) == "True":
        said = {row.field: row.read(pairs[row.name]) for row in _NAMED if row.name in pairs}
        fields["thresholding"] = said
    return fields


def from_script(arguments: Sequence[Any]) -> dict[str, Any] | None:
    """The extension's arguments, in its order, as fields of ``Thresholding``; None where it is off.

    Those that are missing at the end have the extension's defaults, which are ours.
    """
    enabled, *rest = arguments or [False]
    if not enabled:
        return None
    return {row.field: row.read(value) for row, value in zip(_NAMED, rest, strict=False)}


def from_skip_early(share: float) -> dict[str, float]:
    """What it is here that the evaluations up to a share of all, that one included, skip guidance.

    Ours begins with the evaluation at the share itself, so it is the next number above.
    """
    if share <= 0:
        return {}
    return {"guidance_start": nextafter(share, 1)} if share < 1 else {"guidance": 1.0}
