"""The seams of the engine: what callers see of it, and what its loop sees of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from limner.domain.model import ModelInfo
from limner.engine.batching.image import Image
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Facts, Pixels, Sink, Ticket
from limner.errors import ModelLoading


@dataclass(frozen=True)
class CacheStats:
    """What a cache holds, and how often it had what was asked for."""

    bytes: int
    hits: int
    misses: int


@dataclass(frozen=True)
class ModelStats:
    """Of one model: running totals, and what is now; ``load_s`` of loads beside the steps.

    ``name`` is empty until it was loaded; ``bytes`` are what it takes in memory, being loaded too.
    """

    name: str = ""
    steps: int = 0
    pictures: int = 0
    busy_s: float = 0.0
    loads: int = 0
    load_s: float = 0.0
    failed_loads: int = 0
    evictions: int = 0
    bytes: int = 0
    waiting: int = 0
    running: int = 0


@dataclass(frozen=True)
class EngineStats:
    """Running totals since the start; seconds are wall clock on the engine's thread.

    Those of UNet and VAE are the device's where it is a GPU. ``models`` are by ten digits of their
    SHA-256, and after a ``+`` of the VAE's where that is not their own; all beyond a number of
    them are ``other``. They take ``models_budget`` bytes at most.
    """

    steps: int = 0
    rows: int = 0
    images: int = 0
    unet_s: float = 0.0
    vae_s: float = 0.0
    busy_s: float = 0.0
    caches: Mapping[str, CacheStats] = field(default_factory=dict)
    models: Mapping[str, ModelStats] = field(default_factory=dict)
    models_budget: int = 0


@dataclass(frozen=True)
class EngineStatus:
    """What the engine is doing; ``message`` says in words what it loads or why it is ``failing``.

    ``model`` is drawn with where a ticket names none; ``resident`` are those in memory.
    """

    ready: bool
    message: str = ""
    model: ModelInfo | None = None
    waiting: int = 0
    running: int = 0
    stats: EngineStats = field(default_factory=EngineStats)
    resident: tuple[ModelInfo, ...] = ()
    failing: bool = False

    def loaded(self) -> ModelInfo:
        """The first checkpoint. Raises ``ModelLoading`` while there is none."""
        if self.model is None:
            raise ModelLoading(f"The model is not ready: {self.message}.", retry_after_s=5)
        return self.model


class EngineClient(Protocol):
    """Draws requests. Implementations: ``loop.ThreadEngine``, ``fake.FakeEngine``."""

    def expect_model(self, model: str = "", vae: str = "") -> None:
        """Raises ``InvalidInput`` (``model`` or ``vae``) for what no ticket may name here.

        What is not known, or can never be held in memory. It may read the head of a file.
        """

    def check(self, ticket: Ticket) -> None:
        """Read what a ticket needs beside its model and its sources, and keep it at hand.

        Raises what ``submit`` would for it. May block.
        """

    def submit(self, ticket: Ticket, sink: Sink) -> None:
        """Take one line of a request; its events reach ``sink`` from another thread. May block.

        Every image ends in exactly one ``Drawn``, ``Failed`` or ``Lost``. Raises ``InvalidInput``
        for what ``expect_model`` or the model refuses, what reading its sources raises,
        ``QueueFull``, and ``ModelLoading`` while there is none.
        """

    def abort(self, request_id: str) -> None:
        """Stop a request before its next step; its open images end in ``Failed(Aborted)``.

        Returns at once, as ``watch`` does; of what is not known, nothing happens.
        """

    def watch(self, request_id: str) -> None:
        """Have previews made, from the next step on, of what has been submitted of a request."""

    def status(self) -> EngineStatus:
        """The last snapshot that the engine sent; asks nobody, and so costs nothing.

        Of an image whose end was told it is never behind.
        """

    def close(self, drain_s: float = 0.0) -> None:
        """Take no more, let what runs finish for ``drain_s`` seconds, then abort the rest."""


class LastingClient(EngineClient, Protocol):
    """One that a server lives by: it ends with it."""

    @property
    def failure(self) -> Exception | None:
        """What ended it."""


class Runner(Protocol):
    """One model. ``plan``, ``enlarge`` and ``prepare`` may run beside ``step`` and each other; the
    rest only in turn.

    ``bytes`` is what it takes in memory, ``free_bytes`` what its device had left after loading.
    """

    model: ModelInfo
    max_rows: int
    native_area: int
    max_bytes: int

    bytes: int
    free_bytes: int

    def begin(self) -> None:
        """Measure what can only be measured while nothing else is drawn, ``max_rows`` above all."""

    def plan(self, request: Request) -> list[Image]:
        """Cheap: the request's images, all but their state; may refuse.

        ``evaluations`` and ``bytes`` count those of all phases, and the most held in one.
        """

    def enlarge(self, image: Image) -> None:
        """Before ``prepare``, of an image that ``enlarges``: make the picture larger that its phase
        begins with. Ends with ``Aborted`` soon after its state is taken away."""

    def prepare(self, image: Image) -> None:
        """Everything an image needs before the first evaluation of its phase."""

    def step(self, images: list[Image]) -> None:
        """One evaluation of each image, in one forward pass.

        Counts it, and sets rows and cost for the image's next evaluation.
        """

    def preview(self, image: Image) -> Pixels:
        """The denoised estimate as a small RGB picture, uint8 (h, w, 3)."""

    def step_of(self, image: Image) -> int:
        """The user's step (from 1) that the last evaluation belonged to."""

    def advance(self, image: Image) -> Pixels | None:
        """After a phase: the finished picture, uint8 (height, width, 3); raises ``NotFinite``.

        Or None, when the image is set up for its next phase: ``phase``, ``group``, ``rows`` and
        ``cost``, and in ``state`` what ``prepare`` needs of the phase before, and no more.
        """

    def seconds(self) -> tuple[float, float]:
        """Running totals of the UNet and of the VAE."""

    def caches(self) -> Mapping[str, CacheStats]:
        """How the caches do, which all models share; from any thread."""

    def facts(self, image: Image) -> Facts:
        """What the receipt says about how the image was computed."""
