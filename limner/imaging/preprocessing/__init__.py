"""Maps for controls, made of pictures without anything that would have to be downloaded.

Each is a row of ``PREPROCESSORS``: RGB uint8 (H, W, 3) in and out, with options that are numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from limner.imaging.files import Pixels
from limner.imaging.preprocessing import lines, looks

__all__ = ["PREPROCESSORS", "Option", "Preprocessor", "apply"]


@dataclass(frozen=True)
class Option:
    """A number from ``low`` to ``high``."""

    default: float
    low: float
    high: float


@dataclass(frozen=True)
class Preprocessor:
    """``makes``: what it finds in a picture, for people."""

    run: Callable[..., Pixels]
    makes: str
    options: Mapping[str, Option] = field(default_factory=dict)


_LEVEL = (0, 255)
PREPROCESSORS: Mapping[str, Preprocessor] = {
    "canny": Preprocessor(
        lines.canny,
        "thin edges, by Canny's method",
        {"low": Option(100, *_LEVEL), "high": Option(200, *_LEVEL)},
    ),
    "softedge": Preprocessor(lines.softedge, "edges as strong as they are, blurred"),
    "scribble": Preprocessor(
        lines.scribble, "broad strokes where it changes", {"threshold": Option(32, 1, 64)}
    ),
    "lineart": Preprocessor(
        lines.lineart, "the dark lines of a drawing, white on black", {"sigma": Option(6, 0.5, 16)}
    ),
    "threshold": Preprocessor(
        lines.threshold, "white where it is lighter than a level", {"level": Option(127, *_LEVEL)}
    ),
    "invert": Preprocessor(looks.invert, "its negative: lines drawn in black on white"),
    "tile": Preprocessor(
        looks.tile, "the picture itself, with details down to a size left out",
        {"rate": Option(1, 1, 8)},
    ),
    "colour": Preprocessor(
        looks.colour, "its colours in squares of a size", {"size": Option(64, 8, 256)}
    ),
    "blur": Preprocessor(looks.blur, "the picture blurred", {"sigma": Option(9, 0.1, 64)}),
    "shuffle": Preprocessor(
        looks.shuffle, "its colours and shapes, moved about", {"seed": Option(0, 0, 2**32 - 1)}
    ),
}  # fmt: skip


def apply(name: str, pixels: Pixels, options: Mapping[str, float]) -> Pixels:
    """The map that a preprocessor makes of a picture; options not given are their defaults."""
    row = PREPROCESSORS[name]
    given = {each: options.get(each, option.default) for each, option in row.options.items()}
    return row.run(pixels, **given)
