"""The field ``hires`` of the wire."""

from __future__ import annotations

from typing import Any

import pytest

from limner.domain.hires import Hires
from limner.errors import InvalidInput
from limner.web.reading.hires import HIRES, second_pass
from tests.engine.factories import make_generation


def read(value: Any, width: int = 512, height: int = 768) -> Hires:
    return second_pass(HIRES.read("hires", value), width, height)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({}, (1024, 1536)),
        (2, (1024, 1536)),
        ("1.5", (768, 1152)),
        ('{"scale": "1.3"}', (664, 992)),
        ({"width": 1024}, (1024, 1536)),
        ({"height": 1152}, (768, 1152)),
        ({"width": 1024, "height": 1024, "scale": None}, (1024, 1024)),
    ],
)
def test_the_size(value: Any, size: tuple[int, int]) -> None:
    made = read(value)
    assert (made.width, made.height) == size


@pytest.mark.parametrize(
    ("value", "first", "sentence"),
    [
        ({"width": 64}, (512, 64), "hires would be 64x8; a side has at least 64 pixels"),
        ({"height": 64}, (64, 1024), "hires would be 0x64; a side has at least 64 pixels"),
        ({"width": 2048}, (64, 128), "hires would be 2048x4096; a side has at most 2048 pixels"),
    ],
)
def test_a_side_that_is_worked_out_has_bounds_too(
    value: Any, first: tuple[int, int], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        read(value, *first)


def test_what_would_be_cut_away_has_a_bound() -> None:
    """A narrow picture made to cover a wide one is many times as large before it is cut."""
    large = {"width": 2048, "height": 2048}
    with pytest.raises(
        InvalidInput, match=r"hires is 2048x2048, cut out of 2048x65536, .* 67,108,864 pixels"
    ):
        make_generation(width=64, height=2048, hires=large)
    make_generation(width=128, height=2048, hires=large)
    make_generation(width=64, height=2048, hires=large, tiling="x")  # which is stretched


def test_what_is_said_is_kept_and_the_rest_is_the_first_passs() -> None:
    made = read({"upscaler": "lanczos", "sampler": "dpm++ 2m karras", "steps": "12", "prompt": ""})
    assert made == Hires(
        width=1024, height=1536, upscaler="Lanczos", steps=12, sampler="DPM++ 2M", schedule="Karras"
    )
    assert (made.strength, made.guidance, made.prompt) == (0.7, None, None)


def test_a_first_pass_is_said_only_where_it_is_asked_for() -> None:
    assert read({"first_pass": "yes"}).model_dump()["first_pass"] is True
    assert "first_pass" not in read({"first_pass": False}).model_dump()


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("large", 'hires is "large"; it must be as {"scale": 2}'),
        ([2], 'hires is [2]; it must be as {"scale": 2}'),
        ({"factor": 2}, "hires has factor; it may have scale, width, height, upscaler"),
        ({"scale": 5}, "hires.scale is 5; it must be a number 1 to 4"),
        ({"scale": 3}, "hires would be 1536x2304; a side has at most 2048 pixels"),
        ({"scale": 2, "width": 1024}, "hires has both scale and a size: leave one out"),
        ({"width": 1001}, "hires.width is 1001; it must be a multiple of 8 from 64 to 2048"),
        ({"schedule": "Karras"}, "hires: schedule acts only beside sampler"),
        ({"first_pass": 2}, "hires.first_pass is 2; it must be true or false"),
    ],
)
def test_what_cannot_be_read_is_named(value: Any, sentence: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(value)
    assert sentence in str(refused.value)
    assert refused.value.field.startswith("hires")
