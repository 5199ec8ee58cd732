"""Seeds of a request's images, and the engine's limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from limner.domain.params import SEED_MAX, Generation

SEEDS = st.integers(0, SEED_MAX)


@given(SEEDS, SEEDS, st.sampled_from([0.0, 0.3]), st.integers(0, 15))
def test_the_request_for_one_image_draws_that_image(
    seed: int, subseed: int, strength: float, index: int
) -> None:
    g = Generation(prompt="a", seed=seed, subseed=subseed, subseed_strength=strength, samples=16)
    alone = g.alone(index)
    assert alone.samples == 1
    assert (alone.seed_of(0), alone.subseed_of(0)) == (g.seed_of(index), g.subseed_of(index))


def test_images_count_seeds_and_variations_count_subseeds() -> None:
    plain = Generation(prompt="a", seed=2**64 - 1, samples=2)
    assert [plain.seed_of(i) for i in range(2)] == [2**64 - 1, 0]
    varied = Generation.model_validate(
        {**plain.model_dump(), "subseed": 9, "subseed_strength": 0.1}
    )
    assert [varied.seed_of(i) for i in range(2)] == [2**64 - 1] * 2
    assert [varied.subseed_of(i) for i in range(2)] == [9, 10]


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": 0},
        {"steps": 151},
        {"guidance": float("nan")},
        {"guidance": float("inf")},
        {"width": 513},
        {"seed": -1},
        {"seed": 2**64},
        {"scheduler": "Elder"},
        {"unknown": 1},
        {"prompt": "x" * 10_001},
    ],
)
def test_what_the_engine_cannot_draw_is_no_generation(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Generation.model_validate({"prompt": "a", "seed": 0, **fields})


def test_a_generation_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Generation(prompt="a", seed=1).seed = 2  # type: ignore[misc]
