"""Creatures: dragon, slime, wolf, ghost. Drawn in units of a 28 unit square, feet at the origin."""

from __future__ import annotations

import numpy as np

from training.painter.canvas import Canvas
from training.palette import RAMPS
from training.scene import Scene

DARK = (26.0, 18.0, 32.0)
WHITE = (250.0, 248.0, 244.0)


def paint_creature(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Draw the creature in its colour, and its outline."""
    unit = min((scene.height - 4) / 27.0, scene.width / 30.0)
    roam = max(0.0, scene.width - 30 * unit) * 0.25
    x = round(scene.width / 2 + rng.uniform(-1, 1) * roam)
    canvas.place(x, scene.height - 2.5 - (scene.height - 30 * unit) * 0.15, unit)
    draw = {"dragon": dragon, "slime": slime, "wolf": wolf, "ghost": ghost}
    draw[scene.subject](canvas, RAMPS[scene.colour])
    canvas.outline()


def dragon(canvas: Canvas, ramp: np.ndarray) -> None:
    """A winged dragon that sits, looking left, with a pale belly."""
    belly = RAMPS["paper"]
    for tip, low in (((13.6, -24.5), -10.0),):
        wing = canvas.polygon(
            (2, -13),
            (5.5, -24),
            tip,
            (12.6, -18.5),
            (13.4, -13.5),
            (10.6, -13),
            (9.6, low),
            (5, -9),
        )
        canvas.put(wing, ramp * np.array([0.8, 0.72, 0.8]), shine=0.3)
        for x, y in ((12.6, -22.6), (12.2, -14.6), (9.4, -11.0)):
            canvas.put(canvas.bar(4.4, -16.5, x, y, 0.8), ramp, shine=0.4, line=False)
    tail = canvas.bar(5, -3, 11, -1.8, 3.0) | canvas.bar(11, -1.8, 13, -5.4, 2.0)
    canvas.put(tail, ramp, shine=0.4)
    canvas.put(canvas.polygon((11.2, -5), (13.4, -9), (14.4, -4.6)), RAMPS["bone"], shine=0.4)
    canvas.put(canvas.ellipse(1.5, -7, 6.6, 6.6), ramp, shine=0.5)
    canvas.put(canvas.bar(-3.2, -18, -0.6, -10, 5.2), ramp, shine=0.5)
    canvas.put(canvas.ellipse(-1.6, -6.6, 3.6, 5.4), belly, shine=0.3)
    for y in (-9, -6.6, -4.2):
        canvas.dot(canvas.bar(-4, y, 0.8, y, 0.4), belly[1])
    for x in (-3.4, 3.6):
        canvas.put(canvas.ellipse(x, -1.4, 2.9, 1.6), ramp, shine=0.4)
        for claw in (-1.8, 0.0, 1.8):
            canvas.spot(x + claw, -0.4, WHITE, 1.0)
    _dragon_head(canvas, ramp)


def _dragon_head(canvas: Canvas, ramp: np.ndarray) -> None:
    for x in (-3.4, -0.2):
        horn = canvas.polygon((x - 1.0, -22), (x + 3.4, -27), (x + 1.4, -21))
        canvas.put(horn, RAMPS["bone"], shine=0.5)
    canvas.put(canvas.ellipse(-4.2, -20, 4.8, 3.8), ramp, shine=0.5)
    canvas.put(canvas.box(-11.4, -20.4, -4.6, -16.4), ramp, shine=0.5, line=False)
    canvas.dot(canvas.bar(-11, -16.9, -5.6, -16.9, 0.5), ramp[0])
    for x in (-10.2, -7.8):
        canvas.spot(x, -16.2, WHITE, 1.0)
    canvas.spot(-10.6, -19.4, DARK, 1.0)
    canvas.dot(canvas.ellipse(-5.2, -20.6, 1.6, 1.4), (252.0, 222.0, 80.0))
    canvas.dot(canvas.box(-5.7, -21.8, -4.7, -19.4), DARK)


def slime(canvas: Canvas, ramp: np.ndarray) -> None:
    """A drop of jelly with large eyes."""
    body = canvas.ellipse(0, -7.4, 10.6, 8.0) & (canvas.y < -0.6)
    drop = canvas.polygon((-6.4, -12.6), (-0.6, -20), (1.4, -19.6), (6.4, -12.6))
    canvas.put(body | drop, ramp, shine=1.0)
    canvas.dot(canvas.ellipse(-5.4, -11.4, 1.8, 2.2), ramp[4])
    for side in (-1, 1):
        canvas.dot(canvas.ellipse(3.6 * side, -7.6, 2.1, 2.6), WHITE)
        canvas.dot(canvas.ellipse(3.4 * side, -7.2, 1.2, 1.7), DARK)
    canvas.dot(canvas.bar(-1.8, -3.4, 1.8, -3.4, 0.9), ramp[0])


def wolf(canvas: Canvas, ramp: np.ndarray) -> None:
    """A wolf that stands, looking left."""
    canvas.put(canvas.bar(8, -11, 13, -15.5, 3.4), ramp, shine=0.3)
    for x in (-3.4, 8.4):
        canvas.put(canvas.bar(x, -7, x, -1.2, 2.6), ramp * 0.75, shine=0.2)
    canvas.put(canvas.ellipse(2.4, -9.6, 8.2, 4.4), ramp, shine=0.3)
    for x in (-6.2, 5.6):
        canvas.put(canvas.bar(x, -8, x - 0.4, -1.2, 2.8), ramp, shine=0.3)
        canvas.put(canvas.ellipse(x - 1.0, -1.0, 2.0, 1.1), ramp, shine=0.3)
    canvas.put(canvas.ellipse(-4.8, -12.4, 4.6, 4.4), RAMPS["white"], shine=0.2)
    for x in (-8.4, -4.4):
        ear = canvas.polygon((x - 1.6, -18.6), (x + 0.4, -24.4), (x + 2.4, -18.4))
        canvas.put(ear, ramp, shine=0.3)
    canvas.put(canvas.ellipse(-6.6, -16.4, 5.0, 4.4), ramp, shine=0.4)
    canvas.put(canvas.box(-13.4, -16.6, -8.0, -13.2), RAMPS["white"], shine=0.2)
    canvas.dot(canvas.ellipse(-13.0, -16.2, 1.2, 1.0), DARK)
    canvas.dot(canvas.box(-9.2, -18.2, -7.6, -16.8), (250.0, 214.0, 70.0))
    canvas.spot(-8.8, -17.4, DARK, 0.9)


def ghost(canvas: Canvas, ramp: np.ndarray) -> None:
    """A floating sheet with hollow eyes and a torn hem."""
    pale = ramp * 0.72 + np.array([236.0, 240.0, 255.0]) * 0.28
    hem = -2.2 + 1.5 * np.sign(np.sin(canvas.x * 1.25 + 0.8))
    body = canvas.ellipse(0, -16, 8.2, 9.2) | canvas.box(-8.2, -16, 8.2, 2)
    canvas.put(body & (canvas.y < hem - 2), pale, shine=0.6)
    for side in (-1, 1):
        canvas.put(canvas.bar(7.4 * side, -13, 11.4 * side, -16, 3.2), pale, shine=0.5)
        canvas.dot(canvas.ellipse(3.0 * side, -17.6, 1.9, 2.7), DARK)
        canvas.spot(3.0 * side, -17.2, WHITE, 0.9)
    canvas.dot(canvas.ellipse(0, -11.8, 1.7, 2.1), DARK)
