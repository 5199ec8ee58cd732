"""Colours: every named colour is a ramp of five tones from outline to highlight.

All colours are float arrays (3,) or (5, 3) of red, green, blue in 0..255.
"""

from __future__ import annotations

import colorsys

import numpy as np

OUTLINE = np.array([22.0, 16.0, 28.0])

BASES = {
    "red": (204, 42, 46),
    "orange": (232, 122, 34),
    "yellow": (240, 208, 66),
    "green": (58, 152, 60),
    "teal": (32, 160, 158),
    "blue": (50, 88, 212),
    "purple": (132, 62, 184),
    "pink": (240, 128, 178),
    "brown": (132, 82, 46),
    "white": (226, 226, 234),
    "black": (58, 54, 68),
    "silver": (142, 152, 170),
}

MATERIALS = {
    "steel": (150, 160, 180),
    "iron": (110, 116, 130),
    "gold": (232, 178, 52),
    "wood": (138, 88, 48),
    "dark wood": (96, 60, 40),
    "leather": (142, 92, 54),
    "bone": (226, 218, 196),
    "paper": (236, 224, 190),
    "leaf": (72, 150, 62),
    "glass": (190, 220, 232),
}

SKINS = {
    "human": ((246, 204, 166), (232, 178, 134), (196, 136, 92), (140, 90, 60)),
    "elf": ((250, 216, 184), (236, 190, 150)),
    "dwarf": ((238, 180, 140), (222, 158, 118)),
    "orc": ((112, 160, 72), (92, 138, 70)),
    "skeleton": ((228, 220, 200),),
}

HAIRS = {
    "black": (62, 54, 66),
    "brown": (118, 72, 42),
    "blond": (240, 204, 96),
    "red": (206, 92, 40),
    "white": (224, 224, 228),
}


def ramp(base: tuple[float, float, float]) -> np.ndarray:
    """Five tones (5, 3) of one colour: line, shadow, base, light, highlight.

    Shadows turn towards blue and highlights towards yellow, as pixel artists draw them.
    """
    hue, sat, val = colorsys.rgb_to_hsv(*(c / 255 for c in base))
    tones = (
        (_turn(hue, 0.68, 0.10), min(1, sat * 1.10 + 0.06), val * 0.34),
        (_turn(hue, 0.70, 0.05), min(1, sat * 1.08 + 0.02), val * 0.68),
        (hue, sat, val),
        (_turn(hue, 0.15, 0.03), sat * 0.84, min(1, val * 1.17 + 0.03)),
        (_turn(hue, 0.15, 0.05), sat * 0.52, min(1, val * 1.26 + 0.10)),
    )
    return np.array([colorsys.hsv_to_rgb(h % 1.0, s, v) for h, s, v in tones]) * 255


def _turn(hue: float, towards: float, share: float) -> float:
    """Move a hue (0..1, a circle) a share of the shorter way towards another."""
    gap = (towards - hue + 0.5) % 1.0 - 0.5
    return hue + share * gap


RAMPS = {name: ramp(base) for name, base in {**MATERIALS, **BASES}.items()}
"""Ramps of the named colours and materials."""

HAIR_RAMPS = {name: ramp(base) for name, base in HAIRS.items()}
SKIN_RAMPS = {race: [ramp(base) for base in bases] for race, bases in SKINS.items()}
