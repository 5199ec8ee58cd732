"""Which LoRAs a picture is drawn with, how strongly and for how long."""

from __future__ import annotations

from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from limner.domain.guidance import on

LORAS_MAX = 8
STRENGTH_MAX = 10.0


class Lora(BaseModel):
    """An adapter of a request: its file by SHA-256, and the strengths of its two parts.

    ``name`` is for people; before a request is accepted, ``sha256`` may be empty, and then the
    name finds the file. ``short_hash`` is what AUTOMATIC1111 writes of it, once it is found. The
    UNet's part is on from the share ``start`` of the evaluations to ``end`` (``guidance.on``). The
    text encoder's part, ``unet`` where it is not named, knows no time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field("", max_length=500)
    short_hash: str = Field("", pattern=r"^([0-9a-f]{12})?$")
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    unet: float = Field(1.0, ge=-STRENGTH_MAX, le=STRENGTH_MAX)
    text_encoder: float = Field(1.0, ge=-STRENGTH_MAX, le=STRENGTH_MAX)
    start: float = Field(0.0, ge=0.0, le=1.0)
    end: float = Field(1.0, ge=0.0, le=1.0)

    @model_validator(mode="before")
    @classmethod
    def _text_encoder_as_unet(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("text_encoder") is None and "unet" in values:
            return {**values, "text_encoder": values["unet"]}
        return values

    @model_serializer(mode="wrap")
    def _said(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a hash that nobody knows, as receipts were of old."""
        said = serialize(self)
        return said if self.short_hash else {n: v for n, v in said.items() if n != "short_hash"}

    def on(self, evaluation: int, evaluations: int) -> bool:
        """Whether its UNet's part changes ``evaluation`` (from 0) of ``evaluations``."""
        return on(evaluation, evaluations, self.start, self.end)
