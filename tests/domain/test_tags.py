"""Tags of LoRAs leave the prompt and are the request's LoRAs."""

from __future__ import annotations

import pytest

from limner.domain import tags
from limner.domain.loras import Lora
from limner.domain.params import Generation
from limner.domain.pricing import quote
from limner.domain.tags import with_tags
from limner.errors import InvalidInput


def tagged(prompt: str, **fields: object) -> Generation:
    return with_tags(Generation(prompt=prompt, seed=1, **fields))


@pytest.mark.parametrize(
    ("prompt", "rest", "loras"),
    [
        ("a <lora:hero> b", "a  b", [("hero", 1.0, 1.0)]),
        ("<lora:hero:0.8>a", "a", [("hero", 0.8, 0.8)]),
        ("a<lora:my hero:0.5:-1.5>", "a", [("my hero", -1.5, 0.5)]),
        ("<lora:a:te=0.2:unet=0.7><lyco:b:2>", "", [("a", 0.7, 0.2), ("b", 2.0, 2.0)]),
        ("a <hypernet:x:1> <lora:y:much>", "a <hypernet:x:1> <lora:y:much>", []),
    ],
)
def test_strengths_are_in_the_order_of_automatic1111(
    prompt: str, rest: str, loras: list[tuple[str, float, float]]
) -> None:
    found = tagged(prompt)
    assert found.prompt == rest
    assert [(x.name, x.unet, x.text_encoder) for x in found.loras] == loras


def test_tags_come_after_the_fields_loras_and_count_with_them() -> None:
    found = tagged("<lora:b:1>", loras=(Lora(name="a"),))
    assert [lora.name for lora in found.loras] == ["a", "b"]
    with pytest.raises(InvalidInput, match="this request has 9, tags included; at most 8"):
        tagged("<lora:a:1>" * 9)
    with pytest.raises(InvalidInput, match="'a' has the strength 11; it must be -10 to 10"):
        tagged("<lora:a:11>")


@pytest.mark.parametrize("lora", [Lora(name="a b"), Lora(name="a", unet=0.5, text_encoder=1 / 3)])
def test_a_tag_reads_back(lora: Lora) -> None:
    assert tagged(tags.tagged("a", [lora])) == tagged("a", loras=(lora,))


@pytest.mark.parametrize(
    ("loras", "rows"),
    [
        ((), 40),
        ((Lora(name="a"),), 48),
        ((Lora(name="a"), Lora(name="b", unet=-0.1)), 56),
        ((Lora(name="a", unet=0, text_encoder=1),), 40),
        ((Lora(name="a", start=0.5),), 44),
        ((Lora(name="a", start=0.9),), 41),
    ],
)
def test_a_lora_costs_a_fifth_of_each_row_that_it_changes(
    loras: tuple[Lora, ...], rows: int
) -> None:
    generation = Generation(prompt="a", seed=1, steps=20, scheduler="DDIM", loras=loras)
    quoted = quote(generation, [1.0])
    assert quoted.rows == 40
    assert quoted.each_micro == rows * 64
