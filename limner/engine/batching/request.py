"""What passes between the callers and the engine: requests in, events out.

A ``Request`` is one call; the engine makes an ``Image`` of each of its samples. No torch here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from limner.domain.params import Generation
from limner.errors import LimnerError

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Facts:
    """What the engine knows about how a picture came to be; part of its receipt.

    ``rows``: the most UNet rows of one evaluation.
    """

    seed: int
    evaluations: int
    rows: int
    dtype: str
    batch_mode: str


@dataclass(frozen=True)
class Started:
    """The first evaluation of image ``index`` is about to run."""

    index: int


@dataclass(frozen=True)
class Progress:
    """``evaluation`` of ``evaluations`` of image ``index`` is done (user's step ``step``).

    ``preview`` is a small RGB picture of the denoised estimate, uint8 (h, w, 3), or None.
    """

    index: int
    step: int
    evaluation: int
    evaluations: int
    preview: Pixels | None = None


@dataclass(frozen=True)
class Drawn:
    """Image ``index`` is finished: RGB pixels, uint8 (height, width, 3)."""

    index: int
    pixels: Pixels
    facts: Facts


@dataclass(frozen=True)
class Failed:
    """Image ``index`` will not come."""

    index: int
    error: LimnerError


@dataclass(frozen=True)
class Lost:
    """The engine that had image ``index`` is gone; nobody draws it any more.

    No fault of the picture: it may be drawn again, by this engine or another.
    """

    index: int
    reason: str


End = Drawn | Failed | Lost
Event = Started | Progress | End
Sink = Callable[[Event], None]


@dataclass(frozen=True, eq=False)
class Request:
    """One call to the engine.

    ``owner`` is what fairness is measured over (an API key's id). ``pixels`` holds the RGB
    source and the mask of img2img by their SHA-256. ``sink`` is called on the engine's threads
    and must not block. While ``watched`` is set, previews are made.
    """

    id: str
    generation: Generation
    owner: str
    sink: Sink
    pixels: Mapping[str, Pixels] = field(default_factory=dict)
    watched: threading.Event = field(default_factory=threading.Event)
