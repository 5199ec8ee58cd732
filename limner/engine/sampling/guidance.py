"""Guidance as a matrix: which prompts an image's rows carry at each step, and their weights.

Classifier-free guidance (Ho and Salimans, 2022) over composed prompts (Liu et al., 2022,
"Compositional Visual Generation with Composable Diffusion Models", eq. 11):

    eps = uncond + sum_i w_i g (cond_i - uncond) = (1 - g sum w) uncond + sum_i g w_i cond_i

The unconditional row is left out exactly when its coefficient is 0, which it is at guidance 1 and
so outside of the interval that a request may set. Each prompt is encoded once and shared by all
steps that show it, so that an alternation over many steps takes little memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from limner.domain.attention import Span
from limner.domain.guidance import coefficients
from limner.domain.limits import check_prompts
from limner.domain.params import Generation
from limner.domain.prompt import Branch, Prompt, parse
from limner.domain.regions import parsed
from limner.engine.adapters.rows import Uses
from limner.engine.sampling.conditioning import Conditioner
from limner.engine.sampling.regional import NO_MASKS, Masks, conditional, shares, weights
from limner.engine.sampling.tempering import Tempering
from limner.engine.sampling.transfer import to_device

CHUNK_TOKENS = 77


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one image for a span of steps.

    ``contexts`` holds what each row reads, (its tokens, width); in a batch it is filled with
    zeros up to ``tokens`` and masked. ``G`` (rows,) float32 are their weights in the guided
    output, (rows, n) over the latent where it has regions; ``tempering`` makes it in another way
    where it is set. The first ``negatives`` rows are of the negative prompt.
    """

    contexts: tuple[Tensor, ...]
    tokens: int
    G: Tensor
    tempering: Tempering | None = None
    negatives: int = 0

    def composed(self, E: Tensor) -> Tensor:
        """The guided output (L,) of those of the rows: (rows, C, n)."""
        if self.G.dim() == 1:
            return self.G @ E.flatten(1)
        return (self.G[:, None] * E).sum(0).flatten()


@dataclass(frozen=True, eq=False)
class Guidance:
    """``spans[span_of[k]]`` holds the rows of evaluation k."""

    spans: tuple[Rows, ...]
    span_of: tuple[int, ...]

    def at(self, k: int) -> Rows:
        return self.spans[self.span_of[k]]

    @property
    def rows_max(self) -> int:
        """The most rows of one evaluation."""
        return max(len(rows.G) for rows in self.spans)

    def to(self, device: torch.device, dtype: torch.dtype) -> Guidance:
        """The same on the UNet's device, contexts in its number type; what is shared stays so."""
        contexts = {id(context): context for rows in self.spans for context in rows.contexts}
        weights = {id(rows.G): rows.G for rows in self.spans}
        there = {key: context.to(device, dtype) for key, context in contexts.items()}
        there |= {key: to_device(G, device) for key, G in weights.items()}
        moved = tuple(
            replace(
                r,
                contexts=tuple(there[id(each)] for each in r.contexts),
                G=there[id(r.G)],
                tempering=r.tempering and r.tempering.to(device),
            )
            for r in self.spans
        )
        return replace(self, spans=moved)


def count_rows(g: Generation, conditioner: Conditioner) -> tuple[list[int], int]:
    """Rows of each evaluation and the context bucket in chunks, without encoding anything.

    Raises ``InvalidInput`` as ``check_prompts``.
    """
    positive, negative, others = _parse(g)
    prompts = {"prompt": positive, "negative_prompt": negative, **others}
    longest = check_prompts(prompts, lambda spans: conditioner.count_chunks(spans, g.embeddings))
    return g.rows(positive.weights), 1 << (longest - 1).bit_length()


def count_tokens(g: Generation, conditioner: Conditioner) -> int:
    """Tokens of all prompts that an image's rows read at one step or another, each prompt once.

    Where guidance is 1 for a part of the steps, as if it were not: at most what is read.
    """
    positive, negative, others = _parse(g)
    rows = max(g.rows(positive.weights), default=1)
    read = {
        prompt.spans
        for step in range(1, _steps_run(g) + 1)
        for prompt in _prompts_at(positive, negative, others, step, rows)
    }
    return sum(conditioner.count_chunks(spans, g.embeddings) for spans in read) * CHUNK_TOKENS


def encode_guidance(
    g: Generation,
    steps: np.ndarray,
    bucket: int,
    conditioner: Conditioner,
    uses: Uses = (),
    size: tuple[int, int] = (1, 1),
    masks: Masks = NO_MASKS,
) -> Guidance:
    """Encode every prompt of an image and lay its rows out for each evaluation.

    ``steps`` (K,) is the user's step, from 1, that each evaluation belongs to; ``uses`` are
    the text encoder's adapters, ``size`` the latent's height and width, ``masks`` those
    of regions.
    """
    positive, negative, others = _parse(g)
    over = shares(g.regions, *size, masks) if g.regions else None
    encoded: dict[tuple[Span, ...], Tensor] = {}
    by_scale = {scale: _weights(g, scale, positive, over) for scale in (1.0, g.guidance)}
    spans: dict[tuple[object, ...], int] = {}
    rows: list[Rows] = []
    span_of = []
    for step, scale in zip(steps, g.guidance_over(len(steps)), strict=True):
        G, tempering = by_scale[scale]
        prompts = _prompts_at(positive, negative, others, int(step), len(G))
        at = (scale, *(prompt.spans for prompt in prompts))
        if at not in spans:
            for prompt in prompts:
                if prompt.spans not in encoded:
                    own = (prompt.spans, g.clip_skip, uses, g.embeddings)
                    encoded[prompt.spans] = conditioner.encode(*own)
            spans[at] = len(rows)
            contexts = tuple(encoded[prompt.spans] for prompt in prompts)
            negatives = len(G) - len(positive.weights) - len(others)
            rows.append(Rows(contexts, bucket * CHUNK_TOKENS, G, tempering, negatives))
        span_of.append(spans[at])
    return Guidance(tuple(rows), tuple(span_of))


def _prompts_at(
    positive: Prompt, negative: Prompt, others: Mapping[str, Prompt], step: int, rows: int
) -> tuple[Branch, ...]:
    """What so many rows of a step read: the unconditional first, unless it counts for nothing, and
    those of regions last."""
    last = (each.at(step).branches[0] for each in others.values())
    return (negative.at(step).branches[0], *positive.at(step).branches, *last)[-rows:]


def _steps_run(g: Generation) -> int:
    return max(1, g.steps_run)


def _parse(g: Generation) -> tuple[Prompt, Prompt, Mapping[str, Prompt]]:
    """The prompt, the negative prompt, and those of regions by their fields."""
    ran = _steps_run(g)
    own = parse(g.prompt, ran), parse(g.negative_prompt, ran, negative=True)
    return *own, parsed(g.regions, ran)


def _weights(
    g: Generation, scale: float, prompt: Prompt, over: Tensor | None
) -> tuple[Tensor, Tempering | None]:
    """Those of an image's rows where its guidance is ``scale``, the same at all steps; ``over`` are
    the ``shares`` of its regions."""
    tempered = g.tempered and scale != 1
    if over is not None:
        each = conditional(prompt.weights, over)
        tempering = Tempering.of(g, each) if tempered else None
        return weights(g, scale, prompt.weights, over), tempering
    flat = torch.tensor(coefficients(prompt.weights, scale, tempered=g.tempered))
    return flat, Tempering.of(g, tuple(prompt.weights)) if tempered else None
