"""What passes between the callers and the engine: tickets in, events out. Plain data only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from limner.domain.model import ModelInfo
from limner.domain.params import Generation
from limner.domain.parts import Detail
from limner.errors import LimnerError

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class FirstPass:
    """What the first pass of a picture drew: RGB pixels, uint8 (height, width, 3), with the facts
    in which it differs from the picture."""

    pixels: Pixels
    evaluations: int
    rows: int


@dataclass(frozen=True)
class Facts:
    """What the engine knows about how a picture came to be; part of its receipt.

    ``rows``: the most UNet rows of one evaluation. ``vae_tile``: as in ``Generation``. ``model``:
    what it was drawn with, as loaded. ``first_pass``: where it was asked for. ``details``: those
    that were drawn, where a detector looked for their boxes.
    """

    seed: int
    evaluations: int
    rows: int
    dtype: str
    batch_mode: str
    model: ModelInfo
    vae_tile: int | None = None
    first_pass: FirstPass | None = field(default=None, repr=False)
    details: tuple[Detail, ...] | None = None


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

    No fault of the picture: it may be drawn again, by this engine or another. ``suspect``: the
    engine had worked before, and broke while it drew this one.
    """

    index: int
    reason: str
    suspect: bool = False


End = Drawn | Failed | Lost
Event = Started | Progress | End
Sink = Callable[[Event], None]
Reader = Callable[[str, Collection[str]], Mapping[str, Pixels]]
"""Pictures (h, w, 3) and masks by their SHA-256: those that are named, of what a reference stands
for. Raises ``Gone``, ``NotFound`` or ``Damaged``."""


def read_nothing(_reference: str, _names: Collection[str]) -> Mapping[str, Pixels]:
    """The reader of an engine that needs none."""
    return {}


@dataclass(frozen=True)
class Ticket:
    """One line of a request, as an engine is given it: plain data, also for one far away.

    All lines of a request have its ``id``, and their pictures are numbered on: this one's begin
    at ``first``. ``owner`` is what fairness is measured over (an API key's id). ``sources`` is
    the reference by which the engine reads the pictures that img2img starts from; they must be
    there until the last image has ended. ``watched``: previews are wanted from the beginning.
    ``model`` and ``vae`` are SHA-256s: empty, they are the engine's first model and the model's
    own VAE.
    """

    id: str
    generation: Generation
    owner: str
    first: int = 0
    sources: str | None = None
    watched: bool = False
    model: str = ""
    vae: str = ""
