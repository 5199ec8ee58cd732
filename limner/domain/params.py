"""What to draw: the frozen ``Generation`` and the limits of the engine.

The limits here are the engine's; each surface of ``web/`` narrows them to its own contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from limner.domain import samplers
from limner.domain.controls import CONTROLS_MAX, Control
from limner.domain.embeddings import EMBEDDINGS_MAX, Embedding
from limner.domain.guidance import DEFAULTS as UNSAID_OF_GUIDANCE
from limner.domain.guidance import Thresholding, check_interval, coefficients, on
from limner.domain.hires import Hires
from limner.domain.loras import LORAS_MAX, Lora
from limner.domain.masking import Masking
from limner.domain.methods import Diffusers, Method, Ruled, Vendors
from limner.domain.parts import Details, SdUpscale
from limner.domain.regions import REGIONS_MAX, Region
from limner.domain.sampler_names import SamplerName, ScheduleName
from limner.domain.schedulers import SchedulerName
from limner.domain.tiling import DEFAULTS as UNSAID_OF_TILING
from limner.domain.tiling import Tiled
from limner.errors import InvalidInput

STEPS_MAX = 150
SAMPLES_MAX = 16
SEED_MAX = 2**64 - 1
SIDE_MIN, SIDE_MAX = 64, 2048
SIDE_MULTIPLE = 8
PROMPT_LENGTH_MAX = 10_000
CHUNKS_MAX = 8
BRANCHES_MAX = 8
NOISE_MULTIPLIER_MAX = 1.5

NoiseSource = Literal["philox", "torch-cpu"]
ResizeMode = Literal["crop", "fill", "stretch"]


class Source(Masking):
    """The picture an img2img or inpainting request starts from.

    Pixels are named by the SHA-256 of their RGB (or mask) bytes and travel beside the
    ``Generation``, so that the canonical record stays small and can find them again.
    ``noise_multiplier`` times the noise is what is laid on it, as AUTOMATIC1111 counts.
    """

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    strength: float = Field(0.75, ge=0.0, le=1.0)
    resize_mode: ResizeMode = "crop"
    noise_multiplier: float = Field(1.0, ge=0.0, le=NOISE_MULTIPLIER_MAX)

    def _unsaid(self) -> set[str]:
        own = {"noise_multiplier"} if self.noise_multiplier == 1 else set()
        return super()._unsaid() | own

    @property
    def names(self) -> tuple[str, ...]:
        """SHA-256s of the picture and, of an inpainting, its mask."""
        return (self.sha256,) if self.mask_sha256 is None else (self.sha256, self.mask_sha256)


UNNAMED = "0" * 64
"""In place of the SHA-256 of a picture that is only being made."""


# Fields that say nothing where they are empty.
_SILENT = frozenset(
    {"loras", "controls", "embeddings", "regions", "eta_noise_seed_delta", "hires"}
    | {"sd_upscale", "details", "vae_tile"}
)


class Picked(BaseModel):
    """An entry of the style catalogue that a request took, by choice or by chance."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    weight: float


class Origin(BaseModel):
    """What a request said before styles and templates were filled in; nothing draws from it.

    ``picks`` are the entries of the style mix by their kind.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    negative_prompt: str = ""
    template: bool = False
    picks: dict[str, tuple[Picked, ...]] = Field(default_factory=dict)


class Generation(Tiled):
    """One request for pictures, after defaults, coercion and the choice of a seed.

    Image ``i`` of the request is drawn with ``seed + i`` (modulo 2**64); of a variation
    (``subseed_strength`` above 0) with the same ``seed`` and ``subseed + i``, as AUTOMATIC1111
    does it. ``eta_noise_seed_delta`` is added to the seed of the noise that is drawn on the way.
    ``sampler`` and ``schedule``, with the options of the sampler, stand in place of ``scheduler``;
    a schedule that is not named becomes the one that is meant. ``guidance`` is 1 outside of the
    shares of the evaluations from ``guidance_start`` to ``guidance_end``. ``embeddings`` are those
    that its prompts name; None where nobody has looked for them yet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompt: str = Field(max_length=PROMPT_LENGTH_MAX)
    negative_prompt: str = Field("", max_length=PROMPT_LENGTH_MAX)
    scheduler: SchedulerName = "UniPC"
    sampler: SamplerName | None = None
    schedule: ScheduleName | None = None
    eta: float | None = None
    s_churn: float | None = None
    s_noise: float | None = None
    s_tmin: float | None = None
    s_tmax: float | None = None
    steps: int = Field(20, ge=1, le=STEPS_MAX)
    guidance: float = Field(7.5, ge=0.0, le=100.0)
    guidance_start: float = Field(0.0, ge=0.0, le=1.0)
    guidance_end: float = Field(1.0, ge=0.0, le=1.0)
    guidance_rescale: float = Field(0.0, ge=0.0, le=1.0)
    thresholding: Thresholding | None = None
    samples: int = Field(1, ge=1, le=SAMPLES_MAX)
    seed: int = Field(ge=0, le=SEED_MAX)
    width: int = Field(512, ge=SIDE_MIN, le=SIDE_MAX, multiple_of=SIDE_MULTIPLE)
    height: int = Field(512, ge=SIDE_MIN, le=SIDE_MAX, multiple_of=SIDE_MULTIPLE)
    clip_skip: int = Field(1, ge=1, le=12)
    subseed: int = Field(0, ge=0, le=SEED_MAX)
    subseed_strength: float = Field(0.0, ge=0.0, le=1.0)
    eta_noise_seed_delta: int = Field(0, ge=-SEED_MAX, le=SEED_MAX)
    noise_source: NoiseSource = "philox"
    exact: bool = False
    source: Source | None = None
    origin: Origin | None = None
    loras: tuple[Lora, ...] = Field((), max_length=LORAS_MAX)
    controls: tuple[Control, ...] = Field((), max_length=CONTROLS_MAX)
    embeddings: tuple[Embedding, ...] | None = Field((), max_length=EMBEDDINGS_MAX)
    regions: tuple[Region, ...] = Field((), max_length=REGIONS_MAX)
    hires: Hires | None = None
    sd_upscale: SdUpscale | None = None
    details: Details = ()

    @model_validator(mode="before")
    @classmethod
    def _without_unused_subseed(cls, values: Any) -> Any:
        """Where it draws nothing it is 0, so that equal pictures have equal receipts."""
        if isinstance(values, dict) and values.get("subseed_strength", 0.0) == 0.0:
            return {name: value for name, value in values.items() if name != "subseed"}
        return values

    @model_validator(mode="before")
    @classmethod
    def _with_one_method(cls, values: Any) -> Any:
        return samplers.completed(values) if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _guided_somewhere(self) -> Generation:
        check_interval(self.guidance_start, self.guidance_end)
        return self

    @model_serializer(mode="wrap")
    def _said(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what says nothing, so that equal pictures have equal receipts, old ones too."""
        unsaid = {name for name in samplers.FIELDS if getattr(self, name) is None}
        silences = {**UNSAID_OF_GUIDANCE, **UNSAID_OF_TILING}
        unsaid |= {n for n, silent in silences.items() if getattr(self, n) == silent}
        if self.sampler is not None:
            unsaid.add("scheduler")
        unsaid |= {name for name in _SILENT if not getattr(self, name)}
        return {name: value for name, value in serialize(self).items() if name not in unsaid}

    @property
    def method(self) -> Method:
        """How it is sampled."""
        if self.sampler is None:
            return Vendors(self.scheduler)
        options = {name: getattr(self, name) for name in samplers.OPTIONS}
        given = {name: value for name, value in options.items() if value is not None}
        given = {"eta": samplers.SAMPLERS[self.sampler].eta} | given
        if samplers.SAMPLERS[self.sampler].diffusers:
            return Diffusers(self.sampler, schedule=self.schedule, **given)
        assert self.schedule is not None  # a rule has one, named or automatic
        return Ruled(self.sampler, self.schedule, **given)

    @model_validator(mode="after")
    def _grows(self) -> Generation:
        if self.hires is not None:
            starts, cut = self.source is not None, not any(self.axes)
            self.hires.check(self.width, self.height, starts=starts, cut=cut)
        if self.sd_upscale is None:
            return self
        if self.source is None or self.source.mask_sha256 is not None:
            raise InvalidInput("sd_upscale", "sd_upscale makes an image larger, without a mask")
        if self.hires is not None:
            raise InvalidInput("sd_upscale", "sd_upscale and hires: leave one out")
        return self

    @model_validator(mode="after")
    def _has_edges(self) -> Generation:
        part = "sd_upscale" if self.sd_upscale else None
        part = "only_masked" if self.source is not None and self.source.only_masked else part
        if self.tiling != "none" and part:
            raise InvalidInput(
                "tiling",
                f"tiling is {self.tiling}; with {part} parts of the picture are drawn, whose edges "
                "are none of the picture's",
            )
        return self

    @model_validator(mode="after")
    def _regions_are_of_the_whole(self) -> Generation:
        part = "sd_upscale" if self.sd_upscale else None
        part = "only_masked" if self.source is not None and self.source.only_masked else part
        if self.regions and part:
            raise InvalidInput(
                "regions",
                f"regions are shares of the whole picture; with {part} parts of it are drawn: "
                "leave one out",
            )
        return self

    @property
    def strength(self) -> float | None:
        """How much of the schedule runs from a source; None from pure noise."""
        return None if self.source is None else self.source.strength

    @property
    def pictures(self) -> tuple[str, ...]:
        """SHA-256s of the pixels that it is drawn from: source and mask, and its ``maps``."""
        started = () if self.source is None else self.source.names
        return (*started, *self.maps)

    @property
    def maps(self) -> tuple[str, ...]:
        """SHA-256s of what its controls follow, and of the masks of its regions."""
        return (*(control.map_sha256 for control in self.controls), *self.region_masks)

    @property
    def region_masks(self) -> tuple[str, ...]:
        """SHA-256s of the masks of those regions that are no boxes."""
        return tuple(each.mask_sha256 for each in self.regions if each.mask_sha256 is not None)

    @property
    def steps_run(self) -> int:
        """User's steps that really run; may be 0."""
        return self.method.steps_run(self.steps, self.strength)

    @property
    def evaluations(self) -> int:
        """UNet evaluations of one picture, for each branch of its guidance."""
        return self.method.evaluations(self.steps, self.strength)

    def guidance_over(self, evaluations: int) -> list[float]:
        """Its guidance at each of so many evaluations."""
        between = (self.guidance_start, self.guidance_end)
        inside = (on(k, evaluations, *between) for k in range(evaluations))
        return [self.guidance if guided else 1.0 for guided in inside]

    @property
    def tempered(self) -> bool:
        """Whether what guidance says is changed by more than weights."""
        return self.guidance_rescale > 0 or self.thresholding is not None

    def rows(self, weights: Sequence[float]) -> list[int]:
        """UNet rows of each evaluation of a picture whose ``AND`` has these ``weights``."""
        more: dict[str, Any] = {"tempered": self.tempered, "regions": len(self.regions)}
        scales = (1.0, self.guidance)
        counts = {scale: len(coefficients(weights, scale, **more)) for scale in scales}
        return [counts[scale] for scale in self.guidance_over(self.evaluations)]

    def seed_of(self, index: int) -> int:
        """Seed of image ``index``."""
        return self.seed if self.subseed_strength else (self.seed + index) % (SEED_MAX + 1)

    def subseed_of(self, index: int) -> int:
        """Subseed of image ``index``."""
        return (self.subseed + index) % (SEED_MAX + 1) if self.subseed_strength else self.subseed

    def alone(self, index: int) -> Generation:
        """The request that draws image ``index`` and no other."""
        own: dict[str, Any] = {"samples": 1, "seed": self.seed_of(index)}
        own["subseed"] = self.subseed_of(index)
        if self.hires is not None and self.hires.first_pass:
            own["hires"] = self.hires.model_copy(update={"first_pass": False})
        return self.model_copy(update=own)
