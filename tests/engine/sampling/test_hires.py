"""Hires against the same done by hand: a picture, made larger, and drawn again from that."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from limner.domain.params import Generation, Source
from limner.domain.passes import passes_of
from limner.domain.tiling import APART, Axes
from limner.domain.upscalers import Upscaler
from limner.engine.batching.image import Image
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Drawn, Progress
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import starts
from limner.engine.sampling.runner import Runner
from limner.errors import Aborted, InvalidInput
from tests.engine.factories import Collector, make_generation, submit
from tests.engine.sampling.test_footprint import arrays_in
from tests.engine.upscaling import making

Array = np.ndarray[Any, Any]
SMALL, LARGE = 256, 512
SECOND = {"strength": 0.6, "steps": 6, "sampler": "DPM++ 2M", "schedule": "Karras"}
CASES = [
    pytest.param(sampler, factor, upscaler, marks=() if quick else pytest.mark.slow)
    for sampler, factor, upscaler, quick in (
        ("UniPC", 2, "Lanczos", True),
        ("Euler a", 1.5, "Nearest", False),
        ("DDIM", 1.5, "Lanczos", False),
        ("LMS", 2, "Nearest", False),
    )
]


def hires(factor: float = 2, **fields: Any) -> dict[str, Any]:
    side = int(SMALL * factor)
    return {"width": side, "height": side, "upscaler": "Lanczos", **SECOND, **fields}


def asked(**fields: Any) -> Generation:
    same = {"negative_prompt": "blue", "steps": 8, "width": SMALL, "height": SMALL, "seed": 11}
    return make_generation("a knight", **{**same, **fields})


def begun(engine: ThreadEngine, g: Generation, pixels: Mapping[str, Array] | None = None) -> Any:
    sink = Collector(g.samples)
    owner = f"owner {g.seed}"
    submit(engine, Request(f"hires-{id(sink)}", g, owner, sink, pixels or {}))
    return sink


def drawn(sink: Any) -> list[Array]:
    ends = sink.wait(120.0)
    assert all(isinstance(end, Drawn) for end in ends), ends
    return [end.pixels for end in ends]


def by_hand(engine: ThreadEngine, g: Generation, upscaler: str) -> Array:
    """What a person does who has the first picture made larger and drawn again."""
    assert g.hires is not None
    (small,) = drawn(begun(engine, g.model_copy(update={"hires": None})))
    size = (g.hires.width, g.hires.height)
    large = np.asarray(Pillow.fromarray(small).resize(size, Pillow.Resampling[upscaler.upper()]))
    name = hashlib.sha256(large.tobytes()).hexdigest()
    again = Generation(
        prompt=g.prompt,
        negative_prompt=g.negative_prompt,
        seed=g.seed,
        width=size[0],
        height=size[1],
        source=Source(sha256=name, strength=0.6),
        sampler="DPM++ 2M",
        schedule="Karras",
        steps=6,
    )
    (finished,) = drawn(begun(engine, again, {name: large}))
    return finished


@pytest.mark.parametrize(("scheduler", "factor", "upscaler"), CASES)
def test_it_is_the_first_picture_enlarged_and_drawn_again(
    engine: ThreadEngine, scheduler: str, factor: float, upscaler: str
) -> None:
    g = asked(scheduler=scheduler, hires=hires(factor, upscaler=upscaler))
    stranger = begun(engine, asked(seed=99, steps=20))
    (alone,) = drawn(begun(engine, g))
    assert drawn(stranger)[0].shape == (SMALL, SMALL, 3)
    assert alone.shape == (int(SMALL * factor), int(SMALL * factor), 3)
    assert np.array_equal(alone, by_hand(engine, g, upscaler))


@pytest.fixture(scope="module")
def upscaled(tmp_path_factory: pytest.TempPathFactory, squire: Checkpoint) -> Any:
    """A runner that knows one upscaler, twice as large, and that upscaler."""
    path = tmp_path_factory.mktemp("upscalers") / "net.pth"
    named = Upscaler(name="net", sha256=making.written(path, making.compact()))
    return Runner(squire, max_rows=8, find=lambda _: path), named


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.5, 2])
def test_a_file_makes_the_first_picture_larger(upscaled: Any, factor: float) -> None:
    runner, named = upscaled
    side = int(SMALL * factor)
    more = hires(factor, upscaler="net", upscaler_sha256=named.sha256, steps=3)
    g = asked(steps=4, hires=more)
    (image,) = runner.plan(Request("a", g, "me", print))
    _, ours = finish(runner, image)
    (first,) = runner.plan(Request("b", g.model_copy(update={"hires": None}), "me", print))
    small = alone(runner, first)
    large = runner.upscalers.upscale(named, small, side, side)
    name = hashlib.sha256(large.tobytes()).hexdigest()
    source = Source(sha256=name, strength=0.6)
    second = passes_of(g)[1].model_copy(update={"source": source})
    (again,) = runner.plan(Request("c", second, "me", print, {name: large}))
    assert np.array_equal(ours, alone(runner, again))
    assert image.bytes > again.bytes


def test_a_file_is_at_work_apart_and_ends_when_nobody_wants_the_picture(upscaled: Any) -> None:
    runner, named = upscaled
    more = hires(2, upscaler="net", upscaler_sha256=named.sha256, steps=3)
    first, gone = runner.plan(Request("a", asked(steps=4, hires=more, samples=2), "me", print))
    for image in (first, gone):
        assert not image.enlarges
        runner.prepare(image)
        while not image.phase_over:
            runner.step([image])
        assert runner.advance(image) is None
        assert image.enlarges
    course, seen = gone.state, []

    def begin(checkpoint: Checkpoint, proceed: Any) -> Any:
        gone.state = None  # as the engine takes it away while the network is at work
        return course.begin(checkpoint, proceed)

    gone.state = SimpleNamespace(begin=begin)
    with pytest.raises(Aborted):
        runner.enlarge(gone)
    assert gone.state is None
    runner.enlarge(first)
    seen.append(first.state.begun.request.pixels)
    runner.prepare(first)
    assert first.state.course.begun.request.pixels is seen[0]  # it is not made twice


@pytest.mark.parametrize("tiling", ["x", "y", "xy"])
def test_a_file_reads_round_the_edges_that_meet(upscaled: Any, tiling: str) -> None:
    """What lies at an edge becomes what it becomes in the middle of the picture laid out."""
    runner, named = upscaled
    picture = np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8)
    axes = Axes("x" in tiling, "y" in tiling)
    start = starts.Larger(file=named, upscalers=runner.upscalers)
    before: Any = SimpleNamespace(picture=picture, proceed=print)
    made = start._larger(before, 128, 128, axes)
    by = (32 * axes[1], 32 * axes[0])
    turned: Any = SimpleNamespace(picture=np.roll(picture, by, (0, 1)), proceed=print)
    moved = start._larger(turned, 128, 128, axes)
    assert np.abs(np.roll(made, (2 * by[0], 2 * by[1]), (0, 1)) - moved.astype(int)).max() <= 1
    apart = start._larger(before, 128, 128, APART)
    assert not np.array_equal(made, apart)


def alone(runner: Runner, image: Image) -> Array:
    """The picture of an image of one pass."""
    runner.prepare(image)
    while not image.phase_over:
        runner.step([image])
    made = runner.advance(image)
    assert made is not None
    return made


@pytest.mark.parametrize("upscaler", ["Lanczos", "Latent"])
def test_the_first_pass_is_told_as_if_it_were_drawn_alone(
    squire: Checkpoint, upscaler: str
) -> None:
    runner = Runner(squire, max_rows=8)
    half = {"guidance_start": 0.0, "guidance_end": 0.5}
    more = hires(1.5, upscaler=upscaler, first_pass=True, steps=3, guidance=1.0)
    (image,) = runner.plan(Request("a", asked(steps=4, hires=more, **half), "me", print))
    finish(runner, image)
    first = runner.facts(image).first_pass
    assert first is not None
    (small,) = runner.plan(Request("b", asked(steps=4, **half), "me", print))
    assert np.array_equal(first.pixels, alone(runner, small))
    facts = runner.facts(small)
    assert (first.evaluations, first.rows) == (facts.evaluations, facts.rows)
    assert facts.first_pass is None


@pytest.mark.slow
def test_each_sample_has_its_own_seed_and_progress_counts_the_whole(engine: ThreadEngine) -> None:
    sink = begun(engine, asked(samples=2, hires=hires()))
    first, second = drawn(sink)
    assert np.array_equal(second, drawn(begun(engine, asked(seed=12, hires=hires())))[0])
    assert not np.array_equal(first, second)
    told = [event for event in sink.events if isinstance(event, Progress) and event.index == 0]
    assert [event.evaluation for event in told] == list(range(1, 8 + 4 + 1))
    assert {event.evaluations for event in told} == {12}
    steps = [event.step for event in told]
    assert steps == sorted(steps)
    assert steps[7:9] == [8, 9]


def finish(runner: Runner, image: Image) -> tuple[torch.Tensor, Array]:
    """Run an image through its passes; the latent that the first one left, and the picture."""
    left = None
    while True:
        runner.prepare(image)
        while not image.phase_over:
            runner.step([image])
        latent = image.state.at(image.k)
        pixels = runner.advance(image)
        if pixels is not None:
            assert left is not None
            return left, pixels
        left = latent


@pytest.mark.slow
@pytest.mark.parametrize("upscaler", ["Lanczos", "Latent"])
def test_neither_pass_holds_more_than_was_planned(squire: Checkpoint, upscaler: str) -> None:
    runner = Runner(squire, max_rows=8)
    (image,) = runner.plan(Request("a", asked(hires=hires(upscaler=upscaler)), "me", print))
    finish(runner, image)
    held = sum(dict(arrays_in([image.state])).values())
    assert held <= image.bytes <= 4 * held


def test_what_cannot_be_is_said(squire: Checkpoint) -> None:
    runner = Runner(squire, max_rows=8)
    g = asked(hires=hires(upscaler="Waifu"))
    with pytest.raises(InvalidInput, match=r"hires\.upscaler: this engine knows no file"):
        runner.plan(Request("a", g, "me", print))
    with pytest.raises(InvalidInput, match="no smaller than the first pass, which is 256x256"):
        asked(hires={"width": 128, "height": 512})
    with pytest.raises(InvalidInput, match="one that starts from a picture is drawn once"):
        asked(hires=hires(), source=Source(sha256="0" * 64))
