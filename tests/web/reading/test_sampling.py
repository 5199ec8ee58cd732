"""How bodies say to sample, on the vendor's form and on Limner's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from limner.domain.params import Generation
from limner.errors import InvalidInput
from limner.settings import Settings
from limner.web.native import form as native
from limner.web.openai import routes as openai
from limner.web.reading import form
from limner.web.segmind import siblings

FORMS = [form.FORM, native.FORM, siblings.FORMS["sd1.5-img2img"]]
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def read(body: dict[str, Any], of: form.Form = form.FORM) -> tuple[Generation, tuple[str, ...]]:
    settings = Settings()
    asked = form.ask({"prompt": "a", "image": PIXEL, **body}, settings, form=of)
    call = asyncio.run(form.plan(asked, settings))
    return call.generation, call.notes


@pytest.mark.parametrize("of", FORMS)
def test_every_form_takes_a_sampler(of: form.Form) -> None:
    for body in (
        {"sampler": "dpm++ 2m karras"},
        {"sampler": "DPM++ 2M", "schedule": "KARRAS"},
        {"sampler": "DPM++ 2M", "schedule": "automatic", "eta": None},
    ):
        drawn, notes = read(body, of)
        assert (drawn.sampler, drawn.schedule, notes) == ("DPM++ 2M", "Karras", ())


@pytest.mark.parametrize("of", [form.FORM, siblings.FORMS["sd1.5-img2img"], openai.GENERATION])
def test_few_steps_are_for_samplers_alone(of: form.Form) -> None:
    few = {"num_inference_steps": "4"}
    drawn, _ = read({"sampler": "LCM", **few}, of)
    assert (drawn.sampler, drawn.steps) == ("LCM", 4)
    for named in ({}, {"scheduler": "Euler"}, {"sampler": ""}, {"sampler": None}):
        with pytest.raises(InvalidInput, match='is "4"; it must be a whole number 20 to 100'):
            read({**named, **few}, of)
    with pytest.raises(InvalidInput, match="is 101; it must be a whole number 1 to 100"):
        read({"sampler": "Euler", "steps": 101}, of)


def test_the_operator_may_allow_fewer() -> None:
    asked = form.ask({"prompt": "a", "steps": 4}, Settings(min_steps=4))
    assert asked.values["num_inference_steps"] == 4
    with pytest.raises(InvalidInput, match="steps is 3; it must be a whole number 4 to 100"):
        form.ask({"prompt": "a", "steps": 3}, Settings(min_steps=4))


def test_options_are_numbers_in_their_range() -> None:
    drawn, _ = read({"sampler": "Euler", "s_churn": "2.5", "s_tmin": 0.1, "s_tmax": 5})
    assert (drawn.s_churn, drawn.s_tmin, drawn.s_tmax, drawn.eta) == (2.5, 0.1, 5.0, None)
    with pytest.raises(InvalidInput, match="eta is 2; it must be a number 0 to 1"):
        read({"sampler": "Euler a", "eta": 2})


@pytest.mark.parametrize("of", FORMS)
def test_a_scheduler_is_read_as_ever(of: form.Form) -> None:
    drawn, notes = read({"scheduler": "k-dragon"}, of)
    assert (drawn.sampler, drawn.scheduler) == (None, of.defaults["scheduler"])
    assert notes == (f'scheduler "k-dragon" is unknown; {drawn.scheduler} was used',)
    assert read({"sampler": "", "schedule": ""}, of)[0].scheduler == of.defaults["scheduler"]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"sampler": "Euler", "scheduler": "Euler"}, "sampler", "leave the other out"),
        ({"sampler": "Dragon"}, "sampler", "it must be one of Euler a"),
        ({"schedule": "Karras"}, "schedule", "acts only beside sampler"),
        ({"sampler": "LMS", "eta": 1}, "eta", "LMS has none"),
    ],
)
def test_what_cannot_be_meant_is_refused(body: Any, field: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        read(body)
    assert caught.value.field == field


def test_of_a_source_at_least_one_step_runs() -> None:
    drawn, _ = read({"sampler": "Euler", "strength": 0.01})
    assert drawn.evaluations == 1
    with pytest.raises(InvalidInput, match="leaves none of 20 steps"):
        read({"scheduler": "Euler", "strength": 0.01})
