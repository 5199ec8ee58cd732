"""Hires, tiles, details and the masked part alone with models that predict v or read a mask."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from limner.domain.params import Source
from limner.domain.passes import passes_of
from limner.engine.batching.request import Request
from limner.engine.checkpoints import weights
from limner.engine.checkpoints.prediction import AS_TOLD, Wish
from limner.engine.sampling.runner import Runner
from tests.engine import checkpoint_files
from tests.engine.factories import make_request
from tests.engine.sampling.test_parts import finished

Array = np.ndarray[Any, Any]
SIDE, LARGE = 64, 128
KINDS = {
    "inpainting": (9, AS_TOLD),
    "v": (4, Wish(prediction="v")),
    "v, zero SNR": (4, Wish(prediction="v", zero_snr="yes")),
}
PICTURE = np.random.default_rng(4).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
HIRES = {"width": LARGE, "height": LARGE, "upscaler": "Lanczos", "strength": 0.6}


@pytest.fixture(scope="module", params=KINDS)
def runner(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    channels, wish = KINDS[request.param]
    shallow = checkpoint_files.SHALLOW
    shape = {**shallow, "unet": {**shallow["unet"], "in_channels": channels}}
    path: Path = tmp_path_factory.mktemp("larger") / "tiny"
    folder = checkpoint_files.write_folder(path, checkpoint_files.models(shape))
    return Runner(weights.load(folder, device="cpu", dtype="float32", wish=wish), max_rows=64)


def asked(*pixels: Array, **fields: Any) -> Request:
    size = {"width": SIDE, "height": SIDE, "steps": 5, "scheduler": "DDIM", "seed": 5}
    made = make_request("a knight", negative_prompt="blue", **{**size, **fields})
    made.pixels = {digest(each): each for each in pixels}
    return made


def digest(pixels: Array) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def drawn(runner: Runner, request: Request) -> Array:
    [image] = runner.plan(request)
    return finished(runner, image)


def test_hires_is_the_first_picture_enlarged_and_drawn_again(runner: Runner) -> None:
    whole = asked(hires=HIRES)
    small = drawn(runner, asked())
    large = np.asarray(Pillow.fromarray(small).resize((LARGE, LARGE), Pillow.Resampling.LANCZOS))
    source = Source(sha256=digest(large), strength=0.6)
    again = asked(large, source=source, width=LARGE, height=LARGE)
    made = drawn(runner, whole)
    assert np.array_equal(made, drawn(runner, again))
    assert np.ptp(made) > 50  # of 255: something is there to be compared
    assert len(passes_of(whole.generation)) == 2


@pytest.mark.parametrize("fill", ["original", "fill", "noise", "nothing"])
def test_outside_of_the_mask_every_bit_stays(runner: Runner, fill: str) -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[20:40, 10:50] = 255
    only = {"only_masked": True, "mask_padding": 4, "mask_fill": fill, "strength": 0.8}
    source = Source(sha256=digest(PICTURE), mask_sha256=digest(mask), **only)
    made = drawn(runner, asked(PICTURE, mask, source=source))
    assert np.array_equal(made[mask == 0], PICTURE[mask == 0])
    assert (made[mask > 0] != PICTURE[mask > 0]).any(1).mean() > 0.9


def test_tiles_details_and_edges_that_meet(runner: Runner) -> None:
    tiles = {"width": LARGE, "height": 96, "tile_width": 64, "tile_height": 64, "overlap": 16}
    source = Source(sha256=digest(PICTURE), strength=0.5)
    made = drawn(runner, asked(PICTURE, source=source, sd_upscale=tiles))
    assert made.shape == (96, LARGE, 3)
    plain, box = drawn(runner, asked()), {"box": [0.25, 0.25, 0.5, 0.5], "blur": 0}
    detailed = drawn(runner, asked(details=[box]))
    changed = (detailed != plain).any(2)
    assert changed[16:48, 16:48].mean() > 0.9
    changed[16:48, 16:48] = False
    assert not changed.any()
    assert not np.array_equal(drawn(runner, asked(tiling="xy")), plain)
