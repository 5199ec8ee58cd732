"""Models that are made for few steps: ``NAME=FAMILY`` separated by commas, or a table."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from limner.domain.few_steps import FITTING, Family, named

NOT = "none"


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = [part.rpartition("=") for part in value.split(",") if part.strip()]
    return {name.strip(): family.strip() for name, _, family in parts}


def _check(value: dict[str, str]) -> dict[str, str]:
    for name, family in value.items():
        if not name or not (named(family) or family.lower() == NOT):
            known = ", ".join(FITTING)
            raise ValueError(f"{name}={family}: it must be NAME=FAMILY, of {known} or {NOT}")
    return {name: family.lower() for name, family in value.items()}


FewSteps = Annotated[dict[str, str], BeforeValidator(_split), AfterValidator(_check)]


class FewStepsSettings(BaseModel):
    """A part of ``Settings``."""

    few_steps: FewSteps = Field(
        {},
        description="Models that were taught to draw in few steps, as `NAME=FAMILY` separated by "
        "commas (lcm, tcd, hyper, lightning, turbo, or none); in TOML a table.",
    )


def families(few_steps: FewSteps) -> dict[str, Family | None]:
    """The family of each name, None where it is none."""
    return {name: named(family) for name, family in few_steps.items()}
