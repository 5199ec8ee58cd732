"""Teaching the text encoder to read: guess the told attributes from the hidden states.

It takes a few minutes and gives the UNet words that already mean something.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from training import scene as scenes
from training.captions import Told, caption
from training.text import WIDTH, TextEncoder, shuffle_padding

FLAGS = ("False", "True")
SLOTS: dict[str, tuple[str, ...]] = {
    "kind": scenes.KINDS,
    "subject": tuple(dict.fromkeys(scenes.ROLES + scenes.CREATURES + scenes.OBJECTS)),
    "race": scenes.RACES,
    "female": FLAGS,
    "hair": scenes.HAIRS,
    "hairstyle": scenes.HAIRSTYLES,
    "beard": FLAGS,
    "colour": scenes.COLOURS,
    "second": scenes.COLOURS,
    "material": scenes.MATERIALS,
    "ornament": scenes.ORNAMENTS,
    "headgear": scenes.HEADGEAR,
    "cloak": scenes.COLOURS,
    "weapon": scenes.WEAPONS,
    "offhand": scenes.OFFHANDS,
    "place": scenes.PLACES,
    "time": scenes.TIMES,
    "mood": scenes.MOODS,
    "portrait": FLAGS,
}
"""Attribute -> the values that a caption can tell."""


class Readers(nn.Module):
    """One attention reader per slot: a query, then a choice of "untold" or one of the values."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(SLOTS), WIDTH) * 0.1)
        self.keys, self.values = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.heads = nn.ModuleList(nn.Linear(WIDTH, 1 + len(v)) for v in SLOTS.values())

    def forward(self, hidden: torch.Tensor) -> list[torch.Tensor]:
        """Per slot the scores (batch, 1 + values) from hidden states (batch, 77, width)."""
        scores = self.queries @ self.keys(hidden).transpose(1, 2) / WIDTH**0.5
        read = scores.softmax(-1) @ self.values(hidden)
        return [head(read[:, k]) for k, head in enumerate(self.heads)]


def targets(told: list[Told]) -> torch.Tensor:
    """Slot classes (batch, slots): 0 where a caption is silent."""
    rows = [
        [1 + values.index(facts[slot]) if slot in facts else 0 for slot, values in SLOTS.items()]
        for facts in told
    ]
    return torch.tensor(rows)


def teach(encoder: TextEncoder, steps: int, rate: float, seed: int, batch: int = 64) -> list[float]:
    """Train the encoder in place; the share of slots read right over the last tenth, per slot."""
    rng = np.random.default_rng(seed)
    readers = Readers()
    weights = [*encoder.parameters(), *readers.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=rate, betas=(0.9, 0.99), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    right = []
    for step in tqdm(range(steps), desc="reading", unit="batch"):
        wanted, scores = _read(encoder, readers, rng, batch)
        loss = sum(
            nn.functional.cross_entropy(guess, wanted[:, k]) for k, guess in enumerate(scores)
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        if step >= steps * 0.9:
            guesses = torch.stack([guess.argmax(1) for guess in scores], 1)
            told = wanted > 0
            right.append(((guesses == wanted) & told).sum(0) / told.sum(0).clamp(min=1))
    return torch.stack(right).mean(0).tolist()


def _read(encoder: TextEncoder, readers: Readers, rng: np.random.Generator, batch: int):
    written = [caption(scenes.sample(rng), rng) for _ in range(batch)]
    rows, lengths = encoder.tokens([text for text, _ in written])
    hidden = shuffle_padding(encoder(rows), lengths)
    return targets([told for _, told in written]), readers(hidden)
