"""Guidance as a matrix: which prompts an image's rows carry at each step, and their weights.

Classifier-free guidance (Ho and Salimans, 2022) over composed prompts (Liu et al., 2022,
"Compositional Visual Generation with Composable Diffusion Models", eq. 11):

    eps = uncond + sum_i w_i g (cond_i - uncond) = (1 - g sum w) uncond + sum_i g w_i cond_i

The unconditional row is left out exactly when its coefficient is 0. Each prompt is encoded once
and shared by all steps that show it, so that an alternation over many steps takes little memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from limner.domain.attention import Span
from limner.domain.limits import check_prompts
from limner.domain.params import Generation
from limner.domain.prompt import Branch, Prompt, parse
from limner.engine.adapters.rows import Uses
from limner.engine.sampling.conditioning import Conditioner
from limner.engine.sampling.transfer import to_device

CHUNK_TOKENS = 77


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one image for a span of steps.

    ``contexts`` holds what each row reads, (its tokens, width); in a batch it is filled with
    zeros up to ``tokens`` and masked. ``G`` (rows,) float32.
    """

    contexts: tuple[Tensor, ...]
    tokens: int
    G: Tensor


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
            Rows(tuple(there[id(context)] for context in r.contexts), r.tokens, there[id(r.G)])
            for r in self.spans
        )
        return replace(self, spans=moved)


def count_rows(g: Generation, conditioner: Conditioner) -> tuple[int, int]:
    """Rows of one evaluation and the context bucket in chunks, without encoding anything.

    Raises ``InvalidInput`` as ``check_prompts``.
    """
    positive, negative = _parse(g)
    prompts = {"prompt": positive, "negative_prompt": negative}
    longest = check_prompts(prompts, conditioner.count_chunks)
    branches = positive.entries[0].branches
    return len(_weights(g.guidance, branches)), 1 << (longest - 1).bit_length()


def count_tokens(g: Generation, conditioner: Conditioner) -> int:
    """Tokens of all prompts that an image's rows read at one step or another, each prompt once."""
    positive, negative = _parse(g)
    read = {
        prompt.spans
        for step in range(1, _steps_run(g) + 1)
        for prompt in _prompts_at(g, positive, negative, step)
    }
    return sum(conditioner.count_chunks(spans) for spans in read) * CHUNK_TOKENS


def encode_guidance(
    g: Generation, steps: np.ndarray, bucket: int, conditioner: Conditioner, uses: Uses = ()
) -> Guidance:
    """Encode every prompt of an image and lay its rows out for each evaluation.

    ``steps`` (K,) is the user's step, from 1, that each evaluation belongs to; ``uses`` are
    the text encoder's adapters.
    """
    positive, negative = _parse(g)
    encoded: dict[tuple[Span, ...], Tensor] = {}
    spans: dict[tuple[Branch, ...], int] = {}
    G = torch.tensor(_weights(g.guidance, positive.entries[0].branches))  # the same at all steps
    rows: list[Rows] = []
    span_of = []
    for step in steps:
        branches = positive.at(int(step)).branches
        at = (negative.at(int(step)).branches[0], *branches)
        if at not in spans:
            prompts = _prompts_at(g, positive, negative, int(step))
            for prompt in prompts:
                if prompt.spans not in encoded:
                    encoded[prompt.spans] = conditioner.encode(prompt.spans, g.clip_skip, uses)
            spans[at] = len(rows)
            contexts = tuple(encoded[prompt.spans] for prompt in prompts)
            rows.append(Rows(contexts, bucket * CHUNK_TOKENS, G))
        span_of.append(spans[at])
    return Guidance(tuple(rows), tuple(span_of))


def _prompts_at(g: Generation, positive: Prompt, negative: Prompt, step: int) -> tuple[Branch, ...]:
    """What the rows of a step read: the unconditional first, unless it counts for nothing."""
    branches = positive.at(step).branches
    return (negative.at(step).branches[0], *branches)[-len(_weights(g.guidance, branches)) :]


def _steps_run(g: Generation) -> int:
    return max(1, g.steps_run)


def _parse(g: Generation) -> tuple[Prompt, Prompt]:
    ran = _steps_run(g)
    return parse(g.prompt, ran), parse(g.negative_prompt, ran, negative=True)


def _weights(guidance: float, branches: tuple[Branch, ...]) -> list[float]:
    """Coefficients of the rows: the unconditional first, unless it counts for nothing."""
    total = sum(branch.weight for branch in branches)
    weights = [guidance * branch.weight for branch in branches]
    uncond = 1 - guidance * total
    return weights if uncond == 0 else [uncond, *weights]
