"""Templates, and requests with styles expanded to generations."""

from __future__ import annotations

from typing import Any

import pytest

from limner.domain.params import Generation
from limner.domain.styles import Catalogue, StyleMix
from limner.errors import InvalidInput
from limner.usecases.prompting import templates
from limner.usecases.prompting.catalogue import load
from limner.usecases.prompting.styling import expand, preview


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load()


def make(prompt: str, **fields: Any) -> Generation:
    return Generation(prompt=prompt, **{"seed": 100, **fields})


def test_without_style_or_template_nothing_changes(catalogue: Catalogue) -> None:
    generation = make("a  {b|c}, ,", samples=3)
    (variant,) = expand(generation, catalogue)
    assert variant.generation is generation
    assert variant.picks == {}


def test_each_line_restarts_at_the_seed(catalogue: Catalogue) -> None:
    mix = StyleMix(mood="random", sequence=("knight", "mage"))
    variants = expand(make("", samples=2), catalogue, style_mix=mix)
    assert [v.generation.seed for v in variants] == [100, 100]
    assert [v.generation.samples for v in variants] == [2, 2]
    assert variants[0].picks == variants[1].picks
    assert variants[0].generation.prompt.endswith(" knight")


def test_a_template_is_drawn_for_each_picture_from_its_seed(catalogue: Catalogue) -> None:
    generation = make("{red|green|blue|black} cape", samples=8)
    variants = expand(generation, catalogue, template=True)
    pictures = [
        (v.generation.seed_of(i), v.generation.prompt)
        for v in variants
        for i in range(v.generation.samples)
    ]
    assert [seed for seed, _ in pictures] == list(range(100, 108))
    assert len({prompt for _, prompt in pictures}) > 1
    for seed, prompt in pictures:
        (alone,) = expand(make(generation.prompt, seed=seed), catalogue, template=True)
        assert alone.generation.prompt == prompt


def test_pictures_that_read_the_same_stay_one_variant(catalogue: Catalogue) -> None:
    (variant,) = expand(make("a knight", samples=4), catalogue, template=True)
    assert variant.generation == make("a knight", samples=4)


def test_templates_and_styles_together(catalogue: Catalogue) -> None:
    mix = StyleMix(colors="gold", sequence=("{a|a}", "b"))
    variants = expand(make("{x|x}", samples=2), catalogue, style_mix=mix, template=True)
    assert [v.generation.prompt for v in variants] == [
        "x, a, (gold and warm yellow:1.3)",
        "x, b, (gold and warm yellow:1.3)",
    ]
    assert preview(variants)[1] == {
        "prompt": "x, b, (gold and warm yellow:1.3)",
        "negative_prompt": "",
        "seed": 100,
        "samples": 2,
        "picks": {"colors": [{"name": "gold", "weight": 1.3}]},
    }


def test_too_many_pictures_are_refused(catalogue: Catalogue) -> None:
    mix = StyleMix(sequence=("a",) * 20)
    with pytest.raises(InvalidInput, match="20 lines of 4 pictures, 80 together; at most 64"):
        expand(make("x", samples=4), catalogue, style_mix=mix)


@pytest.mark.parametrize(
    "text",
    ["(cat:1.2) [a:b:0.5] [x|y]", "a AND b :0.5 BREAK \\(c\\)", "#ff0000 <lora:x:1>", "", " "],
)
def test_the_prompt_grammar_passes_through_a_template(text: str, catalogue: Catalogue) -> None:
    assert templates.expand("prompt", [text], 1, catalogue) == [text]


def test_wildcards_are_the_catalogue(catalogue: Catalogue) -> None:
    drawn = {templates.expand("prompt", ["__moods__"], n, catalogue)[0] for n in range(60)}
    assert len(drawn) > 10
    assert drawn <= {style.text for style in catalogue["mood"].values()}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{a|b", "has a '{' that is never closed"),
        ("__nothing__", "'__nothing__', which nobody defined; defined are: __concepts__"),
        ("__presets__ " * 60 + "y" * 9000, "characters long once its template"),
    ],
)
def test_bad_templates_get_a_sentence(text: str, words: str, catalogue: Catalogue) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        templates.expand("negative_prompt", [text], 1, catalogue)
    assert caught.value.field == "negative_prompt"
