"""Batches for the UNet: one size at a time, captions newly worded, timesteps stratified."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from training.captions import caption
from training.colourspace import to_latents
from training.data import Pictures
from training.model import alphas_cumprod
from training.text import TextEncoder

DROPOUT = 0.12
"""Share of captions left empty, for classifier-free guidance."""


@dataclass
class Batch:
    """`latents` (n, 4, height, width), `rows` (n, 77) of tokens and each caption's length."""

    latents: torch.Tensor
    rows: torch.Tensor
    lengths: torch.Tensor


class Batches:
    """Draws batches of about `area` latent pixels from the painted pictures."""

    def __init__(self, pictures: Pictures, encoder: TextEncoder, area: int) -> None:
        self.pictures, self.encoder, self.area = pictures, encoder, area
        self.sizes = sorted(pictures.sprites)
        shares = np.array([len(pictures.sprites[s]) * s[0] * s[1] for s in self.sizes], float)
        self.shares = shares / shares.sum()

    def draw(self, shared: np.random.Generator, own: np.random.Generator) -> Batch:
        """One batch. `shared` chooses the size, alike in all processes; `own` the rest."""
        size = self.sizes[shared.choice(len(self.sizes), p=self.shares)]
        count = max(1, round(self.area / (size[0] * size[1])))
        chosen = own.integers(len(self.pictures.sprites[size]), size=count)
        scenes = [self.pictures.scenes[size][i] for i in chosen]
        texts = ["" if own.random() < DROPOUT else caption(scene, own)[0] for scene in scenes]
        rows, lengths = self.encoder.tokens(texts)
        return Batch(to_latents(self.pictures.sprites[size][chosen]), rows, lengths)


def timesteps(count: int, own: np.random.Generator) -> torch.Tensor:
    """Stratified timesteps (count,): one from each slice of the range, few of them below 150."""
    share = (np.arange(count) + own.random(count)) / count
    share = own.permutation((share + own.random()) % 1.0)
    low, knee = 0.06, 150
    value = np.where(
        share < low, share / low * knee, knee + (share - low) / (1 - low) * (1000 - knee)
    )
    return torch.from_numpy(np.minimum(value, 999).astype(np.int64))


class Noising:
    """The forward process, and what an error at each timestep weighs."""

    def __init__(self) -> None:
        self.alphas = alphas_cumprod()

    def noised(self, latents: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """x_t = sqrt(a) x_0 + sqrt(1 - a) eps."""
        alpha = self.alphas[t].view(-1, 1, 1, 1)
        return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise

    def weights(self, t: torch.Tensor) -> torch.Tensor:
        """alpha_bar^-0.5: half-way from the error of epsilon to the error of the picture."""
        return self.alphas[t] ** -0.5
