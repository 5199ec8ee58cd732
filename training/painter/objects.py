"""Objects: things that lie in chests. A 24 unit square, standing at the origin."""

from __future__ import annotations

import numpy as np

from training.painter import gear
from training.painter.canvas import Canvas
from training.palette import RAMPS
from training.scene import Scene


def paint_object(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Draw the object large in its colour, and its outline."""
    unit = min((scene.height - 5) / 25.0, scene.width / 27.0)
    roam = max(0.0, scene.width - 26 * unit) * 0.25
    x = round(scene.width / 2 + rng.uniform(-1, 1) * roam)
    canvas.place(x, scene.height - 3.5 - (scene.height - 28 * unit) * 0.2, unit)
    draw = {
        "potion": potion,
        "chest": chest,
        "sword": sword,
        "shield": shield,
        "mushroom": mushroom,
        "book": book,
        "crown": crown,
        "gem": gem,
    }
    draw[scene.subject](canvas, RAMPS[scene.colour])
    canvas.outline()


def potion(canvas: Canvas, ramp: np.ndarray) -> None:
    """A round flask with a cork."""
    glass = RAMPS["glass"]
    canvas.put(canvas.box(-2.4, -18.5, 2.4, -12), glass, shine=0.8)
    canvas.put(canvas.ellipse(0, -7.4, 8.2, 7.6), glass, shine=0.8, line=False)
    liquid = canvas.ellipse(0, -7.2, 7.0, 6.5) & (canvas.y > -9.8)
    canvas.put(liquid, ramp, shine=0.9)
    canvas.dot(canvas.box(-6.4, -10.0, 6.4, -9.0) & canvas.ellipse(0, -7.2, 7, 6.5), ramp[4])
    canvas.put(canvas.box(-3.4, -19.4, 3.4, -17.8), glass, shine=0.9)
    canvas.put(canvas.box(-2.0, -22.4, 2.0, -19.4), RAMPS["wood"], shine=0.3)
    canvas.dot(canvas.bar(-4.6, -10.6, -5.2, -7.0, 1.1), (255.0, 255.0, 255.0))
    for x, y in ((1.6, -5.4), (3.4, -3.6), (-1.2, -3.4)):
        canvas.spot(x, y, ramp[4], 1.1)


def chest(canvas: Canvas, ramp: np.ndarray) -> None:
    """A banded chest with a golden lock; its boards are coloured."""
    canvas.put(canvas.box(-11, -9.4, 11, -0.4), ramp, shine=0.3)
    lid = canvas.ellipse(0, -9.4, 11.2, 8.4) & (canvas.y < -9.2)
    canvas.put(lid, ramp, shine=0.6)
    for y in (-6.4, -3.4):
        canvas.shade(canvas.box(-11, y, 11, y + 0.8), 0.72)
    for x in (-9.6, 7.4):
        band = canvas.box(x, -15.6, x + 2.4, -0.4) & canvas.alpha
        canvas.put(band, RAMPS["gold"], shine=0.6)
    canvas.put(canvas.box(-11.2, -10.4, 11.2, -8.6), RAMPS["gold"], shine=0.8)
    canvas.put(canvas.box(-2.2, -11.6, 2.2, -6.2), RAMPS["gold"], shine=0.9)
    canvas.dot(canvas.bar(0, -9.6, 0, -7.6, 1.1), (40.0, 28.0, 30.0))


def sword(canvas: Canvas, ramp: np.ndarray) -> None:
    """A great sword on its point; hilt and gems in its colour."""
    steel = RAMPS["steel"]
    blade = canvas.box(-2.2, -15.4, 2.2, -3.4)
    point = canvas.polygon((-2.2, -3.4), (2.2, -3.4), (0, 0))
    canvas.put(blade | point, steel, shine=1.0)
    canvas.dot(canvas.bar(-0.7, -15, -0.7, -4, 0.6), steel[4])
    canvas.put(canvas.box(-7, -17.6, 7, -15), ramp, shine=0.8)
    for side in (-1, 1):
        canvas.put(canvas.ellipse(7 * side, -16.3, 1.8, 1.9), ramp, shine=0.9)
    canvas.put(canvas.box(-1.4, -22, 1.4, -17.4), RAMPS["dark wood"], shine=0.3)
    canvas.put(canvas.ellipse(0, -23, 2.3, 2.1), ramp, shine=1.0)


def shield(canvas: Canvas, ramp: np.ndarray) -> None:
    """A large heater shield."""
    gear.shield(canvas, 0, -13.0, 8.8, ramp)


def mushroom(canvas: Canvas, ramp: np.ndarray) -> None:
    """A cap with white spots on a thick stem."""
    canvas.put(canvas.taper(-10, -0.2, 3.0, 4.2), RAMPS["bone"], shine=0.3)
    cap = canvas.ellipse(0, -9.8, 11.4, 11.2) & (canvas.y < -8.6)
    canvas.put(cap, ramp, shine=0.7)
    canvas.dot(canvas.ellipse(0, -8.6, 7.4, 1.1) & cap, ramp[1])
    spots = ((-5.6, -13.0, 2.0), (1.4, -16.6, 2.4), (6.4, -12.0, 1.7), (-1.0, -11.4, 1.4))
    for x, y, size in spots:
        canvas.dot(canvas.ellipse(x, y, size, size * 0.9) & cap, RAMPS["white"][3])


def book(canvas: Canvas, ramp: np.ndarray) -> None:
    """A heavy tome with golden corners."""
    gear.book(canvas, 0, -11.2, 9.6, ramp)
    for x, y in ((-5.4, -20.4), (6.0, -20.4), (-5.4, -3.0), (6.0, -3.0)):
        canvas.put(canvas.ellipse(x, y, 1.6, 1.5), RAMPS["gold"], shine=0.9)


def crown(canvas: Canvas, ramp: np.ndarray) -> None:
    """A golden crown over a cap of coloured velvet."""
    canvas.put(canvas.ellipse(0, -9, 9.6, 8.0) & (canvas.y < -5), ramp, shine=0.5)
    spikes = [(-10, -2), (-11, -17), (-6, -10.4), (0, -20), (6, -10.4), (11, -17), (10, -2)]
    canvas.put(canvas.polygon(*spikes), RAMPS["gold"], shine=0.9)
    for x, y in ((-11, -17.4), (0, -20.4), (11, -17.4)):
        canvas.put(canvas.ellipse(x, y, 1.7, 1.6), ramp, shine=0.9)
    canvas.put(canvas.box(-10, -5, 10, -1), RAMPS["gold"], shine=0.9)
    for x in (-6, 0, 6):
        canvas.dot(canvas.ellipse(x, -3.0, 1.4, 1.3), ramp[2])


def gem(canvas: Canvas, ramp: np.ndarray) -> None:
    """A cut jewel with facets."""
    outer = ((-10, -14), (-5.6, -20), (5.6, -20), (10, -14), (0, -1))
    canvas.put(canvas.polygon(*outer), ramp, shine=0.6)
    canvas.put(canvas.polygon((-10, -14), (-4, -14), (0, -1)), ramp, flat=0.3, line=False)
    canvas.put(canvas.polygon((-4, -14), (4, -14), (0, -1)), ramp, flat=0.6, line=False)
    canvas.put(canvas.polygon((4, -14), (10, -14), (0, -1)), ramp, flat=0.1, line=False)
    table = canvas.polygon((-5.6, -20), (5.6, -20), (4, -14), (-4, -14))
    canvas.put(table, ramp, flat=0.8, line=False)
    canvas.dot(canvas.bar(-4.4, -18.6, -1.6, -18.6, 0.8), (255.0, 255.0, 255.0))
