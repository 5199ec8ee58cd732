"""Every JSON example of the documentation is sent as it stands, and drawn."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest

from limner import imaging
from tests.engine.detecting import making as detectors
from tests.engine.upscaling import making as upscalers
from tests.models import files
from tests.web.served import serve

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NEEDED = ("hires", "upscaling", "tiling", "parts", "img2img", "regions")
BLOCK = re.compile(r"```json\n(\{.*?)```", re.S)
CURL = re.compile(r"curl[^\n]*?(/v1/\S+|/v2/\S+|/api/\S+|/sdapi/\S+).*?-d '(\{.*?\})'", re.S)
ELSEWHERE = re.compile(r"https://example\.org/(\w+)\.\w+")


def bodies(page: str) -> list[tuple[str, str]]:
    """What a page shows of bodies: where they go, and their text. Answers are none.

    Commands with one are run as they stand (``test_commands``) but where they fetch pictures.
    """
    found = []
    for text in BLOCK.findall(page):
        if '"prompt"' in text or '"image"' in text:
            found.append(("/api/draw" if '"prompt"' in text else "/api/upscale", text))
    for block in re.findall(r"```(?:sh|console)\n(.*?)```", page, re.S):
        found += [(path, text) for path, text in CURL.findall(block) if ELSEWHERE.search(text)]
    return found


SHOWN = {path.stem: bodies(path.read_text("utf-8")) for path in PAGES}
EXAMPLES = [(name, *each) for name, those in SHOWN.items() for each in those]


def test_every_page_of_larger_pictures_shows_one() -> None:
    assert [name for name in NEEDED if not SHOWN[name]] == []


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Its library has what the pages name."""
    folder = tmp_path_factory.mktemp("examples")
    models = folder / "models"
    models.mkdir()
    upscalers.written(models / "RealESRGAN_x4plus.pth", upscalers.esrgan())
    detectors.yolo(models / "face_yolov8n.onnx")
    for kind in ("canny", "openpose"):
        files.controlnet(models / f"control_v11p_sd15_{kind}.safetensors")
    files.lora(models / "red-robes.safetensors")
    with serve(folder / "data", models_dirs=(models,)) as server:
        yield server


def picture(found: re.Match[str]) -> str:
    """In place of one that is elsewhere: its mask is white in the middle."""
    pixels = np.full((64, 64, 3), 90 * (found[1] != "mask"), np.uint8)
    pixels[20:40, 20:40] = 255
    return base64.b64encode(imaging.to_png(pixels)).decode()


@pytest.mark.parametrize(("page", "path", "text"), EXAMPLES)
def test_an_example_is_drawn_and_none_of_it_is_ignored(served, page, path, text) -> None:
    body = json.loads(ELSEWHERE.sub(picture, text))
    with served.http(served.new_key()) as http:
        answer = http.post(path, json=body)
    assert answer.status_code in (200, 202), f"{page}: {answer.text}"
    assert "ignored" not in answer.headers.get("x-adjustments", ""), page
    if answer.headers["content-type"].startswith("image/"):
        assert imaging.read_image(answer.content).ndim == 3
