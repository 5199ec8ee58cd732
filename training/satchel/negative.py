"""An embedding for negative prompts: words for what Squire draws badly (Gal et al. 2022).

Its vectors are trained to describe what Squire draws in few steps and without guidance, so that
guidance leads away from a worse Squire (Karras et al. 2024) and not only from the empty prompt.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.batches import timesteps
from training.captions import caption
from training.drawing import Model
from training.model import sample
from training.satchel import variants
from training.satchel.learning import Student
from training.text import LENGTH, TextEncoder

VECTORS = 4
RATE = 0.02
ALONE = 0.7
"""Share of prompts that are the embedding and nothing else."""
SIZE, STEPS = (32, 32), 8
"""Of a bad drawing, in latent pixels and in steps of DDIM."""
AT_ONCE = 16


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


@torch.no_grad()
def context(model: Model, path: Path) -> Tensor:
    """Hidden states (1, 77, width) of a negative prompt that is the embedding of a file alone."""
    table = model.text.get_input_embeddings()
    words = Words(table)
    words.own.copy_(load_file(path)["emb_params"])
    first, tokenizer = len(words.table), model.tokenizer
    ids = [tokenizer.bos_token_id, *range(first, first + VECTORS)]
    ids += [tokenizer.eos_token_id] * (LENGTH - len(ids))
    model.text.set_input_embeddings(words)
    hidden: Tensor = model.text(input_ids=torch.tensor([ids])).last_hidden_state
    model.text.set_input_embeddings(table)
    return hidden


def rows(text: TextEncoder, texts: list[str], first: int) -> Tensor:
    """Tokens (n, 77) of prompts that begin with the embedding, whose rows begin at `first`."""
    plain, _ = text.tokens(texts)
    own = torch.arange(first, first + VECTORS).expand(len(texts), -1)
    return torch.cat([plain[:, :1], own, plain[:, 1 : plain.shape[1] - VECTORS]], 1)


class Bad:
    """Drawings by Squire itself, without guidance, and what was told of them."""

    def __init__(self, student: Student, count: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        scenes = variants.scenes(seed, SIZE, count, figures=False)
        self.texts = [caption(scene, self.rng)[0] for scene in scenes]
        parts = [self.texts[first : first + AT_ONCE] for first in range(0, count, AT_ONCE)]
        drawn = []
        for part in parts:
            seeds = self.rng.integers(1 << 30, size=len(part)).tolist()
            told, nothing = student.context(part, None), student.context([""], None)
            drawn.append(sample(student.unet, told, nothing, SIZE, seeds, STEPS, guidance=1.0))
        self.latents = torch.cat(drawn)

    def draw(self) -> tuple[Tensor, list[str]]:
        """Latents (8, 4, height, width), and their captions or nothing."""
        chosen = self.rng.permutation(len(self.texts))[:8]
        alone = self.rng.random(8) < ALONE
        texts = ["" if without else self.texts[n] for n, without in zip(chosen, alone, strict=True)]
        return self.latents[chosen], texts


def loss(student: Student, words: Words, bad: Bad) -> Tensor:
    """Squire's loss on its bad drawings, told by the embedding."""
    latents, texts = bad.draw()
    t, noise = timesteps(len(latents), bad.rng), torch.randn_like(latents)
    noisy = student.noising.noised(latents, noise, t)
    told = student.text(rows(student.text, texts, len(words.table)))
    error = (student.epsilon(noisy, t, told) - noise).square().mean((1, 2, 3))
    return (error * student.noising.weights(t)).mean()
