"""Pictures drawn part by part, against the same done by hand with one request after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from limner.domain.params import Generation
from limner.domain.parts import Detail, SdUpscale
from limner.domain.passes import passes_of
from limner.domain.upscalers import Upscaler
from limner.engine.batching.image import Image
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Progress
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.runner import Runner
from limner.errors import InvalidInput
from tests.engine.sampling.test_footprint import arrays_in
from tests.engine.sampling.test_judged import alone, draw, request
from tests.engine.upscaling import making

Array = np.ndarray[Any, Any]
SIZE = {"width": 128, "height": 96, "steps": 4}
UPSCALE = SdUpscale(width=256, height=192, tile_width=128, tile_height=128, overlap=32)


@pytest.fixture(scope="module")
def picture() -> Array:
    coarse = np.random.default_rng(4).integers(0, 256, (8, 10, 3), np.uint8)
    return np.asarray(Pillow.fromarray(coarse).resize((128, 96), Pillow.Resampling.BICUBIC))


def upscaled(picture: Array, **fields: Any) -> Request:
    asked = {"source": {"strength": 0.5}, "seed": 20, **SIZE, "sd_upscale": UPSCALE, **fields}
    return request("a mage", picture, **asked)


def by_hand(engine: ThreadEngine, picture: Array, seed: int) -> Array:
    """Enlarge, cut, draw every tile, and paste rows of them with Pillow."""
    large = Pillow.fromarray(picture).resize((256, 192), Pillow.Resampling.LANCZOS)
    canvas, seeds = large.copy(), iter(range(seed, seed + 6))
    weights = np.full((128, 128), 255, np.uint8)
    weights[:, :32] = np.arange(32) * 255 // 32
    fade = Pillow.fromarray(weights)
    for y in (0, 64):
        row = Pillow.new("RGB", (256, 128))
        for x in (0, 64, 128):
            tile = np.asarray(large.crop((x, y, x + 128, y + 128)))
            fields = {"source": {"strength": 0.5}, "seed": next(seeds), "steps": 4}
            [drawn] = draw(engine, request("a mage", tile, width=128, height=128, **fields))
            row.paste(Pillow.fromarray(drawn), (x, 0), fade if x else None)
        whole = fade.transpose(Pillow.Transpose.TRANSPOSE).resize((256, 128))
        canvas.paste(row, (0, y), whole if y else None)
    return np.asarray(canvas)


def test_tiles_are_drawn_and_laid_as_by_hand(engine: ThreadEngine, picture: Array) -> None:
    asked = upscaled(picture, samples=2)
    stranger = request("a red castle", width=128, height=128, steps=20)
    made, _ = draw(engine, asked, stranger)
    assert made.shape == (192, 256, 3)
    expected = by_hand(engine, picture, 20).astype(int)
    assert np.abs(made - expected).max() <= 2  # Pillow rounds a blend otherwise
    whole = (slice(0, 64), slice(0, 64))  # of the first tile alone
    assert np.array_equal(made[whole], expected[whole])
    [one_by_one] = draw(engine, slow := upscaled(picture, exact=True))
    assert np.array_equal(one_by_one, made)
    assert told(asked) == [1, 2]  # six tiles side by side
    assert told(slow) == [n for tile in range(6) for n in (2 * tile + 1, 2 * tile + 2)]


def test_a_file_makes_the_picture_larger(
    squire: Checkpoint, picture: Array, tmp_path: Path
) -> None:
    """As if the larger picture had been sent, to be drawn over at its size."""
    path = tmp_path / "net.pth"
    named = Upscaler(name="net", sha256=making.written(path, making.compact()))
    runner = Runner(squire, max_rows=8, find=lambda _: path)
    told = {"upscaler": "net", "upscaler_sha256": named.sha256}
    asked = upscaled(picture, sd_upscale=UPSCALE.model_copy(update=told))
    large = runner.upscalers.upscale(named, picture, 256, 192)
    size = {"width": 256, "height": 192}
    (ours,), (theirs,) = (runner.plan(each) for each in (asked, upscaled(large, **size)))
    assert ours.bytes > theirs.bytes
    assert (ours.enlarges, theirs.enlarges) == (True, False)
    assert np.array_equal(finished(runner, ours), finished(runner, theirs))


def test_a_file_that_is_not_there_is_told_by_its_field(squire: Checkpoint, picture: Array) -> None:
    runner = Runner(squire, max_rows=8)
    asked = upscaled(picture, sd_upscale=UPSCALE.model_copy(update={"upscaler": "net"}))
    with pytest.raises(InvalidInput, match=r"^sd_upscale\.upscaler: this engine knows no file"):
        runner.plan(asked)


def finished(runner: Runner, image: Image) -> Array:
    """The picture of an image, pass after pass."""
    while True:
        runner.prepare(image)
        while not image.phase_over:
            runner.step([image])
        if (made := runner.advance(image)) is not None:
            return made


def told(asked: Request) -> list[int]:
    """The evaluations of its first picture, as they were told."""
    events = asked.sink.events  # type: ignore[attr-defined]
    mine = [event for event in events if isinstance(event, Progress) and event.index == 0]
    assert [event.step for event in mine] == sorted(event.step for event in mine)
    return [event.evaluation for event in mine]


DETAILS = (
    Detail(box=(0.5, 0.25, 0.25, 0.25), prompt="a dragon", strength=0.75, width=128, height=128),
    Detail(box=(0.0, 0.0, 0.3, 0.5), steps=6, guidance=1.0, blur=0, padding=4),
)


def redrawn(engine: ThreadEngine, picture: Array, g: Generation, detail: Detail) -> Array:
    """A box of ``picture`` inpainted alone, by a request of its own."""
    height, width = picture.shape[:2]
    left, top, right, bottom = detail.pixels(width, height)
    mask = Pillow.new("L", (width, height))
    mask.paste(255, (left, top, right, bottom))
    source = {"strength": detail.strength, "mask_blur": detail.blur, "only_masked": True}
    fields = {"steps": detail.steps or g.steps, "guidance": g.guidance, "seed": g.seed}
    if detail.guidance is not None:
        fields["guidance"] = detail.guidance
    size = {"width": detail.width or g.width, "height": detail.height or g.height}
    source["mask_padding"] = detail.padding
    prompt = detail.prompt or g.prompt
    again = request(prompt, picture, np.asarray(mask), source=source, **fields, **size)
    return draw(engine, again)[0]


@pytest.mark.parametrize("started", [False, True])
def test_details_are_boxes_inpainted_one_after_the_other(
    engine: ThreadEngine, picture: Array, started: bool
) -> None:
    pixels = (picture,) if started else ()
    source = {"source": {"strength": 0.75}} if started else {}
    asked = request("a mage", *pixels, **source, **SIZE, details=DETAILS)
    made = draw(engine, asked, request("a castle", width=128, height=128, steps=9))[0]
    expected = draw(engine, request("a mage", *pixels, **source, **SIZE))[0]
    for detail in DETAILS:
        expected = redrawn(engine, expected, asked.generation, detail)
    assert np.array_equal(made, expected)
    assert np.array_equal(alone(engine, asked), made)


def test_nothing_holds_more_than_was_planned(squire: Checkpoint, picture: Array) -> None:
    runner = Runner(squire, max_rows=8)
    runner.native_area = 64  # 8 rows of it: four tiles of two rows each fill a step
    for asked, passes, rows in (
        (upscaled(picture), 6, 8),
        (request("a", **SIZE, details=DETAILS), 3, 2),
    ):
        (image,) = runner.plan(asked)
        assert len(passes_of(asked.generation)) == passes
        assert image.rows == rows
        pixels = None
        while pixels is None:
            runner.prepare(image)
            while not image.phase_over:
                runner.step([image])
            held = sum(dict(arrays_in([image.state])).values())
            assert held <= image.bytes
            pixels = runner.advance(image)
        assert image.finished


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"width": 64}, "would be 64x192, smaller than a tile of 128x128"),
        ({"width": 8192, "height": 8192}, "would be 8192x8192; it may have 16,777,216 pixels"),
        ({"overlap": 65}, "has an overlap of 65; it may be half of a tile of 128x128"),
        ({"width": 2048, "height": 2048}, "takes 441 tiles of 128x128; at most 144 are drawn"),
    ],
)
def test_what_cannot_be_tiled_is_said(fields: dict[str, int], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=f"sd_upscale {sentence}"):
        SdUpscale(**{**UPSCALE.model_dump(), **fields})
    with pytest.raises(InvalidInput, match="sd_upscale makes an image larger, without a mask"):
        Generation(prompt="x", seed=1, sd_upscale=UPSCALE)


@pytest.mark.parametrize(
    ("box", "sentence"), [((0.5, 0, 0.6, 1), "may be 1 at most"), ((0, 0, 0, 1), "holds nothing")]
)
def test_a_box_lies_inside_and_holds_something(box: Any, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        Detail(box=box)
