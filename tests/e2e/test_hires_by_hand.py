"""Hires in pixels: what three calls give that anybody can make by hand, over HTTP."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.e2e import servers
from tests.engine.upscaling import making

SIDE = 256
SAME = {
    "prompt": "a knight with red armor",
    "negative_prompt": "blue",
    "seed": 17,
    "num_inference_steps": 20,
    "img_width": SIDE,
    "img_height": SIDE,
    "output_format": "png",
}
SAMPLERS: list[dict[str, Any]] = [
    {"scheduler": "UniPC"},
    {"scheduler": "DDIM"},
    {"sampler": "DPM++ 2M", "schedule": "Karras"},
    {"sampler": "Euler a"},
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server that draws with the embedded model, whose library has an upscaler, ``net``."""
    folder = tmp_path_factory.mktemp("hires")
    (folder / "models").mkdir()
    making.written(folder / "models" / "net.pth", making.compact())
    server = servers.start(folder / "data", "--models-dir", str(folder / "models"))
    with httpx.Client(base_url=server.url, headers=server.headers, timeout=120) as client:
        yield client
    assert server.stop() == 0


def drawn(api: httpx.Client, **fields: Any) -> np.ndarray[Any, Any]:
    answer = api.post("/api/draw", json={**SAME, **fields})
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


def both(api: httpx.Client, **fields: Any) -> list[np.ndarray[Any, Any]]:
    """The first pass and what became of it."""
    answer = api.post("/api/draw", json={**SAME, **fields, "base64": True})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    files = [base64.b64decode(each) for each in (told["first_passes"][0], told["image"])]
    return [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files]


def text(pixels: np.ndarray[Any, Any]) -> str:
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "PNG")
        return base64.b64encode(file.getvalue()).decode()


def larger(api: httpx.Client, small: np.ndarray[Any, Any], upscaler: str, side: int) -> str:
    """By Pillow, or by the server's own call where a file does it."""
    if upscaler == "Lanczos":
        resized = Image.fromarray(small).resize((side, side), Image.Resampling.LANCZOS)
        return text(np.asarray(resized))
    body = {"image": text(small), "upscaler": upscaler, "width": side, "height": side}
    answer = api.post("/api/upscale", json=body)
    assert answer.status_code == 200, answer.text
    return text(np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")))


@pytest.mark.slow
@pytest.mark.parametrize("upscaler", ["Lanczos", "net"])
@pytest.mark.parametrize("factor", [1.5, 2])
@pytest.mark.parametrize("method", SAMPLERS, ids=lambda method: next(iter(method.values())))
def test_it_is_txt2img_a_larger_picture_and_img2img(
    api: httpx.Client, method: dict[str, Any], factor: float, upscaler: str
) -> None:
    """To the bit, alone and beside strangers of both sizes; what lies between is of 8 bits."""
    side = int(factor * SIDE)
    hires = {"scale": factor, "upscaler": upscaler, "strength": 0.6}
    whole = drawn(api, **method, hires=hires)
    small = drawn(api, **method)
    image = larger(api, small, upscaler, side)
    sizes = {"img_width": side, "img_height": side}
    assert np.array_equal(whole, drawn(api, **method, **sizes, image=image, strength=0.6))
    with ThreadPoolExecutor(2) as pool:
        long = {"seed": 99, "num_inference_steps": 40}
        beside = [pool.submit(drawn, api, **long, **own) for own in ({}, sizes)]
        first, again = both(api, **method, hires={**hires, "first_pass": True})
        assert [each.result().shape[0] for each in beside] == [SIDE, side]
    assert np.array_equal(whole, again)
    assert np.array_equal(small, first)
