"""An embedding for negative prompts: words for what spoils a picture (Gal et al. 2022).

Its vectors are trained to describe spoilt pictures, so that guidance leads away from these.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from training.batches import timesteps
from training.satchel.learning import Lessons, Student
from training.text import TextEncoder

VECTORS = 4
RATE = 0.02
ALONE = 0.5
"""Share of prompts that are the embedding and nothing else."""


class Words(nn.Module):
    """A table of tokens (n, width), frozen, and `own` vectors behind it."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self.table = table.weight.detach()
        spread = self.table.std()
        self.own = nn.Parameter(
            self.table[0] + 0.3 * spread * torch.randn(VECTORS, len(self.table[0]))
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Vectors of the rows; those from the table's end on are `own`."""
        return F.embedding(rows, torch.cat([self.table, self.own]))

    def save(self, path: Path) -> None:
        """As a file that the library lists as an embedding."""
        save_file({"emb_params": self.own.detach().half()}, path)
        path.chmod(0o644)


def attach(text: TextEncoder) -> Words:
    """Put the vectors into a text encoder."""
    words = Words(text.model.get_input_embeddings())
    text.model.set_input_embeddings(words)
    return words


def rows(text: TextEncoder, texts: list[str], first: int) -> Tensor:
    """Tokens (n, 77) of prompts that begin with the embedding, whose rows begin at `first`."""
    plain, _ = text.tokens(texts)
    own = torch.arange(first, first + VECTORS).expand(len(texts), -1)
    return torch.cat([plain[:, :1], own, plain[:, 1 : plain.shape[1] - VECTORS]], 1)


def loss(student: Student, words: Words, lessons: Lessons) -> Tensor:
    """Squire's loss on spoilt pictures, told by the embedding."""
    latents, texts = lessons.draw()
    texts = ["" if lessons.rng.random() < ALONE else text for text in texts]
    t, noise = timesteps(len(latents), lessons.rng), torch.randn_like(latents)
    noisy = student.noising.noised(latents, noise, t)
    told = student.text(rows(student.text, texts, len(words.table)))
    error = (student.epsilon(noisy, t, told) - noise).square().mean((1, 2, 3))
    return (error * student.noising.weights(t)).mean()
