"""Skies by time of day, and the light they throw on everything under them."""

from __future__ import annotations

import numpy as np

from training.painter.canvas import Canvas

SKIES = {
    "day": ((72, 132, 220), (104, 168, 236), (146, 202, 246), (196, 228, 248)),
    "night": ((14, 14, 40), (22, 24, 62), (34, 40, 88), (52, 60, 116)),
    "sunset": ((92, 50, 122), (178, 68, 112), (240, 124, 78), (252, 190, 92)),
}
LIGHT = {
    "day": (1.0, 1.0, 1.0),
    "night": (0.50, 0.56, 0.86),
    "sunset": (1.06, 0.82, 0.72),
}
"""Factors on red, green and blue of what stands in the open."""

FIGURE_LIGHT = {
    "day": (1.0, 1.0, 1.0),
    "night": (0.88, 0.90, 1.0),
    "sunset": (1.04, 0.96, 0.92),
}
"""The same for the figure, gentler, so that its colours stay what they are called."""

MOODS = {
    "none": (1.0, 0.0, (0, 0, 0)),
    "dark": (0.58, 0.0, (0, 0, 0)),
    "warm": (1.0, 0.20, (255, 170, 70)),
    "cold": (0.94, 0.24, (80, 140, 255)),
    "foggy": (1.0, 0.42, (196, 202, 212)),
}
"""Factor, share and colour of the veil that a mood lays over the ground."""


def sky(canvas: Canvas, time: str, rng: np.random.Generator, horizon: int) -> None:
    """Fill the rows above the horizon: gradient, then sun, or moon and stars, and clouds."""
    share = np.clip(canvas.rows / max(horizon, 1), 0, 1) ** 1.2
    canvas.rgb[:] = canvas.dithered(share, np.array(SKIES[time], np.float32))
    above = canvas.rows < horizon
    if time == "night":
        _stars(canvas, rng, horizon)
    x = rng.choice([0.16, 0.84]) * canvas.width
    y, radius = (0.17, 3.2) if time != "sunset" else (0.36, 4.0)
    disc = np.hypot(canvas.columns - x, canvas.rows - y * canvas.height) < radius
    tones = {"day": (255, 244, 190), "night": (236, 236, 214), "sunset": (255, 226, 130)}
    canvas.rgb[disc & above] = tones[time]
    if time == "night":
        bite = (
            np.hypot(canvas.columns - x - 1.6, canvas.rows - y * canvas.height + 1) < radius - 0.4
        )
        canvas.rgb[disc & bite] = SKIES["night"][1]
    else:
        _clouds(canvas, time, rng, horizon)


def _stars(canvas: Canvas, rng: np.random.Generator, horizon: int) -> None:
    for _ in range(canvas.width // 3):
        row, column = rng.integers(0, max(1, int(horizon * 0.8))), rng.integers(canvas.width)
        canvas.rgb[row, column] = (240, 240, 255) if rng.random() < 0.6 else (150, 160, 210)


def _clouds(canvas: Canvas, time: str, rng: np.random.Generator, horizon: int) -> None:
    top, base = {
        "day": ((255, 255, 255), (214, 230, 244)),
        "sunset": ((255, 170, 130), (206, 96, 112)),
    }[time]
    for _ in range(1 + canvas.width // 24):
        x, y = rng.uniform(0, canvas.width), rng.uniform(0.12, 0.62) * horizon
        wide = rng.uniform(3.4, 6.0)
        puff = ((canvas.columns - x) / wide) ** 2 + ((canvas.rows - y) / 1.9) ** 2 < 1
        puff |= np.hypot(canvas.columns - x + 1.2, canvas.rows - y + 1.3) < wide * 0.46
        puff &= canvas.rows < y + 1.2
        canvas.rgb[puff] = top
        canvas.rgb[puff & (canvas.rows > y + 0.2)] = base


def lit(rgb: np.ndarray, factors: tuple[float, float, float]) -> np.ndarray:
    """Colours under a coloured light."""
    return np.clip(rgb * np.array(factors, np.float32), 0, 255)


def veil(rgb: np.ndarray, mood: str) -> np.ndarray:
    """Colours under a mood."""
    factor, share, colour = MOODS[mood]
    return np.clip(rgb * factor * (1 - share) + np.array(colour, np.float32) * share, 0, 255)
