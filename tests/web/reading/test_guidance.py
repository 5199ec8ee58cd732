"""How bodies say over which steps to guide, and how tempered."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from limner.domain.guidance import Thresholding
from limner.domain.params import Generation
from limner.errors import InvalidInput
from limner.settings import Settings
from limner.web.native import form as native
from limner.web.openai import routes as openai
from limner.web.reading import form
from limner.web.segmind import siblings

FORMS = [form.FORM, native.FORM, openai.GENERATION, siblings.FORMS["sd1.5-img2img"]]
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def read(body: dict[str, Any], of: form.Form = form.FORM) -> Generation:
    settings = Settings()
    asked = form.ask({"prompt": "a", "image": PIXEL, **body}, settings, form=of)
    return asyncio.run(form.plan(asked, settings)).generation


@pytest.mark.parametrize("of", FORMS)
def test_every_form_takes_them(of: form.Form) -> None:
    body = {"guidance_start": "0.1", "guidance_end": 0.9, "guidance_rescale": 1}
    drawn = read({**body, "thresholding": {"mimic_scale": "5", "mimic_mode": "Linear Down"}}, of)
    assert (drawn.guidance_start, drawn.guidance_end, drawn.guidance_rescale) == (0.1, 0.9, 1.0)
    assert drawn.thresholding == Thresholding(mimic_scale=5, mimic_mode="linear down")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (7, {"mimic_scale": 7}),
        ("4.5", {"mimic_scale": 4.5}),
        ('{"percentile": 0.9}', {"percentile": 0.9}),
        ({}, {}),
        ({"phi": None, "separate_channels": "no"}, {"separate_channels": False}),
    ],
)
def test_thresholding_has_a_short_form(said: Any, meant: dict[str, Any]) -> None:
    assert read({"thresholding": said}).thresholding == Thresholding(**meant)


def test_null_is_off() -> None:
    absent = dict.fromkeys(("guidance_start", "guidance_rescale", "thresholding"))
    assert read(absent).model_dump().keys() == read({}).model_dump().keys()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"guidance_start": 1.5}, "guidance_start is 1.5; it must be a number 0 to 1"),
        ({"guidance_end": "x"}, 'guidance_end is "x"'),
        (
            {"guidance_start": 0.5, "guidance_end": 0.5},
            "guidance_start is 0.5; it must be below guidance_end, which is 0.5",
        ),
        ({"guidance_rescale": -1}, "guidance_rescale is -1"),
        ({"thresholding": "seven"}, 'thresholding is "seven"; it must be as'),
        ({"thresholding": [7]}, "thresholding is [7]; it must be as"),
        ({"thresholding": "[" * 1000}, "it must be as"),
        ({"thresholding": -1}, "thresholding.mimic_scale is -1; it must be a number 0 to 100"),
        ({"thresholding": {"mimic": 7}}, "thresholding has mimic; it may have mimic_scale"),
        ({"thresholding": {"phi": 2}}, "thresholding.phi is 2; it must be a number 0 to 1"),
        ({"thresholding": {"mimic_mode": "odd"}}, "must be one of constant, linear down"),
        ({"thresholding": True}, "thresholding is true; it must be as"),
    ],
)
def test_what_cannot_be_meant_is_refused(body: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(body)
    assert words in str(caught.value)
    assert caught.value.field.partition(".")[0] in body


def test_a_stored_one_is_read_again() -> None:
    drawn = read({"thresholding": 5, "guidance_end": 0.5})
    stored = json.loads(drawn.model_dump_json())
    again = Generation.model_validate(stored)
    assert (again.thresholding, again.guidance_end) == (drawn.thresholding, 0.5)
