"""Loading by SHA-256, with small checkpoints of random weights."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from limner.domain.params import Generation
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.request import Choice
from limner.engine.batching.ticket import Drawn, Pixels, Ticket
from limner.engine.starting import Loader
from limner.errors import CheckpointError, InvalidInput
from tests.engine import checkpoint_files
from tests.engine.factories import Collector
from tests.waiting import wait_until

CPU = {"device": "cpu", "dtype": "float32", "max_rows": 16}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three checkpoints by their SHA-256s."""
    folder = tmp_path_factory.mktemp("library")
    files = [
        checkpoint_files.write_single_file(
            folder / f"{seed}.safetensors", checkpoint_files.models(seed=seed)
        )
        for seed in range(3)
    ]
    return {hashlib.sha256(file.read_bytes()).hexdigest(): file for file in files}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def loader_of(library: dict[str, Path]) -> Loader:
    return Loader(next(iter(library.values())), find=library.get, **CPU)


def quiet(_: str) -> None:
    """Says nothing."""


def test_a_model_takes_as_much_as_its_headers_tell(library: dict[str, Path]) -> None:
    loader = loader_of(library)
    first = loader.load(quiet)
    for sha256 in library:
        runner = loader.load(quiet, Choice(sha256))
        assert runner.model.sha256 == sha256
        told = loader.size(Choice(sha256))
        assert 0 <= runner.bytes - told <= 77 * 8  # the positions, which no file need hold
    assert first.caches() == runner.caches(), "encoded prompts share one memory"


def test_what_is_not_there_is_told(library: dict[str, Path], tmp_path: Path) -> None:
    loader = loader_of(library)
    loader.load(quiet)
    for choice, field in ((Choice("f" * 64), "model"), (Choice("", "f" * 64), "vae")):
        for ask in (loader.size, lambda choice: loader.load(quiet, choice)):
            with pytest.raises(InvalidInput, match="ffff") as told:
                ask(choice)
            assert told.value.field == field
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"no header")
    library = {**library, "e" * 64: damaged}
    with pytest.raises(InvalidInput, match=r"damaged\.safetensors"):
        loader_of(library).size(Choice("e" * 64))


def test_a_file_that_is_not_what_was_named_is_not_drawn_with(library: dict[str, Path]) -> None:
    loader = loader_of({**library, "e" * 64: next(iter(library.values()))})
    with pytest.raises(CheckpointError, match="has changed since it was listed"):
        loader.load(quiet, Choice("e" * 64))


@pytest.fixture
def engine(library: dict[str, Path]) -> Iterator[ThreadEngine]:
    """With room for two of the three."""
    loader = loader_of(library)
    size = loader.load(quiet).bytes
    made = ThreadEngine(
        loader.load, size=loader.size, models_bytes=5 * size // 2, max_bytes=1 << 30
    )
    wait_until(lambda: made.status().ready)
    yield made
    made.close()


@pytest.mark.slow
def test_sixty_requests_over_three_checkpoints_are_each_drawn_as_alone(
    library: dict[str, Path], engine: ThreadEngine
) -> None:
    chance = random.Random(60)
    requests = [(n, chance.choice(list(library)), f"key-{n % 6}") for n in range(60)]
    sinks, most = {}, 0
    for n, model, key in requests:
        drawing = Generation(prompt="a knight", seed=n, steps=6, width=128, height=128)
        sinks[n] = Collector()
        engine.submit(Ticket(f"r{n}", drawing, key, model=model), sinks[n])
        most = max(most, len(engine.status().resident))
    ends = {n: sink.wait(600)[0] for n, sink in sinks.items()}
    assert most <= 2
    for n, model, _ in requests[::7]:
        end = ends[n]
        assert isinstance(end, Drawn), end
        assert end.facts.model.sha256 == model
        difference = end.pixels.astype(int) - alone(library[model], n).astype(int)
        assert np.abs(difference).max() <= 2, "another batch rounds otherwise"


def alone(file: Path, seed: int) -> Pixels:
    """The picture by an engine that has this one model."""
    engine = ThreadEngine(Loader(file, **CPU).load)
    wait_until(lambda: engine.status().ready)
    sink = Collector()
    drawing = Generation(prompt="a knight", seed=seed, steps=6, width=128, height=128)
    engine.submit(Ticket("alone", drawing, "a"), sink)
    [end] = sink.wait(600)
    engine.close()
    assert isinstance(end, Drawn)
    return end.pixels
