"""Heads: skin, face, hair, beard and what is worn on top."""

from __future__ import annotations

from training.painter.canvas import Canvas
from training.painter.doll import Doll
from training.palette import RAMPS

DARK = (30.0, 22.0, 38.0)
COVERED = ("helmet", "horned helmet", "hood", "wizard hat")


def hair_back(canvas: Canvas, doll: Doll) -> None:
    """Long hair falls behind the shoulders."""
    if doll.scene.hairstyle == "long":
        canvas.put(canvas.taper(-22, -9.6, 5.6, 6.4), doll.hair, shine=0.3)


def head(canvas: Canvas, doll: Doll) -> None:
    """The head with ears and face."""
    if doll.bony:
        _skull(canvas, doll)
        return
    if doll.scene.race == "elf":
        for side in (-1, 1):
            ear = canvas.polygon((4.4 * side, -20), (9.0 * side, -21.4), (4.8 * side, -16.4))
            canvas.put(ear, doll.skin)
    elif doll.scene.race == "orc":
        for side in (-1, 1):
            ear = canvas.polygon((4.6 * side, -19.4), (8.0 * side, -19.0), (4.8 * side, -16.6))
            canvas.put(ear, doll.skin)
    canvas.put(canvas.ellipse(0, -18.4, 5.6, 5.2), doll.skin, shine=0.2, soft=0.55)
    _face(canvas, doll)


def _face(canvas: Canvas, doll: Doll) -> None:
    white = (250.0, 248.0, 244.0)
    for side in (-1, 1):
        if canvas.unit > 1.5:
            canvas.dot(canvas.ellipse(2.1 * side, -17.1, 1.35, 1.25), white)
            brow = canvas.bar(1.0 * side, -19.2, 3.4 * side, -19.5, 0.5)
            canvas.dot(brow, doll.hair[1])
        eye = canvas.box(1.9 * side - 0.6, -18.1, 1.9 * side + 0.6, -16.1)
        canvas.dot(eye, DARK)
    canvas.shade(canvas.box(-0.5, -16.4, 0.5, -15.6), 0.82)
    if doll.scene.race == "orc":
        canvas.dot(canvas.bar(-2.2, -14.9, 2.2, -14.9, 0.5), doll.skin[0])
        for side in (-1, 1):
            canvas.spot(2.1 * side, -15.5, white, 1.1)
    else:
        mouth = (206.0, 84.0, 92.0) if doll.scene.female else doll.skin[1]
        canvas.dot(canvas.bar(-0.9, -14.9, 0.9, -14.9, 0.5), mouth)


def _skull(canvas: Canvas, doll: Doll) -> None:
    canvas.put(canvas.box(-3.2, -16.4, 3.2, -13.2), doll.skin, shine=0.3)
    canvas.put(canvas.ellipse(0, -19, 5.4, 4.8), doll.skin, shine=0.3, line=False)
    for side in (-1, 1):
        canvas.dot(canvas.ellipse(2.3 * side, -18.2, 1.5, 1.7), DARK)
        canvas.spot(2.3 * side, -18.0, (226.0, 60.0, 50.0), 0.8)
    canvas.dot(canvas.polygon((0, -17.0), (0.8, -15.6), (-0.8, -15.6)), DARK)
    for x in (-2.0, 0.0, 2.0):
        canvas.dot(canvas.bar(x, -14.7, x, -13.4, 0.3), doll.skin[1])


def hair(canvas: Canvas, doll: Doll) -> None:
    """The hair above the face; under a helmet or hood little of it is seen."""
    style, covered = doll.scene.hairstyle, doll.scene.headgear in COVERED
    if style == "bald" or doll.bony:
        return
    crown = canvas.ellipse(0, -19.4, 6.3, 5.5) & (canvas.y < (-14 if style == "long" else -17.2))
    face = canvas.ellipse(0.0, -16.2, 4.9, 5.0)
    fringe = canvas.polygon((-5.0, -20.6), (0.6, -21.8), (5.0, -19.6), (5.0, -14), (-5.0, -14))
    canvas.put(crown & ~(face & fringe), doll.hair, shine=0.4)
    if style == "long" and not covered:
        for side in (-1, 1):
            canvas.put(canvas.bar(5.4 * side, -19, 5.6 * side, -12, 1.6), doll.hair, shine=0.3)


def beard(canvas: Canvas, doll: Doll) -> None:
    """A full beard, longer on dwarfs."""
    if not doll.scene.beard:
        return
    low = -8.6 if doll.scene.race == "dwarf" else -11.4
    outer = canvas.taper(-17.2, low, 5.3, 1.6) & ~canvas.ellipse(0, -18.2, 4.2, 3.3)
    canvas.put(outer, doll.hair, shine=0.3)
    canvas.dot(canvas.bar(-0.9, -14.7, 0.9, -14.7, 0.5), doll.hair[0])


def headgear(canvas: Canvas, doll: Doll) -> None:
    """Helmet, crown, hood, horns or hat."""
    draw = {
        "helmet": _helmet,
        "horned helmet": _horned,
        "crown": _crown,
        "hood": _hood,
        "wizard hat": _hat,
    }.get(doll.scene.headgear)
    if draw:
        draw(canvas, doll)


def _helmet(canvas: Canvas, doll: Doll) -> None:
    steel = RAMPS["steel"]
    dome = canvas.ellipse(0, -19.2, 6.5, 6.0)
    slit = canvas.box(-4.4, -18.4, 4.4, -16.2)
    canvas.put(dome & (canvas.y < -13.6) & ~slit, steel, shine=1.0)
    if not doll.bony:
        canvas.dot(slit & ~_eyes(canvas), doll.skin[1])
    canvas.put(canvas.bar(0, -21.6, 0, -14.4, 1.2), steel, shine=1.0)
    canvas.dot(canvas.bar(-3.0, -22.9, -1.6, -23.8, 0.6), steel[4])
    plume = canvas.polygon((-0.6, -24.8), (1.6, -28.2), (5.2, -27.4), (3.6, -24.0))
    canvas.put(plume, doll.second, shine=0.4)


def _eyes(canvas: Canvas):
    left = canvas.box(-2.5, -18.1, -1.3, -16.1)
    return left | canvas.box(1.3, -18.1, 2.5, -16.1)


def _horned(canvas: Canvas, _doll: Doll) -> None:
    dome = canvas.ellipse(0, -19.4, 6.4, 5.6) & (canvas.y < -19.2)
    for side in (-1, 1):
        horn = canvas.polygon(
            (5.0 * side, -21.6), (7.6 * side, -22.4), (8.4 * side, -27.6),
            (10.0 * side, -22.4), (7.8 * side, -19.2), (5.4 * side, -19.4),
        )  # fmt: skip
        canvas.put(horn, RAMPS["bone"], shine=0.5)
    canvas.put(dome, RAMPS["iron"], shine=0.9)
    canvas.put(canvas.box(-6.4, -20.2, 6.4, -18.8), RAMPS["gold"], shine=0.8)


def _crown(canvas: Canvas, _doll: Doll) -> None:
    points = [(-5.4, -21.4), (-6.0, -27.2), (-3.2, -24.6), (0.0, -28.2), (3.2, -24.6)]
    canvas.put(canvas.polygon(*points, (6.0, -27.2), (5.4, -21.4)), RAMPS["gold"], shine=1.0)
    canvas.spot(0, -23.2, RAMPS["red"][2], 1.6)
    for side in (-1, 1):
        canvas.spot(3.6 * side, -22.8, RAMPS["blue"][3], 1.1)


def _hood(canvas: Canvas, doll: Doll) -> None:
    ramp = RAMPS[doll.scene.cloak] if doll.scene.cloak != "none" else doll.main
    outer = canvas.ellipse(0, -18.8, 7.2, 6.8) & (canvas.y < -12.6)
    peak = canvas.polygon((-4.6, -23.6), (0.4, -27.6), (4.8, -23.4))
    face = canvas.ellipse(0, -17.2, 4.7, 4.5)
    canvas.put((outer | peak) & ~face, ramp, shine=0.2)
    canvas.shade(face & (canvas.y < -19.4), 0.55)


def _hat(canvas: Canvas, doll: Doll) -> None:
    cone = canvas.polygon((-4.8, -21.6), (1.6, -29.4), (3.6, -28.2), (4.8, -21.6))
    canvas.put(cone, doll.main, shine=0.3)
    canvas.put(canvas.box(-4.9, -23.2, 4.9, -21.6), doll.second, shine=0.3, line=False)
    canvas.put(canvas.ellipse(0, -21.0, 8.6, 1.5), doll.main, shine=0.3)
    canvas.spot(0.4, -25.2, RAMPS["yellow"][3], 1.2)
