"""Sixty requests of six keys over three checkpoints in one server with room for two."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench import three_models

BODY = {"prompt": "a knight", "width": 128, "height": 128, "steps": 4}


@pytest.mark.slow
@pytest.mark.timeout(1200)  # four servers and 120 pictures, where a machine may be busy
def test_every_picture_is_as_of_a_server_that_has_its_checkpoint_alone(tmp_path: Path) -> None:
    models = three_models.write_models(tmp_path / "models")
    asked = three_models.requests(list(models), order=14)
    first, room = three_models.several(models)
    with three_models.serving(tmp_path / "several", first, **room) as (server, keys):
        sending = three_models.send(server, keys, asked, BODY, at_once=False)
        run = asyncio.run(sending)
    assert 2 <= run.loads <= 20
    size = run.budget / 2.5
    assert size < run.most <= run.budget, "two were there, and never three"
    alone = three_models.drawn_alone(tmp_path / "alone", models, asked, BODY)
    assert len(alone) == len(asked)
    apart = {seed: three_models.apart(run.pictures[seed], alone[seed]) for seed in alone}
    assert max(apart.values()) <= 1, "another batch rounds otherwise"
    assert len(set(run.pictures.values())) == len(asked), "no picture was somebody else's"


def test_six_keys_ask_ten_times_each_in_an_order_that_can_be_drawn_again() -> None:
    asked = three_models.requests(["a", "b", "c"], order=3)
    assert asked == three_models.requests(["a", "b", "c"], order=3)
    assert asked != three_models.requests(["a", "b", "c"], order=4)
    assert {len(line) for line in three_models.by_key(asked)} == {10}
    assert sorted(one.seed for one in asked) == list(range(60))
    assert {one.model for one in asked} == {"a", "b", "c"}


def test_the_ratio_is_of_all_that_keys_waited() -> None:
    run = three_models.Run(waits={0: [1.0, 3.0], 1: [2.0, 0.0], 2: [1.5, 1.5]})
    assert run.ratio == 2.0
