"""AUTOMATIC1111's names of samplers and schedules, as clients send and programs write them."""

from __future__ import annotations

from typing import Any

import pytest

from limner.domain import automatic1111
from limner.domain.methods import Vendors
from limner.domain.params import Generation
from limner.domain.sampler_names import SCHEDULE_NAMES
from limner.domain.samplers import RULED_NAMES
from limner.domain.schedulers import SCHEDULER_NAMES

VENDORS = tuple(automatic1111.VENDORS.values())


@pytest.mark.parametrize("schedule", SCHEDULE_NAMES)
@pytest.mark.parametrize("sampler", RULED_NAMES)
def test_the_written_sampler_reads_back(sampler: Any, schedule: Any) -> None:
    written = Generation(prompt="x", seed=1, sampler=sampler, schedule=schedule).method.names
    assert automatic1111.find(*written) == automatic1111.Found(
        {"sampler": sampler, "schedule": schedule}
    )
    assert automatic1111.find(" ".join(written)) == automatic1111.find(*written)


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_what_the_vendors_schedulers_write_reads_back_without_a_note(name: Any) -> None:
    found = automatic1111.find(*Vendors(name).names)
    assert found.notes == ()
    if name in VENDORS:
        assert found.fields == {"scheduler": name}
    else:
        drawn = Generation(prompt="x", seed=1, **found.fields)
        assert drawn.method.names[0] == Vendors(name).names[0]


@pytest.mark.parametrize(
    ("name", "schedule", "fields", "notes"),
    [
        ("DPM++ 2M", "Automatic", {"sampler": "DPM++ 2M", "schedule": "Karras"}, 0),
        ("DPM++ 2M Karras", "", {"sampler": "DPM++ 2M", "schedule": "Karras"}, 0),
        ("DPM2", "Automatic", {"sampler": "DPM2", "schedule": "Karras"}, 0),
        ("DPM2 a", "uniform", {"sampler": "DPM2 a", "schedule": "Uniform"}, 0),
        ("k_euler_a", "", {"sampler": "Euler a", "schedule": "Uniform"}, 0),
        ("Euler", "turbo", {"sampler": "Euler", "schedule": "Uniform"}, 1),
        ("DPM fast", "", {"sampler": "DPM++ 2M", "schedule": "Karras"}, 1),
        ("DPM adaptive", "beta", {"sampler": "DPM++ 2M", "schedule": "Beta"}, 1),
        ("PLMS", "", {"sampler": "PNDM"}, 0),
        ("UniPC", "", {"sampler": "UniPC"}, 0),
        ("UniPC", "Normal", {"sampler": "UniPC"}, 0),
        ("UniPC", "Karras", {"sampler": "UniPC", "schedule": "Karras"}, 0),
        ("DEIS Beta", "", {"sampler": "DEIS", "schedule": "Beta"}, 0),
        ("UniPC", "Simple", {"sampler": "UniPC"}, 1),
        ("DPM Multi", "", {"scheduler": "DPM Multi"}, 0),
        ("dpmpp_sde_ancestral", "", {"scheduler": "DPM Single"}, 0),
        ("Dragon", "", {"scheduler": "UniPC"}, 1),
        ("dpmpp_2m_karras", "", {"sampler": "DPM++ 2M", "schedule": "Karras"}, 0),
        ("dpmpp_2m_sde_gpu_karras", "", {"sampler": "DPM++ 2M SDE", "schedule": "Karras"}, 0),
        ("dpmpp_2s_ancestral", "ddim_uniform", {"sampler": "DPM++ 2S a", "schedule": "DDIM"}, 0),
        ("euler_ancestral_sgm_uniform", "", {"sampler": "Euler a", "schedule": "SGM Uniform"}, 0),
        ("dpmpp_2m_k", "", {"sampler": "DPM++ 2M", "schedule": "Karras"}, 0),
        ("uni_pc_bh2", "", {"sampler": "UniPC"}, 0),
        ("Restart", "", {"sampler": "Heun", "schedule": "Karras"}, 1),
        ("Restart", "Simple", {"sampler": "Heun", "schedule": "Simple"}, 1),
        ("Euler SMEA Dy", "", {"sampler": "Euler", "schedule": "Uniform"}, 1),
        ("Euler a CFG++", "Beta", {"sampler": "Euler a", "schedule": "Beta"}, 1),
        ("DPM++ 2M alt Karras", "", {"sampler": "DPM++ 2M", "schedule": "Karras"}, 1),
        ("Euler", "Align Your Steps GITS", {"sampler": "Euler", "schedule": "Align Your Steps"}, 1),
        ("UniPC", "Simple GITS", {"sampler": "UniPC"}, 1),
    ],
)
def test_names_as_clients_send_them(name: str, schedule: str, fields: Any, notes: int) -> None:
    found = automatic1111.find(name, schedule)
    assert (found.fields, len(found.notes)) == (fields, notes)


@pytest.mark.parametrize(
    ("name", "options", "taken", "notes"),
    [
        ("Euler", {"s_churn": 3.0, "s_tmax": 0.0, "s_noise": 1.0}, {"s_churn": 3.0}, 0),
        ("Euler a", {"eta": 1.0}, {}, 0),
        ("Euler a", {"eta": 0.5, "s_churn": 0.0}, {"eta": 0.5}, 0),
        ("DDIM", {"eta": 1.0}, {"eta": 1.0}, 0),
        ("DPM++ 2M", {"eta": 1.0, "s_churn": 2.0}, {}, 1),
        ("UniPC", {"eta": 0.5}, {}, 1),
    ],
)
def test_options_that_a_sampler_has_are_taken(
    name: str, options: Any, taken: Any, notes: int
) -> None:
    found = automatic1111.find(name, "", options)
    said = {option: found.fields[option] for option in found.fields.keys() & options.keys()}
    assert (said, len(found.notes)) == (taken, notes)


def test_every_listed_sampler_is_served_without_a_note() -> None:
    for entry in automatic1111.listed():
        found = automatic1111.find(entry["name"])
        assert found.notes == ()
        assert [automatic1111.find(alias) for alias in entry["aliases"]] == [found] * len(
            entry["aliases"]
        )
        if automatic := entry["options"].get("scheduler"):
            assert automatic1111.find(entry["name"], automatic) == found


def test_every_listed_schedule_goes_with_a_sampler() -> None:
    for entry in automatic1111.schedules():
        for name in (entry["name"], entry["label"]):
            assert automatic1111.find("Heun", name).notes == ()
