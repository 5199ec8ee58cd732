"""The engine's own limits as readers; the vendor's surface narrows them."""

from __future__ import annotations

from limner.domain.params import (
    PROMPT_LENGTH_MAX,
    SAMPLES_MAX,
    SEED_MAX,
    SIDE_MAX,
    SIDE_MIN,
    SIDE_MULTIPLE,
    STEPS_MAX,
)
from limner.web.reading.fields import Number, Text, Whole

STEPS = Whole(1, STEPS_MAX)
GUIDANCE = Number(0, 100)
SAMPLES = Whole(1, SAMPLES_MAX)
SEED = Whole(-1, SEED_MAX)
SEED_DELTA = Whole(-SEED_MAX, SEED_MAX)
SIDE = Whole(SIDE_MIN, SIDE_MAX, SIDE_MULTIPLE)
# Floored to a latent pixel, and told.
ANY_SIDE = Whole(SIDE_MIN, SIDE_MAX)
MAYBE_PROMPT = Text(0, PROMPT_LENGTH_MAX)
