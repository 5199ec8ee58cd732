"""The field ``loras`` of the wire."""

from __future__ import annotations

from typing import Any

import pytest

from limner.domain.loras import Lora
from limner.errors import InvalidInput
from limner.web.reading.loras import LORAS

SUM = "ab" * 32


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], ()),
        ({"name": "a"}, (Lora(name="a"),)),
        ('[{"name": "a", "unet": "0.5"}]', (Lora(name="a", unet=0.5),)),
        (
            [{"sha256": SUM.upper(), "text_encoder": 0, "start": 0.25, "end": None}],
            (Lora(sha256=SUM, unet=1, text_encoder=0, start=0.25),),
        ),
    ],
)
def test_loras_are_read(value: Any, expected: tuple[Lora, ...]) -> None:
    assert LORAS.read("loras", value) == expected


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("hero", 'loras is "hero"; it must be a list of objects, as JSON'),
        (["hero"], 'loras.0 is "hero"; it must be as {"name": "..."}'),
        ([{"name": "a"}] * 9, "loras has 9 entries; at most 8 are read"),
        ([{"name": "a"}, {}], "loras.1 must have either name or sha256"),
        ([{"name": "a", "sha256": SUM}], "loras.0 must have either name or sha256"),
        ([{"name": "a", "weight": 1}], "loras.0 has weight; it may have name, sha256, unet"),
        ([{"name": "a", "unet": 11}], "loras.0.unet is 11; it must be a number -10 to 10"),
        ([{"name": "a", "start": 0.8, "end": 0.2}], "loras.0.start is 0.8; it must be below end"),
        ([{"name": "a", "end": 0}], "loras.0.start is 0; it must be below end, which is 0"),
        ([{"name": "a", "end": 1.5}], "loras.0.end is 1.5; it must be a number 0 to 1"),
        ([{"sha256": "x" * 64}], "it must be 64 hexadecimal digits"),
        ([{"sha256": "ab"}], "loras.0.sha256 has 2 characters"),
    ],
)
def test_what_cannot_be_read_is_named(value: Any, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        LORAS.read("loras", value)
    assert sentence in str(caught.value)
    assert caught.value.field.startswith("loras")
