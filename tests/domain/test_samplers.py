"""Samplers and schedules by name, and what a request that names them means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.domain.methods import Ruled, Vendors
from limner.domain.params import Generation, Source
from limner.domain.pricing import quote
from limner.domain.sampler_names import SCHEDULE_NAMES
from limner.domain.samplers import OPTIONS, RULED_NAMES, SAMPLERS, choose
from limner.errors import InvalidInput

JOINED = [
    ("DPM++ 2M Karras", None, ("DPM++ 2M", "Karras")),
    ("dpm++ 2m sde heun exponential", None, ("DPM++ 2M SDE Heun", "Exponential")),
    ("DPM2 a Karras", "", ("DPM2 a", "Karras")),
    ("k_dpmpp_2m_sde", None, ("DPM++ 2M SDE", "Exponential")),
    ("k_euler_ancestral", "automatic", ("Euler a", "Uniform")),
    ("Euler a SGM Uniform", None, ("Euler a", "SGM Uniform")),
    ("Euler Polyexponential", "Automatic", ("Euler", "Polyexponential")),
    ("Euler Karras", "sgm_uniform", ("Euler", "SGM Uniform")),
    ("Heun", "align_your_steps", ("Heun", "Align Your Steps")),
    ("LMS", "ddim uniform", ("LMS", "DDIM")),
    ("DDIM", None, ("DDIM", "DDIM")),
    ("DDIM", "Karras", ("DDIM", "Karras")),
    ("DPM++ 3M SDE", None, ("DPM++ 3M SDE", "Exponential")),
]


def generation(**fields: Any) -> Generation:
    return Generation(prompt="a", seed=1, **fields)


@pytest.mark.parametrize(("sampler", "schedule", "meant"), JOINED)
def test_names_are_read_joined_or_apart(sampler: str, schedule: Any, meant: Any) -> None:
    assert choose(sampler, schedule) == meant


@given(
    sampler=st.sampled_from(RULED_NAMES),
    schedule=st.sampled_from(SCHEDULE_NAMES),
    change=st.sampled_from([str, str.upper, str.lower]),
)
def test_every_pair_has_a_joined_name(sampler: Any, schedule: Any, change: Any) -> None:
    assert choose(change(f"{sampler} {schedule}")) == (sampler, schedule)
    assert choose(change(sampler), change(schedule)) == (sampler, schedule)


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"sampler": "Elder"}, "sampler", "must be one of Euler a, Euler, LMS"),
        ({"sampler": "Euler", "schedule": "odd"}, "schedule", "must be one of Automatic, Uniform"),
        ({"schedule": "Karras"}, "schedule", "only beside sampler"),
        ({"eta": 0.5}, "eta", "only beside sampler"),
        ({"sampler": "Euler", "scheduler": "DDIM"}, "sampler", "leave the other out"),
        ({"sampler": "DPM++ 2M", "s_churn": 1}, "s_churn", "those that do are Euler, Heun, DPM2"),
        ({"sampler": "Euler a", "eta": 1.5}, "eta", "must be from 0 to 1"),
    ],
)
def test_what_is_not_meant_is_refused(fields: Any, field: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        generation(**fields)
    assert caught.value.field == field


def test_a_request_says_what_it_means_and_no_more() -> None:
    named = generation(sampler="dpm++ 2m karras")
    assert (named.sampler, named.schedule) == ("DPM++ 2M", "Karras")
    said = named.model_dump(mode="json")
    assert "scheduler" not in said
    assert not {*OPTIONS} & {*said}
    assert Generation.model_validate(said) == named
    old = generation(scheduler="DDIM")
    assert not {"sampler", "schedule", *OPTIONS} & {*old.model_dump(mode="json")}
    assert old.method == Vendors("DDIM")


def test_options_are_the_samplers_own_where_none_are_given() -> None:
    assert generation(sampler="DDIM").method == Ruled("DDIM", "DDIM", eta=0.0)
    assert generation(sampler="Euler a", eta=0.3).method == Ruled("Euler a", "Uniform", eta=0.3)
    churned = generation(sampler="Euler", s_churn=4, s_tmax=10).method
    assert churned == Ruled("Euler", "Uniform", s_churn=4.0, s_tmax=10.0)


@pytest.mark.parametrize("sampler", RULED_NAMES)
def test_two_evaluations_a_step_cost_two(sampler: Any) -> None:
    order = SAMPLERS[sampler].order
    rows = quote(generation(sampler=sampler, schedule="Karras", steps=20), [1.0]).rows
    assert rows == 2 * (20 * order - (order - 1))


@pytest.mark.parametrize(
    ("strength", "ran"), [(0.0, 1), (0.3, 7), (0.29, 6), (0.75, 16), (0.999, 20), (1.0, 20)]
)
def test_a_source_runs_one_step_more(strength: float, ran: int) -> None:
    source = Source(sha256="0" * 64, strength=strength)
    drawn = generation(sampler="Euler", steps=20, source=source)
    assert (drawn.steps_run, drawn.evaluations) == (ran, ran)


def test_ddims_schedule_may_have_a_step_more_than_asked() -> None:
    assert generation(sampler="DDIM", steps=30).evaluations == 31
    assert generation(sampler="Heun", schedule="DDIM", steps=30).evaluations == 61
    assert generation(sampler="DDIM", steps=25).evaluations == 25
