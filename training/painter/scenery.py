"""Single things of the scenery: hills, trees, houses. Positions and sizes are in pixels."""

from __future__ import annotations

import numpy as np

from training.painter.canvas import Canvas

Colour = tuple[int, int, int]


def _tint(colour: Colour, factor: float) -> np.ndarray:
    return np.clip(np.array(colour, np.float32) * factor, 0, 255)


def hills(
    canvas: Canvas, rng: np.random.Generator, top: float, tall: float, colour: Colour
) -> None:
    """A rolling line of hills; everything below it takes the colour."""
    phase = rng.uniform(0, 6.28, 2)
    wave = np.sin(canvas.columns * 0.22 + phase[0]) + 0.5 * np.sin(canvas.columns * 0.45 + phase[1])
    line = top + tall * wave
    below = canvas.rows > line
    canvas.rgb[below] = colour
    canvas.rgb[below & (canvas.rows < line + 1.2)] = _tint(colour, 1.14)


def pyramid(canvas: Canvas, x: float, base: float, tall: float) -> None:
    """Two faces, one in shadow."""
    inside = np.abs(canvas.columns - x) < (canvas.rows - base + tall)
    inside &= canvas.rows < base
    canvas.rgb[inside] = (216, 172, 98)
    canvas.rgb[inside & (canvas.columns > x)] = (170, 124, 74)


def cactus(canvas: Canvas, x: float, base: float, tall: float) -> None:
    """A green column with two arms."""
    x = round(x)
    for left, right, top, low in (
        (-1, 1, tall, 0), (-4, -3, tall * 0.72, tall * 0.36), (-4, -1, tall * 0.44, tall * 0.30),
        (2, 3, tall * 0.86, tall * 0.5), (1, 3, tall * 0.58, tall * 0.44),
    ):  # fmt: skip
        inside = (canvas.columns > x + left) & (canvas.columns < x + right + 0.2)
        inside &= (canvas.rows > base - top) & (canvas.rows < base - low)
        canvas.rgb[inside] = (60, 140, 74)
        canvas.rgb[inside & (canvas.columns > x + right - 0.9)] = (40, 104, 62)


def ripples(canvas: Canvas, rng: np.random.Generator, top: int, colour: Colour) -> None:
    """Short level strokes on sand or water."""
    for _ in range(canvas.width * (canvas.height - top) // 44):
        row, column = rng.integers(top, canvas.height), rng.integers(-2, canvas.width)
        canvas.rgb[row, max(column, 0) : column + rng.integers(3, 6)] = colour


def tufts(canvas: Canvas, rng: np.random.Generator, top: int, colour: Colour) -> None:
    """Blades of grass in pairs."""
    for _ in range(canvas.width * (canvas.height - top) // 34):
        row, column = rng.integers(top, canvas.height - 1), rng.integers(canvas.width - 2)
        canvas.rgb[row, column] = canvas.rgb[row, column + 2] = colour
        canvas.rgb[row + 1, column + 1] = colour


def flowers(canvas: Canvas, rng: np.random.Generator, top: int) -> None:
    """Little blossoms of two pixels."""
    colours = ((250, 246, 250), (248, 206, 70), (238, 112, 150))
    for k in range(canvas.width * (canvas.height - top) // 40):
        row, column = rng.integers(top, canvas.height), rng.integers(canvas.width - 1)
        canvas.rgb[row, column : column + 2] = colours[k % 3]


def stones(canvas: Canvas, rng: np.random.Generator, top: int, colour: Colour) -> None:
    """Boulders with a lit upper edge."""
    for _ in range(2 + canvas.width // 12):
        x, y = rng.uniform(0, canvas.width), rng.uniform(top, canvas.height)
        wide = rng.uniform(1.4, 2.8)
        stone = ((canvas.columns - x) / wide) ** 2 + ((canvas.rows - y) / (wide * 0.7)) ** 2 < 1
        canvas.rgb[stone] = _tint(colour, 0.74)
        canvas.rgb[stone & (canvas.rows < y)] = colour


def trunk(canvas: Canvas, x: float, base: float, wide: float) -> None:
    """A tree trunk from the top of the picture to its root."""
    inside = (np.abs(canvas.columns - x) < wide / 2) & (canvas.rows < base)
    canvas.rgb[inside] = (94, 64, 46)
    canvas.rgb[inside & (canvas.columns > x + wide * 0.12)] = (66, 46, 40)


def leaves(canvas: Canvas, rng: np.random.Generator, depth: int) -> None:
    """A canopy along the upper edge in three greens."""
    for colour, low in (((26, 66, 38), 1.25), ((38, 92, 46), 0.9), ((58, 124, 54), 0.5)):
        phase = rng.uniform(0, 6.28)
        edge = depth * low + 1.6 * np.abs(np.sin(canvas.columns * 0.55 + phase)) * 1.5
        canvas.rgb[canvas.rows < edge] = colour


def bricks(canvas: Canvas, colour: Colour, seam: Colour) -> None:
    """A wall of cut stone over the whole picture."""
    row, column = canvas.rows.astype(int), canvas.columns.astype(int)
    canvas.rgb[:] = colour
    canvas.rgb[(row % 4 == 3) | ((column + (row // 4 % 2) * 4) % 8 == 7)] = seam
    canvas.rgb *= np.clip(0.78 + 0.5 * canvas.rows / canvas.height, 0, 1.1)[..., None]


def pillar(canvas: Canvas, x: float, base: float, wide: float) -> None:
    """A stone column with capital and foot."""
    for half, top, low in (
        (wide / 2, 0, base),
        (wide / 2 + 1, 0, 3),
        (wide / 2 + 1, base - 2, base),
    ):
        gap = canvas.columns - x
        inside = (np.abs(gap) < half) & (canvas.rows >= top) & (canvas.rows < low)
        canvas.rgb[inside] = (186, 182, 190)
        canvas.rgb[inside & (gap > half * 0.3)] = (142, 138, 152)
        canvas.rgb[inside & (gap < -half * 0.55)] = (214, 210, 214)


def banner(canvas: Canvas, x: float, colour: Colour) -> None:
    """A hanging flag with a golden mark."""
    top, low = canvas.height * 0.06, canvas.height * 0.40
    gap = np.abs(canvas.columns - x)
    inside = (gap < 2.4) & (canvas.rows > top) & (canvas.rows < low + gap)
    canvas.rgb[inside] = colour
    canvas.rgb[(gap < 1.2) & (np.abs(canvas.rows - (top + low) / 2) < 1.4)] = (236, 190, 76)


def window(canvas: Canvas, x: float) -> None:
    """A tall arched window with daylight behind it."""
    top, low = canvas.height * 0.10, canvas.height * 0.42
    gap = np.abs(canvas.columns - x)
    for half, colour in ((2.9, (74, 68, 84)), (1.9, (168, 212, 240))):
        arch = (gap < half) & (canvas.rows > top + gap) & (canvas.rows < low + half - 2)
        canvas.rgb[arch] = colour


def peak(
    canvas: Canvas, x: float, base: float, tall: float, slope: float, volcano: bool = False
) -> None:
    """A mountain with a lit side; snow on its top, or fire in it."""
    depth = canvas.rows - (base - tall)
    jag = 0.8 * np.sin(canvas.rows * 1.9 + x)
    inside = (np.abs(canvas.columns - x) < depth * slope + jag) & (canvas.rows < base) & (depth > 0)
    if volcano:
        inside &= depth > 3
    right = canvas.columns > x + 0.4 * jag
    canvas.rgb[inside] = (70, 52, 58) if volcano else (138, 144, 168)
    canvas.rgb[inside & right] = (50, 36, 46) if volcano else (98, 102, 132)
    cap = inside & (depth < tall * 0.36 + 1.4 * np.sin(canvas.columns * 1.7))
    canvas.rgb[cap] = (250, 150, 40) if volcano else (246, 248, 252)
    canvas.rgb[cap & right] = (226, 84, 28) if volcano else (206, 216, 236)


def fangs(canvas: Canvas, rng: np.random.Generator, colour: Colour) -> None:
    """Stalactites along the upper edge."""
    for x in range(1, canvas.width + 4, 5):
        tall = rng.uniform(0.10, 0.34) * canvas.height
        inside = np.abs(canvas.columns - x) < 2.6 * (1 - canvas.rows / tall)
        canvas.rgb[inside & (canvas.rows < tall)] = colour
        canvas.rgb[inside & (canvas.columns < x - 0.6)] = _tint(colour, 1.5)


def crystal(canvas: Canvas, x: float, base: float, tall: float, colour: Colour) -> None:
    """A cluster of three glowing shards."""
    for dx, size in ((-2.2, 0.6), (2.2, 0.7), (0.0, 1.0)):
        gap, up = canvas.columns - x - dx, base - canvas.rows
        inside = (np.abs(gap) < np.minimum(1.5, (tall * size - up) * 0.6)) & (up > 0)
        canvas.rgb[inside] = colour
        canvas.rgb[inside & (gap > 0.3)] = _tint(colour, 0.62)


def pine(canvas: Canvas, x: float, base: float, tall: float, colour: Colour) -> None:
    """A fir in three storeys with snow on them."""
    up = base - canvas.rows
    gap = np.abs(canvas.columns - x)
    canvas.rgb[(gap < 1) & (up > 0) & (up < 2)] = (86, 60, 50)
    storey = (tall - up) % (tall / 3) + (tall - up) * 0.32
    inside = (gap < storey * 0.62) & (up > 1.4) & (up < tall)
    canvas.rgb[inside] = colour
    canvas.rgb[inside & (canvas.columns < x) & ((tall - up) % (tall / 3) < 1.6)] = (240, 246, 252)


def rivers(canvas: Canvas, rng: np.random.Generator, top: int, colours: tuple[Colour, ...]) -> None:
    """Winding streams that widen towards the viewer."""
    hot, warm, rim = colours
    for share in (0.2, 0.8):
        phase = rng.uniform(0, 6.28)
        near = (canvas.rows - top) / max(canvas.height - top, 1)
        line = share * canvas.width + 2.6 * np.sin(canvas.rows * 0.5 + phase)
        gap, half = np.abs(canvas.columns - line), 1.0 + 2.6 * near
        below = canvas.rows >= top
        canvas.rgb[below & (gap < half + 0.9)] = rim
        canvas.rgb[below & (gap < half)] = warm
        canvas.rgb[below & (gap < half * 0.45)] = hot


def boat(canvas: Canvas, x: float, base: float) -> None:
    """A small sailing boat."""
    up = base - canvas.rows
    gap = canvas.columns - x
    canvas.rgb[(np.abs(gap) < 3.4 + up * 0.6) & (up > 0) & (up < 2)] = (120, 78, 48)
    canvas.rgb[(gap > -0.2) & (gap < (7.6 - up) * 0.7) & (up > 2) & (up < 8)] = (244, 240, 230)
    canvas.rgb[(gap < -0.2) & (gap > -(7.0 - up) * 0.5) & (up > 2) & (up < 7)] = (216, 84, 70)


def house(canvas: Canvas, x: float, base: float, tall: float, roof: Colour) -> None:
    """A cottage with a door, a window and a pitched roof."""
    up, gap = base - canvas.rows, canvas.columns - x
    half = tall * 0.42
    wall = (np.abs(gap) < half) & (up > 0) & (up < tall * 0.55)
    canvas.rgb[wall] = (226, 208, 174)
    canvas.rgb[wall & (gap > half * 0.5)] = (194, 172, 140)
    top = (np.abs(gap) < (tall - up) * 0.98) & (up >= tall * 0.5) & (up < tall)
    canvas.rgb[top & (np.abs(gap) < half + 1.6)] = roof
    edge = top & (np.abs(gap) < half + 1.6) & (canvas.rows.astype(int) % 2 == 0)
    canvas.rgb[edge] = _tint(roof, 0.8)
    canvas.rgb[(np.abs(gap + 1.6) < 1.1) & (up > 0) & (up < 4)] = (104, 68, 46)
    canvas.rgb[(np.abs(gap - 2.0) < 1.1) & (up > 2.4) & (up < 4.6)] = (122, 190, 226)
