"""Prompts of their own for parts of a picture, on the surfaces: priced, kept, drawn again."""

from __future__ import annotations

import asyncio
import base64
import copy
from typing import Any

import numpy as np
import pytest

from limner import imaging
from limner.domain.params import Generation
from limner.errors import InvalidInput
from limner.settings import Settings
from limner.web.native import form as native
from limner.web.openai import routes as openai
from limner.web.reading import form
from limner.web.segmind import siblings
from tests.web.served import serve

FORMS = [form.FORM, native.FORM, openai.GENERATION, openai.EDIT, siblings.FORMS["sd1.5-img2img"]]
PICTURE = base64.b64encode(imaging.to_png(np.full((64, 64, 3), 70, np.uint8))).decode()
KNIGHT = {"prompt": "a knight", "box": [0, 0, 0.5, 1]}


def read(body: dict[str, Any], of: form.Form = form.FORM) -> Generation:
    settings = Settings()
    asked = form.ask({"prompt": "a", "image": PICTURE, **body}, settings, form=of)
    return asyncio.run(form.plan(asked, settings)).generation


@pytest.mark.parametrize("of", FORMS)
def test_every_form_takes_them(of: form.Form) -> None:
    said = read({"regions": [KNIGHT, {**KNIGHT, "weight": 2}]}, of).regions
    assert [(each.prompt, each.box, each.weight) for each in said] == [
        ("a knight", (0, 0, 0.5, 1), 1),
        ("a knight", (0, 0, 0.5, 1), 2),
    ]
    written = '{"prompt": "a knight", "box": [0, 0, 0.5, 1]}'
    assert read({"regions": written}, of).regions == said[:1]


@pytest.mark.parametrize(
    ("regions", "sentence"),
    [
        ([{"box": [0, 0, 1, 1]}], r"regions.0.prompt is missing; it says what is drawn there"),
        ([{"prompt": "a"}], r"regions.0.box is missing; a region is either a box or a mask"),
        ([{**KNIGHT, "mask": PICTURE}], r"regions.0.box is given beside mask; a region is either"),
        ([{"prompt": "a", "mask": 5}], r"regions.0.mask is 5; it must be a picture as base64"),
        (
            [{**KNIGHT, "box": [0.6, 0, 0.5, 1]}],
            r"regions.0.box is \[0.6, 0, 0.5, 1\]; it must lie",
        ),
        (
            [{**KNIGHT, "box": [0, 0, 0, 1]}],
            r"regions.0.box is \[0, 0, 0, 1\]; it must be at least",
        ),
        ([{**KNIGHT, "box": [0, 0, 1]}], r"regions.0.box is \[0, 0, 1\]; it must be \[left, top"),
        ([{**KNIGHT, "box": [0, -1, 1, 1]}], r"regions.0.box.1 is -1; it must be a number 0 to 1"),
        ([{**KNIGHT, "weight": 0}], r"regions.0.weight is 0; it must be above 0"),
        ([{**KNIGHT, "weight": 11}], r"regions.0.weight is 11; it must be a number 0 to 10"),
        (
            [KNIGHT, {**KNIGHT, "prompt": "a AND b"}],
            r"regions.1.prompt composes 2 prompts with AND",
        ),
        ([KNIGHT] * 9, r"regions has 9 entries; at most 8 are read"),
        ([{**KNIGHT, "size": 1}], r"regions.0 has size; it may have prompt, box, mask, weight"),
        ([{**KNIGHT, "prompt": "a <lora:x:1>"}], r"regions.0.prompt has a tag of a LoRA"),
        ("[", r'regions is "\["; it must be a list of objects'),
    ],
)
def test_what_cannot_be_is_said(regions: Any, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{sentence}"):
        read({"regions": regions})


def test_parts_of_pictures_have_no_regions() -> None:
    with pytest.raises(InvalidInput, match="regions are shares of the whole picture; with sd_up"):
        read({"regions": [KNIGHT], "sd_upscale": 2})


def test_rows_are_counted() -> None:
    some = read({"regions": [KNIGHT] * 3, "num_inference_steps": 20, "strength": 1})
    assert set(some.rows([1.0])) == {5}
    assert set(some.rows([0.5, 0.5])) == {6}
    assert set(some.model_copy(update={"guidance": 1.0}).rows([1.0])) == {4}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serve(tmp_path_factory.mktemp("regions")) as server:
        yield server


def test_they_are_priced_kept_and_drawn_again(served: Any) -> None:
    asked = {"prompt": "a meadow", "regions": [KNIGHT], "output_format": "png", "seed": 3}
    with served.http() as http:
        plain = http.post("/api/quote", json={"prompt": "a meadow"}).json()["credits"]
        priced = http.post("/api/quote", json=asked).json()["credits"]
        first = http.post("/v1/sd1.5-rpg", json=asked)
        receipt = imaging.read_metadata(first.content).receipt
        again = http.post("/api/replay", json={"receipt": receipt})
        body = {"prompt": "a meadow", "steps": 1, "regions": [KNIGHT]}
        theirs = http.post("/sdapi/v1/txt2img", json=body)
        refused = http.post("/v1/sd1.5-rpg", json={**asked, "regions": [{"prompt": "x"}]})
    assert float(priced) == pytest.approx(1.5 * float(plain))
    assert receipt["parameters"]["regions"] == [{**KNIGHT, "weight": 1.0}]
    assert again.json()["identical"], again.text
    png = base64.b64decode(theirs.json()["images"][0])
    assert len(imaging.read_metadata(png).receipt["parameters"]["regions"]) == 1
    assert (refused.status_code, refused.json()["error"][:22]) == (400, "regions.0.box is missi")


def test_masks_are_read_kept_and_drawn_again(served: Any) -> None:
    left = np.zeros((64, 64), np.uint8)
    left[:, :32] = 255
    masks = [base64.b64encode(imaging.to_png(each)).decode() for each in (left, 0 * left)]
    regions = [{"prompt": "a knight", "mask": masks[0], "weight": 2}, KNIGHT]
    asked = {"prompt": "a meadow", "regions": regions, "output_format": "png", "seed": 3}
    with served.http() as http:
        quoted = http.post("/api/quote", json=asked).json()["credits"]
        first = http.post("/v1/sd1.5-rpg", json=asked)
        receipt = imaging.read_metadata(first.content).receipt
        again = http.post("/api/replay", json={"receipt": receipt})
        body = {"prompt": "a meadow", "steps": 1, "width": 512, "height": 512, "regions": regions}
        theirs = http.post("/sdapi/v1/txt2img", json=body)
        nothing = [{"prompt": "a knight", "mask": masks[1]}]
        refused = http.post("/v1/sd1.5-rpg", json={**asked, "regions": nothing})
        lost = copy.deepcopy(receipt)
        lost["parameters"]["regions"][0]["mask_sha256"] = "1" * 64
        gone = http.post("/api/replay", json={"receipt": lost})
    masked, boxed = receipt["parameters"]["regions"]
    assert masked == {"prompt": "a knight", "weight": 2, "mask_sha256": masked["mask_sha256"]}
    assert boxed == {**KNIGHT, "weight": 1}
    assert float(first.headers["x-cost"]) == float(quoted)
    assert again.json()["identical"], again.text
    png = base64.b64decode(theirs.json()["images"][0])
    said = imaging.read_metadata(png).receipt["parameters"]["regions"]
    assert said[0] == masked
    assert (refused.status_code, gone.status_code) == (400, 410)
    assert refused.json()["error"].startswith("regions.0.mask repaints nothing")
