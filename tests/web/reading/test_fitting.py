"""Defaults that fit a model of few steps, where a body does not say."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from limner.domain.few_steps import FITTING, said
from limner.domain.params import Generation
from limner.engine.batching.fake import FAKE_MODEL
from limner.engine.checkpoints.inspection import read_header
from limner.models import sidecars, taught
from limner.models.listing import Library
from limner.settings import Settings
from limner.settings.few_steps import families
from limner.usecases.drawing.choosing import Chosen, Models
from limner.web.native import form as native
from limner.web.reading import form
from tests.engine import checkpoint_files

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


def file_with(path: Path, metadata: dict[str, str]) -> Path:
    """A checkpoint's file as far as its header goes."""
    save_file({"model.diffusion_model.x": np.zeros(1, np.float32)}, path, metadata)
    return path


@pytest.mark.parametrize(
    ("metadata", "family"),
    [
        ({"few_steps": "LCM"}, "lcm"),
        ({"few steps": "turbo"}, "turbo"),
        ({"modelspec.tags": "photo, Hyper"}, "hyper"),
        ({"modelspec.architecture": "stable-diffusion-v1/tcd"}, "tcd"),
        ({"modelspec.title": "Lightning Strikes"}, None),
        ({"few_steps": "4"}, None),
        ({}, None),
    ],
)
def test_a_file_says_so_itself(tmp_path: Path, metadata: Any, family: Any) -> None:
    path = file_with(tmp_path / "fast.safetensors", metadata)
    assert taught.of_path(path) == family
    assert taught.of_header(read_header(path)) == family


def test_what_lies_beside_a_file_goes_before_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "fast.json").write_text('{"few steps": "tcd"}')
    assert taught.of_path(file_with(tmp_path / "fast.safetensors", {"few_steps": "lcm"})) == "tcd"


@pytest.mark.parametrize(
    ("config", "family"),
    [
        ('{"_class_name": "LCMScheduler"}', "lcm"),
        ('{"_class_name": "TCDScheduler"}', "tcd"),
        ('{"_class_name": "PNDMScheduler"}', None),
        ("[]", None),
        ("{", None),
    ],
)
def test_a_folder_says_so_by_its_scheduler(tmp_path: Path, config: str, family: Any) -> None:
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(config)
    assert taught.of_path(tmp_path) == family
    assert taught.of_folder(tmp_path / "scheduler") is None


def test_the_library_knows_what_a_file_says(tmp_path: Path) -> None:
    file = checkpoint_files.write_single_file(
        tmp_path / "fast.safetensors", checkpoint_files.models()
    )
    tensors = load_file(file)
    save_file(tensors, file, {"few_steps": "hyper"})
    assert Library(None, [tmp_path]).find("fast", ("sd1",)).facts.few_steps == "hyper"


def test_the_operators_word_goes_before_the_files() -> None:
    """By any name and in any case; "none" takes back what a file says."""
    for word, family in (({"Fake": "tcd"}, "tcd"), ({"fake": "none"}, None), ({"x": "tcd"}, None)):
        models = Models(lambda: FAKE_MODEL, few_steps=families(Settings(few_steps=word).few_steps))
        for choice in (models.own(), models.choose()):
            assert choice is not None
            assert choice.few_steps == family


def test_the_setting_is_a_list_of_pairs() -> None:
    assert Settings(few_steps="a=LCM, b=c=none").few_steps == {"a": "lcm", "b=c": "none"}
    for wrong in ("a=fast", "lcm", "=lcm"):
        with pytest.raises(ValueError, match="must be NAME=FAMILY, of lcm, tcd, hyper"):
            Settings(few_steps=wrong)


def test_a_family_is_a_word_by_itself() -> None:
    assert said("hyperrealism 1.5") is None
    assert said(None) is None
