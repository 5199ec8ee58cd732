"""Rows with adapters of their own, in one pass: each as if its weights were merged and alone."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from limner.engine.adapters.reading import Adapter, load
from limner.engine.adapters.rows import Use, Uses
from limner.engine.adapters.targets import targets_of
from limner.engine.sampling.batch import Batch
from limner.engine.sampling.lanes import Lanes
from tests.engine import checkpoint_files
from tests.engine.adapters import making
from tests.engine.adapters.conftest import PLACES

Deltas = Mapping[str, Tensor]


@pytest.fixture(scope="module")
def unet() -> Any:
    return checkpoint_files.models(checkpoint_files.SHALLOW)["unet"]


@pytest.fixture(scope="module")
def files(unet: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Adapter, Deltas]]:
    """Adapters of several kinds and ranks, and what they do to the weights."""
    folder, targets = tmp_path_factory.mktemp("adapters"), targets_of(unet, torch.nn.Module())
    inner = making.linears(unet)
    every = making.linears(unet, kernels=True)
    half = dict(list(inner.items())[::2])
    kernels = {path: weight for path, weight in every.items() if path not in inner}
    made = {
        "lora": (inner, making.lora, {"rank": 4}),
        "large": (half, making.lora, {"rank": 20}),
        "locon": (every, making.lora, {"rank": 8}),
        "tucker": (kernels, making.tucker, {"rank": 4}),
        "loha": (every, making.loha, {"rank": 3}),
        "dense": (half, making.loha, {"rank": 8}),
        "lokr": (every, making.lokr, {"rank": 3}),
        "difference": (half, making.difference, {}),
    }
    found = {}
    for number, (name, (weights, make, shape)) in enumerate(made.items()):
        path = folder / f"{name}.safetensors"
        deltas = making.file(path, {"unet": weights}, make, seed=number, **shape)
        found[name] = load(path, targets, PLACES), deltas["unet"]
    return found


@pytest.fixture(params=[1, 2])
def cores(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


# What the rows of one batch use.
ROWS: tuple[Mapping[str, float], ...] = (
    {},
    {"lora": 1.0},
    {"large": -0.5},
    {"lora": 0.25, "large": 1.5},
    {},
    {"locon": 1.0},
    {"lora": 1.0},
    {"tucker": 0.75, "difference": 0.3},
    {"loha": 0.5, "dense": 1.0},
    {"dense": 0.8, "lora": 1.0, "locon": -1.0},
    {"lora": 0.0, "lokr": 0.5},
    {"lora": 1.0},
)


def uses(files: Mapping[str, tuple[Adapter, Deltas]], row: Mapping[str, float]) -> Uses:
    return tuple(Use(files[name][0], strength) for name, strength in row.items())


def batch(adapters: tuple[Uses, ...] | None) -> Batch:
    g = torch.Generator().manual_seed(3)
    n = len(ROWS)
    y, t = torch.randn(n, 4, 8, 8, generator=g), torch.linspace(1, 999, n)
    return Batch(y, t, torch.randn(n, 77, 32, generator=g), None, adapters)


def picked(whole: Batch, rows: list[int]) -> Batch:
    assert whole.adapters is not None
    chosen = tuple(whole.adapters[row] for row in rows)
    return Batch(whole.y[rows], whole.t[rows], whole.context[rows], None, chosen)


@torch.inference_mode()
def alone(unet: Any, tensors: Mapping[str, Tensor], whole: Batch, row: int) -> Tensor:
    """The oracle: a model of merged weights, on one row."""
    model = copy.deepcopy(unet)
    model.load_state_dict(tensors)
    one = slice(row, row + 1)
    return model(whole.y[one], whole.t[one], encoder_hidden_states=whole.context[one]).sample[0]


def test_each_row_is_that_of_merged_weights_alone(unet: Any, files: Any) -> None:
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    whole = batch(tuple(uses(files, row) for row in ROWS))
    found = Lanes(copy.deepcopy(unet))(whole)
    for number, row in enumerate(ROWS):
        worn = [(files[name][1], strength) for name, strength in row.items()]
        expected = alone(unet, making.merged(unet, worn), whole, number)
        assert (found[number] - expected).abs().max() <= 1e-4 * expected.abs().max(), row
        plain = alone(unet, before, whole, number)
        assert any(row.values()) == bool((found[number] - plain).abs().max() > 0.01), row
    assert all(torch.equal(value, before[name]) for name, value in unet.state_dict().items())


def test_rows_of_none_are_those_of_a_batch_without_adapters_to_the_bit(
    unet: Any, files: Any, cores: int
) -> None:
    lanes, rows = Lanes(copy.deepcopy(unet)), tuple(uses(files, row) for row in ROWS)
    without, beside = lanes(batch(None)), lanes(batch(rows))
    for number, row in enumerate(ROWS):
        assert torch.equal(without[number], beside[number]) is not any(row.values()), row


@pytest.mark.slow
def test_a_row_is_the_same_to_the_bit_in_any_order_and_company(
    unet: Any, files: Any, cores: int
) -> None:
    lanes, whole = Lanes(copy.deepcopy(unet)), batch(tuple(uses(files, row) for row in ROWS))
    together = lanes(whole)
    companies = [
        list(range(len(ROWS)))[::-1],
        [1, 6, 11],
        [3, 0],
        [9, 9, 2, 5],
        *([n] for n in range(12)),
    ]
    for rows in companies:
        found = lanes(picked(whole, rows))
        for place, row in enumerate(rows):
            assert torch.equal(found[place], together[row]), (rows, row)


@pytest.mark.slow
def test_pairs_are_the_same_as_both_alone(unet: Any, files: Any) -> None:
    lanes, whole = Lanes(copy.deepcopy(unet)), batch(tuple(uses(files, row) for row in ROWS))
    single = lanes(picked(whole, list(range(6))))
    for first, second in itertools.combinations(range(6), 2):
        found = lanes(picked(whole, [first, second]))
        assert torch.equal(found[0], single[first])
        assert torch.equal(found[1], single[second])


def test_one_call_without_lanes_gives_the_same(unet: Any, files: Any) -> None:
    """As on a GPU: layers are not row-wise there."""
    lanes, whole = Lanes(copy.deepcopy(unet)), batch(tuple(uses(files, row) for row in ROWS))
    expected = lanes(whole)
    large = Lanes(copy.deepcopy(unet))
    large._in_lanes = False
    torch.testing.assert_close(large(whole), expected, rtol=1e-4, atol=1e-5)
    assert large.adapted.model.conv_in.weight is large._unet.conv_in.weight
