"""Defaults that fit a model of few steps, where a body does not say."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from limner.domain.few_steps import FITTING, said
from limner.domain.params import Generation
from limner.engine.batching.fake import FAKE_MODEL
from limner.models import sidecars
from limner.settings import Settings
from limner.usecases.drawing.choosing import Chosen, Models
from limner.web.native import form as native
from limner.web.reading import form

LCM = Chosen(FAKE_MODEL, frozenset(), few_steps="lcm")


def read(body: dict[str, Any], choice: Chosen | None, of: form.Form = form.FORM) -> Any:
    settings = Settings()
    asked = form.fitted(form.ask({"prompt": "a", **body}, settings, form=of), choice, settings)
    call = asyncio.run(form.plan(asked, settings))
    return call.generation, call.notes


@pytest.mark.parametrize("of", [form.FORM, native.FORM])
def test_who_says_nothing_gets_what_fits_and_is_told(of: form.Form) -> None:
    drawn, notes = read({}, LCM, of)
    assert (drawn.sampler, drawn.steps, drawn.guidance) == ("LCM", 6, 1)
    assert drawn.rows([1.0]) == [1] * 6
    assert notes == ("fake is made for few steps (lcm): drawn by LCM, in 6 steps, at guidance 1",)


@pytest.mark.parametrize(
    ("body", "expected", "told"),
    [
        ({"steps": 25, "guidance_scale": 7}, ("LCM", 25, 7), ": drawn by LCM"),
        ({"sampler": "Euler"}, ("Euler", 6, 1), ": drawn in 6 steps, at guidance 1"),
        ({"scheduler": "Euler"}, (None, 20, 1), ": drawn in 20 steps, at guidance 1"),
        ({"sampler": "LCM", "steps": 4, "guidance_scale": 1.5}, ("LCM", 4, 1.5), None),
    ],
)
def test_what_is_said_stays(body: Any, expected: Any, told: str | None) -> None:
    drawn, notes = read(body, LCM)
    assert (drawn.sampler, drawn.steps, drawn.guidance) == expected
    assert [note.partition("(lcm)")[2] for note in notes] == ([told] if told else [])


def test_other_models_are_drawn_as_ever() -> None:
    plain, notes = read({}, None)
    assert (plain.scheduler, plain.steps, plain.guidance, notes) == ("UniPC", 20, 7.5, ())
    assert read({}, replace(LCM, few_steps=None))[0].steps == 20


@pytest.mark.parametrize("family", FITTING)
def test_every_family_can_be_drawn(family: Any) -> None:
    drawn, _ = read({}, replace(LCM, few_steps=family))
    assert Generation.model_validate(drawn.model_dump()).method == drawn.method
    assert 1 <= drawn.evaluations <= 8


@pytest.mark.parametrize(
    ("name", "row", "family"),
    [
        ("fast.json", {"few steps": "TCD"}, "tcd"),
        ("fast.civitai.info", {"baseModel": "SD 1.5 LCM"}, "lcm"),
        ("fast.civitai.info", {"baseModel": "SD 1.5 Hyper"}, "hyper"),
        ("fast.civitai.info", {"baseModel": "SD 1.5"}, None),
        ("fast.json", {"few steps": 4}, None),
    ],
)
def test_the_files_beside_a_model_say_so(tmp_path: Path, name: str, row: Any, family: Any) -> None:
    (tmp_path / name).write_text(json.dumps(row))
    model = tmp_path / "fast.safetensors"
    model.touch()
    assert sidecars.read(model, [name]).few_steps == family
    own = Models(lambda: replace(FAKE_MODEL, path=str(model))).own()
    assert own is not None
    assert own.few_steps == family


def test_a_family_is_a_word_by_itself() -> None:
    assert said("hyperrealism 1.5") is None
    assert said(None) is None
