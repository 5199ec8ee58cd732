"""What a line costs, and whether there is anything to draw."""

from __future__ import annotations

from limner.domain import pricing
from limner.domain.params import Generation
from limner.domain.passes import passes_of, strengths_of
from limner.domain.pricing import Quote, together
from limner.errors import InvalidInput
from limner.usecases.prompting import explain


def price(generation: Generation) -> tuple[Quote, tuple[str, ...]]:
    """The price, and what the prompts' parser had to change.

    Raises ``InvalidInput`` when no step would run, and for a prompt beyond the engine's limits.
    """
    priced: list[tuple[Generation, Quote]] = []
    told: dict[str, None] = {}
    for field, each in zip(strengths_of(generation), passes_of(generation), strict=True):
        alike = each.model_copy(update={"seed": generation.seed})  # tiles differ in nothing else
        if not priced or alike != priced[-1][0]:
            quoted, notes = _price(each, field)
            told |= dict.fromkeys(notes)
        priced.append((alike, quoted))
    return together([quoted for _, quoted in priced]), tuple(told)


def _price(generation: Generation, field: str) -> tuple[Quote, tuple[str, ...]]:
    """Of one pass, whose strength ``field`` says."""
    positive, negative = explain.check(generation)
    quoted = pricing.quote(generation, positive.weights)
    if quoted.total_micro <= 0:
        strength = generation.source.strength if generation.source else 0
        raise InvalidInput(
            field,
            f"{field} {strength:g} of {generation.steps} steps leaves no step to run; "
            "raise it or the number of steps",
        )
    return quoted, (
        *positive.adjustments,
        *negative.adjustments,
        *explain.strange(generation, (positive, negative)),
    )
