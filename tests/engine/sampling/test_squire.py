"""The embedded model draws what the prompt asks: a colour, a place, a class, a weight.

Colours and places are measured on the sprites directly, with painter pictures as the measure of a
place; what a figure is, a small judge says that has learned from painter pictures. Seeds are fixed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from limner.domain.schedulers import SCHEDULER_NAMES
from limner.engine.batching.loop import ThreadEngine
from tests.engine.sampling.test_judged import draw, request
from training import judge, scene
from training.painter.picture import paint

Array = np.ndarray[Any, Any]
BLOCK = 16
"""Screen pixels a side of one sprite pixel."""
PLACES = ("desert", "forest", "snow", "lava", "sea", "cave")
AXES = {"red": (1, -0.5, -0.5), "green": (-0.5, 1, -0.5), "blue": (-0.5, -0.5, 1)}


def sprites(engine: ThreadEngine, prompts: list[str], **fields: Any) -> Array:
    """Sprites uint8 (n, 32, 32, 3), seeds counted up with the prompts unless given."""
    seeds = fields.pop("seeds", range(len(prompts)))
    fields = {"scheduler": "DDIM", "steps": 10, "guidance": 6.0, **fields}
    requests = [
        request(prompt, seed=seed, width=512, height=512, **fields)
        for prompt, seed in zip(prompts, seeds, strict=True)
    ]
    return np.stack([picture[::BLOCK, ::BLOCK] for picture in draw(engine, *requests)])


def tint(pictures: Array, colour: str) -> Array:
    """How much of a colour the figure in the middle has, per picture, in levels."""
    middle = pictures[:, 16:30, 11:21].astype(float).mean((1, 2))
    return middle @ np.array(AXES[colour])


def ground(pictures: Array) -> Array:
    """Mean colours of the left and right edges, above and below: (n, 12)."""
    edges = np.concatenate([pictures[:, :, :4], pictures[:, :, -4:]], 2).astype(float)
    bands = [edges[:, k * 8 : k * 8 + 8].mean((1, 2)) for k in range(4)]
    return np.concatenate(bands, 1)


@pytest.fixture(scope="module")
def places() -> dict[str, Array]:
    """What the painter's landscapes look like at their edges by day, per place."""
    found = {}
    for place in PLACES:
        views = [scene.Scene("landscape", place=place, variant=k) for k in range(8)]
        painted = [paint(view, np.random.default_rng(k)) for k, view in enumerate(views)]
        found[place] = ground(np.stack(painted))
    return found


@pytest.mark.slow
def test_colour_words_colour_the_figure(engine: ThreadEngine) -> None:
    colours = [*AXES] * 2
    drawn = sprites(engine, [f"knight in {name} armor, castle hall" for name in colours])
    measured = np.stack([tint(drawn, name) for name in AXES], 1)
    assert [list(AXES)[k] for k in measured.argmax(1)] == colours


@pytest.mark.slow
def test_places_are_those_of_the_prompt(engine: ThreadEngine, places: dict) -> None:
    drawn = ground(sprites(engine, [f"a mage, {place} background" for place in PLACES]))
    seen = [min(PLACES, key=lambda name: np.abs(places[name] - one).mean(1).min()) for one in drawn]
    assert sum(map(str.__eq__, seen, PLACES)) >= len(PLACES) - 1, seen


@pytest.mark.slow
def test_weights_and_negatives_move_the_colour(engine: ThreadEngine) -> None:
    prompt, seeds = "rogue with ({}) clothes, snow", range(3)
    weak, plain, strong = (
        tint(sprites(engine, [prompt.format(f"red:{w}")] * 3, seeds=seeds), "red")
        for w in (0.5, 1.0, 1.5)
    )
    without = sprites(engine, [prompt.format("red:1")] * 3, seeds=seeds, negative_prompt="red")
    assert (strong > weak).all()
    assert (tint(without, "red") < plain).all()


@pytest.mark.slow
def test_guidance_makes_the_prompt_count(engine: ThreadEngine) -> None:
    prompts = ["red slime, meadow"] * 3
    loose, tight = (tint(sprites(engine, prompts, guidance=g), "red") for g in (1.0, 6.0))
    assert tight.mean() > loose.mean()


@pytest.fixture(scope="module")
def small_judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[judge.Judge]:
    """Half a minute's learning; right about nine classes in ten."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMNER_TRAINING_DIR", str(tmp_path_factory.mktemp("judge")))
        yield judge.train(pictures=5000, epochs=5)


def share(seen: list[dict[str, str]], slot: str, wanted: list[str]) -> float:
    return float(np.mean([one[slot] == value for one, value in zip(seen, wanted, strict=True)]))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_class_words_draw_the_class(engine: ThreadEngine, small_judge) -> None:
    wanted = [*scene.ROLES, *scene.CREATURES, *scene.OBJECTS] * 2
    drawn = sprites(engine, [f"a {name}, meadow background" for name in wanted])
    assert share(judge.verdicts(small_judge, drawn), "subject", wanted) >= 0.7


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scheduler", SCHEDULER_NAMES)
def test_every_scheduler_draws_well_in_20_steps(
    engine: ThreadEngine,
    small_judge: judge.Judge,
    scheduler: str,
) -> None:
    wanted = ["desert", "forest", "snow", "lava"]
    prompts = [f"knight with red armor, {place} background" for place in wanted]
    drawn = sprites(engine, prompts, scheduler=scheduler)
    seen = judge.verdicts(small_judge, drawn)
    assert share(seen, "kind", ["character"] * 4) == 1
    assert share(seen, "place", wanted) >= 0.75
    assert (tint(drawn, "red") > 15).sum() >= 3
