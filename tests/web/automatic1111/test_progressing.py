"""How far a call is, of pictures that are drawn in several passes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from limner.domain.params import Generation, Source
from limner.domain.passes import steps_of
from limner.engine.batching.ticket import Progress
from limner.usecases.drawing.events import Note
from limner.web.automatic1111.progressing import CallProgress, of_notes, told
from tests.engine.factories import make_generation

HIRES = {"width": 768, "height": 768, "upscaler": "Latent", "steps": 10, "strength": 0.5}
TILES = {"width": 800, "height": 512, "tile_width": 512, "tile_height": 512, "overlap": 64}


@pytest.mark.parametrize(
    ("fields", "steps"),
    [
        ({"sampler": "Euler"}, 8),
        ({"sampler": "Euler", "hires": HIRES}, 8 + 6),
        ({"scheduler": "Heun", "hires": HIRES}, 8 + 5),
        ({"details": [{"box": [0, 0, 0.5, 0.5], "strength": 0.5}] * 2}, 8 + 4 + 4),
        ({"source": Source(sha256="a" * 64, strength=0.5), "sd_upscale": TILES}, 4 + 4),
    ],
)
def test_steps_are_those_of_all_passes_and_no_more_are_done(
    fields: dict[str, Any], steps: int
) -> None:
    g = make_generation(steps=8, **fields)
    g = Generation.model_validate(g.model_dump())
    call, most, seen = CallProgress(1, steps_of(g)), 31, []
    for evaluation in range(1, most + 1):
        call.hear(Progress(0, evaluation, evaluation, most, None))
        seen.append(told([call], wanted=False)["state"])
    assert {state["sampling_steps"] for state in seen} == {steps}
    done = [state["sampling_step"] for state in seen]
    assert (done[0], done[-1], done) == (1, steps, sorted(done))


def test_a_call_elsewhere_is_told_alike() -> None:
    g = make_generation(steps=8, sampler="Euler", hires=HIRES)
    job: Any = SimpleNamespace(samples=1, started_at=None, generation=g.model_dump(mode="json"))
    data = {"index": 0, "step": 12, "evaluation": 12, "evaluations": 14}
    state = told([of_notes(job, [Note(1, "progress", data)])], wanted=False)["state"]
    assert (state["sampling_step"], state["sampling_steps"]) == (12, 14)
