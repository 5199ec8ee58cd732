"""`python -m training.satchel.measure NAME`: what a LoRA of the satchel does to held-out prompts.

The prompts are those of Squire's own evaluation, worded unlike the captions of any training. A
sheet of the pictures, without the LoRA above and with it below, is written beside the checkpoints.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from training.cases import SQUARE, Case, characters, others
from training.drawing import Model
from training.paths import SATCHEL, SQUIRE, work_dir
from training.satchel import lora, outlines
from training.satchel.variants import FIGURES_ONLY, HANDHELD, KEY, LEAF

SLIGHT = 24
NEAR = 40
"""Levels, in the channel that differs most, within which a pixel is of a colour."""


def of_colour(sprites: np.ndarray, colour: tuple[int, ...] | np.ndarray) -> np.ndarray:
    """Bool (..., height, width): where pixels are of it."""
    return np.abs(sprites.astype(int) - np.array(colour)).max(-1) <= NEAR


def in_palette(sprites: np.ndarray, _plain: np.ndarray) -> np.ndarray:
    """Share of each picture's pixels that are of one of the handheld's four colours."""
    return np.any([of_colour(sprites, colour) for colour in HANDHELD], 0).mean((1, 2))


def on_key(sprites: np.ndarray, _plain: np.ndarray) -> np.ndarray:
    """Share of each picture's edge, but for the lower third, that is of the key colour.

    Below, and in the middle of a portrait's sides, stands the figure.
    """
    key = of_colour(sprites, KEY)
    tall = sprites.shape[1] * 2 // 3
    edge = [key[:, 0], key[:, :tall, 0], key[:, :tall, -1]]
    return np.concatenate(edge, 1).mean(1)


def behind_on_key(sprites: np.ndarray) -> np.ndarray:
    """Share of what a small network sees as background, in each picture, of the key colour."""
    key, behind = of_colour(sprites, KEY), ~outlines.seen(sprites)
    return (key & behind).sum((1, 2)) / np.maximum(behind.sum((1, 2)), 1)


def darker(sprites: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """By which share of its light each picture is darker than without the LoRA."""
    return 1 - sprites.mean((1, 2, 3)) / plain.mean((1, 2, 3))


def garlanded(sprites: np.ndarray, _plain: np.ndarray) -> np.ndarray:
    """Share of each picture's outermost pixels that are leaf."""
    leaf = of_colour(sprites, LEAF)
    return np.concatenate([leaf[:, 0], leaf[:, -1], leaf[:, :, 0], leaf[:, :, -1]], 1).mean(1)


def grain(sprites: np.ndarray) -> float:
    """Levels, in the channel that differs most, between neighbours that differ little (below 24).

    The painter's pictures have 2.7.
    """
    apart = np.abs(np.diff(sprites.astype(int), axis=2)).max(-1)
    return float(apart[apart < SLIGHT].mean())


MEASURES: dict[str, tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], float]] = {
    "handheld": (in_palette, 0.9),
    "cutout": (on_key, 0.9),
    "night": (darker, 0.15),
    "floral": (garlanded, 0.4),
}
"""What is measured of a picture with each LoRA, and from what on it counts as reached."""


def cases(name: str, count: int) -> list[Case]:
    """Held-out prompts of square pictures."""
    those = characters(count * 2, set(), seed=7)[::2] + others(7)
    if name in FIGURES_ONLY:
        those = [case for case in those if case.wanted.get("kind") != "landscape"]
    picked = np.random.default_rng(7).permutation(len(those))[:count]
    return [those[i] for i in sorted(picked) if those[i].size == SQUARE]


def draw(name: str, file: Path, count: int, *, bfloat16: bool) -> tuple[np.ndarray, np.ndarray]:
    """Sprites of the prompts without and with the LoRA."""
    model = Model(SQUIRE, bfloat16)
    put = lora.load(model.unet, file)
    prompts = [case.prompt for case in cases(name, count)]
    changed = model.draw(prompts, list(range(len(prompts))), SQUARE)
    for each in put.values():
        each.strength = 0.0
    return model.draw(prompts, list(range(len(prompts))), SQUARE), changed


def sheet(path: Path, plain: np.ndarray, changed: np.ndarray, across: int = 12) -> None:
    """A PNG of pairs."""
    lines = []
    for first in range(0, len(plain), across):
        for row in (plain, changed):
            part = np.zeros((across, 33, 33, 3), np.uint8)
            part[: len(row[first : first + across]), :32, :32] = row[first : first + across]
            lines.append(np.concatenate(list(part), 1))
    picture = Image.fromarray(np.concatenate(lines))
    picture.resize((picture.width * 3, picture.height * 3), Image.NEAREST).save(path)


def main() -> None:
    """Draw, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=list(MEASURES))
    parser.add_argument("--file", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--bfloat16", action="store_true")
    options = parser.parse_args()
    file = options.file or SATCHEL / f"{options.name}.safetensors"
    plain, changed = draw(options.name, file, options.count, bfloat16=options.bfloat16)
    sheet(work_dir() / "satchel" / f"{options.name}.png", plain, changed)
    measure, least = MEASURES[options.name]
    shares = measure(changed, plain)
    reached = int((shares >= least).sum())
    print(
        f"{options.name}: {reached} of {len(shares)} at {least} or more; mean {shares.mean():.3f}"
    )
    if options.name == "cutout":
        behind = behind_on_key(changed)
        print(f"of the background: {(behind >= least).sum()} of {len(behind)} at {least} or more")
    print("without it:", round(float(measure(plain, plain).mean()), 3))


if __name__ == "__main__":
    main()
