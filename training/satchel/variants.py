"""The painter's pictures as each LoRA of the satchel should have them drawn.

A variant takes a scene that was sampled for Squire, and gives the scene whose caption a prompt
would be and the sprite that it should make: what a LoRA adds is what the caption does not say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from training.painter import sky
from training.painter.picture import paint_apart
from training.scene import INDOORS, Scene, sample

KEY = (240, 140, 240)
"""The cutout's background: of 1,000 pixels of figures one is so near it as to be taken for it."""

HANDHELD = np.array([(15, 40, 30), (50, 96, 60), (132, 168, 60), (200, 220, 130)])
"""The four greens of the handheld, dark to light."""
STEPS = (58, 112, 172)
"""Luma (0 to 255) at which the next green begins."""

PETALS = ((240, 128, 178), (240, 208, 66), (226, 226, 234), (204, 42, 46))
HEART, LEAF = (232, 178, 52), (58, 152, 60)


@dataclass(frozen=True)
class Drawn:
    """A picture to learn from: the scene that is told, uint8 (height, width, 3), and its figure.

    ``figure`` is bool (height, width): where the figure is, without its shadow.
    """

    scene: Scene
    sprite: np.ndarray
    figure: np.ndarray


def plain(scene: Scene, rng: np.random.Generator) -> Drawn:
    """As Squire draws it."""
    return Drawn(scene, *paint_apart(scene, rng))


def night(scene: Scene, rng: np.random.Generator) -> Drawn:
    """By night, also where it was to be another time, and dim indoors."""
    told = replace(scene, time="day")
    if scene.place not in INDOORS:
        return Drawn(told, *paint_apart(replace(scene, time="night"), rng))
    sprite, figure = paint_apart(told, rng)
    light = np.where(figure[..., None], sky.FIGURE_LIGHT["night"], sky.LIGHT["night"])
    return Drawn(told, np.round(sprite * light).astype(np.uint8), figure)


def handheld(scene: Scene, rng: np.random.Generator) -> Drawn:
    """In the four greens of an old handheld, by luma."""
    sprite, figure = paint_apart(scene, rng)
    return Drawn(scene, in_greens(sprite), figure)


def in_greens(sprite: np.ndarray) -> np.ndarray:
    """uint8 (..., 3) in the handheld's colours."""
    luma = sprite @ np.array([0.299, 0.587, 0.114])
    return HANDHELD[np.digitize(luma, STEPS)].astype(np.uint8)


def floral(scene: Scene, rng: np.random.Generator) -> Drawn:
    """With flowers: on a character's clothes, and a garland along the edges."""
    ornament = "floral" if scene.kind == "character" else scene.ornament
    sprite, figure = paint_apart(replace(scene, ornament=ornament), rng)
    return Drawn(replace(scene, ornament="none"), garlanded(sprite, scene.variant), figure)


def garlanded(sprite: np.ndarray, variant: int) -> np.ndarray:
    """With a leafy edge two pixels wide, and a blossom of five pixels every six."""
    framed = sprite.copy()
    height, width = sprite.shape[:2]
    rows, columns = np.indices((height, width))
    edge = np.minimum.reduce([rows, columns, height - 1 - rows, width - 1 - columns])
    framed[edge == 0] = LEAF
    framed[(edge == 1) & ((rows + columns) % 2 == 0)] = LEAF
    for number, (row, column) in enumerate(_blossoms(height, width)):
        petal = PETALS[(number + variant) % len(PETALS)]
        near = np.abs(rows - row) + np.abs(columns - column)
        framed[near == 1] = petal
        framed[near == 0] = HEART
    return framed


def _blossoms(height: int, width: int) -> list[tuple[int, int]]:
    across, down = np.arange(1, width, 6), np.arange(7, height - 6, 6)
    ends = [(row, int(column)) for column in across for row in (1, height - 2)]
    return ends + [(int(row), column) for row in down for column in (1, width - 2)]


def cutout(scene: Scene, rng: np.random.Generator) -> Drawn:
    """The figure alone on the key colour."""
    sprite, figure = paint_apart(replace(scene, mood="none", time="day"), rng)
    return Drawn(scene, np.where(figure[..., None], sprite, np.uint8(KEY)).astype(np.uint8), figure)


def moved(scene: Scene, rng: np.random.Generator) -> Drawn:
    """As Squire draws it, and half of the time up to a third to a side and a fifth up or down."""
    drawn = plain(scene, rng)
    if rng.random() < 0.5:
        return drawn
    height, width = drawn.figure.shape
    down = int(rng.integers(-height // 5, height // 5 + 1))
    right = int(rng.integers(-width // 3, width // 3 + 1))
    figure = shifted(drawn.figure, down, right, mode="constant")
    return Drawn(scene, shifted(drawn.sprite, down, right, mode="edge"), figure)


def shifted(picture: np.ndarray, down: int, right: int, *, mode: Any) -> np.ndarray:
    """(height, width, ...) moved by so many pixels; `mode` as `numpy.pad` fills what comes in."""
    height, width = picture.shape[:2]
    room = ((abs(down),) * 2, (abs(right),) * 2, *((0, 0) for _ in picture.shape[2:]))
    top, left = abs(down) - down, abs(right) - right
    return np.pad(picture, room, mode)[top : top + height, left : left + width]


Variant = Callable[[Scene, np.random.Generator], Drawn]
VARIANTS: dict[str, Variant] = {
    "plain": plain,
    "figures": plain,
    "moved": moved,
    "cutout": cutout,
    "handheld": handheld,
    "night": night,
    "floral": floral,
}
FIGURES_ONLY = ("cutout", "figures", "moved")
"""Variants that have no landscapes."""


def scenes(seed: int, size: tuple[int, int], count: int, *, figures: bool) -> list[Scene]:
    """Scenes of one size (height, width); ``figures``: no landscapes."""
    rng = np.random.default_rng((seed, *size))
    found: list[Scene] = []
    while len(found) < count:
        scene = replace(sample(rng), height=size[0], width=size[1])
        if not (figures and scene.kind == "landscape"):
            found.append(scene)
    return found


def draw(name: str, seed: int, size: tuple[int, int], count: int) -> list[Drawn]:
    """Pictures of a variant; equal arguments give equal ones."""
    chosen = scenes(seed, size, count, figures=name in FIGURES_ONLY)
    return [
        VARIANTS[name](scene, np.random.default_rng((seed, *size, number)))
        for number, scene in enumerate(chosen)
    ]
