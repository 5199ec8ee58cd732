"""The LoRAs of a request: defaults, limits, and when each is on."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from limner.domain.loras import LORAS_MAX, Lora
from limner.domain.params import Generation


def test_the_text_encoders_part_is_as_strong_as_the_unets_unless_named() -> None:
    assert Lora(name="a").text_encoder == 1.0
    assert Lora(name="a", unet=0.5).text_encoder == 0.5
    assert Lora(name="a", unet=0.5, text_encoder=-1).text_encoder == -1.0


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, 1.0, [True] * 5),
        (0.4, 1.0, [False, False, True, True, True]),
        (0.0, 0.5, [True, True, False, False, False]),
        (0.3, 0.8, [False, False, True, True, False]),
        (0.5, 0.5, [False] * 5),
    ],
)
def test_start_and_end_count_evaluations_as_diffusers_does(
    start: float, end: float, expected: list[bool]
) -> None:
    lora = Lora(name="a", start=start, end=end)
    assert [lora.on(k, 5) for k in range(5)] == expected


def test_a_generation_without_loras_is_recorded_as_of_old() -> None:
    plain = Generation(prompt="a", seed=1)
    assert "loras" not in plain.model_dump(mode="json")
    assert Generation.model_validate(plain.model_dump(mode="json")) == plain
    full = Generation(prompt="a", seed=1, loras=(Lora(name="a", sha256="0" * 64, unet=0.5),))
    assert full.model_dump(mode="json")["loras"] == [
        {
            "name": "a",
            "sha256": "0" * 64,
            "unet": 0.5,
            "text_encoder": 0.5,
            "start": 0.0,
            "end": 1.0,
        }
    ]
    assert Generation.model_validate(full.model_dump(mode="json")) == full
    with pytest.raises(ValidationError):
        Generation(prompt="a", seed=1, loras=(Lora(name="a"),) * (LORAS_MAX + 1))
