"""The paper doll put together: body, race and the order in which its parts are laid on."""

from __future__ import annotations

import numpy as np

from training.painter import clothes, gear, heads
from training.painter.canvas import Canvas
from training.painter.doll import Doll
from training.palette import HAIR_RAMPS, RAMPS, SKIN_RAMPS
from training.scene import Scene

BUILD = {"elf": (0.94, 1.0), "dwarf": (1.10, 0.86), "orc": (1.10, 1.0)}
"""How a race is stretched across and along."""


def paint_character(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Draw the whole character on the canvas, and its outline."""
    _stand(canvas, scene, rng)
    doll = _doll(scene, rng)
    gear.behind(canvas, doll)
    clothes.cloak_back(canvas, doll)
    heads.hair_back(canvas, doll)
    clothes.legs(canvas, doll)
    clothes.torso(canvas, doll)
    clothes.marks(canvas, doll)
    clothes.arms(canvas, doll)
    clothes.ornament(canvas, doll)
    clothes.cloak_front(canvas, doll)
    heads.head(canvas, doll)
    heads.hair(canvas, doll)
    heads.beard(canvas, doll)
    heads.headgear(canvas, doll)
    gear.offhand(canvas, doll)
    gear.weapon(canvas, doll)
    canvas.outline()


def _doll(scene: Scene, rng: np.random.Generator) -> Doll:
    skins = SKIN_RAMPS[scene.race]
    return Doll(
        scene=scene,
        skin=skins[rng.integers(len(skins))],
        hair=HAIR_RAMPS[scene.hair],
        main=RAMPS[scene.colour],
        second=RAMPS[scene.second],
        metal=RAMPS["gold" if scene.subject in ("king", "queen", "cleric") else "steel"],
        grip=(7.2, -10.5) if scene.portrait else (8.2, -7.6),
        guard=(-6.6, -10.0) if scene.portrait else (-7.2, -7.4),
    )


def _stand(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Place the doll: the whole body, or the head and shoulders of a portrait."""
    height, width = scene.height, scene.width
    unit = min((height - 3) / 29.0, width / 23.0)
    if scene.portrait:
        unit = min(height / 17.0, width / 17.5)
    feet = height - 2.0 - max(0.0, (height - 3 - 29 * unit) / 3)
    if scene.portrait:
        feet = height * 0.46 + 18.5 * unit
    roam = max(0, width - 24 * unit) * 0.25
    x = round(width / 2 - 0.6 * unit + rng.uniform(-1, 1) * roam)
    canvas.place(x, feet, unit)
    across, along = BUILD.get(scene.race, (1.0, 1.0))
    canvas.x = canvas.x / across
    if not scene.portrait:
        canvas.y = canvas.y / along
