"""Where a picture's figure is, as a small network sees it that learned from the painter's own.

It measures the ControlNet. How well it sees pictures of the painter stands beside its figures.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.judge import as_input
from training.paths import work_dir
from training.satchel import variants

TRAIN_SEED, TEST_SEED = 303, 404
SIZE = (32, 32)
WIDTH, REACHES = 24, (1, 2, 4, 8, 1)
"""Its channels, and how far apart the pixels are that each layer reads."""


def network() -> nn.Sequential:
    """From sprites (n, 3, h, w) in -1..1 to scores (n, 1, h, w): positive on the figure."""
    layers: list[nn.Module] = []
    before = 3
    for reach in REACHES:
        layers += [nn.Conv2d(before, WIDTH, 3, 1, reach, reach), nn.BatchNorm2d(WIDTH), nn.ReLU()]
        before = WIDTH
    return nn.Sequential(*layers, nn.Conv2d(before, 1, 1))


def painted(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The painter's sprites of figures, and bool (n, h, w) of where these are."""
    drawn = variants.draw("figures", seed, SIZE, count)
    return np.stack([each.sprite for each in drawn]), np.stack([each.figure for each in drawn])


@cache
def trained(pictures: int = 1500, steps: int = 300) -> nn.Sequential:
    """The network, trained once and kept in the working folder."""
    path, net = work_dir() / f"outlines-{pictures}-{steps}.pt", network()
    if path.exists():
        net.load_state_dict(torch.load(path))
        return net.eval()
    torch.manual_seed(0)
    rng, (sprites, figures) = np.random.default_rng(0), painted(TRAIN_SEED, pictures)
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    for _ in range(steps):
        chosen = rng.integers(pictures, size=32)
        scores = net(_noised(as_input(sprites[chosen])))
        wanted = torch.from_numpy(figures[chosen])[:, None].float()
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(scores, wanted).backward()
        optimizer.step()
        schedule.step()
    torch.save(net.state_dict(), path)
    return net.eval()


def _noised(inputs: Tensor) -> Tensor:
    """So that it does not balk at a model's grain."""
    return inputs + torch.randn_like(inputs) * 0.15 * torch.rand(len(inputs), 1, 1, 1)


def seen(sprites: np.ndarray) -> np.ndarray:
    """Bool (n, h, w): the figures in sprites uint8 (n, h, w, 3)."""
    net = trained()
    with torch.no_grad():
        return (net(as_input(sprites))[:, 0] > 0).numpy()


def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union (n,) of bool (n, h, w)."""
    return (one & other).sum((1, 2)) / np.maximum((one | other).sum((1, 2)), 1)
