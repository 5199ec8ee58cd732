"""Rows in lanes are the rows of one call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from limner.engine.lanes import Lanes
from limner.engine.weights import Checkpoint


@pytest.mark.parametrize("rows", [1, 2, 5, 8])
@pytest.mark.parametrize("masked", [False, True])
def test_lanes_equal_one_call(squire: Checkpoint, rows: int, masked: bool) -> None:
    generator = torch.Generator().manual_seed(rows)
    y = torch.randn(rows, 4, 8, 12, generator=generator)
    t = torch.linspace(1, 999, rows)
    context = torch.randn(rows, 154, 128, generator=generator)
    mask = torch.rand(rows, 154, generator=generator) > 0.3 if masked else None
    with torch.inference_mode():
        expected = squire.unet(
            y, t, encoder_hidden_states=context, encoder_attention_mask=mask
        ).sample
        found = Lanes(squire.unet, 3)(y, t, context, mask)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5)


def test_a_lane_leaves_other_threads_their_cores(squire: Checkpoint) -> None:
    before = torch.get_num_threads()
    lanes = Lanes(squire.unet)
    with torch.inference_mode():
        lanes(torch.randn(8, 4, 8, 8), torch.ones(8), torch.randn(8, 77, 128), None)
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == before
    assert torch.get_num_threads() == before
