"""Guidance as a matrix: which prompts an image's rows carry at each step, and their weights.

Classifier-free guidance (Ho and Salimans, 2022) over composed prompts (Liu et al., 2022,
"Compositional Visual Generation with Composable Diffusion Models", eq. 11):

    eps = uncond + sum_i w_i g (cond_i - uncond) = (1 - g sum w) uncond + sum_i g w_i cond_i

The unconditional row is left out exactly when its coefficient is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from limner.domain.params import BRANCHES_MAX, CHUNKS_MAX, Generation
from limner.domain.prompt import Branch, Prompt, parse
from limner.domain.schedulers import steps_run
from limner.engine.conditioning import Conditioner
from limner.errors import InvalidInput

CHUNK_TOKENS = 77


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one image for a span of steps.

    ``context`` (rows, tokens, width); ``mask`` (rows, tokens) bool, True where a token counts,
    None when every row is full; ``G`` (rows,) float32.
    """

    context: Tensor
    mask: Tensor | None
    G: Tensor


@dataclass(frozen=True, eq=False)
class Guidance:
    """``spans[span_of[k]]`` holds the rows of evaluation k."""

    spans: tuple[Rows, ...]
    span_of: tuple[int, ...]

    def at(self, k: int) -> Rows:
        return self.spans[self.span_of[k]]

    def to(self, device: torch.device, dtype: torch.dtype) -> Guidance:
        """The same on the UNet's device, contexts in its number type."""
        moved = tuple(
            Rows(
                r.context.to(device, dtype),
                None if r.mask is None else r.mask.to(device),
                r.G.to(device),
            )
            for r in self.spans
        )
        return replace(self, spans=moved)


def together(rows: Sequence[Rows]) -> tuple[Tensor, Tensor | None]:
    """Context and mask of a batch; no mask when every row is full, so that fast kernels stay."""
    context = torch.cat([r.context for r in rows])
    if all(r.mask is None for r in rows):
        return context, None
    full = [r.context.new_ones(r.context.shape[:2], dtype=torch.bool) for r in rows]
    return context, torch.cat(
        [f if r.mask is None else r.mask for f, r in zip(full, rows, strict=True)]
    )


def count_rows(g: Generation, conditioner: Conditioner) -> tuple[int, int]:
    """Rows of one evaluation and the context bucket in chunks, without encoding anything.

    Raises ``InvalidInput`` beyond ``BRANCHES_MAX`` composed prompts or ``CHUNKS_MAX`` chunks.
    """
    positive, negative = _parse(g)
    branches = positive.entries[0].branches
    if len(branches) > BRANCHES_MAX:
        raise InvalidInput(
            "prompt",
            f"prompt composes {len(branches)} prompts with AND; at most {BRANCHES_MAX} are drawn.",
        )
    chunks = 1
    for field, prompt in (("prompt", positive), ("negative_prompt", negative)):
        longest = max(
            conditioner.count_chunks(branch.spans)
            for entry in prompt.entries
            for branch in entry.branches
        )
        if longest > CHUNKS_MAX:
            raise InvalidInput(
                field,
                f"{field} is {longest} chunks of 75 tokens long; at most {CHUNKS_MAX} are read.",
            )
        chunks = max(chunks, longest)
    return len(_weights(g.guidance, branches)), 1 << (chunks - 1).bit_length()


def encode_guidance(
    g: Generation, steps: np.ndarray, bucket: int, conditioner: Conditioner
) -> Guidance:
    """Encode every prompt of an image and lay its rows out for each evaluation.

    ``steps`` (K,) is the user's step, from 1, that each evaluation belongs to.
    """
    positive, negative = _parse(g)
    spans: dict[tuple[int, int], int] = {}
    rows: list[Rows] = []
    span_of = []
    for step in steps:
        entry, uncond = positive.at(int(step)), negative.at(int(step))
        at = (entry.until_step, uncond.until_step)
        if at not in spans:
            spans[at] = len(rows)
            rows.append(_rows(g, entry.branches, uncond.branches[0], bucket, conditioner))
        span_of.append(spans[at])
    return Guidance(tuple(rows), tuple(span_of))


def _parse(g: Generation) -> tuple[Prompt, Prompt]:
    strength = None if g.source is None else g.source.strength
    ran = max(1, steps_run(g.steps, strength))
    return parse(g.prompt, ran), parse(g.negative_prompt, ran, negative=True)


def _weights(guidance: float, branches: tuple[Branch, ...]) -> list[float]:
    """Coefficients of the rows: the unconditional first, unless it counts for nothing."""
    total = sum(branch.weight for branch in branches)
    weights = [guidance * branch.weight for branch in branches]
    uncond = 1 - guidance * total
    return weights if uncond == 0 else [uncond, *weights]


def _rows(
    g: Generation,
    branches: tuple[Branch, ...],
    uncond: Branch,
    bucket: int,
    conditioner: Conditioner,
) -> Rows:
    weights = _weights(g.guidance, branches)
    prompts = branches if len(weights) == len(branches) else (uncond, *branches)
    encoded = [conditioner.encode(prompt.spans, g.clip_skip) for prompt in prompts]
    tokens = bucket * CHUNK_TOKENS
    context = encoded[0].new_zeros(len(encoded), tokens, encoded[0].shape[-1])
    mask = torch.zeros(len(encoded), tokens, dtype=torch.bool, device=context.device)
    for row, hidden in enumerate(encoded):
        context[row, : len(hidden)] = hidden
        mask[row, : len(hidden)] = True
    return Rows(context, None if mask.all() else mask, torch.tensor(weights))
