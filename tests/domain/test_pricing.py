"""Prices: the stated formula, and credits as plain decimals."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.domain import pricing
from limner.domain.params import Generation, Source
from limner.domain.schedulers import SCHEDULER_NAMES


def made(**fields) -> Generation:
    return Generation(**{"prompt": "a knight", "seed": 1, **fields})


def test_the_published_example():
    # 25 DDIM steps, two branches, 8 x 12 tiles of 64 pixels.
    generation = made(scheduler="DDIM", steps=25, guidance=9, width=512, height=768)
    assert pricing.quote(generation, [1.0]).total_micro == 25 * 2 * 8 * 12


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        ({"scheduler": "Heun", "steps": 20}, 39 * 2),
        ({"scheduler": "PNDM", "steps": 20}, 21 * 2),
        ({"scheduler": "UniPC", "steps": 20, "guidance": 1}, 20),
        ({"steps": 40, "source": Source(sha256="0" * 64, strength=0.5)}, 20 * 2),
        ({"steps": 20, "guidance_start": 0.2, "guidance_end": 0.5}, 20 + 6),
        ({"steps": 20, "guidance_start": 0.21, "guidance_end": 0.24}, 20),
        ({"scheduler": "Heun", "steps": 4, "guidance_end": 0.5}, 7 + 3),
        ({"guidance": 1, "guidance_rescale": 0.7, "thresholding": {}}, 20),
    ],
)
def test_rows(fields, rows):
    assert pricing.quote(made(**fields), [1.0]).rows == rows


@pytest.mark.parametrize(
    ("weights", "guidance", "branches"),
    [([1.0], 7.5, 2), ([1.0], 1.0, 1), ([1.0, 1.0], 7.5, 3), ([0.5, 0.5], 1.0, 2), ([2.0], 0.5, 1)],
)
def test_branches(weights, guidance, branches):
    assert made(guidance=guidance).rows(weights) == [branches] * 20


def test_what_is_tempered_needs_the_unconditional_row_at_any_guidance_but_1():
    assert made(guidance=0.5, guidance_rescale=0.5).rows([2.0]) == [2] * 20
    assert made(guidance=1, guidance_rescale=0.5).rows([1.0]) == [1] * 20


def test_a_lora_pays_for_the_rows_that_it_changes():
    lora = {"sha256": "0" * 64, "end": 0.5}
    fields = {"steps": 20, "guidance_end": 0.25}
    priced = pricing.quote(made(loras=(lora,), **fields), [1.0])
    assert (priced.rows, priced.lora_rows) == (20 + 5, (10 + 5) // 5)
    nothing = {**lora, "unet": 0, "text_encoder": 1}
    assert pricing.quote(made(loras=(nothing,), **fields), [1.0]).lora_rows == 0


@given(
    st.sampled_from(SCHEDULER_NAMES),
    st.integers(1, 150),
    st.integers(1, 4),
    st.sampled_from(range(64, 2049, 8)),
    st.sampled_from(range(64, 2049, 8)),
)
def test_more_never_costs_less(scheduler, steps, samples, width, height):
    one = pricing.quote(
        made(scheduler=scheduler, steps=steps, samples=samples, width=width, height=height), [1.0]
    )
    more = pricing.quote(
        made(scheduler=scheduler, steps=steps, samples=samples + 1, width=width, height=2048),
        [1.0, 1.0],
    )
    assert 0 < one.each_micro * samples == one.total_micro < more.total_micro
    assert one.tiles * 64 * 64 >= width * height


@pytest.mark.parametrize(
    ("micro", "text"),
    [(0, "0"), (1, "0.000001"), (2600, "0.0026"), (10_000_000, "10"), (12_500_000, "12.5"),
     (-1, "-0.000001"), (10**15, "1000000000")],
)  # fmt: skip
def test_plain_decimals(micro, text):
    assert pricing.as_text(micro) == text
    assert pricing.as_micro(text) == micro


@given(st.integers(-(10**15), 10**15))
def test_credits_are_exact(micro):
    assert pricing.as_credits(micro) * 1_000_000 == micro
    assert pricing.as_micro(pricing.as_text(micro)) == micro
    assert "E" not in pricing.as_text(micro).upper()


@pytest.mark.parametrize("text", ["", "ten", "NaN", "Infinity", "1,5"])
def test_no_amount(text):
    with pytest.raises(ValueError, match="not an amount"):
        pricing.as_micro(text)


@pytest.mark.parametrize("text", ["1000000000.1", "-1e10", "1e30", "1e999999", "1e999999999"])
def test_too_much(text):
    with pytest.raises(ValueError, match="more than 1,000,000,000 credits"):
        pricing.as_micro(text)


def test_less_than_a_micro_credit_is_dropped():
    assert pricing.as_micro(Decimal("0.0000019")) == 1


@pytest.mark.parametrize("text", ["0.0000009", "1e-9", "-1e-9"])
def test_an_amount_is_not_rounded_to_nothing(text):
    with pytest.raises(ValueError, match="less than a micro-credit"):
        pricing.as_micro(text)
