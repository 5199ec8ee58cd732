"""The judge: a small classifier that names the attributes of a sprite.

It is trained on painter pictures of a seed of their own, slightly noised so that it does not balk
at a model's grain, and tested on pictures of a third seed. Its accuracy there is the ceiling of
every adherence figure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from training.data import draw
from training.paths import work_dir
from training.reading import SLOTS
from training.scene import Scene

TRAIN_SEED, TEST_SEED = 101, 202
JUDGED = ("kind", "subject", "colour", "place", "time", "headgear", "weapon", "offhand", "race",
          "material")  # fmt: skip
ONLY_CHARACTERS = ("headgear", "weapon", "offhand", "race", "material")


class Judge(nn.Module):
    """A plain convolutional classifier with one head per attribute."""

    def __init__(self) -> None:
        super().__init__()
        layers, before = [], 3
        for width, stride in ((32, 1), (64, 2), (96, 2), (128, 2)):
            layers += [nn.Conv2d(before, width, 3, stride, 1), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        self.body = nn.Sequential(*layers)
        self.common = nn.Sequential(nn.Flatten(), nn.Linear(before * 16, 256), nn.ReLU())
        self.heads = nn.ModuleList(nn.Linear(256, len(SLOTS[slot])) for slot in JUDGED)

    def forward(self, sprites: torch.Tensor) -> list[torch.Tensor]:
        """Scores per judged slot, of sprites (n, 3, height, width) in -1..1."""
        features = self.body(sprites)
        pooled = nn.functional.adaptive_avg_pool2d(features, 4)
        common = self.common(pooled)
        return [head(common) for head in self.heads]


@dataclass
class Examples:
    """Pictures of one size and the classes of their slots; -1 where a slot does not apply."""

    sprites: np.ndarray
    classes: torch.Tensor


def as_input(sprites: np.ndarray) -> torch.Tensor:
    """uint8 (n, height, width, 3) as float (n, 3, height, width) in -1..1."""
    return torch.from_numpy(sprites).permute(0, 3, 1, 2).float() / 127.5 - 1


def classes(scene: Scene) -> list[int]:
    """The class of each judged slot, or -1."""
    found = []
    for slot in JUDGED:
        skip = slot in ONLY_CHARACTERS and scene.kind != "character"
        skip |= slot in ("subject", "colour") and scene.kind == "landscape"
        skip |= slot == "weapon" and scene.portrait
        found.append(-1 if skip else SLOTS[slot].index(str(getattr(scene, slot))))
    return found


def examples(seed: int, count: int) -> list[Examples]:
    """Painter pictures of a seed, grouped by size."""
    groups: dict[tuple[int, int], list[tuple[np.ndarray, list[int]]]] = {}
    for index in range(count):
        scene, sprite = draw(seed, index)
        groups.setdefault(sprite.shape[:2], []).append((sprite, classes(scene)))
    return [
        Examples(np.stack([s for s, _ in rows]), torch.tensor([c for _, c in rows]))
        for rows in groups.values()
    ]


def train(pictures: int = 16_000, epochs: int = 6, seed: int = 0) -> Judge:
    """A trained judge; kept in the working folder, so that it is trained only once."""
    path = work_dir() / f"judge-{pictures}-{epochs}.pt"
    judge = Judge()
    if path.exists():
        judge.load_state_dict(torch.load(path))
        return judge.eval()
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    sets = examples(TRAIN_SEED, pictures)
    shares = np.array([len(group.sprites) for group in sets], float)
    steps = int(shares.sum() * epochs / 64)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    for _ in tqdm(range(steps), desc="judge", unit="batch"):
        group = sets[rng.choice(len(sets), p=shares / shares.sum())]
        chosen = rng.integers(len(group.sprites), size=64)
        inputs = as_input(group.sprites[chosen])
        inputs += torch.randn_like(inputs) * 0.15 * torch.rand(64, 1, 1, 1)
        loss = _loss(judge(inputs), group.classes[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    torch.save(judge.state_dict(), path)
    return judge.eval()


def _loss(scores: list[torch.Tensor], wanted: torch.Tensor) -> torch.Tensor:
    losses = [
        nn.functional.cross_entropy(guess, wanted[:, k], ignore_index=-1, reduction="sum")
        for k, guess in enumerate(scores)
    ]
    return sum(losses) / len(wanted)


@torch.no_grad()
def verdicts(judge: Judge, sprites: np.ndarray) -> list[dict[str, str]]:
    """What the judge sees in each sprite of uint8 (n, height, width, 3)."""
    best = [scores.argmax(1).tolist() for scores in judge(as_input(sprites))]
    return [
        {slot: SLOTS[slot][best[k][i]] for k, slot in enumerate(JUDGED)}
        for i in range(len(sprites))
    ]


@torch.no_grad()
def accuracy(judge: Judge, pictures: int = 2000) -> dict[str, float]:
    """The judge's accuracy on painter pictures that it has never seen, per slot."""
    right, total = np.zeros(len(JUDGED)), np.zeros(len(JUDGED))
    for group in examples(TEST_SEED, pictures):
        best = torch.stack([s.argmax(1) for s in judge(as_input(group.sprites))], 1)
        counts = group.classes >= 0
        right += ((best == group.classes) & counts).sum(0).numpy()
        total += counts.sum(0).numpy()
    return {slot: round(r / t, 4) for slot, r, t in zip(JUDGED, right, total, strict=True)}
