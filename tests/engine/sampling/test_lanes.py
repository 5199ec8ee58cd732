"""Rows in lanes are the rows of one call, and the same ones in any company."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.batch import Batch
from limner.engine.sampling.lanes import AT_ONCE, SMALL, Lanes

ROWS = 12


@pytest.fixture(params=[1, 2, 3])
def cores(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def inputs(masked: bool, height: int = 32, width: int = 32) -> Batch:
    generator = torch.Generator().manual_seed(height)
    y = torch.randn(ROWS, 4, height, width, generator=generator)
    t = torch.linspace(1, 999, ROWS)
    context = torch.randn(ROWS, 154, 128, generator=generator)
    mask = torch.ones(ROWS, 154, dtype=torch.bool)
    mask[::2, 77:] = False
    return Batch(y, t, context, mask if masked else None)


@pytest.mark.parametrize("masked", [pytest.param(False, marks=pytest.mark.slow), True])
def test_lanes_equal_one_call(
    squire: Checkpoint, untouched: Checkpoint, cores: int, masked: bool
) -> None:
    batch = inputs(masked, 8, 12)
    with torch.inference_mode():
        expected = untouched.unet(
            batch.y,
            batch.t,
            encoder_hidden_states=batch.context,
            encoder_attention_mask=batch.mask,
        ).sample
    found = Lanes(squire.unet)(batch)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(
    "size",
    [(24, 16), *(pytest.param(size, marks=pytest.mark.slow) for size in ((32, 32), (48, 32)))],
)
@pytest.mark.parametrize("masked", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_row_is_the_same_to_the_bit_in_any_company(
    squire: Checkpoint, cores: int, masked: bool, size: tuple[int, int]
) -> None:
    lanes, whole = Lanes(squire.unet), inputs(masked, *size)
    together = lanes(whole)
    for start, count in ((0, 1), (5, 1), (7, 2), (3, 3), (4, 7)):
        found = lanes(whole[start : start + count])
        difference = (found - together[start : start + count]).abs().max()
        assert difference == 0, (start, count)


@pytest.mark.parametrize("size", [(4, 4), (4, 8), (8, 24)])
def test_a_small_pair_is_the_same_on_two_cores(squire: Checkpoint, size: tuple[int, int]) -> None:
    """Where the innermost level has few pixels, two cores shared a row's products."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        lanes, whole = Lanes(squire.unet), inputs(False, *size)[:6]
        whole = replace(whole, context=whole.context[:, :77])
        together = lanes(whole)
        for start in range(5):
            pair = lanes(whole[start : start + 2])
            assert torch.equal(pair, together[start : start + 2]), start
    finally:
        torch.set_num_threads(before)


def test_a_lane_is_one_core_and_leaves_other_threads_theirs(squire: Checkpoint) -> None:
    before = torch.get_num_threads()
    seen: set[int] = set()
    lanes = Lanes(squire.unet)
    squire.unet.conv_in.register_forward_pre_hook(lambda *_: seen.add(torch.get_num_threads()))
    lanes(inputs(False, 8, 8))
    squire.unet.conv_in._forward_pre_hooks.clear()
    assert seen == {1}
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == before
    assert torch.get_num_threads() == before


class Cramped:
    """A model of a device that holds so many rows times latent pixels at once."""

    device = torch.device("cuda")  # by name alone: its tensors lie on the CPU

    def __init__(self, room: int) -> None:
        self.room, self.calls = room, []

    def __call__(self, y: torch.Tensor, t: torch.Tensor, **_: torch.Tensor) -> SimpleNamespace:
        self.calls.append(len(y))
        if len(y) * y[0, 0].numel() > self.room:
            raise torch.OutOfMemoryError("a planted lack of memory")
        return SimpleNamespace(sample=y * t[:, None, None, None])


def test_where_memory_runs_out_rows_run_in_pieces_from_then_on() -> None:
    unet, batch = Cramped(room=5 * 8 * 8), inputs(False, 8, 8)
    lanes, expected = Lanes(unet), batch.y * batch.t[:, None, None, None]
    assert torch.equal(lanes(batch), expected)
    assert unet.calls == [12, 6, 3, 3, 3, 3]
    unet.calls.clear()
    assert torch.equal(lanes(batch), expected)
    assert torch.equal(lanes(batch[:3]), expected[:3])
    assert unet.calls == [3, 3, 3, 3, 3]


def test_a_large_model_on_a_cpu_runs_few_rows_of_large_latents_at_once() -> None:
    """So that 2048x2048 finds room: one row of it, two of 2048x1024, sixteen of 512x512."""
    unet = Cramped(room=AT_ONCE)
    unet.device = torch.device("cpu")
    unet.num_parameters = lambda: SMALL + 1
    y, found = torch.zeros(1, 1, 256, 256), {}
    for height, width in ((256, 256), (256, 128), (64, 64), (64, 65)):
        batch = inputs(False, 8, 8)
        rows = y[..., :height, :width].expand(len(batch), 4, -1, -1)
        Lanes(unet)(replace(batch, y=rows))
        found[height, width] = max(unet.calls)
        unet.calls.clear()
    assert found == {(256, 256): 1, (256, 128): 2, (64, 64): 12, (64, 65): 12}


def test_larger_latents_run_in_smaller_pieces_where_memory_ran_out() -> None:
    unet = Cramped(room=6 * 8 * 8)
    lanes = Lanes(unet)
    lanes(inputs(False, 8, 8))
    unet.calls.clear()
    lanes(inputs(False, 8, 16))
    assert unet.calls == [3, 3, 3, 3]


def test_a_row_without_room_fails_and_the_next_that_has_room_is_computed() -> None:
    unet = Cramped(room=8 * 8)
    lanes = Lanes(unet)
    with pytest.raises(torch.OutOfMemoryError):
        lanes(inputs(False, 16, 16))
    batch = inputs(False, 8, 8)
    assert torch.equal(lanes(batch[:1]), (batch.y * batch.t[:, None, None, None])[:1])
