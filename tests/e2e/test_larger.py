"""Larger pictures over HTTP, as a stranger asks for them: all at once, wrongly, and cut short."""

from __future__ import annotations

import base64
import io
import json
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from limner import imaging
from limner.engine.checkpoints import weights
from tests.e2e import servers
from tests.engine.adapters import making as adapters
from tests.engine.controls import making as controls
from tests.engine.detecting import making as detectors
from tests.engine.upscaling import making as upscalers
from tests.waiting import wait_until

pytestmark = pytest.mark.slow
SAME = {
    "prompt": "a knight with red armor", "negative_prompt": "blue", "seed": 17,
    "num_inference_steps": 6, "img_width": 128, "img_height": 128, "output_format": "png",
}  # fmt: skip
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library: upscalers, one of them broken, a detector, a ControlNet and a LoRA."""
    made = tmp_path_factory.mktemp("larger") / "models"
    made.mkdir()
    upscalers.written(made / "net.pth", upscalers.compact())
    broken = upscalers.compact(seed=1)
    first = next(iter(broken))
    broken[first] = broken[first].clone().fill_(float("nan"))
    upscalers.written(made / "broken.pth", broken)
    detectors.yolo(made / "blocks.onnx")
    own = weights.load(None, device="cpu", dtype="float32")
    net = controls.controlnet(own.unet, scale=16)
    controls.written(made / "guide.safetensors", net.state_dict())
    adapters.file(made / "style.safetensors", {"unet": adapters.linears(own.unet)})
    return made


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[httpx.Client]:
    server = servers.start(folder.parent / "data", "--models-dir", str(folder))
    with httpx.Client(base_url=server.url, headers=server.headers, timeout=240) as client:
        yield client
    assert server.stop() == 0


def text(pixels: Array) -> str:
    return base64.b64encode(imaging.to_png(pixels)).decode()


def noise(side: int = 128) -> Array:
    coarse = np.random.default_rng(5).integers(0, 256, (8, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def balance(api: httpx.Client) -> Decimal:
    return Decimal(str(api.get("/v1/get-user-credits").json()["credits"]))


def pixels_of(answer: httpx.Response) -> Array:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


EVERYTHING = {
    "hires": {"scale": 1.5, "upscaler": "net", "strength": 0.6, "first_pass": True},
    "tiling": "x",
    "regions": [{"prompt": "a dragon", "box": [0.5, 0, 0.5, 1]}],
    "controls": [{"name": "guide", "image": text(noise()), "weight": 0.7}],
    "loras": [{"name": "style", "unet": 0.5}],
    "details": [{"box": [0.1, 0.1, 0.3, 0.3]}, {"detector": "blocks", "threshold": 0.02, "max": 2}],
}
LARGE: dict[str, dict[str, Any]] = {
    "everything": EVERYTHING,
    "hires": {"hires": {"upscaler": "Latent", "scale": 2}},
    "tiles": {"image": text(noise()), "strength": 0.5, "sd_upscale": {
        "scale": 2, "upscaler": "net", "tile_width": 128, "tile_height": 128, "overlap": 32}},
    "masked": {"image": text(noise(200)), "strength": 0.6, "only_masked": True, "mask_blur": 2,
               "mask": text(np.repeat(detectors.np.pad(np.full((60, 50), 255, np.uint8),
                                                       ((70, 70), (90, 60)))[..., None], 3, 2))},
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_it_costs_what_was_told_and_is_drawn_again_to_the_bit(api: httpx.Client, name: str) -> None:
    asked = {**SAME, **LARGE[name]}
    quoted = api.post("/api/quote", json=asked).json()
    before = balance(api)
    answer = api.post("/api/draw", json=asked)
    first, cost = pixels_of(answer), Decimal(answer.headers["x-cost"])
    assert before - balance(api) == cost
    told = Decimal(quoted["micro_credits"]) / 10**6
    assert cost <= told if name == "everything" else cost == told
    record = imaging.read_metadata(answer.content).receipt
    again = api.post("/api/replay", json={"receipt": record}).json()
    assert again["identical"] is True, again
    assert np.array_equal(first, pixels_of(api.post("/api/draw", json=asked)))


def test_outside_of_the_mask_every_bit_stays(api: httpx.Client) -> None:
    made, source = pixels_of(api.post("/api/draw", json={**SAME, **LARGE["masked"]})), noise(200)
    changed = (made != source).any(2)
    assert changed[80:120, 100:130].mean() > 0.9
    changed[70 - 8 : 130 + 8, 90 - 8 : 140 + 8] = False  # four times its blur
    assert not changed.any()


HUGE = {"image": text(noise()), "upscaler": "net"}


@pytest.mark.parametrize(
    ("path", "fields", "sentences"),
    [
        ("/api/draw", {"hires": {"scale": 4.5}}, ["hires.scale is 4.5", "1 to 4"]),
        ("/api/draw", {"img_width": 1024, "img_height": 1024, "hires": 4}, ["4096x4096", "2048"]),
        ("/api/draw", {"hires": {"upscaler": "broken"}}, ["broken.pth", "not finite"]),
        ("/api/draw", {"hires": {"upscaler": "guide"}}, ["is no upscaler", "ControlNet"]),
        ("/api/draw", {"hires": {"upscaler": "blocks"}}, ["is no upscaler", "detector"]),
        ("/api/draw", {"details": {"detector": "net"}}, ["is no detector", "upscaler"]),
        ("/api/draw", {"details": {"box": [0.5, 0.5, 0.6, 0.1]}}, ["may be 1 at most"]),
        ("/api/draw", {"regions": [{"prompt": "a", "box": [0, 0.5, 1, 0.6]}]}, ["regions.0"]),
        (
            "/api/draw",
            {**LARGE["masked"], "mask": text(np.zeros((200, 200, 3), np.uint8))},
            ["mask", "repaint"],
        ),
        ("/api/draw", {**LARGE["masked"], "tiling": "x"}, ["tiling is x", "only_masked"]),
        ("/api/draw", {**LARGE["tiles"], "tiling": "x"}, ["tiling is x", "sd_upscale"]),
        (
            "/v1/sd1.5-outpaint",
            {
                "image": text(noise(64)),
                "num_inference_steps": 20,
                "tiling": "x",
                "img_width": 512,
                "img_height": 512,
            },
            ["tiling"],
        ),
        (
            "/api/quote",
            {
                **LARGE["tiles"],
                "sd_upscale": {**LARGE["tiles"]["sd_upscale"], "upscaler": "broken"},
            },
            ["sd_upscale.upscaler", "broken.pth", "not finite"],
        ),
        ("/api/upscale", {**HUGE, "scale": 17}, ["scale is 17", "16"]),
        ("/api/upscale", {**HUGE, "width": 16_000, "height": 16_000}, ["MiB", "192 MiB"]),
        ("/api/upscale", {**HUGE, "upscaler": "broken"}, ["broken.pth", "not finite"]),
        ("/api/upscale", {**HUGE, "upscaler": "style"}, ["is no upscaler", "LoRA"]),
    ],
)
def test_what_is_wrong_is_told_and_costs_nothing(
    api: httpx.Client, path: str, fields: dict[str, Any], sentences: list[str]
) -> None:
    before = balance(api)
    answer = api.post(path, json=fields if path == "/api/upscale" else {**SAME, **fields})
    assert answer.status_code in (400, 413, 422), answer.text
    for part in sentences:
        assert part in answer.json()["error"]
    assert "/tmp" not in answer.text, "folders are nobody's business"
    assert balance(api) == before


LONG = {
    **SAME, "num_inference_steps": 10,
    "hires": {"width": 1024, "height": 1024, "upscaler": "Lanczos", "steps": 150, "strength": 1},
}  # fmt: skip


def until_second_pass(api: httpx.Client, request_id: str) -> None:
    """Read its events until one tells of a step beyond those of the first."""
    with api.stream("GET", f"/api/requests/{request_id}/events") as answer:
        for line in answer.iter_lines():
            if line.startswith("data:") and json.loads(line[5:]).get("step", 0) > 10:
                return
    raise AssertionError("it ended before")


def test_cancelled_in_the_second_pass_it_costs_nothing(api: httpx.Client) -> None:
    before = balance(api)
    answer = api.post("/api/requests", json=LONG)
    assert answer.status_code in (200, 202), answer.text
    [asked] = answer.json()["requests"]
    until_second_pass(api, asked["request_id"])
    assert balance(api) < before, "its price is held"
    assert api.delete(f"/api/requests/{asked['request_id']}").status_code in (200, 204)
    wait_until(lambda: balance(api) == before)
    assert api.get(f"/api/requests/{asked['request_id']}").json()["status"] == "CANCELLED"


def test_killed_in_the_second_pass_it_is_drawn_by_the_next_and_billed_once(folder: Path) -> None:
    data = folder.parent / "killed"
    first = servers.start(data, "--lease-s", "3")
    short = {**LONG, "hires": {**LONG["hires"], "steps": 40, "width": 384, "height": 384}}
    with httpx.Client(base_url=first.url, headers=first.headers, timeout=240) as api:
        before = balance(api)
        quoted = api.post("/api/quote", json=short).json()["micro_credits"]
        expected = pixels_of(api.post("/api/draw", json=short))
        [asked] = api.post("/api/requests", json=short).json()["requests"]
        until_second_pass(api, asked["request_id"])
        first.stop(signal.SIGKILL)
    second = servers.start(data, "--lease-s", "3")
    with httpx.Client(base_url=second.url, headers=first.headers, timeout=240) as api:
        wait_until(
            lambda: api.get(f"/api/requests/{asked['request_id']}").json()["status"] == "COMPLETED"
        )
        assert before - balance(api) == 2 * Decimal(quoted) / 10**6, "once for each"
        told = api.get(f"/api/requests/{asked['request_id']}").json()
        [picture] = told["pictures"]
        drawn = api.get(f"/api/pictures/{picture['id']}.png")
        assert np.array_equal(pixels_of(drawn), expected)
    assert second.stop() == 0
