"""What a request says of controls, and what they cost."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limner.domain import pricing
from limner.domain.controls import Control
from limner.domain.params import Generation

MAP = "a" * 64


def test_what_says_nothing_is_not_serialized() -> None:
    plain = Generation(prompt="a", seed=1)
    assert "controls" not in plain.model_dump(mode="json")
    led = Generation(prompt="a", seed=1, controls=[Control(name="x", map_sha256=MAP)])
    [told] = led.model_dump(mode="json")["controls"]
    assert "preprocessor" not in told
    assert Generation.model_validate(led.model_dump(mode="json")) == led
    assert led.pictures == (MAP,)


@pytest.mark.parametrize("places", [1, 9, 13])
def test_guess_mode_weighs_places_as_diffusers(places: int) -> None:
    control = Control(map_sha256=MAP, mode="guess", weight=0.5)
    ours = [control.strength(place, places) for place in range(places)]
    assert ours == pytest.approx((torch.logspace(-1, 0, places) * 0.5).tolist())


def test_soft_weights_are_those_of_automatic1111() -> None:
    soft = Control(map_sha256=MAP, mode="prompt")
    assert [soft.strength(i, 13) for i in range(13)] == pytest.approx(
        0.825 ** np.arange(12, -1, -1)
    )
    light = Control(map_sha256=MAP, mode="control", kind="t2i-adapter", weight=2)
    assert [light.strength(i, 4) for i in range(4)] == [0.5, 1.24, 1.65, 2.0]
    assert light.conditional
    assert not soft.conditional


@given(
    steps=st.integers(1, 50),
    start=st.floats(0, 1),
    end=st.floats(0, 1),
    mode=st.sampled_from(["balanced", "control"]),
)
def test_a_control_costs_its_share_of_the_rows_that_it_changes(
    steps: int, start: float, end: float, mode: str
) -> None:
    control = Control(map_sha256=MAP, start=start, end=end, mode=mode)  # type: ignore[arg-type]
    g = Generation(prompt="a", seed=1, steps=steps, scheduler="Euler", controls=[control])
    off = [i / steps < start or (i + 1) / steps > end for i in range(steps)]
    rows = (2 if mode == "balanced" else 1) * off.count(False)
    quote = pricing.quote(g, [1.0])
    assert quote.control_rows == -(-rows * 35 // 100)
    assert quote.each_micro == (2 * steps + quote.control_rows) * quote.tiles
