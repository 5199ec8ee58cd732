"""What finds the boxes of a picture that are drawn once more: an operator's ONNX file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

THRESHOLD, FOUND_MAX = 0.3, 4
CLASS_MAX, CLASSES_MAX = 9_999, 100


class Detector(BaseModel):
    """By its name, and by its file's SHA-256 once that is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(max_length=500)
    sha256: str = Field("", max_length=64)


class Found(BaseModel):
    """How a box came to be: which file found it, as an object of which class, how surely.

    ``class_id`` is counted from 0; ``score`` is 0 to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    detector: str = Field(max_length=500)
    sha256: str = Field(max_length=64)
    class_id: int = Field(ge=0, le=CLASS_MAX)
    score: float = Field(ge=0.0, le=1.0)
