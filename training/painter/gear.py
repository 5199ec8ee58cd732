"""What the hands hold: weapons, shields, books. Each is drawn round a grip point."""

from __future__ import annotations

import numpy as np

from training.painter.canvas import Canvas
from training.painter.doll import Doll
from training.palette import RAMPS


def behind(canvas: Canvas, doll: Doll) -> None:
    """An archer's quiver, over the shoulder."""
    if doll.scene.subject != "archer":
        return
    for x in (-6.6, -5.4, -7.8):
        canvas.put(canvas.bar(x + 1.4, -12, x, -17.6, 0.6), RAMPS["wood"], line=False)
        canvas.spot(x, -17.8, RAMPS["white"][3], 1.4)
    canvas.put(canvas.bar(-4.4, -9.6, -6.2, -14.6, 3.0), RAMPS["leather"])


def weapon(canvas: Canvas, doll: Doll) -> None:
    """The weapon, then the hand over its grip."""
    draw = {
        "sword": sword,
        "staff": staff,
        "bow": bow,
        "axe": axe,
        "dagger": dagger,
        "mace": mace,
        "spear": spear,
    }.get(doll.scene.weapon)
    if not draw:
        return
    x, y = doll.grip
    draw(canvas, x, y)
    canvas.put(canvas.ellipse(x - 0.2, y, 1.6, 1.4), doll.skin, shine=0.3)


def sword(canvas: Canvas, x: float, y: float) -> None:
    """An upright blade with a golden guard."""
    blade = canvas.box(x - 1.2, y - 13.4, x + 1.2, y - 1.4)
    tip = canvas.polygon((x - 1.2, y - 13.4), (x, y - 16.2), (x + 1.2, y - 13.4))
    canvas.put(blade | tip, RAMPS["steel"], shine=1.0)
    canvas.dot(canvas.bar(x - 0.5, y - 13.4, x - 0.5, y - 3, 0.5), RAMPS["steel"][4])
    canvas.put(canvas.bar(x, y - 1, x, y + 3, 1.2), RAMPS["dark wood"], line=False)
    canvas.put(canvas.bar(x - 3.0, y - 1.8, x + 3.0, y - 1.8, 1.5), RAMPS["gold"], shine=0.9)


def dagger(canvas: Canvas, x: float, y: float) -> None:
    """A short blade."""
    canvas.put(
        canvas.polygon((x - 1.1, y - 1.6), (x, y - 8.4), (x + 1.1, y - 1.6)),
        RAMPS["steel"],
        shine=1.0,
    )
    canvas.put(canvas.bar(x, y - 1, x, y + 2.2, 1.2), RAMPS["dark wood"], line=False)
    canvas.put(canvas.bar(x - 1.7, y - 1.6, x + 1.7, y - 1.6, 1.1), RAMPS["iron"], shine=0.9)


def staff(canvas: Canvas, x: float, y: float) -> None:
    """A long pole with a glowing orb."""
    canvas.put(canvas.bar(x, y - 12, x, y + 7, 1.4), RAMPS["wood"], shine=0.4)
    canvas.put(canvas.ellipse(x, y - 14.4, 2.8, 2.8), RAMPS["gold"], shine=0.7)
    canvas.put(canvas.ellipse(x, y - 14.6, 1.9, 1.9), RAMPS["teal"], shine=1.0, line=False)
    canvas.spot(x - 0.6, y - 15.2, (236.0, 255.0, 250.0), 1.0)


def bow(canvas: Canvas, x: float, y: float) -> None:
    """A tall bow, its string towards the body."""
    arc = canvas.ellipse(x - 2.4, y - 1, 4.2, 10.2) & ~canvas.ellipse(x - 3.2, y - 1, 3.4, 9.4)
    arc &= canvas.x > x - 2.2
    canvas.put(canvas.bar(x - 2.2, y - 10.6, x - 2.2, y + 8.6, 0.4), RAMPS["bone"], flat=0.6)
    canvas.put(arc, RAMPS["wood"], shine=0.5)
    canvas.put(canvas.bar(x + 1.3, y - 2.4, x + 1.3, y + 0.4, 1.6), RAMPS["leather"], line=False)


def axe(canvas: Canvas, x: float, y: float) -> None:
    """A battle axe, its blade turned outwards."""
    canvas.put(canvas.bar(x, y - 14.0, x, y + 5, 1.4), RAMPS["wood"], shine=0.3)
    edge = ((x + 4.6, y - 15.4), (x + 6.0, y - 10.6), (x + 4.4, y - 5.8))
    blade = canvas.polygon((x + 0.4, y - 12.6), *edge, (x + 0.4, y - 8.6))
    canvas.put(blade, RAMPS["steel"], shine=1.0)
    spike = canvas.polygon((x - 0.4, y - 12.2), (x - 3.0, y - 10.6), (x - 0.4, y - 9.0))
    canvas.put(spike, RAMPS["steel"], shine=0.8)
    canvas.put(canvas.bar(x, y - 12.6, x, y - 8.4, 1.4), RAMPS["gold"], line=False)


def mace(canvas: Canvas, x: float, y: float) -> None:
    """A round head with spikes on a short handle."""
    canvas.put(canvas.bar(x, y - 8, x, y + 4, 1.5), RAMPS["dark wood"], shine=0.3)
    for dx, dy in (
        (-3.4, 0),
        (3.4, 0),
        (0, -3.4),
        (2.4, -2.4),
        (-2.4, -2.4),
        (2.4, 2.4),
        (-2.4, 2.4),
    ):
        canvas.put(canvas.bar(x, y - 10.2, x + dx, y - 10.2 + dy, 1.2), RAMPS["iron"], shine=0.5)
    canvas.put(canvas.ellipse(x, y - 10.2, 2.7, 2.7), RAMPS["iron"], shine=1.0)


def spear(canvas: Canvas, x: float, y: float) -> None:
    """A long shaft with a leaf blade and a ribbon."""
    canvas.put(canvas.bar(x, y - 12.8, x, y + 7, 1.2), RAMPS["wood"], shine=0.3)
    blade = canvas.polygon((x - 1.8, y - 13.2), (x, y - 19.4), (x + 1.8, y - 13.2), (x, y - 11.6))
    canvas.put(blade, RAMPS["steel"], shine=1.0)
    canvas.put(canvas.bar(x - 1.4, y - 11, x + 1.4, y - 11, 1.2), RAMPS["red"], line=False)


def offhand(canvas: Canvas, doll: Doll) -> None:
    """A shield or an open book in the other hand."""
    x, y = doll.guard
    if doll.scene.offhand == "shield":
        shield(canvas, x + 0.4, y - 0.6, 4.3, doll.second)
    elif doll.scene.offhand == "book":
        book(canvas, x, y - 1.0, 3.4, doll.second)
        canvas.put(canvas.ellipse(x, y + 2.2, 1.5, 1.2), doll.skin, shine=0.3)


def shield(canvas: Canvas, x: float, y: float, size: float, ramp: np.ndarray) -> None:
    """A heater shield with a steel rim and a cross."""
    for part, grow, shine in ((RAMPS["steel"], 1.0, 0.9), (ramp, 0.74, 0.5)):
        half, top, low = size * grow, y - size * grow, y + size * 1.45 * grow
        outline = ((x - half, top), (x + half, top), (x + half, y + 0.3 * size), (x, low))
        canvas.put(
            canvas.polygon(*outline, (x - half, y + 0.3 * size)), part, shine=shine, line=grow == 1
        )
    light = RAMPS["gold"]
    canvas.dot(canvas.bar(x, y - size * 0.6, x, y + size * 0.8, size * 0.22), light[3])
    canvas.dot(canvas.bar(x - size * 0.6, y - 0.1, x + size * 0.6, y - 0.1, size * 0.22), light[3])


def book(canvas: Canvas, x: float, y: float, size: float, ramp: np.ndarray) -> None:
    """A book standing upright, its pages to the right."""
    canvas.put(canvas.box(x - size, y - size, x + size, y + size), ramp, shine=0.4)
    canvas.dot(canvas.box(x + size * 0.72, y - size * 0.84, x + size, y + size), RAMPS["paper"][3])
    canvas.dot(canvas.box(x - size, y - size, x - size * 0.62, y + size), ramp[1])
    canvas.dot(canvas.ellipse(x, y - 0.1 * size, size * 0.4, size * 0.4), RAMPS["gold"][3])
