"""The field ``controls`` of the wire, and the maps that are made for it."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from limner.errors import InvalidInput
from limner.imaging.preprocessing import pose
from limner.settings import Settings
from limner.web.reading import controls, form
from limner.web.reading.controls import CONTROLS
from limner.web.reading.intake import Intake

NOBODY = [None] * 18
ARM = [None, [0.5, 0.25], [0.25, 0.5], *[None] * 15]


def png(side: int = 64, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def read(body: dict[str, Any], settings: Settings) -> form.Call:
    asked = form.ask({"prompt": "a", **body}, settings)
    return asyncio.run(form.to_call(asked, Intake(settings)))


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    return Settings(data_dir=tmp_path)


def test_what_is_not_said_is_as_pinned() -> None:
    [wanted] = CONTROLS.read("controls", '[{"name": "canny", "image": "AAAA"}]')
    control = wanted.control
    assert (control.weight, control.start, control.end) == (1, 0, 1)
    assert (control.mode, control.preprocessor, control.kind) == ("balanced", None, "controlnet")
    assert (wanted.image, wanted.people, wanted.resize_mode) == ("AAAA", None, "crop")
    [guessed] = CONTROLS.read("controls", {"name": "canny", "guess": True, "image": "AAAA"})
    assert guessed.control.mode == "guess"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("canny", 'controls is "canny"; it must be a list of objects, as JSON'),
        ([{"name": "a"}] * 5, "controls has 5 entries; at most 4 are read"),
        ([{"image": "A"}], "controls.0 must have either name or sha256"),
        ([{"name": "a", "weight": 3}], "controls.0.weight is 3; it must be a number 0 to 2"),
        ([{"name": "a", "start": 1, "end": 0.5}], "controls.0.start is 1; it must be below end"),
        ([{"name": "a", "mode": "strict"}], "must be one of balanced, prompt, control, guess"),
        (
            [{"name": "a", "guess": 1, "mode": "prompt"}],
            "is prompt, but guess is a mode of its own",
        ),
        ([{"name": "a", "preprocessor": 7}], "controls.0.preprocessor is 7; it must"),
        (
            [{"name": "a", "preprocessor": "canny", "options": {"sigma": 1}}],
            "controls.0.options has sigma; of canny it may have low, high",
        ),
        (
            [{"name": "a", "preprocessor": "canny", "options": {"low": 300}}],
            "controls.0.options.low is 300; it must be a number 0 to 255",
        ),
        ([{"name": "a", "options": {"low": 3}}], "of None there are none"),
        ([{"name": "a", "pose": []}], "controls.0.pose is []; it must be a list of 1 to 20"),
        (
            [{"name": "a", "pose": [[[1, 2]]]}],
            "controls.0.pose.0 is [[1, 2]]; it must be 18 points",
        ),
        (
            [{"name": "a", "pose": [[*NOBODY[1:], 3]]}],
            "controls.0.pose.0.17 is 3; it must be [x, y]",
        ),
        (
            [{"name": "a", "pose": {"people": [NOBODY], "canvas_width": 64}}],
            "controls.0.pose.canvas_height is 0; it must be a number 1 to",
        ),
        ([{"name": "a", "pose": [NOBODY], "image": "A"}], "leave out image and preprocessor"),
    ],
)
def test_what_cannot_be_read_is_named(value: Any, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        CONTROLS.read("controls", value)
    assert sentence in str(caught.value)
    assert caught.value.field.startswith("controls")


def test_a_control_without_a_picture_follows_the_requests_own(settings: Settings) -> None:
    with pytest.raises(InvalidInput, match=r"^controls\.0\.image is missing; send a picture"):
        form.ask({"prompt": "a", "controls": [{"name": "x"}]}, settings)
    call = read({"controls": [{"name": "x"}], "image": png(512), "strength": 0.5}, settings)
    [control], source = call.generation.controls, call.generation.source
    assert source is not None
    assert control.map_sha256 == source.sha256
    assert call.generation.pictures == (source.sha256, source.sha256)


def test_maps_are_made_at_the_size_to_draw_and_named_by_their_bytes(settings: Settings) -> None:
    asked = [
        {"name": "x", "image": base64.b64encode(png(512)).decode(), "preprocessor": "invert"},
        {"name": "y", "image": png(100, 1), "weight": 0.5},
        {"name": "z", "pose": [ARM]},
    ]
    call = read({"controls": asked, "img_height": 768}, settings)
    first, second, third = (call.pixels[c.map_sha256] for c in call.generation.controls)
    assert {first.shape, second.shape, third.shape} == {(768, 512, 3)}
    picture = Image.open(io.BytesIO(png(512))).convert("RGB")
    fitted = picture.resize((768, 768), Image.Resampling.LANCZOS).crop((128, 0, 640, 768))
    assert np.array_equal(first, np.asarray(ImageOps.invert(fitted)))
    points = [None if p is None else (p[0] * 512, p[1] * 768) for p in ARM]
    assert np.array_equal(third, pose.draw([points], 512, 768))
    assert [c.preprocessor for c in call.generation.controls] == ["invert", None, "pose"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_openposes_own_json_is_read(wrapped: bool) -> None:
    flat = [number for x, y in [(64.0, 32.0)] * 17 for number in (x, y, 0.9)] + [0.0, 0.0, 0.0]
    person = {"pose_keypoints_2d": flat} if wrapped else [flat[n : n + 3] for n in range(0, 54, 3)]
    value = {"people": [person], "canvas_width": 128, "canvas_height": 64}
    [read] = controls.Pose().read("pose", value)
    assert read == (*[(0.5, 0.5)] * 17, None)


def test_maps_are_answered_only_where_there_is_room(settings: Settings) -> None:
    asked = form.ask({"prompt": "a", "return_control": True}, settings)
    assert asked.values["return_control"] is False
    assert "return_control was ignored: it acts only where base64 is true" in asked.notes
