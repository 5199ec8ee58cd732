"""A batch is cut, padded and masked in one place."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limner.engine.sampling.batch import Batch, context_of


def make(rows: int, masked: bool) -> Batch:
    y = torch.arange(rows * 4.0).view(rows, 1, 2, 2)
    context = torch.arange(rows * 6.0).view(rows, 3, 2)
    mask = (torch.arange(rows * 3) % 2 == 0).view(rows, 3) if masked else None
    return Batch(y, torch.arange(rows), context, mask)


@given(rows=st.integers(1, 40), parts=st.integers(1, 8), masked=st.booleans())
def test_parts_hold_every_row_once_in_order(rows: int, parts: int, masked: bool) -> None:
    batch = make(rows, masked)
    made = batch.split(min(parts, rows))
    assert max(map(len, made)) - min(map(len, made)) <= 1
    for name in ("y", "t", "context", *(("mask",) if masked else ())):
        assert torch.equal(torch.cat([getattr(part, name) for part in made]), getattr(batch, name))


@given(rows=st.integers(1, 5), wanted=st.integers(1, 9))
def test_padding_repeats_rows_of_every_field(rows: int, wanted: int) -> None:
    batch = make(rows, masked=True)
    padded = batch.padded(wanted)
    assert len(padded) >= wanted
    for name in ("y", "t", "context", "mask"):
        assert torch.equal(getattr(padded, name)[:rows], getattr(batch, name))
        assert len(getattr(padded, name)) == len(padded)


@pytest.mark.parametrize("lengths", [(4, 4), (4, 2), (1, 4)])
def test_a_short_context_is_zeros_and_masked(lengths: tuple[int, int]) -> None:
    contexts = [torch.ones(length, 3) for length in lengths]
    made, mask = context_of(contexts, 4)
    assert made.shape == (2, 4, 3)
    if mask is None:
        assert lengths == (4, 4)
        return
    assert mask.sum(1).tolist() == list(lengths)
    assert torch.equal(made.sum(2) == 3, mask)
