"""Places: what lies behind a figure, or fills a landscape.

Each place comes in eight layouts, chosen by the scene's `variant`, so that the layout of a place is
something that can be learned. Indoors the sky does not matter.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.painter import scenery, sky
from training.painter.canvas import Canvas
from training.scene import INDOORS, PLACES, Scene


def paint_ground(canvas: Canvas, scene: Scene) -> None:
    """Fill the whole canvas with the place, under its time of day."""
    rng = np.random.default_rng((PLACES.index(scene.place), scene.variant))
    horizon = round(canvas.height * (0.52 if scene.kind == "landscape" else 0.60))
    canvas.place(canvas.width / 2, horizon, 1.0)
    if scene.place not in INDOORS:
        sky.sky(canvas, scene.time, rng, horizon)
    open_air = canvas.rgb.copy()
    DRAW[scene.place](canvas, rng, horizon, scene)
    if scene.place not in INDOORS:
        land = (canvas.rgb != open_air).any(2)
        canvas.rgb[land] = sky.lit(canvas.rgb[land], sky.LIGHT[scene.time])
    canvas.alpha[:] = False


def _fill(canvas: Canvas, top: float, *colours: tuple[int, int, int], power: float = 1.0) -> None:
    """Everything from row `top` downwards, dithered through the colours."""
    share = np.clip((canvas.rows - top) / max(canvas.height - top, 1), 0, 1) ** power
    filled = canvas.dithered(share, np.array(colours, np.float32))
    below = canvas.rows >= top
    canvas.rgb[below] = filled[below]


def _plain(canvas: Canvas, _rng: np.random.Generator, _horizon: int, scene: Scene) -> None:
    tints = ((120, 128, 150), (150, 130, 160), (120, 150, 150), (160, 144, 124))
    tint = np.array(tints[scene.variant % 4], np.float32)
    centre = np.hypot(canvas.x, canvas.rows - canvas.height * 0.45) / (0.75 * canvas.height)
    tones = np.stack([tint * f for f in (1.25, 1.0, 0.78, 0.6)])
    canvas.rgb[:] = canvas.dithered(np.clip(centre, 0, 1), np.minimum(tones, 255))


def _desert(canvas: Canvas, rng: np.random.Generator, horizon: int, scene: Scene) -> None:
    if scene.variant % 2 == 0:
        scenery.pyramid(canvas, rng.uniform(0.1, 0.9) * canvas.width, horizon + 1, 8)
    scenery.hills(canvas, rng, horizon - 1, 2.0, (222, 174, 98))
    _fill(canvas, horizon + 1, (238, 200, 122), (226, 180, 102), (206, 154, 84))
    scenery.ripples(canvas, rng, horizon + 2, (202, 150, 80))
    for x in _sides(canvas, rng):
        scenery.cactus(canvas, x, horizon + 4, rng.uniform(6, 9))


def _forest(canvas: Canvas, rng: np.random.Generator, horizon: int, _scene: Scene) -> None:
    canvas.rgb[canvas.rows < horizon] *= 0.55
    canvas.rgb[canvas.rows < horizon] += np.array((10.0, 50.0, 24.0))
    _fill(canvas, horizon, (62, 118, 50), (48, 98, 44), (36, 78, 40))
    step = 7
    for x in range(rng.integers(0, step), canvas.width + step, step):
        scenery.trunk(canvas, x + rng.uniform(-1, 1), horizon + rng.uniform(0, 2), 2.6)
    scenery.leaves(canvas, rng, round(canvas.height * 0.26))
    scenery.tufts(canvas, rng, horizon + 2, (98, 158, 66))


def _castle(canvas: Canvas, _rng: np.random.Generator, _horizon: int, scene: Scene) -> None:
    floor = round(canvas.height * 0.72)
    scenery.bricks(canvas, (128, 124, 138), (100, 96, 114))
    _fill(canvas, floor, (150, 130, 112), (112, 94, 86))
    canvas.rgb[canvas.rows.astype(int) == floor] = (74, 66, 78)
    carpet = (np.abs(canvas.x) < 4 + (canvas.rows - floor) * 0.6) & (canvas.rows >= floor)
    canvas.rgb[carpet] = canvas.rgb[carpet] * 0.25 + np.array((120.0, 16.0, 28.0))
    for share in (0.14, 0.86):
        scenery.pillar(canvas, share * canvas.width, floor + 1, 5.0)
    for share in (0.32, 0.68):
        if scene.variant % 2:
            scenery.banner(canvas, share * canvas.width, (168, 36, 52))
        else:
            scenery.window(canvas, share * canvas.width)


def _mountains(canvas: Canvas, rng: np.random.Generator, horizon: int, _scene: Scene) -> None:
    for x in rng.permutation([0.1, 0.5, 0.9]):
        place = (x + rng.uniform(-0.08, 0.08)) * canvas.width
        tall = rng.uniform(0.30, 0.46) * canvas.height
        scenery.peak(canvas, place, horizon + 1, tall, 0.95)
    _fill(canvas, horizon + 1, (124, 152, 96), (100, 132, 84), (84, 112, 78))
    scenery.stones(canvas, rng, horizon + 3, (136, 138, 146))


def _cave(canvas: Canvas, rng: np.random.Generator, _horizon: int, scene: Scene) -> None:
    centre = np.hypot(canvas.x * 1.1, canvas.rows - canvas.height * 0.5) / (canvas.height * 0.62)
    tones = ((70, 62, 92), (54, 48, 74), (40, 34, 58), (28, 24, 44))
    canvas.rgb[:] = canvas.dithered(np.clip(centre, 0, 1), np.array(tones, np.float32))
    _fill(canvas, canvas.height * 0.76, (86, 76, 98), (60, 52, 76))
    scenery.fangs(canvas, rng, (34, 28, 48))
    for x in _sides(canvas, rng):
        colour = (84, 220, 232) if scene.variant % 2 else (206, 110, 240)
        scenery.crystal(canvas, x, canvas.height * 0.82, rng.uniform(5, 8), colour)


def _snow(canvas: Canvas, rng: np.random.Generator, horizon: int, _scene: Scene) -> None:
    scenery.hills(canvas, rng, horizon - 2, 2.4, (206, 220, 238))
    for x in (*_sides(canvas, rng), rng.uniform(0.1, 0.9) * canvas.width):
        scenery.pine(canvas, x, horizon + 3, rng.uniform(10, 14), (52, 98, 92))
    _fill(canvas, horizon + 2, (240, 246, 252), (226, 236, 248), (204, 220, 240))
    for _ in range(canvas.height * canvas.width // 46):
        canvas.rgb[rng.integers(canvas.height), rng.integers(canvas.width)] = (252, 254, 255)


def _lava(canvas: Canvas, rng: np.random.Generator, horizon: int, _scene: Scene) -> None:
    share = np.clip(canvas.rows / horizon, 0, 1)
    tones = ((44, 16, 24), (84, 22, 24), (140, 40, 24), (206, 78, 28))
    canvas.rgb[canvas.rows < horizon] = canvas.dithered(share, np.array(tones, np.float32))[
        canvas.rows < horizon
    ]
    scenery.peak(
        canvas, rng.choice([0.15, 0.85]) * canvas.width, horizon + 1, 13, 0.9, volcano=True
    )
    _fill(canvas, horizon, (62, 46, 52), (46, 34, 42))
    scenery.rivers(canvas, rng, horizon, ((255, 206, 72), (248, 126, 30), (206, 58, 22)))


def _sea(canvas: Canvas, rng: np.random.Generator, horizon: int, scene: Scene) -> None:
    _fill(canvas, horizon, (62, 136, 206), (44, 112, 190), (34, 92, 170))
    scenery.ripples(canvas, rng, horizon + 1, (132, 196, 236))
    if scene.variant % 2:
        scenery.boat(canvas, rng.choice([0.15, 0.85]) * canvas.width, horizon + 2)
    beach = canvas.height * (0.86 if scene.kind == "landscape" else 0.80)
    shore = canvas.rows > beach + np.sin(canvas.columns * 0.4 + scene.variant)
    foam = canvas.rows > beach - 1.4 + np.sin(canvas.columns * 0.4 + scene.variant)
    canvas.rgb[foam] = (236, 246, 250)
    canvas.rgb[shore] = (236, 208, 146)


def _village(canvas: Canvas, rng: np.random.Generator, horizon: int, scene: Scene) -> None:
    scenery.hills(canvas, rng, horizon - 1, 2.6, (96, 158, 84))
    _fill(canvas, horizon + 1, (122, 180, 82), (104, 160, 72), (88, 140, 66))
    path = np.abs(canvas.x) < 3 + (canvas.rows - horizon) * 0.5
    path &= canvas.rows >= horizon + 1
    canvas.rgb[path] = (206, 176, 128)
    roofs = ((186, 72, 56), (170, 92, 52), (120, 84, 140))
    for k, x in enumerate(_sides(canvas, rng)):
        scenery.house(canvas, x, horizon + 4, 12, roofs[(scene.variant + k) % 3])


def _meadow(canvas: Canvas, rng: np.random.Generator, horizon: int, _scene: Scene) -> None:
    scenery.hills(canvas, rng, horizon - 3, 3.0, (110, 178, 92))
    _fill(canvas, horizon, (128, 200, 82), (106, 180, 70), (86, 154, 62))
    scenery.tufts(canvas, rng, horizon + 2, (150, 216, 96))
    scenery.flowers(canvas, rng, horizon + 2)


def _sides(canvas: Canvas, rng: np.random.Generator) -> list[float]:
    """A place near the left edge and one near the right, clear of the figure."""
    return [rng.uniform(0.07, 0.17) * canvas.width, rng.uniform(0.83, 0.93) * canvas.width]


DRAW: dict[str, Callable[[Canvas, np.random.Generator, int, Scene], None]] = {
    "plain": _plain,
    "desert": _desert,
    "forest": _forest,
    "castle": _castle,
    "mountains": _mountains,
    "cave": _cave,
    "snow": _snow,
    "lava": _lava,
    "sea": _sea,
    "village": _village,
    "meadow": _meadow,
}
