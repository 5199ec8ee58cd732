"""What a line costs, and whether there is anything to draw."""

from __future__ import annotations

from dataclasses import replace

from limner.domain import pricing
from limner.domain.params import Generation
from limner.domain.pricing import Quote
from limner.errors import InvalidInput
from limner.usecases.prompting import explain


def price(generation: Generation) -> tuple[Quote, tuple[str, ...]]:
    """The price, and what the prompts' parser had to change.

    Raises ``InvalidInput`` when no step would run, and for a prompt beyond the engine's limits.
    """
    (quoted, told), *others = map(_price, generation.passes)
    for then, more in others:
        quoted = replace(quoted, then=then)
        told = tuple(dict.fromkeys((*told, *more)))
    return quoted, told


def _price(generation: Generation) -> tuple[Quote, tuple[str, ...]]:
    """Of one pass."""
    positive, negative = explain.check(generation)
    quoted = pricing.quote(generation, positive.weights)
    if quoted.total_micro <= 0:
        strength = generation.source.strength if generation.source else 0
        raise InvalidInput(
            "strength",
            f"strength {strength:g} of {generation.steps} steps leaves no step to run; "
            "raise strength or the number of steps",
        )
    return quoted, (
        *positive.adjustments,
        *negative.adjustments,
        *explain.strange(generation, (positive, negative)),
    )
