"""An engine without a model: the same protocol, pictures made of arithmetic.

For every test above the engine, for load tests, and for a page under development. A picture's
pixels depend on its prompt, seed and model alone, so a mix-up of requests shows.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from limner.domain.detectors import Found
from limner.domain.model import ModelInfo
from limner.domain.params import Generation
from limner.domain.parts import Detail
from limner.domain.passes import passes_of, size_of
from limner.engine.batching.client import CacheStats
from limner.engine.batching.image import Group, Image
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.models import unknown
from limner.engine.batching.request import Choice, Request
from limner.engine.batching.ticket import Facts, FirstPass, Pixels, Reader, read_nothing
from limner.errors import InvalidInput, NotFinite

FAKE_MODEL = ModelInfo(
    name="fake",
    kind="fake",
    path="",
    sha256="0" * 64,
    vae="",
    vae_sha256=None,
    dtype="none",
    device="none",
    parameters={},
    licence="apache-2.0",
    licence_needs_acceptance=False,
    attribution=(),
    source="",
    conversions=(),
)


class FakeRunner:
    """``client.Runner`` without tensors. ``step_s`` is how long each step takes.

    ``name`` is mixed into its pictures; it is empty for the first model of an engine.
    A prompt with ``!fault`` fails in the middle; one with ``!black`` decodes to not-a-number.
    """

    def __init__(
        self,
        *,
        step_s: float = 0.0,
        model: ModelInfo = FAKE_MODEL,
        max_rows: int = 32,
    ) -> None:
        self.step_s = step_s
        self.model, self.name = model, ""
        self.max_rows = max_rows
        self.native_area = 64 * 64
        self.max_bytes = 1 << 30
        self.bytes, self.free_bytes = 1 << 20, 4 << 30
        self.unet_s = 0.0
        self.batches: list[int] = []

    def begin(self) -> None:
        """It has nothing to measure."""

    def plan(self, request: Request) -> list[Image]:
        g = request.generation
        names = {"loras": [each.name for each in g.loras]}
        names["controls"] = [each.name for each in g.controls]
        names["prompt"] = [each.name for each in g.embeddings or ()]
        for field, those in names.items():
            if any("unfit" in name for name in those):
                raise InvalidInput(field, f"{field}: a planted file that does not fit")
        rows = 1 if g.guidance == 1 else 2
        group = Group(self.model.drawn_with, g.height // 8, g.width // 8)
        count = max(1, sum(each.evaluations for each in passes_of(g)))
        cost = group.cost(rows)
        same = (group, rows, cost, 1024, range(count), count)
        return [Image(request, i, *same) for i in range(g.samples)]

    def enlarge(self, image: Image) -> None:
        """None of its pictures needs it."""

    def prepare(self, image: Image) -> None:
        image.state = True

    def step(self, images: list[Image]) -> None:
        time.sleep(self.step_s)
        self.unet_s += self.step_s
        self.batches.append(len(images))
        if any("!fault" in i.request.generation.prompt and i.evaluation >= 2 for i in images):
            raise RuntimeError("a planted fault")
        for image in images:
            image.evaluation += 1

    def preview(self, image: Image) -> Pixels:
        return self.decode(image)[::32, ::32]

    def step_of(self, image: Image) -> int:
        g = image.request.generation
        steps = sum(each.steps for each in passes_of(g))
        return min(steps, -(-image.evaluation * steps // image.evaluations))

    def advance(self, image: Image) -> Pixels | None:
        return self.decode(image)

    def decode(self, image: Image) -> Pixels:
        g = image.request.generation
        if "!black" in g.prompt:
            raise NotFinite("A planted picture that is not finite.")
        width, height = size_of(g)
        if g.source is not None and g.source.only_masked and image.request.pixels:
            height, width = image.request.pixels[g.source.sha256].shape[:2]
        return fake_pixels(g.prompt, image.seed, width, height, self.name)

    def seconds(self) -> tuple[float, float]:
        return self.unet_s, 0.0

    def caches(self) -> Mapping[str, CacheStats]:
        return {}

    def facts(self, image: Image) -> Facts:
        told = (image.seed, image.evaluations, image.rows, "none", "shared")
        first, details = self._first_pass(image), found(image.request.generation)
        return Facts(*told, self.model, first_pass=first, details=details)

    def _first_pass(self, image: Image) -> FirstPass | None:
        g = image.request.generation
        if g.hires is None or not g.hires.first_pass:
            return None
        pixels = fake_pixels(g.prompt, image.seed, g.width, g.height, self.name)
        return FirstPass(pixels, passes_of(g)[0].evaluations, image.rows)


def found(generation: Generation) -> tuple[Detail, ...] | None:
    """Its details, one box for each that a detector looks for; None where none does."""
    details = generation.details
    if all(each.file is None for each in details):
        return None
    quarter = (0.25, 0.25, 0.25, 0.25)
    return tuple(
        each
        if each.file is None
        else each.at(
            quarter,
            Found(detector=each.file.name, sha256=each.file.sha256, class_id=0, score=0.5),
        )
        for each in details
    )


def fake_pixels(prompt: str, seed: int, width: int, height: int, model: str = "") -> Pixels:
    """RGB uint8 (height, width, 3): a gradient tinted by a hash of prompt, seed and model.

    ``model`` is empty for the engine's first; of another it is SHA-256 and VAE's SHA-256 in a row.
    """
    digest = hashlib.sha256(f"{seed}|{prompt}{model}".encode("utf-8", "replace")).digest()
    tint = np.frombuffer(digest[:3], np.uint8)
    ramp = np.linspace(0, 96, height, dtype=np.uint8)[:, None, None]
    return np.broadcast_to(ramp + tint // 2, (height, width, 3)).copy()


class FakeEngine(ThreadEngine):
    """The real loop and scheduler over ``FakeRunner``; ``hold`` keeps it loading until set.

    Tickets may name ``model`` and each of ``others``, which take ``load_s`` to load and as many
    bytes as ``sizes`` says by their SHA-256s (1 MiB). All are stepped by ``fake``, the runner of
    the first. ``loads`` are the models loaded beside the steps, in their order; before each one
    ``before_load`` is called, and what that raises is how it fails. ``stamp`` is of all their
    files.
    """

    def __init__(
        self,
        *,
        step_s: float = 0.0,
        model: ModelInfo = FAKE_MODEL,
        others: Sequence[ModelInfo] = (),
        load_s: float = 0.0,
        sizes: Mapping[str, int] | None = None,
        max_rows: int = 32,
        max_queue: int = 256,
        max_bytes: int | None = None,
        models_bytes: int | None = None,
        hold: threading.Event | None = None,
        read: Reader = read_nothing,
        prove: bool = False,
    ) -> None:
        self.loads: list[Choice] = []
        self.before_load: Callable[[Choice], object] = lambda _: None
        self.stamp = ""
        self._hold, self._load_s, self._sizes = hold, load_s, dict(sizes or {})
        self._known = {Choice(): model}
        self._known |= {Choice(one.stored_sha256, one.vae_sha256 or ""): one for one in others}
        self.fake = FakeRunner(step_s=step_s, model=model, max_rows=max_rows)
        self.fake.bytes = self._size_of(Choice())
        super().__init__(
            self._load_fake,
            size=self._size_of,
            stamp=lambda _: self.stamp,
            read=read,
            max_queue=max_queue,
            max_bytes=max_bytes,
            models_bytes=models_bytes,
            prove=prove,
        )

    def _load_fake(self, _say: object, choice: Choice) -> FakeRunner:
        if choice == Choice() and not self.loads:
            if self._hold is not None:
                self._hold.wait()
            return self.fake
        self.before_load(choice)
        time.sleep(self._load_s)
        self.loads.append(choice)
        made = FakeRunner(model=self._known[choice], max_rows=self.fake.max_rows)
        made.name, made.bytes = "".join(choice), self._size_of(choice)
        made.step = lambda images: self.fake.step(images)  # type: ignore[method-assign]
        return made

    def _size_of(self, choice: Choice) -> int:
        if choice not in self._known:
            raise unknown(choice, {known.model for known in self._known})
        return self._sizes.get(self._known[choice].sha256, 1 << 20)

    def wait_ready(self, timeout_s: float = 60.0) -> FakeEngine:
        """Block until the engine takes requests; returns itself."""
        deadline = time.monotonic() + timeout_s
        while not self.status().ready:
            if time.monotonic() > deadline:
                raise TimeoutError("the fake engine did not become ready")
            time.sleep(0.001)
        return self
