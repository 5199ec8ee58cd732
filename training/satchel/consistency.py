"""Latent consistency distillation (Luo et al. 2023): Squire with guidance, in few steps without.

The student says what a picture will be in the end (x_0) from any noise, and says the same from
where its teacher, Squire itself without the LoRA, gets by one DDIM step with guidance.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from training.satchel.learning import Lessons, Student
from training.satchel.lora import LoRA

STRIDE = 50
"""Timesteps between two points that must agree."""
GUIDANCE = 5.0
HUBER = 0.03
"""Where the loss turns from squares to lengths (pseudo-Huber)."""


def loss(student: Student, loras: dict[str, LoRA], lessons: Lessons) -> Tensor:
    """How far two answers to one picture at neighbouring noises are apart."""
    latents, texts = lessons.draw()
    count = len(latents)
    t = torch.from_numpy(lessons.rng.integers(1, 1000 // STRIDE + 1, count) * STRIDE - 1)
    noisy = student.noising.noised(latents, torch.randn_like(latents), t)
    told = student.context(texts, lessons.rng)
    with torch.no_grad():
        _strengthen(loras, 0.0)
        nearer = _guided_step(student, noisy, t, told)
        _strengthen(loras, 1.0)
        later = (t - STRIDE).clamp(min=0)
        wanted = _final(student, nearer, later, told)
        wanted = torch.where((t < STRIDE)[:, None, None, None], nearer, wanted)
    gap = (_final(student, noisy, t, told) - wanted).square().mean((1, 2, 3))
    return ((gap + HUBER**2).sqrt() - HUBER).mean()


def _strengthen(loras: dict[str, LoRA], strength: float) -> None:
    for each in loras.values():
        each.strength = strength


def _final(student: Student, noisy: Tensor, t: Tensor, told: Tensor) -> Tensor:
    """The picture x_0 that the student sees in a noisy one."""
    alpha = student.noising.alphas[t].view(-1, 1, 1, 1)
    return (noisy - (1 - alpha).sqrt() * student.epsilon(noisy, t, told)) / alpha.sqrt()


def _guided_step(student: Student, noisy: Tensor, t: Tensor, told: Tensor) -> Tensor:
    """DDIM from t to `STRIDE` earlier with guidance; to the picture itself from the last."""
    blank = student.context([""] * len(noisy), np.random.default_rng(0))
    both = torch.cat([blank, told])
    without, with_words = student.epsilon(torch.cat([noisy, noisy]), torch.cat([t, t]), both).chunk(
        2
    )
    epsilon = without + GUIDANCE * (with_words - without)
    alpha = student.noising.alphas[t].view(-1, 1, 1, 1)
    before = student.noising.alphas[(t - STRIDE).clamp(min=0)].view(-1, 1, 1, 1)
    before = torch.where((t < STRIDE)[:, None, None, None], torch.ones(()), before)
    final = (noisy - (1 - alpha).sqrt() * epsilon) / alpha.sqrt()
    return before.sqrt() * final + (1 - before).sqrt() * epsilon
