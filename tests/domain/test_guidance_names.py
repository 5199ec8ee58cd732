"""Guidance in other programs' words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.domain.guidance import MODE_NAMES, Thresholding
from limner.domain.guidance_names import from_pairs, from_script, from_skip_early, pairs_of
from limner.domain.params import Generation

HUNDREDTHS = st.integers(0, 100).map(lambda n: n / 100)
SCALES = st.integers(0, 60).map(lambda n: n / 2)
THRESHOLDINGS = st.builds(
    Thresholding,
    mimic_scale=SCALES,
    percentile=st.integers(0, 2000).map(lambda n: round(n / 2000, 6)),
    mimic_mode=st.sampled_from(MODE_NAMES),
    mimic_min=SCALES,
    guidance_mode=st.sampled_from(MODE_NAMES),
    guidance_min=SCALES,
    mode_value=SCALES,
    separate_channels=st.booleans(),
    startpoint=st.sampled_from(["mean", "zero"]),
    variability=st.sampled_from(["ad", "std"]),
    phi=HUNDREDTHS,
)


def generation(**fields: Any) -> Generation:
    return Generation(prompt="a", seed=1, **fields)


def test_nothing_is_said_where_nothing_is_set() -> None:
    assert pairs_of(generation()) == {}
    plain = generation(guidance_start=0, guidance_end=1, guidance_rescale=0, thresholding=None)
    assert plain.model_dump(mode="json") == generation().model_dump(mode="json")
    assert not any("guidance_" in name or "thres" in name for name in plain.model_dump())


def test_the_text_is_as_the_programs_write_it() -> None:
    how = Thresholding(mimic_scale=7.5, percentile=0.995, mimic_mode="half cosine up", mimic_min=3)
    said = pairs_of(
        generation(**from_skip_early(0.2), guidance_end=0.8, guidance_rescale=0.7, thresholding=how)
    )
    assert said == {
        "Skip Early CFG": "0.2",
        "CFG end": "0.8",
        "CFG rescale": "0.7",
        "Dynamic thresholding enabled": "True",
        "Mimic scale": "7.5",
        "Threshold percentile": "99.5",
        "Mimic mode": "Half Cosine Up",
        "Mimic scale minimum": "3",
        "Separate Feature Channels": "True",
        "Scaling Startpoint": "MEAN",
        "Variability Measure": "AD",
        "Interpolate Phi": "1",
    }


@given(HUNDREDTHS, HUNDREDTHS, HUNDREDTHS, THRESHOLDINGS | st.none())
def test_what_is_said_is_read_back(start: float, end: float, rescale: float, how: Any) -> None:
    if start >= end:
        start, end = 0.0, 1.0
    asked = generation(
        guidance_start=start, guidance_end=end, guidance_rescale=rescale, thresholding=how
    )
    again = generation(**from_pairs(pairs_of(asked)))
    assert again.guidance_start == start
    assert pairs_of(again) == pairs_of(asked)
    for share in (0.0, 0.3, 1.0):  # what the modes do not look at is not said
        if how is not None:
            assert again.thresholding.scales(9, share) == how.scales(9, share)


@given(st.integers(1, 60), HUNDREDTHS)
def test_skipping_early_is_automatic1111s(steps: int, share: float) -> None:
    drawn = generation(**{"guidance": 7, **from_skip_early(share)})
    skipped = [share != 0 and step / steps <= share for step in range(steps)]
    assert drawn.guidance_over(steps) == [1.0 if skip else 7.0 for skip in skipped]


SCRIPT = [True, 5.5, 97, "Linear Down", 2, "Power Up", 3, 2.5, False, "ZERO", "STD", 0.9]


def test_the_extensions_arguments_are_read_in_its_order() -> None:
    read = from_script(SCRIPT)
    assert read is not None
    assert Thresholding(**read) == Thresholding(
        mimic_scale=5.5, percentile=0.97, mimic_mode="linear down", mimic_min=2,
        guidance_mode="power up", guidance_min=3, mode_value=2.5, separate_channels=False,
        startpoint="zero", variability="std", phi=0.9,
    )  # fmt: skip
    assert from_script([True]) == {}
    assert from_script([False, *SCRIPT[1:]]) is None
    assert from_script([]) is None


@pytest.mark.parametrize("share", [0.0, -1.0])
def test_skipping_nothing_says_nothing(share: float) -> None:
    assert from_skip_early(share) == {}
