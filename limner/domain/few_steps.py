"""Checkpoints that were taught to draw in few steps, and what they are drawn with.

A family is named by the way of teaching: latent consistency (Luo et al. 2023), trajectory
consistency (Zheng et al. 2024), Hyper-SD (Ren et al. 2024), SDXL-Lightning's (Lin et al. 2024) and
SD Turbo's (Sauer et al. 2023), whose merges exist for SD 1.5 as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from limner.domain.sampler_names import SamplerName, ScheduleName

Family = Literal["lcm", "tcd", "hyper", "lightning", "turbo"]


@dataclass(frozen=True)
class Fitting:
    """What such a checkpoint is drawn with where a request does not say."""

    sampler: SamplerName
    schedule: ScheduleName | None
    steps: int
    guidance: float = 1.0


FITTING: Mapping[Family, Fitting] = {
    "lcm": Fitting("LCM", None, 6),
    "tcd": Fitting("TCD", None, 6),
    "hyper": Fitting("TCD", None, 8),
    "lightning": Fitting("Euler", "SGM Uniform", 6),
    "turbo": Fitting("Euler a", "SGM Uniform", 6),
}


def named(said: Any) -> Family | None:
    """The family that a word is."""
    word = said.strip().lower() if isinstance(said, str) else ""
    return next((family for family in FITTING if family == word), None)


def said(text: Any) -> Family | None:
    """The family in a text such as ``SD 1.5 LCM``, a word by itself."""
    words = re.findall(r"[a-z]+", text.lower()) if isinstance(text, str) else []
    return next((family for family in FITTING if family in words), None)


def in_metadata(metadata: Mapping[str, str]) -> Family | None:
    """The family that a file's own header says: ``few_steps``, or by a tag or its architecture
    (``modelspec``). A title is no statement: many a model is called Lightning."""
    own = named(metadata.get("few_steps") or metadata.get("few steps"))
    tags = (named(tag) for tag in str(metadata.get("modelspec.tags", "")).split(","))
    return own or next(filter(None, tags), None) or said(metadata.get("modelspec.architecture"))


def of_scheduler(config: Mapping[str, Any]) -> Family | None:
    """The family by the scheduler that a folder in diffusers' layout comes with."""
    return named(str(config.get("_class_name", "")).removesuffix("Scheduler"))
