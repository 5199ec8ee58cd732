"""Few steps: a LoRA with which Squire sees at once what its guided sampling comes to.

A consistency model (Song et al. 2023, Luo et al. 2023) answers with the end of the path on which a
noisy picture lies. Squire is small enough that whole paths can be drawn, so each point of them is
taught its path's true end, rather than the student's own answer at the point after it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.captions import caption
from training.satchel import variants
from training.satchel.learning import SIZES, Student
from training.satchel.lora import LoRA

GUIDANCE = 6.0
PATH = (999, 939, 879, 819, 759, 699, 639, 569, 499, 379, 259, 139, 19)
"""Timesteps of a path; DDIM goes from each to the next, and from the last to the picture."""
FOUR, EIGHT = (999, 759, 499, 259), (999, 879, 759, 639, 499, 379, 259, 139)
"""Where the sampler `lcm` stops in so many steps."""
FOUR_SHARE = 0.85
RENEWED_BELOW = 300
"""Timesteps below which the picture shows through: half of them get its end with noise put on."""
HUBER = 0.1
"""Where the loss turns from squares to lengths (pseudo-Huber), a pixel at a time."""
AT_ONCE, EVERY = 16, 40
"""Paths that are drawn together, and after how many steps there are more."""


@dataclass(frozen=True)
class Paths:
    """Of one size: `points` (len(PATH), n, 4, h, w), `ends` (n, 4, h, w), and what was told."""

    points: Tensor
    ends: Tensor
    told: Tensor


class Courses:
    """Paths of Squire itself, more and more of them up to a number."""

    def __init__(self, student: Student, loras: dict[str, LoRA], most: int, seed: int) -> None:
        self.student, self.loras, self.most = student, loras, most
        self.rng = np.random.default_rng(seed)
        self.drawn: list[Paths] = []
        self.asked = 0

    def draw(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Noisy latents, their timesteps, their paths' ends, and what was told of them."""
        due = len(self.drawn) * EVERY <= self.asked and len(self.drawn) * AT_ONCE < self.most
        if due or not self.drawn:
            self.drawn.append(self._more())
        self.asked += 1
        paths = self.drawn[self.rng.integers(len(self.drawn))]
        chosen = torch.from_numpy(self.rng.permutation(len(paths.ends))[:8])
        times = [int(self.rng.choice(FOUR if self._often(FOUR_SHARE) else EIGHT)) for _ in chosen]
        t, ends = torch.tensor(times), paths.ends[chosen]
        noisy = torch.stack(
            [paths.points[PATH.index(time), n] for time, n in zip(times, chosen, strict=True)]
        )
        anew = self.student.noising.noised(ends, torch.randn_like(ends), t)
        renewed = torch.tensor([time < RENEWED_BELOW and self._often(0.5) for time in times])
        noisy = torch.where(renewed[:, None, None, None], anew, noisy)
        return noisy, t, ends, paths.told[chosen]

    def _often(self, chance: float) -> bool:
        return bool(self.rng.random() < chance)

    @torch.no_grad()
    def _more(self) -> Paths:
        size = SIZES[int(len(self.drawn) % 6 == 5)][0]
        seed = int(self.rng.integers(1 << 30))
        scenes = variants.scenes(seed, size, AT_ONCE, figures=False)
        told = self.student.context([caption(each, self.rng)[0] for each in scenes], None)
        for each in self.loras.values():
            each.strength = 0.0
        paths = path(self.student, torch.randn(AT_ONCE, 4, *size), told)
        for each in self.loras.values():
            each.strength = 1.0
        return paths


def path(student: Student, x: Tensor, told: Tensor) -> Paths:
    """By DDIM with guidance from noise to pictures."""
    both = torch.cat([student.context([""] * len(x), None), told])
    points, alphas = [], student.noising.alphas
    for time, later in zip(PATH, (*PATH[1:], None), strict=True):
        points.append(x)
        t = torch.full((2 * len(x),), time)
        without, told_so = student.epsilon(torch.cat([x, x]), t, both).chunk(2)
        epsilon = without + GUIDANCE * (told_so - without)
        end = (x - (1 - alphas[time]).sqrt() * epsilon) / alphas[time].sqrt()
        alpha = torch.ones(()) if later is None else alphas[later]
        x = alpha.sqrt() * end + (1 - alpha).sqrt() * epsilon
    return Paths(torch.stack(points), x, told)


def loss(student: Student, courses: Courses) -> Tensor:
    """How far the student's pictures are from the paths' ends, less at high noise than they are."""
    noisy, t, ends, told = courses.draw()
    alpha = student.noising.alphas[t].view(-1, 1, 1, 1)
    seen = (noisy - (1 - alpha).sqrt() * student.epsilon(noisy, t, told)) / alpha.sqrt()
    gap = ((seen - ends).square().sum(1) + HUBER**2).sqrt() - HUBER
    return (gap.mean((1, 2)) * alpha.flatten() ** 0.25).mean()
