"""From a scene to its sprite: ground, mood, figure, shadow, light."""

from __future__ import annotations

import numpy as np

from training.painter import sky
from training.painter.canvas import Canvas
from training.painter.creatures import paint_creature
from training.painter.figure import paint_character
from training.painter.grounds import paint_ground
from training.painter.objects import paint_object
from training.scene import INDOORS, Scene


def paint(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """The sprite of a scene: uint8 (height, width, 3). Equal generators give equal sprites."""
    return paint_apart(scene, rng)[0]


def paint_apart(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The sprite, and bool (height, width) of where its figure is, without the shadow."""
    canvas = Canvas(scene.height, scene.width)
    paint_ground(canvas, scene)
    ground = sky.veil(canvas.rgb, scene.mood)
    canvas.rgb = ground.copy()
    figure = canvas.alpha.copy()
    draw = {"character": paint_character, "creature": paint_creature, "object": paint_object}
    if scene.kind in draw:
        draw[scene.kind](canvas, scene, rng)
        figure = canvas.alpha.copy()
        if not scene.portrait:
            _shadow(canvas, ground, figure)
        time = "day" if scene.place in INDOORS else scene.time
        canvas.rgb[figure] = sky.lit(canvas.rgb[figure], sky.FIGURE_LIGHT[time])
    return np.round(np.clip(canvas.rgb, 0, 255)).astype(np.uint8), figure


def _shadow(canvas: Canvas, ground: np.ndarray, figure: np.ndarray) -> None:
    """A soft oval of shade where the figure meets the ground."""
    rows, columns = np.nonzero(figure)
    half = min((columns.max() - columns.min()) / 2, 9.0 * canvas.unit)
    gap = (canvas.columns - columns.mean() - 0.5) / max(half, 1)
    oval = gap**2 + ((canvas.rows - rows.max() - 0.5) / (1.6 * max(canvas.unit, 1))) ** 2 < 1
    shade = oval & ~figure
    canvas.rgb[shade] = ground[shade] * 0.62
