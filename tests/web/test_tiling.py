"""Pictures whose edges meet, on the surfaces: kept on the receipt, and drawn again."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import numpy as np
import pytest

from limner import imaging
from limner.domain.infotext import meaning, reading
from limner.domain.params import Generation
from limner.domain.tiling import Axes
from limner.errors import InvalidInput
from limner.imaging import seams
from limner.settings import Settings
from limner.web.native import form as native
from limner.web.openai import routes as openai
from limner.web.reading import form
from limner.web.segmind import siblings
from tests.web.served import serve

FORMS = [form.FORM, native.FORM, openai.GENERATION, openai.EDIT, siblings.FORMS["sd1.5-img2img"]]
PICTURE = base64.b64encode(imaging.to_png(np.full((64, 64, 3), 70, np.uint8))).decode()


def read(body: dict[str, Any], of: form.Form = form.FORM) -> Generation:
    settings = Settings()
    asked = form.ask({"prompt": "a", "image": PICTURE, **body}, settings, form=of)
    return asyncio.run(form.plan(asked, settings)).generation


@pytest.mark.parametrize("of", FORMS)
def test_every_form_takes_it(of: form.Form) -> None:
    drawn = read({"tiling": "X", "tiling_start": "0.1", "tiling_end": 0.9}, of)
    assert (drawn.tiling, drawn.tiling_start, drawn.tiling_end) == ("x", 0.1, 0.9)
    assert (read({"tiling": True}, of).tiling, read({"tiling": "no"}, of).tiling) == ("xy", "none")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"tiling": "z"}, 'tiling is "z"; it must be one of none, x, y, xy'),
        ({"tiling": "y", "tiling_end": 0}, "tiling_start is 0; it must be below tiling_end"),
        ({"tiling_start": 2}, "tiling_start is 2; it must be a number 0 to 1"),
    ],
)
def test_what_cannot_be_is_said(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        read(fields)


def test_outpainting_and_parts_of_pictures_have_other_edges() -> None:
    with pytest.raises(InvalidInput, match="tiling is x; outpainting draws beyond the edges"):
        read({"tiling": "x"}, siblings.FORMS["sd1.5-outpaint"])
    with pytest.raises(InvalidInput, match="tiling is xy; with sd_upscale parts"):
        read({"tiling": "xy", "sd_upscale": 2})


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("tiling")) as server:
        yield server


def test_the_receipt_says_how_well_edges_meet_and_draws_it_again(served):
    asked = {"prompt": "moss", "tiling": "y", "tiling_end": 0.8, "output_format": "png"}
    with served.http() as http:
        first = http.post("/v1/sd1.5-rpg", json=asked)
        written = imaging.read_metadata(first.content)
        again = http.post("/api/replay", json={"receipt": written.receipt})
        plain = http.post("/v1/sd1.5-rpg", json={**asked, "tiling": "none"})
    assert written.receipt["parameters"]["tiling"] == "y"
    pixels = imaging.read_image(first.content)
    assert written.receipt["drawing"]["seam"] == seams.scores(pixels, Axes(y=True))
    assert again.json()["identical"], again.text
    unsaid = imaging.read_metadata(plain.content).receipt
    assert "seam" not in unsaid["drawing"]
    assert not [name for name in unsaid["parameters"] if "tiling" in name]
    body = meaning.mean(reading.read(written.parameters)).body
    assert (body["tiling"], body["tiling_end"]) == ("y", "0.8")
    assert "tiling_start" not in body


def test_automatic1111s_clients_ask_for_both(served):
    with served.http() as http:
        for said, meant in ((True, "xy"), ("x", "x"), (False, None), (None, None)):
            body = {"prompt": "moss", "steps": 1, "tiling": said}
            answer = http.post("/sdapi/v1/txt2img", json=body)
            assert answer.status_code == 200, answer.text
            png = base64.b64decode(answer.json()["images"][0])
            receipt = imaging.read_metadata(png).receipt
            assert receipt["parameters"].get("tiling") == meant
            text = imaging.read_metadata(png).parameters
            assert ("Tiling: True" in text) == (meant is not None)
