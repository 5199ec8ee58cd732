"""Legs, torso, arms, cloaks and ornament of the paper doll."""

from __future__ import annotations

import numpy as np

from training.painter.canvas import Canvas
from training.painter.doll import Doll
from training.palette import RAMPS

SHINE = {"plate": 1.0, "leather": 0.35, "cloth": 0.15, "robe": 0.2}


def cloak_back(canvas: Canvas, doll: Doll) -> None:
    """The cloak's cloth, seen behind the body."""
    if doll.scene.cloak == "none":
        return
    ramp = RAMPS[doll.scene.cloak]
    canvas.put(canvas.taper(-14.5, -0.6, 5.0, 8.4), ramp, shine=0.1)
    for x in (-6.2, 6.2):
        canvas.shade(canvas.bar(x * 0.8, -10, x, -1, 0.6), 0.78)


def cloak_front(canvas: Canvas, doll: Doll) -> None:
    """The cloak's collar and clasp."""
    if doll.scene.cloak == "none":
        return
    ramp = RAMPS[doll.scene.cloak]
    canvas.put(canvas.ellipse(-3.6, -13.0, 3.0, 1.6), ramp, shine=0.2)
    canvas.put(canvas.ellipse(3.6, -13.0, 3.0, 1.6), ramp, shine=0.2)
    canvas.spot(0, -12.4, RAMPS["gold"][3], 1.4)


def legs(canvas: Canvas, doll: Doll) -> None:
    """Trousers, greaves or bare bones, with boots; a robe hides them."""
    if doll.scene.material == "robe":
        _shoes(canvas, doll, -1.6)
        return
    for side in (-1, 1):
        if doll.bony:
            canvas.put(canvas.bar(2.3 * side, -6, 2.5 * side, -1, 1.6), doll.skin, shine=0.4)
            continue
        bare = doll.scene.subject == "barbarian"
        ramp = (
            doll.skin if bare else RAMPS["steel"] if doll.scene.material == "plate" else doll.second
        )
        canvas.put(
            canvas.taper(-7, -1, 2.2, 1.9, 2.3 * side), ramp, shine=SHINE[doll.scene.material]
        )
    _shoes(canvas, doll, -3.2)


def _shoes(canvas: Canvas, doll: Doll, top: float) -> None:
    plate = doll.scene.material == "plate"
    ramp = doll.main if plate else RAMPS["leather" if doll.scene.second != "brown" else "dark wood"]
    for side in (-1, 1):
        foot = canvas.box(0.4, top, 4.5, 0) if side > 0 else canvas.box(-4.5, top, -0.4, 0)
        canvas.put(foot, ramp, shine=0.8 if plate else 0.2)


def torso(canvas: Canvas, doll: Doll) -> None:
    """The garment of the upper body, in the main colour."""
    scene, shine = doll.scene, SHINE[doll.scene.material]
    slim = 0.85 if scene.female else 1.0
    if scene.material == "robe":
        canvas.put(canvas.taper(-14, -0.8, 3.8 * slim, 6.4), doll.main, shine=shine)
        canvas.dot(canvas.taper(-1.9, -0.8, 6.3, 6.4), doll.second[3])
        canvas.shade(canvas.bar(0, -6, 0, -1.5, 0.5), 0.75)
    elif scene.material == "cloth":
        canvas.put(canvas.taper(-14, -4.6, 4.2 * slim, 5.0), doll.main, shine=shine)
    else:
        canvas.put(canvas.taper(-14, -5.6, 4.8 * slim, 4.2), doll.main, shine=shine)


def _belt(canvas: Canvas, doll: Doll) -> None:
    width = 4.9 if doll.scene.material == "robe" else 4.6
    canvas.put(canvas.box(-width, -8.4, width, -7.0), RAMPS["dark wood"], flat=0.3, line=False)
    canvas.spot(0, -7.7, RAMPS["gold"][3], 1.5)


def marks(canvas: Canvas, doll: Doll) -> None:
    """What tells the roles apart whatever else they wear."""
    draw = {
        "knight": _breastplate,
        "mage": _stars,
        "archer": _strap,
        "rogue": _scarf,
        "cleric": _tabard,
        "barbarian": _bare_chest,
        "king": _ermine,
        "queen": _necklace,
    }
    draw[doll.scene.subject](canvas, doll)
    _belt(canvas, doll)


def _breastplate(canvas: Canvas, doll: Doll) -> None:
    canvas.put(canvas.ellipse(0, -11.2, 3.6, 2.6), doll.main, shine=1.0)
    canvas.dot(canvas.bar(0, -13, 0, -9.4, 0.4), doll.main[4])


def _stars(canvas: Canvas, _doll: Doll) -> None:
    for x, y in ((-2.2, -4.6), (2.4, -3.6), (0.2, -10.4), (-1.6, -11.8)):
        canvas.spot(x, y, RAMPS["yellow"][3], 0.9)


def _strap(canvas: Canvas, _doll: Doll) -> None:
    canvas.put(canvas.bar(-3.4, -13.2, 3.2, -8.4, 1.4), RAMPS["leather"], shine=0.2)


def _scarf(canvas: Canvas, doll: Doll) -> None:
    canvas.put(canvas.box(-4.2, -14.2, 4.2, -11.6), doll.second, shine=0.2)
    canvas.put(canvas.taper(-12, -8.4, 1.2, 0.6, 3.0), doll.second, shine=0.2)


def _tabard(canvas: Canvas, doll: Doll) -> None:
    canvas.put(canvas.taper(-13.6, -2.4, 2.0, 2.5), RAMPS["white"], shine=0.1)
    gold = RAMPS["orange" if doll.scene.colour != "orange" else "red"][2]
    canvas.dot(canvas.bar(0, -12.4, 0, -8.8, 0.9), gold)
    canvas.dot(canvas.bar(-1.5, -11.2, 1.5, -11.2, 0.9), gold)


def _bare_chest(canvas: Canvas, doll: Doll) -> None:
    canvas.put(canvas.taper(-8.6, -3.2, 4.4, 5.6), doll.main, shine=0.3)
    canvas.put(canvas.taper(-14, -9.0, 4.0, 3.4), doll.skin, shine=0.4)
    canvas.shade(canvas.bar(0, -12.5, 0, -9.4, 0.4), 0.8)
    canvas.put(canvas.bar(-3.8, -13.4, 3.2, -8.8, 1.2), RAMPS["dark wood"], shine=0.2)
    for side in (-1, 1):
        canvas.put(canvas.ellipse(4.2 * side, -13.4, 2.6, 1.6), RAMPS["leather"], shine=0.1)


def _ermine(canvas: Canvas, _doll: Doll) -> None:
    white = RAMPS["white"]
    canvas.put(canvas.box(-0.9, -12, 1.0, -1), white, shine=0.1)
    canvas.put(canvas.ellipse(0, -13.2, 5.4, 1.9), white, shine=0.1)
    for x in (-3.6, 0.0, 3.6):
        canvas.spot(x, -12.7, RAMPS["black"][1], 0.8)


def _necklace(canvas: Canvas, doll: Doll) -> None:
    gold = RAMPS["gold"]
    canvas.put(canvas.taper(-7.2, -1.2, 2.2, 4.0), doll.second, shine=0.2)
    canvas.dot(canvas.box(-6.6, -1.9, 6.6, -0.8) & canvas.alpha, gold[3])
    canvas.put(canvas.polygon((-4.0, -14), (4.0, -14), (0, -10.2)), doll.skin, shine=0.2, soft=0.5)
    for x, y in ((-2.7, -12.6), (2.7, -12.6), (-1.4, -11.2), (1.4, -11.2)):
        canvas.spot(x, y, gold[3], 0.9)
    canvas.spot(0, -10.0, RAMPS["teal"][3], 1.3)


def arms(canvas: Canvas, doll: Doll) -> None:
    """Both arms from the shoulders to the hands, and pauldrons on plate."""
    material = doll.scene.material
    bare = doll.scene.subject == "barbarian"
    for side, (x, y) in ((1, doll.grip), (-1, doll.guard)):
        thick = 1.6 if doll.bony else 3.0
        sleeve = doll.skin if doll.bony or bare else doll.main
        shoulder, shine = 5.0 * side, 0.2 if bare else SHINE[material]
        canvas.put(canvas.bar(shoulder, -12.2, x - 0.6 * side, y - 0.6, thick), sleeve, shine=shine)
        canvas.put(canvas.ellipse(x, y, 1.6, 1.5), doll.skin, shine=0.3)
        if material == "plate":
            canvas.put(canvas.ellipse(5.4 * side, -12.6, 2.7, 2.3), doll.main, shine=1.0)


def ornament(canvas: Canvas, doll: Doll) -> None:
    """Flowers on the cloth, or feathers on the shoulders."""
    if doll.scene.ornament == "floral":
        petal = RAMPS["pink" if doll.scene.colour != "pink" else "yellow"]
        for x, y in ((-2.6, -10.8), (2.6, -5.4), (2.4, -11.4), (-2.8, -5.0)):
            for dx, dy in ((-0.9, 0), (0.9, 0), (0, -0.9), (0, 0.9)):
                canvas.spot(x + dx, y + dy, petal[3], 0.9)
            canvas.spot(x, y, RAMPS["yellow"][4], 0.9)
    elif doll.scene.ornament == "feather":
        for side in (-1, 1):
            for turn in (0.0, 1.6, 3.2):
                tip = (7.6 + turn * 0.6) * side, -17.4 + turn * 1.5
                feather = canvas.bar(4.6 * side, -12.8, *tip, 1.3)
                canvas.put(feather, doll.second if turn == 1.6 else RAMPS["white"], shine=0.3)


def folds(mask: np.ndarray, canvas: Canvas, every: float = 2.4) -> np.ndarray:
    """The vertical folds of a hanging cloth, as a mask within another."""
    return mask & (np.abs((canvas.x / every) % 1.0 - 0.5) < 0.16)
