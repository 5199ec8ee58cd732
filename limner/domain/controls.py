"""With which ControlNets and T2I-Adapters a picture is drawn, and what they follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_serializer

from limner.domain.guidance import on

CONTROLS_MAX = 4
WEIGHT_MAX = 2.0

Kind = Literal["controlnet", "t2i-adapter"]
ModeName = Literal["balanced", "prompt", "control", "guess"]
KINDS: tuple[Kind, ...] = ("controlnet", "t2i-adapter")


# Kinds of maps by words in the names that files of their nets have.
WORDS: Mapping[str, tuple[str, ...]] = {
    "canny": ("canny",),
    "depth": ("depth",),
    "openpose": ("pose",),
    "scribble": ("scribble", "sketch"),
    "softedge": ("softedge", "hed", "pidinet"),
}


@dataclass(frozen=True)
class Mode:
    """How much of a control reaches the places of the UNet that it is added to.

    ``share`` of the place ``i`` of ``n``, from the finest on. ``conditional``: rows of the
    negative prompt are left as they are.
    """

    share: Callable[[int, int], float]
    conditional: bool = False


def _all(_place: int, _places: int) -> float:
    return 1.0


def _soft(place: int, places: int) -> float:
    return float(0.825 ** (places - 1 - place))


def _guess(place: int, places: int) -> float:
    return float(10 ** (place / max(1, places - 1) - 1))


# The first three are those of AUTOMATIC1111's extension; the last is diffusers' guess mode.
MODES: Mapping[ModeName, Mode] = {
    "balanced": Mode(_all),
    "prompt": Mode(_soft),
    "control": Mode(_soft, conditional=True),
    "guess": Mode(_guess, conditional=True),
}
# AUTOMATIC1111's softer shares of a T2I-Adapter's four places.
_SOFT_ADAPTER = (0.25, 0.62, 0.825, 1.0)


class Control(BaseModel):
    """A control of a request: its file by SHA-256, and the map that it follows.

    ``name`` is for people; before a request is accepted, ``sha256`` may be empty, and then the
    name finds the file and ``kind`` is what it is. The map is RGB at the size to draw, named by
    the SHA-256 of its bytes; ``preprocessor`` says what made it of a picture. It is on from the
    share ``start`` of the evaluations to ``end`` (``guidance.on``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field("", max_length=500)
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    kind: Kind = "controlnet"
    map_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    weight: float = Field(1.0, ge=0.0, le=WEIGHT_MAX)
    start: float = Field(0.0, ge=0.0, le=1.0)
    end: float = Field(1.0, ge=0.0, le=1.0)
    mode: ModeName = "balanced"
    preprocessor: str | None = Field(None, max_length=100)

    @model_serializer(mode="wrap")
    def _said(self, serialize: Any) -> dict[str, Any]:
        """Without what says nothing."""
        return {name: value for name, value in serialize(self).items() if value is not None}

    @property
    def conditional(self) -> bool:
        """Whether rows of the negative prompt are left as they are."""
        return MODES[self.mode].conditional

    def strength(self, place: int, places: int) -> float:
        """With what is multiplied what it says for one of so many places."""
        if self.kind == "t2i-adapter" and MODES[self.mode].share is _soft:
            return self.weight * _SOFT_ADAPTER[max(0, place + len(_SOFT_ADAPTER) - places)]
        return self.weight * MODES[self.mode].share(place, places)

    def on(self, evaluation: int, evaluations: int) -> bool:
        """Whether it changes ``evaluation`` (from 0) of ``evaluations``."""
        return self.weight > 0 and on(evaluation, evaluations, self.start, self.end)
